"""Read the blind watermark of a picture. The job writes no object: the text is in the task's result."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator

PICTURE = "samples/photo.png"

with DAG(
    dag_id="example_decode_blind_watermark",
    description="Read the blind watermark of a picture.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # The strength is the one that the mark was embedded with.
    decode = OSSDecodeBlindWatermarkOperator(task_id="decode", source=PICTURE, strength="medium")

    OSSDecodeBlindWatermarkOperator(
        task_id="decode_deferrable", source=PICTURE, strength="medium", deferrable=True
    )

    @task
    def owner(result: dict[str, str]) -> str:
        print(f"The picture belongs to: {result['content']}")
        return result["content"]

    owner(decode.output)
