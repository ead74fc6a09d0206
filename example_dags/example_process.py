"""Any asynchronous process: as a string, as a style stored in OSS, or as a specification."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.process import AudioConvert

VIDEO = "samples/harbour.mp4"

with DAG(
    dag_id="example_process",
    description="Any asynchronous process: as a string, as a style stored in OSS, or as a specification.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # As OSS's documentation writes it. It is checked before anything is sent.
    OSSAsyncProcessOperator(
        task_id="process_string",
        source=VIDEO,
        target="examples/process/small.mp4",
        process="video/convert,f_mp4,vcodec_h264,s_320x,acodec_aac",
    )

    # Only the service knows what a style holds, so the type of the job has to be said.
    OSSAsyncProcessOperator(
        task_id="style",
        source=VIDEO,
        target="examples/process/720p.mp4",
        process="style/::h264-mp4-720p",
        imm_task_type="MediaConvert",
    )

    # Typed arguments without an operator of their own.
    OSSAsyncProcessOperator(
        task_id="specification_deferrable",
        source="samples/announcement.mp3",
        target="examples/process/announcement.aac",
        process=AudioConvert(container="aac", audio_bitrate=64_000),
        deferrable=True,
    )
