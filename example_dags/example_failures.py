"""What is known of a failure: in a failure callback, and in a task that runs whatever has happened before.

The video is broken. Although its task has retries, it fails at once: a new job would fail for the same reason
and would be paid for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator


def alert(context: dict[str, Any]) -> None:
    # Airflow 3.2 does not always hand it over.
    if (error := context.get("exception")) is None:
        return
    print(f"{error.source} failed with {error.code}: {error.detail} {error.advice}")
    print(f"Paid for: job {error.job.get('task_id', 'none')}")


with DAG(
    dag_id="example_failures",
    description="What is known of a failure: in a failure callback, and in a summary.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "on_failure_callback": alert},
    tags=["oss-async"],
) as dag:
    convert = OSSVideoConvertOperator(
        task_id="convert",
        source="samples/broken.mov",
        target="examples/failures/video.mp4",
        container="mp4",
        video_codec="h264",
        deferrable=True,
    )

    @task(trigger_rule="all_done")
    def summary(ti: Any = None) -> dict[str, Any]:
        return {key: ti.xcom_pull(task_ids="convert", key=key) for key in ("code", "detail", "job")}

    convert >> summary()
