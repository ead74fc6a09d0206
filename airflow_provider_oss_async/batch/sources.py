"""Where the objects of a batch come from: a listing, a file that lists them, or an inventory. All stream."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import zlib
from contextlib import aclosing
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import unquote

from airflow_provider_oss_async.clients.retry import retry
from airflow_provider_oss_async.exceptions import OSSServiceError, ProcessError
from airflow_provider_oss_async.process import ObjectURI
from airflow_provider_oss_async.process.text import is_missing, shown, unwrapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from airflow_provider_oss_async.clients.oss import OSSClient
    from airflow_provider_oss_async.jobs.services import Services

#: Bytes that one request reads of a list.
READ_BYTES = 4 << 20
#: Bytes of one line of a list at most.
MAX_LINE = 1 << 20
#: Storage classes whose objects must be restored before they can be read
#: (https://www.alibabacloud.com/help/en/oss/user-guide/overview-53).
ARCHIVED = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})
#: What :func:`~airflow_provider_oss_async.events.new_objects` says of an object besides ``source``.
EVENT_FIELDS = frozenset({"bucket", "key", "size", "etag", "event", "time", "id"})


class Candidate(NamedTuple):
    """One object that a source names.

    :param size: in bytes; -1 where the source does not say it.
    :param modified: last modification in epoch seconds; 0 where the source does not say it.
    :param reason: why it is set aside; empty if it is not.
    :param target: its own target template; ``None`` for that of the batch.
    :param arguments: its own arguments, which override those of the batch.
    """

    bucket: str
    key: str
    size: int = -1
    modified: float = 0.0
    reason: str = ""
    target: str | None = None
    arguments: dict[str, Any] | None = None


class _Source:
    """A source that selects among many objects by the same criteria."""

    kind: ClassVar[str]
    template_fields: ClassVar[tuple[str, ...]] = (
        "prefix",
        "pattern",
        "modified_since",
        "min_size",
        "max_size",
        "storage_classes",
        "limit",
    )

    def __init__(
        self,
        *,
        prefix: str | None,
        pattern: str | None,
        modified_since: datetime | str | None,
        min_size: int | str | None,
        max_size: int | str | None,
        storage_classes: Sequence[str] | None,
        limit: int | str | None,
    ) -> None:
        self.prefix = prefix
        self.pattern = pattern
        self.modified_since = modified_since
        self.min_size = min_size
        self.max_size = max_size
        self.storage_classes = storage_classes
        self.limit = limit

    def __repr__(self) -> str:
        given = {name: getattr(self, name) for name in self.template_fields}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        return f"{type(self).__name__}({shown})"

    def _selection(self, problems: list[str]) -> dict[str, Any]:
        """Return the criteria as JSON natives; note what is wrong with them."""
        selection: dict[str, Any] = {}
        for name in ("min_size", "max_size", "limit"):
            value = getattr(self, name)
            if value is None:
                continue
            number = _whole(value)
            if number is None or number < (name == "limit"):
                least = "1" if name == "limit" else "0"
                problems.append(f"{name}={shown(value)} is not allowed: expected a whole number from {least}")
            else:
                selection[name] = number
        if (since := unwrapped(self.modified_since)) is not None:
            moment = _moment(since)
            if moment is None:
                none = "; of a template that has no value yet, write {{ ... or '1970-01-01T00:00:00Z' }}"
                problems.append(
                    f"modified_since={shown(since)} is not allowed: expected a time with a time zone, such "
                    f"as 2026-01-31T00:00:00+00:00{none if is_missing(since) else ''}"
                )
            else:
                selection["modified_since"] = moment
        if self.pattern is not None:
            if not isinstance(self.pattern, str) or is_missing(self.pattern):
                problems.append(f"pattern={shown(self.pattern)} is not allowed: expected text such as *.mp4")
            else:
                selection["pattern"] = self.pattern
        if self.storage_classes is not None:
            classes = self.storage_classes
            if isinstance(classes, str) or not all(isinstance(name, str) and name for name in classes):
                problems.append(
                    f"storage_classes={shown(classes)} is not allowed: expected a list such as "
                    "['Standard', 'IA']"
                )
            else:
                selection["storage_classes"] = sorted(classes)
        return selection


class ObjectListing(_Source):
    """All objects below a prefix, listed when the task runs.

    Every argument may be a template. Objects that do not meet the criteria are not part of the batch.

    :param prefix: ``oss://bucket/prefix/``, or a prefix in the connection's default bucket; an empty one is
        the whole bucket.
    :param pattern: shell pattern that the last part of the key matches, such as ``*.mp4``. Default: any.
    :param modified_since: only objects written at this time or later: a ``datetime`` with a time zone, or ISO
        8601 text. Default: any.
    :param min_size: bytes at least, 0 or more. Default: any.
    :param max_size: bytes at most, 0 or more. Default: any.
    :param storage_classes: only objects of these classes, such as ``["Standard", "IA"]``. Default: any.
    :param limit: objects at most, 1 or more; the first ones in the order of their keys. Default: all.
    """

    kind = "listing"

    def __init__(
        self,
        prefix: str,
        *,
        pattern: str | None = None,
        modified_since: datetime | str | None = None,
        min_size: int | str | None = None,
        max_size: int | str | None = None,
        storage_classes: Sequence[str] | None = None,
        limit: int | str | None = None,
    ) -> None:
        super().__init__(
            prefix=prefix,
            pattern=pattern,
            modified_since=modified_since,
            min_size=min_size,
            max_size=max_size,
            storage_classes=storage_classes,
            limit=limit,
        )

    def to_dict(self, default_bucket: str) -> dict[str, Any]:
        """Return the source as JSON natives.

        :raises ProcessError: names every argument that is wrong.
        """
        problems: list[str] = []
        selection = self._selection(problems)
        bucket, prefix = "", ""
        try:
            bucket, prefix = _split_prefix(self.prefix, default_bucket)
        except ProcessError as error:
            problems.append(str(error))
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        return {"kind": self.kind, "bucket": bucket, "prefix": prefix, **selection}


class ListFile(_Source):
    """A file in OSS that lists objects.

    ``.txt``: a key or an ``oss://`` address a line. ``.jsonl``: such a text, or an object with ``source`` and
    optionally ``target`` and arguments that override those of the batch, a line. ``.csv``: columns as these
    names in the first line; without a column ``source`` there, source and target. UTF-8; ``.gz`` behind it
    for gzip.

    :param uri: ``oss://bucket/key`` of the file, or a key in the default bucket. May be a template.
    :param limit: objects at most, 1 or more. Default: all.
    """

    kind = "file"
    template_fields = ("uri", "limit")

    def __init__(self, uri: str, *, limit: int | str | None = None) -> None:
        super().__init__(
            prefix=None,
            pattern=None,
            modified_since=None,
            min_size=None,
            max_size=None,
            storage_classes=None,
            limit=limit,
        )
        self.uri = uri

    def to_dict(self, default_bucket: str) -> dict[str, Any]:
        """Return the source as JSON natives.

        :raises ProcessError: names every argument that is wrong.
        """
        problems: list[str] = []
        selection = self._selection(problems)
        uri = _file(self.uri, default_bucket, problems)
        if uri is not None and _format(uri.key) not in ("txt", "csv", "jsonl"):
            problems.append(
                f"uri={shown(self.uri)} is not allowed: expected .txt, .csv or .jsonl, or one with .gz"
            )
        if problems or uri is None:
            raise ProcessError("; ".join(problems), problems=problems)
        return {"kind": self.kind, "uri": str(uri), "bucket": default_bucket or uri.bucket, **selection}


class Inventory(_Source):
    """An inventory of a bucket (https://www.alibabacloud.com/help/en/oss/user-guide/bucket-inventory).

    :param uri: ``oss://bucket/.../manifest.json``. May be a template, as every argument.
    :param prefix: only keys that begin so. Default: any.
    :param pattern: shell pattern that the last part of the key matches, such as ``*.mp4``. Default: any.
    :param modified_since: only objects written at this time or later: a ``datetime`` with a time zone, or ISO
        8601 text. Default: any.
    :param min_size: bytes at least, 0 or more. Default: any.
    :param max_size: bytes at most, 0 or more. Default: any.
    :param storage_classes: only objects of these classes. Default: any.
    :param limit: objects at most, 1 or more. Default: all.
    """

    kind = "inventory"
    template_fields = ("uri", *_Source.template_fields)

    def __init__(
        self,
        uri: str,
        *,
        prefix: str | None = None,
        pattern: str | None = None,
        modified_since: datetime | str | None = None,
        min_size: int | str | None = None,
        max_size: int | str | None = None,
        storage_classes: Sequence[str] | None = None,
        limit: int | str | None = None,
    ) -> None:
        super().__init__(
            prefix=prefix,
            pattern=pattern,
            modified_since=modified_since,
            min_size=min_size,
            max_size=max_size,
            storage_classes=storage_classes,
            limit=limit,
        )
        self.uri = uri

    def to_dict(self, default_bucket: str) -> dict[str, Any]:
        """Return the source as JSON natives.

        :raises ProcessError: names every argument that is wrong.
        """
        problems: list[str] = []
        selection = self._selection(problems)
        uri = _file(self.uri, default_bucket, problems)
        if uri is not None and not uri.key.endswith("manifest.json"):
            problems.append(
                f"uri={shown(self.uri)} is not allowed: expected the manifest.json of an inventory"
            )
        if self.prefix is not None:
            if not isinstance(self.prefix, str) or self.prefix == "None":
                problems.append(f"prefix={shown(self.prefix)} is not allowed: expected the beginning of keys")
            else:
                selection["prefix"] = self.prefix
        if problems or uri is None:
            raise ProcessError("; ".join(problems), problems=problems)
        return {"kind": self.kind, "uri": str(uri), **selection}


def sources_to_dict(sources: Any, default_bucket: str) -> dict[str, Any]:
    """Return what a task was given as its sources, as JSON natives.

    :param sources: a listing, a file, an inventory, or a list of keys, addresses, dicts, results of tasks
        and objects of events.
    :raises ProcessError: says what is wrong.
    """
    if isinstance(sources, ObjectListing | ListFile | Inventory):
        return sources.to_dict(default_bucket)
    if isinstance(sources, str) or not hasattr(sources, "__iter__") or hasattr(sources, "keys"):
        raise ProcessError(
            f"sources={shown(sources)} is not allowed: expected a list of keys or oss:// addresses, or an "
            "ObjectListing, a ListFile or an Inventory (a list that a template makes needs "
            "render_template_as_native_obj=True; an XCom is passed as task.output)"
        )
    items: list[Any] = []
    problems: list[str] = []
    announced = True
    for number, item in enumerate(sources):
        announced = announced and _is_announced(item)
        try:
            items.extend(_explicit(item, default_bucket, f"sources[{number}]"))
        except ProcessError as error:
            problems.append(str(error))
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ProcessError("; ".join(problems[:10]) + more, problems=problems[:10])
    found: dict[str, Any] = {"kind": "list", "items": items}
    if items and announced:
        # An event may come twice, and its object be processed and gone since.
        found["may_vanish"] = True
    return found


def _is_announced(item: Any) -> bool:
    """Whether this is an object of an event, as new_objects() returns it."""
    return hasattr(item, "keys") and set(item.keys()) >= EVENT_FIELDS


def _explicit(item: Any, default_bucket: str, name: str) -> list[Any]:
    """Return an element of a list in its stored form: ``[bucket, key, target, arguments]``."""
    if not hasattr(item, "keys"):
        uri = ObjectURI.parse(item, name=name, default_bucket=default_bucket)
        return [[uri.bucket, uri.key]]
    fields = dict(item)
    if "outputs" in fields and "task_id" in fields:
        # The result of an operator: its outputs are the sources here.
        return [
            [uri.bucket, uri.key]
            for uri in (ObjectURI.parse(output, name=name) for output in fields["outputs"] or ())
        ]
    if _is_announced(fields):
        fields = {key: value for key, value in fields.items() if key not in EVENT_FIELDS}
    if "source" not in fields:
        raise ProcessError(f"{name}={shown(item)} is not allowed: source is missing")
    uri = ObjectURI.parse(fields.pop("source"), name=f"{name}['source']", default_bucket=default_bucket)
    # Why it is there, for people.
    fields.pop("reason", None)
    target = fields.pop("target", None)
    if target is not None:
        target = str(
            ObjectURI.parse(
                target, name=f"{name}['target']", default_bucket=default_bucket or uri.bucket, variables=True
            )
        )
    arguments = {key: value for key, value in fields.items() if value is not None}
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError):
        raise ProcessError(f"{name}={shown(item)} is not allowed: expected texts and numbers") from None
    return [[uri.bucket, uri.key, target, arguments or None]]


async def candidates(services: Services, source: Mapping[str, Any]) -> AsyncIterator[Candidate]:
    """Yield the objects of a source.

    :param source: as :func:`sources_to_dict` made it.
    :raises ProcessError: a list or an inventory cannot be read.
    :raises OSSServiceError: OSS refuses, or gives no answer.
    """
    found: AsyncIterator[Candidate]
    match source["kind"]:
        case "list":
            found = _listed(source["items"])
        case "listing":
            found = _objects(services, source)
        case "file":
            found = _file_entries(services, source)
        case "inventory":
            found = _inventory(services, source)
        case kind:
            raise ProcessError(f"sources of the kind {kind!r} are not known to this release")
    left = source.get("limit", math.inf)
    async with aclosing(found) as stream:  # type: ignore[type-var]
        async for candidate in stream:
            if left <= 0:
                return
            left -= 1
            yield candidate


def may_vanish(source: Mapping[str, Any]) -> bool:
    """Whether objects of a source may have been deleted since, which is no fault of the batch."""
    return selects(source) or bool(source.get("may_vanish"))


def selects(source: Mapping[str, Any]) -> bool:
    """Whether a source selects among what is there, and nobody has named each object of it."""
    return source.get("kind") in ("listing", "inventory")


async def _listed(items: Iterable[Sequence[Any]]) -> AsyncIterator[Candidate]:
    for item in items:
        bucket, key, target, arguments = (*item, None, None)[:4]
        yield Candidate(bucket, key, target=target, arguments=arguments)


async def _objects(services: Services, source: Mapping[str, Any]) -> AsyncIterator[Candidate]:
    bucket, prefix = source["bucket"], source["prefix"]
    last, done = "", False
    while not done:
        done = True
        try:
            async for item in services.oss.list_objects(bucket, prefix, start_after=last, max_pages=10**6):
                last = item.key
                if not selected(source, item.key, item.size, item.modified, item.storage_class):
                    continue
                reason = ""
                if item.type == "Symlink":
                    reason = "symlink"
                elif item.storage_class in ARCHIVED and 'ongoing-request="false"' not in item.restore:
                    reason = "archived"
                yield Candidate(bucket, item.key, item.size, item.modified, reason)
        except OSSServiceError:
            # Go on behind the last key: starting over would never reach the end of a long listing.
            if not last:
                raise
            await retry(lambda: _touch(services.oss, bucket, prefix), seconds=services.timing.retry_seconds)
            done = False


async def _touch(oss: OSSClient, bucket: str, prefix: str) -> None:
    async with aclosing(oss.list_objects(bucket, prefix)) as listing:  # type: ignore[type-var]
        async for _ in listing:
            return


def selected(source: Mapping[str, Any], key: str, size: int, modified: float, storage_class: str) -> bool:
    """Whether an object meets the criteria of its source; what is not known of it meets them."""
    return (
        ("pattern" not in source or fnmatchcase(key.rpartition("/")[2], source["pattern"]))
        and not (modified and modified < source.get("modified_since", 0))
        and (size < 0 or source.get("min_size", 0) <= size <= source.get("max_size", math.inf))
        and (not storage_class or storage_class in source.get("storage_classes", (storage_class,)))
    )


async def _file_entries(services: Services, source: Mapping[str, Any]) -> AsyncIterator[Candidate]:
    uri = ObjectURI.parse(source["uri"], name="uri")
    form, columns = _format(uri.key), None
    number = 0
    async with aclosing(read_lines(services, uri)) as lines:  # type: ignore[type-var]
        async for line in lines:
            number += 1
            text = line.removeprefix("\ufeff").rstrip("\r") if number == 1 else line.rstrip("\r")
            if not text.strip():
                continue
            item: Any = text
            if form == "jsonl":
                try:
                    item = json.loads(text)
                except (ValueError, RecursionError):
                    raise ProcessError(f"line {number} of {uri} is not JSON: {shown(text)}") from None
            elif form == "csv":
                try:
                    values = next(csv.reader([text], strict=True))
                except csv.Error as error:
                    raise ProcessError(f"line {number} of {uri} is not CSV: {error}") from None
                if columns is None:
                    columns = values if "source" in values else ["source", "target"]
                    if columns is values:
                        continue
                item = {name: value for name, value in zip(columns, values, strict=False) if value != ""}
            for fields in _explicit(item, source["bucket"], f"line {number} of {uri}"):
                bucket, key, target, arguments = (*fields, None, None)[:4]
                yield Candidate(bucket, key, target=target, arguments=arguments)


async def _inventory(services: Services, source: Mapping[str, Any]) -> AsyncIterator[Candidate]:
    uri = ObjectURI.parse(source["uri"], name="uri")
    manifest = await _read_manifest(services, uri)
    columns = [name.strip() for name in manifest["fileSchema"].split(",")]
    bucket = manifest["sourceBucket"]
    for file in manifest["files"]:
        data = ObjectURI(manifest["destinationBucket"], file["key"])
        rows = read_lines(services, data, compressed=True, md5=str(file.get("MD5checksum") or ""))
        async with aclosing(rows) as lines:  # type: ignore[type-var]
            async for line in lines:
                try:
                    values = dict(zip(columns, next(csv.reader([line], strict=True)), strict=False))
                except (csv.Error, StopIteration):
                    raise ProcessError(f"{data} holds a line that is not CSV: {shown(line)}") from None
                key = unquote(values.get("Key", ""))
                if not key or values.get("IsDeleteMarker") == "true" or values.get("IsLatest") == "false":
                    continue
                size = _whole(values.get("Size") or -1)
                modified = _moment(values.get("LastModifiedDate") or "") or 0.0
                storage_class = values.get("StorageClass") or ""
                if not key.startswith(source.get("prefix", "")):
                    continue
                if not selected(source, key, -1 if size is None else size, modified, storage_class):
                    continue
                reason = "symlink" if values.get("ObjectType") == "Symlink" else ""
                if storage_class in ARCHIVED:
                    # An inventory does not say what has been restored.
                    reason = "archived"
                yield Candidate(bucket, key, -1 if size is None else size, modified, reason)


async def _read_manifest(services: Services, uri: ObjectURI) -> dict[str, Any]:
    body = await retry(lambda: services.oss.read(uri.bucket, uri.key), seconds=services.timing.retry_seconds)
    try:
        manifest = json.loads(body)
        texts = ("sourceBucket", "destinationBucket", "fileSchema")
        whole = all(isinstance(manifest[name], str) and manifest[name] for name in texts)
        files = all(isinstance(file["key"], str) and file["key"] for file in manifest["files"])
    except (ValueError, LookupError, TypeError, RecursionError):
        whole = files = False
    if not whole or not files or "Key" not in manifest["fileSchema"]:
        raise ProcessError(
            f"{uri} is not the manifest of an inventory: expected sourceBucket, destinationBucket, files and "
            "a fileSchema with Key"
        )
    if manifest.get("fileFormat", "CSV") != "CSV":
        raise ProcessError(f"{uri}: inventories of the format {shown(manifest['fileFormat'])} cannot be read")
    return manifest  # type: ignore[no-any-return]


async def read_lines(
    services: Services, uri: ObjectURI, *, compressed: bool | None = None, md5: str = ""
) -> AsyncIterator[str]:
    """Yield the lines of a text object, without ever holding all of it.

    :param compressed: whether it is gzip; default by its name.
    :param md5: its MD5 in hex; checked at the end where given.
    :raises ProcessError: it is not there, not gzip or not UTF-8, or its check sum is wrong.
    """
    oss, seconds = services.oss, services.timing.retry_seconds
    state = await retry(lambda: oss.head(uri.bucket, uri.key), seconds=seconds)
    if state is None:
        raise ProcessError(f"{uri} does not exist")
    zipped = uri.key.endswith(".gz") if compressed is None else compressed
    inflate = zlib.decompressobj(31) if zipped else None
    digest, at, rest = hashlib.md5(usedforsecurity=False), 0, b""
    try:
        while at < state.size:
            begin, end = at, min(state.size, at + READ_BYTES)
            data = await retry(lambda: oss.read(uri.bucket, uri.key, begin, end), seconds=seconds)  # noqa: B023
            if not data:
                break
            at += len(data)
            digest.update(data)
            while data:
                # Piece by piece: a small file may hold very much.
                piece = inflate.decompress(data, READ_BYTES) if inflate else data
                data = b""
                if inflate and inflate.unconsumed_tail:
                    data = inflate.unconsumed_tail
                elif inflate and inflate.eof and inflate.unused_data:
                    data, inflate = inflate.unused_data, zlib.decompressobj(31)
                *whole, rest = (rest + piece).split(b"\n")
                for line in whole:
                    yield line.decode()
                if len(rest) > MAX_LINE:
                    raise ProcessError(f"{uri} holds a line of more than {MAX_LINE} bytes")
        if rest:
            yield rest.decode()
    except UnicodeDecodeError:
        raise ProcessError(f"{uri} is not UTF-8 text") from None
    except zlib.error as error:
        raise ProcessError(f"{uri} is not gzip: {error}") from None
    if at != state.size or (md5 and digest.hexdigest().lower() != md5.lower()):
        raise ProcessError(
            f"{uri} has changed while it was read, or its check sum is not that of its manifest"
        )


def _format(key: str) -> str:
    return key.removesuffix(".gz").rpartition(".")[2].lower()


def _file(uri: Any, default_bucket: str, problems: list[str]) -> ObjectURI | None:
    try:
        return ObjectURI.parse(uri, name="uri", default_bucket=default_bucket)
    except ProcessError as error:
        problems.append(str(error))
        return None


def _split_prefix(prefix: Any, default_bucket: str) -> tuple[str, str]:
    """Return bucket and key prefix; the prefix may be empty."""
    if not isinstance(prefix, str) or prefix.strip() == "None":
        raise ProcessError(
            f"prefix={shown(prefix)} is not allowed: expected oss://bucket/prefix/, or a prefix"
        )
    bucket, key = default_bucket, prefix
    if prefix.startswith("oss://"):
        bucket, _, key = prefix.removeprefix("oss://").partition("/")
    if not bucket:
        raise ProcessError(
            f"prefix={shown(prefix)}: names no bucket, and the connection has no default bucket"
        )
    # The slash at the end of a prefix is all right, but not in the name of an object.
    uri = ObjectURI.parse(f"oss://{bucket}/{key.rstrip('/') or 'x'}", name="prefix")
    return uri.bucket, key


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if not isinstance(value, float) or number == value else None


def _moment(value: Any) -> float | None:
    """Return epoch seconds of a time with a time zone, also in the form of inventories."""
    try:
        if isinstance(value, str):
            if len(value) == 20 and value[13] == value[16] == "-":
                return datetime.strptime(value, "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC).timestamp()
            value = datetime.fromisoformat(value)
        return float(value.timestamp()) if value.tzinfo is not None else None
    except (AttributeError, ValueError, OverflowError):
        return None
