"""Everything under a prefix, each night: a video is transcoded, and the result gets frames and a preview.

What an earlier night has made is not paid for again: a target that is newer than its source is the result.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task, task_group

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.operators.video import (
    OSSVideoAnimationOperator,
    OSSVideoConvertOperator,
    OSSVideoSnapshotsOperator,
)

with DAG(
    dag_id="example_nightly",
    description="Everything under a prefix, each night, with several results for each object.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    default_args={
        "deferrable": True,
        "if_target_exists": "skip",
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
    },
    tags=["oss-async"],
) as dag:

    @task
    def videos() -> list[str]:
        return OSSAsyncHook().list_keys("samples/", pattern="*.mp4")

    @task_group
    def publish(source: str) -> Any:
        # {barename} is the source's name without folder and extension; the operators below keep it.
        video = OSSVideoConvertOperator(
            task_id="video",
            source=source,
            target="examples/nightly/{barename}.mp4",
            container="mp4",
            video_codec="h264",
            width=320,
            audio_codec="aac",
        )
        frames = OSSVideoSnapshotsOperator(
            task_id="frames",
            source=video.output,
            target="examples/nightly/{barename}/{index}.jpg",
            format="jpg",
            interval=1,
        )
        preview = OSSVideoAnimationOperator(
            task_id="preview",
            source=video.output,
            target="examples/nightly/{barename}/preview.gif",
            format="gif",
            count=6,
            interval=0.5,
            frame_rate=4,
        )
        return [video.output, frames.output, preview.output]

    @task
    def summary(results: Any) -> dict[str, int]:
        every: list[dict[str, Any]] = [result for of_one_task in results for result in of_one_task]
        return {
            "objects": sum(len(result["outputs"]) for result in every),
            "paid": sum(result["status"] == "succeeded" for result in every),
        }

    summary(publish.expand(source=videos()))
