"""For ``test_events.py``: objects that arrive are processed, and the results start another DAG."""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.process import VideoConvert
from tests.system.event_assets import ARRIVALS, RESULTS, RETRIES, note_objects

with DAG("event_inbox", schedule=[ARRIVALS], max_active_runs=16, default_args=RETRIES):
    objects = PythonOperator(task_id="objects", python_callable=note_objects)
    OSSAsyncProcessBatchOperator(
        task_id="convert",
        process=VideoConvert(container="mp4", video_codec="h264"),
        sources=objects.output,
        target="events-out/{key}.mp4",
        # An event may come twice, in two runs.
        if_target_exists="skip",
        outlets=[RESULTS],
    )

with DAG("event_results", schedule=[RESULTS], default_args=RETRIES):
    PythonOperator(task_id="objects", python_callable=note_objects)
