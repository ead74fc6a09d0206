from __future__ import annotations

import time

import pytest

from airflow_provider_oss_async.clients.retry import (
    Backoff,
    backoff_attempts,
    jitter,
    retry,
    warn_rate_limited,
)
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError

SHORT = Backoff(0.02, 0.05)


def test_intervals_grow_to_the_longest() -> None:
    backoff, interval, seen = Backoff(2.0, 30.0, 1.5), 0.0, []
    for _ in range(9):
        interval = backoff.after(interval)
        seen.append(interval)
    assert seen == [2.0, 3.0, 4.5, 6.75, 10.125, 15.1875, 22.78125, 30.0, 30.0]


def test_jitter_only_shortens() -> None:
    values = [jitter() for _ in range(500)]
    assert 0.8 <= min(values) < 0.85
    assert 0.95 < max(values) <= 1.0


async def test_attempts_come_at_intervals_and_the_last_one_is_told() -> None:
    begun, moments, lasts = time.time(), [], []
    async for last in backoff_attempts(begun + 0.2, Backoff(0.05, 0.05)):
        moments.append(time.time() - begun)
        lasts.append(last)
    assert moments[0] < 0.04
    assert moments[-1] >= 0.2
    assert 4 <= len(lasts) <= 7
    assert lasts == [False] * (len(lasts) - 1) + [True]


async def test_one_attempt_where_the_time_is_over() -> None:
    assert [last async for last in backoff_attempts(0.0, SHORT)] == [True]


@pytest.mark.parametrize("kind", [OSSUnavailableError, OSSThrottledError])
async def test_no_usable_answer_is_asked_for_again(kind: type[OSSServiceError]) -> None:
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise kind("no")
        return "yes"

    assert await retry(call, seconds=5.0, backoff=SHORT) == "yes"
    assert calls == 3


async def test_a_refusal_is_not() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise OSSServiceError("refused")

    with pytest.raises(OSSServiceError, match="refused"):
        await retry(call, seconds=5.0, backoff=SHORT)
    assert calls == 1


@pytest.mark.parametrize(("seconds", "until"), [(0.2, 0.0), (0.0, 0.2)])
async def test_it_ends_with_the_last_error(seconds: float, until: float) -> None:
    calls, begun = 0, time.time()

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise OSSUnavailableError(f"no answer {calls}")

    with pytest.raises(OSSUnavailableError) as caught:
        await retry(call, seconds=seconds, until=begun + until, backoff=SHORT)
    assert 0.2 <= time.time() - begun < 2
    assert calls > 3
    assert str(caught.value) == f"no answer {calls}"


def test_warnings_of_many_jobs_are_few(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        warn_rate_limited("a text of this test: %s", number)
    warn_rate_limited("another text of this test: %s", 1)
    texts = [record.message for record in caplog.records]
    assert texts == ["a text of this test: 0", "another text of this test: 1"]
