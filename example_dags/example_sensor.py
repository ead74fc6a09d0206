"""Submit in one task, wait in another.

A task with ``wait_for_completion=False`` ends when the job is accepted; its result is the job. The sensor
follows that job, or one that another DAG or program has submitted.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

VIDEO = "samples/harbour.mp4"

with DAG(
    dag_id="example_sensor",
    description="Submit in one task, wait in another.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    submit = OSSVideoConvertOperator(
        task_id="submit",
        source=VIDEO,
        target="examples/sensor/harbour.webm",
        container="webm",
        video_codec="vp9",
        width=160,
        no_audio=True,
        wait_for_completion=False,
    )

    OSSAsyncTaskSensor(task_id="wait", job=submit.output, poke_interval=2, timeout=3600)

    # Leaves the worker between two polls.
    OSSAsyncTaskSensor(
        task_id="wait_reschedule", job=submit.output, mode="reschedule", poke_interval=2, timeout=3600
    )

    OSSAsyncTaskSensor(task_id="wait_deferrable", job=submit.output, deferrable=True, timeout=3600)

    # The id alone is enough where the type of the job is said.
    by_id = OSSAsyncTaskSensor(
        task_id="wait_by_id",
        job="{{ ti.xcom_pull('submit', key='task_id') }}",
        imm_task_type="MediaConvert",
        poke_interval=2,
        timeout=3600,
    )
    submit >> by_id
