"""A server on loopback that answers what a test tells it to, and remembers what it was asked.

It runs in a thread, so that synchronous and asynchronous clients can be tested against it. It is also a proxy
that refuses: ``CONNECT`` is a request like any other.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

#: ``hang``: no answer before :attr:`Wire.released`; ``cut``: half of the body; ``drop``: the connection is
#: closed; ``raw``: the body is sent as it is, without status line and headers.
Fault = Literal["", "hang", "cut", "drop", "raw"]


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire.

    :param target: path and query, not decoded.
    :param headers: names in lower case.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query_text(self) -> str:
        return self.target.partition("?")[2]

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.query_text, keep_blank_values=True)

    @property
    def action(self) -> str:
        """IMM's action, or nothing for other services."""
        return self.headers.get("x-acs-action", "")


@dataclass(frozen=True)
class Answer:
    """What to answer.

    :param body: a text, bytes, or chunks of bytes, which may be endless.
    """

    status: int = 200
    body: str | bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Fault = ""


class Wire:
    """The server; a context manager.

    :ivar requests: all requests so far.
    :ivar respond: called for each request that no answer was queued for; returns an :class:`Answer`, or
        status and body.
    :ivar headers: further headers of each answer.
    :ivar delay: seconds before each answer.
    :ivar trickle: seconds between two bytes of a body; 0 sends it at once.
    :ivar sent: bytes of bodies that were sent.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.respond: Callable[[Request], Answer | tuple[int, str]] = lambda request: (500, "not expected")
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.trickle = 0.0
        self.sent = 0
        self.released = threading.Event()
        self._answers: deque[Answer] = deque()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"

    def answer(
        self,
        status: int = 200,
        body: str | bytes | Iterable[bytes] = b"",
        *,
        fault: Fault = "",
        **headers: str,
    ) -> None:
        """Queue an answer; underscores in the names of headers become hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._answers.append(Answer(status, body, named, fault))

    def next_answer(self, request: Request) -> Answer:
        self.requests.append(request)
        time.sleep(self.delay)
        if self._answers:
            return self._answers.popleft()
        answer = self.respond(request)
        return answer if isinstance(answer, Answer) else Answer(*answer)

    async def arrived(self, count: int = 1, seconds: float = 10.0) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler_for(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = wire.next_answer(Request(self.command, self.path, headers, content))
            if answer.fault == "hang":
                wire.released.wait(60)
            if answer.fault == "drop":
                self.close_connection = True
                return
            with suppress(ConnectionError):
                self.send(answer)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = do

        def send(self, answer: Answer) -> None:
            body = answer.body.encode() if isinstance(answer.body, str) else answer.body
            if answer.fault != "raw":
                self.send_response_only(answer.status)
                date = {"Date": formatdate(usegmt=True)}
                for name, value in {**date, **wire.headers, **answer.headers}.items():
                    self.send_header(name, value)
                if isinstance(body, bytes):
                    self.send_header("Content-Length", str(len(body)))
                else:
                    self.send_header("Connection", "close")
                self.end_headers()
            if answer.fault == "cut" and isinstance(body, bytes):
                body = body[: len(body) // 2]
            self.close_connection |= bool(answer.fault in ("cut", "raw") or not isinstance(body, bytes))
            if self.command == "HEAD":
                return
            for chunk in _chunks(body, 1 if wire.trickle else 65536) if isinstance(body, bytes) else body:
                self.wfile.write(chunk)
                wire.sent += len(chunk)
                if wire.trickle:
                    time.sleep(wire.trickle)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _chunks(body: bytes, size: int) -> Iterable[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))
