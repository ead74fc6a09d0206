"""One task for each kind of failure, on a worker and deferred; see ``test_live.py``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

ROWS: dict[str, dict[str, Any]] = {
    "wrong_argument": {"width": 33},
    "missing_source": {},
    "missing_connection": {"oss_conn_id": "no_such_connection"},
    "broken_content": {},
    "broken_content_again": {"retry_failed_job": True},
    "throttled_job": {},
    "throttled_request": {},
}

with DAG(
    "retries",
    schedule=None,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1), "timeout": 600.0, "poll_interval": 2.0},
):
    for mode in ("worker", "deferred"):
        for row, arguments in ROWS.items():
            OSSVideoConvertOperator(
                task_id=f"{row}_{mode}",
                source=f"retries/{mode}/{row}.mov",
                target=f"retries/{mode}/{row}.mp4",
                deferrable=mode == "deferred",
                **{"container": "mp4", "video_codec": "h264", **arguments},
            )
