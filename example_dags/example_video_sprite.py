"""A sheet of small frames, as players show them above the seek bar."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoSpriteOperator

SOURCE = "samples/harbour.mp4"

with DAG(
    dag_id="example_video_sprite",
    description="A sheet of small frames, as players show them above the seek bar.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # Eight frames on one sheet of 4 x 2.
    OSSVideoSpriteOperator(
        task_id="sheet",
        source=SOURCE,
        target="examples/sprite/harbour.jpg",
        format="jpg",
        count=8,
        interval=1,
        tile_width=160,
        tile_height=90,
        columns=4,
        rows=2,
        padding=0,
        margin=0,
    )

    # More frames than fit on a sheet: {index} numbers the sheets.
    OSSVideoSpriteOperator(
        task_id="sheets_deferrable",
        source=SOURCE,
        target="examples/sprite/harbour-{index}.png",
        format="png",
        interval=1,
        tile_width=160,
        tile_height=90,
        columns=2,
        rows=2,
        deferrable=True,
    )
