"""What the ledger of a batch says, for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_oss_async.batch.ledger import read_blocks
from airflow_provider_oss_async.batch.manifest import iso
from airflow_provider_oss_async.batch.state import FAILED, FINAL, STATES, BatchState
from airflow_provider_oss_async.batch.summary import MAX_FAILURES
from airflow_provider_oss_async.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.clients.oss import OSSClient
    from airflow_provider_oss_async.process import ObjectURI


async def read_state(oss: OSSClient, uri: ObjectURI) -> BatchState:
    """Replay a ledger.

    :raises LedgerError: there is none, or it cannot be read.
    :raises OSSServiceError: OSS refuses, or gives no answer.
    """
    state = BatchState()
    async for _, _, entries in read_blocks(oss, uri):
        state.apply_all(entries)
    if not state.header:
        raise LedgerError(f"There is no ledger at {uri}.")
    return state


def describe(state: BatchState) -> Iterator[str]:
    """Yield lines that say where a batch stands."""
    counts = state.counts()
    yield f"begun        {iso(state.created)}"
    yield f"phase        {state.phase or 'no plan yet'}"
    yield f"objects      {len(state.rows)}"
    for letter, name in STATES.items():
        if counts[letter]:
            yield f"  {name:<11}{counts[letter]}"
    yield f"jobs         {sum(bool(row.task_id) + len(row.earlier) for row in state.rows)}"
    for reason, count in Counter(reason for _, reason in state.set_aside).most_common():
        yield f"set aside    {count}: {reason}"
    last = max((max(row.submitted, row.finished) for row in state.rows), default=0.0)
    if last:
        yield f"last change  {iso(last)}"
    unfinished = sum(count for letter, count in counts.items() if letter not in FINAL)
    if unfinished:
        yield f"unfinished   {unfinished}"
    summary = state.detail.get("summary") if state.phase == "finished" else None
    if summary:
        yield f"manifest     {summary['manifest']}"
    failures = [row for row in state.rows if row.state in FAILED]
    for row in failures[:MAX_FAILURES]:
        yield f"{STATES[row.state]:<12} {state.uri(row.source)}: {row.code} {row.message}".rstrip()
    if len(failures) > MAX_FAILURES:
        yield f"             and {len(failures) - MAX_FAILURES} more"
