from __future__ import annotations

import pytest

from airflow_provider_oss_async.clients.retry import CALL_BACKOFF, CALL_RETRY_SECONDS, Backoff
from airflow_provider_oss_async.jobs.submission import SUBMIT_BACKOFF
from airflow_provider_oss_async.jobs.timing import Timing


def test_the_defaults_are_those_of_the_functions() -> None:
    timing = Timing()
    assert timing.call_backoff == CALL_BACKOFF
    assert timing.submit_backoff == SUBMIT_BACKOFF
    assert timing.retry_seconds == CALL_RETRY_SECONDS


@pytest.mark.parametrize(
    ("interval", "call", "submit"),
    [
        (0.05, Backoff(0.05, 30.0), Backoff(0.05, 8.0, 2.0)),
        (60.0, Backoff(60.0, 60.0), Backoff(0.5, 8.0, 2.0)),
    ],
)
def test_intervals_follow_the_shortest_one(interval: float, call: Backoff, submit: Backoff) -> None:
    timing = Timing(min_poll_interval=interval)
    assert timing.call_backoff == call
    assert timing.submit_backoff == submit
