"""Two batches for ``test_batch.py``: one runs on a worker, one in the triggerer."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_oss_async.operators.batch import ObjectListing, OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert

with DAG("batches", schedule=None, default_args={"retries": 9, "retry_delay": timedelta(seconds=1)}):
    for way in ("worker", "triggerer"):
        OSSAsyncProcessBatchOperator(
            task_id=way,
            process=VideoConvert(container="mp4", video_codec="h264"),
            sources=ObjectListing(f"batch/{way}/"),
            target="out/{key}.mp4",
            max_in_flight=60,
            attempts=9,
            deferrable=way == "triggerer",
        )
