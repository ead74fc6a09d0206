"""The event trigger, run by Airflow's own manager of shared streams against the queues of the stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.server.broker import Message, Queue
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests.support.event_bodies import object_body
from tests.support.shared_streams import Triggerer

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def queue(stand: Any, connect: Callable[..., None]) -> Queue:
    connect({"smq_queue": "q"})
    stand.service.cloud.broker.queues["q"] = Queue("q", visibility=30)
    return stand.service.cloud.broker.queues["q"]  # type: ignore[no-any-return]


@pytest.fixture
def publish(stand: Any, queue: Queue) -> Callable[..., None]:
    def put(*bodies: str, to: str = "q") -> None:
        found = stand.service.cloud.broker.queues[to]
        for body in bodies:
            stand.service._loop.call_soon_threadsafe(found.put, Message(body))

    return put


def trigger(**arguments: Any) -> OSSEventTrigger:
    return OSSEventTrigger(**{"collect_for": 0.2, **arguments})


def keys(payload: Any) -> list[str]:
    return [item["key"] for item in payload["objects"]]


async def test_one_event_of_what_arrives_together(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"), object_body("in/b"), "foreign")
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: triggerer.events[one])
        (payload,) = triggerer.events[one]
        assert payload["queue"] == "q"
        assert payload["version"] == 1
        assert payload["watch"] == {"prefix": "in/", "suffix": None, "pattern": None, "exclude": []}
        assert keys(payload) == ["in/a", "in/b"]
        # Deleted when stored; the foreign one stays.
        await triggerer.until(lambda: sum(stand.messages("q")) == 1)
