"""All videos below a prefix, each night, in one task: what is converted already is not paid for again.

A ledger in OSS says what has been submitted, so that a retry goes on where the try before was cut off. The
log says once a minute how far it is; the result is a manifest with a row per object.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.batch import ObjectListing, OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert

with DAG(
    dag_id="example_batch",
    description="Many objects in one task: all videos below a prefix, each night.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"prefix": "samples/", "width": 160},
    tags=["oss-async"],
) as dag:
    # Says how many objects there are and what would be done with them; submits nothing.
    preview = OSSAsyncProcessBatchOperator(
        task_id="preview",
        process=VideoConvert(container="mkv", video_codec="h264"),
        sources=ObjectListing("{{ params.prefix }}", pattern="*.mp4"),
        target="examples/batch/{barename}.mkv",
        if_target_exists="skip",
        dry_run=True,
    )
    convert = OSSAsyncProcessBatchOperator(
        task_id="convert",
        # Arguments that are templates are checked when they have been rendered.
        process=VideoConvert.template(container="mkv", video_codec="h264", width="{{ params.width }}"),
        sources=ObjectListing("{{ params.prefix }}", pattern="*.mp4"),
        target="examples/batch/{barename}.mkv",
        if_target_exists="skip",
        # A guard against a wrong prefix.
        max_objects=1000,
        # Holds no worker, however long it takes.
        deferrable=True,
    )
    preview >> convert
