"""Where on the wire something happens to a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``begin``: a worker takes the task up. ``intent``, ``record``: the two writes to the task state store.
#: ``submit``, ``look``: the requests AsyncProcessObject and GetTask. ``success``, ``deferred``: what the
#: worker reports of the task.
Event = Literal["begin", "intent", "submit", "record", "look", "success", "deferred", ""]
_WORDS = {"submit": "request", "look": "GetTask", "deferred": "deferral"}


@dataclass(frozen=True)
class Strike:
    """Where the worker of a task is killed. Strikes once for each task instance.

    :param event: at which request.
    :param answered: after the request was carried out, before the worker learns it; else before it.
    :param nth: at the how-manieth such request of the task.
    :param lose: only lose the answer, and let the worker live.
    """

    event: Event
    answered: bool = False
    nth: int = 1
    lose: bool = False

    def __str__(self) -> str:
        place = f"{'after' if self.answered else 'before'} {_WORDS.get(self.event, self.event)}"
        times = f" {self.nth}" if self.nth > 1 else ""
        return f"answer lost {place}{times}" if self.lose else f"killed {place}{times}"
