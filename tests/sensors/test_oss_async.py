from __future__ import annotations

import json
import pickle
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSServiceError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import DecodeBlindWatermark, VideoConvert
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.triggers.oss_async import may_end_in_trigger
from tests.support.tasks import deferred
from tests.support.tasks import run_to_end as run

pytestmark = pytest.mark.usefixtures("quick", "connect")


def submit() -> dict[str, Any]:
    return OSSAsyncHook().submit("in.mov", VideoConvert(container="mp4"), target="out.mp4").to_dict()


def sensor(job: Any, **arguments: Any) -> OSSAsyncTaskSensor:
    values = {"poke_interval": 0.05, "timeout": 5, **arguments}
    return OSSAsyncTaskSensor(task_id="s", job=job, **values)


def test_a_deferred_sensor_holds_no_secret(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    with pytest.raises(TaskDeferred) as caught:
        sensor(submit(), deferrable=True).execute(new_try())
    assert caught.value.timeout is not None
    assert "local-secret" not in str(caught.value.trigger.serialize())


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_job_of_another_task(stand: Any, new_try: Any, deferrable: bool, seconds: float) -> None:
    stand.service.add_fault("job_delay", seconds=seconds)
    job = submit()
    result = run(sensor(job, deferrable=deferrable), new_try())
    assert result["status"] == "succeeded"
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert result["task_id"] == job["task_id"]


def test_between_two_polls_the_worker_is_free(stand: Any, new_try: Any) -> None:
    """In reschedule mode each poll is a process of its own, which knows nothing of the one before."""
    stand.service.add_fault("job_delay", seconds=0.3)
    job, context = submit(), new_try()
    rescheduled = 0
    while True:
        try:
            result = sensor(job, mode="reschedule").execute(context)
            break
        except AirflowRescheduleException:
            rescheduled += 1
            context["ti"].first_reschedule_date = context["ti"].first_reschedule_date or datetime.now(UTC)
            time.sleep(0.1)
    assert rescheduled
    assert result["outputs"] == ["oss://media/out.mp4"]


def test_a_task_is_not_queued_again_before_airflow_has_seen_its_end(
    stand: Any, new_try: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "30")
    stand.service.add_fault("job_delay", seconds=5)
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor(submit(), mode="reschedule", timeout=60).execute(new_try())
    assert caught.value.reschedule_date - before >= timedelta(seconds=30)


def test_a_lost_job_is_final_in_reschedule_mode_too(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_forget", seconds=0)
    task_id, context = submit()["task_id"], new_try()
    context["ti"].first_reschedule_date = datetime.now(UTC) - timedelta(seconds=10)
    with pytest.raises(OSSJobLostError):
        sensor(task_id, imm_task_type="MediaConvert", mode="reschedule").execute(context)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_job_known_by_its_id(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    task = sensor(submit()["task_id"], imm_task_type="MediaConvert", deferrable=deferrable)
    result = run(task, new_try())
    assert (result["status"], result["outputs"]) == ("succeeded", [])


def test_a_watermark_known_by_its_id(new_try: Any) -> None:
    job = OSSAsyncHook().submit("in.mov", DecodeBlindWatermark())
    task = sensor(job.task_id, imm_task_type="DecodeBlindWatermark")
    assert run(task, new_try())["content"] == "hidden text"


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("seconds", [0, 0.2])
def test_a_failed_job_is_final(stand: Any, new_try: Any, deferrable: bool, seconds: float) -> None:
    stand.service.add_fault("job_delay", seconds=seconds)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    with pytest.raises(OSSJobFailedError, match="not a video") as caught:
        run(sensor(submit(), deferrable=deferrable), new_try())
    assert isinstance(caught.value, AirflowFailException)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code) == (type(caught.value), "InvalidFile")


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("by_id", [False, True])
def test_a_lost_job_is_final(stand: Any, new_try: Any, deferrable: bool, by_id: bool) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("job_forget", seconds=0)
    job = submit()
    task = sensor(job["task_id"] if by_id else job, imm_task_type="MediaConvert", deferrable=deferrable)
    with pytest.raises(OSSJobLostError) as caught:
        run(task, new_try())
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(
    ("extra", "fields", "part"),
    [
        ({"smq_queue": "q"}, {"completion": "smq"}, "deferrable=True"),
        ({}, {"completion": "smq", "deferrable": True}, "smq_queue"),
        ({}, {"completion": "object"}, "imm or smq"),
    ],
)
def test_what_a_strategy_needs(
    connect: Any, new_try: Any, extra: dict[str, str], fields: dict[str, Any], part: str
) -> None:
    connect(extra)
    with pytest.raises(ProcessError, match=part):
        sensor(submit(), **fields).execute(new_try())


def test_a_message_ends_the_wait(stand: Any, connect: Any, new_try: Any) -> None:
    stand.service.cloud.broker.subscribe("done", "waiting")
    connect({"smq_queue": "waiting"})
    stand.service.add_fault("job_delay", seconds=1)
    job = OSSAsyncHook().submit(
        "in.mov", VideoConvert(container="mp4"), target="out.mp4", notify_topic="done"
    )
    asked = stand.requests("IMM:GetTask")
    task = sensor(job.to_dict(), deferrable=True, completion="smq", timeout=30)
    assert run(task, new_try())["status"] == "succeeded"
    # One poll before it defers, one when the trigger begins, one for the message.
    assert stand.requests("IMM:GetTask") - asked == 3


def test_a_sensor_can_end_in_the_trigger(stand: Any, new_try: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    with pytest.raises(TaskDeferred) as caught:
        sensor(submit(), deferrable=True, end_from_trigger=True).execute(new_try())
    assert caught.value.trigger.end_from_trigger


@pytest.mark.parametrize(
    "how", [{}, {"deferrable": True}, {"mode": "reschedule"}], ids=["poke", "deferrable", "reschedule"]
)
@pytest.mark.parametrize(("soft", "kind"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_a_job_that_takes_too_long(
    stand: Any, new_try: Any, how: dict[str, Any], soft: bool, kind: type[Exception]
) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    job, context = submit(), new_try()
    if "mode" in how:
        context["ti"].first_reschedule_date = datetime.now(UTC) - timedelta(seconds=1)
    begun = time.monotonic()
    with pytest.raises(kind) as caught:
        run(sensor(job, timeout=0.3, soft_fail=soft, **how), context)
    assert time.monotonic() - begun < 3
    # A task behind it reads what it reads behind an operator.
    xcoms = context["ti"].xcoms
    assert (xcoms["code"], xcoms["detail"], xcoms["job"]) == ("", "", job)
    if not soft:
        assert str(caught.value).startswith("The job had not ended at the deadline")
        assert job["task_id"] in str(caught.value)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("kind", "fields"), [("throttle", {"seconds": 0.05}), ("refuse", {"status": 503}), ("close", {})]
)
def test_an_outage_is_waited_out(
    stand: Any, new_try: Any, deferrable: bool, kind: str, fields: dict[str, Any]
) -> None:
    job = submit()
    stand.service.add_fault(kind, match="IMM:GetTask", times=2, **fields)
    assert run(sensor(job, deferrable=deferrable), new_try())["status"] == "succeeded"


def test_a_missing_right_is_named(stand: Any, new_try: Any) -> None:
    job = submit()
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=0)
    with pytest.raises(OSSServiceError, match="imm:GetTask"):
        run(sensor(job), new_try())
    context = new_try()
    with pytest.raises(OSSServiceError, match="imm:GetTask") as caught:
        run(sensor(job, deferrable=True), context)
    assert caught.value.job["task_id"] == job["task_id"] == context["ti"].xcoms["job"]["task_id"]


def test_a_first_poll_that_is_refused_is_no_failure(stand: Any, new_try: Any) -> None:
    job = submit()
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=1)
    context = new_try()
    deferred(sensor(job, deferrable=True), context)
    assert context["ti"].xcoms == {}


@pytest.mark.parametrize(
    ("job", "fields", "parts"),
    [
        ("T-1", {}, ["imm_task_type", "MediaConvert"]),
        ("T-1", {"imm_task_type": "Nonsense"}, ["Nonsense"]),
        ("", {}, ["job=''", "imm_task_type"]),
        ("{{ ti.xcom_pull('x') }}", {"imm_task_type": "MediaConvert"}, ["job="]),
        (None, {"imm_task_type": "MediaConvert"}, ["job=None"]),
        ({"status": "running"}, {}, ["task_id"]),
    ],
)
@pytest.mark.parametrize("deferrable", [False, True])
def test_wrong_arguments(
    stand: Any, new_try: Any, job: Any, fields: dict[str, Any], parts: list[str], deferrable: bool
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        sensor(job, deferrable=deferrable, **fields).execute(new_try())
    for part in parts:
        assert part in str(caught.value)
    assert stand.requests("IMM:GetTask") == 0


def test_the_project_has_to_be_known(connect: Any, new_try: Any) -> None:
    job = submit()
    connect({"imm_project": ""})
    bare = {**job, "imm_project": ""}
    with pytest.raises(ProcessError, match="imm_project"):
        sensor(bare).execute(new_try())
    assert run(sensor(bare, imm_project="local-project"), new_try())["status"] == "succeeded"
    assert run(sensor(job), new_try())["status"] == "succeeded"


def test_every_template_field_is_an_attribute() -> None:
    task = sensor({"task_id": "{{ id }}", "task_type": "MediaConvert"})
    assert all(hasattr(task, name) for name in task.template_fields)
    task.render_template_fields({"id": "T-9"})  # type: ignore[typeddict-unknown-key]
    assert task.job == {"task_id": "T-9", "task_type": "MediaConvert"}


# What names a job


RESULT = {"task_id": "MediaConvert-1", "task_type": "MediaConvert", "outputs": ["oss://media/a"]}


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("job", "parts"),
    [
        (str(RESULT), ["text of a whole result", "job=submit.output", "'task_id': 'MediaConvert-1'"]),
        (json.dumps(RESULT), ["text of a whole result", "job=submit.output"]),
        (f"[{RESULT}]", ["text of a whole result"]),
        ([RESULT, RESULT], ["of several results", "expand"]),
        ((RESULT,), ["of several results", "expand"]),
        (["MediaConvert-1"], ["MediaConvert-1", "expand"]),
        (2026, ["job=2026", "task id"]),
        ("two words", ["job='two words'", "task id"]),
        ("None", ["job='None'"]),
        ({"task_id": 5, "task_type": "MediaConvert"}, ["job has no task_id", "job=submit.output"]),
        ({"task_id": None, "task_type": None}, ["task_id", "task_type"]),
    ],
)
def test_what_is_no_job_is_refused_and_shown(
    stand: Any, new_try: Any, job: Any, parts: list[str], deferrable: bool
) -> None:
    with pytest.raises(ProcessError) as caught:
        sensor(job, imm_task_type="MediaConvert", deferrable=deferrable).execute(new_try())
    for part in parts:
        assert part in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)
    assert stand.requests("IMM:GetTask") == 0


@pytest.mark.parametrize(
    ("job", "fields"),
    [
        ("MediaConvert-1", {"imm_task_type": "OfficeConversion"}),
        ({"task_id": "DecodeBlindWatermark-1", "task_type": "MediaConvert", "imm_project": "p"}, {}),
    ],
)
def test_the_type_that_an_id_begins_with_is_compared(
    stand: Any, new_try: Any, job: Any, fields: dict[str, Any]
) -> None:
    with pytest.raises(ProcessError, match=r"is one of (MediaConvert|DecodeBlindWatermark), not of"):
        sensor(job, **fields).execute(new_try())
    assert stand.requests("IMM:GetTask") == 0


def test_a_job_of_the_hook_is_taken_as_it_is(new_try: Any) -> None:
    job = OSSAsyncHook().submit("in.mov", VideoConvert(container="mp4"), target="out.mp4")
    assert run(sensor(job), new_try())["task_id"] == job.task_id


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("imm_project", "region") for value in (2026, "None", "", " ")),
        *(("oss_conn_id", value) for value in (2026, "None", "", None)),
        *(("completion", value) for value in (None, 3, ["imm"], "IMM")),
        ("end_from_trigger", "no"),
    ],
)
def test_a_common_argument_of_the_wrong_type_or_meaning(
    stand: Any, new_try: Any, name: str, value: Any, deferrable: bool
) -> None:
    job = submit()
    with pytest.raises(ProcessError, match=name):
        sensor(job, deferrable=deferrable, **{name: value}).execute(new_try())
    assert stand.requests("IMM:GetTask") == 0


def test_deferrable_is_true_or_false(stand: Any, new_try: Any) -> None:
    with pytest.raises(ProcessError, match="deferrable='False'"):
        sensor(submit(), deferrable="False").execute(new_try())


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_missing_connection_is_named_and_final(new_try: Any, deferrable: bool) -> None:
    with pytest.raises(OSSConnectionError, match="There is no Airflow connection 'nowhere'") as caught:
        sensor(submit(), oss_conn_id="nowhere", deferrable=deferrable).execute(new_try())
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("deferrable", [False, True])
def test_outputs_and_failures_go_to_xcom(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    context, job = new_try(), submit()
    run(sensor(job, deferrable=deferrable), context)
    assert context["ti"].xcoms["outputs"] == ["oss://media/out.mp4"]
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    context, job = new_try(), submit()
    with pytest.raises(OSSJobFailedError) as caught:
        run(sensor(job, deferrable=deferrable), context)
    assert context["ti"].xcoms == {"code": "InvalidFile", "detail": "not a video", "job": job}
    assert caught.value.fields["job"] == job


# Airflow's race after a deferral


def test_a_deferred_sensor_says_how_long_its_event_is_held(
    stand: Any, new_try: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "12.5")
    stand.service.add_fault("job_delay", seconds=5)
    trigger = deferred(sensor(submit(), deferrable=True), new_try()).trigger
    assert trigger.event_hold == 12.5
    assert abs(trigger.deferred_at - time.time()) < 5


class Overridden(OSSAsyncTaskSensor):
    def execute_complete(self, context: Any, event: Any = None) -> Any:
        return super().execute_complete(context, event)


def test_what_the_triggerer_would_not_do_is_left_to_a_worker() -> None:
    values: dict[str, Any] = {"task_id": "s", "job": "T", "deferrable": True, "end_from_trigger": True}
    assert may_end_in_trigger(OSSAsyncTaskSensor(**values), OSSAsyncTaskSensor)
    assert not may_end_in_trigger(OSSAsyncTaskSensor(**values, on_success_callback=print), OSSAsyncTaskSensor)
    assert not may_end_in_trigger(
        OSSAsyncTaskSensor(**values, outlets=[Asset("oss://media/a")]), OSSAsyncTaskSensor
    )
    assert not may_end_in_trigger(Overridden(**values), OSSAsyncTaskSensor)
