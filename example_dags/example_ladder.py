"""The renditions of one video: one call makes the tasks, and one dict holds the results by rendition.

No rendition is larger than the video: OSS is asked for its size, and what would only repeat it is left out.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.ladder import video_ladder
from airflow_provider_oss_async.process.presets import preset

with DAG(
    dag_id="example_ladder",
    description="Renditions of one video, none larger than the video, and their results by rendition.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # A task for each rendition. The sample has 640 x 360 px: 720p and 1080p would only repeat it.
    mapped = video_ladder(
        source="samples/harbour.mp4",
        target="examples/ladder/{barename}_{rendition}.mp4",
        renditions=["h264_360p", "h264_720p", "h264_1080p"],
        deferrable=True,
    )
    # All in one task, with renditions of one's own.
    batch = video_ladder(
        group_id="batch",
        source="samples/harbour.mp4",
        target="examples/ladder/batch/{rendition}/{barename}.mp4",
        renditions={
            "small": preset("h264_360p", frame_rate=12),
            "tiny": preset("h264_360p", height=90, audio_bitrate=32_000),
        },
        probe=False,
        batch=True,
        deferrable=True,
    )

    @task
    def publish(first: dict[str, Any], second: dict[str, Any]) -> dict[str, str]:
        return {name: result["outputs"][0] for name, result in {**first, **second}.items()}

    publish(mapped, batch)
