"""A podcast out of a video: its sound, between a jingle and the beginning of the jingle."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

JINGLE = "samples/announcement.mp3"

with DAG(
    dag_id="example_podcast",
    description="A podcast out of a video: its sound, with a jingle before and after it.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"deferrable": True, "retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    sound = OSSVideoConvertOperator(
        task_id="sound",
        source="samples/harbour.mp4",
        target="examples/podcast/sound.mp3",
        container="mp3",
        audio_codec="mp3",
        no_video=True,
    )

    OSSAudioConcatOperator(
        task_id="episode",
        source=sound.output,
        target="examples/podcast/episode.mp3",
        container="mp3",
        before=[JINGLE],
        after=[{"object": JINGLE, "duration": 2}],
    )
