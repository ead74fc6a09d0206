"""What a batch says of itself: its progress, its summary and its error."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.manifest import record_of
from airflow_provider_oss_async.batch.state import FAILED, FINAL, STATES
from airflow_provider_oss_async.clients.errors import FINAL_KINDS, diagnose
from airflow_provider_oss_async.exceptions import OSSBatchFailedError, error_text
from airflow_provider_oss_async.jobs.output_check import MISMATCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_oss_async.batch.specification import BatchSpecification
    from airflow_provider_oss_async.batch.state import BatchState, Row

#: Kinds of errors that concern all objects. They cost nothing, so a retry of the task takes them again.
GENERAL_KINDS = frozenset({"rights", "credentials", "clock", "endpoint"})
#: Failures that the summary names.
MAX_FAILURES = 20


async def summarize(state: BatchState, spec: BatchSpecification, manifest: str = "") -> dict[str, Any]:
    """Return counts, sizes, addresses and the first failures as JSON natives.

    :param manifest: its address, if it is written.
    """
    counts: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    failures: list[dict[str, Any]] = []
    size = jobs = again = 0
    for number, row in enumerate(state.rows):
        if number % 5000 == 0:
            await asyncio.sleep(0)
        counts[row.state] += 1
        size += max(0, row.size)
        jobs += bool(row.task_id) + len(row.earlier)
        if row.state in FAILED:
            codes[row.code or STATES[row.state]] += 1
            if len(failures) < MAX_FAILURES:
                failures.append(record_of(state, row, ""))
        again += row.state not in FINAL or may_be_tried_again(row, spec.on_uncertain_submit)
    failed = sum(counts[letter] for letter in FAILED)
    unfinished = sum(count for letter, count in counts.items() if letter not in FINAL)
    tolerated = spec.max_failed
    if isinstance(tolerated, float) and tolerated < 1:
        tolerated = tolerated * len(state.rows)
    return {
        "ok": not unfinished and failed <= tolerated,
        "objects": len(state.rows),
        **{name: counts[letter] for letter, name in STATES.items() if letter in FINAL},
        "unfinished": unfinished,
        "set_aside": dict(Counter(reason for _, reason in state.set_aside)),
        "bytes": size,
        "jobs": jobs,
        "codes": dict(codes),
        "again": again,
        "failures": failures,
        "manifest": manifest,
        "ledger": spec.ledger,
    }


def may_be_tried_again(row: Row, on_uncertain_submit: str) -> bool:
    """Whether a later try of the task takes an ended object again."""
    if row.state == "u":
        return bool(row.task_id) or on_uncertain_submit == "resubmit"
    if row.state == "r":
        kind = diagnose("OSS", row.code, row.message, action="AsyncProcessObject").kind
        return kind in GENERAL_KINDS or kind not in FINAL_KINDS
    if row.state == "f":
        # The same request will mostly give the same output.
        return row.code != MISMATCH and diagnose("job", row.code, row.message).kind not in FINAL_KINDS
    return row.state in ("l", "o")


def progress_text(state: BatchState, ended_here: int, seconds: float) -> str:
    """Return a line for the log.

    :param ended_here: objects that have ended since the batch was begun or resumed.
    :param seconds: how long ago that was.
    """
    counts = state.counts()
    total, aside = len(state.rows), len(state.set_aside)
    failed = sum(counts[letter] for letter in FAILED)
    ended = sum(count for letter, count in counts.items() if letter in FINAL)
    submitted = total - counts[""] - counts["i"]
    rate = ended_here / max(0.001, seconds)
    left = f"{(total - ended) / rate / 60:.0f} minutes" if rate > 0 and ended_here else "not known"
    return (
        f"Batch: {total + aside} found, {aside} set aside, {submitted} submitted, {counts['t']} running, "
        f"{counts['s']} succeeded, {failed} failed, {counts['g']} gone; "
        f"{rate:.1f} objects/s, remaining: {left}"
    )


def batch_error(summary: dict[str, Any]) -> OSSBatchFailedError:
    """Return the error of a batch of which too much has failed."""
    codes = counted(summary["codes"])
    failed = sum(summary[STATES[letter]] for letter in FAILED)
    reasons = []
    if failed:
        reasons.append(f"{failed} of {summary['objects']} objects failed ({codes})")
    if summary["unfinished"]:
        reasons.append(f"{summary['unfinished']} had not ended at the deadline")
    first = "; ".join(
        f"{record['source']}: {record.get('code', '')} {record.get('message', '')}".rstrip()
        for record in summary["failures"][:3]
    )
    again = summary["again"]
    advice = (
        f"A retry takes {again} of them again, and nothing that has succeeded."
        if again
        else "No retry can mend this: correct the objects or the arguments, and clear the task."
    )
    code = next(iter(Counter(summary["codes"]).most_common(1)), ("",))[0]
    return OSSBatchFailedError(
        error_text(
            f"{' and '.join(reasons) or 'The batch failed'}{f'. First: {first}' if first else ''}",
            advice,
            manifest=summary["manifest"],
            ledger=summary["ledger"],
        ),
        summary=summary,
        code=str(code),
        advice=advice,
    )


def counted(counts: Any) -> str:
    """Return counts as text, such as ``3 archived, 1 folder``; the most frequent first."""
    items: Iterable[tuple[str, int]] = Counter(counts).most_common(10)
    return ", ".join(f"{count} {STATES.get(name, name) or 'pending'}" for name, count in items if count)
