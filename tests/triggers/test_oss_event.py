"""The event trigger: its arguments, what is stored of it, and the way of Airflow 3.2."""

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

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests.support.event_bodies import object_body
from tests.support.event_triggers import add_queue, keys, publish, queue, trigger

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["publish", "queue"]

#: Airflow before 3.3 has neither shared streams nor an asset state store.
SHARED = hasattr(BaseEventTrigger, "shared_stream_key")


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
    "list_every": 3600 if SHARED else None,
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
        ({"suffix": None}, True),
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
    assert len(caught.value.problems) == (10 if SHARED else 11)


@pytest.mark.skipif(SHARED, reason="this Airflow has an asset state store")
def test_listings_need_a_newer_airflow() -> None:
    with pytest.raises(ProcessError, match=r"list_every is not allowed: it needs Airflow 3\.3"):
        OSSEventTrigger(list_every=60)


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
