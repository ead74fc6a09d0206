from __future__ import annotations

import gc
import json
import pickle
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import Asset

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
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.job_store import KEY
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import Style, VideoConvert, parse_process
from tests.support.tasks import deferred
from tests.support.tasks import run_to_end as run

pytestmark = pytest.mark.usefixtures("quick", "connect")


def video(**arguments: Any) -> OSSVideoConvertOperator:
    values = {"source": "in.mov", "target": "out.mp4", "container": "mp4", **arguments}
    return OSSVideoConvertOperator(task_id="video", **values)


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

    def ends(**arguments: Any) -> bool:
        caught = deferred(video(deferrable=True, **arguments), new_try())
        return bool(caught.trigger.end_from_trigger)

    assert ends(end_from_trigger=True)
    assert not ends()
    for something in (
        {"outlets": [Asset("oss://media/out.mp4")]},
        {"do_xcom_push": False},
        {"post_execute": lambda *_: None},
        {"multiple_outputs": True},
    ):
        assert not ends(end_from_trigger=True, **something), something


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


# Arguments


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
            extra_params={"z": "1"},
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


def test_a_connection_that_is_not_defined(new_try: Any) -> None:
    with pytest.raises(Exception, match="nowhere"):
        video(oss_conn_id="nowhere").execute(new_try())


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
    import structlog.testing

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
