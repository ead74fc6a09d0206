"""How many jobs of a batch are under way at once, and how often they are polled."""

from __future__ import annotations

from collections import deque

#: Seconds that a job may wait in the queue of its project; IMM says "tens of minutes".
QUEUE_SECONDS = 600.0
#: Seconds between two polls of a job at most.
MAX_POLL_INTERVAL = 30.0
#: Jobs that must have ended before their durations count.
MIN_MEASURED = 20
#: The last jobs whose durations count.
_MEASURED = 200


class InFlightLimit:
    """How many jobs may be under way: what the project works off before its queue times out.

    :param max_in_flight: the most that there may be.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._max_in_flight = max_in_flight
        #: ``EngineConcurrency`` of the project: jobs that it runs at once; ``None`` if that is not known.
        self.engine_concurrency: int | None = None
        self._factor = 1.0
        self._durations: deque[float] = deque(maxlen=_MEASURED)

    def note_duration(self, seconds: float) -> None:
        """Take into account how long a job took, its time in the queue included."""
        self._durations.append(max(0.0, seconds))

    def note_queue_timeout(self) -> None:
        """Allow fewer: the project processes fewer jobs than was estimated."""
        self._factor = max(0.25, self._factor * 0.9)

    def allowed(self, in_flight: int) -> int:
        """Return how many jobs may be under way.

        :param in_flight: how many there are now; those that have ended shared the project with as many.
        """
        limit, slots = self._max_in_flight, self.engine_concurrency
        if slots is None:
            return max(1, int(limit * self._factor))
        allowed = 2.0 * slots
        if (measured := self._mean()) is not None:
            work = measured * min(1.0, slots / max(1, in_flight))
            allowed = slots * (1 + QUEUE_SECONDS / max(work, 0.001))
        return max(1, min(limit, int(allowed * self._factor)))

    def poll_interval(self, least: float) -> float:
        """Return the seconds between the first two polls of a job: an eighth of what the jobs before took.

        :param least: seconds that they are at least.
        """
        mean = self._mean()
        return least if mean is None else min(MAX_POLL_INTERVAL, max(least, mean / 8))

    def _mean(self) -> float | None:
        if len(self._durations) < MIN_MEASURED:
            return None
        return sum(self._durations) / len(self._durations)
