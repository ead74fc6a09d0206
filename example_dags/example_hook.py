"""The hook in a Python task: submit, poll once, and leave the waiting to a sensor."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import VideoConvert
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

VIDEO = "samples/harbour.mp4"

with DAG(
    dag_id="example_hook",
    description="The hook in a Python task: submit, poll once, and leave the waiting to a sensor.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    tags=["oss-async"],
) as dag:
    # Without retries: unlike the operators, the hook would submit a second job.
    @task
    def submit() -> dict[str, str]:
        job = OSSAsyncHook().submit(
            VIDEO,
            VideoConvert(container="mov", video_codec="h264", width=160, audio_codec="aac"),
            target="examples/hook/harbour.mov",
        )
        return job.to_dict()

    @task
    def check(job: dict[str, Any]) -> str:
        status = OSSAsyncHook().get_status(job)
        print(f"Job {job['task_id']} is {status.state}")
        return status.state

    @task
    def size(result: dict[str, Any]) -> int:
        from alibabacloud_oss_v2 import HeadObjectRequest

        # The SDK's own client, with the connection's credentials, for everything else that OSS can do.
        with OSSAsyncHook() as hook:
            bucket, key = hook.resolve_uri(result["outputs"][0])
            head = hook.get_conn().head_object(HeadObjectRequest(bucket=bucket, key=key))
        print(f"{key} has {head.content_length} bytes")
        return int(head.content_length or 0)

    job = submit()
    wait = OSSAsyncTaskSensor(
        task_id="wait",
        job=job,
        deferrable=True,
        timeout=3600,
        retries=2,
        retry_delay=timedelta(seconds=10),
    )
    check(job) >> wait
    size(wait.output)
