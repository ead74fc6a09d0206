"""Which failures the operators' default policy retries: a row for each, on a worker and after a deferral."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("airflow.sdk.definitions.retry_policy")

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision, RetryPolicy

from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.retry_policy import MAX_DELAY, OSSRetryPolicy
from tests.support.tasks import new_context, run_to_end, video

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick", "connect")

FAIL, RETRY, DEFAULT = RetryAction.FAIL, RetryAction.RETRY, RetryAction.DEFAULT


def refused(match: str, status: int, code: str) -> dict[str, Any]:
    return {"kind": "refuse", "match": match, "status": status, "code": code, "times": 0}


def failed_job(code: str, message: str) -> dict[str, Any]:
    return {"kind": "job_fail", "code": code, "message": message}


def failure(task: Any, context: Any = None) -> OSSAsyncError:
    with pytest.raises(OSSAsyncError) as caught:
        run_to_end(task, context or new_context())
    return caught.value


def decide(task: BaseOperator, error: BaseException, try_number: int = 1) -> RetryDecision:
    """Decide as Airflow does on the worker."""
    policy: Any = task.retry_policy
    context: Any = {"task": task}
    decision: RetryDecision = policy.evaluate(error, try_number, 2, context)
    return decision


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("fault", "arguments", "action", "words"),
    [
        ({}, {"frame_rate": "abc"}, FAIL, "argument"),
        ({}, {"oss_conn_id": "nowhere"}, FAIL, "connection"),
        ({}, {"source": "none.mov"}, FAIL, "Check the object's key"),
        (refused("OSS:AsyncProcessObject", 403, "AccessDenied"), {}, FAIL, "Grant"),
        (refused("OSS:AsyncProcessObject", 429, "QpsLimitExceeded"), {}, RETRY, "passes"),
        (refused("IMM:GetTask", 403, "NoPermission"), {}, FAIL, "imm:GetTask"),
        (failed_job("InvalidFile", "not a video"), {}, FAIL, "whole"),
        (failed_job("QueueTimeout", "waited in the queue too long"), {}, RETRY, "Run fewer"),
        (failed_job("InternalError", "try again"), {}, RETRY, "Try again"),
        (failed_job("Mysterious", "who knows"), {}, DEFAULT, ""),
    ],
)
def test_a_decision_and_its_reason(
    stand: Stand,
    fault: dict[str, Any],
    arguments: dict[str, Any],
    action: RetryAction,
    words: str,
    deferrable: bool,
) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    if fault:
        stand.service.add_fault(**fault)
    task = video(deferrable=deferrable, **arguments)
    decision = decide(task, failure(task))
    assert decision.action is action
    assert words in (decision.reason or "")


def test_what_no_retry_can_mend_is_paid_for_once(stand: Stand) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video", times=0)
    context, task = new_context(), video(retries=2)
    for _ in range(3):
        error = failure(task, context)
        if decide(task, error).action is FAIL:
            break
        context = new_context(context)
    assert len(stand.accepted()) == 1


def test_an_outage_is_retried_later(stand: Stand) -> None:
    stand.service.stop()
    task = video()
    error = failure(task)
    assert type(error).__name__ == "OSSSubmitNotSentError"
    assert decide(task, error).action is RETRY


def test_an_uncertain_submission_is_left_to_airflow(stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    task = OSSDocumentConvertOperator(
        task_id="document", source="in.mov", target="out.pdf", target_format="pdf"
    )
    error = failure(task)
    assert type(error).__name__ == "OSSSubmitUncertainError"
    assert decide(task, error).action is DEFAULT


def test_a_job_that_takes_too_long_is_left_to_airflow(stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    task = video(timeout=0.2)
    assert decide(task, failure(task)).action is DEFAULT


def test_an_existing_target_is_final(stand: Stand) -> None:
    stand.put("out.mp4")
    task = video(if_target_exists="fail")
    assert decide(task, failure(task)).action is FAIL


def test_any_failure_of_a_job_may_be_retried(stand: Stand) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video", times=0)
    task = video(retry_failed_job=True)
    decision = decide(task, failure(task))
    assert (decision.action, decision.retry_delay) == (RETRY, None)
    assert "retry_failed_job" in (decision.reason or "")
    # Wrong arguments are still final.
    wrong = video(retry_failed_job=True, frame_rate="abc")
    assert decide(wrong, failure(wrong)).action is FAIL


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("y"), TimeoutError()])
def test_other_errors_are_left_to_airflow(error: Exception) -> None:
    assert decide(video(), error).action is DEFAULT


def test_delays_grow_from_those_of_the_task(stand: Stand) -> None:
    stand.service.add_fault("job_fail", code="InternalError", message="try again")
    task = video(retry_delay=timedelta(seconds=100))
    error = failure(task)
    for try_number, seconds in ((1, 100.0), (2, 200.0), (3, 400.0), (60, MAX_DELAY)):
        delay = decide(task, error, try_number).retry_delay
        assert delay is not None
        assert 0.8 * seconds <= delay.total_seconds() <= seconds
    without: Any = OSSRetryPolicy().evaluate(error, 1, 2, None)
    assert 48 <= without.retry_delay.total_seconds() <= 60


@pytest.mark.parametrize("retry_failed_job", [False, True])
def test_the_policy_can_be_stored(retry_failed_job: bool) -> None:
    before = OSSRetryPolicy(retry_failed_job)
    again = OSSRetryPolicy.deserialize(json.loads(json.dumps(before.serialize())))
    assert again.retry_failed_job is retry_failed_job


class Own(RetryPolicy):
    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        return RetryDecision.default()


@pytest.mark.parametrize(
    "make",
    [
        video,
        lambda **kwargs: OSSDecodeBlindWatermarkOperator(task_id="t", source="a.jpg", **kwargs),
        lambda **kwargs: OSSAsyncProcessOperator(task_id="t", source="a", process="video/convert", **kwargs),
    ],
)
def test_the_policy_is_the_default_and_that_of_the_user_wins(make: Callable[..., BaseOperator]) -> None:
    own = Own()
    assert isinstance(make().retry_policy, OSSRetryPolicy)
    assert isinstance(make(retry_policy=None).retry_policy, OSSRetryPolicy)
    assert make(retry_policy=own).retry_policy is own
    with DAG("d", schedule=None, default_args={"retry_policy": own}):
        assert make().retry_policy is own


def test_a_dag_with_the_policy_is_serialised() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:
        video()
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert DagSerialization.from_dict(stored).get_task("video").has_retry_policy
