from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.wire import Request, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


def empty(request: Request) -> tuple[int, str]:
    """Answer with nothing, and refuse as a proxy that cannot reach the host."""
    return (502 if request.method == "CONNECT" else 200), ""


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A server that answers whatever ``respond`` returns, as OSS does."""
    with Wire() as wire:
        wire.headers = {"x-oss-request-id": "REQUEST-ID"}
        wire.respond = empty
        yield wire
