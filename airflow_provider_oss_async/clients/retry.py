"""Asking again, ever more rarely, while a service is out of reach or asks to slow down."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_oss_async.exceptions import OSSThrottledError, OSSUnavailableError
from airflow_provider_oss_async.jobs.job import CEILING, FLOOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")

log = logging.getLogger(__name__)

#: How much longer each further pause is.
GROWTH = 1.5
#: Seconds for which a question is repeated, unless the caller says otherwise.
PATIENCE = 60.0
#: Seconds between two lines of the log with the same text.
SILENCE = 10.0
_silent_until: dict[str, float] = {}


def jitter() -> float:
    """Return the part of a pause to wait, so that many do not ask at the same moment for ever."""
    return random.uniform(0.8, 1.0)  # noqa: S311


async def pauses(until: float, floor: float, ceiling: float) -> AsyncIterator[bool]:
    """Yield at once, then after pauses that grow from ``floor`` to ``ceiling`` seconds, jittered.

    :param until: epoch seconds at which the last turn comes.
    :return: whether this is the last turn.
    """
    pause = floor
    while True:
        last = time.time() >= until
        yield last
        if last:
            return
        await asyncio.sleep(min(pause * jitter(), max(0.0, until - time.time())))
        pause = min(pause * GROWTH, ceiling)


def seldom(text: str, value: object) -> None:
    """Warn of what thousands may have to say at once, each text once in a while.

    In a triggerer a line of the log is a blocking call.

    :param text: with one ``%s`` for the value.
    """
    now = time.monotonic()
    if now >= _silent_until.get(text, 0.0):
        _silent_until[text] = now + SILENCE
        log.warning(text, value)


async def persist(ask: Callable[[], Awaitable[T]], until: float = 0.0) -> T:
    """Return the answer to a question, which is repeated while the service cannot give one.

    :param until: epoch seconds at which it is asked for the last time, if that is later than in a minute.
    :raises OSSThrottledError: the service still asked to slow down.
    :raises OSSUnavailableError: there still was no usable answer.
    """
    async for last in pauses(max(until, time.time() + PATIENCE), FLOOR, CEILING):
        try:
            return await ask()
        except (OSSThrottledError, OSSUnavailableError) as error:
            if last:
                raise
            seldom("Asking again in a while: %s", error)
    raise AssertionError("unreachable")  # pragma: no cover
