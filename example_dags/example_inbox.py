"""Videos are converted as they arrive: an upload below ``inbox/`` starts this DAG.

OSS announces the upload in an SMQ queue, and the asset's watcher makes one event of what arrives within some
seconds. A run gets the objects of all events that have started it. Messages are deleted from the queue when
their event is stored, so that nothing is lost where a triggerer dies. An event may come twice: with
``if_target_exists="skip"`` nothing is paid for twice.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, task
from watched_assets import INBOX

from airflow_provider_oss_async.events import new_objects
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert

with DAG(
    dag_id="example_inbox",
    description="Event-driven: videos are converted as they are uploaded.",
    doc_md=__doc__,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    schedule=INBOX,
    # With 1, events that come while a run is at work would wait for it, and for one more event after it.
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["oss-async"],
) as dag:

    @task
    def arrived(**context: Any) -> list[dict[str, Any]]:
        return new_objects(context)

    convert = OSSAsyncProcessBatchOperator(
        task_id="convert",
        process=VideoConvert(container="mp4", video_codec="h264", width=160),
        sources=arrived(),
        target="examples/inbox/{barename}.mp4",
        if_target_exists="skip",
        deferrable=True,
        # Starts the DAGs that are scheduled on it.
        outlets=[Asset("oss://media/examples/inbox")],
    )
