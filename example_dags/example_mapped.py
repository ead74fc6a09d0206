"""One task per object: dynamic task mapping over a list that is only known when the DAG runs."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

with DAG(
    dag_id="example_mapped",
    description="One task per object: dynamic task mapping over a list.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def videos() -> list[str]:
        # In earnest: list the bucket, or read what an upstream task has found.
        return ["samples/harbour.mp4", "samples/credits.mp4"]

    # {barename} is filled in by the service: the source's name without folder and extension.
    OSSVideoConvertOperator.partial(
        task_id="transcode",
        target="examples/mapped/{barename}.mkv",
        container="mkv",
        video_codec="h264",
        width=160,
        audio_codec="aac",
        max_active_tis_per_dagrun=8,
    ).expand(source=videos())

    # Several arguments that belong together.
    OSSDocumentConvertOperator.partial(task_id="documents", deferrable=True).expand_kwargs(
        [
            {
                "source": "samples/report.docx",
                "target": "examples/mapped/report.pdf",
                "target_format": "pdf",
            },
            {
                "source": "samples/slides.pptx",
                "target": "examples/mapped/slide-{index}.jpg",
                "target_format": "jpg",
            },
        ]
    )
