"""A small media pipeline: one upload becomes everything that a page about it shows.

The video is transcoded; from the result come, side by side, frames for a poster, an animated preview and the
sound as a podcast. The document that belongs to it becomes page images. The last task sees what all the jobs
have written. Every task waits in the triggerer, so a hundred runs at once hold no worker.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import (
    OSSVideoAnimationOperator,
    OSSVideoConvertOperator,
    OSSVideoSnapshotsOperator,
)

TRANSCODED = "{{ ti.xcom_pull('transcode')['outputs'][0] }}"

with DAG(
    dag_id="example_media_pipeline",
    description="A small media pipeline: one upload becomes everything that a page about it shows.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"deferrable": True, "retries": 2, "retry_delay": timedelta(seconds=10)},
    params={
        "video": Param("samples/harbour.mp4", type="string", description="Key of the video."),
        "document": Param("samples/report.docx", type="string", description="Key of the document."),
        "folder": Param("pipeline", type="string", description="Where the results go."),
        "width": Param(480, type="integer", minimum=64, maximum=4096, multipleOf=2),
    },
    tags=["oss-async"],
) as dag:
    transcode = OSSVideoConvertOperator(
        task_id="transcode",
        source="{{ params.video }}",
        target="{{ params.folder }}/video.mp4",
        container="mp4",
        video_codec="h264",
        width="{{ params.width }}",
        crf=26,
        audio_codec="aac",
    )

    frames = OSSVideoSnapshotsOperator(
        task_id="frames",
        source=TRANSCODED,
        target="{{ params.folder }}/frames/frame",
        format="jpg",
        interval=2,
    )

    preview = OSSVideoAnimationOperator(
        task_id="preview",
        source=TRANSCODED,
        target="{{ params.folder }}/preview.gif",
        format="gif",
        count=12,
        interval=0.5,
        frame_rate=6,
        width=240,
        height=136,
    )

    sound = OSSVideoConvertOperator(
        task_id="sound",
        source=TRANSCODED,
        target="{{ params.folder }}/sound.mp3",
        container="mp3",
        no_video=True,
        audio_codec="mp3",
    )

    pages = OSSDocumentConvertOperator(
        task_id="pages",
        source="{{ params.document }}",
        target="{{ params.folder }}/pages/{index}.png",
        target_format="png",
    )

    @task
    def summary(results: list[dict[str, Any]]) -> int:
        """Print what there is now, and return the number of objects."""
        rows = [(result["process"].partition(",")[0], uri) for result in results for uri in result["outputs"]]
        for operation, uri in rows:
            print(f"{operation:<16} {uri}")
        return len(rows)

    transcode >> [frames, preview, sound]
    summary([transcode.output, frames.output, preview.output, sound.output, pages.output])
