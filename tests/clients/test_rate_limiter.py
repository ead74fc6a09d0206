from __future__ import annotations

import asyncio
import logging
import time

import pytest

from airflow_provider_oss_async.clients.rate_limiter import (
    MAX_PAUSE,
    MAX_SLOWDOWN,
    AdaptiveRate,
    RateLimiter,
)
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError


async def test_the_rate_halves_and_recovers() -> None:
    rate = AdaptiveRate(1000)
    rate.slow_down(0.05)
    rate.slow_down(0.05)
    assert rate.slowdown == 4
    begun = time.monotonic()
    await rate.acquire()
    assert time.monotonic() - begun > 0.04
    for _ in range(60):
        rate.speed_up()
    assert rate.slowdown == 1
    for _ in range(30):
        rate.slow_down(0)
    assert rate.slowdown == MAX_SLOWDOWN


async def test_requests_are_spaced() -> None:
    rate = AdaptiveRate(50)
    begun = time.monotonic()
    for _ in range(6):
        await rate.acquire()
    assert 0.09 < time.monotonic() - begun < 1


async def test_requests_that_were_under_way_slow_down_once() -> None:
    rate = AdaptiveRate(1000)
    sent = [await rate.acquire() for _ in range(8)]
    for moment in sent:
        rate.slow_down(0.05, moment)
    assert rate.slowdown == 2
    rate.slow_down(0.05, await rate.acquire())
    assert rate.slowdown == 4


async def test_a_pause_holds_for_requests_that_already_wait() -> None:
    rate = AdaptiveRate(10)
    await rate.acquire()
    waiting = asyncio.create_task(rate.acquire())
    await asyncio.sleep(0.02)
    rate.slow_down(0.3)
    begun = time.monotonic()
    await waiting
    assert time.monotonic() - begun > 0.25


def test_a_pause_has_an_end() -> None:
    rate = AdaptiveRate(10)
    rate.slow_down(999_999.0)
    assert MAX_PAUSE - 1 < rate._paused_until - time.monotonic() <= MAX_PAUSE


async def test_a_bounded_number_of_requests_at_once() -> None:
    limiter = RateLimiter(10_000, concurrency=3)
    under_way = most = 0

    async def request() -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return 7

    assert await asyncio.gather(*(limiter.run(request) for _ in range(12))) == [7] * 12
    assert most == 3


async def test_every_request_is_counted_and_throttling_slows_all_down() -> None:
    counted: list[str] = []
    limiter = RateLimiter(10_000, count=counted.append)

    async def throttled() -> None:
        raise OSSThrottledError("slow down", retry_after=0.01)

    async def refused() -> None:
        raise OSSServiceError("no")

    with pytest.raises(OSSThrottledError):
        await limiter.run(throttled)
    assert limiter.rate.slowdown == 2
    with pytest.raises(OSSServiceError):
        await limiter.run(refused)
    # A refusal is an answer too: it speeds up again.
    assert limiter.rate.slowdown < 2
    assert counted == ["imm_requests", "imm_throttled", "imm_requests"]


async def test_an_outage_is_logged_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limiter = RateLimiter(10_000)

    async def down() -> None:
        raise OSSUnavailableError("nobody answers")

    async def up() -> None:
        return None

    for _ in range(3):
        with pytest.raises(OSSUnavailableError):
            await limiter.run(down)
    await limiter.run(up)
    await limiter.run(up)
    texts = [record.message for record in caplog.records]
    assert [("cannot be reached" in text, "answers again" in text) for text in texts] == [
        (True, False),
        (False, True),
    ]
