"""For ``test_events.py``: a DAG that is paused for a time, the only one on its asset."""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from tests.system.event_assets import PAUSED, RETRIES, note_objects

with DAG("event_paused", schedule=[PAUSED], max_active_runs=16, default_args=RETRIES):
    PythonOperator(task_id="objects", python_callable=note_objects)
