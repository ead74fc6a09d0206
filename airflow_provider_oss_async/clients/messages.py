"""Completion messages: what IMM publishes to an SMQ topic when a task has ended.

Documented for ``MediaConvert`` alone ("Asynchronous notification message format",
https://help.aliyun.com/zh/imm/developer-reference/asynchronous-notification-format). Whether the body is
base64 is documented nowhere, and older samples have no envelope: whatever can be told apart is understood.
A message is a hint, which anybody with the right to publish can write; ``GetTask`` is what decides.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

#: Of the wrappers a message may come in: subscription wrapper, envelope, content.
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class CompletionMessage:
    """A message of IMM that a task has ended.

    :param status: as given, such as ``Succeeded`` or ``Failed``.
    :param code: failure code; empty if not given.
    :param message: failure message; empty if not given.
    :param outputs: ``oss://`` URIs of what was written, in the order of the message; empty if not listed.
    """

    task_id: str
    task_type: str
    status: str
    code: str = ""
    message: str = ""
    outputs: tuple[str, ...] = ()


def parse_completion_message(body: bytes) -> CompletionMessage | None:
    """Read the body of a queue message.

    Understood are the task's content alone, IMM's envelope around it (``content`` as an object or as text),
    the JSON wrapper of an SMQ subscription around either, and base64 at each of these steps.

    :return: ``None`` if the message is somebody else's. Never raises.
    """
    value: Any = body
    for _ in range(_MAX_DEPTH):
        data = value if isinstance(value, dict) else _decode(value)
        if data is None:
            return None
        if isinstance(data.get("TaskId"), str) and isinstance(data.get("Status"), str):
            return _completion(data)
        if data.get("source", "acs.imm") != "acs.imm":
            return None
        value = data.get("content", data.get("Message"))
    return None


def _completion(data: dict[str, Any]) -> CompletionMessage | None:
    if not data["TaskId"] or not data["Status"]:
        return None
    task_type, code, message = (
        value if isinstance(value, str) else "" for value in map(data.get, ("TaskType", "Code", "Message"))
    )
    return CompletionMessage(
        task_id=data["TaskId"],
        task_type=task_type,
        status=data["Status"],
        code=code,
        message=message,
        outputs=_uris(data.get("Targets")),
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
                uris[uri] = None
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
