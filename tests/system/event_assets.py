"""The assets of the DAGs for ``test_events.py``, defined once for all files that name them."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from airflow_provider_oss_async.events import new_objects
from tests.system.interrupted_trigger import InterruptedTrigger


def _watched(name: str, queue: str) -> Asset:
    trigger = InterruptedTrigger(queue=queue, prefix=f"oss://media/events/{name}/", collect_for=1.0)
    return Asset(name=name, watchers=[AssetWatcher(name=f"{name}_objects", trigger=trigger)])


ARRIVALS = _watched("arrivals", "arrivals")
PAUSED = _watched("paused", "paused")
#: Two assets on one queue.
LEFT, RIGHT = _watched("left", "shared"), _watched("right", "shared")
RESULTS = Asset(name="event_results", uri="oss://media/events-out")
#: A busy machine may fail a task; Airflow's delay of five minutes is longer than a case.
RETRIES: dict[str, Any] = {"retries": 9, "retry_delay": timedelta(seconds=1)}


def notes(airflow_home: Path, dag_id: str) -> Path:
    """Where the runs of a DAG note what has started them, each in a file."""
    return airflow_home / "notes" / dag_id


def note_objects(**context: Any) -> list[dict[str, Any]]:
    """Return the objects that have started this run, and note them where the test finds them."""
    objects = new_objects(context)
    folder = notes(Path(os.environ["AIRFLOW_HOME"]), context["dag_run"].dag_id)
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{context['dag_run'].run_id}.new"
    new.write_text(json.dumps(objects))
    new.rename(new.with_suffix(".json"))
    return objects
