from __future__ import annotations

import gc
import json
import pickle
import socket
import time
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout

from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    ProcessError,
)
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.job_store import KEY
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import Style, VideoConvert, parse_process
from airflow_provider_oss_async.triggers.oss_async import may_end_in_trigger
from tests.support.tasks import deferred, resume_deferred, video
from tests.support.tasks import run_to_end as run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick", "connect")


def test_a_job_is_submitted_and_waited_for(stand: Any, new_try: Any) -> None:
    context = new_try()
    result = video(video_codec="h264", width=640).execute(context)
    (accepted,) = stand.accepted()
    assert result["task_id"] == accepted["task_id"]
    assert result["status"] == "succeeded"
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert result["finished_at"]
    assert (result["source"], result["target"]) == ("oss://media/in.mov", "oss://media/out.mp4")
    assert (result["region"], result["imm_project"]) == ("cn-hangzhou", "local-project")
    assert parse_process(accepted["process"]).param("s") == "640x"
    for name in ("task_id", "event_id", "request_id"):
        assert context["ti"].xcoms[name] == result[name] != ""
    assert "/oss-cn-hangzhou/media/" in context["ti"].xcoms["oss_console_link"]
    json.dumps(result)


def test_ids_are_pushed_before_waiting(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    context = new_try()
    with pytest.raises(OSSJobTimeoutError) as caught:
        video(timeout=0.3).execute(context)
    assert context["ti"].xcoms["task_id"] == stand.accepted()[0]["task_id"] == caught.value.job["task_id"]


def test_without_waiting_the_job_is_returned_at_once(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    context = new_try()
    result = video(wait_for_completion=False).execute(context)
    assert result["task_id"] == context["ti"].xcoms["task_id"]
    assert "status" not in result
    assert stand.requests("IMM:GetTask") == 0


def test_a_family_of_outputs(stand: Any, new_try: Any) -> None:
    task = OSSDocumentConvertOperator(
        task_id="t", source="in.mov", target="pages/{index}.{autoext}", target_format="png"
    )
    result = task.execute(new_try())
    assert result["outputs"] == [f"oss://media/pages/{number}.png" for number in (1, 2, 3)]


def test_a_watermark_is_read(new_try: Any) -> None:
    result = OSSDecodeBlindWatermarkOperator(task_id="t", source="in.mov").execute(new_try())
    assert (result["content"], result["outputs"]) == ("hidden text", [])


@pytest.mark.parametrize(
    ("process", "fields"),
    [
        ("video/convert,f_mp4", {"target": "out.mp4"}),
        (VideoConvert(container="mp4"), {"target": "out.mp4"}),
        ("video/convert,f_mp4|sys/saveas,o_b3V0Lm1wNA", {}),
        ("style/::h264-mp4-720p", {"target": "out.mp4", "imm_task_type": "MediaConvert"}),
        (Style("::h264-mp4-720p", task_type="MediaConvert"), {"target": "out.mp4"}),
    ],
)
def test_any_process(new_try: Any, process: Any, fields: dict[str, Any]) -> None:
    task = OSSAsyncProcessOperator(task_id="t", source="in.mov", process=process, **fields)
    assert task.execute(new_try())["outputs"] == ["oss://media/out.mp4"]


def test_the_object_strategy_needs_no_imm(stand: Any, connect: Any, new_try: Any) -> None:
    connect({"imm_project": ""})
    stand.service.add_fault("refuse", match="IMM:*", status=403, code="NoPermission", times=0)
    stand.service.add_fault("job_delay", seconds=0.1)
    result = video(completion="object", poll_interval=0.1).execute(new_try())
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert stand.requests("IMM:GetTask") == stand.requests("IMM:GetOSSBucketAttachment") == 0


def test_the_object_strategy_refuses_what_it_cannot_wait_for(stand: Any, new_try: Any) -> None:
    task = OSSDocumentConvertOperator(
        task_id="t", source="in.mov", target="p/{index}.png", target_format="png", completion="object"
    )
    with pytest.raises(ProcessError, match="completion='imm'"):
        task.execute(new_try())
    assert stand.accepted() == []


def test_the_project_is_looked_up_where_it_is_not_given(stand: Any, connect: Any, new_try: Any) -> None:
    connect({"imm_project": ""})
    assert video().execute(new_try())["imm_project"] == "local-project"


def test_events_of_declared_outlets_know_the_job(new_try: Any) -> None:
    outlet, other = Asset("oss://media/out.mp4"), Asset("x-other://place")
    context = new_try()
    result = video(outlets=[outlet, other]).execute(context)
    assert context["outlet_events"][outlet].extra == {
        "task_id": result["task_id"],
        "outputs": ["oss://media/out.mp4"],
        "status": "succeeded",
    }
    assert other not in context["outlet_events"]


# Deferral


@pytest.mark.parametrize("completion", ["imm", "object"])
def test_a_deferred_task_comes_to_the_same_result(
    stand: Any, new_try: Any, resume: Any, completion: str
) -> None:
    stand.service.add_fault("job_delay", seconds=2)
    context = new_try()
    arguments = {"completion": completion, "poll_interval": 0.1}
    task_deferred = deferred(video(deferrable=True, **arguments), context)
    assert context["ti"].xcoms["task_id"] == stand.accepted()[0]["task_id"]
    event = resume(task_deferred)
    # The same job once more, by a try that waits by itself.
    waited = video(**arguments).execute(new_try(context))
    assert task_deferred.method_name == "execute_complete"
    assert video(**arguments).execute_complete(context, event) == waited
    assert waited["outputs"] == ["oss://media/out.mp4"]
    assert len(stand.accepted()) == 1


def test_a_trigger_is_small_plain_and_holds_no_secret(stand: Any, connect: Any, new_try: Any) -> None:
    connect(password="local-secret")
    stand.service.add_fault("job_delay", seconds=5)
    task_deferred = deferred(video(deferrable=True, timeout=60), new_try())
    path, arguments = task_deferred.trigger.serialize()
    text = json.dumps(arguments)
    assert json.loads(text) == arguments
    assert path == "airflow_provider_oss_async.triggers.oss_async.OSSAsyncTaskTrigger"
    assert len(text) < 1500
    assert "local-secret" not in text
    assert 60 < task_deferred.timeout.total_seconds() <= 60 + 900
    assert abs(arguments["wait_specification"]["deadline"] - time.time() - 60) < 5


def test_nothing_left_to_do_ends_in_the_trigger(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5, times=0)
    assert deferred(video(deferrable=True, end_from_trigger=True), new_try()).trigger.end_from_trigger
    assert not deferred(video(deferrable=True), new_try()).trigger.end_from_trigger


@pytest.fixture
def queue(stand: Any, connect: Any) -> Any:
    """The queue of a connection with a topic."""
    stand.service.cloud.broker.subscribe("done", "waiting")
    connect({"smq_queue": "waiting", "smq_topic": "done"})
    return stand.service.cloud.broker.queues["waiting"]


@pytest.mark.parametrize("topic", [None, "done"])
def test_messages_end_the_wait(stand: Any, queue: Any, new_try: Any, topic: str | None) -> None:
    stand.service.add_fault("job_delay", seconds=1)
    task = video(completion="smq", deferrable=True, notify_topic=topic)
    assert run(task, new_try())["status"] == "succeeded"
    assert parse_process(stand.accepted()[0]["process"]).topic == "done"
    assert stand.messages("waiting") == (0, 0)
    # Before it defers, when the trigger begins, and for the message.
    assert stand.requests("IMM:GetTask") == 3


def test_messages_tell_of_failure_too(stand: Any, queue: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=1)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    with pytest.raises(OSSJobFailedError, match=r"not a video.*code InvalidFile"):
        run(video(completion="smq", deferrable=True), new_try())
    assert stand.messages("waiting") == (0, 0)


def test_a_worker_that_waits_by_itself_takes_no_messages(stand: Any, queue: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    assert video(completion="smq").execute(new_try())["status"] == "succeeded"
    assert parse_process(stand.accepted()[0]["process"]).topic == "done"
    assert stand.requests("SMQ:BatchReceiveMessage") == 0
    assert stand.messages("waiting") == (1, 0)


def test_silence_is_covered(stand: Any, queue: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=1)
    stand.service.add_fault("notify_drop")
    task = video(completion="smq", deferrable=True, poll_interval=0.5)
    assert run(task, new_try())["status"] == "succeeded"


def test_a_process_string_may_name_its_topic(stand: Any, queue: Any, new_try: Any) -> None:
    process = "video/convert,f_mp4|sys/saveas,o_b3V0Lm1wNA/notify,topic_b3RoZXI"
    task = OSSAsyncProcessOperator(
        task_id="t", source="in.mov", process=process, completion="smq", poll_interval=0.2
    )
    task.execute(new_try())
    assert parse_process(stand.accepted()[0]["process"]).topic == "other"


def test_what_messages_need_is_settled_first(stand: Any, connect: Any, new_try: Any) -> None:
    connect({"smq_endpoint": ""})
    with pytest.raises(ProcessError) as caught:
        video(completion="smq", deferrable=True).execute(new_try())
    for part in ("smq_endpoint", "smq_queue", "smq_topic", "notify_topic"):
        assert part in str(caught.value)
    # Whoever does not wait needs no queue.
    assert video(completion="smq", wait_for_completion=False).execute(new_try())
    connect({"smq_queue": "waiting", "smq_topic": "not a name"})
    with pytest.raises(OSSConnectionError, match="not a name"):
        video(completion="smq").execute(new_try())
    assert len(stand.accepted()) == 1


def test_a_job_that_has_ended_when_first_asked_for_is_not_deferred(stand: Any, new_try: Any) -> None:
    # The stand-in reads the job's state after this delay.
    stand.service.add_fault("delay", match="IMM:GetTask", seconds=2)
    assert video(deferrable=True).execute(new_try())["status"] == "succeeded"


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_failed_job(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.1)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    context = new_try()
    task = video(deferrable=deferrable)
    with pytest.raises(OSSJobFailedError, match=r"not a video.*code InvalidFile") as caught:
        run(task, context)
    assert caught.value.job["task_id"] == context["ti"].xcoms["task_id"]
    assert context["task_state_store"] == {}
    # A retry is a new job.
    assert video().execute(new_try(context))["task_id"] != caught.value.job["task_id"]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_lost_job(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("job_forget", seconds=0)
    context = new_try()
    task = video(deferrable=deferrable)
    with pytest.raises(OSSJobLostError):
        run(task, context)
    assert context["task_state_store"] == {}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_retry_reconnects_to_a_job_that_takes_too_long(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=3)
    context = new_try()
    task = video(deferrable=deferrable, timeout=timedelta(seconds=0.3))
    with pytest.raises(OSSJobTimeoutError) as caught:
        run(task, context)
    assert KEY in context["task_state_store"]
    result = video(timeout=10).execute(new_try(context))
    assert result["task_id"] == caught.value.job["task_id"]
    assert len(stand.accepted()) == 1


def test_the_execution_timeout_bounds_the_wait(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    task_deferred = deferred(video(deferrable=True, execution_timeout=timedelta(seconds=30)), new_try())
    assert abs(task_deferred.trigger.wait_specification["deadline"] - time.time() - 30) < 5


def test_an_event_that_says_nothing(new_try: Any) -> None:
    with pytest.raises(OSSAsyncError, match="without a result that can be read"):
        video().execute_complete(new_try(), None)


@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
def test_a_wait_that_airflow_has_ended_names_the_job(stand: Any, new_try: Any, reason: str) -> None:
    stand.service.add_fault("job_delay", seconds=5, times=0)
    context = new_try()
    deferred(video(deferrable=True), context)
    job = context["task_state_store"][KEY]["wait_specification"]["job"]
    task = video(deferrable=True)
    with pytest.raises(
        OSSAsyncError, match=r"Airflow ended the wait .* Check that a triggerer runs"
    ) as caught:
        task.resume_execution("__fail__", {"error": reason}, context)
    assert caught.value.job == context["ti"].xcoms["job"] == job
    assert job["task_id"] in str(caught.value)
    assert [dataset.name for dataset in task.get_openlineage_facets_on_failure(None).inputs] == ["in.mov"]
    # The job goes on, and a retry reconnects to it.
    assert deferred(video(deferrable=True), new_try(context)).trigger.wait_specification["job"] == job


def test_without_a_known_job_it_is_airflows_own_error(new_try: Any) -> None:
    with pytest.raises(TaskDeferralTimeout):
        video(durable=False).resume_execution("__fail__", {"error": "Trigger timeout"}, new_try())
    with pytest.raises(TaskDeferralTimeout):
        video().resume_execution("__fail__", {"error": "Trigger timeout"}, new_try())


# Trouble


def family(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def closed_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize(
    ("extra", "fields", "arguments", "kind", "parts"),
    [
        ({}, {}, {"source": "oss://nowhere/a.mov"}, OSSSubmitRefusedError, ["NoSuchBucket", "nowhere"]),
        ({}, {}, {"source": "none.mov"}, OSSSubmitRefusedError, ["NoSuchKey", "none.mov"]),
        (
            {},
            {"password": "wrong"},
            {},
            OSSSubmitRefusedError,
            ["SignatureDoesNotMatch", "Check the AccessKey secret"],
        ),
        ({}, {"login": "who"}, {}, OSSSubmitRefusedError, ["InvalidAccessKeyId"]),
        ({"imm_project": ""}, {"password": "wrong"}, {}, OSSServiceError, ["IMM", "secret"]),
        (
            {},
            {},
            {"source": "oss://loose/in.mov"},
            OSSServiceError,
            ["loose", "Bind the bucket", "Nothing was"],
        ),
        (
            {"imm_project": ""},
            {},
            {"source": "oss://loose/in.mov"},
            OSSServiceError,
            ["loose", "Nothing was submitted", "completion='object'"],
        ),
        ({"region": ""}, {}, {}, OSSConnectionError, ["region", "oss_async_default"]),
        ({}, {"login": ""}, {}, OSSConnectionError, ["AccessKey ID"]),
        ({}, {"schema": ""}, {}, ProcessError, ["names no bucket"]),
        ({}, {"host": closed_port()}, {}, OSSSubmitNotSentError, ["nothing was submitted"]),
        (
            {"imm_endpoint": closed_port(), "imm_project": ""},
            {},
            {},
            OSSServiceError,
            ["Nothing was submitted"],
        ),
        (
            {},
            {"host": closed_port()},
            {"completion": "object"},
            OSSServiceError,
            ["HeadObject", "oss://media/out.mp4"],
        ),
    ],
)
def test_trouble_is_told_in_plain_words(
    stand: Any,
    connect: Any,
    new_try: Any,
    extra: dict[str, Any],
    fields: dict[str, Any],
    arguments: dict[str, Any],
    kind: type[OSSAsyncError],
    parts: list[str],
) -> None:
    stand.service.cloud.store.create_bucket("loose", "cn-hangzhou", stand.service.cloud.owner)
    stand.put("in.mov", bucket="loose")
    connect(extra, **fields)
    context = new_try()
    with pytest.raises(kind) as caught:
        video(**arguments).execute(context)
    for part in parts:
        assert part in str(caught.value)
    for error in family(caught.value):
        assert "alibabacloud" not in type(error).__module__, error
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert stand.accepted() == []
    assert context["task_state_store"] == {}
    assert "task_id" not in context["ti"].xcoms


@pytest.mark.parametrize("project", ["", "local-project"])
def test_an_expired_token(stand: Any, connect: Any, new_try: Any, project: str) -> None:
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    stand.service.cloud.verifier.add(AccessKey("STS.old", "sts-secret", "sts-token", time.time() - 60))
    connect({"security_token": "sts-token", "imm_project": project}, login="STS.old", password="sts-secret")
    with pytest.raises(OSSServiceError, match="expired") as caught:
        video().execute(new_try())
    assert "sts-token" not in repr(vars(caught.value))
    assert "sts-secret" not in repr(vars(caught.value))


def test_throttling_while_waiting_fails_nothing(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("throttle", match="IMM:GetTask", times=3, seconds=0.05)
    assert video().execute(new_try())["status"] == "succeeded"


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_nothing_is_left_open(new_try: Any) -> None:
    video().execute(new_try())
    with pytest.raises(ProcessError):
        video(source="").execute(new_try())
    gc.collect()


def test_killing_says_that_the_job_goes_on(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    with structlog.testing.capture_logs() as logs:
        video().on_kill()
    assert "No job was known yet" in str(logs)
    task = video(wait_for_completion=False)
    result = task.execute(new_try())
    with structlog.testing.capture_logs() as logs:
        task.on_kill()
    assert result["task_id"] in str(logs)


def test_without_a_store_the_task_runs(stand: Any, new_try: Any) -> None:
    context = new_try()
    del context["task_state_store"]
    assert video().execute(context)["status"] == "succeeded"


# Ending in the trigger


class Overridden(OSSVideoConvertOperator):
    def execute_complete(self, context: Any, event: Any = None) -> Any:
        return super().execute_complete(context, event)


class Posting(OSSVideoConvertOperator):
    def post_execute(self, context: Any, result: Any = None) -> None:
        """Do something with the result."""


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (OSSVideoConvertOperator, {"on_success_callback": print}),
        (OSSVideoConvertOperator, {"outlets": [Asset("oss://media/out.mp4")]}),
        (OSSVideoConvertOperator, {"do_xcom_push": False}),
        (OSSVideoConvertOperator, {"post_execute": lambda *_: None}),
        (OSSVideoConvertOperator, {"multiple_outputs": True}),
        (Overridden, {}),
        (Posting, {}),
    ],
)
def test_what_the_triggerer_would_not_do_is_left_to_a_worker(
    operator: type[OSSVideoConvertOperator], arguments: dict[str, Any]
) -> None:
    values: dict[str, Any] = {"task_id": "t", "source": "a", "target": "b.mp4", "container": "mp4"}
    values["deferrable"] = True
    assert may_end_in_trigger(OSSVideoConvertOperator(**values, end_from_trigger=True), OSSAsyncBaseOperator)
    assert not may_end_in_trigger(
        operator(**values, end_from_trigger=True, **arguments), OSSAsyncBaseOperator
    )


def test_a_task_that_others_are_mapped_over_ends_on_a_worker() -> None:
    with DAG("d", schedule=None):
        first = video(deferrable=True, end_from_trigger=True)
        assert may_end_in_trigger(first, OSSAsyncBaseOperator)
        OSSVideoConvertOperator.partial(task_id="next", target="{index}.mp4", container="mp4").expand(
            source=first.output
        )
    assert not may_end_in_trigger(first, OSSAsyncBaseOperator)


@pytest.fixture
def listener() -> Iterator[None]:
    """A plugin that listens to task events, as the OpenLineage provider does."""
    from airflow.listeners.listener import get_listener_manager as of_core
    from airflow.sdk.listener import get_listener_manager as of_workers

    plugin = ModuleType("a_listener")
    exec(
        "from airflow.listeners import hookimpl\n"
        "@hookimpl\n"
        "def on_task_instance_success(previous_state, task_instance):\n"
        "    pass\n",
        vars(plugin),
    )
    managers: list[Any] = [of_core(), of_workers()]
    for manager in managers:
        manager.add_listener(plugin)
    yield
    for manager in managers:
        manager.clear()


DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

with DAG("ends_in_the_trigger", schedule=None):
    convert = OSSVideoConvertOperator(
        task_id="convert", source="a", target="b.mp4", container="mp4", deferrable=True, end_from_trigger=True
    )
    OSSAsyncTaskSensor(task_id="wait", job=convert.output, deferrable=True, end_from_trigger=True)
"""


@pytest.mark.usefixtures("listener", "airflow_db")
def test_a_listener_is_no_import_error_and_hears_of_the_end(tmp_path: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "dag.py").write_text(DAG_FILE)
    bag = DagBag(str(tmp_path))
    assert bag.import_errors == {}
    tasks: list[Any] = list(bag.dags["ends_in_the_trigger"].tasks)
    assert len(tasks) == 2
    for one in tasks:
        assert one._end_from_trigger
        assert not may_end_in_trigger(one, OSSAsyncBaseOperator)


# Metadata
CONSOLE = "https://oss.console.aliyun.com/bucket/oss-cn-hangzhou/media/overview"


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_console_link(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    first, second = video(deferrable=deferrable), video()
    context = new_try()
    if deferrable:
        event = resume_deferred(deferred(first, context))
        assert link_of(first) == CONSOLE
        second.execute_complete(context, event)
    else:
        second.execute(context)
    assert link_of(second) == CONSOLE


def link_of(task: Any) -> str:
    """What Airflow stores at the end of a task. No XCom is read: for each missing one an error is logged."""
    (link,) = task.operator_extra_links
    return str(link.get_link(task, ti_key=None))


def test_a_task_that_failed_before_it_had_a_job_has_no_console_link(new_try: Any) -> None:
    task = video(source="")
    with pytest.raises(ProcessError):
        task.execute(new_try())
    assert link_of(task) == ""


def test_the_log_says_what_is_waited_for(stand: Any, new_try: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        result = video().execute(new_try())
    started = next(str(entry) for entry in logs if "Submitted" in str(entry))
    for part in ("oss://media/out.mp4", "local-project", "deadline", result["task_id"]):
        assert part in started
    ended = next(str(entry) for entry in logs if "Succeeded" in str(entry))
    assert "oss://media/out.mp4" in ended


def test_a_job_is_logged_before_anything_else_can_fail(stand: Any, new_try: Any) -> None:
    context = new_try()

    def fail(**_: Any) -> None:
        raise RuntimeError("no API server")

    context["ti"].xcom_push = fail
    with structlog.testing.capture_logs() as logs, pytest.raises(RuntimeError):
        video().execute(context)
    assert stand.accepted()[0]["task_id"] in str(logs)


# Errors


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "job_fail", "code": "InvalidFile", "message": "not a video"}, "OSSJobFailedError"),
        ({"kind": "job_forget", "seconds": 0}, "OSSJobLostError"),
        (
            {"kind": "refuse", "match": "IMM:GetTask", "status": 403, "code": "NoPermission", "times": 0},
            "OSSServiceError",
        ),
    ],
)
def test_an_error_is_the_same_on_a_worker_and_after_a_deferral(
    stand: Any, new_try: Any, deferrable: bool, fault: dict[str, Any], kind: str
) -> None:
    stand.service.add_fault("job_delay", seconds=0.4)
    stand.service.add_fault(**fault)
    context = new_try()
    with pytest.raises(OSSAsyncError) as caught:
        run(video(deferrable=deferrable), context)
    error, (accepted,) = caught.value, stand.accepted()
    assert type(error).__name__ == kind
    assert error.job["task_id"] == accepted["task_id"]
    assert accepted["task_id"] in str(error)
    assert (error.source, error.target) == ("oss://media/in.mov", "oss://media/out.mp4")
    assert error.advice
    assert error.request_id
    assert pickle.loads(pickle.dumps(error)).fields == error.fields
    # A summary task reads what happened.
    xcoms = context["ti"].xcoms
    assert (xcoms["code"], xcoms["detail"], xcoms["job"]) == (error.code, error.detail, error.job)
    # Reason first, ids last, and nothing that is empty.
    if kind != "OSSServiceError":
        assert str(error).index(accepted["task_id"]) > len(str(error)) / 2
    for empty in ("()", ", )", "(, ", "none", "unknown", " of  "):
        assert empty not in str(error).replace("unknown to", "")


def test_an_error_of_the_connection_after_the_submission_names_the_job(
    stand: Any, new_try: Any, free_port: int, connect: Any
) -> None:
    """Credentials that are renewed while a worker waits."""
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=0)
    context = new_try()
    with pytest.raises(OSSServiceError) as caught:
        video().execute(context)
    assert context["ti"].xcoms["job"]["task_id"] == stand.accepted()[0]["task_id"]
    assert "will be billed" in str(caught.value)


def test_a_missing_connection_is_named_and_final(new_try: Any) -> None:
    with pytest.raises(OSSConnectionError, match="There is no Airflow connection 'nowhere'") as caught:
        video(oss_conn_id="nowhere").execute(new_try())
    assert isinstance(caught.value, AirflowFailException)
    assert "oss_async" in caught.value.advice


DEFERRED_FILE = """
from airflow.sdk import DAG
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

common = {"container": "mp4", "deferrable": True}

with DAG("deferred", schedule=None):
    woken = OSSVideoConvertOperator(task_id="woken", source="in.mov", target="a.mp4", **common)
    ended = OSSVideoConvertOperator(
        task_id="ended", source=woken.output, target="b.mp4", end_from_trigger=True, **common
    )
    last = OSSVideoConvertOperator(
        task_id="last", source="{{ ti.xcom_pull('ended')['outputs'][0] }}", target="c.mp4", **common
    )
    OSSAsyncTaskSensor(task_id="wait", job=ended.output, deferrable=True, end_from_trigger=True)
    ended >> last
"""


def test_deferred_tasks_in_a_dag_without_a_scheduler(
    stand: Any, dag_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event is held there, and what ends in the trigger leaves the same result."""
    from airflow.dag_processing.dagbag import DagBag

    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "120")
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    (dag_folder / "deferred.py").write_text(DEFERRED_FILE)
    bag = DagBag(str(dag_folder / "deferred.py"))
    assert bag.import_errors == {}
    began = time.monotonic()
    assert bag.dags["deferred"].test().state == "success"
    assert time.monotonic() - began < 100
    sources = sorted(line["source"].removeprefix("oss://media/") for line in stand.accepted())
    assert sources == ["a.mp4", "b.mp4", "in.mov"]
