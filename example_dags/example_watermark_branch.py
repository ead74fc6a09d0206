"""Go on by what the blind watermark of a picture says, or by its not being there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator

with DAG(
    dag_id="example_watermark_branch",
    description="Go on by what the blind watermark of a picture says, or by its not being there.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"picture": Param("samples/photo.png", type="string", description="Key of the picture.")},
    tags=["oss-async"],
) as dag:
    decode = OSSDecodeBlindWatermarkOperator(
        task_id="decode",
        source="{{ params.picture }}",
        strength="medium",
        missing_ok=True,
        deferrable=True,
    )

    @task.branch
    def choose(result: dict[str, Any]) -> str:
        return "unmarked" if result["content"] is None else "marked"

    @task
    def marked(result: dict[str, Any]) -> str:
        return f"{result['source']} belongs to {result['content']}"

    @task
    def unmarked(result: dict[str, Any]) -> str:
        return f"{result['source']} has no watermark"

    choose(decode.output) >> [marked(decode.output), unmarked(decode.output)]
