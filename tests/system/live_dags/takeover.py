"""Two deferred tasks, for the time when another triggerer takes over; see ``test_live.py``."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

with DAG("takeover", schedule=None):
    for name in ("taken_over", "failed_by_user"):
        OSSAudioConvertOperator(
            task_id=name,
            source=f"takeover/{name}.wav",
            target=f"takeover/{name}.mp3",
            container="mp3",
            poll_interval=1.0,
            deferrable=True,
        )
