from __future__ import annotations

import asyncio
import time

from airflow_provider_oss_async.clients import rate_limiter as module
from airflow_provider_oss_async.clients.rate_limiter import Pace


async def test_the_pace_halves_and_recovers() -> None:
    pace = Pace(1000)
    pace.slow_down(0.05)
    pace.slow_down(0.05)
    assert pace.slowness == 4
    begun = time.monotonic()
    await pace.turn()
    assert time.monotonic() - begun > 0.04
    for _ in range(60):
        pace.speed_up()
    assert pace.slowness == 1
    for _ in range(30):
        pace.slow_down(0)
    assert pace.slowness == 64


async def test_requests_that_were_under_way_slow_down_once() -> None:
    pace = Pace(1000)
    sent = [await pace.turn() for _ in range(8)]
    for moment in sent:
        pace.slow_down(0.05, moment)
    assert pace.slowness == 2
    pace.slow_down(0.05, await pace.turn())
    assert pace.slowness == 4


async def test_who_was_asleep_when_all_are_told_to_pause_pauses_too() -> None:
    pace = Pace(10)
    await pace.turn()
    asleep = asyncio.create_task(pace.turn())
    await asyncio.sleep(0.02)
    pace.slow_down(0.3)
    begun = time.monotonic()
    await asleep
    assert time.monotonic() - begun > 0.25


def test_a_pause_has_an_end() -> None:
    pace = Pace(10)
    pace.slow_down(999_999.0)
    assert pace._paused_until - time.monotonic() <= module.LONGEST_PAUSE
