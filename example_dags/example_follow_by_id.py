"""Follow a job that another program has submitted, of which only the task id is known.

Start it with the task id that OSS has answered, such as the XCom ``task_id`` of any other example.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import TASK_TYPES
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

with DAG(
    dag_id="example_follow_by_id",
    description="Follow a job that another program has submitted, of which only the task id is known.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "task_id": Param(type="string", description="Task id of the job."),
        "imm_task_type": Param("MediaConvert", type="string", enum=list(TASK_TYPES)),
    },
    tags=["oss-async"],
) as dag:

    @task
    def check(task_id: str, imm_task_type: str) -> str:
        return OSSAsyncHook().get_status(task_id, imm_task_type=imm_task_type).state

    wait = OSSAsyncTaskSensor(
        task_id="wait",
        job="{{ params.task_id }}",
        imm_task_type="{{ params.imm_task_type }}",
        deferrable=True,
        timeout=3600,
    )

    check("{{ params.task_id }}", "{{ params.imm_task_type }}") >> wait
