"""Running operators and sensors without a scheduler: contexts, the state store, and the triggerer's part."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

if TYPE_CHECKING:
    from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator


class Store(dict[str, Any]):
    """Airflow's task state store: keeps JSON. ``before_set`` may raise what a real one would."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[dict[str, Any]] = []

    def before_set(self, value: dict[str, Any]) -> None:
        """Called with each record before it is kept."""

    def set(self, key: str, value: Any) -> None:
        self.before_set(value)
        self.written.append(value)
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


class TaskInstance:
    """What a task instance is to an operator."""

    def __init__(self, max_tries: int = 2) -> None:
        self.max_tries = max_tries
        self.try_number = 1
        self.start_date = datetime.now(UTC)
        self.first_reschedule_date: datetime | None = None
        self.xcoms: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule_date

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))


def new_context(before: Any = None, max_tries: int = 2) -> Any:
    """Return the context of a try, with a new store or that of an earlier try."""
    return {
        "ti": TaskInstance(max_tries),
        "task_state_store": before["task_state_store"] if before else Store(),
        "outlet_events": defaultdict(lambda: SimpleNamespace(extra={})),
    }


def deferred(task: Any, context: Any) -> TaskDeferred:
    """Run a task until it defers."""
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context)
    return caught.value


def resume_deferred(task_deferred: Any) -> dict[str, Any]:
    """Run a deferred task's trigger as a triggerer does, and return its event."""
    path, arguments = task_deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def collect() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(collect())
    return json.loads(json.dumps(event.payload))  # type: ignore[no-any-return]


def run_to_end(task: Any, context: Any) -> Any:
    """Run a task to its end, in the triggerer too if it defers."""
    try:
        return task.execute(context)
    except TaskDeferred as task_deferred:
        event = resume_deferred(task_deferred)
    return task.resume_execution("execute_complete", {"event": event}, context)


def video(**arguments: Any) -> OSSVideoConvertOperator:
    """Return a task that converts ``in.mov``."""
    from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

    values = {"source": "in.mov", "target": "out.mp4", "container": "mp4", **arguments}
    return OSSVideoConvertOperator(task_id="video", **values)


def started_by(context: Any, **watch: Any) -> Any:
    """Make the context of a run that an event of an ``OSSEventTrigger`` has started."""
    from airflow_provider_oss_async.events.payload import make_payload

    given = {"prefix": None, "suffix": None, "pattern": None, "exclude": [], **watch}
    payload = make_payload("uploads", given, [{"bucket": "media", "key": "in.mov", "id": "1"}])
    event = SimpleNamespace(extra={"payload": payload, "from_trigger": True})
    return {**context, "triggering_asset_events": {"asset": [event]}}
