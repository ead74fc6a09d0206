"""Jobs in every way of waiting, as many as a run is told to have; see ``soak.py``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

with DAG(
    "soak",
    schedule=None,
    max_active_runs=1000,
    # Whatever goes wrong here passes; what is counted is the jobs.
    default_args={"retries": 50, "retry_delay": timedelta(seconds=2)},
):

    @task
    def plan(kind: str, dag_run: Any = None) -> list[dict[str, str]]:
        """The sources and targets of a task in this run."""
        keys = dag_run.conf[kind]
        return [{"source": f"oss://media/{key}", "target": f"oss://media/out/{key}.result"} for key in keys]

    def planned(kind: str) -> Any:
        return plan.override(task_id=f"plan_{kind}")(kind)

    video = {"container": "mp4", "video_codec": "h264"}
    OSSVideoConvertOperator.partial(task_id="deferrable", deferrable=True, **video).expand_kwargs(
        planned("deferrable")
    )
    OSSVideoConvertOperator.partial(
        task_id="ended_by_trigger", deferrable=True, end_from_trigger=True, **video
    ).expand_kwargs(planned("ended_by_trigger"))
    OSSVideoConvertOperator.partial(
        task_id="by_message", deferrable=True, end_from_trigger=True, completion="smq", **video
    ).expand_kwargs(planned("by_message"))
    OSSAudioConvertOperator.partial(task_id="in_worker", container="mp3", poll_interval=5.0).expand_kwargs(
        planned("in_worker")
    )
    submitted = OSSVideoConvertOperator.partial(
        task_id="submitted", wait_for_completion=False, **video
    ).expand_kwargs(planned("submitted"))
    OSSAsyncTaskSensor.partial(task_id="sensed", deferrable=True).expand(job=submitted.output)
