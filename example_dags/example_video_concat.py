"""Merge videos: a leader before the source, credits after it.

All objects of a merge are in the source's bucket; each can be cut. The result is checked: a merge that lacks
one of its objects is too short, and fails the task.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoConcatOperator

FEATURE = "samples/harbour.mp4"
CREDITS = "samples/credits.mp4"

with DAG(
    dag_id="example_video_concat",
    description="Merge videos: a leader before the source, credits after it.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # A merge encodes anew, so codecs must be named; the objects may differ in size, rate and sound.
    OSSVideoConcatOperator(
        task_id="feature_and_credits",
        source=FEATURE,
        target="examples/concat/with-credits.mp4",
        container="mp4",
        video_codec="h264",
        width=320,
        height=180,
        audio_codec="aac",
        sample_rate=44_100,
        channels=2,
        after=[CREDITS],
        verify_output="media",
    )

    OSSVideoConcatOperator(
        task_id="teaser_deferrable",
        source=FEATURE,
        target="examples/concat/teaser.mp4",
        container="mp4",
        start=4,
        duration=2,
        video_codec="h264",
        width=320,
        height=180,
        audio_codec="aac",
        sample_rate=44_100,
        channels=2,
        before=[{"object": CREDITS, "start": 0, "duration": 1}],
        verify_output="media",
        deferrable=True,
    )
