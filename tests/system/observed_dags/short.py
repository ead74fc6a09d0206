"""Tasks that are resumed soon after they were deferred or rescheduled; see ``test_observed.py``.

``"hold": false`` in a run's configuration sets ``[oss_async] event_hold`` to 0.
"""

from __future__ import annotations

import os
import time
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

#: Seconds for which a resumed task works.
RESUMED_SECONDS = 3


def set_hold(context: Any) -> None:
    """Switch the hold off where the run's configuration says so."""
    if not context["dag_run"].conf["hold"]:
        os.environ["AIRFLOW__OSS_ASYNC__EVENT_HOLD"] = "0"


class Slow(OSSAudioConvertOperator):
    """Works for a while after the wait."""

    def pre_execute(self, context: Any) -> None:
        set_hold(context)

    def execute_complete(self, context: Any, event: Any = None) -> dict[str, Any]:
        time.sleep(RESUMED_SECONDS)
        return super().execute_complete(context, event)


class SlowSensor(OSSAsyncTaskSensor):
    """Works for a while when the job has ended."""

    def pre_execute(self, context: Any) -> None:
        set_hold(context)

    def post_execute(self, context: Any, result: Any = None) -> None:
        time.sleep(RESUMED_SECONDS)


@task
def plan(dag_run: Any = None) -> list[dict[str, str]]:
    """Sources and targets, as many as the run's configuration says."""
    prefix, number = dag_run.conf["prefix"], dag_run.conf["number"]
    return [{"source": f"{prefix}/{n}.wav", "target": f"{prefix}/{n}.mp3"} for n in range(number)]


with DAG("short_deferred", schedule=None):
    Slow.partial(
        task_id="convert", container="mp3", timeout=600, poll_interval=1.0, deferrable=True, retries=0
    ).expand_kwargs(plan())

with DAG("short_rescheduled", schedule=None):
    submitted = OSSAudioConvertOperator.partial(
        task_id="submit", container="mp3", wait_for_completion=False
    ).expand_kwargs(plan())
    SlowSensor.partial(task_id="wait", mode="reschedule", poke_interval=1, timeout=600, retries=0).expand(
        job=submitted.output
    )
