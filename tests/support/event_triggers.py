"""Event triggers with short intervals, and queues for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.server.broker import Message, Queue
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

if TYPE_CHECKING:
    from collections.abc import Callable


class Quick(OSSEventTrigger):
    """The trigger with short intervals."""

    join_delay = 0.3
    batch_interval = 0.1
    delete_after = 0.5


def add_queue(stand: Any, name: str, visibility: float = 30) -> Queue:
    stand.service.cloud.broker.queues[name] = Queue(name, visibility=visibility)
    return stand.service.cloud.broker.queues[name]  # type: ignore[no-any-return]


def trigger(**arguments: Any) -> OSSEventTrigger:
    return Quick(**{"collect_for": 0.3, **arguments})


def keys(payload: Any) -> list[str]:
    return [item["key"] for item in payload["objects"]]


@pytest.fixture
def queue(stand: Any, connect: Callable[..., None]) -> Queue:
    """The queue ``q``, which the connection names."""
    connect({"smq_queue": "q"})
    return add_queue(stand, "q")


@pytest.fixture
def publish(stand: Any, queue: Queue) -> Callable[..., None]:
    """Put messages into a queue."""

    def put(*bodies: str, to: str = "q") -> None:
        found = stand.service.cloud.broker.queues[to]
        for body in bodies:
            stand.service._loop.call_soon_threadsafe(found.put, Message(body))

    return put
