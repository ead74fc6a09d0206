"""Messages of a queue: what is in them, whatever they are wrapped in.

Completion messages are what IMM publishes when a task has ended; documented for ``MediaConvert`` alone
("Asynchronous notification message format",
https://help.aliyun.com/zh/imm/developer-reference/asynchronous-notification-format). Whether the body is
base64 is documented nowhere, and older samples have no envelope: whatever can be told apart is understood.
A message is a hint, which anybody with the right to publish can write; ``GetTask`` is what decides.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_oss_async.clients.object_events import (
    ObjectMessage,
    clean_text,
    read_object_message,
    stable_id,
)

#: Of the wrappers a message may come in: subscription wrapper, envelope, content.
_MAX_DEPTH = 4
#: ``source`` of messages of IMM and of OSS.
_IMM, _OSS = "acs.imm", "acs.oss"


@dataclass(frozen=True, slots=True)
class CompletionMessage:
    """A message of IMM that a task has ended.

    :param status: as given, such as ``Succeeded`` or ``Failed``.
    :param code: failure code; empty if not given.
    :param message: failure message; empty if not given.
    :param outputs: ``oss://`` URIs of what was written, in the order of the message; empty if not listed.
    :param source: ``oss://`` URI of the first source; empty if not given.
    :param time: when the task ended, as given; empty if not given.
    """

    task_id: str
    task_type: str
    status: str
    code: str = ""
    message: str = ""
    outputs: tuple[str, ...] = ()
    source: str = ""
    time: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the ended job as JSON natives, as it stands in a payload."""
        return {
            "task_id": self.task_id,
            "state": self.status.lower(),
            "code": self.code,
            "message": self.message,
            "task_type": self.task_type,
            "source": self.source,
            "outputs": list(self.outputs),
            "time": self.time,
            "id": stable_id(self.task_id, self.status.lower()),
        }


def parse_message(body: bytes) -> CompletionMessage | ObjectMessage | None:
    """Read the body of a queue message.

    Understood are completion messages (the task's content alone, or IMM's envelope around it, ``content`` as
    an object or as text) and object events (the list ``events``, one entry of it, or a CloudEvent of
    EventBridge with either), the JSON wrapper of an SMQ subscription around each, and base64 at each of these
    steps.

    :return: ``None`` if the message is somebody else's. Never raises.
    """
    value: Any = body
    origin, kind, id = "", "", ""
    for _ in range(_MAX_DEPTH):
        data = value if isinstance(value, dict) else _decode(value)
        if data is None:
            return None
        if isinstance(data.get("TaskId"), str) and isinstance(data.get("Status"), str):
            return _completion(data) if origin != _OSS else None
        origin = data.get("source", origin)
        if origin not in ("", _IMM, _OSS):
            return None
        if origin != _IMM and ("events" in data or "oss" in data):
            return read_object_message(data.get("events", [data]), kind=kind, id=id)
        kind, id = clean_text(data.get("type")), clean_text(data.get("id"))
        value = next((data[name] for name in ("content", "data", "Message") if name in data), None)
    return None


def _completion(data: dict[str, Any]) -> CompletionMessage | None:
    task_id, status = clean_text(data["TaskId"], 512), clean_text(data["Status"])
    if not task_id or not status:
        return None
    return CompletionMessage(
        task_id=task_id,
        task_type=clean_text(data.get("TaskType")),
        status=status,
        code=clean_text(data.get("Code")),
        message=clean_text(data.get("Message"), 800),
        outputs=_uris(data.get("Targets")),
        source=next(iter(_uris(data.get("Sources"))), ""),
        time=clean_text(data.get("EndTime"), 64),
    )


def _uris(targets: Any) -> tuple[str, ...]:
    """Return every ``URI`` below ``Targets``: a target's own is empty where it stands for many images."""
    uris: dict[str, None] = {}
    pending = [targets]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            uri = node.get("URI")
            if isinstance(uri, str) and uri.startswith("oss://"):
                uris[clean_text(uri, 2048)] = None
            pending.extend(reversed(node.values()))
        elif isinstance(node, list):
            pending.extend(reversed(node))
    return tuple(uris)


def _decode(raw: Any) -> dict[str, Any] | None:
    """Return the JSON object that a text holds, plain or in base64."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "replace")
    if not isinstance(raw, bytes):
        return None
    data = _json(raw)
    if data is None:
        try:
            compact = b"".join(raw.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
            data = _json(base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True))
        except ValueError:
            return None
    return data if isinstance(data, dict) else None


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
