"""Office reports that have come since the last successful run to PDF, one task for each, and nothing twice.

``data_interval_start`` would find none: by default, Airflow 3 gives it the time of the run itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator

if TYPE_CHECKING:
    from datetime import datetime

with DAG(
    dag_id="example_office_reports",
    description="New office reports to PDF, one task for each, and nothing twice.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule="@daily",
    catchup=False,
    # A retry reconnects to the job of the try before.
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def reports(prev_start_date_success: datetime | None = None) -> list[str]:
        return OSSAsyncHook().list_keys("samples/", pattern="*.docx", since=prev_start_date_success)

    OSSDocumentConvertOperator.partial(
        task_id="pdf",
        target="examples/reports/{barename}.pdf",
        target_format="pdf",
        if_target_exists="skip",
        deferrable=True,
    ).expand(source=reports())
