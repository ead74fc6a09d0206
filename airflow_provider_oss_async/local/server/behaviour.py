"""Switches for what no documentation says, where the service may differ from what this package assumes."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(slots=True)
class Behaviour:
    """How the stand-in behaves where nothing is documented. The defaults are what this package assumes.

    :param start_list_delay: seconds for which ``ListTasks`` does not show an accepted task.
    :param definitions: whether ``ListTasks`` returns the requests of media tasks.
    :param end_time_cursor: ``complete``; ``refused``: ``ListTasks`` cannot sort by the end; ``incomplete``:
        it then leaves out every second task.
    :param frame_suffix: what is appended to names of frames without ``{index}``; ``{stream}`` and ``{index}``
        in it are numbers.
    :param index_digits: least number of digits of ``{index}``.
    :param message_body: ``documented``, or ``foreign``: completion messages have a body nobody knows.
    :param info_body: ``documented``, or ``foreign``: ``video/info`` and ``audio/info`` have fields nobody
        knows.
    :param task_clock_offset: seconds by which the times of IMM's tasks are ahead of the clock of OSS.
    :param project_details: whether ``GetProject`` tells service role and limits.
    :param unknown_task_code: code for a task that IMM does not know.
    :param unknown_task_message: message for it.
    :param queue_timeout_code: code of a job that was queued for too long.
    :param queue_timeout_message: message of such a job; empty for one that names the limit.
    :param requests_per_second: requests to IMM that are answered in one second; 0 for all.
    :raises ValueError: a value is not allowed; says which.
    """

    start_list_delay: float = 0.0
    definitions: bool = True
    end_time_cursor: str = "complete"
    frame_suffix: str = "_{stream}_{index}"
    index_digits: int = 1
    message_body: str = "documented"
    info_body: str = "documented"
    task_clock_offset: float = 0.0
    project_details: bool = True
    unknown_task_code: str = "ResourceNotFound"
    unknown_task_message: str = "The specified resource Task is not found."
    queue_timeout_code: str = "QueueTimeout"
    queue_timeout_message: str = ""
    requests_per_second: int = 0
    _answered: deque[float] = field(default_factory=deque, init=False, repr=False)

    _CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {
        "end_time_cursor": ("complete", "refused", "incomplete"),
        "message_body": ("documented", "foreign"),
        "info_body": ("documented", "foreign"),
    }

    def __post_init__(self) -> None:
        wrong = [name for name, choices in self._CHOICES.items() if getattr(self, name) not in choices]
        if wrong:
            raise ValueError(
                "; ".join(f"{name} is one of {', '.join(self._CHOICES[name])}" for name in wrong)
            )
        if min(self.start_list_delay, self.requests_per_second) < 0 or not 1 <= self.index_digits <= 9:
            raise ValueError("start_list_delay and requests_per_second are 0 or more, index_digits is 1 to 9")

    @classmethod
    def read(cls, data: dict[str, Any]) -> Behaviour:
        """Read it from JSON data.

        :raises ValueError: an unknown name or a value that is not allowed; says which.
        """
        known = {item.name: type(item.default) for item in fields(cls) if item.init}
        wrong = [name for name, value in data.items() if not _fits(value, known.get(name))]
        if wrong:
            raise ValueError(f"no such field, or not of its type: {', '.join(wrong)}")
        return cls(**data)

    def admits(self) -> bool:
        """Count a request, and return whether it is within the rate."""
        now = time.monotonic()
        while self._answered and self._answered[0] <= now - 1:
            self._answered.popleft()
        if self.requests_per_second and len(self._answered) >= self.requests_per_second:
            return False
        self._answered.append(now)
        return True


def _fits(value: Any, kind: type | None) -> bool:
    """Whether a value is of the type of a default; a number of seconds may be a whole one."""
    return kind is not None and (type(value) is kind or (kind is float and type(value) is int))
