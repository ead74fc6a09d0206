"""Each week: what last week's events have missed is made.

A DAG that is started by events (``example_inbox``) may have missed objects: an event that never came, a job
that failed while nobody looked, a result that was deleted since. This one lists the sources, compares them
with the results that there are, and has a batch make what is missing, empty, older than its source, or not as
it was asked for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.operators.batch import ObjectListing, OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert

SOURCES = ObjectListing("weekly/", pattern="*.mp4")
PROCESS = VideoConvert(container="ts", video_codec="h264", width=320, audio_codec="aac")
TARGET = "examples/weekly/{barename}.ts"

with DAG(
    dag_id="example_weekly_check",
    description="Finds results that are missing or damaged, and has them made again.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@weekly",
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def check() -> list[dict[str, Any]]:
        """Return what is to be made, with the reason, in the form that the batch takes."""
        return OSSAsyncHook().incomplete_outputs(SOURCES, PROCESS, TARGET, verify_output="media")

    @task
    def left(repaired: dict[str, Any]) -> int:
        """Return how many results are missing still. As a ``@task.sensor`` it would wait for none."""
        print(f"{repaired['succeeded']} made again, {repaired['failed']} failed")
        return len(OSSAsyncHook().incomplete_outputs(SOURCES, PROCESS, TARGET))

    # Existing targets are overwritten: a damaged result is newer than its source.
    repair = OSSAsyncProcessBatchOperator(
        task_id="repair", process=PROCESS, sources=check(), target=TARGET, deferrable=True
    )
    left(repair.output)
