"""The provider's metrics arrive in Airflow's own statistics."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from airflow_provider_oss_async.exceptions import OSSJobFailedError, OSSOutputMismatchError
from airflow_provider_oss_async.hooks.metrics import METRICS, count, observe_seconds
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger
from tests.support.supervisor import TASK_INSTANCE, Supervisor
from tests.support.tasks import deferred, new_context, resume_deferred, run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.stand import Stand

pytest.importorskip("statsd")


class StatsD:
    """A StatsD server on loopback."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def received(self) -> dict[str, float]:
        """Return the sums of all values since the last call; those of timers in seconds."""
        sums: dict[str, float] = {}
        self._server.settimeout(0.2)
        while True:
            try:
                lines = self._server.recv(65536).decode().splitlines()
            except TimeoutError:
                return sums
            for line in lines:
                name, _, rest = line.partition(":")
                value, _, kind = rest.partition("|")
                if name.startswith("test.oss_async."):
                    name = name.removeprefix("test.oss_async.")
                    sums[name] = sums.get(name, 0.0) + float(value) / (1000 if kind == "ms" else 1)


def initialize() -> None:
    """Set the process's statistics up, as workers and triggerers do when they start."""
    from airflow.sdk._shared.observability.metrics import stats
    from airflow.sdk.observability.metrics import stats_utils

    if hasattr(stats, "initialize"):
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        return
    older: Any = stats  # Airflow 3.2
    factory: Any = stats_utils.get_stats_factory
    older.Stats.initialize(factory=factory(older.Stats))


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        for name, value in (
            ("STATSD_ON", "True"),
            ("STATSD_HOST", "127.0.0.1"),
            ("STATSD_PORT", str(server.getsockname()[1])),
            ("STATSD_PREFIX", "test"),
        ):
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
        initialize()
        yield StatsD(server)
        monkeypatch.undo()
        initialize()


def video(**arguments: Any) -> OSSVideoConvertOperator:
    values = {"source": "in.mov", "target": "out.mp4", "container": "mp4", **arguments}
    return OSSVideoConvertOperator(task_id="video", **values)


def test_every_documented_metric_arrives(statsd: StatsD) -> None:
    for name in METRICS:
        if name == "wait_seconds":
            observe_seconds(name, 2.5)
        else:
            count(name, 2)
    assert statsd.received() == {name: 2.5 if name == "wait_seconds" else 2.0 for name in METRICS}


@pytest.mark.parametrize("call", [lambda: count("jobs_sumbitted"), lambda: observe_seconds("wait", 1.0)])
def test_a_metric_that_is_not_documented_is_refused(call: Callable[[], None]) -> None:
    with pytest.raises(KeyError):
        call()


@pytest.mark.usefixtures("quick", "connect")
def test_what_a_task_counts(statsd: StatsD, stand: Stand) -> None:
    stand.service.add_fault("throttle", match="IMM:GetTask", times=1, seconds=0.05)
    context = new_context()
    video().execute(context)
    counted = statsd.received()
    assert counted["jobs_submitted"] == 1
    assert 0 < counted["wait_seconds"] < 30
    assert counted["imm_requests"] >= 2
    assert counted["imm_throttled"] == 1
    assert "jobs_failed" not in counted
    # The same job, by another try.
    video().execute(new_context(context))
    counted = statsd.received()
    assert (counted.get("jobs_submitted"), counted["jobs_reconnected"]) == (None, 1)


@pytest.mark.usefixtures("quick", "connect")
def test_a_lost_answer_and_a_failed_job_are_counted(statsd: StatsD, stand: Stand) -> None:
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    video().execute(new_context())
    counted = statsd.received()
    assert (counted["jobs_reconciled"], counted.get("jobs_submitted")) == (1, None)
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("job_fail")
    with pytest.raises(OSSJobFailedError):
        run_to_end(video(deferrable=True), new_context())
    assert statsd.received()["jobs_failed"] == 1


@pytest.mark.usefixtures("quick", "connect")
def test_the_triggerer_counts_its_requests(statsd: StatsD, stand: Stand) -> None:
    stand.service.add_fault("job_delay", seconds=0.5)
    task_deferred = deferred(video(deferrable=True), new_context())
    statsd.received()
    resume_deferred(task_deferred)
    assert statsd.received()["imm_requests"] >= 1


@pytest.mark.usefixtures("quick", "connect")
@pytest.mark.parametrize("end_from_trigger", [False, True])
def test_waiting_counts_the_same_wherever_it_ends(
    statsd: StatsD, stand: Stand, monkeypatch: pytest.MonkeyPatch, end_from_trigger: bool
) -> None:
    Supervisor().install(monkeypatch)
    stand.service.add_fault("output_empty")
    job = video(wait_for_completion=False).execute(new_context())
    spec = WaitSpecification(
        OSSJob.from_dict(job),
        "imm",
        time.time() + 10,
        max_poll_interval=0.2,
        verify_output="exists",
        if_output_differs="warn",
    )
    trigger = OSSAsyncTaskTrigger(wait_specification=spec.to_dict(), end_from_trigger=end_from_trigger)
    trigger.task_instance = TASK_INSTANCE
    statsd.received()

    async def events() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(events())
    assert isinstance(event, TaskSuccessEvent) is end_from_trigger
    if not end_from_trigger:
        video().execute_complete(new_context(), event.payload)
    counted = statsd.received()
    assert 0 < counted["wait_seconds"] < 30
    assert counted["outputs_mismatched"] == 1


@pytest.mark.usefixtures("quick", "connect")
@pytest.mark.parametrize("deferrable", [False, True])
def test_an_output_that_differs_is_counted_once(statsd: StatsD, stand: Stand, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("output_empty")
    with pytest.raises(OSSOutputMismatchError):
        run_to_end(video(verify_output="exists", deferrable=deferrable), new_context())
    counted = statsd.received()
    assert (counted["outputs_mismatched"], counted.get("jobs_failed")) == (1, None)


@pytest.mark.usefixtures("quick", "connect")
def test_a_sensor_counts_its_wait(statsd: StatsD, stand: Stand) -> None:
    job = video(wait_for_completion=False).execute(new_context())
    statsd.received()
    OSSAsyncTaskSensor(task_id="wait", job=job, poke_interval=0.1).execute(new_context())
    assert 0 < statsd.received()["wait_seconds"] < 30
