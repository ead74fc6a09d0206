"""One request, one job: whatever happens in between."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_oss_async.exceptions import (
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
)
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.job_store import KEY
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

pytestmark = pytest.mark.usefixtures("quick", "connect")


def video(**arguments: Any) -> OSSVideoConvertOperator:
    values = {"source": "in.mov", "target": "out.mp4", "container": "mp4", **arguments}
    return OSSVideoConvertOperator(task_id="video", **values)


def document(**arguments: Any) -> OSSDocumentConvertOperator:
    values = {"source": "in.mov", "target": "out.pdf", "target_format": "pdf", **arguments}
    return OSSDocumentConvertOperator(task_id="document", **values)


class Killed(BaseException):
    """The worker is gone."""


@pytest.fixture
def kill_after_answer() -> Any:
    """Make a context in which the worker dies between the service's answer and the record of the job."""

    def arm(context: dict[str, Any]) -> dict[str, Any]:
        store = context["task_state_store"]
        keep = store.set

        def set_intent_only(key: str, value: Any) -> None:
            if "wait_specification" in value:
                raise Killed
            keep(key, value)

        store.set = set_intent_only
        return context

    def disarm(context: dict[str, Any]) -> None:
        del context["task_state_store"].set

    arm.disarm = disarm  # type: ignore[attr-defined]
    return arm


def killed(task: Any, context: Any) -> None:
    with pytest.raises(Killed):
        task.execute(context)


def kill_at_first_push(context: dict[str, Any]) -> dict[str, Any]:
    def die(*_: Any, **__: Any) -> None:
        raise Killed

    context["ti"].xcom_push = die
    return context


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_retry_reconnects_to_the_job_of_a_worker_that_died(
    stand: Any, new_try: Any, seconds: float
) -> None:
    stand.service.add_fault("job_delay", seconds=seconds)
    context = kill_at_first_push(new_try())
    killed(video(), context)
    again = new_try(context)
    result = video().execute(again)
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]
    assert again["ti"].xcoms["task_id"] == result["task_id"]


def test_a_worker_that_dies_after_the_success_has_submitted_once(stand: Any, new_try: Any) -> None:
    context = new_try()
    result = video().execute(context)
    # Airflow has not heard of it, so it tries again.
    assert video().execute(new_try(context)) == result
    assert len(stand.accepted()) == 1
    # Clearing the task, which raises max_tries, means a new job.
    assert video().execute(new_try(context, max_tries=3))["task_id"] != result["task_id"]
    assert len(stand.accepted()) == 2


def test_a_retry_submits_anew_where_the_job_has_failed_meanwhile(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_fail")
    context = kill_at_first_push(new_try())
    killed(video(), context)
    while "Running" in str(stand.service.cloud.table.all()[0].status):
        pass
    result = video().execute(new_try(context))
    assert len(stand.accepted()) == 2
    assert result["task_id"] == stand.accepted()[1]["task_id"]


def test_a_retry_has_the_whole_timeout_again(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=2.5)
    context = new_try()
    with pytest.raises(OSSJobTimeoutError):
        video(timeout=0.2).execute(context)
    assert video(timeout=5).execute(new_try(context))["status"] == "succeeded"
    assert len(stand.accepted()) == 1


def test_a_poll_that_fails_does_not_make_a_second_job(stand: Any, new_try: Any) -> None:
    context = kill_at_first_push(new_try())
    killed(video(), context)
    stand.service.add_fault("refuse", match="IMM:GetTask", status=503, times=3)
    assert video().execute(new_try(context))["status"] == "succeeded"
    assert len(stand.accepted()) == 1


@pytest.mark.parametrize(
    ("fields", "max_tries"),
    [({}, 3), ({"video_codec": "h264"}, 2), ({"target": "o2.mp4"}, 2), ({"durable": False}, 2)],
)
def test_a_cleared_task_and_another_request_start_anew(
    stand: Any, new_try: Any, fields: dict[str, Any], max_tries: int
) -> None:
    context = kill_at_first_push(new_try())
    killed(video(), context)
    result = video(**fields).execute(new_try(context, max_tries=max_tries))
    assert len(stand.accepted()) == 2
    assert result["task_id"] == stand.accepted()[1]["task_id"]


def test_an_intent_alone_leads_to_the_job(stand: Any, new_try: Any, kill_after_answer: Any) -> None:
    context = kill_after_answer(new_try())
    killed(video(), context)
    kill_after_answer.disarm(context)
    assert "wait_specification" not in context["task_state_store"][KEY]
    result = video().execute(new_try(context))
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]


def test_an_intent_alone_without_a_job_leads_to_one(stand: Any, new_try: Any) -> None:
    context = new_try()
    stand.service.add_fault("close", match="OSS:AsyncProcessObject")
    stand.service.add_fault("refuse", match="IMM:ListTasks", status=503, times=0)
    # Sent, lost, and not to be searched for either: the intent stays.
    with pytest.raises(OSSSubmitUncertainError, match="cannot be decided"):
        video().execute(context)
    assert stand.accepted() == []
    assert "intent_at" in context["task_state_store"][KEY]
    stand.service.cloud.faults.clear()
    result = video().execute(new_try(context))
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]


def test_the_object_strategy_knows_the_state_before_the_lost_try(
    stand: Any, connect: Any, new_try: Any, kill_after_answer: Any
) -> None:
    connect({"imm_project": ""})
    context = kill_after_answer(new_try())
    killed(video(completion="object"), context)
    kill_after_answer.disarm(context)
    while stand.service.cloud.table.all()[0].status == "Running":
        pass
    result = video(completion="object").execute(new_try(context))
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert len(stand.accepted()) == 1


@pytest.mark.parametrize("kind", ["lose", "cut"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_lost_answer_makes_one_job(
    stand: Any, new_try: Any, resume: Any, kind: str, deferrable: bool
) -> None:
    stand.service.add_fault(kind, match="OSS:AsyncProcessObject")
    stand.service.add_fault("job_delay", seconds=3)
    context = new_try()
    task = video(deferrable=deferrable)
    if deferrable:
        with pytest.raises(TaskDeferred) as caught:
            task.execute(context)
        result = task.execute_complete(context, resume(caught.value))
    else:
        result = task.execute(context)
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]
    assert context["ti"].xcoms["task_id"] == result["task_id"]


def test_an_answer_that_does_not_come_makes_one_job(stand: Any, connect: Any, new_try: Any) -> None:
    connect({"read_timeout": 0.5})
    stand.service.add_fault("hang", match="OSS:AsyncProcessObject")
    result = video().execute(new_try())
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]


@pytest.mark.parametrize(("kind", "fields"), [("close", {}), ("refuse", {"status": 500})])
def test_a_request_that_has_certainly_started_nothing_is_sent_again(
    stand: Any, new_try: Any, kind: str, fields: dict[str, Any]
) -> None:
    stand.service.add_fault(kind, match="OSS:AsyncProcessObject", **fields)
    result = video().execute(new_try())
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]
    assert stand.requests("OSS:AsyncProcessObject") == 2


def test_where_it_cannot_be_decided_the_task_fails(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    context = new_try()
    with pytest.raises(OSSSubmitUncertainError) as caught:
        document().execute(context)
    for part in ("local-project", "oss://media/out.pdf", "on_uncertain_submit='resubmit'", "clear the task"):
        assert part in str(caught.value)
    assert stand.accepted()[0]["task_id"] in str(caught.value)
    # And fails again, rather than paying twice.
    with pytest.raises(OSSSubmitUncertainError):
        document().execute(new_try(context))
    assert len(stand.accepted()) == 1


def test_where_it_cannot_be_decided_it_is_submitted_again_if_one_says_so(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    result = document(on_uncertain_submit="resubmit").execute(new_try())
    assert result["task_id"] == stand.accepted()[1]["task_id"]
    assert len(stand.accepted()) == 2


def test_a_second_lost_answer_is_not_followed_by_a_third_request(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("close", match="OSS:AsyncProcessObject")
    context = new_try()
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    with pytest.raises(OSSSubmitUncertainError):
        video().execute(context)
    assert len(stand.accepted()) == 1
    # The next try finds the job of the second request.
    result = video().execute(new_try(context))
    assert [line["task_id"] for line in stand.accepted()] == [result["task_id"]]


def test_a_request_that_never_went_out_leaves_no_intent(stand: Any, connect: Any, new_try: Any) -> None:
    stand.service.stop()
    context = new_try()
    with pytest.raises(OSSSubmitNotSentError):
        video().execute(context)
    assert context["task_state_store"] == {}


def test_credentials_that_cannot_be_had_leave_no_intent(connect: Any, new_try: Any, free_port: int) -> None:
    connect({"credential_source": "credentials_uri", "credentials_uri": f"http://127.0.0.1:{free_port}/"})
    context = new_try()
    with pytest.raises(OSSServiceError):
        video().execute(context)
    assert context["task_state_store"] == {}


def test_a_refusal_leaves_no_intent(stand: Any, new_try: Any) -> None:
    context = new_try()
    with pytest.raises(OSSSubmitRefusedError):
        video(source="none.mov").execute(context)
    assert context["task_state_store"] == {}


def test_nothing_is_submitted_that_cannot_be_waited_for(stand: Any, connect: Any, new_try: Any) -> None:
    connect({"imm_project": ""})
    stand.service.add_fault(
        "refuse", match="IMM:GetOSSBucketAttachment", status=403, code="NoPermission", times=0
    )
    with pytest.raises(OSSServiceError, match="imm:GetOSSBucketAttachment"):
        video().execute(new_try())
    assert stand.accepted() == []
    # Without waiting nothing has to be polled.
    assert video(wait_for_completion=False).execute(new_try())["imm_project"] == ""


def test_a_record_that_cannot_be_written_stops_before_anything_is_sent(stand: Any, new_try: Any) -> None:
    context = new_try()

    def fail(*_: Any) -> None:
        raise RuntimeError("no database")

    context["task_state_store"].set = fail
    with pytest.raises(RuntimeError, match="no database"):
        video().execute(context)
    assert stand.accepted() == []
