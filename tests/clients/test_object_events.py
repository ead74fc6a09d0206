"""Object events in every shape that is documented, and in some that are not."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from airflow_provider_oss_async.clients.messages import parse_message
from airflow_provider_oss_async.clients.object_events import (
    EVENT_NAMES,
    FINISHED,
    ObjectEvent,
    ObjectMessage,
    clean_text,
)


def entry(key: str = "in/影片 a.mov", **changes: Any) -> dict[str, Any]:
    """An entry as the documentation and its samples have it."""
    return {
        "eventName": "ObjectCreated:PutObject",
        "eventSource": "acs:oss",
        "eventTime": "2026-01-02T03:04:05.000Z",
        "eventVersion": "1.0",
        "oss": {
            "bucket": {
                "arn": "acs:oss:cn-hangzhou:1234567890:media",
                "name": "media",
                "ownerIdentity": "1234567890",
                "virtualBucket": "",
            },
            "object": {"deltaSize": 122539, "eTag": "688A5BF4", "key": key, "size": 122539},
            "ossSchemaVersion": "1.0",
            "ruleId": "inbox",
        },
        "region": "cn-hangzhou",
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {"requestId": "58F9FF2D3DF792092E12044C"},
        "userIdentity": {"principalId": "1234567890"},
        **changes,
    }


def cloud_event(data: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": "58F9FF2D3DF792092E12044C",
        "source": "acs.oss",
        "specversion": "1.0",
        "type": "oss:ObjectCreated:PutObject",
        "subject": "acs:oss:cn-hangzhou:1234567890:media/in/a.mov",
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json;charset=utf-8",
        "aliyunaccountid": "1234567890",
        "data": data,
        **changes,
    }


def packed(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def wrapped(body: bytes) -> bytes:
    return packed({"TopicOwner": "1234567890", "TopicName": "t", "Message": body.decode(), "MessageTag": ""})


SHAPES = {
    "events": packed({"events": [entry()]}),
    "one entry": packed(entry()),
    "CloudEvent": packed(cloud_event(entry())),
    "CloudEvent with data as text": packed(cloud_event(json.dumps(entry()))),
    "CloudEvent with a list": packed(cloud_event({"events": [entry()]})),
    "CloudEvent whose data have no name": packed(
        cloud_event({k: v for k, v in entry().items() if k != "eventName"})
    ),
    "name with its prefix": packed(entry(eventName="oss:ObjectCreated:PutObject")),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coding", ["plain", "base64", "topic", "topic of base64", "base64 of topic"])
def test_every_shape_says_the_same(shape: str, coding: str) -> None:
    body = SHAPES[shape]
    body = {
        "plain": lambda: body,
        "base64": lambda: base64.b64encode(body),
        "topic": lambda: wrapped(body),
        "topic of base64": lambda: wrapped(base64.b64encode(body)),
        "base64 of topic": lambda: base64.b64encode(wrapped(body)),
    }[coding]()
    content = parse_message(body)
    assert isinstance(content, ObjectMessage)
    (event,) = content.events
    assert event.to_dict() == {
        "bucket": "media",
        "key": "in/影片 a.mov",
        "size": 122539,
        "etag": "688A5BF4",
        "event": "ObjectCreated:PutObject",
        "time": "2026-01-02T03:04:05.000Z",
        # By whichever way it comes.
        "id": reference().id,
    }


def reference() -> ObjectEvent:
    content = parse_message(SHAPES["events"])
    assert isinstance(content, ObjectMessage)
    return content.events[0]


def read(**changes: Any) -> ObjectEvent:
    content = parse_message(packed({"events": [entry(**changes)]}))
    assert isinstance(content, ObjectMessage)
    return content.events[0]


def test_the_table_of_the_documentation_nests_more() -> None:
    nested = entry()
    nested["oss"]["responseElements"] = nested.pop("responseElements")
    content = parse_message(packed({"events": [nested]}))
    assert isinstance(content, ObjectMessage)
    assert content.events == (reference(),)


def test_ids_tell_events_apart() -> None:
    ids = {
        reference().id,
        read(key="in/b.mov").id,
        read(eventName="ObjectCreated:CopyObject").id,
        read(responseElements={"requestId": "another"}).id,
        read(responseElements=None).id,
        read(responseElements={}, eventTime="2026-01-02T03:04:06.000Z").id,
    }
    assert len(ids) == 6
    assert {len(one) for one in ids} == {32}


def test_several_entries_in_one_message() -> None:
    """Entries that are none, or about names that cannot be sent, do not hide the others."""
    body = packed({"events": [entry("a"), "text", entry("a/../b"), entry("line\nfeed"), entry("c")]})
    content = parse_message(body)
    assert isinstance(content, ObjectMessage)
    assert [event.key for event in content.events] == ["a", "c"]
    assert content.unusable == 2


def test_values_that_are_odd_are_left_out() -> None:
    odd = entry(eventTime=17, responseElements="text")
    odd["oss"]["object"] = {"key": "a", "size": True, "eTag": ["x"]}
    content = parse_message(packed({"events": [odd]}))
    assert isinstance(content, ObjectMessage)
    (event,) = content.events
    assert (event.size, event.etag, event.time) == (None, "", "")
    for size in (-1, 10**30, "4", 1.5, None):
        odd["oss"]["object"]["size"] = size
        content = parse_message(packed({"events": [odd]}))
        assert isinstance(content, ObjectMessage)
        assert content.events[0].size is None


def test_names_of_events() -> None:
    assert {EVENT_NAMES[name] for name in FINISHED} == {
        "ObjectCreated:PutObject",
        "ObjectCreated:PostObject",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectCreated:CopyObject",
    }
    # Before there is an object, and after it.
    for name in (
        "UploadPart",
        "UploadPartCopy",
        "InitiateMultipartUpload",
        "DeleteObject",
        "AbortMultipartUpload",
    ):
        assert name not in EVENT_NAMES


@pytest.mark.parametrize(
    ("value", "text"),
    [("a\x00\nb", "a b"), ("\ud800x", "?x"), (None, ""), (3, ""), ("x" * 900, "x" * 200), (" a ", "a")],
)
def test_clean_text(value: Any, text: str) -> None:
    assert clean_text(value) == text
