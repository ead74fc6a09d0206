"""The trigger with points at which its process stops: what a SIGKILL there leaves behind is then tested.

A point is reached with the event loop standing still, so that nothing happens between it and the kill.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_oss_async.triggers.event_producer import EventProducer
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.base import TriggerEvent
    from airflow.triggers.shared_stream import AdvanceItem

Point = Literal["before yield", "after yield", "before delete", "after delete"]
POINTS: tuple[Point, ...] = get_args(Point)
#: The point at which this process kills itself.
KILL_AT = "OSS_EVENT_KILL_AT"


def points_folder(airflow_home: Path) -> Path:
    """Where a file of the name of a point makes the triggerer stop there; it is renamed then."""
    return airflow_home / "points"


def reach(point: Point) -> None:
    """Stop here, if this is the point to stop at."""
    if os.environ.get(KILL_AT) == point:
        os.kill(os.getpid(), signal.SIGKILL)
    file = points_folder(Path(os.environ["AIRFLOW_HOME"])) / point
    if file.exists():
        file.rename(file.with_suffix(".reached"))
        time.sleep(600)


class InterruptedProducer(EventProducer):
    """Can be stopped before and after it deletes messages."""

    async def advance(self, items: Sequence[AdvanceItem]) -> None:
        reach("before delete")
        await super().advance(items)
        reach("after delete")


class InterruptedTrigger(OSSEventTrigger):
    """Can be stopped before and after it yields an event."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.{type(self).__qualname__}", super().serialize()[1]

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        async for event in super().filter_shared_stream(shared_stream):
            reach("before yield")
            yield event
            reach("after yield")

    def _producer(self) -> EventProducer:
        return InterruptedProducer(**self._stream_arguments())
