"""Intervals that a deployment may have to change."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_oss_async.clients.retry import CALL_RETRY_SECONDS, Backoff


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals that a deployment may have to change; see ``[oss_async]`` in the provider's configuration.

    :param min_poll_interval: seconds between the first two polls of a job; default 2.
    :param unknown_task_grace: seconds for which IMM may not know an accepted task before it counts as lost;
        default 60. The API promises no read-after-write, and how long that takes is not documented.
    :param task_listing_delay: seconds after which an accepted task is certain to be listed; default 15. Not
        documented either.
    :param poll_before_deferral: seconds for which a worker polls a new job before it is deferred; default 0,
        which is one poll.
    :param retry_seconds: for how long calls other than polls are repeated while a service gives no usable
        answer; default 60.
    """

    min_poll_interval: float = 2.0
    unknown_task_grace: float = 60.0
    task_listing_delay: float = 15.0
    poll_before_deferral: float = 0.0
    retry_seconds: float = CALL_RETRY_SECONDS

    @property
    def call_backoff(self) -> Backoff:
        """Intervals between two attempts of a call other than a poll."""
        return Backoff(self.min_poll_interval, max(30.0, self.min_poll_interval))

    @property
    def first_polls(self) -> Backoff:
        """Intervals between the polls before a deferral."""
        return Backoff(min(1.0, self.min_poll_interval), self.min_poll_interval)

    @property
    def submit_backoff(self) -> Backoff:
        """Intervals between two attempts of a submission."""
        return Backoff(min(0.5, self.min_poll_interval), 8.0, 2.0)
