from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.clients.http import open_session
from tests.support.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import aiohttp


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as started:
        yield started


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as opened:
        yield opened
