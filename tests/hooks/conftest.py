from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def action(self) -> str:
        """IMM's action, or nothing for OSS."""
        return self.headers.get("x-acs-action", "")


@dataclass
class Wire:
    """A server that answers with whatever ``answer`` returns: status and body.

    :param headers: further headers of each answer.
    :param delay: seconds before an answer.
    :param trickle: seconds between two bytes of a body; 0 sends it at once.
    """

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], tuple[int, str]] = lambda request: (200, "")
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    trickle: float = 0.0


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(
                self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), headers
            )
            wire.requests.append(request)
            time.sleep(wire.delay)
            status, body = wire.answer(request)
            self.send_response(status)
            self.send_header("x-oss-request-id", "REQUEST-ID")
            for name, value in wire.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            with suppress(ConnectionError):
                self.send(body.encode())

        def send(self, body: bytes) -> None:
            size = 1 if wire.trickle else max(1, len(body))
            for start in range(0, len(body), size):
                self.wfile.write(body[start : start + size])
                time.sleep(wire.trickle)

        do_GET = do_POST = do_PUT = do

        def do_CONNECT(self) -> None:
            """Refuse as a proxy that cannot reach the host."""
            wire.requests.append(Request(self.command, self.path, {}, {}))
            self.send_error(502)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    wire.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield wire
    server.shutdown()
    server.server_close()
    thread.join()
