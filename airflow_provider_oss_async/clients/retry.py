"""Retrying with backoff while a service cannot be reached or asks to slow down."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_oss_async.exceptions import OSSThrottledError, OSSUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between two lines of the log with the same text.
LOG_INTERVAL = 10.0
_next_log: dict[str, float] = {}


def jitter() -> float:
    """Return the random part of an interval to wait, 0.8 to 1: not all jobs are polled at one moment."""
    return random.uniform(0.8, 1.0)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Backoff:
    """Intervals that grow.

    :param min_interval: the first one in seconds.
    :param max_interval: the longest one in seconds.
    :param growth: factor from one to the next.
    """

    min_interval: float = 2.0
    max_interval: float = 30.0
    growth: float = 1.5

    def after(self, interval: float) -> float:
        """Return the interval that follows another; after 0 the first one."""
        return min(max(self.min_interval, interval * self.growth), self.max_interval)


#: How calls are repeated unless the caller says otherwise, and for how many seconds.
CALL_BACKOFF, CALL_RETRY_SECONDS = Backoff(), 60.0


async def backoff_attempts(until: float, backoff: Backoff) -> AsyncIterator[bool]:
    """Yield at once, and then after growing, jittered intervals.

    :param until: epoch seconds of the last attempt.
    :return: whether this is the last attempt.
    """
    interval = backoff.after(0.0)
    while True:
        last = time.time() >= until
        yield last
        if last:
            return
        await asyncio.sleep(min(interval * jitter(), max(0.0, until - time.time())))
        interval = backoff.after(interval)


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    until: float = 0.0,
    seconds: float = CALL_RETRY_SECONDS,
    backoff: Backoff = CALL_BACKOFF,
) -> T:
    """Return the result of a call that is repeated while the service gives no usable answer.

    :param until: epoch seconds of the last attempt, if that is later than in ``seconds``.
    :param seconds: how long to repeat it at least; default 60.
    :param backoff: intervals between the attempts; default 2 to 30 s.
    :raises OSSThrottledError: the service still asked to slow down.
    :raises OSSUnavailableError: there still was no usable answer.
    """
    async for last in backoff_attempts(max(until, time.time() + seconds), backoff):
        try:
            return await call()
        except (OSSThrottledError, OSSUnavailableError) as error:
            if last:
                raise
            warn_rate_limited("Retrying with backoff: %s", error)
    raise AssertionError("unreachable")  # pragma: no cover


def warn_rate_limited(text: str, value: object) -> None:
    """Warn of what thousands of jobs may report at once; each text at most every 10 seconds.

    In a triggerer a line of the log is a blocking call.

    :param text: with one ``%s`` for the value.
    """
    now = time.monotonic()
    if now >= _next_log.get(text, 0.0):
        _next_log[text] = now + LOG_INTERVAL
        log.warning(text, value)
