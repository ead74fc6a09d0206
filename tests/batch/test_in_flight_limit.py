from __future__ import annotations

import pytest

from airflow_provider_oss_async.batch.in_flight_limit import MIN_MEASURED, QUEUE_SECONDS, InFlightLimit


def measured(seconds: float, *, concurrency: int | None = 3, most: int = 200) -> InFlightLimit:
    limit = InFlightLimit(most)
    limit.engine_concurrency = concurrency
    for _ in range(MIN_MEASURED):
        limit.note_duration(seconds)
    return limit


def test_without_the_projects_concurrency_it_is_what_the_user_says() -> None:
    assert InFlightLimit(200).allowed(0) == 200
    assert measured(3600.0, concurrency=None).allowed(50) == 200


def test_before_durations_are_known_it_is_twice_what_the_project_runs_at_once() -> None:
    limit = InFlightLimit(200)
    limit.engine_concurrency = 3
    for _ in range(MIN_MEASURED - 1):
        limit.note_duration(3600.0)
    assert limit.allowed(0) == 6


@pytest.mark.parametrize(
    ("seconds", "expected"),
    # A thousand jobs of a second are worked off in time; of an hour hardly more than run.
    [(1.0, 200), (QUEUE_SECONDS / 10, 3 * 11), (3600.0, 3)],
)
def test_it_follows_from_durations(seconds: float, expected: int) -> None:
    assert measured(seconds).allowed(1) == expected


def test_durations_include_the_time_in_the_queue() -> None:
    """With 30 under way in a project that runs 3, a tenth of the duration was work."""
    assert measured(QUEUE_SECONDS).allowed(30) == 3 * 11


def test_queue_timeouts_lower_it_to_a_quarter_at_least() -> None:
    limit = InFlightLimit(200)
    limit.note_queue_timeout()
    assert limit.allowed(0) == 180
    for _ in range(50):
        limit.note_queue_timeout()
    assert limit.allowed(0) == 50
    assert InFlightLimit(1).allowed(0) == 1


def test_the_poll_interval_follows_from_durations() -> None:
    assert InFlightLimit(1).poll_interval(2.0) == 2.0
    assert [measured(seconds).poll_interval(2.0) for seconds in (1.0, 80.0, 3600.0)] == [2.0, 10.0, 30.0]
