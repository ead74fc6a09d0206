from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.conftest import session, wire
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.jobs.services import Services

__all__ = ["services", "session", "wire"]


@pytest.fixture
async def services(stand: Any) -> AsyncIterator[Services]:
    """The clients of the connection to the stand-in."""
    async with quick_services(stand.settings()) as opened:
        yield opened
