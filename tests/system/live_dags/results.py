"""Results of tasks that end in the triggerer and on a worker, and what reads them; see ``test_live.py``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, conf, task

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor

ARGUMENTS: dict[str, Any] = {"container": "mp3", "timeout": 600.0, "poll_interval": 2.0}
DEFERRED: dict[str, Any] = {**ARGUMENTS, "deferrable": True, "end_from_trigger": True}


def note_success(context: Any) -> None:
    """Leave a file, for the test to find."""
    name = context["ti"].task_id
    Path(conf.get_mandatory_value("core", "dags_folder")).with_name(f"success_of_{name}").touch()


class Annotated(OSSAudioConvertOperator):
    """Does something of its own after the wait."""

    def execute_complete(self, context: Any, event: Any = None) -> dict[str, Any]:
        return {**super().execute_complete(context, event), "note": "by execute_complete"}


class AnnotatedSensor(OSSAsyncTaskSensor):
    """Does something of its own after the wait."""

    def execute_complete(self, context: Any, event: Any = None) -> dict[str, Any]:
        return {**super().execute_complete(context, event), "note": "by execute_complete"}


with DAG("results", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(seconds=1)}):

    @task
    def receive(value: Any) -> Any:
        return value

    @task
    def receive_all(values: Any) -> Any:
        return list(values)

    @task
    def outputs_of(result: Any) -> Any:
        return result["outputs"]

    for way, ends in (("triggerer", True), ("worker", False)):
        waiting = {**ARGUMENTS, "deferrable": True, "end_from_trigger": ends}
        done = OSSAudioConvertOperator(
            task_id=way, source=f"results/{way}.wav", target=f"results/{way}.mp3", **waiting
        )
        pulled = f"ti.xcom_pull(task_ids='{way}'"
        receive.override(task_id=f"{way}_argument")(done.output)
        output: Any = done.output
        receive.override(task_id=f"{way}_key")(output["outputs"])
        done >> receive.override(task_id=f"{way}_jinja")("{{ " + pulled + ")['outputs'] }}")
        done >> receive.override(task_id=f"{way}_jinja_key")("{{ " + pulled + ", key='outputs') }}")
        OSSAsyncTaskSensor(task_id=f"{way}_sensor", job=done.output, poke_interval=1)
        OSSAudioConvertOperator(
            task_id=f"{way}_chained", source=done.output, target=f"results/{way}_chained.mp3", **ARGUMENTS
        )
        OSSAudioConvertOperator.partial(
            task_id=f"{way}_outputs_mapped", target=f"results/{way}_outputs_mapped.mp3", **ARGUMENTS
        ).expand(source=outputs_of.override(task_id=f"{way}_outputs")(done.output))
        for name in ("several", "mapped_over"):
            several = OSSAudioConvertOperator.partial(task_id=f"{way}_{name}", **waiting).expand_kwargs(
                [
                    {"source": f"results/{way}_{name}_{n}.wav", "target": f"results/{way}_{name}_{n}.mp3"}
                    for n in range(2)
                ]
            )
            if name == "several":
                receive_all.override(task_id=f"{way}_all")(several.output)
            else:
                OSSAudioConvertOperator.partial(
                    task_id=f"{way}_mapped", target="results/{barename}_mapped.mp3", **ARGUMENTS
                ).expand(source=several.output)

    OSSAudioConvertOperator(
        task_id="callback",
        source="results/callback.wav",
        target="results/callback.mp3",
        on_success_callback=note_success,
        **DEFERRED,
    )
    Annotated(task_id="annotated", source="results/annotated.wav", target="results/annotated.mp3", **DEFERRED)
    submitted = OSSAudioConvertOperator(
        task_id="submitted",
        source="results/submitted.wav",
        target="results/submitted.mp3",
        wait_for_completion=False,
        container="mp3",
    )
    AnnotatedSensor(task_id="annotated_sensor", job=submitted.output, deferrable=True, end_from_trigger=True)
    OSSAsyncTaskSensor(
        task_id="sensor_in_triggerer", job=submitted.output, deferrable=True, end_from_trigger=True
    )
