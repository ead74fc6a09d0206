"""The ledger of a batch: an append object in OSS that says what is planned, sent, running and ended.

JSON lines in blocks. A block ends with a footer (its number, writer, count of lines, CRC32) and is appended
at the length that its writer knows, which is the fence: of two writers only one goes on
(https://www.alibabacloud.com/help/en/oss/developer-reference/appendobject).
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_oss_async.clients.errors import diagnosis_of, rights_of, traceback_of, unexpected
from airflow_provider_oss_async.clients.retry import Backoff, backoff_attempts, retry
from airflow_provider_oss_async.exceptions import (
    LedgerError,
    LedgerFencedError,
    OSSAsyncError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    error_text,
)
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from airflow_provider_oss_async.clients.oss import OSSClient

log = logging.getLogger(__name__)

Entry = list[Any]

#: Folder of ledgers and manifests in a bucket.
PREFIX = ".oss-async/"
#: Bytes that one request reads.
READ_BYTES = 4 << 20
#: Bytes of a block at most, but for a single entry that is larger. OSS takes 5 GB.
MAX_BLOCK_BYTES = 1 << 20
#: Seconds that an entry waits for others, and the number of entries that are not waited for any longer.
LINGER, MAX_ENTRIES = 0.25, 256
#: Seconds for which an append is repeated while there is no answer.
RETRY_SECONDS = 300.0
#: First element of a footer.
FOOTER = "b"
#: Bytes of a key at most.
_MAX_KEY = 1023


def ledger_uri(base: ObjectURI, *names: str) -> ObjectURI:
    """Return where the ledger of a task instance is.

    :param base: bucket and folder.
    :param names: what tells the task instance from all others, such as DAG, run and task.
    """
    folder = base.key.rstrip("/")
    parts = [quote(name, safe=":") if name.strip(".") else f"%{len(name)}" for name in names]
    key = "/".join([folder, *parts, "ledger.jsonl"])
    if len(key.encode()) > _MAX_KEY - 64:
        import hashlib

        key = f"{folder}/{hashlib.sha256(key.encode()).hexdigest()}/ledger.jsonl"
    return ObjectURI(base.bucket, key)


def encode_block(number: int, writer: str, lines: Sequence[str]) -> bytes:
    """Return a block with its footer."""
    body = "".join(f"{line}\n" for line in lines).encode()
    return body + f"{encode_entry([FOOTER, number, writer, len(lines), zlib.crc32(body)])}\n".encode()


def encode_entry(entry: Any) -> str:
    """Return an entry as a line without its end."""
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False)


async def read_blocks(
    oss: OSSClient, uri: ObjectURI, position: int = 0, number: int = 0, *, seconds: float = 60.0
) -> AsyncIterator[tuple[int, int, list[Any]]]:
    """Yield the blocks of a ledger: the position and number that follow, and the entries.

    :param position: where to begin.
    :param number: number of the first block.
    :param seconds: for how long reading is repeated while there is no answer.
    :raises LedgerError: what is there is not a ledger, or is damaged.
    """
    state = await retry(lambda: oss.head(uri.bucket, uri.key), seconds=seconds)
    size = state.size if state is not None else 0
    if size < position:
        raise _damaged(uri, "it has become shorter")
    at, rest = position, b""
    lines: list[bytes] = []
    while at < size:
        begin, end = at, min(size, at + READ_BYTES)
        data = await retry(lambda: oss.read(uri.bucket, uri.key, begin, end), seconds=seconds)  # noqa: B023
        if not data:
            raise _damaged(uri, "it has become shorter")
        at += len(data)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if not line.startswith(b'["' + FOOTER.encode() + b'",'):
                lines.append(line)
                continue
            body = b"".join(line + b"\n" for line in lines)
            try:
                _, found, _, length, crc = json.loads(line)
                entries = [json.loads(text) for text in lines]
            except (ValueError, RecursionError):
                raise _damaged(uri, f"block {number} cannot be read") from None
            if (found, length, crc) != (number, len(lines), zlib.crc32(body)):
                raise _damaged(uri, f"the check sum of block {number} is wrong")
            position += len(body) + len(line) + 1
            number += 1
            lines = []
            yield position, number, entries
            await asyncio.sleep(0)
    if rest or lines:
        raise _damaged(uri, f"it ends within block {number}")


def _damaged(uri: ObjectURI, reason: str) -> LedgerError:
    advice = (
        "Clear the task to start anew, or name another place with ledger=. What the ledger knows of jobs "
        "is in it all the same: it is a text file."
    )
    return LedgerError(
        error_text(f"The ledger cannot be read: {reason}", advice, ledger=uri), advice=advice, code="Damaged"
    )


class LedgerWriter:
    """Appends blocks to a ledger. Entries that come while an append is under way share the next block.

    :param uri: where it is.
    :param position: its length.
    :param number: number of the next block.
    :param linger: seconds that an entry waits for others; default 0.25.
    :param retry_seconds: for how long an append is repeated while there is no answer; default 300.
    :param failed: called with the error that ends the writer.
    """

    def __init__(
        self,
        oss: OSSClient,
        uri: ObjectURI,
        position: int = 0,
        number: int = 0,
        *,
        linger: float = LINGER,
        retry_seconds: float = RETRY_SECONDS,
        failed: Callable[[OSSAsyncError], None] | None = None,
    ) -> None:
        self.writer = secrets.token_hex(4)
        self.uri = uri
        self.position = position
        self.number = number
        self.appends = 0
        self.error: OSSAsyncError | None = None
        self._oss = oss
        self._linger = linger
        self._retry_seconds = retry_seconds
        self._failed = failed
        self._lines: list[str] = []
        self._bytes = 0
        self._block: asyncio.Future[None] | None = None
        self._appending: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._hurry = False
        self._task: asyncio.Task[None] | None = None

    def post(self, *entries: Any) -> asyncio.Future[None]:
        """Add entries to the next block, and return the future of that block.

        :raises LedgerError: the writer has failed.
        """
        if self.error is not None:
            raise self.error.replace()
        if self._block is None:
            self._block = asyncio.get_running_loop().create_future()
            self._block.add_done_callback(_retrieved)
        for entry in entries:
            line = encode_entry(entry)
            self._lines.append(line)
            self._bytes += len(line)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="oss-async-ledger")
        return self._block

    async def record(self, *entries: Any) -> None:
        """Add entries and wait until they are stored.

        :raises LedgerFencedError: another writer has taken over.
        :raises LedgerError: they cannot be stored.
        """
        # A waiter that is cancelled must not cancel the others.
        await asyncio.shield(self.post(*entries))

    async def flush(self) -> None:
        """Store what is waiting, at once."""
        self._hurry = True
        self._wake.set()
        # That which is being appended, and the one behind it.
        for block in (self._appending, self._block):
            if block is not None:
                await asyncio.shield(block)

    async def close(self, seconds: float = 10.0) -> None:
        """Store what is waiting if that can be done within some seconds, and end."""
        try:
            if self.error is None:
                async with asyncio.timeout(seconds):
                    await self.flush()
        except (OSSAsyncError, TimeoutError) as error:
            log.warning("The last entries of the ledger could not be stored: %s", error)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            if len(self._lines) < MAX_ENTRIES and self._bytes < MAX_BLOCK_BYTES and not self._hurry:
                await asyncio.sleep(self._linger)
            block, lines = self._block, self._lines
            self._block, self._lines, self._bytes, self._hurry = None, [], 0, False
            self._wake.clear()
            if block is None:
                continue
            self._appending = block
            try:
                await self.append(lines)
            except asyncio.CancelledError:
                self._end(block, LedgerError("The ledger was closed before the entry was stored"))
                raise
            except OSSAsyncError as error:
                self._end(block, error)
                return
            except Exception as error:
                log.error("Writing the ledger failed: %s", traceback_of(error))
                self._end(block, LedgerError(unexpected("Writing the ledger failed", error)))
                return
            block.set_result(None)

    def _end(self, block: asyncio.Future[None], error: OSSAsyncError) -> None:
        self.error = error
        for future in (block, self._block):
            if future is not None and not future.done():
                future.set_exception(error.replace())
        if self._failed is not None:
            self._failed(error)

    async def append(self, lines: Sequence[str]) -> None:
        """Append one block, whatever becomes of single requests.

        :raises LedgerFencedError: another writer has appended.
        :raises LedgerError: OSS refuses to append, or gave no answer for long.
        """
        data = encode_block(self.number, self.writer, lines)
        end = self.position + len(data)
        async for last in backoff_attempts(_after(self._retry_seconds), Backoff(0.2, 15.0, 2.0)):
            try:
                length = await self._oss.append(self.uri.bucket, self.uri.key, self.position, data)
            except OSSServiceError as error:
                doubtful = isinstance(error, OSSUnavailableError) or error.code == "PositionNotEqualToLength"
                if not doubtful and not isinstance(error, OSSThrottledError):
                    raise refused(self.uri, error) from None
                try:
                    stored = doubtful and await self._stored(data, end)
                except (OSSThrottledError, OSSUnavailableError) as unread:
                    stored, error = False, unread
                except OSSServiceError as unread:
                    raise refused(self.uri, unread) from None
                if not stored:
                    if last:
                        raise refused(self.uri, error) from None
                    continue
            else:
                if length not in (end, -1):
                    raise self._fenced("the ledger has an unexpected length after an append")
            self.position, self.number, self.appends = end, self.number + 1, self.appends + 1
            return

    async def _stored(self, data: bytes, end: int) -> bool:
        """Return whether a block whose append got no answer is there."""
        state = await self._oss.head(self.uri.bucket, self.uri.key)
        size = state.size if state is not None else 0
        if size == self.position:
            return False
        if size == end and await self._oss.read(self.uri.bucket, self.uri.key, self.position, end) == data:
            return True
        raise self._fenced("another writer has appended" if size > self.position else "it has become shorter")

    def _fenced(self, reason: str) -> LedgerFencedError:
        return LedgerFencedError(
            error_text(
                f"Nothing more is submitted here: {reason}. The batch goes on there",
                ledger=self.uri,
                writer=self.writer,
            ),
            code="Fenced",
        )


def _after(seconds: float) -> float:
    import time

    return time.time() + seconds


def _retrieved(future: asyncio.Future[None]) -> None:
    """Entries that nobody waits for must not be reported as errors that nobody has seen."""
    if not future.cancelled():
        future.exception()


def refused(uri: ObjectURI, error: OSSServiceError) -> LedgerError:
    """Return the error for a ledger that cannot be written or read."""
    if isinstance(error, OSSThrottledError | OSSUnavailableError):
        advice = "Try again later: the batch goes on where it was."
    elif diagnosis_of(error).kind in ("credentials", "clock"):
        advice = error.advice
    elif error.code == "AccessDenied" or error.status == 403:
        rights = ", ".join(dict.fromkeys(rights_of("OSS", name) for name in ("PutObject", "HeadObject")))
        folder = uri.key.rpartition("/")[0]
        advice = f"Grant {rights} on {uri.bucket}/{folder}/*, or name another place with ledger=."
    else:
        advice = (
            "Name another place with ledger='oss://bucket/folder/': a bucket without a retention policy and "
            "without encryption by a customer-managed KMS key, since these do not allow appending."
        )
    return LedgerError(
        error_text(f"The ledger of the batch cannot be used: {error.message}", advice, ledger=uri),
        **{**error.fields, "advice": advice},
    )
