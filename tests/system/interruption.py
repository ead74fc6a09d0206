"""Where on the wire something happens to the worker of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``begin``: a worker has rendered the task's templates. ``intent``, ``record``: the two writes to the task
#: state store. ``submit``, ``poll``: the requests AsyncProcessObject and GetTask. ``success``, ``deferred``:
#: what the worker reports of the task.
Event = Literal["begin", "intent", "submit", "record", "poll", "success", "deferred", ""]
#: ``kill``: SIGKILL to the worker, supervisor and task. ``kill task``: to the task alone. ``suspend``:
#: SIGSTOP to both, until they are resumed. ``drop``: only the answer is lost. ``refuse``: nothing is done,
#: and the answer is an error.
Action = Literal["kill", "kill task", "suspend", "drop", "refuse"]
_WORDS = {"submit": "request", "poll": "GetTask", "deferred": "deferral"}
_DONE = {"kill": "killed", "kill task": "task killed", "suspend": "suspended", "drop": "answer lost"}


@dataclass(frozen=True)
class Interruption:
    """What happens to the worker of a task, and where. Happens once for each task instance.

    :param event: at which request.
    :param answered: after the request was carried out, before the worker gets the answer; else before it.
    :param nth: at which of such requests of the task, from 1. ``refuse`` answers as many; 0: all until
        Airflow has told the worker that its task was stopped.
    :param action: what happens.
    :param error: HTTP status, code and message of OSS's answer, for ``refuse``.
    """

    event: Event
    answered: bool = False
    nth: int = 1
    action: Action = "kill"
    error: tuple[int, str, str] = (429, "TooManyRequests", "Slow down.")

    def __str__(self) -> str:
        place = f"{'after' if self.answered else 'before'} {_WORDS.get(self.event, self.event)}"
        done = f"{self.error[0]}" if self.action == "refuse" else _DONE[self.action]
        return f"{done} {place}{f' {self.nth}' if self.nth > 1 else ''}"
