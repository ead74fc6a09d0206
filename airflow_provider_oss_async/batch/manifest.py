"""The manifest of a batch: what became of each object, as JSON lines or CSV in OSS."""

from __future__ import annotations

import asyncio
import csv
import io
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.ledger import MAX_BLOCK_BYTES, encode_entry
from airflow_provider_oss_async.batch.plan import TURN, OutputSearch
from airflow_provider_oss_async.batch.state import STATES
from airflow_provider_oss_async.clients.retry import Backoff, backoff_attempts
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSThrottledError, OSSUnavailableError
from airflow_provider_oss_async.process import ObjectURI
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_oss_async.batch.plan import RequestBuilder
    from airflow_provider_oss_async.batch.state import BatchState, Row
    from airflow_provider_oss_async.jobs.services import Services

#: Columns, in their order; in CSV ``outputs`` are separated by line feeds.
COLUMNS = (
    "source", "target", "state", "code", "message", "task_id", "outputs", "attempts", "size", "submitted_at",
    "finished_at", "content",
)  # fmt: skip
#: Objects with several outputs whose outputs are listed together.
SLICE = 1000


async def write_manifest(
    services: Services, state: BatchState, builder: RequestBuilder, uri: ObjectURI
) -> int:
    """Write the manifest, and return its size.

    :param uri: a new object; one that ends in ``.csv`` is CSV.
    :raises OSSServiceError: OSS refuses, or gives no answer for long.
    """
    as_csv = uri.key.endswith(".csv")
    text = io.StringIO()
    if as_csv:
        csv.writer(text).writerow(COLUMNS)
    position = 0
    async with aclosing(_records(services, state, builder)) as records:  # type: ignore[type-var]
        async for record in records:
            if as_csv:
                values = [record.get(name, "") for name in COLUMNS]
                csv.writer(text).writerow(
                    ["\n".join(value) if isinstance(value, list) else value for value in values]
                )
            else:
                text.write(encode_entry(record) + "\n")
            if text.tell() >= MAX_BLOCK_BYTES:
                position = await _append(services, uri, position, text.getvalue().encode())
                text = io.StringIO()
    if text.tell() or not position:
        position = await _append(services, uri, position, text.getvalue().encode() or b"\n")
    return position


async def _append(services: Services, uri: ObjectURI, position: int, data: bytes) -> int:
    """Append, whatever becomes of single requests. The object has no other writer."""
    import time

    end = position + len(data)
    async for last in backoff_attempts(time.time() + services.timing.retry_seconds, Backoff(0.2, 15.0, 2.0)):
        try:
            await services.oss.append(uri.bucket, uri.key, position, data)
            return end
        except OSSServiceError as error:
            passing = isinstance(error, OSSThrottledError | OSSUnavailableError)
            if error.code == "PositionNotEqualToLength" or passing:
                try:
                    state = await services.oss.head(uri.bucket, uri.key)
                except OSSServiceError:
                    state = None
                if state is not None and state.size == end:
                    return end
            if last or not passing:
                raise
    raise AssertionError("unreachable")  # pragma: no cover


def record_of(state: BatchState, row: Row, target: str) -> dict[str, Any]:
    """Return what the manifest says of an object, without its outputs."""
    record = {
        "source": state.uri(row.source),
        "target": target,
        "state": STATES[row.state],
        "code": row.code,
        "message": row.message,
        "task_id": row.task_id,
        "attempts": row.attempt,
        "size": row.size if row.size >= 0 else None,
        "submitted_at": iso(row.submitted),
        "finished_at": iso(row.finished),
        "content": row.content,
    }
    return {name: value for name, value in record.items() if value not in ("", None)}


def iso(moment: float) -> str:
    """Return epoch seconds as ISO 8601 in UTC; empty for 0."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds") if moment else ""


async def _records(
    services: Services, state: BatchState, builder: RequestBuilder
) -> AsyncIterator[dict[str, Any]]:
    several: list[tuple[str, int]] = []
    for index, row in enumerate(state.rows):
        if index % TURN == 0:
            await asyncio.sleep(0)
        request = _request(state, builder, row)
        expected = outputs_of(request.process, request.source)
        if expected is not None and not expected.key and row.state == "s":
            several.append((f"{expected.bucket}/{expected.prefix}", index))
            continue
        record = record_of(state, row, request.target)
        if row.state == "s":
            # A succeeded job has written the one object whose name is certain; it is not asked for.
            record["outputs"] = [f"oss://{expected.bucket}/{expected.key}"] if expected else []
        yield record
    # In the order of their outputs, so that a listing of a slice passes over nothing else.
    several.sort()
    for begin in range(0, len(several), SLICE):
        indexes = [index for _, index in several[begin : begin + SLICE]]
        search = OutputSearch()
        for index in indexes:
            search.add(index, _request(state, builder, state.rows[index]))
        outputs: dict[int, list[str]] = {index: [] for index in indexes}
        async with aclosing(search.found(services)) as found:  # type: ignore[type-var]
            async for index, item, bucket in found:
                # What was there before is not an output of this job; object times are whole seconds.
                if item.modified >= int(state.rows[index].submitted) - 1:
                    outputs[index].append(f"oss://{bucket}/{item.key}")
        for index in indexes:
            row = state.rows[index]
            request = _request(state, builder, row)
            yield {**record_of(state, row, request.target), "outputs": outputs[index]}
    for record in _set_aside(state):
        yield record


def _request(state: BatchState, builder: RequestBuilder, row: Row) -> Any:
    source = ObjectURI.parse(row.source, default_bucket=state.header["bucket"])
    return builder.request(source, row.target, row.arguments)


def _set_aside(state: BatchState) -> Iterator[dict[str, Any]]:
    for source, reason in state.set_aside:
        yield {"source": state.uri(source), "state": "set_aside", "code": reason}
