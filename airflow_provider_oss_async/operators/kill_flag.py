"""Whether a task was killed."""

from __future__ import annotations

import threading
from typing import Any


class KillFlag:
    """Set when a task was killed. A copy of a task, which Airflow makes for each run, begins with a new one.

    An event has a lock, which cannot be copied.
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Note that the task was killed."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether the task was killed."""
        return self._event.is_set()

    def __deepcopy__(self, memo: dict[int, Any]) -> KillFlag:
        return KillFlag()
