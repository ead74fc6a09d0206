"""Waiting without a worker, in three ways.

All tasks wait in the triggerer, where thousands of jobs cost little more than one. The first one goes back to
a worker when its job has ended. The second one ends in the triggerer. The third one also spares the service
most of the questions: the job announces its end on an SMQ topic, and a queue that subscribes to it wakes the
task. That needs ``smq_endpoint``, ``smq_queue`` and ``smq_topic`` on the connection.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

with DAG(
    dag_id="example_waiting",
    description="Waiting without a worker, in three ways.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=None,
    catchup=False,
    default_args={
        "deferrable": True,
        "timeout": timedelta(hours=2),
        # A retry reconnects to the job of the try before; it pays for a new one only where that has failed.
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
    },
    tags=["oss-async"],
) as dag:
    OSSAudioConvertOperator(
        task_id="on_a_worker",
        source="samples/announcement.mp3",
        target="examples/waiting/worker.flac",
        container="flac",
    )

    OSSAudioConvertOperator(
        task_id="in_the_triggerer",
        source="samples/announcement.mp3",
        target="examples/waiting/triggerer.flac",
        container="flac",
        end_from_trigger=True,
    )

    OSSAudioConvertOperator(
        task_id="woken_by_a_message",
        source="samples/announcement.mp3",
        target="examples/waiting/message.flac",
        container="flac",
        completion="smq",
        end_from_trigger=True,
    )
