"""Everyday DAGs, written as README says, with the pytest fixture that comes with the package."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("imageio_ffmpeg", reason="the stand-in needs the extra 'local'")

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.local.pytest_plugin import copy_source, oss_local
from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY
from tests.hooks.conftest import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.local.server.app import LocalService

__all__ = ["oss_local", "wire"]

HEAD = """
import json, os
from airflow.sdk import DAG, task, task_group
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator, OSSAudioConvertOperator
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator, OSSVideoSnapshotsOperator
"""


@pytest.fixture
def oss_local_options() -> dict[str, Any]:
    return {"processor": copy_source, "workers": 4}


@pytest.fixture
def run_dag(airflow_db: None, quick: None) -> Iterator[Callable[[str], Any]]:
    """Run the DAG of a file with ``dag.test()``; return the run."""
    folder = Path(os.environ["AIRFLOW_HOME"], "dags")

    def run(text: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        path = folder / "everyday.py"
        path.write_text(HEAD + text)
        bag = DagBag(str(path))
        assert bag.import_errors == {}
        (dag,) = bag.dags.values()
        return dag.test()

    folder.mkdir(exist_ok=True)
    yield run
    shutil.rmtree(folder)


def states(run: Any) -> dict[str, str]:
    return {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in run.get_task_instances()}


def pull(run: Any, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
    for ti in run.get_task_instances():
        if (ti.task_id, ti.map_index) == (task_id, map_index):
            return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)
    raise AssertionError(task_id)


def test_the_table_of_examples_is_complete() -> None:
    folder = Path(__file__).parents[1] / "example_dags"
    linked = re.findall(r"^\| \[(\w+)\]\((\w+)\.py\) \| \w", (folder / "README.md").read_text(), re.M)
    expected = sorted((path.stem, path.stem) for path in folder.glob("example_*.py"))
    assert sorted(linked) == expected, "each example has one row in the table of example_dags/README.md"


LESSON = """
def alert(context):
    error = context["exception"]
    with open(os.environ["ALERTS"], "a") as file:
        fields = {name: getattr(error, name) for name in ("code", "detail", "advice", "source", "job")}
        file.write(json.dumps({"class": type(error).__name__, **fields}) + "\\n")

with DAG("lesson", schedule=None, default_args={"retries": 2, "on_failure_callback": alert}):
    OSSVideoConvertOperator(
        task_id="transcode", source="lesson.mov", target="lesson.mp4", container="mp4", deferrable=%s
    )
"""


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_lost_answer_makes_no_second_job(run_dag: Any, oss_local: LocalService, deferrable: bool) -> None:
    oss_local.put("lesson.mov", b"video")
    oss_local.add_fault("lose", match="OSS:AsyncProcessObject")
    run = run_dag(LESSON % deferrable)
    assert run.state == "success"
    (job,) = oss_local.jobs()
    assert job["outputs"] == ["oss://media/lesson.mp4"]
    assert pull(run, "transcode", "task_id") == job["task_id"]
    assert oss_local.get("lesson.mp4") == b"video"


@pytest.mark.skipif(not HAS_RETRY_POLICY, reason="this Airflow has no retry policies")
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_job_is_paid_for_once_and_explained(
    run_dag: Any,
    oss_local: LocalService,
    deferrable: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALERTS", str(tmp_path / "alerts"))
    oss_local.put("lesson.mov", b"video")
    oss_local.add_fault("job_fail", code="UnsupportedMedia", message="It cannot be read.", times=0)
    # So long that it has not ended when it is first polled.
    oss_local.add_fault("job_delay", seconds=0.5, times=0)
    run = run_dag(LESSON % deferrable)
    assert run.state == "failed"
    (job,) = oss_local.jobs()
    (alert,) = [json.loads(text) for text in (tmp_path / "alerts").read_text().splitlines()]
    assert alert["class"] == "OSSJobFailedError"
    assert (alert["code"], alert["detail"]) == ("UnsupportedMedia", "It cannot be read.")
    assert alert["advice"].startswith("Check that the source is whole")
    assert alert["source"] == "oss://media/lesson.mov"
    assert alert["job"]["task_id"] == job["task_id"]
    assert pull(run, "transcode", "code") == "UnsupportedMedia"
    assert pull(run, "transcode", "detail") == "It cannot be read."
    assert pull(run, "transcode", "job") == alert["job"]


@pytest.mark.skipif(not HAS_RETRY_POLICY, reason="this Airflow hands no exception to such a callback")
def test_a_wrong_argument_reaches_the_callback(
    run_dag: Any, oss_local: LocalService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERTS", str(tmp_path / "alerts"))
    run = run_dag(LESSON % "True, height=720")
    assert run.state == "failed"
    (alert,) = [json.loads(text) for text in (tmp_path / "alerts").read_text().splitlines()]
    assert (alert["code"], alert["job"]) == ("", {})
    assert oss_local.jobs() == []


def test_the_results_of_a_mapped_group_are_chained_in_every_way(
    run_dag: Any, oss_local: LocalService
) -> None:
    for name in ("a.mov", "b.mov", "c.txt"):
        oss_local.put(f"in/{name}", name.encode())
    run = run_dag(
        """
with DAG("group", schedule=None):
    @task
    def videos():
        return OSSAsyncHook().list_keys("in/", pattern="*.mov")

    @task_group
    def each(source):
        video = OSSVideoConvertOperator(
            task_id="video", source=source, target="out/{barename}.mp4", container="mp4"
        )
        frames = OSSVideoSnapshotsOperator(
            task_id="frames", source=video.output, target="out/{barename}/{index}.jpg", format="jpg"
        )
        again = OSSVideoConvertOperator(
            task_id="again",
            source="{{ ti.xcom_pull('each.video', map_indexes=ti.map_index)['outputs'][0] }}",
            target="again/{barename}.mp4",
            container="mp4",
        )
        video >> again
        return frames.output

    @task
    def listed(results):
        return list(results)

    # Airflow does not map over tasks of a mapped group itself, but over what a task returns.
    OSSVideoConvertOperator.partial(
        task_id="over_results", target="over/{barename}.mp4", container="mp4"
    ).expand(source=listed(each.expand(source=videos())))
"""
    )
    assert run.state == "success", states(run)
    assert {job["source"]: job["outputs"] for job in oss_local.jobs() if "/again/" in job["target"]} == {
        f"oss://media/out/{name}.mp4": [f"oss://media/again/{name}.mp4"] for name in "ab"
    }
    assert sorted(job["source"] for job in oss_local.jobs() if "/over/" in job["target"]) == [
        "oss://media/out/a/1.jpg",
        "oss://media/out/b/1.jpg",
    ]
    assert len(oss_local.jobs()) == 8


def test_results_are_merged_one_by_one_and_all_of_a_mapped_task(
    run_dag: Any, oss_local: LocalService
) -> None:
    for name in ("a.mp3", "b.mp3", "c.mp3"):
        oss_local.put(name, name.encode())
    run = run_dag(
        """
with DAG("podcast", schedule=None):
    parts = OSSAudioConvertOperator.partial(task_id="parts", target="parts/{barename}.mp3", container="mp3")
    parts = parts.expand(source=["a.mp3", "b.mp3"])
    intro = OSSAudioConvertOperator(task_id="intro", source="c.mp3", target="intro.mp3", container="mp3")
    OSSAudioConcatOperator(
        task_id="episode",
        source="c.mp3",
        target="episode.mp3",
        container="mp3",
        before=[{"object": intro.output, "duration": 2}, intro.output],
        after=parts.output,
    )
"""
    )
    assert run.state == "success", states(run)
    process = pull(run, "episode")["process"]
    from airflow_provider_oss_async.process import parse_process

    assert [segment.object for segment in parse_process(process).segments] == [
        "intro.mp3",
        "intro.mp3",
        "parts/a.mp3",
        "parts/b.mp3",
    ]


def test_mapping_over_a_whole_result_says_how_to_map_over_its_outputs(
    run_dag: Any,
    oss_local: LocalService,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    oss_local.put("in.mov", b"video")
    run = run_dag(
        """
with DAG("whole_result", schedule=None):
    frames = OSSVideoSnapshotsOperator(task_id="frames", source="in.mov", target="{index}.jpg", format="jpg")
    OSSVideoConvertOperator.partial(task_id="each", target="x/{barename}.mp4", container="mp4").expand(
        source=frames.output
    )
"""
    )
    assert run.state == "failed"
    assert len(oss_local.jobs()) == 1
    logged = capsys.readouterr().out + caplog.text
    assert "source is one entry (outputs) of a result: of its outputs, map the task over them" in logged


def test_what_is_new_is_converted_once(run_dag: Any, oss_local: LocalService) -> None:
    oss_local.put("reports/a.docx", b"report")
    reports = """
with DAG("reports", schedule=None):
    @task
    def reports(prev_start_date_success=None):
        return OSSAsyncHook().list_keys("reports/", pattern="*.docx", since=prev_start_date_success)

    OSSDocumentConvertOperator.partial(
        task_id="pdf", target="pdf/{barename}.pdf", target_format="pdf", if_target_exists="skip"
    ).expand(source=reports())
"""
    assert run_dag(reports).state == "success"
    assert run_dag(reports).state == "success"
    assert [job["source"] for job in oss_local.jobs()] == ["oss://media/reports/a.docx"]


def test_a_job_is_followed_by_its_id(oss_local: LocalService) -> None:
    oss_local.put("in.mov", b"video")
    hook = OSSAsyncHook()
    job = hook.submit("in.mov", "video/convert,f_mp4", target="out.mp4")
    assert hook.get_status(job.task_id, imm_task_type="MediaConvert").state in ("running", "succeeded")
    with pytest.raises(ProcessError, match="a bare task id needs MediaConvert or "):
        hook.get_status(job.task_id)
    with pytest.raises(ProcessError, match="is one of MediaConvert, not of OfficeConversion"):
        hook.get_status(job.task_id, imm_task_type="OfficeConversion")


def test_objects_are_listed(oss_local: LocalService) -> None:
    for key in ("in/a.mov", "in/b.mov", "in/b.txt", "other/c.mov"):
        oss_local.put(key, b"data")
    hook = OSSAsyncHook()
    assert hook.list_keys("in/", pattern="*.mov") == ["oss://media/in/a.mov", "oss://media/in/b.mov"]
    now = datetime.now(UTC)
    assert len(hook.list_keys("in/", since=now - timedelta(minutes=1))) == 3
    assert hook.list_keys("in/", since=now + timedelta(minutes=1)) == []
    assert (hook.exists("in/a.mov"), hook.exists("in/z.mov")) == (True, False)
    assert hook.default_bucket == "media"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("height=720, container='mp4'", "height would be ignored: set video_codec, without which"),
        ("container='wav'", "container='wav' is not allowed: expected one of mp4, "),
        ("container='mp4', width=33, crf=99", "width=33 is not allowed"),
        ("container='mp4', width=33, crf=99", "crf=99 is not allowed"),
        ("container='mp4', if_target_exists='Skip'", "expected overwrite or skip or fail"),
    ],
)
def test_the_first_sentence_says_what_to_write_instead(
    run_dag: Any,
    oss_local: LocalService,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    run = run_dag(
        f"""
with DAG("first_attempt", schedule=None, default_args={{"retries": 2}}):
    OSSVideoConvertOperator(task_id="convert", source="in.mov", target="out.mp4", {arguments})
"""
    )
    assert run.state == "failed"
    assert message in capsys.readouterr().out.replace("\\'", "'")
    assert oss_local.jobs() == []


def test_jinja_in_place_of_a_variable_is_explained(
    run_dag: Any, oss_local: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dag(
        """
with DAG("jinja", schedule=None, default_args={"retries": 2}):
    OSSDocumentConvertOperator(
        task_id="pages", source="in.docx", target="pages/{{index}}.png", target_format="png"
    )
    OSSDocumentConvertOperator.partial(
        task_id="mapped", target="pages/{{ barename }}.pdf", target_format="pdf"
    ).expand(source=["in.docx"])
    # What OSS has no variable for stays Airflow's own error.
    OSSDocumentConvertOperator(
        task_id="unknown", source="in.docx", target="{{ nonsense }}.pdf", target_format="pdf", retries=0
    )
"""
    )
    assert run.state == "failed"
    said = capsys.readouterr().out
    for sentence in (
        "write {index} in single braces, because double ones are Jinja's: 'pages/{{index}}.png'",
        "write {barename} in single braces, because double ones are Jinja's: 'pages/{{ barename }}.pdf'",
        "'nonsense' is undefined",
    ):
        assert sentence in said
    assert {ti.try_number for ti in run.get_task_instances()} == {1}
    assert oss_local.jobs() == []


ROLE_DAG = """
with DAG("role", schedule=None):
    OSSVideoConvertOperator(
        task_id="convert", source="in.mov", target="out.mp4", container="mp4", oss_conn_id="oss_media_role"
    )
"""


def role_connection(oss_local: LocalService, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    data = json.loads(oss_local.connection_json())
    connection = {
        **data,
        "login": "ACCESS_KEY_ID",
        "password": "ACCESS_KEY_SECRET",
        "extra": {**data["extra"], **extra},
    }
    if extra["credential_source"] == "credentials_uri":
        del connection["login"], connection["password"]
    monkeypatch.setenv("AIRFLOW_CONN_OSS_MEDIA_ROLE", json.dumps(connection))


def test_a_role_that_cannot_be_assumed_is_explained(
    run_dag: Any,
    oss_local: LocalService,
    wire: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    oss_local.put("in.mov", b"video")
    monkeypatch.setenv("HTTPS_PROXY", wire.url)
    role_connection(
        oss_local,
        monkeypatch,
        credential_source="ram_role_arn",
        role_arn="acs:ram::123456789012:role/media",
        external_id="airflow-production",
    )
    run = run_dag(ROLE_DAG)
    assert run.state == "failed"
    assert {request.path for request in wire.requests} == {"sts.cn-hangzhou.aliyuncs.com:443"}
    assert "by STS at sts.cn-hangzhou.aliyuncs.com: it could not be reached." in capsys.readouterr().out
    assert oss_local.jobs() == []


def test_temporary_credentials_are_used_for_the_whole_dag(
    run_dag: Any, oss_local: LocalService, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    oss_local.put("in.mov", b"video")
    oss_local.cloud.verifier.add(AccessKey("STS.1", "role-secret", "role-token"))
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = {
        "Code": "Success",
        "AccessKeyId": "STS.1",
        "AccessKeySecret": "role-secret",
        "SecurityToken": "role-token",
        "Expiration": expires,
    }
    wire.respond = lambda request: (200, json.dumps(answer))
    role_connection(oss_local, monkeypatch, credential_source="credentials_uri", credentials_uri=wire.url)
    assert run_dag(ROLE_DAG).state == "success"
    (job,) = oss_local.jobs()
    assert job["outputs"] == ["oss://media/out.mp4"]
