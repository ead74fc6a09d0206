"""Tasks whose lineage the OpenLineage provider reports; see ``test_observed.py``."""

from __future__ import annotations

from typing import Any

from airflow.providers.openlineage.utils.selective_enable import enable_lineage
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

ARGUMENTS: dict[str, Any] = {"container": "mp3", "timeout": 600.0, "poll_interval": 2.0}

with DAG("lineage", schedule=None) as dag:
    OSSAudioConvertOperator.partial(task_id="mapped", **ARGUMENTS).expand_kwargs(
        [{"source": f"lineage/{name}.wav", "target": f"lineage/{name}.mp3"} for name in ("0", "1", "missing")]
    )
    for task_id, arguments in {
        "deferred": {"deferrable": True},
        "without_xcom": {"do_xcom_push": False},
        "deferred_without_xcom": {"deferrable": True, "do_xcom_push": False},
        "failing": {"deferrable": True},
        "asked_to_end_in_triggerer": {"deferrable": True, "end_from_trigger": True},
    }.items():
        OSSAudioConvertOperator(
            task_id=task_id,
            source=f"lineage/{task_id}.wav",
            target=f"lineage/{task_id}.mp3",
            **{**ARGUMENTS, **arguments},
        )

enable_lineage(dag)
