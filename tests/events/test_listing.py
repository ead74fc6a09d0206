"""Listings: objects that no event has announced are found once, and those that were there before are not."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest

from airflow_provider_oss_async.events.filter import EventFilter
from airflow_provider_oss_async.events.listing import Listing
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError
from tests.support.services import quick_services, wire_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.clients.oss import OSSClient
    from tests.support.wire import Wire


class Bucket:
    """Objects with the times that a test gives them."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[str, float]] = {}

    def put(self, key: str, etag: str, age: float) -> None:
        self.objects[key] = (etag, time.time() - age)

    def listing(self, request: Any) -> tuple[int, str]:
        prefix = request.query.get("prefix", [""])[0]
        items = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>"
            f"{datetime.fromtimestamp(written, UTC):%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag><Type>Normal</Type><Size>4</Size>"
            "<StorageClass>Standard</StorageClass></Contents>"
            for key, (etag, written) in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return 200, (
            f"<ListBucketResult><Name>media</Name><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
        )


@pytest.fixture
def bucket(wire: Wire) -> Bucket:
    made = Bucket()
    wire.respond = made.listing
    wire.headers = {"x-oss-request-id": "R-1", "Content-Type": "application/xml"}
    return made


@pytest.fixture
async def oss(wire: Wire) -> AsyncIterator[OSSClient]:
    async with quick_services(wire_settings(wire)) as services:
        yield services.oss


def listing(state: Any = None, **wanted: Any) -> Listing:
    return Listing("media", "in/", EventFilter(**{"prefix": "in/", **wanted}), state)


async def found(of: Listing, oss: OSSClient) -> list[str]:
    return [event.key async for event in of.unannounced(oss)]


async def test_what_was_there_before_is_not_reported(bucket: Bucket, oss: OSSClient) -> None:
    bucket.put("in/old", "E1", 10_000)
    bucket.put("in/young", "E2", 5)
    own = listing()
    assert own.first
    assert await found(own, oss) == []
    assert not own.first
    assert await found(own, oss) == []


async def test_what_no_event_announced_is_reported_once(bucket: Bucket, oss: OSSClient) -> None:
    own = listing()
    await found(own, oss)
    bucket.put("in/lost", "E1", 400)
    bucket.put("in/announced", "E2", 400)
    bucket.put("in/without-etag", "E3", 400)
    bucket.put("in/overwritten", "E5", 400)
    bucket.put("in/young", "E6", 5)
    bucket.put("in/folder/", "E7", 400)
    own.announced(
        [
            ("media", "in/announced", "e2"),
            ("media", "in/without-etag", ""),
            ("media", "in/overwritten", "E4"),
            ("other", "in/lost", "E1"),
        ]
    )
    events = [event async for event in own.unannounced(oss)]
    assert [event.key for event in events] == ["in/lost", "in/overwritten"]
    assert (events[0].event, events[0].size, events[0].etag, events[0].bucket) == (
        "Listing",
        4,
        "E1",
        "media",
    )
    assert datetime.fromisoformat(events[0].time).timestamp() == pytest.approx(time.time() - 400, abs=30)
    assert await found(own, oss) == []


async def test_the_younger_ones_are_found_by_the_next_listing(bucket: Bucket, oss: OSSClient) -> None:
    own = listing()
    await found(own, oss)
    bucket.put("in/young", "E1", 5)
    assert await found(own, oss) == []
    bucket.put("in/young", "E1", 400)
    assert await found(own, oss) == ["in/young"]


async def test_a_restart_goes_on_where_it_was(bucket: Bucket, oss: OSSClient) -> None:
    own = listing()
    await found(own, oss)
    bucket.put("in/reported", "E1", 400)
    bucket.put("in/announced", "E2", 400)
    own.announced([("media", "in/announced", "E2")])
    assert await found(own, oss) == ["in/reported"]
    state = json.loads(json.dumps(own.state()))
    bucket.put("in/lost", "E3", 350)
    assert await found(listing(state), oss) == ["in/lost"]


async def test_a_listing_that_fails_is_made_again(bucket: Bucket, wire: Wire, oss: OSSClient) -> None:
    own = listing()
    await found(own, oss)
    before = own.state()["until"]
    bucket.put("in/lost", "E1", 400)
    wire.answer(403, "<Error><Code>AccessDenied</Code><RequestId>R</RequestId></Error>")
    with pytest.raises(OSSServiceError):
        await found(own, oss)
    assert own.state()["until"] == before
    assert await found(own, oss) == ["in/lost"]


async def test_other_objects_are_not_wanted(bucket: Bucket, oss: OSSClient) -> None:
    own = listing(suffix=".mov", exclude=("in/done/",))
    await found(own, oss)
    for key in ("in/a.mov", "in/a.mp4", "in/done/a.mov", "out/a.mov"):
        bucket.put(key, "E1", 400)
    assert await found(own, oss) == ["in/a.mov"]


async def test_what_is_remembered_is_bounded(bucket: Bucket, oss: OSSClient) -> None:
    own = listing()
    await found(own, oss)
    own.announced([("media", f"in/{number}", "E") for number in range(5000)])
    assert len(json.dumps(own.state())) < 65_535
    # Old ones are forgotten.
    short = Listing("media", "in/", EventFilter(prefix="in/"), own.state(), grace=0.0, overlap=-10.0)
    await found(short, oss)
    assert short.state()["known"] == []


def test_a_state_of_another_release_is_refused() -> None:
    with pytest.raises(OSSConnectionError, match="Use the release"):
        listing({"version": 2, "until": 0, "known": []})
