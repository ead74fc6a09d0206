"""The client of OSS through the real SDK, against a server that answers anything."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.errors import Failure
from airflow_provider_oss_async.clients.oss import ListedObject, ObjectState, ProcessAnswer
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError
from tests.support.services import quick_services, wire_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_oss_async.clients.oss import OSSClient
    from tests.support.wire import Wire

MARK = {"x-oss-request-id": "REQ"}
TOKEN = "CAIS" + "".join(chr(65 + number % 26) for number in range(700)) + "+/=="
MB = 1024 * 1024


def refusal(code: str, message: str = "no") -> str:
    return f"<Error><Code>{code}</Code><Message>{message}</Message><EC>0001-1</EC></Error>"


def page(keys: list[str], token: str = "", modified: str = "2026-11-24T01:00:00.000Z") -> str:
    items = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><LastModified>{modified}</LastModified>"
        "<StorageClass>Standard</StorageClass></Contents>"
        for key in keys
    )
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
    return f"<ListBucketResult>{items}{more if token else ''}</ListBucketResult>"


@pytest.fixture
async def oss(wire: Wire) -> AsyncIterator[OSSClient]:
    async with quick_services(wire_settings(wire)) as services:
        yield services.oss


@pytest.fixture
async def temporary(wire: Wire) -> AsyncIterator[OSSClient]:
    """With the temporary keys of a role."""
    async with quick_services(wire_settings(wire, {"security_token": TOKEN})) as services:
        yield services.oss


async def process(oss: OSSClient, timeout: float = 10.0) -> ProcessAnswer | Failure:
    return await oss.process_object("media", "in.mov", "video/convert,f_mp4", timeout=timeout)


async def failed(oss: OSSClient, timeout: float = 10.0) -> Failure:
    outcome = await process(oss, timeout)
    assert isinstance(outcome, Failure), outcome
    return outcome


class TestProcessObject:
    async def test_it_is_sent_once_and_answered(self, oss: OSSClient, wire: Wire) -> None:
        wire.answer(
            200, '{"TaskId": "T", "EventId": "E"}', Date="Tue, 24 Nov 2026 01:00:00 GMT", **dash(MARK)
        )
        assert await process(oss) == ProcessAnswer("T", "E", "REQ", "Tue, 24 Nov 2026 01:00:00 GMT", 200)
        (request,) = wire.requests
        assert (request.method, request.path) == ("POST", "/media/in.mov")
        assert b"x-oss-async-process=video" in request.body

    @pytest.mark.parametrize("status", [400, 403, 404, 408, 429, 500, 503])
    async def test_no_status_has_it_sent_again(self, oss: OSSClient, wire: Wire, status: int) -> None:
        wire.respond = lambda request: (status, refusal("RequestTimeTooSkewed"))
        wire.headers = MARK
        failure = await failed(oss)
        assert (failure.status, failure.code, failure.ec) == (status, "RequestTimeTooSkewed", "0001-1")
        assert failure.authentic
        assert not failure.never_sent
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("status", [400, 403, 404, 408, 429, 499, 502, 504])
    @pytest.mark.parametrize("body", ["", "<html>gateway</html>", refusal("AccessDenied"), '{"Code": "X"}'])
    async def test_an_answer_without_the_marks_of_oss_says_nothing(
        self, oss: OSSClient, wire: Wire, status: int, body: str
    ) -> None:
        wire.answer(status, body)
        failure = await failed(oss)
        assert failure.status == status
        assert not failure.authentic
        assert not failure.never_sent

    async def test_a_proxy_that_wants_a_password_has_sent_nothing(self, oss: OSSClient, wire: Wire) -> None:
        wire.answer(407, "<html>who are you?</html>")
        assert (await failed(oss)).never_sent

    @pytest.mark.parametrize("status", [403, 407, 502])
    async def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing(self, wire: Wire, status: int) -> None:
        wire.respond = lambda request: (status, "no")
        proxy = wire.url.replace("//", "//someone:word-of-proxy@")
        settings = wire_settings(wire, {"proxy": proxy}, host="https://127.0.0.1:9")
        async with quick_services(settings) as services:
            failure = await failed(services.oss)
        assert [request.method for request in wire.requests] == ["CONNECT"]
        assert failure.never_sent
        assert failure.status is None
        assert str(status) in failure.detail
        assert "word-of-proxy" not in repr(failure)

    async def test_an_answer_that_never_comes(self, oss: OSSClient, wire: Wire) -> None:
        wire.answer(fault="hang")
        failure = await failed(oss, timeout=0.2)
        assert failure == Failure("OSS", detail="no answer within 0.2 s")

    @pytest.mark.parametrize(
        ("body", "task_id", "event_id"),
        [
            ('{"TaskId": "T"}', "T", ""),
            ('{"TaskId": 123}', "123", ""),
            ('{"TaskId": "T", "EventId": 7}', "T", "7"),
            ('{"TaskId": "T", "EventId": {"a": [1]}}', "T", ""),
            ('{"TaskId": "T", "EventId": null, "RequestId": ["x"]}', "T", ""),
            ('{"TaskId": "\\ud800T"}', "?T", ""),
            ('{"TaskId": "T", "Else": ' + "[" * 900 + "]" * 900 + "}", "T", ""),
            ('{"TaskId": ["T"]}', "", ""),
            ('{"TaskId": true}', "", ""),
            ('{"TaskId": null}', "", ""),
        ],
    )
    @pytest.mark.parametrize(
        "date", ["", "garbage", "Fri, 31 Dec 9999 23:59:59 GMT", "Tue, 99 Nov 2026 99:00:00 GMT"]
    )
    async def test_odd_answers_lose_no_id(
        self, oss: OSSClient, wire: Wire, body: str, task_id: str, event_id: str, date: str
    ) -> None:
        wire.answer(200, body, Date=date, **dash(MARK))
        outcome = await process(oss)
        assert isinstance(outcome, ProcessAnswer), outcome
        assert (outcome.task_id, outcome.event_id) == (task_id, event_id)

    @pytest.mark.parametrize(
        ("date", "known"), [("garbage", False), ("", False), ("Fri, 31 Dec 9999 23:59:59 GMT", True)]
    )
    async def test_an_odd_date_of_a_refusal(self, oss: OSSClient, wire: Wire, date: str, known: bool) -> None:
        """The SDK fails at some, and what it would have said is lost: then nothing is claimed."""
        wire.answer(403, refusal("AccessDenied"), Date=date, **dash(MARK))
        failure = await failed(oss)
        assert (failure.status, failure.code, failure.authentic) == (
            (403, "AccessDenied", True) if known else (None, "", False)
        )
        assert not failure.never_sent

    @pytest.mark.parametrize(
        "body", [b"\xff\xfe<", b"[" * 100_000, b'{"TaskId": "T"', b"\x1f\x8b", b"<html>portal</html>"]
    )
    async def test_bodies_that_are_none_raise_nothing(self, oss: OSSClient, wire: Wire, body: bytes) -> None:
        wire.answer(200, body, **dash(MARK))
        outcome = await process(oss)
        assert not (isinstance(outcome, ProcessAnswer) and outcome.task_id)
        wire.answer(403, body, **dash(MARK))
        assert not (await failed(oss)).never_sent

    @pytest.mark.parametrize(
        "body",
        [
            refusal("SignatureDoesNotMatch", f"x-oss-security-token:{TOKEN}"),
            f"<html>{TOKEN}</html>",
            f"you sent {TOKEN} to a firewall",
            json.dumps({"told": TOKEN}),
        ],
    )
    @pytest.mark.parametrize("headers", [{}, MARK])
    async def test_a_token_that_is_repeated_is_left_out(
        self, temporary: OSSClient, wire: Wire, body: str, headers: dict[str, str]
    ) -> None:
        wire.respond = lambda request: (403, body)
        wire.headers = headers
        failure = await failed(temporary)
        assert TOKEN[:40] not in repr(failure)
        with pytest.raises(OSSServiceError) as caught:
            await temporary.list_buckets()
        assert TOKEN[:40] not in repr(vars(caught.value)) + str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def dash(headers: dict[str, str]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


class TestOtherCalls:
    async def call_all(self, oss: OSSClient) -> Iterator[Exception]:
        caught: list[Exception] = []
        for call in (
            oss.head("bucket", "k"),
            oss.list_buckets(),
            oss.service_time("bucket", "k"),
            listed(oss),
        ):
            try:
                await call
            except Exception as error:
                caught.append(error)
        return iter(caught)

    @pytest.mark.parametrize(
        ("status", "kind"), [(503, OSSUnavailableError), (429, OSSThrottledError), (403, OSSServiceError)]
    )
    async def test_no_method_retries(self, oss: OSSClient, wire: Wire, status: int, kind: Any) -> None:
        wire.respond = lambda request: (status, refusal("X"))
        wire.headers = MARK
        errors = list(await self.call_all(oss))
        assert [type(error) for error in errors] == [kind] * 4
        assert len(wire.requests) == 4

    async def test_a_gateway_is_an_outage(self, oss: OSSClient, wire: Wire) -> None:
        wire.respond = lambda request: (403, "<html>firewall</html>")
        errors = list(await self.call_all(oss))
        assert [type(error) for error in errors] == [OSSUnavailableError] * 4

    async def test_head(self, oss: OSSClient, wire: Wire) -> None:
        wire.answer(200, b"123", ETag='"e"', Last_Modified="Tue, 24 Nov 2026 01:00:00 GMT")
        state = await oss.head("bucket", "k")
        assert state == ObjectState('"e"', 1795482000.0, "", 3)
        wire.answer(404, **dash(MARK))
        assert await oss.head("bucket", "k") is None
        # Not from OSS: says nothing of the object.
        wire.answer(404)
        with pytest.raises(OSSUnavailableError, match="not OSS's"):
            await oss.head("bucket", "k")

    @pytest.mark.parametrize(
        ("modified", "seconds"),
        [
            (None, 0.0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799.0),
            ("garbage", None),
            ("Tue, 99 Nov 2026 99:00:00 GMT", None),
        ],
    )
    async def test_an_odd_time_of_an_object_raises_nothing_bare(
        self, oss: OSSClient, wire: Wire, modified: str | None, seconds: float | None
    ) -> None:
        wire.answer(200, b"1", ETag='"e"', **dash({} if modified is None else {"Last-Modified": modified}))
        if seconds is None:
            with pytest.raises(OSSUnavailableError, match=r"HeadObject: .*\(for oss://bucket/k"):
                await oss.head("bucket", "k")
        else:
            assert await oss.head("bucket", "k") == ObjectState('"e"', seconds, "", 1)

    @pytest.mark.parametrize(
        ("modified", "seconds"),
        [("", 0.0), ("9999-12-31T23:59:59.000Z", 253402300799.0), ("garbage", None), ("99999-01-01", None)],
    )
    async def test_an_odd_time_in_a_listing_raises_nothing_bare(
        self, oss: OSSClient, wire: Wire, modified: str, seconds: float | None
    ) -> None:
        wire.answer(200, page(["p/1"], modified=modified))
        if seconds is None:
            with pytest.raises(OSSUnavailableError, match=r"ListObjectsV2: .*\(for oss://bucket/p/"):
                await listed(oss)
        else:
            assert await listed(oss) == [ListedObject("p/1", 1, seconds, "Standard")]


async def listed(oss: OSSClient, **options: Any) -> list[ListedObject]:
    return [item async for item in oss.list_objects("bucket", "p/", **options)]


class TestListing:
    async def test_pages_are_followed_and_foreign_keys_left_out(self, oss: OSSClient, wire: Wire) -> None:
        wire.answer(200, page(["p/1", "elsewhere"], "next"))
        wire.answer(200, page(["p/2"]))
        assert [item.key for item in await listed(oss)] == ["p/1", "p/2"]
        assert wire.requests[1].query["continuation-token"] == ["next"]

    async def test_a_repeated_page_ends_it(self, oss: OSSClient, wire: Wire) -> None:
        wire.respond = lambda request: (200, page(["p/1"], "same"))
        with pytest.raises(OSSServiceError, match="repeats a page") as caught:
            await listed(oss)
        # No outage, so that nothing repeats it.
        assert type(caught.value) is OSSServiceError
        assert len(wire.requests) == 2

    async def test_new_tokens_for_ever_end_at_the_limit(self, oss: OSSClient, wire: Wire) -> None:
        numbers = itertools.count()
        wire.respond = lambda request: (200, page(["p/1"], f"token-{next(numbers)}"))
        with pytest.raises(OSSServiceError, match="more than 7 pages") as caught:
            await listed(oss, max_pages=7)
        assert type(caught.value) is OSSServiceError
        assert len(wire.requests) == 8


def bomb(size: int) -> bytes:
    return gzip.compress(bytes(size), 1)


def endless() -> Iterator[bytes]:
    return itertools.repeat(b"x" * 65536)


class TestSizes:
    """An answer costs at most 16 MB, however it is packed."""

    @pytest.mark.parametrize("status", [200, 403])
    async def test_a_compressed_answer_does_not_grow(self, oss: OSSClient, wire: Wire, status: int) -> None:
        packed = bomb(300 * MB)
        wire.headers = {"Content-Encoding": "gzip", **MARK}
        for _ in range(2):
            wire.answer(status, packed)
        tracemalloc.start()
        try:
            outcome = await process(oss)
            with pytest.raises(OSSServiceError):
                await listed(oss)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert not isinstance(outcome, ProcessAnswer) or not outcome.task_id
        assert peak < 40 * MB
        assert all(request.headers["accept-encoding"] == "identity" for request in wire.requests)

    @pytest.mark.parametrize("status", [200, 403])
    async def test_an_endless_answer_is_broken_off(self, oss: OSSClient, wire: Wire, status: int) -> None:
        wire.answer(status, endless(), **dash(MARK))
        failure = await failed(oss)
        assert "larger than" in failure.detail
        assert not failure.never_sent
        # What the client read, and what the buffers of the sockets took.
        assert wire.sent < 40 * MB
        wire.answer(status, endless(), **dash(MARK))
        with pytest.raises(OSSUnavailableError, match="larger than"):
            await listed(oss)
        assert wire.sent < 80 * MB


async def test_nothing_secret_is_logged(temporary: OSSClient, wire: Wire, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    wire.respond = lambda request: (403, f"<html>{TOKEN}</html>")
    await process(temporary)
    assert TOKEN[:40] not in caplog.text
