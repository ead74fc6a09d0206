"""The payload of an event: what a DAG that an event has started finds in ``asset_event.extra["payload"]``.

JSON natives, small, because Airflow sends the payloads of all triggering events to every task of the run::

    {"version": 1, "queue": "uploads",
     "watch": {"prefix": "inbox/", "suffix": None, "pattern": None, "exclude": []},
     "objects": [{"bucket", "key", "size", "etag", "event", "time", "id"}, ...],
     "jobs": [{"task_id", "state", "code", "message", "task_type", "source", "outputs", "time", "id"}, ...]}

An ``id`` (str) stays the same when a message is received again. ``size`` is in bytes, ``None`` where the
event does not say it; ``event`` is such as ``ObjectCreated:PutObject``, or ``Listing`` for objects that no
event has announced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Version of the payload.
VERSION = 1
#: ``event`` of an object that a listing has found.
LISTING = "Listing"


def make_payload(
    queue: str,
    watch: Mapping[str, Any],
    objects: Iterable[Mapping[str, Any]] = (),
    jobs: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the payload of an event; entries with an id that was there before are dropped."""
    return {
        "version": VERSION,
        "queue": queue,
        "watch": dict(watch),
        "objects": list({item["id"]: dict(item) for item in objects}.values()),
        "jobs": list({item["id"]: dict(item) for item in jobs}.values()),
    }


def read_payload(payload: Any) -> dict[str, Any]:
    """Return a payload after checking its version and its shape.

    :raises ProcessError: it was written by another release, or is none.
    """
    if not isinstance(payload, dict) or "version" not in payload:
        raise ProcessError(f"{shown(payload)} is not the payload of an OSSEventTrigger: it has no version")
    if payload["version"] != VERSION:
        raise ProcessError(
            f"Use the release of this provider that the triggerer has: the event has version "
            f"{shown(payload['version'])}, and this release reads version {VERSION}"
        )
    shape = (
        isinstance(payload.get("queue"), str)
        and isinstance(payload.get("watch"), dict)
        and all(
            isinstance(payload.get(name), list)
            and all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in payload[name])
            for name in ("objects", "jobs")
        )
        and all(isinstance(item.get(name), str) for item in payload["objects"] for name in ("bucket", "key"))
    )
    if not shape:
        raise ProcessError(
            f"{shown(payload)} is not the payload of an OSSEventTrigger: its shape is not that"
        )
    return payload


def triggering(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the payloads of all events of :class:`OSSEventTrigger` that have started this run.

    :param context: the task's context. Events of other origin in it are left out.
    :raises ProcessError: a payload was written by another release.
    """
    events: Mapping[Any, Iterable[Any]] = context.get("triggering_asset_events") or {}
    payloads: list[dict[str, Any]] = []
    seen: set[int] = set()
    # An event may be listed under its asset and under an alias of it.
    for event in (event for of_asset in events.values() for event in of_asset):
        extra = getattr(event, "extra", None)
        payload = extra.get("payload") if isinstance(extra, dict) and extra.get("from_trigger") else None
        if (
            id(event) not in seen
            and isinstance(payload, dict)
            and {"version", "queue", "watch"} <= set(payload)
        ):
            seen.add(id(event))
            payloads.append(read_payload(payload))
    return payloads


def new_objects(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects that have started this run, in the form that ``sources`` of a batch takes.

    They are those of all its triggering events.
    Each object is there once: of several events about one key the latest counts.

    :param context: the task's context.
    :return: in the order of the events, dicts of ``source`` (``oss://bucket/key``), ``bucket``, ``key``,
        ``size``, ``etag``, ``event``, ``time`` and ``id``, as in a payload.
    :raises ProcessError: an event was written by another release.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for payload in triggering(context):
        for item in payload["objects"]:
            name = (item["bucket"], item["key"])
            if name not in found or _later(item, found[name]):
                found[name] = {"source": f"oss://{item['bucket']}/{item['key']}", **item}
    return list(found.values())


def ended_jobs(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the ended jobs that have started this run, of all its triggering events, each once.

    A message is a hint that anybody with the right to publish can write: where that matters, ask IMM with
    ``OSSAsyncHook.get_status``.

    :param context: the task's context.
    :return: in the order of the events, dicts of ``task_id``, ``state`` (``"succeeded"`` or ``"failed"``),
        ``code``, ``message``, ``task_type``, ``source``, ``outputs``, ``time`` and ``id``.
    :raises ProcessError: an event was written by another release.
    """
    jobs = (item for payload in triggering(context) for item in payload["jobs"])
    return list({item["id"]: item for item in jobs}.values())


def _later(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether an event is not older than another; times are ISO 8601 in UTC."""
    return str(one.get("time") or "") >= str(other.get("time") or "")
