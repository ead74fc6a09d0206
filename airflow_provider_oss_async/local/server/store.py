"""Buckets and objects on disk, below the data directory.

Layout: ``buckets/<bucket>/bucket.json``, and for every object ``buckets/<bucket>/objects/<sha-256 of key>``
with its ``.json`` beside it. The index is kept in memory and read once at the start.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mimetypes
import os
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket.

    :param name: 3 to 63 lower-case letters, digits and hyphens.
    :param region: such as ``cn-hangzhou``.
    :param owner: account id.
    :param created: seconds since the epoch.
    :param imm_project: IMM project the bucket is attached to; ``None`` for none.
    :param styles: custom styles, name to operation text (``video/convert,f_mp4``).
    """

    name: str
    region: str
    owner: str
    created: float
    imm_project: str | None = None
    styles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object.

    :param key: full key.
    :param size: bytes.
    :param etag: upper-case hex MD5, without quotes.
    :param modified: seconds since the epoch.
    :param headers: ``content-type`` and what else comes back with a GET, names in lower case.
    """

    key: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str]


class Store:
    """All buckets and objects. Safe to use from several threads.

    :param root: the data directory; created if missing.
    :raises ValueError: another server is using it.
    """

    def __init__(self, root: Path) -> None:
        self._buckets_dir = root / "buckets"
        self._temporary = root / "tmp"
        self._buckets: dict[str, Bucket] = {}
        self._objects: dict[str, dict[str, StoredObject]] = {}
        self._lock = threading.Lock()
        self._buckets_dir.mkdir(parents=True, exist_ok=True)
        self._in_use = (root / "lock").open("w")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another stand-in is using the data directory {root}") from None
        # What a killed server left half written.
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        for path in sorted(self._buckets_dir.glob("*/bucket.json")):
            bucket = Bucket(**json.loads(path.read_text()))
            found = (_read_object(meta) for meta in path.parent.glob("objects/*.json"))
            self._buckets[bucket.name] = bucket
            self._objects[bucket.name] = {stored.key: stored for stored in found if stored is not None}

    def close(self) -> None:
        """Leave the data directory to another server."""
        self._in_use.close()

    def temporary(self) -> Path:
        """Return a fresh path below the data directory, for a file or a directory."""
        return self._temporary / uuid.uuid4().hex

    def buckets(self) -> list[Bucket]:
        """Return every bucket, by name."""
        return [self._buckets[name] for name in sorted(self._buckets)]

    def bucket(self, name: str) -> Bucket | None:
        """Return a bucket, ``None`` if there is none of that name."""
        return self._buckets.get(name)

    def create_bucket(self, name: str, region: str, owner: str, imm_project: str | None = None) -> Bucket:
        """Create a bucket, or return the existing one as it is."""
        existing = self._buckets.get(name)
        if existing is not None:
            return existing
        (self._buckets_dir / name / "objects").mkdir(parents=True, exist_ok=True)
        self._objects[name] = {}
        return self._write_bucket(Bucket(name, region, owner, time.time(), imm_project))

    def change_bucket(self, name: str, **changes: Any) -> Bucket:
        """Change fields of a bucket.

        :raises KeyError: no such bucket.
        """
        return self._write_bucket(replace(self._buckets[name], **changes))

    def delete_bucket(self, name: str) -> None:
        """Delete an empty bucket.

        :raises ValueError: it is not empty.
        """
        if self._objects[name]:
            raise ValueError(f"{name} is not empty")
        with self._lock:
            del self._buckets[name], self._objects[name]
            shutil.rmtree(self._buckets_dir / name)

    def page(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[dict[str, StoredObject | None], bool]:
        """Return one page of a listing, in the order of the keys' UTF-8 bytes, and whether there is more.

        :param after: begin behind this key or common prefix.
        :return: key to object, common prefix to ``None``.
        """
        entries: dict[str, StoredObject | None] = {}
        for key in sorted(self._objects[bucket]):
            if not key.startswith(prefix):
                continue
            rest, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            entry = f"{prefix}{rest}{delimiter}" if cut else key
            if entry <= after or entry in entries:
                continue
            if len(entries) == limit:
                return entries, True
            entries[entry] = None if cut else self.find(bucket, key)
        return entries, False

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, ``None`` if bucket or object do not exist."""
        return self._objects.get(bucket, {}).get(key)

    def path(self, bucket: str, key: str) -> Path:
        """Return where an object's bytes are."""
        return self._buckets_dir / bucket / "objects" / hashlib.sha256(key.encode()).hexdigest()

    def save(self, bucket: str, key: str, file: Path, headers: dict[str, str] | None = None) -> StoredObject:
        """Move a file into a bucket; an existing object is replaced in one step.

        :param file: on the same file system, as :meth:`temporary` gives it.
        :param headers: see :class:`StoredObject`; the content type is guessed where not given.
        :raises KeyError: no such bucket.
        """
        with file.open("rb") as stream:
            etag = hashlib.file_digest(stream, "md5").hexdigest().upper()
        guessed = mimetypes.guess_type(key)[0] or "application/octet-stream"
        kept = {"content-type": guessed, **(headers or {})}
        stored = StoredObject(key, file.stat().st_size, etag, time.time(), kept)
        with self._lock:
            objects = self._objects[bucket]
            path = self.path(bucket, key)
            file.replace(path)
            _write(path.with_suffix(".json"), asdict(stored))
            objects[key] = stored
        return stored

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; a missing one is no error."""
        with self._lock:
            if self._objects[bucket].pop(key, None) is not None:
                path = self.path(bucket, key)
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def link(self, bucket: str, key: str, to: Path) -> bool:
        """Give an object's present bytes a second name, which later writes do not touch.

        :return: false if there is no such object.
        """
        with self._lock:
            if self.find(bucket, key) is None:
                return False
            try:
                os.link(self.path(bucket, key), to)
            except OSError:
                shutil.copyfile(self.path(bucket, key), to)
            return True

    def _write_bucket(self, bucket: Bucket) -> Bucket:
        with self._lock:
            _write(self._buckets_dir / bucket.name / "bucket.json", asdict(bucket))
            self._buckets[bucket.name] = bucket
        return bucket


def _write(path: Path, data: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(data, ensure_ascii=False))
    new.replace(path)


def _read_object(meta: Path) -> StoredObject | None:
    return StoredObject(**json.loads(meta.read_text())) if meta.with_suffix("").exists() else None
