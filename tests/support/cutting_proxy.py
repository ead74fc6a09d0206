"""A proxy before the stand-in that goes down at an exact request, as if the process behind it was killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding", "content-length"}

#: What to do at a request: pass it on (``None``); go down before or after it has been carried out, so that
#: its answer is not seen; or carry it out and hold its answer, as if the process behind it was stopped.
Verdict = Literal["before", "after", "hold"] | None


class CuttingProxy:
    """Passes requests on, until it goes down for good.

    :param upstream: address of the stand-in.
    :param rule: asked for each request with its action and the number of requests of that action.
    """

    def __init__(self, upstream: str, rule: Callable[[str, int], Verdict]) -> None:
        self._upstream = upstream
        self._rule = rule
        self.down = asyncio.Event()
        self.held, self.release = asyncio.Event(), asyncio.Event()
        self.url = ""
        self.requests: Counter[str] = Counter()
        self._connections: set[Any] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        action = _action(request)
        self.requests[action] += 1
        verdict = None if self.down.is_set() else self._rule(action, self.requests[action])
        if verdict == "before":
            self.down.set()
        if self.down.is_set():
            return _abort(request)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_PASSED_ON}
        async with self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=headers,
            data=body,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as answer:
            content = await answer.read()
        if verdict == "after":
            self.down.set()
        if verdict == "hold":
            self.held.set()
            await self.release.wait()
        if self.down.is_set():
            return _abort(request)
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _NOT_PASSED_ON}
        if request.method == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=kept, body=content or None)


def _action(request: web.BaseRequest) -> str:
    if "x-acs-action" in request.headers:
        return request.headers["x-acs-action"]
    if "append" in request.query:
        return "append"
    if "x-oss-async-process" in request.query:
        return "process"
    return request.method


def _abort(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
