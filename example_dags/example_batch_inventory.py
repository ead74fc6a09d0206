"""The objects of a bucket's inventory, for buckets that are too large to be listed.

Inventories are made by OSS, daily or weekly; their ``manifest.json`` names the files. An object that has been
deleted since is reported as gone, and is no failure.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.batch import Inventory, OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import DocumentConvert

with DAG(
    dag_id="example_batch_inventory",
    description="Many objects in one task: those of an inventory.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"manifest": "oss://media/inventory/media/daily/2026-01-01T00-00Z/manifest.json"},
    tags=["oss-async"],
) as dag:
    OSSAsyncProcessBatchOperator(
        task_id="convert",
        process=DocumentConvert(target_format="pdf"),
        sources=Inventory("{{ params.manifest }}", pattern="*.docx", storage_classes=["Standard", "IA"]),
        target="examples/inventory/{dirname}/{barename}.pdf",
        # One object in a hundred may fail.
        max_failed=0.01,
        manifest_format="csv",
        deferrable=True,
    )
