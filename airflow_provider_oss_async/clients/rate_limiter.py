"""The pace at which an account is asked: one line for all requests, slower when the service says so."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_oss_async.clients.retry import seldom
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError
from airflow_provider_oss_async.jobs.job import RATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Requests at once.
_PARALLEL = 8
#: Seconds that the service can have all requests of an account wait at most.
LONGEST_PAUSE = 300.0


@dataclass(slots=True)
class Pace:
    """Spaces the requests of one account, and slows down when the service asks for it.

    :param rate: requests a second at most.
    """

    rate: float = RATE
    slowness: float = field(default=1.0, init=False)
    _next: float = field(default=0.0, init=False)
    _paused_until: float = field(default=0.0, init=False)
    _slowed_at: float = field(default=0.0, init=False)

    async def turn(self) -> float:
        """Wait until the next request may go out, and return when that was."""
        while True:
            now = time.monotonic()
            slot = max(now, self._next, self._paused_until)
            self._next = slot + self.slowness / self.rate
            if slot > now:
                await asyncio.sleep(slot - now)
            # Whoever was asleep when all were told to pause gets in line again.
            if slot >= self._paused_until:
                return slot

    def slow_down(self, retry_after: float | None, sent_at: float | None = None) -> None:
        """Halve the rate and send nothing for a while.

        :param retry_after: seconds the service asked for, if it did; at most 5 minutes are granted.
        :param sent_at: when the throttled request went out. Those that were under way when all were told to
            slow down do not count again.
        """
        now = time.monotonic()
        if sent_at is not None and sent_at < self._slowed_at:
            return
        self._slowed_at = now
        self.slowness = min(self.slowness * 2, 64.0)
        pause = retry_after if retry_after is not None else self.slowness * random.uniform(0.5, 1.0)  # noqa: S311
        self._paused_until = max(self._paused_until, now + min(pause, LONGEST_PAUSE))

    def speed_up(self) -> None:
        """Return towards the full rate, a little for each answer."""
        self.slowness = max(1.0, self.slowness * 0.97)


class Line:
    """The line in which all requests of the account stand: a few at once, at the account's pace.

    :param rate: requests a second at most.
    """

    def __init__(self, rate: float) -> None:
        self.pace = Pace(rate)
        self._parallel = asyncio.Semaphore(_PARALLEL)
        self._failing_since: float | None = None

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """Send a request when its turn has come; takes note of throttling and outages, and passes them on."""
        async with self._parallel:
            sent_at = await self.pace.turn()
            try:
                answer = await request()
            except OSSThrottledError as error:
                seldom("IMM asks to slow down; all looks at jobs come later: %s", error)
                self.pace.slow_down(error.retry_after, sent_at)
                raise
            except OSSUnavailableError as error:
                if self._failing_since is None:
                    self._failing_since = time.monotonic()
                    log.warning("All jobs wait on, although IMM cannot be asked: %s", error)
                raise
            except OSSServiceError:
                self._answered()
                raise
            self._answered()
            return answer

    def _answered(self) -> None:
        self.pace.speed_up()
        if self._failing_since is not None:
            log.info("IMM answers again after %.0f s", time.monotonic() - self._failing_since)
            self._failing_since = None
