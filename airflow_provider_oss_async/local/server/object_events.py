"""Event notification of OSS: rules, and the messages that they send to SMQ.

Limits of rules, names of events and the body of a message are those of "Configure event notification
rules" (OSS) and "OSS event notification" (SMQ); the CloudEvent is that of "OSS events" (EventBridge)
with the transformation "Complete Event". A rule works at once; with the service it takes about 10
minutes. Not documented where it could be read, and chosen here: an object that IMM writes raises
``PutObject``, the deletion of an object that does not exist raises nothing, an object that was deleted
has the size 0 and no ETag, and keys are not URL-encoded.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.server.job_table import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_oss_async.local.server.broker import Broker
    from airflow_provider_oss_async.local.server.faults import Faults
    from airflow_provider_oss_async.local.server.store import StoredObject

#: The event types of OSS, by category. The stand-in raises those of the operations that it has.
EVENTS = {
    "ObjectCreated": (
        "PutObject", "PostObject", "CopyObject", "AppendObject", "InitiateMultipartUpload", "UploadPart",
        "UploadPartCopy", "CompleteMultipartUpload", "PutSymlink", "Mirror",
    ),
    "ObjectModified": ("UpdateObjectMeta", "ChangeStorageClass"),
    "ObjectRemoved": ("DeleteObject", "DeleteObjects", "AbortMultipartUpload"),
    "ObjectDownloaded": ("GetObject",),
    "ObjectReplication": ("ObjectCreated", "ObjectRemoved", "ObjectModified"),
    "ObjectRestore": ("FinishRestore",),
}  # fmt: skip
BODIES = ("base64", "plain", "eventbridge")
MAX_RULES = 10
MAX_CONDITIONS = 5
MAX_NAME = 85


@dataclass(frozen=True, slots=True)
class Condition:
    """What objects a rule is for: one of a full name, or all with a prefix and a suffix.

    :param name: full key; the other two are empty then.
    """

    prefix: str = ""
    suffix: str = ""
    name: str = ""

    def holds(self, key: str) -> bool:
        """Whether a key fulfils the condition."""
        if self.name:
            return key == self.name
        return key.startswith(self.prefix) and key.endswith(self.suffix)

    def overlaps(self, other: Condition) -> bool:
        """Whether a key can fulfil both conditions."""
        if self.name:
            return other.holds(self.name)
        if other.name:
            return self.holds(other.name)
        prefixes = sorted((self.prefix, other.prefix), key=len)
        suffixes = sorted((self.suffix, other.suffix), key=len)
        return prefixes[1].startswith(prefixes[0]) and suffixes[1].endswith(suffixes[0])


@dataclass(frozen=True, slots=True)
class EventRule:
    """One event notification rule of a bucket.

    :param name: 1 to 85 characters.
    :param events: event types, with or without ``oss:``; ``ObjectCreated:*`` means all of a category.
    :param objects: 1 to 5 conditions, one of which an object fulfils; default all objects.
    :param queue: SMQ queue that receives the messages; or
    :param topic: SMQ topic, whose subscriptions say whether its queues receive them in a wrapper.
    :param body: ``base64`` (default) or ``plain`` for the body of OSS, ``eventbridge`` for the CloudEvent
        that a rule of EventBridge sends.
    """

    name: str
    bucket: str
    events: tuple[str, ...]
    objects: tuple[Condition, ...] = (Condition(),)
    queue: str = ""
    topic: str = ""
    body: str = "base64"

    @classmethod
    def read(cls, name: str, data: Mapping[str, Any]) -> EventRule:
        """Read a rule from JSON data.

        :raises ValueError: names everything that is wrong.
        """
        wrong = [f"there is no field {field!r}" for field in data if field not in _FIELDS]
        texts = {field: data.get(field, default) for field, default in _TEXTS.items()}
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            wrong.append(f"the name of a rule has 1 to {MAX_NAME} characters")
        if not all(isinstance(text, str) for text in texts.values()) or not texts["bucket"]:
            wrong.append("bucket, queue, topic and body are texts, and bucket is required")
        if bool(texts["queue"]) == bool(texts["topic"]):
            wrong.append("either queue or topic is required")
        if texts["body"] not in BODIES:
            wrong.append(f"body must be one of {', '.join(BODIES)}")
        events = data.get("events")
        given = [str(event) for event in events] if isinstance(events, list | tuple) else []
        names = tuple(dict.fromkeys(event.removeprefix("oss:") for event in given))
        if not names:
            wrong.append("events must be a list of event types")
        wrong += [f"there is no event type {event!r}" for event in names if not _expand(event)]
        conditions = data.get("objects", [{}])
        valid = isinstance(conditions, list | tuple) and 1 <= len(conditions) <= MAX_CONDITIONS
        if not valid or not all(map(_is_condition, conditions)):
            wrong.append(
                f"objects must be a list of 1 to {MAX_CONDITIONS} conditions, each with a name, or with a "
                "prefix, a suffix or both; they are compared as they are, without wildcards"
            )
        if wrong:
            raise ValueError(f"the rule {name!r} is not valid: {'; '.join(wrong)}")
        return cls(name, events=names, objects=tuple(Condition(**each) for each in conditions), **texts)

    def wants(self, event: str, bucket: str, key: str) -> bool:
        """Whether the rule sends an event."""
        return (
            bucket == self.bucket
            and any(event in _expand(name) for name in self.events)
            and any(condition.holds(key) for condition in self.objects)
        )

    def common_events(self, other: EventRule) -> list[str]:
        """Return the event types that both rules would send for some object."""
        if self.bucket != other.bucket or not any(
            mine.overlaps(theirs) for mine in self.objects for theirs in other.objects
        ):
            return []
        own, foreign = ({event for name in rule.events for event in _expand(name)} for rule in (self, other))
        return sorted(own & foreign)


_TEXTS = {"bucket": "", "queue": "", "topic": "", "body": "base64"}
_FIELDS = (*_TEXTS, "events", "objects")


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something that has happened to an object.

    :param name: such as ``ObjectCreated:PutObject``.
    :param before: bytes that the object had before.
    :param position: where an append began; ``None`` for others.
    :param request_id: of the request that has caused it.
    """

    name: str
    bucket: str
    stored: StoredObject
    time: int
    request_id: str
    source_ip: str
    before: int
    position: int | None


class ObjectEvents:
    """The rules of an account, and what sends their messages. To be used on the loop of the server.

    :param region: region of everything.
    :param owner: account id.
    """

    def __init__(self, broker: Broker, faults: Faults, *, region: str, owner: str) -> None:
        self._broker, self._faults = broker, faults
        self._region, self._owner = region, owner
        self._rules: dict[str, EventRule] = {}
        #: Messages that the fault ``event_swap`` holds back, by the name of their rule.
        self._held: dict[str, list[str]] = {}

    def add(self, rule: EventRule) -> None:
        """Add a rule; its queue is created where it is missing.

        :raises ValueError: the rules of OSS do not allow it, or there is no such topic.
        """
        if rule.name in self._rules:
            raise ValueError(
                f"there is a rule {rule.name!r}: a rule cannot be changed, only deleted and made again"
            )
        if len(self._rules) >= MAX_RULES:
            raise ValueError(f"there are {MAX_RULES} rules, and no more are allowed in a region")
        for other in self._rules.values():
            if common := rule.common_events(other):
                raise ValueError(
                    f"the rule {other.name!r} sends {', '.join(common)} for some of the same objects"
                )
        if rule.topic and rule.topic not in self._broker.topics:
            raise ValueError(f"there is no topic {rule.topic!r}")
        if rule.queue:
            self._broker.create_queue(rule.queue)
        self._rules[rule.name] = rule

    def remove(self, name: str) -> None:
        """Delete a rule.

        :raises KeyError: there is no such rule.
        """
        del self._rules[name]

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return the rules as JSON data, by name."""
        return {name: asdict(rule) for name, rule in self._rules.items()}

    def raise_event(self, event: ObjectEvent) -> None:
        """Send an event by every rule that wants it, with the faults that are configured."""
        for rule in self._rules.values():
            if not rule.wants(event.name, event.bucket, event.stored.key):
                continue
            subjects = (event.name, f"oss://{event.bucket}/{event.stored.key}")
            if self._faults.take("event_drop", *subjects):
                continue
            body = self._body(rule, event)
            loop = asyncio.get_running_loop()
            for _ in range(2 if self._faults.take("event_twice", *subjects) else 1):
                if swap := self._faults.take("event_swap", *subjects):
                    self._held.setdefault(rule.name, []).append(body)
                    loop.call_later(swap[0].duration() or 1, self._release, rule)
                elif late := self._faults.take("event_delay", *subjects):
                    loop.call_later(sum(fault.duration() for fault in late), self._send, rule, body)
                else:
                    self._send(rule, body)
                    self._release(rule)

    def _release(self, rule: EventRule) -> None:
        for body in self._held.pop(rule.name, []):
            self._send(rule, body)

    def _send(self, rule: EventRule, body: str) -> None:
        if rule.topic:
            self._broker.publish(rule.topic, body)
        else:
            self._broker.send(rule.queue, body)

    def _body(self, rule: EventRule, event: ObjectEvent) -> str:
        stored, key = event.stored, event.stored.key
        what: dict[str, Any] = {
            "deltaSize": stored.size - event.before,
            "eTag": stored.etag,
            "key": key,
            "size": stored.size,
        }
        if event.position is not None:
            what["position"] = event.position
        resource = f"acs:oss:{self._region}:{self._owner}:{event.bucket}"
        bucket = {"arn": resource, "name": event.bucket, "ownerIdentity": self._owner, "virtualBucket": ""}
        at = f"{iso(event.time)[:23]}Z"
        entry = {
            "eventName": event.name,
            "eventSource": "acs:oss",
            "eventTime": at,
            "eventVersion": "1.0",
            "oss": {"bucket": bucket, "object": what, "ossSchemaVersion": "1.0", "ruleId": rule.name},
            "region": self._region,
            "requestParameters": {"sourceIPAddress": event.source_ip},
            "responseElements": {"requestId": event.request_id},
            "userIdentity": {"principalId": self._owner},
        }
        if rule.body == "eventbridge":
            del entry["oss"]["ruleId"]  # type: ignore[attr-defined]
            return json.dumps(
                {
                    "id": event.request_id,
                    "source": "acs.oss",
                    "specversion": "1.0",
                    "type": f"oss:{event.name}",
                    "subject": f"{resource}/{key}",
                    "time": at,
                    "datacontenttype": "application/json;charset=utf-8",
                    "aliyunaccountid": self._owner,
                    "aliyunoriginalaccountid": self._owner,
                    "aliyunpublishtime": at,
                    "aliyuneventbusname": "default",
                    "aliyunregionid": self._region,
                    "data": entry,
                },
                ensure_ascii=False,
            )
        text = json.dumps({"events": [entry]}, ensure_ascii=False)
        return base64.b64encode(text.encode()).decode() if rule.body == "base64" else text


def event_type(action: str) -> str:
    """``PutObject`` -> ``ObjectCreated:PutObject``."""
    return next(f"{category}:{action}" for category, actions in EVENTS.items() if action in actions)


def _expand(name: str) -> tuple[str, ...]:
    category, _, action = name.partition(":")
    actions = EVENTS.get(category, ())
    return tuple(f"{category}:{each}" for each in actions if action in ("*", each))


def _is_condition(data: Any) -> bool:
    return (
        isinstance(data, dict)
        and data.keys() <= {"prefix", "suffix", "name"}
        and all(isinstance(text, str) and "*" not in text for text in data.values())
        and not (data.get("name") and len(data) > 1)
    )
