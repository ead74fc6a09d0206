"""Transcode audio."""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

SOURCE = "samples/announcement.mp3"

with DAG(
    dag_id="example_audio_convert",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    tags=["oss-async"],
) as dag:
    OSSAudioConvertOperator(
        task_id="flac",
        source=SOURCE,
        target="examples/audio/announcement.flac",
        container="flac",
        bit_depth=16,
    )

    # Three seconds for a telephone line.
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
