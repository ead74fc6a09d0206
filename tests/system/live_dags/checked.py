"""Merges whose output is checked in the triggerer; see ``test_checked_output.py``."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoConcatOperator

with DAG("checked", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(seconds=1)}):
    for name in ("whole", "first_clip"):
        OSSVideoConcatOperator(
            task_id=name,
            source=f"checked/{name}.mp4",
            target=f"checked/{name}_merged.mp4",
            container="mp4",
            video_codec="h264",
            audio_codec="aac",
            width=64,
            height=64,
            after=["checked/after.mkv"],
            verify_output="media",
            deferrable=True,
            end_from_trigger=True,
            poll_interval=2,
            timeout=600,
        )
