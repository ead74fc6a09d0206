"""One task for each kind of failure, on a worker and deferred; see ``test_live.py``."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, conf

from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

ROWS: dict[str, dict[str, Any]] = {
    "wrong_argument": {"width": 33},
    "missing_source": {},
    "missing_connection": {"oss_conn_id": "no_such_connection"},
    "broken_content": {},
    "broken_content_again": {"retry_failed_job": True},
    "target_exists": {"if_target_exists": "fail"},
    "missing_right": {},
    "queue_timeout": {},
    "throttled_job": {},
    "throttled_request": {},
    "right_refused": {},
    "wrong_keys": {},
    "archived_object": {},
    "outage": {},
    # Until when nobody sees the job: the request was sent, its answer was lost.
    "uncertain": {},
    "timeout": {"timeout": 5.0},
    "lost_job": {},
}
#: IMM shows no definition of these, so that their jobs are not found again.
DOCUMENTS = {"uncertain"}


def note_failure(context: Any) -> None:
    """Leave a file with what the callback knows, for the test to find."""
    error = context["exception"]
    known = {"class": type(error).__name__, "code": error.code, "advice": error.advice, "job": error.job}
    path = Path(conf.get_mandatory_value("core", "dags_folder"))
    path.with_name(f"failure_of_{context['ti'].task_id}").write_text(json.dumps(known))


with DAG(
    "retries",
    schedule=None,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=1),
        "timeout": 600.0,
        "poll_interval": 2.0,
        "on_failure_callback": note_failure,
    },
):
    for mode in ("worker", "deferred"):
        for row, arguments in ROWS.items():
            common: dict[str, Any] = {"task_id": f"{row}_{mode}", "deferrable": mode == "deferred"}
            if row in DOCUMENTS:
                OSSDocumentConvertOperator(
                    source=f"retries/{mode}/{row}.docx",
                    target=f"retries/{mode}/{row}.pdf",
                    target_format="pdf",
                    **common,
                    **arguments,
                )
                continue
            OSSVideoConvertOperator(
                source=f"retries/{mode}/{row}.mov",
                target=f"retries/{mode}/{row}.mp4",
                **common,
                **{"container": "mp4", "video_codec": "h264", **arguments},
            )
