"""Transcode audio."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

SOURCE = "samples/announcement.mp3"

with DAG(
    dag_id="example_audio_convert",
    description="Transcode audio.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    OSSAudioConvertOperator(
        task_id="flac",
        source=SOURCE,
        target="examples/audio/announcement.flac",
        container="flac",
        bit_depth=16,
    )

    # Three seconds at telephone quality.
    OSSAudioConvertOperator(
        task_id="opus_deferrable",
        source=SOURCE,
        target="examples/audio/announcement.opus",
        container="opus",
        start=1,
        duration=3,
        sample_rate=16_000,
        channels=1,
        audio_bitrate=24_000,
        deferrable=True,
    )
