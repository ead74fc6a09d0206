"""A DAG that starts when jobs have ended, whoever has submitted them: another DAG, a console, a program.

IMM announces the end of a job in the topic that its request names (``notify_topic``). The queue of this DAG
subscribes to the topic; it must not be the queue of the connection, in which tasks with ``completion="smq"``
delete the messages about their own jobs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task
from watched_assets import ENDED_JOBS

from airflow_provider_oss_async.events import ended_jobs

with DAG(
    dag_id="example_job_ended",
    description="Event-driven: a report of jobs that have ended, whoever has submitted them.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=ENDED_JOBS,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def report(**context: Any) -> dict[str, list[str]]:
        jobs = ended_jobs(context)
        for job in jobs:
            print(f"{job['task_id']} {job['state']} {job['code']} {job['message']}".strip())
        return {
            "outputs": [uri for job in jobs for uri in job["outputs"]],
            "failed": [job["task_id"] for job in jobs if job["state"] == "failed"],
        }

    report()
