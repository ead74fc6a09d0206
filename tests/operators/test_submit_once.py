"""One request, one job: whatever happens in between."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from airflow_provider_oss_async.exceptions import (
    OSSJobTimeoutError,
    OSSServiceError,
    OSSSubmitCancelledError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    OSSTargetExistsError,
)
from airflow_provider_oss_async.jobs.submission import INTENT_MAX_AGE
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.job_store import KEY
from tests.support.tasks import video

pytestmark = pytest.mark.usefixtures("quick", "connect")


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


# The intent is stored before each request


def intents(context: Any) -> list[dict[str, Any]]:
    return [value for value in context["task_state_store"].written if "wait_specification" not in value]


def test_the_intent_is_stored_again_before_each_attempt(stand: Any, new_try: Any) -> None:
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=429, code="QpsLimitExceeded", times=2
    )
    context = new_try()
    video().execute(context)
    times = [value["intent_at"] for value in intents(context)]
    assert len(times) == 3
    assert times == sorted(set(times))
    assert len(stand.accepted()) == 1


def test_an_intent_that_has_become_old_is_stored_again(stand: Any, new_try: Any) -> None:
    """As after SIGSTOP or on a suspended machine."""
    context = new_try()

    def suspended(value: dict[str, Any]) -> None:
        if not context["task_state_store"].written:
            time.sleep(INTENT_MAX_AGE + 0.2)

    context["task_state_store"].before_set = suspended
    video().execute(context)
    assert len(intents(context)) == 2
    assert len(stand.accepted()) == 1


@pytest.mark.parametrize("at", [1, 2])
def test_a_superseded_try_sends_nothing(stand: Any, new_try: Any, at: int) -> None:
    """The store answers 404 to it, also between two attempts."""
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=429, code="QpsLimitExceeded", times=at - 1
    )
    context = new_try()

    def superseded(value: dict[str, Any]) -> None:
        if len(context["task_state_store"].written) == at - 1:
            raise RuntimeError("404: the task instance runs elsewhere")

    context["task_state_store"].before_set = superseded
    with pytest.raises(RuntimeError, match="404"):
        video().execute(context)
    assert stand.requests("OSS:AsyncProcessObject") == at - 1
    assert stand.accepted() == []


@pytest.mark.parametrize("at", [1, 2])
def test_after_a_kill_nothing_is_submitted(stand: Any, new_try: Any, at: int) -> None:
    """Also not after the backoff of an earlier attempt."""
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=429, code="QpsLimitExceeded", times=at - 1
    )
    context, task = new_try(), video()

    def kill(value: dict[str, Any]) -> None:
        if len(context["task_state_store"].written) == at - 1:
            task.on_kill()

    context["task_state_store"].before_set = kill
    with pytest.raises(OSSSubmitCancelledError, match="the task was killed"):
        task.execute(context)
    assert stand.requests("OSS:AsyncProcessObject") == at - 1
    assert stand.accepted() == []
    assert context["task_state_store"] == {}


def test_a_task_that_was_killed_before_submits_nothing(stand: Any, new_try: Any) -> None:
    task = video()
    task.on_kill()
    with pytest.raises(OSSSubmitCancelledError):
        task.execute(new_try())
    assert stand.requests("OSS:AsyncProcessObject") == 0


def test_a_copy_of_a_killed_task_is_not_killed(new_try: Any) -> None:
    task = video()
    task.on_kill()
    assert copy.deepcopy(task).execute(new_try())["status"] == "succeeded"
    assert task._killed.is_set()


def test_without_a_store_the_log_says_what_is_weaker(stand: Any, new_try: Any, caplog: Any) -> None:
    context = new_try()
    del context["task_state_store"]
    with caplog.at_level("INFO"):
        video().execute(context)
    assert "no task state store" in caplog.text


# Targets that exist


def test_a_target_that_is_newer_than_the_source_is_the_result(stand: Any, new_try: Any) -> None:
    time.sleep(1.1)
    stand.put("out.mp4")
    context, outlet = new_try(), Asset("oss://media/out.mp4")
    result = video(if_target_exists="skip", outlets=[outlet]).execute(context)
    # Airflow sends the event in any case; who only wants new objects reads the status.
    assert context["outlet_events"][outlet].extra["status"] == "skipped"
    assert (result["status"], result["outputs"], result["task_id"]) == (
        "skipped",
        ["oss://media/out.mp4"],
        "",
    )
    assert set(result) == set(video().execute(new_try()))
    assert context["ti"].xcoms["outputs"] == ["oss://media/out.mp4"]
    # Only the job that was submitted for the comparison.
    assert len(stand.accepted()) == 1
    assert context["task_state_store"] == {}


@pytest.mark.parametrize("body", [b"", b"old"])
def test_an_empty_or_an_older_target_is_no_result(stand: Any, new_try: Any, body: bytes) -> None:
    if body:
        stand.put("out.mp4", body)
        time.sleep(1.1)
        stand.put("in.mov")
    else:
        time.sleep(1.1)
        stand.put("out.mp4", body)
    assert video(if_target_exists="skip").execute(new_try())["status"] == "succeeded"
    assert len(stand.accepted()) == 1


def test_of_several_outputs_one_is_enough(stand: Any, new_try: Any) -> None:
    time.sleep(1.1)
    stand.put("pages/2.png")
    stand.put("pages/notes.txt")
    task = document(target="pages/{index}.{autoext}", target_format="png", if_target_exists="skip")
    assert task.execute(new_try())["outputs"] == ["oss://media/pages/2.png"]
    assert stand.accepted() == []


def test_a_target_that_exists_may_be_an_error(stand: Any, new_try: Any) -> None:
    assert video(if_target_exists="fail").execute(new_try())["status"] == "succeeded"
    with pytest.raises(OSSTargetExistsError) as caught:
        video(if_target_exists="fail").execute(new_try())
    for part in ("oss://media/out.mp4", "Nothing was submitted", "if_target_exists='overwrite'"):
        assert part in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)
    assert len(stand.accepted()) == 1


def test_a_target_is_overwritten_by_default(stand: Any, new_try: Any) -> None:
    stand.put("out.mp4", b"old")
    assert video().execute(new_try())["status"] == "succeeded"
    assert len(stand.accepted()) == 1


@pytest.mark.parametrize("choice", ["skip", "fail"])
def test_the_job_of_an_earlier_try_comes_before_its_own_target(stand: Any, new_try: Any, choice: str) -> None:
    context = kill_at_first_push(new_try())
    killed(video(if_target_exists=choice), context)
    while not stand.requests("OSS:AsyncProcessObject") or "Running" in str(
        stand.service.cloud.table.all()[0].status
    ):
        pass
    result = video(if_target_exists=choice).execute(new_try(context))
    assert (result["status"], result["task_id"]) == ("succeeded", stand.accepted()[0]["task_id"])
    assert len(stand.accepted()) == 1


def test_a_target_that_cannot_be_read_stops_before_anything_is_sent(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=0)
    with pytest.raises(OSSServiceError, match="HeadObject"):
        video(if_target_exists="skip").execute(new_try())
    assert stand.requests("OSS:AsyncProcessObject") == 0
