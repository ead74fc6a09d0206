"""From the task's page to the source bucket's page in the OSS console."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_provider_oss_async.jobs.job import OSSJob

#: Where the console shows a bucket. A page's address for a single task is not documented; the console's page
#: "Data processing > Tasks" of the bucket finds it by its id.
CONSOLE = "https://oss.console.aliyun.com/bucket/oss-{region}/{bucket}/overview"


class OSSAsyncTaskLink(BaseOperatorLink):
    """Opens the bucket in the OSS console, whose page of tasks finds the job by its id."""

    name = "OSS console"
    xcom_key = "oss_console_link"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, or nothing where no job was submitted."""
        from airflow.sdk.execution_time.xcom import XCom

        value = XCom.get_value(key=self.xcom_key, ti_key=ti_key)
        return value if isinstance(value, str) else ""

    @classmethod
    def push(cls, ti: RuntimeTaskInstanceProtocol, job: OSSJob) -> None:
        """Remember the address for the task's page."""
        bucket = ObjectURI.parse(job.source).bucket
        ti.xcom_push(key=cls.xcom_key, value=CONSOLE.format(region=job.region, bucket=bucket))
