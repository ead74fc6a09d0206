from __future__ import annotations

import gzip
import itertools
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.http import MAX_ANSWER_BYTES, Answer, Call, Endpoint, open_session
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError, OSSUnavailableError

if TYPE_CHECKING:
    import aiohttp

    from tests.support.wire import Wire

MB = 1024 * 1024
CALL = Call("IMM", "GetTask", "task T", Credentials("K", "the-secret-of-the-user", "CAIS" + "t" * 600))


async def send(
    session: aiohttp.ClientSession, url: str, *, timeout: float = 30.0, proxy: str | None = None
) -> Answer:
    return await CALL.send(session, "POST", url, headers={}, timeout=timeout, proxy=proxy)


async def test_an_answer_arrives_whole(session: aiohttp.ClientSession, wire: Wire) -> None:
    body = bytes(range(256)) * 4096
    wire.answer(418, body, X_Name="value")
    answer = await send(session, f"{wire.url}/?a=%2F+b")
    assert (answer.status, answer.body, answer.headers["x-name"]) == (418, body, "value")
    assert not answer.ok
    (request,) = wire.requests
    assert request.target == "/?a=%2F+b"
    assert request.headers["accept-encoding"] == "identity"
    assert "content-type" not in request.headers


async def test_a_redirection_is_not_followed(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answer(302, "", Location=f"{wire.url}/elsewhere")
    assert (await send(session, wire.url)).status == 302
    assert len(wire.requests) == 1


async def test_cookies_are_not_kept(session: aiohttp.ClientSession, wire: Wire) -> None:
    for _ in range(2):
        wire.answer(200, "", Set_Cookie="a=b")
        await send(session, wire.url)
    assert all("cookie" not in request.headers for request in wire.requests)


class TestSizes:
    async def test_a_compressed_answer_does_not_grow(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        packed = gzip.compress(bytes(300 * MB), 1)
        wire.answer(200, packed, Content_Encoding="gzip")
        tracemalloc.start()
        try:
            answer = await send(session, wire.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.body == packed
        assert peak < 40 * MB

    async def test_an_endless_answer_is_broken_off(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, itertools.repeat(b"x" * 65536))
        with pytest.raises(OSSUnavailableError, match=f"larger than {MAX_ANSWER_BYTES} bytes"):
            await send(session, wire.url)
        assert wire.sent < MAX_ANSWER_BYTES + 20 * MB

    @pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
    async def test_the_limit(self, wire: Wire, size: int, fits: bool) -> None:
        wire.answer(200, b"x" * size)
        async with open_session(max_answer_bytes=1000) as session:
            if fits:
                assert len((await send(session, wire.url)).body) == size
            else:
                with pytest.raises(OSSUnavailableError, match="larger than 1000 bytes"):
                    await send(session, wire.url)

    async def test_a_slow_answer_has_an_end_too(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.trickle = 0.05
        wire.answer(200, "x" * 1000)
        with pytest.raises(OSSUnavailableError, match=r"no answer from 127.0.0.1 within 0.3 s"):
            await send(session, wire.url, timeout=0.3)


class TestSecrets:
    @pytest.mark.parametrize("status", [403, 407, 502])
    async def test_the_password_of_a_proxy(
        self, session: aiohttp.ClientSession, wire: Wire, status: int
    ) -> None:
        wire.respond = lambda request: (status, "no")
        proxy = wire.url.replace("//", "//someone:pass%40word-of-proxy@")
        with pytest.raises(OSSUnavailableError, match=str(status)) as caught:
            await send(session, "https://imm.cn-hangzhou.aliyuncs.com", proxy=proxy)
        text = str(caught.value) + repr(vars(caught.value))
        assert "word-of-proxy" not in text
        assert "someone" not in text
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_what_the_service_repeats(self) -> None:
        told = f"you sent {CALL.credentials.security_token} and {CALL.credentials.access_key_secret}"
        error = CALL.error(Answer(400, {}, b""), code="X", detail=told, request_id="R")
        assert error.detail == "you sent *** and ***"
        assert "CAIS" not in str(error)
        assert "CAIS" not in CALL.unavailable(told).detail


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoPermission", 403, OSSServiceError),
        # Without a code it is not the service's; a redirection and a success are no refusal either.
        ("", 403, OSSUnavailableError),
        ("NoPermission", 302, OSSUnavailableError),
        ("NoPermission", 200, OSSUnavailableError),
    ],
)
def test_what_is_the_services(code: str, status: int, kind: type[Exception]) -> None:
    assert type(CALL.error(Answer(status, {}, b""), code=code, detail="no", request_id="R")) is kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1500", 1.5), (" 20 ", 0.02), ("0", None), ("-5", None), ("", None), ("1.5", None), ("9" * 5000, None),
     ("1e3", None), ("٣", None)],
)  # fmt: skip
def test_retry_after_is_in_milliseconds(text: str, seconds: float | None) -> None:
    assert Answer(503, {"x-acs-retry-after": text}, b"").retry_after == seconds


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("host", Endpoint("https", "host")),
        ("http://host:80/", Endpoint("http", "host:80")),
        (" [::1]:8080 ", Endpoint("https", "[::1]:8080")),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text, service="IMM") == endpoint
    assert Endpoint.parse(str(endpoint), service="IMM") == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "ftp://host", "user:word@host", "host/path", "a b", "host?x=1", "host#x", "a\u200bb", "x" * 300],
)
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(OSSConnectionError, match="The IMM endpoint must be a host name"):
        Endpoint.parse(text, service="IMM")


@pytest.mark.parametrize(
    ("status", "ok"), [(199, False), (200, True), (204, True), (299, True), (300, False)]
)
def test_only_2xx_is_ok(status: int, ok: bool) -> None:
    assert Answer(status, {}, b"").ok is ok
