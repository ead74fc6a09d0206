"""An adaptive rate limiter for all requests to one account: slower when the service says so."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_oss_async.clients.retry import warn_rate_limited
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Requests a second by default. A project takes 100 for all APIs, which it shares with other tools.
DEFAULT_RATE = 20.0
#: Requests at once.
MAX_CONCURRENCY = 8
#: Seconds that the service can have all requests of an account wait at most.
MAX_PAUSE = 300.0
#: How much slower than the configured rate throttling can make it, and how fast it recovers with each answer.
MAX_SLOWDOWN, RECOVERY = 64.0, 0.97


class AdaptiveRate:
    """Spaces requests, and slows down when the service asks for it.

    :param rate: requests a second at most.
    """

    __slots__ = ("_next", "_paused_until", "_slowed_at", "rate", "slowdown")

    def __init__(self, rate: float = DEFAULT_RATE) -> None:
        self.rate = rate
        self.slowdown = 1.0
        self._next = 0.0
        self._paused_until = 0.0
        self._slowed_at = 0.0

    async def acquire(self) -> float:
        """Wait until the next request may be sent; return the monotonic time of that."""
        while True:
            now = time.monotonic()
            slot = max(now, self._next, self._paused_until)
            self._next = slot + self.slowdown / self.rate
            if slot > now:
                await asyncio.sleep(slot - now)
            # A pause may have begun during the sleep.
            if slot >= self._paused_until:
                return slot

    def slow_down(self, retry_after: float | None, sent_at: float | None = None) -> None:
        """Halve the rate and send nothing for a while.

        :param retry_after: seconds the service asked for, if it did; at most 300 are granted.
        :param sent_at: when the throttled request was sent. Requests that were under way at the last
            slow-down do not count again.
        """
        now = time.monotonic()
        if sent_at is not None and sent_at < self._slowed_at:
            return
        self._slowed_at = now
        self.slowdown = min(self.slowdown * 2, MAX_SLOWDOWN)
        pause = retry_after if retry_after is not None else self.slowdown * random.uniform(0.5, 1.0)  # noqa: S311
        self._paused_until = max(self._paused_until, now + min(pause, MAX_PAUSE))

    def speed_up(self) -> None:
        """Return towards the full rate, a little for each answer."""
        self.slowdown = max(1.0, self.slowdown * RECOVERY)


class RateLimiter:
    """Sends the requests of one account: a bounded number at once, at an adaptive rate.

    :param rate: requests a second at most; default 20.
    :param concurrency: requests at once; default 8.
    :param count: called with ``imm_requests`` for each request, and ``imm_throttled`` for each throttled one.
    """

    def __init__(
        self,
        rate: float = DEFAULT_RATE,
        *,
        concurrency: int = MAX_CONCURRENCY,
        count: Callable[[str], None] | None = None,
    ) -> None:
        self.rate = AdaptiveRate(rate)
        self._count = count or _ignore
        self._slots = asyncio.Semaphore(concurrency)
        self._failing_since: float | None = None

    async def run(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request in its turn. Throttling and outages slow the others down, and are raised."""
        async with self._slots:
            sent_at = await self.rate.acquire()
            self._count("imm_requests")
            try:
                answer = await request()
            except OSSThrottledError as error:
                self._count("imm_throttled")
                warn_rate_limited("Requests are slowed down, because the service throttles them: %s", error)
                self.rate.slow_down(error.retry_after, sent_at)
                raise
            except OSSUnavailableError as error:
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
                    log.warning("The service cannot be reached; jobs are waited for all the same: %s", error)
                raise
            except OSSServiceError:
                self._answered()
                raise
            self._answered()
            return answer

    def _answered(self) -> None:
        self.rate.speed_up()
        if self._failing_since is not None:
            log.info("The service answers again after %.0f s", time.monotonic() - self._failing_since)
            self._failing_since = None


def _ignore(name: str) -> None:
    """Count nothing."""
