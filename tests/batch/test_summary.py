from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.batch.state import FAILED, FINAL, STATES, BatchState, Row
from airflow_provider_oss_async.batch.summary import (
    MAX_FAILURES,
    batch_error,
    counted,
    may_be_tried_again,
    progress_text,
    summarize,
)
from tests.support.batches import LEDGER, specification


def row(state: str, code: str = "", message: str = "", *, task_id: str = "VideoConvert-1") -> Row:
    made = Row(f"in/{state or 'p'}.mov", 1000)
    made.state, made.code, made.message, made.task_id, made.attempt = state, code, message, task_id, 1
    return made


def batch(*rows: Row, aside: int = 0) -> BatchState:
    state = BatchState()
    state.apply({"oss_async_ledger": 1, "fingerprint": "f", "created": 0.0, "bucket": "media"})
    state.rows = list(rows)
    state.set_aside = [("old.mov", "archived")] * aside
    return state


async def test_every_final_state_is_counted_under_its_name() -> None:
    summary = await summarize(
        batch(*map(row, STATES)), specification(["in/a.mov"], ledger=LEDGER), "oss://b/m"
    )
    assert {name: summary[name] for letter, name in STATES.items() if letter in FINAL} == dict.fromkeys(
        (name for letter, name in STATES.items() if letter in FINAL), 1
    )
    assert (summary["objects"], summary["unfinished"]) == (len(STATES), len(STATES) - len(FINAL))
    assert (summary["bytes"], summary["manifest"], summary["ledger"]) == (
        1000 * len(STATES),
        "oss://b/m",
        LEDGER,
    )


@pytest.mark.parametrize(
    ("max_failed", "failed", "ok"),
    [
        (0, 0, True),
        (0, 1, False),
        (2, 2, True),
        (2, 3, False),
        (0.2, 2, True),
        (0.2, 3, False),
        (1.0, 1, True),
    ],
)
async def test_max_failed_is_a_number_or_a_share(max_failed: Any, failed: int, ok: bool) -> None:
    state = batch(*[row("f")] * failed, *[row("s")] * (10 - failed))
    assert (await summarize(state, specification(["in/a.mov"], max_failed=max_failed)))["ok"] is ok


async def test_a_batch_with_unfinished_objects_is_not_ok() -> None:
    summary = await summarize(batch(row("s"), row("t")), specification(["in/a.mov"]))
    assert (summary["ok"], summary["again"]) == (False, 1)
    assert "1 had not ended at the deadline" in str(batch_error(summary))


async def test_only_the_first_failures_are_named() -> None:
    state = batch(*[row("f", "InvalidMedia", "not a video")] * (MAX_FAILURES + 5))
    summary = await summarize(state, specification(["in/a.mov"]))
    assert len(summary["failures"]) == MAX_FAILURES
    error = batch_error(summary)
    assert str(error).startswith("25 of 25 objects failed (25 InvalidMedia). First: ")
    assert str(error).count("not a video") == 3
    assert (error.code, error.summary) == ("InvalidMedia", summary)
    assert "No retry can mend this" in error.advice


@pytest.mark.parametrize(
    ("ended", "again"),
    [
        (row("s"), False),
        (row("g"), False),
        (row("l"), True),
        (row("o"), True),
        (row("f", "InvalidMedia"), False),
        (row("f", "QueueTimeout", "waited in the queue too long"), True),
        (row("f", "Strange"), True),
        (row("r", "InvalidObjectState", "The object is archived."), False),
        # The whole batch was refused: once the right is there, it goes on.
        (row("r", "AccessDenied", "You have no right to access this object."), True),
        (row("u", "SubmitUncertain", task_id=""), False),
        (row("u", "InternalError"), True),
    ],
    ids=lambda value: f"{value.state}-{value.code}" if isinstance(value, Row) else str(value),
)
def test_what_a_later_try_takes_again(ended: Row, again: bool) -> None:
    assert may_be_tried_again(ended, "fail") is again


def test_what_is_uncertain_is_taken_again_if_the_user_says_so() -> None:
    assert may_be_tried_again(row("u", "SubmitUncertain", task_id=""), "resubmit")


def test_progress() -> None:
    state = batch(row(""), row("i"), row("t"), row("t"), row("s"), row("g"), *map(row, FAILED), aside=2)
    assert progress_text(state, 7, 14.0) == (
        "Batch: 13 found, 2 set aside, 9 submitted, 2 running, 1 succeeded, 5 failed, 1 gone; "
        "0.5 objects/s, remaining: 0 minutes"
    )
    assert progress_text(state, 0, 14.0).endswith("0.0 objects/s, remaining: not known")


def test_counts_as_text() -> None:
    assert counted({"s": 1, "": 3, "archived": 2, "f": 0}) == "3 pending, 2 archived, 1 succeeded"
