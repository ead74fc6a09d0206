"""Office documents to page images, PDF and text.

Object keys stand for objects in the connection's default bucket; ``oss://bucket/key`` names another one.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator

REPORT = "samples/report.docx"
WORKBOOK = "samples/figures.xlsx"
SLIDES = "samples/slides.pptx"

with DAG(
    dag_id="example_document_convert",
    description="Office documents to page images, PDF and text.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:
    # One image per page: the service fills in {index}.
    OSSDocumentConvertOperator(
        task_id="pages",
        source=REPORT,
        target="examples/document/report-{index}.png",
        target_format="png",
    )

    # A worksheet's name is a variable too.
    OSSDocumentConvertOperator(
        task_id="worksheets",
        source=WORKBOOK,
        target="examples/document/figures-{sheetname}-{index}.jpg",
        target_format="jpg",
    )

    OSSDocumentConvertOperator(
        task_id="first_slide",
        source=SLIDES,
        target="examples/document/slide-{index}.png",
        target_format="png",
        pages="1",
    )

    # Waits in the triggerer, without a worker slot.
    OSSDocumentConvertOperator(
        task_id="pdf_deferrable",
        source=REPORT,
        target="examples/document/report.pdf",
        target_format="pdf",
        deferrable=True,
    )
