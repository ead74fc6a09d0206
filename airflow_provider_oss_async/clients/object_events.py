"""Object events: what OSS says when an object has been written, through SMQ or through EventBridge.

Pages: "Configure event notification rules" (https://www.alibabacloud.com/help/doc-detail/122379.htm) and
EventBridge's "OSS events" (https://www.alibabacloud.com/help/en/eventbridge/user-guide/oss-events).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process import ObjectURI

#: Events after which an object is there and whole, by their short names. Those of the parts of a multipart
#: upload come before there is an object, and removals after it.
EVENT_NAMES: dict[str, str] = {
    name: f"{group}:{name}"
    for group, names in {
        "ObjectCreated": (
            "PutObject",
            "PostObject",
            "CompleteMultipartUpload",
            "CopyObject",
            "AppendObject",
            "PutSymlink",
            "Mirror",
        ),
        "ObjectModified": ("UpdateObjectMeta", "ChangeStorageClass"),
        "ObjectReplication": ("ObjectCreated", "ObjectModified"),
        "ObjectRestore": ("FinishRestore",),
    }.items()
    for name in names
}
#: Events that say that an object has been written and is finished.
FINISHED = ("PutObject", "PostObject", "CompleteMultipartUpload", "CopyObject")
_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An event about one object.

    :param key: a name that operators take.
    :param event: such as ``ObjectCreated:PutObject``, without ``oss:`` in front.
    :param id: the same whenever this event comes, by whichever way.
    :param size: in bytes; ``None`` where the event does not say it.
    :param etag: entity tag without quotes; empty where the event does not say it.
    :param time: ISO 8601; empty where the event does not say it.
    """

    bucket: str
    key: str
    event: str
    id: str
    size: int | None = None
    etag: str = ""
    time: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON natives, as it stands in a payload."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "size": self.size,
            "etag": self.etag,
            "event": self.event,
            "time": self.time,
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class ObjectMessage:
    """The object events of one message.

    :param events: those about objects that operators can take.
    :param unusable: number of those about objects with names that cannot be sent.
    """

    events: tuple[ObjectEvent, ...]
    unusable: int = 0


def read_object_message(entries: Any, *, kind: str = "", id: str = "") -> ObjectMessage | None:
    """Read the entries of a message.

    :param entries: the list ``events`` of a message, or one entry in a list.
    :param kind: the type that the wrapper of the entries names.
    :param id: the id that the wrapper of the entries has.
    :return: ``None`` if none of them is an object event.
    """
    if not isinstance(entries, list):
        return None
    events: list[ObjectEvent] = []
    unusable = 0
    for entry in entries:
        fields = _fields(entry, kind)
        if fields is None:
            continue
        event = _event(fields, id)
        if event is None:
            unusable += 1
        else:
            events.append(event)
    return ObjectMessage(tuple(events), unusable) if events or unusable else None


def stable_id(*parts: str) -> str:
    """Return an id that is made of what does not change when a message comes again."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def clean_text(value: Any, limit: int = _MAX_TEXT) -> str:
    """Return a foreign text that can be stored anywhere; anything else becomes empty."""
    if not isinstance(value, str):
        return ""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", value[:limit].encode("utf-8", "replace").decode()).strip()


@dataclass(frozen=True, slots=True)
class _Fields:
    event: str
    bucket: str
    key: str
    entry: dict[str, Any]
    oss: dict[str, Any]
    object: dict[str, Any]


def _fields(entry: Any, kind: str) -> _Fields | None:
    """Return what makes an entry an object event; ``None`` if it is none."""
    oss = entry.get("oss") if isinstance(entry, dict) else None
    bucket, item = (oss.get("bucket"), oss.get("object")) if isinstance(oss, dict) else (None, None)
    if not isinstance(bucket, dict) or not isinstance(item, dict) or not isinstance(oss, dict):
        return None
    event, name, key = entry.get("eventName") or kind, bucket.get("name"), item.get("key")
    if not (
        isinstance(event, str) and isinstance(name, str) and isinstance(key, str) and event and name and key
    ):
        return None
    return _Fields(clean_text(event.removeprefix("oss:")), name, key, entry, oss, item)


def _event(fields: _Fields, wrapper_id: str) -> ObjectEvent | None:
    """Return the event; ``None`` where no operator could take the object."""
    try:
        uri = ObjectURI.parse(f"oss://{fields.bucket}/{fields.key}")
    except ProcessError:
        return None
    size, time = fields.object.get("size"), clean_text(fields.entry.get("eventTime"), 64)
    etag = clean_text(fields.object.get("eTag")).strip('"')
    # The documentation's table has it inside "oss", all samples beside it.
    response = fields.entry.get("responseElements") or fields.oss.get("responseElements")
    request_id = clean_text(response.get("requestId")) if isinstance(response, dict) else ""
    origin = (request_id or wrapper_id,) if request_id or wrapper_id else (time, etag)
    return ObjectEvent(
        bucket=uri.bucket,
        key=uri.key,
        event=fields.event,
        id=stable_id(*origin, fields.event, uri.bucket, uri.key),
        size=size if type(size) is int and 0 <= size < 2**63 else None,
        etag=etag,
        time=time,
    )
