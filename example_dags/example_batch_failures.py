"""A batch over objects with targets and arguments of their own; what has failed goes to a next task.

One of the videos is broken. ``max_failed`` tolerates that, so that the batch succeeds, and the next task
reads from the manifest which ones have failed.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert

with DAG(
    dag_id="example_batch_failures",
    description="Many objects in one task: each with its own target; the failures go to a next task.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def orders() -> list[dict[str, Any]]:
        # In earnest: from a database, a queue, or a task before.
        return [
            {"source": "samples/harbour.mp4", "target": "examples/orders/1001/small.mp4", "width": 80},
            {"source": "samples/harbour.mp4", "target": "examples/orders/1001/large.mp4", "width": 160},
            {"source": "samples/broken.mov", "target": "examples/orders/1002/small.mp4"},
        ]

    convert = OSSAsyncProcessBatchOperator(
        task_id="convert",
        process=VideoConvert(container="mp4", video_codec="h264", width=120),
        sources=orders(),
        max_failed=10,
    )

    @task
    def failures(summary: dict[str, Any]) -> list[str]:
        from alibabacloud_oss_v2 import GetObjectRequest

        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

        bucket, _, key = summary["manifest"].removeprefix("oss://").partition("/")
        with OSSAsyncHook() as hook:
            body: Any = hook.get_conn().get_object(GetObjectRequest(bucket, key)).body
            rows = [json.loads(line) for line in body.content.splitlines()]
        return [f"{row['source']}: {row['message']}" for row in rows if row["state"] == "failed"]

    failures(convert.output)
