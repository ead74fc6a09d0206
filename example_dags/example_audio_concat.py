"""Merge audio: the same announcement twice, or only its beginning before the whole."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator

SOURCE = "samples/announcement.mp3"

with DAG(
    dag_id="example_audio_concat",
    description="Merge audio: the same announcement twice, or only its beginning before the whole.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    OSSAudioConcatOperator(
        task_id="twice",
        source=SOURCE,
        target="examples/audio/twice.mp3",
        container="mp3",
        sample_rate=44_100,
        channels=2,
        after=[SOURCE],
    )

    OSSAudioConcatOperator(
        task_id="beginning_first_deferrable",
        source=SOURCE,
        target="examples/audio/beginning-first.aac",
        container="aac",
        sample_rate=44_100,
        channels=2,
        before=[{"object": SOURCE, "start": 0, "duration": 2}],
        deferrable=True,
    )
