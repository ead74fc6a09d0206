"""From the task's page to the source bucket's page in the OSS console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_provider_oss_async.jobs.job import OSSJob

#: Where the console shows a bucket. No address of a task, or of the page of tasks, is documented; that
#: page ("Data Processing > Tasks" of the bucket) finds a job by its id.
CONSOLE = "https://oss.console.aliyun.com/bucket/oss-{region}/{bucket}/overview"


class OSSAsyncTaskLink(BaseOperatorLink):
    """Opens the bucket in the OSS console, whose page of tasks finds the job by its id."""

    name = "OSS console"
    xcom_key = "oss_console_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, or nothing where no job was submitted."""
        # Airflow asks at the end of every task. It logs an error for each XCom that is not there.
        known: str | None = getattr(operator, "console_link", None)
        if known is not None:
            return known
        from airflow.sdk.execution_time.xcom import XCom

        value = XCom.get_value(key=self.xcom_key, ti_key=ti_key)
        return value if isinstance(value, str) else ""

    @classmethod
    def push(cls, ti: RuntimeTaskInstanceProtocol, job: OSSJob) -> None:
        """Remember the address for the task's page, while the task is still running."""
        if address := cls.address(job):
            ti.xcom_push(key=cls.xcom_key, value=address)

    @staticmethod
    def address(job: OSSJob) -> str:
        """Return the address for a job; empty where its region or bucket is not known."""
        try:
            bucket = ObjectURI.parse(job.source).bucket
        except ProcessError:
            return ""
        return CONSOLE.format(region=job.region, bucket=bucket) if job.region and bucket else ""
