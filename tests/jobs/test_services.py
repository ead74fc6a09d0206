from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.jobs.services import OUTPUT_SEARCHES, Services
from airflow_provider_oss_async.jobs.timing import Timing

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.poller import JobPoller


async def test_each_has_intervals_and_searches_of_its_own() -> None:
    unused: Any = object()
    poller: JobPoller = unused
    first, second = (Services(oss=unused, imm=unused, smq=None, poller=poller) for _ in range(2))
    assert first.timing == Timing()
    assert first.queue_consumer is None
    assert first.output_searches is not second.output_searches
    for _ in range(OUTPUT_SEARCHES):
        await asyncio.wait_for(first.output_searches.acquire(), 1)
    assert first.output_searches.locked()
    assert not second.output_searches.locked()
