"""A server on loopback that answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class Asked:
    method: str
    target: str  # path and query as they came over the wire
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass
class Wire:
    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: deque[tuple[int, bytes, dict[str, str], str]] = field(default_factory=deque)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, status: int = 200, body: str | bytes = b"", *, fault: str = "", **headers: str) -> None:
        """Queue an answer. Faults: ``hang`` (no answer), ``cut`` (half of it), ``drop`` (just close)."""
        content = body.encode() if isinstance(body, str) else body
        self.answers.append((status, content, {k.replace("_", "-"): v for k, v in headers.items()}, fault))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {k.lower(): v for k, v in request.headers.items()}
        self.asked.append(Asked(request.method, request.raw_path, headers, await request.read()))
        self.arrived.set()
        status, content, extra, fault = self.answers.popleft()
        if fault == "hang":
            await self.released.wait()
        if fault == "drop":
            assert request.transport is not None
            request.transport.close()
        if fault == "cut":
            response = web.StreamResponse(status=status, headers={"content-length": str(len(content))})
            await response.prepare(request)
            await response.write(content[: len(content) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(status=status, body=content, headers=extra)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    fake = Wire()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as server:
        fake.host = f"127.0.0.1:{server.port}"
        yield fake
        fake.released.set()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened
