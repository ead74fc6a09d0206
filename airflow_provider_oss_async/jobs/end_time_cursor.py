"""A cursor over the end times of a project's tasks: shows each ended task once, whatever is waiting.

``ListTasks`` sorted by ``EndTime``, from the last end time seen minus an overlap
(https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-listtasks). So N waiting jobs
cost one request a poll, plus one for each hundred that have ended.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import OSSServiceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_provider_oss_async.clients.imm import TaskInfo

    #: Returns one page of the tasks that ended at a time or later, the earliest first, and the next token.
    ListPage = Callable[[datetime, str | None], Awaitable[tuple[list[TaskInfo], str | None]]]

#: Pages of 100 tasks that one read takes at most; the next read goes on behind them.
MAX_PAGES = 200
#: Pages without a new task, after which the service is taken to repeat itself.
MAX_BARREN_PAGES = 2
#: Seconds by which clocks of OSS (submission), IMM (end) and this machine may differ.
CLOCK_SKEW = 5.0


@dataclass(frozen=True, slots=True)
class CursorTiming:
    """Intervals of the cursor in seconds. How late the service lists ended tasks is not documented.

    :param overlap: before the last end time seen that is read again.
    :param lateness: after its end at which a task is certain to be listed: one that is not shown then proves
        that the cursor cannot be relied on.
    :param unseen_after: after which a job that the cursor has not shown is polled by itself.
    :param single_interval: between two such polls.
    :param distrust: for which a cursor that has not shown an ended job is not used.
    """

    overlap: float = 15.0
    lateness: float = 80.0
    unseen_after: float = 300.0
    single_interval: float = 3.0
    distrust: float = 3600.0


class EndTimeCursor:
    """Where reading of ended tasks has come to. Not safe for two reads at once.

    :param list_page: reads one page.
    :param timing: intervals.
    """

    def __init__(self, list_page: ListPage, timing: CursorTiming) -> None:
        self._list_page = list_page
        self._timing = timing
        #: End time up to which all tasks have been seen, in epoch seconds of the service.
        self._position: float | None = None
        #: When the last complete read began, in epoch seconds.
        self.read_at = 0.0

    def covers(self, moment: float) -> bool:
        """Whether tasks that end after a moment (epoch seconds) will be shown by the next read."""
        return self._position is not None and moment - CLOCK_SKEW >= self._position - self._timing.overlap

    def rewind(self, moment: float) -> None:
        """Have the next read begin no later than at a moment, in epoch seconds."""
        moment -= CLOCK_SKEW
        self._position = moment if self._position is None else min(self._position, moment)

    def should_have_shown(self, ended_at: float) -> bool:
        """Whether a task that ended at a time must have been shown by the last read, or one before."""
        return ended_at + self._timing.lateness < self.read_at

    async def read(self) -> AsyncIterator[list[TaskInfo]]:
        """Yield the pages of tasks that have ended since the last read, the overlap included.

        :raises OSSServiceError: the service refuses, or its pages do not end.
        :raises OSSUnavailableError: no usable answer.
        """
        began = time.time()
        position = began if self._position is None else self._position
        start = datetime.fromtimestamp(max(0.0, position - self._timing.overlap), UTC)
        token: str | None = None
        tokens: set[str] = set()
        ids: set[str] = set()
        barren = 0
        for _ in range(MAX_PAGES):
            tasks, token = await self._list_page(start, token)
            ended = [moment for info in tasks if (moment := epoch(info.end_time)) is not None]
            # Nothing foreign is believed unchecked: a time in the future would hide what ends until then.
            position = max([position, *(moment for moment in ended if moment <= began + CLOCK_SKEW)])
            yield tasks
            if token is None:
                break
            fresh = {info.task_id for info in tasks} - ids
            ids |= fresh
            barren = 0 if fresh else barren + 1
            if token in tokens or barren > MAX_BARREN_PAGES:
                raise OSSServiceError(
                    "IMM ListTasks repeats its pages when it lists tasks by their end",
                    service="IMM",
                    action="ListTasks",
                )
            tokens.add(token)
        self._position, self.read_at = position, began


def epoch(text: str) -> float | None:
    """Return a time of IMM in epoch seconds; ``None`` where it is not one."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
