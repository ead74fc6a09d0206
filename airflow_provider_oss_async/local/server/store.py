"""Buckets and objects on disk, below the data directory.

Layout: ``buckets/<bucket>/bucket.json``, and for every object ``buckets/<bucket>/objects/<sha-256 of key>``
with its ``.json`` next to it. The index is kept in memory and read once at the start. Parts of multipart
uploads are in ``uploads/<upload id>/``.
"""

from __future__ import annotations

import bisect
import fcntl
import hashlib
import json
import mimetypes
import os
import re
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from alibabacloud_oss_v2.crc import Crc64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

ObjectType = Literal["Normal", "Appendable", "Multipart"]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_CHUNK = 1 << 20


class StoreError(ValueError):
    """A write that the rules of OSS do not allow.

    :param code: OSS's code.
    :param length: present length of the object; appends only.
    """

    def __init__(self, code: str, length: int = 0) -> None:
        super().__init__(code)
        self.code, self.length = code, length


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
    """One object, or one part of a multipart upload.

    :param key: full key.
    :param size: bytes.
    :param etag: upper-case hex, without quotes; the MD5 of a normal object.
    :param modified: seconds since the epoch.
    :param headers: ``content-type`` and what else comes back with a GET, names in lower case.
    :param type: how it was written.
    :param crc64: CRC-64 (ECMA-182) of the bytes.
    """

    key: str
    size: int
    etag: str
    modified: float
    headers: dict[str, str]
    type: ObjectType = "Normal"
    crc64: int = 0


@dataclass(slots=True)
class Upload:
    """A multipart upload that has neither been completed nor aborted.

    :param headers: headers of the object to be.
    :param parts: the uploaded parts by number.
    """

    id: str
    bucket: str
    key: str
    headers: dict[str, str]
    parts: dict[int, StoredObject] = field(default_factory=dict)


class Store:
    """All buckets and objects. Safe to use from several threads.

    :param root: the data directory; created if missing.
    :raises ValueError: another server is using it.
    """

    def __init__(self, root: Path) -> None:
        self._buckets_dir = root / "buckets"
        self._uploads_dir = root / "uploads"
        self._temporary = root / "tmp"
        self._buckets: dict[str, Bucket] = {}
        self._objects: dict[str, dict[str, StoredObject]] = {}
        #: Sorted keys of a bucket; absent after a key was added or removed, until the next listing.
        self._sorted: dict[str, list[str]] = {}
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.Lock()
        self._buckets_dir.mkdir(parents=True, exist_ok=True)
        self._in_use = (root / "lock").open("w")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._in_use.close()
            raise ValueError(f"another stand-in is using the data directory {root}") from None
        # Unfinished writes and uploads of an earlier server.
        for folder in (self._temporary, self._uploads_dir):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for path in sorted(self._buckets_dir.glob("*/bucket.json")):
            bucket = Bucket(**json.loads(path.read_text()))
            found = (_read_object(meta) for meta in path.parent.glob("objects/*.json"))
            self._buckets[bucket.name] = bucket
            self._objects[bucket.name] = {stored.key: stored for stored in found if stored is not None}

    def close(self) -> None:
        """Release the data directory."""
        self._in_use.close()

    def temporary(self) -> Path:
        """Return a new path below the data directory, for a file or a directory."""
        return self._temporary / uuid.uuid4().hex

    def buckets(self) -> list[Bucket]:
        """Return every bucket, by name."""
        return [self._buckets[name] for name in sorted(self._buckets)]

    def bucket(self, name: str) -> Bucket | None:
        """Return a bucket, ``None`` if there is none of that name."""
        return self._buckets.get(name)

    def create_bucket(self, name: str, region: str, owner: str, imm_project: str | None = None) -> Bucket:
        """Create a bucket, or return the existing one as it is.

        :raises StoreError: the name is not valid.
        """
        # The name becomes a path.
        if not _BUCKET.fullmatch(name):
            raise StoreError("InvalidBucketName")
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

        :raises StoreError: it is not empty.
        """
        with self._lock:
            if self._objects[name]:
                raise StoreError("BucketNotEmpty")
            del self._buckets[name], self._objects[name]
            shutil.rmtree(self._buckets_dir / name)

    def page(
        self, bucket: str, prefix: str, delimiter: str, after: str, limit: int
    ) -> tuple[dict[str, StoredObject | None], bool]:
        """Return one page of a listing, in the order of the keys' UTF-8 bytes, and whether there is more.

        :param after: begin after this key or common prefix.
        :return: key to object, common prefix to ``None``.
        """
        entries: dict[str, StoredObject | None] = {}
        with self._lock:
            objects = self._objects.get(bucket, {})
            keys = self._sorted.get(bucket)
            if keys is None:
                keys = self._sorted[bucket] = sorted(objects)
            index = bisect.bisect_left(keys, max(prefix, after))
            while index < len(keys) and keys[index].startswith(prefix):
                key = keys[index]
                rest, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
                entry = f"{prefix}{rest}{delimiter}" if cut else key
                if entry > after:
                    if len(entries) == limit:
                        return entries, True
                    entries[entry] = None if cut else objects[key]
                # All keys of a common prefix are one entry: continue after them.
                index = bisect.bisect_left(keys, f"{entry}\U0010ffff", index + 1) if cut else index + 1
        return entries, False

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, ``None`` if bucket or object do not exist."""
        return self._objects.get(bucket, {}).get(key)

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of a bucket, sorted; none if it does not exist."""
        with self._lock:
            return sorted(self._objects.get(bucket, {}))

    def path(self, bucket: str, key: str) -> Path:
        """Return where the bytes of an object are."""
        return self._buckets_dir / bucket / "objects" / hashlib.sha256(key.encode()).hexdigest()

    def save(
        self,
        bucket: str,
        key: str,
        file: Path,
        headers: dict[str, str] | None = None,
        *,
        overwrite: bool = True,
    ) -> StoredObject:
        """Move a file into a bucket; an existing object is replaced in one step.

        :param file: on the same file system, as :meth:`temporary` gives it.
        :param headers: see :class:`StoredObject`; the content type is guessed where not given.
        :param overwrite: whether an existing object may be replaced.
        :raises KeyError: no such bucket.
        :raises StoreError: the object exists and must not be overwritten.
        """
        return self._commit(bucket, _measure(key, file, _complete(key, headers)), file, overwrite)

    def append(
        self, bucket: str, key: str, file: Path, position: int, headers: dict[str, str], *, overwrite: bool
    ) -> StoredObject:
        """Add the bytes of a file to the end of an appendable object, which is created at position 0.

        :param position: expected length of the object.
        :param overwrite: whether an existing object may be changed.
        :raises KeyError: no such bucket.
        :raises StoreError: the object exists and must not be overwritten, is not appendable, or has another
            length.
        """
        with self._lock:
            objects = self._objects[bucket]
            existing = objects.get(key)
            if existing is not None and not overwrite:
                raise StoreError("FileAlreadyExists")
            if existing is not None and existing.type != "Appendable":
                raise StoreError("ObjectNotAppendable")
            length = existing.size if existing else 0
            if position != length:
                raise StoreError("PositionNotEqualToLength", length)
            crc, path = Crc64(existing.crc64 if existing else 0), self.path(bucket, key)
            with path.open("r+b" if existing else "wb") as target, file.open("rb") as source:
                # A server that was killed may have written more than it recorded.
                target.truncate(length)
                target.seek(length)
                while chunk := source.read(_CHUNK):
                    crc.update(chunk)
                    target.write(chunk)
                size = target.tell()
            kept = existing.headers if existing else _complete(key, headers)
            # The ETag of an appendable object is documented not to be an MD5.
            etag = hashlib.md5(f"{crc.sum64()}-{size}".encode()).hexdigest().upper()  # noqa: S324
            stored = StoredObject(key, size, etag, time.time(), kept, "Appendable", crc.sum64())
            self._record(bucket, stored)
        return stored

    def begin_upload(self, bucket: str, key: str, headers: dict[str, str]) -> Upload:
        """Begin a multipart upload. It does not outlive the server."""
        upload = Upload(uuid.uuid4().hex.upper(), bucket, key, headers)
        (self._uploads_dir / upload.id).mkdir()
        self._uploads[upload.id] = upload
        return upload

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload | None:
        """Return a multipart upload, ``None`` if there is none of that id for the object."""
        found = self._uploads.get(upload_id)
        return found if found is not None and (found.bucket, found.key) == (bucket, key) else None

    def save_part(self, upload: Upload, number: int, file: Path) -> StoredObject:
        """Move a file into a multipart upload; an existing part of the number is replaced."""
        part = _measure(upload.key, file, {})
        with self._lock:
            file.replace(self._uploads_dir / upload.id / str(number))
            upload.parts[number] = part
        return part

    def complete_upload(self, upload: Upload, numbers: Iterable[int], *, overwrite: bool) -> StoredObject:
        """Join parts to an object.

        :param numbers: the parts, ascending.
        :raises StoreError: the object exists and must not be overwritten.
        """
        file, digests, crc, count = self.temporary(), hashlib.md5(), Crc64(0), 0  # noqa: S324
        with file.open("wb") as target:
            for number in numbers:
                count += 1
                digests.update(bytes.fromhex(upload.parts[number].etag))
                with (self._uploads_dir / upload.id / str(number)).open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        crc.update(chunk)
                        target.write(chunk)
        etag, headers = f"{digests.hexdigest().upper()}-{count}", _complete(upload.key, upload.headers)
        size = file.stat().st_size
        stored = StoredObject(upload.key, size, etag, time.time(), headers, "Multipart", crc.sum64())
        try:
            stored = self._commit(upload.bucket, stored, file, overwrite)
        finally:
            file.unlink(missing_ok=True)
        self.abort_upload(upload)
        return stored

    def abort_upload(self, upload: Upload) -> None:
        """Remove a multipart upload and its parts."""
        self._uploads.pop(upload.id, None)
        shutil.rmtree(self._uploads_dir / upload.id, ignore_errors=True)

    def delete(self, bucket: str, key: str) -> StoredObject | None:
        """Delete an object and return what it was; a missing one is no error."""
        with self._lock:
            deleted = self._objects[bucket].pop(key, None)
            if deleted is not None:
                self._sorted.pop(bucket, None)
                path = self.path(bucket, key)
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
        return deleted

    def link(self, bucket: str, key: str, to: Path) -> bool:
        """Give the present bytes of an object a second name, which later writes do not change.

        :return: false if there is no such object.
        """
        with self._lock:
            stored = self.find(bucket, key)
            if stored is None:
                return False
            # An append changes the file itself.
            make: Callable[..., Any] = shutil.copyfile if stored.type == "Appendable" else os.link
            try:
                make(self.path(bucket, key), to)
            except OSError:
                shutil.copyfile(self.path(bucket, key), to)
            return True

    def _commit(self, bucket: str, stored: StoredObject, file: Path, overwrite: bool) -> StoredObject:
        with self._lock:
            if stored.key in self._objects[bucket] and not overwrite:
                raise StoreError("FileAlreadyExists")
            file.replace(self.path(bucket, stored.key))
            self._record(bucket, stored)
        return stored

    def _record(self, bucket: str, stored: StoredObject) -> None:
        _write(self.path(bucket, stored.key).with_suffix(".json"), asdict(stored))
        if stored.key not in self._objects[bucket]:
            self._sorted.pop(bucket, None)
        self._objects[bucket][stored.key] = stored

    def _write_bucket(self, bucket: Bucket) -> Bucket:
        with self._lock:
            _write(self._buckets_dir / bucket.name / "bucket.json", asdict(bucket))
            self._buckets[bucket.name] = bucket
        return bucket


def _complete(key: str, headers: dict[str, str] | None) -> dict[str, str]:
    return {"content-type": mimetypes.guess_type(key)[0] or "application/octet-stream", **(headers or {})}


def _measure(key: str, file: Path, headers: dict[str, str]) -> StoredObject:
    digest, crc = hashlib.md5(), Crc64(0)  # noqa: S324  (the ETag)
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            crc.update(chunk)
    etag = digest.hexdigest().upper()
    return StoredObject(key, file.stat().st_size, etag, time.time(), headers, "Normal", crc.sum64())


def _write(path: Path, data: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(data))
    new.replace(path)


def _read_object(meta: Path) -> StoredObject | None:
    return StoredObject(**json.loads(meta.read_text())) if meta.with_suffix("").exists() else None
