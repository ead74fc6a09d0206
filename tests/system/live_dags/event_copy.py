"""For ``test_events.py``: a second DAG, in a second file, on the asset of ``event_inbox.py``."""

from __future__ import annotations

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

from tests.system.event_assets import ARRIVALS, RETRIES, note_objects

with DAG("event_copy", schedule=[ARRIVALS], max_active_runs=16, default_args=RETRIES):
    PythonOperator(task_id="objects", python_callable=note_objects)
