"""An animated preview of a video, as GIF and as WebP."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoAnimationOperator

SOURCE = "samples/harbour.mp4"

with DAG(
    dag_id="example_video_animation",
    description="An animated preview of a video, as GIF and as WebP.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # Ten frames, half a second apart in the video, shown five a second.
    OSSVideoAnimationOperator(
        task_id="gif",
        source=SOURCE,
        target="examples/animation/harbour.gif",
        format="gif",
        count=10,
        interval=0.5,
        frame_rate=5,
        width=240,
        height=136,
    )

    OSSVideoAnimationOperator(
        task_id="webp_deferrable",
        source=SOURCE,
        target="examples/animation/harbour.webp",
        format="webp",
        start=1,
        count=8,
        interval=0.25,
        width=240,
        height=136,
        deferrable=True,
    )
