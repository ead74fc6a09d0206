"""Frames of a video as images.

One job writes many objects. A target without an extension gets numbers appended (``frames/f`` becomes
``frames/f_0_1.jpg``); one with ``{index}`` says where the number goes. The task's result lists them all.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoSnapshotsOperator

SOURCE = "samples/harbour.mp4"

with DAG(
    dag_id="example_video_snapshots",
    description="Frames of a video as images.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    OSSVideoSnapshotsOperator(
        task_id="every_two_seconds",
        source=SOURCE,
        target="examples/snapshots/harbour",
        format="jpg",
        interval=2,
    )

    OSSVideoSnapshotsOperator(
        task_id="spread_deferrable",
        source=SOURCE,
        target="examples/snapshots/spread-{index}.png",
        format="png",
        sampling="avg",
        count=3,
        width_percent=50,
        height_percent=50,
        deferrable=True,
    )
