"""``verify_output`` of operators and sensor: on a worker, in the triggerer, and what a retry does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_oss_async.exceptions import OSSBatchFailedError, OSSOutputMismatchError, ProcessError
from airflow_provider_oss_async.operators.batch import FinalBatchFailedError, OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.job_store import KEY
from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY
from airflow_provider_oss_async.process import DecodeBlindWatermark, DocumentConvert, VideoConvert
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from tests.support.batches import manifest, put_many
from tests.support.clips import make_clips
from tests.support.tasks import new_context, video
from tests.support.tasks import run_to_end as run

if TYPE_CHECKING:
    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick", "connect")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An mp4 of 320x180 px; the stand-in of these tests gives it back as the result of each job."""
    return make_clips(tmp_path_factory.mktemp("clips"))["wide.mp4"].read_bytes()


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_output_as_asked_for(stand: Stand, clip: bytes, deferrable: bool) -> None:
    stand.put("in.mov", clip)
    stand.service.add_fault("job_delay", seconds=0.3)
    task = video(video_codec="h264", width=320, verify_output="media", deferrable=deferrable)
    context = new_context()
    result = run(task, context)
    assert result["verification"] == {
        "verdict": "matches",
        "level": "media",
        "differences": [],
        "inspected": ["oss://media/out.mp4"],
        "reasons": [],
    }
    assert context["ti"].xcoms["outputs"] == ["oss://media/out.mp4"]
    assert stand.requests("OSS:video/info") == 1


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("level", ["exists", "media"])
def test_another_output_fails_the_task(stand: Stand, clip: bytes, deferrable: bool, level: str) -> None:
    stand.put("in.mov", clip)
    stand.service.add_fault("job_delay", seconds=0.3)
    if level == "exists":
        stand.service.add_fault("output_empty")
    task = video(
        video_codec="h264", width=640, verify_output=level, deferrable=deferrable, end_from_trigger=True
    )
    context = new_context()
    with pytest.raises(OSSOutputMismatchError, match="not what was asked for: size is") as caught:
        run(task, context)
    assert caught.value.differences[0]["uri"] == "oss://media/out.mp4"
    assert context["ti"].xcoms["code"] == "OutputMismatch"
    assert context["ti"].xcoms["job"]["task_id"] == stand.accepted()[0]["task_id"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_warning_in_place_of_the_failure(stand: Stand, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("output_empty")
    task = video(verify_output="exists", if_output_differs="warn", deferrable=deferrable)
    result = run(task, new_context())
    assert result["verification"]["verdict"] == "differs"
    assert result["outputs"] == ["oss://media/out.mp4"]


def test_an_output_that_nothing_could_be_learned_of_is_a_success(stand: Stand, clip: bytes) -> None:
    stand.put("in.mov", clip)
    stand.service.add_fault("deny", match="imm:DetectMediaMeta", times=0)
    result = run(video(verify_output="media", deferrable=True), new_context())
    assert result["status"] == "succeeded"
    assert result["verification"]["verdict"] == "not verified"
    assert len(stand.accepted()) == 1


def test_a_retry_looks_at_the_same_output_again(stand: Stand) -> None:
    """And pays for no second job."""
    stand.service.add_fault("output_empty")
    context = new_context()
    task = video(verify_output="exists")
    with pytest.raises(OSSOutputMismatchError):
        task.execute(context)
    assert KEY in context["task_state_store"]
    stand.put("out.mp4", b"mended by hand")
    result = video(verify_output="exists").execute(new_context(context))
    assert result["verification"]["verdict"] == "matches"
    assert len(stand.accepted()) == 1
    # Without the check, too.
    assert "verification" not in video().execute(new_context(context))


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_submits_a_new_job_where_that_is_asked_for(stand: Stand, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("output_empty")
    context = new_context()
    task = video(verify_output="exists", retry_failed_job=True, deferrable=deferrable)
    with pytest.raises(OSSOutputMismatchError) as caught:
        run(task, context)
    assert not isinstance(caught.value, AirflowFailException)
    assert KEY not in context["task_state_store"]
    assert run(task, new_context(context))["verification"]["verdict"] == "matches"
    assert len(stand.accepted()) == 2


@pytest.mark.parametrize("retry_failed_job", [False, True])
def test_without_retry_policies_a_difference_is_final(stand: Stand, retry_failed_job: bool) -> None:
    """On Airflow 3.2 a retry would know nothing of the job, and pay for another."""
    stand.service.add_fault("output_empty")
    with pytest.raises(OSSOutputMismatchError) as caught:
        video(verify_output="exists", retry_failed_job=retry_failed_job).execute(new_context())
    final = not HAS_RETRY_POLICY and not retry_failed_job
    assert isinstance(caught.value, AirflowFailException) == final


@pytest.mark.skipif(not HAS_RETRY_POLICY, reason="this Airflow has no retry policies")
@pytest.mark.parametrize(("retry_failed_job", "action"), [(False, "FAIL"), (True, "RETRY")])
def test_the_default_policy(stand: Stand, retry_failed_job: bool, action: str) -> None:
    stand.service.add_fault("output_empty")
    task = video(verify_output="exists", retry_failed_job=retry_failed_job)
    with pytest.raises(OSSOutputMismatchError) as caught:
        task.execute(new_context())
    policy: Any = task.retry_policy
    decision = policy.evaluate(caught.value, 1, 2, {"task": task})
    assert decision.action.name == action
    assert decision.reason


def test_what_exists_already_is_not_checked(stand: Stand) -> None:
    time.sleep(1.1)
    stand.put("out.mp4", b"other")
    result = video(verify_output="media", if_target_exists="skip").execute(new_context())
    assert result["status"] == "skipped"
    assert "verification" not in result


def test_a_watermark_has_no_output_to_check(stand: Stand) -> None:
    task = OSSDecodeBlindWatermarkOperator(task_id="t", source="in.mov", verify_output="media")
    assert "verification" not in task.execute(new_context())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"verify_output": "all"}, "verify_output='all' is not allowed: expected exists or media"),
        ({"verify_output": ""}, "verify_output=''"),
        ({"verify_output": "None"}, "verify_output='None'"),
        ({"verify_output": True}, "verify_output=True"),
        ({"if_output_differs": "skip"}, "if_output_differs='skip' is not allowed: expected fail or warn"),
        ({"verify_output": "media", "wait_for_completion": False}, "there is no output yet"),
        ({"verify_output": 1, "if_output_differs": 2}, "verify_output=1.*if_output_differs=2"),
    ],
)
def test_wrong_arguments(stand: Stand, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ProcessError, match=words):
        video(**arguments).execute(new_context())
    assert stand.accepted() == []
    if "wait_for_completion" not in arguments:
        sensor = OSSAsyncTaskSensor(
            task_id="wait", job={"task_id": "T", "task_type": "MediaConvert"}, **arguments
        )
        with pytest.raises(ProcessError, match=words):
            sensor.poke(new_context())


def test_arguments_are_templates() -> None:
    task = video(verify_output="{{ params.check }}", if_output_differs="{{ params.then }}")
    task.render_template_fields({"params": {"check": "media", "then": "warn"}})
    assert (task.verify_output, task.if_output_differs) == ("media", "warn")


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("then", ["fail", "warn"])
def test_the_sensor_checks_too(stand: Stand, deferrable: bool, then: str) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("output_empty")
    job = video(wait_for_completion=False).execute(new_context())
    sensor = OSSAsyncTaskSensor(
        task_id="wait",
        job=job,
        poke_interval=0.1,
        deferrable=deferrable,
        verify_output="exists",
        if_output_differs=then,
    )
    if then == "warn":
        assert run(sensor, new_context())["verification"]["verdict"] == "differs"
    else:
        with pytest.raises(OSSOutputMismatchError) as caught:
            run(sensor, new_context())
        # A retry could only inspect the output again.
        assert isinstance(caught.value, AirflowFailException)


# Many objects


def batch_context(before: Any = None, try_number: int = 1) -> Any:
    context = new_context(before)
    names = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": try_number}
    for name, value in names.items():
        setattr(context["ti"], name, value)
    return context


def batch(sources: list[str], **arguments: Any) -> OSSAsyncProcessBatchOperator:
    values = {
        "process": VideoConvert(container="mp4", video_codec="h264", width=320),
        "target": "out/{barename}.mp4",
        "verify_output": "media",
        "max_submits_per_second": 1000,
        **arguments,
    }
    return OSSAsyncProcessBatchOperator(task_id="t", sources=sources, **values)


def rows(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = asyncio.run(manifest(summary))
    return {source.rpartition("/")[2]: row for source, row in found.items()}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_batch_checks_each_object(stand: Stand, clip: bytes, deferrable: bool) -> None:
    for name in ("a.mov", "b.mov", "c.mov"):
        stand.put(name, clip)
    stand.service.add_fault("output_empty", match="oss://media/b.mov")
    context = batch_context()
    sources = ["a.mov", "b.mov", "c.mov"]
    with pytest.raises(FinalBatchFailedError, match="1 of 3 objects failed") as caught:
        run(batch(sources, deferrable=deferrable), context)
    found = rows(caught.value.summary)
    assert [found[name]["state"] for name in sources] == ["succeeded", "failed", "succeeded"]
    assert found["b.mov"]["code"] == "OutputMismatch"
    assert "more than 0 bytes was asked for" in found["b.mov"]["message"]
    assert "code" not in found["a.mov"]
    assert stand.requests("OSS:video/info") == 2
    # A retry would only pay for the same output again.
    with pytest.raises(OSSBatchFailedError):
        run(batch(sources, deferrable=deferrable), batch_context(context, try_number=2))
    assert len(stand.accepted()) == 3


def test_a_batch_that_warns(stand: Stand, clip: bytes) -> None:
    stand.put("a.mov", clip)
    task = batch(
        ["a.mov"],
        process=VideoConvert(container="mp4", video_codec="h264", width=640),
        if_output_differs="warn",
    )
    summary = task.execute(batch_context())
    row = rows(summary)["a.mov"]
    assert (row["state"], row["code"]) == ("succeeded", "OutputMismatch")
    assert "640 x any px was asked for" in row["message"]


def test_what_could_not_be_verified_has_succeeded(stand: Stand, clip: bytes) -> None:
    stand.put("a.mov", clip)
    stand.service.add_fault("deny", match="imm:DetectMediaMeta", times=0)
    summary = batch(["a.mov"]).execute(batch_context())
    row = rows(summary)["a.mov"]
    assert (row["state"], row["code"]) == ("succeeded", "OutputNotVerified")
    assert len(stand.accepted()) == 1


def test_several_outputs_of_an_object(stand: Stand) -> None:
    put_many(stand, 2)
    options: dict[str, Any] = {
        "process": DocumentConvert(target_format="png"),
        "target": "pages/{barename}/{index}.png",
        "verify_output": "exists",
        "max_failed": 1,
    }
    stand.service.add_fault("output_missing", match="oss://media/in/00000.mov")
    found = rows(batch(["in/00000.mov", "in/00001.mov"], **options).execute(batch_context()))
    assert found["00000.mov"]["code"] == "OutputMismatch"
    assert len(found["00001.mov"]["outputs"]) == 3


def test_a_batch_that_writes_nothing_is_not_checked(stand: Stand) -> None:
    task = batch(["in.mov"], process=DecodeBlindWatermark(), target=None)
    assert rows(task.execute(batch_context()))["in.mov"]["content"] == "hidden text"


def test_wrong_arguments_of_a_batch(stand: Stand) -> None:
    for arguments, words in (
        ({"verify_output": "all"}, "verify_output='all'"),
        ({"if_output_differs": "skip"}, "if_output_differs='skip'"),
    ):
        with pytest.raises(ProcessError, match=words):
            batch(["in.mov"], **arguments).execute(batch_context())
    assert stand.accepted() == []
