"""For ``test_events.py``: one of two assets, in files of their own, that share a queue."""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from tests.system.event_assets import LEFT, RETRIES, note_objects

with DAG("event_left", schedule=[LEFT], max_active_runs=16, default_args=RETRIES):
    PythonOperator(task_id="objects", python_callable=note_objects)
