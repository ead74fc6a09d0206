"""A cursor over the end times of a project's tasks: shows each ended task once, whatever is waiting.

``ListTasks`` sorted by ``EndTime``, from the last end time seen minus an overlap
(https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-listtasks). So N waiting jobs
cost one request a poll, plus one for each hundred that have ended.

The overlap is for tasks that are listed behind others that ended later. It begins long, and becomes shorter
while no task comes out of order, since everything in it is read again. What was shown lately is remembered,
for jobs that are waited for only after that.
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
MAX_PAGES_WITHOUT_NEW = 2
#: New tasks in a read, at least, for their order to tell something of the service.
ENOUGH_TASKS = 20
#: By how much the overlap is divided by a read in order, and by how much it exceeds the disorder seen.
OVERLAP_SHRINKS, OVERLAP_MARGIN = 16.0, 4.0
#: Seconds by which clocks of OSS (submission), IMM (end) and this machine may differ.
CLOCK_SKEW = 5.0


@dataclass(frozen=True, slots=True)
class CursorTiming:
    """Intervals of the cursor in seconds. How late the service lists ended tasks is not documented.

    :param overlap: before the last end time seen that is read again at first, and remembered.
    :param min_overlap: what it shrinks to while no task is listed out of order.
    :param lateness: after its end at which a task is certain to be listed: one that is not shown then proves
        that the cursor cannot be relied on.
    :param unseen_after: after which a job that the cursor has not shown is polled by itself.
    :param single_interval: between two such polls.
    :param suspension: for which a cursor that has not shown an ended job is not used, or its overlap does not
        shrink.
    """

    overlap: float = 15.0
    min_overlap: float = 0.25
    lateness: float = 80.0
    unseen_after: float = 300.0
    single_interval: float = 3.0
    suspension: float = 3600.0


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
        #: Seconds before the position that the next read begins.
        self.overlap = timing.overlap
        self._shrink_from = 0.0
        self._rewound = True
        #: End time and task by id, of those that ended in the last ``timing.overlap`` seconds.
        self._recent: dict[str, tuple[float, TaskInfo]] = {}

    def recent(self, task_id: str) -> TaskInfo | None:
        """Return a task that has been shown lately."""
        found = self._recent.get(task_id)
        return found[1] if found is not None else None

    def covers(self, moment: float) -> bool:
        """Whether tasks that end after a moment (epoch seconds) are shown by later reads, or were lately."""
        return self._position is not None and moment - CLOCK_SKEW >= self._position - self._timing.overlap

    def rewind(self, moment: float) -> None:
        """Have the next read begin no later than at a moment, in epoch seconds."""
        moment -= CLOCK_SKEW
        self._rewound = True
        self._position = moment if self._position is None else min(self._position, moment)

    def passed(self, ended_at: float) -> bool:
        """Whether no later read shows a task that ended at a time, for the overlap has become too short."""
        return (
            self._position is not None
            and self.overlap < self._timing.overlap
            and ended_at < self._position - self.overlap
        )

    def widen(self, ended_at: float) -> None:
        """Read again from a time on, and leave the overlap long: a task that ended then was not shown."""
        self.overlap = self._timing.overlap
        self._shrink_from = time.monotonic() + self._timing.suspension
        self.rewind(ended_at)

    def should_have_shown(self, ended_at: float) -> bool:
        """Whether a task that ended at a time must have been shown by the last read, or one before."""
        return ended_at + self._timing.lateness < self.read_at

    async def read(self) -> AsyncIterator[list[TaskInfo]]:
        """Yield the pages of tasks that have ended since the last read, the overlap included.

        :raises OSSServiceError: the service refuses, or its pages do not end.
        :raises OSSUnavailableError: no usable answer.
        """
        began = time.time()
        passed = position = began if self._position is None else self._position
        start = datetime.fromtimestamp(max(0.0, position - self.overlap), UTC)
        token: str | None = None
        tokens: set[str] = set()
        ids: set[str] = set()
        without_new = new = 0
        disorder = 0.0
        for _ in range(MAX_PAGES):
            tasks, token = await self._list_page(start, token)
            for info in tasks:
                moment = epoch(info.end_time)
                # Nothing foreign is believed unchecked: a time in the future would hide what ends until then.
                if moment is None or moment > began + CLOCK_SKEW:
                    continue
                position = max(position, moment)
                if info.task_id not in self._recent:
                    new += 1
                    disorder = max(disorder, passed - moment)
                    self._recent[info.task_id] = moment, info
            self._forget(position - self._timing.overlap)
            yield tasks
            if token is None:
                break
            fresh = {info.task_id for info in tasks} - ids
            ids |= fresh
            without_new = 0 if fresh else without_new + 1
            if token in tokens or without_new > MAX_PAGES_WITHOUT_NEW:
                raise OSSServiceError(
                    "IMM ListTasks repeats its pages when it lists tasks by their end",
                    service="IMM",
                    action="ListTasks",
                )
            tokens.add(token)
        # What a rewound cursor shows for the first time need not have been listed late.
        if not self._rewound:
            self._adapt(new, disorder)
        self._rewound = False
        self._position, self.read_at = position, began

    def _forget(self, before: float) -> None:
        """Forget what ended before a time; tasks come in the order of their ends, but for a few."""
        while self._recent:
            task_id = next(iter(self._recent))
            if self._recent[task_id][0] >= before:
                return
            del self._recent[task_id]

    def _adapt(self, new: int, disorder: float) -> None:
        """Fit the overlap to the order in which tasks are listed.

        :param new: tasks that no read has shown before.
        :param disorder: seconds by which one of them ended before others that were shown before it.
        """
        longest = self._timing.overlap
        if disorder * OVERLAP_MARGIN > self.overlap:
            self.overlap = min(longest, disorder * OVERLAP_MARGIN)
        elif new >= ENOUGH_TASKS and time.monotonic() >= self._shrink_from:
            least = max(self._timing.min_overlap, disorder * OVERLAP_MARGIN)
            self.overlap = min(longest, max(least, self.overlap / OVERLAP_SHRINKS))


def epoch(text: str) -> float | None:
    """Return a time of IMM in epoch seconds; ``None`` where it is not one."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
