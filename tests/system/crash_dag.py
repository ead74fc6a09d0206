"""Makes a DAG of cases: a task for each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

if TYPE_CHECKING:
    from tests.system.crash_cases import Case


def crash_dag(dag_id: str, cases: list[Case]) -> DAG:
    # More tries than anything should take: what is counted is the jobs.
    with DAG(dag_id, schedule=None, default_args={"retries": 9, "retry_delay": timedelta(seconds=1)}) as dag:
        for case in cases:
            operator = OSSDocumentConvertOperator if case.document else OSSVideoConvertOperator
            arguments: dict[str, Any] = {
                "task_id": case.name,
                "deferrable": case.deferrable,
                "poll_interval": 1.0,
                "timeout": 900,
                **(
                    {"target_format": "pdf"} if case.document else {"container": "mp4", "video_codec": "h264"}
                ),
                **case.arguments,
            }
            objects: list[dict[str, Any]] = [
                {"source": f"oss://{case.bucket}/{key}", "target": f"oss://{case.bucket}/out/{key}.result"}
                for key in case.keys
            ]
            if case.indexes:
                operator.partial(**arguments).expand_kwargs(objects)
            else:
                operator(**arguments, **objects[0])
    return dag
