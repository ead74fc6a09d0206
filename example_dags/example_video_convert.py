"""Transcode a video; cut it; take its sound out.

``source`` is a parameter of the run: ``airflow dags trigger example_video_convert -c '{"source": "..."}'``.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

SOURCE = "samples/harbour.mp4"

with DAG(
    dag_id="example_video_convert",
    description="Transcode a video; cut it; take its sound out.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"source": Param(SOURCE, type="string", description="Key of the video.")},
    tags=["oss-async"],
) as dag:
    # Without video_codec and audio_codec the streams are copied as they are, and sizes and rates are ignored.
    OSSVideoConvertOperator(
        task_id="transcode",
        source="{{ params.source }}",
        target="examples/video/harbour-320.mp4",
        container="mp4",
        video_codec="h264",
        width=320,
        crf=28,
        audio_codec="aac",
        audio_bitrate=64_000,
    )

    # Times are seconds. Both streams are copied: quick, and without loss.
    OSSVideoConvertOperator(
        task_id="cut",
        source="{{ params.source }}",
        target="examples/video/harbour-cut.mkv",
        container="mkv",
        start=2,
        duration=3,
    )

    OSSVideoConvertOperator(
        task_id="sound_deferrable",
        source="{{ params.source }}",
        target="examples/video/harbour.mp3",
        container="mp3",
        no_video=True,
        audio_codec="mp3",
        deferrable=True,
    )
