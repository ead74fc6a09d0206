from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.process import parse_process
from tests.support.tasks import started_by, video

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.usefixtures("quick", "connect")


def test_all_wrong_arguments_are_named_at_once_and_nothing_is_sent(stand: Any, new_try: Any) -> None:
    wrong = {
        "source": "oss://B_/x",
        "target": "/x",
        "completion": "email",
        "on_uncertain_submit": "pray",
        "timeout": -1,
        "poll_interval": "often",
        "width": 99999,
        "frame_rate": "abc",
    }
    with pytest.raises(ProcessError) as caught:
        video(**wrong).execute(new_try())
    for name in wrong:
        assert name in str(caught.value), name
    assert "Nothing was submitted" in str(caught.value)
    assert len(caught.value.problems) == len(wrong)
    assert isinstance(caught.value, ValueError)
    assert stand.accepted() == []
    assert stand.requests("OSS:AsyncProcessObject") == 0


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"target": None}, "needs a target"),
        ({"target": "in.mov"}, "being read"),
        ({"source": "{{ ds }}.mov"}, "template"),
        ({"source": ""}, "source"),
        ({"source": None}, "source"),
        ({"target": ""}, "target"),
        ({"target": "out/"}, "ends in /"),
        ({"target": "{nonsense}.mp4"}, "nonsense"),
        ({"timeout": 7 * 24 * 3600}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"extra_params": {"zz": "1|sys/saveas,o_YQ"}}, "zz"),
        ({"extra_params": {"f": "mov"}}, "f"),
        ({"notify_topic": "a/b"}, "topic"),
    ],
)
def test_a_wrong_argument(stand: Any, new_try: Any, fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ProcessError) as caught:
        video(**fields).execute(new_try())
    assert part in str(caught.value)
    assert stand.requests("OSS:AsyncProcessObject") == 0


def test_extra_params_are_passed_on(stand: Any, new_try: Any) -> None:
    video(extra_params={"zz": "9"}).execute(new_try())
    assert parse_process(stand.accepted()[0]["process"]).param("zz") == "9"
    with pytest.raises(ProcessError, match="extra_params"):
        OSSAsyncProcessOperator(
            task_id="t",
            source="in.mov",
            target="o.mp4",
            process="video/convert,f_mp4",
            extra_params={"z": "1"},  # type: ignore[call-arg]
        ).execute(new_try())


@pytest.mark.parametrize(
    "key",
    ["a,b/c|sys/saveas,o_YQ", "two words", "日/ü", "a+b", "a%2Fb", "a&b=c;d", "'\"\\`$(x)", "q?x#y"],
)
def test_hostile_names_are_names(stand: Any, new_try: Any, key: str) -> None:
    stand.put(f"{key}.mov")
    result = video(source=f"{key}.mov", target=f"oss://media/out/{key}.mp4").execute(new_try())
    assert result["source"] == f"oss://media/{key}.mov"
    assert result["outputs"] == [f"oss://media/out/{key}.mp4"]
    (accepted,) = stand.accepted()
    assert parse_process(accepted["process"]).params == (("f", "mp4"),)


WRONG: dict[str, Sequence[Any]] = {
    "imm_project": (2026, "None", "", " ", ["p"], " local-project "),
    "region": (2026, "None", "", " "),
    "oss_conn_id": (2026, "None", "", " ", None),
    "target": ("None", "", " ", 2026, ["a"]),
    "notify_topic": ("None", "", " ", 2026),
    "timeout": (float("nan"), float("inf"), True, "soon", 0, -1, None, []),
    "poll_interval": (float("nan"), True, 0, 3601, timedelta(hours=2)),
    **dict.fromkeys(
        ("allow_ignored", "wait_for_completion", "deferrable", "durable", "retry_failed_job"),
        ("False", 0, None),
    ),
    "end_from_trigger": ("no",),
    **dict.fromkeys(
        ("completion", "on_uncertain_submit", "if_target_exists", "if_target_triggers"),
        ("None", None, 3, ["imm"], "IMM"),
    ),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
)
def test_a_common_argument_of_the_wrong_type_or_meaning(
    stand: Any, new_try: Any, name: str, value: Any
) -> None:
    with pytest.raises(ProcessError) as caught:
        video(**{name: value}).execute(new_try())
    assert name in str(caught.value)
    assert stand.requests("OSS:AsyncProcessObject") == 0


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("name", ["imm_project", "timeout", "completion", "durable", "source", "target"])
def test_a_value_that_cannot_be_printed(stand: Any, new_try: Any, name: str) -> None:
    with pytest.raises(ProcessError, match=name):
        video(**{name: Unprintable()}).execute(new_try())
    assert stand.requests("OSS:AsyncProcessObject") == 0


@pytest.mark.parametrize("value", ["300", 300, timedelta(minutes=5)])
def test_a_timeout_in_every_form(stand: Any, new_try: Any, value: Any) -> None:
    assert video(timeout=value).execute(new_try())["status"] == "succeeded"


def test_a_wrong_project_is_refused_before_the_job(stand: Any, new_try: Any) -> None:
    with pytest.raises(ProcessError, match="'other' is not the project of bucket media") as caught:
        video(imm_project="other").execute(new_try())
    assert "local-project" in caught.value.advice
    assert isinstance(caught.value, AirflowFailException)
    assert stand.requests("OSS:AsyncProcessObject") == 0


def test_where_the_project_cannot_be_checked_the_log_says_so(stand: Any, new_try: Any, caplog: Any) -> None:
    stand.service.add_fault(
        "refuse", match="IMM:GetOSSBucketAttachment", status=403, code="NoPermission", times=0
    )
    assert video().execute(new_try())["status"] == "succeeded"
    assert "could not be checked that the bucket media is bound to IMM project 'local-project'" in caplog.text


def test_outlets_need_the_wait(stand: Any, new_try: Any) -> None:
    with pytest.raises(ProcessError, match="outlets are not allowed with wait_for_completion=False"):
        video(outlets=[Asset("oss://media/out.mp4")], wait_for_completion=False).execute(new_try())
    assert stand.requests("OSS:AsyncProcessObject") == 0


# Targets that would start the DAG again


def test_a_target_that_would_start_the_dag_again_is_refused_before_anything_is_paid(
    stand: Any, new_try: Any
) -> None:
    context = started_by(new_try(), prefix="inbox/")
    with pytest.raises(ProcessError) as caught:
        video(target="inbox/{barename}.{autoext}", width=99999).execute(context)
    assert isinstance(caught.value, AirflowFailException)
    assert "width=99999" in str(caught.value)
    with pytest.raises(ProcessError, match=r"oss://media/inbox/in\.mp4 would start this DAG again"):
        video(target="inbox/{barename}.{autoext}").execute(context)
    assert stand.requests("OSS:AsyncProcessObject") == 0
    assert video(target="out/{barename}.{autoext}").execute(context)["status"] == "succeeded"


def test_it_may_be_a_warning(stand: Any, new_try: Any) -> None:
    context = started_by(new_try(), prefix="inbox/")
    with structlog.testing.capture_logs() as logs:
        result = video(target="inbox/{barename}.mp4", if_target_triggers="warn").execute(context)
    assert result["outputs"] == ["oss://media/inbox/in.mp4"]
    assert "would start this DAG again" in str(logs)


def test_a_job_that_writes_nothing_starts_nothing(stand: Any, new_try: Any) -> None:
    task = OSSDecodeBlindWatermarkOperator(task_id="t", source="in.mov")
    assert task.execute(started_by(new_try()))["status"] == "succeeded"
