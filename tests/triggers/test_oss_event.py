"""The event trigger, run by Airflow's own manager of shared streams against the queues of the stand-in."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import AckTimeout

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.hooks.shared import shared_services
from airflow_provider_oss_async.jobs.queue_receiver import receiver_of
from airflow_provider_oss_async.local.server.broker import Message, Queue
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests.support.event_bodies import job_body, object_body
from tests.support.shared_streams import Triggerer

if TYPE_CHECKING:
    from collections.abc import Callable


class Quick(OSSEventTrigger):
    """The trigger with short intervals."""

    join_delay = 0.3
    batch_interval = 0.1
    delete_after = 0.5


@pytest.fixture
def queue(stand: Any, connect: Callable[..., None]) -> Queue:
    connect({"smq_queue": "q"})
    return add_queue(stand, "q")


def add_queue(stand: Any, name: str, visibility: float = 30) -> Queue:
    stand.service.cloud.broker.queues[name] = Queue(name, visibility=visibility)
    return stand.service.cloud.broker.queues[name]  # type: ignore[no-any-return]


@pytest.fixture
def publish(stand: Any, queue: Queue) -> Callable[..., None]:
    def put(*bodies: str, to: str = "q") -> None:
        found = stand.service.cloud.broker.queues[to]
        for body in bodies:
            stand.service._loop.call_soon_threadsafe(found.put, Message(body))

    return put


def trigger(**arguments: Any) -> OSSEventTrigger:
    return Quick(**{"collect_for": 0.3, **arguments})


def keys(payload: Any) -> list[str]:
    return [item["key"] for item in payload["objects"]]


def all_keys(payloads: list[Any]) -> list[str]:
    return [key for payload in payloads for key in keys(payload)]


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
        assert json.loads(json.dumps(payload)) == payload
        # Deleted when stored; the foreign one stays.
        await triggerer.until(lambda: sum(stand.messages("q")) == 1)


async def test_nothing_is_deleted_before_the_event_is_stored(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await asyncio.sleep(0.5)
        assert stand.requests("SMQ:BatchDeleteMessage") == 0
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_an_event_that_was_not_stored_comes_again_with_its_id(stand: Any, publish: Any) -> None:
    add_queue(stand, "q", visibility=1)
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.stop(one)
        two = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[two])
        assert triggerer.events[one] == triggerer.events[two]


async def test_a_batch_that_waits_is_kept_hidden(stand: Any, publish: Any) -> None:
    """Longer than the visibility timeout of the queue, so that it has a new handle when it is deleted."""
    add_queue(stand, "q", visibility=2)
    publish(object_body("in/a"))
    async with Triggerer(stores=False) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await asyncio.sleep(3)
        assert stand.messages("q") == (0, 1)
        assert stand.requests("SMQ:ChangeMessageVisibility") == 1
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert len(triggerer.events[one]) == 1


async def test_what_is_not_stored_in_time_is_received_again(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"))
    async with Triggerer(stores=False, ack_timeout=0.5) as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: one in triggerer.errors)
        assert isinstance(triggerer.errors[one], AckTimeout)
        # Airflow starts it again.
        two = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[two])
        assert triggerer.events[one] == triggerer.events[two]


async def test_several_watchers_share_one_consumer(stand: Any, publish: Any) -> None:
    async with Triggerer() as triggerer:
        images = triggerer.start(trigger(prefix="img/"))
        videos = triggerer.start(trigger(suffix=".mov"))
        await asyncio.sleep(0.5)
        receivers = [t for t in asyncio.all_tasks() if t.get_name() == "oss-async-queue-receiver"]
        assert len(receivers) == 1
        publish(object_body("img/a.jpg"), object_body("in/b.mov"), object_body("img/c.mov"))
        await triggerer.until(lambda: triggerer.events[images] and triggerer.events[videos])
        assert all_keys(triggerer.events[images]) == ["img/a.jpg", "img/c.mov"]
        assert all_keys(triggerer.events[videos]) == ["in/b.mov", "img/c.mov"]
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_watchers_of_different_settings_each_get_what_they_want(stand: Any, publish: Any) -> None:
    """They do not share a stream, and share the receiver: a message is deleted when both are done with it."""
    async with Triggerer(stores=False) as triggerer:
        soon = triggerer.start(trigger(collect_for=0.1))
        late = triggerer.start(trigger(collect_for=1.0))
        await asyncio.sleep(0.5)
        publish(object_body("in/a"))
        await triggerer.until(lambda: triggerer.events[soon])
        triggerer.store()
        await asyncio.sleep(0.3)
        assert sum(stand.messages("q")) == 1
        await triggerer.until(lambda: triggerer.events[late])
        triggerer.store()
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert triggerer.events[soon] == triggerer.events[late]


async def test_what_nobody_here_wants_is_left_to_others(stand: Any, publish: Any) -> None:
    """A sibling may join late, as after a restart, or be in another process."""
    publish(object_body("out/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: stand.requests("SMQ:ChangeMessageVisibility"))
        two = triggerer.start(trigger(prefix="out/"))
        await triggerer.until(lambda: triggerer.events[two])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert not triggerer.events[one]


async def test_what_nobody_has_wanted_for_long_is_deleted(stand: Any, publish: Any) -> None:
    publish(object_body("out/a"), "foreign")
    async with shared_services(OSSAsyncHook()) as services, Triggerer() as triggerer:
        assert services.smq is not None
        receiver_of(services.smq, "q", unwanted_age=0.0)
        one = triggerer.start(trigger(prefix="in/"))
        await triggerer.until(lambda: sum(stand.messages("q")) == 1)
        assert not triggerer.events[one]


async def test_events_that_are_not_of_finished_objects(stand: Any, publish: Any) -> None:
    for name in ("UploadPart", "InitiateMultipartUpload", "CompleteMultipartUpload", "AppendObject"):
        publish(object_body(f"in/{name}", eventName=f"ObjectCreated:{name}"))
    publish(object_body("in/gone", eventName="ObjectRemoved:DeleteObject"))
    async with Triggerer() as triggerer:
        finished = triggerer.start(trigger())
        appended = triggerer.start(trigger(events=["AppendObject", "ObjectCreated:PutObject"]))
        await triggerer.until(lambda: triggerer.events[finished] and triggerer.events[appended])
        assert all_keys(triggerer.events[finished]) == ["in/CompleteMultipartUpload"]
        assert all_keys(triggerer.events[appended]) == ["in/AppendObject"]


async def test_events_that_come_twice_are_one(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"), object_body("in/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        # Later, in another message.
        publish(object_body("in/a"))
        publish(object_body("in/b"))
        await triggerer.until(lambda: len(triggerer.events[one]) == 2)
        assert all_keys(triggerer.events[one]) == ["in/a", "in/b"]
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_a_deletion_that_fails_makes_no_second_event(stand: Any, publish: Any) -> None:
    add_queue(stand, "q", visibility=1)
    stand.service.add_fault("refuse", match="SMQ:BatchDeleteMessage", status=500)
    publish(object_body("in/a"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger())
        await triggerer.until(lambda: triggerer.events[one])
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)
        assert len(triggerer.events[one]) == 1
        assert stand.requests("SMQ:BatchDeleteMessage") == 2


async def test_a_burst_is_few_events(stand: Any, publish: Any) -> None:
    publish(*(object_body(f"in/{number}") for number in range(300)))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(max_batch=120, collect_for=5))
        await triggerer.until(lambda: len(all_keys(triggerer.events[one])) == 300, 40)
        assert [len(keys(payload)) for payload in triggerer.events[one]][:2] == [120, 120]
        assert len(triggerer.events[one]) == 3
        assert sorted(all_keys(triggerer.events[one])) == sorted(f"in/{number}" for number in range(300))
        await triggerer.until(lambda: sum(stand.messages("q")) == 0)


async def test_ended_jobs_have_a_queue_of_their_own(stand: Any, publish: Any) -> None:
    add_queue(stand, "ended")
    publish(job_body("T-1"), job_body("T-2", "Failed"), job_body("T-3", "Running"), to="ended")
    publish(object_body("in/a"), to="ended")
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(kinds=["job"], queue="ended"))
        await triggerer.until(lambda: triggerer.events[one])
        (payload,) = triggerer.events[one]
        assert [(job["task_id"], job["state"]) for job in payload["jobs"]] == [
            ("T-1", "succeeded"),
            ("T-2", "failed"),
        ]
        assert payload["objects"] == []
        # The object event is another's.
        await triggerer.until(lambda: sum(stand.messages("ended")) == 1)


async def test_tasks_that_wait_and_watchers_share_a_queue(stand: Any, publish: Any) -> None:
    arrived = asyncio.Event()
    async with shared_services(OSSAsyncHook()) as services, Triggerer() as triggerer:
        consumer = services.queue_consumer
        assert consumer is not None
        with consumer.subscribed("T-1", arrived.set):
            one = triggerer.start(trigger())
            await asyncio.sleep(0.5)
            publish(job_body("T-1"), object_body("in/a"), job_body("of-others"))
            await asyncio.wait_for(arrived.wait(), 10)
            await triggerer.until(lambda: triggerer.events[one])
            await consumer.delete("T-1")
            # The message about a job that is waited for elsewhere stays.
            await triggerer.until(lambda: sum(stand.messages("q")) == 1)


async def test_job_events_from_the_queue_of_waiting_tasks_are_refused(
    stand: Any, publish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publish(job_body("T-1"))
    async with Triggerer() as triggerer:
        one = triggerer.start(trigger(kinds=["job"], queue="q"))
        await triggerer.until(lambda: "Name another queue than smq_queue" in caplog.text)
        assert not triggerer.errors
        assert not triggerer.events[one]
    assert stand.messages("q") == (1, 0)


async def test_the_way_of_airflow_3_2(stand: Any, publish: Any) -> None:
    publish(object_body("in/a"), object_body("out/b"))
    async with aclosing(trigger(prefix="in/").run()) as events:  # type: ignore[type-var]
        event = await asyncio.wait_for(anext(events), 10)
        assert keys(event.payload) == ["in/a"]
        waiting: Any = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.2)
        assert stand.requests("SMQ:BatchDeleteMessage") == 0
        async with asyncio.timeout(10):
            # The other one is left.
            while sum(stand.messages("q")) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_killed_before_the_delayed_deletion(stand: Any, publish: Any) -> None:
    add_queue(stand, "q", visibility=1)
    publish(object_body("in/a"))
    for _ in range(2):
        async with aclosing(trigger().run()) as events:  # type: ignore[type-var]
            assert keys((await asyncio.wait_for(anext(events), 10)).payload) == ["in/a"]


ARGUMENTS: dict[str, Any] = {
    "oss_conn_id": "c",
    "queue": "uploads",
    "events": ("PutObject", "ObjectCreated:CopyObject"),
    "prefix": "oss://media/in/",
    "suffix": ".mov",
    "pattern": "*.mov",
    "exclude": ("in/done/",),
    "kinds": ("job", "object"),
    "collect_for": 2.5,
    "max_batch": 10,
    "list_every": 3600,
}


def test_what_is_stored_makes_the_same_trigger() -> None:
    path, stored = OSSEventTrigger(**ARGUMENTS).serialize()
    assert path == "airflow_provider_oss_async.triggers.oss_event.OSSEventTrigger"
    assert stored.keys() == ARGUMENTS.keys()
    assert json.loads(json.dumps(stored)) == stored
    assert OSSEventTrigger(**stored).serialize() == (path, stored)
    assert BaseEventTrigger.hash(path, stored) == BaseEventTrigger.hash(path, json.loads(json.dumps(stored)))
    assert stored["events"] == ["ObjectCreated:PutObject", "ObjectCreated:CopyObject"]


@pytest.mark.parametrize(
    ("changed", "shared"),
    [
        ({"prefix": "else/"}, True),
        ({"events": ["AppendObject"]}, True),
        ({"list_every": None}, True),
        ({"queue": "other"}, False),
        ({"oss_conn_id": "other"}, False),
        ({"kinds": ["object"]}, False),
        ({"collect_for": 3}, False),
        ({"max_batch": 11}, False),
    ],
)
def test_who_shares_a_consumer(changed: dict[str, Any], shared: bool) -> None:
    first, second = OSSEventTrigger(**ARGUMENTS), OSSEventTrigger(**{**ARGUMENTS, **changed})
    assert (first.shared_stream_key() == second.shared_stream_key()) is shared
    assert (hash(first.shared_stream_key()) == hash(second.shared_stream_key())) is shared


def test_one_message_names_every_wrong_argument() -> None:
    with pytest.raises(ProcessError) as caught:
        OSSEventTrigger(
            oss_conn_id="",
            queue=7,  # type: ignore[arg-type]
            events=["ObjectCreated:*", "UploadPart"],
            prefix="/in",
            suffix="",
            kinds=["objects"],
            collect_for=-1,
            max_batch=True,
            list_every=5,
        )
    for part in (
        "oss_conn_id=''",
        "queue=7",
        "'ObjectCreated:*' is not allowed",
        "'UploadPart' is not allowed",
        "prefix='/in'",
        "suffix=''",
        "kinds=['objects']",
        "collect_for=-1 is not allowed: expected seconds from 0 to 60",
        "max_batch=True is not allowed: expected a whole number from 1 to 5000",
        "list_every=5 is not allowed: expected seconds from 60 to 86400",
    ):
        assert part in str(caught.value)
    assert len(caught.value.problems) == 10


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"kinds": ["job"]}, "queue is missing"),
        ({"kinds": ["job", "object"]}, "queue is missing"),
        ({"kinds": []}, "kinds="),
        ({"kinds": [["object"]]}, "kinds="),
        ({"events": []}, "events="),
        ({"events": [3]}, "3 is not allowed"),
        (
            {"kinds": ["job"], "queue": "q", "prefix": "in/"},
            "prefix='in/' is not allowed: it is about objects",
        ),
        ({"kinds": ["job"], "queue": "q", "list_every": 60}, "list_every=60 is not allowed"),
        ({"collect_for": float("nan")}, "collect_for=nan"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ProcessError, match=why):
        OSSEventTrigger(**wrong)


def test_the_serialised_dag_holds_no_secret(connect: Callable[..., None]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    connect({"smq_queue": "q"})
    asset = Asset("inbox", watchers=[AssetWatcher(name="inbox", trigger=OSSEventTrigger(prefix="in/"))])
    with DAG("watching", schedule=asset) as dag:
        pass
    text = json.dumps(DagSerialization.to_dict(dag))
    assert "oss_event.OSSEventTrigger" in text
    assert "oss_async_default" in text
    for secret in ("local-secret", "access_key", "password"):
        assert secret not in text


def test_importing_it_costs_little() -> None:
    """Every DAG file that watches pays for it at each parse."""
    code = (
        "import json, sys\n"
        "from airflow.sdk import DAG, Asset, AssetWatcher\n"
        "from airflow.triggers.base import BaseEventTrigger\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger\n"
        "from airflow_provider_oss_async.events import new_objects\n"
        "OSSEventTrigger(prefix='in/').serialize()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    heavy = ("aiohttp", "requests", "alibabacloud_oss_v2", "airflow.triggers.shared_stream", "airflow.models")
    assert not [name for name in loaded if name.startswith(heavy)]
    # Receiving, connections and the other package are only for the triggerer.
    assert not [name for name in loaded if name.endswith((".event_producer", ".event_listing", ".shared"))]
    assert not [name for name in loaded if "messaging" in name]
