from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
import pytest

from airflow_provider_oss_async.local.server.cloud import Cloud
from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.object_events import EVENTS, EventRule
from tests.local.server.test_smq_service import open_queue
from tests.support.local_service import admin, convert, imm_client, oss_client, put, submit, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService

#: Delays the second of three events most and the third one least.
SEED = 200


def rule(**fields: Any) -> dict[str, Any]:
    """A rule for everything in the bucket, with changes; ``None`` removes a field."""
    every = [f"{category}:*" for category in EVENTS]
    data = {"bucket": "media", "events": every, "queue": "inbox", "body": "plain", **fields}
    return {name: value for name, value in data.items() if value is not None}


def add(service: LocalService, name: str = "all", **fields: Any) -> Any:
    """Add a rule and return the error, empty where there is none."""
    status, answer = admin(service, "PUT", f"event-rules/{name}", rule(**fields))
    assert (status == 200) == (answer == {})
    return answer.get("error", "")


def bodies(service: LocalService, count: int, queue: str = "inbox") -> list[str]:
    """Receive so many messages, and check that there are no more."""
    client = open_queue(service, queue)
    found = []
    for _ in range(count):
        message = client.receive_message(5)
        client.delete_message(message.receipt_handle)
        found.append(str(message.message_body))
    assert service.messages(queue) == {"visible": 0, "hidden": 0}
    return found


def entries(service: LocalService, count: int) -> list[dict[str, Any]]:
    return [json.loads(body)["events"][0] for body in bodies(service, count)]


def told(service: LocalService, count: int) -> list[tuple[Any, ...]]:
    """What so many events say: type, key, size and change of the size."""
    return [
        (entry["eventName"], *(entry["oss"]["object"][name] for name in ("key", "size", "deltaSize")))
        for entry in entries(service, count)
    ]


def keys(service: LocalService, count: int) -> list[str]:
    return [str(key) for _, key, _, _ in told(service, count)]


def test_the_message_of_a_put(service: LocalService) -> None:
    add(service, "new-uploads")
    result = oss_client(service).put_object(
        oss.PutObjectRequest(bucket="media", key="in/ä b.mov", body=b"123")
    )
    (entry,) = entries(service, 1)
    at = entry.pop("eventTime")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)
    assert entry == {
        "eventName": "ObjectCreated:PutObject",
        "eventSource": "acs:oss",
        "eventVersion": "1.0",
        "oss": {
            "bucket": {
                "arn": f"acs:oss:cn-hangzhou:{service.cloud.owner}:media",
                "name": "media",
                "ownerIdentity": service.cloud.owner,
                "virtualBucket": "",
            },
            "object": {
                "deltaSize": 3,
                "eTag": result.etag.strip('"'),
                "key": "in/ä b.mov",
                "size": 3,
            },
            "ossSchemaVersion": "1.0",
            "ruleId": "new-uploads",
        },
        "region": "cn-hangzhou",
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"requestId": result.request_id},
        "userIdentity": {"principalId": service.cloud.owner},
    }


def test_what_raises_events(service: LocalService) -> None:
    add(service)
    client = oss_client(service)
    put(client, "a", b"1")
    put(client, "a", b"123")
    client.copy_object(oss.CopyObjectRequest(bucket="media", key="b", source_key="a"))
    client.append_object(oss.AppendObjectRequest(bucket="media", key="c", position=0, body=b"12"))
    client.append_object(oss.AppendObjectRequest(bucket="media", key="c", position=2, body=b"345"))
    client.delete_object(oss.DeleteObjectRequest(bucket="media", key="a"))
    client.delete_object(oss.DeleteObjectRequest(bucket="media", key="a"))
    client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(
            bucket="media", objects=[oss.DeleteObject("b"), oss.DeleteObject("none"), oss.DeleteObject("c")]
        )
    )
    service.put("d", b"1234")
    assert told(service, 9) == [
        ("ObjectCreated:PutObject", "a", 1, 1),
        ("ObjectCreated:PutObject", "a", 3, 2),
        ("ObjectCreated:CopyObject", "b", 3, 3),
        ("ObjectCreated:AppendObject", "c", 2, 2),
        ("ObjectCreated:AppendObject", "c", 5, 3),
        ("ObjectRemoved:DeleteObject", "a", 0, -3),
        ("ObjectRemoved:DeleteObjects", "b", 0, -3),
        ("ObjectRemoved:DeleteObjects", "c", 0, -5),
        ("ObjectCreated:PutObject", "d", 4, 4),
    ]


def test_an_append_says_where_it_begins(service: LocalService) -> None:
    add(service)
    client = oss_client(service)
    for position in (0, 2):
        client.append_object(oss.AppendObjectRequest(bucket="media", key="c", position=position, body=b"12"))
    assert [entry["oss"]["object"]["position"] for entry in entries(service, 2)] == [0, 2]


def test_each_part_of_an_upload_raises_an_event(service: LocalService) -> None:
    add(service)
    client = oss_client(service)
    name = {"bucket": "media", "key": "big"}
    upload = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**name)).upload_id
    parts = []
    for number, size in ((1, 102_400), (2, 7)):
        part = oss.UploadPartRequest(**name, upload_id=upload, part_number=number, body=b"x" * size)
        parts.append(oss.UploadPart(part_number=number, etag=client.upload_part(part).etag))
    client.complete_multipart_upload(
        oss.CompleteMultipartUploadRequest(
            **name, upload_id=upload, complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts)
        )
    )
    other = client.initiate_multipart_upload(oss.InitiateMultipartUploadRequest(**name)).upload_id
    copy = oss.UploadPartCopyRequest(**name, upload_id=other, part_number=1, source_key="big")
    client.upload_part_copy(copy)
    client.abort_multipart_upload(oss.AbortMultipartUploadRequest(**name, upload_id=other))
    assert told(service, 7) == [
        ("ObjectCreated:InitiateMultipartUpload", "big", 0, 0),
        ("ObjectCreated:UploadPart", "big", 102_400, 102_400),
        ("ObjectCreated:UploadPart", "big", 7, 7),
        ("ObjectCreated:CompleteMultipartUpload", "big", 102_407, 102_407),
        ("ObjectCreated:InitiateMultipartUpload", "big", 0, 0),
        ("ObjectCreated:UploadPartCopy", "big", 102_407, 102_407),
        ("ObjectRemoved:AbortMultipartUpload", "big", 0, 0),
    ]


def test_a_job_that_writes_an_object_raises_an_event(service: LocalService) -> None:
    add(service, objects=[{"prefix": "out"}])
    client = oss_client(service)
    put(client, "in.mov", b"12345")
    assert wait_for_end(imm_client(service), submit(client, convert("out.mp4"))).status == "Succeeded"
    assert told(service, 1) == [("ObjectCreated:PutObject", "out.mp4", 5, 5)]


def test_a_request_that_is_refused_raises_nothing(service: LocalService) -> None:
    add(service)
    client = oss_client(service)
    service.add_fault("refuse", match="OSS:PutObject")
    with pytest.raises(oss.exceptions.OperationError):
        put(client, "a")
    assert bodies(service, 0) == []


def test_rules_have_names_of_events_prefixes_and_suffixes(service: LocalService) -> None:
    events = ["oss:ObjectCreated:PutObject", "ObjectRemoved:*"]
    conditions = [{"prefix": "in/", "suffix": ".mov"}, {"name": "exact"}, {"suffix": ".wav"}]
    add(service, events=events, objects=conditions)
    admin(service, "PUT", "buckets/papers", {})
    client = oss_client(service)
    for key in ("in/a.mov", "in/a.mp4", "x/a.mov", "exact", "exact2", "x/a.wav"):
        put(client, key)
        put(client, key, bucket="papers")
    client.copy_object(oss.CopyObjectRequest(bucket="media", key="in/b.mov", source_key="exact"))
    client.delete_object(oss.DeleteObjectRequest(bucket="media", key="exact"))
    assert keys(service, 4) == ["in/a.mov", "exact", "x/a.wav", "exact"]


def test_a_rule_is_deleted(service: LocalService) -> None:
    add(service)
    assert admin(service, "GET", "event-rules")[1]["all"]["queue"] == "inbox"
    assert "cannot be changed, only deleted" in add(service)
    assert admin(service, "DELETE", "event-rules/all") == (200, {})
    assert admin(service, "GET", "event-rules") == (200, {})
    assert admin(service, "DELETE", "event-rules/all")[0] == 400
    put(oss_client(service), "a")
    assert bodies(service, 0) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"colour": "red"}, "there is no field 'colour'"),
        ({"bucket": None}, "bucket is required"),
        ({"queue": None}, "either queue or topic"),
        ({"topic": "jobs"}, "either queue or topic"),
        ({"queue": None, "topic": "none"}, "there is no topic 'none'"),
        ({"queue": "no_such"}, "letters, digits and hyphens"),
        ({"queue": ["inbox"]}, "are texts"),
        ({"body": "xml"}, "base64, plain, eventbridge"),
        ({"events": []}, "events must be a list"),
        ({"events": "ObjectCreated:*"}, "events must be a list"),
        ({"events": ["ObjectCreated:putobject"]}, "no event type 'ObjectCreated:putobject'"),
        ({"events": ["*"]}, "no event type '*'"),
        ({"objects": []}, "1 to 5 conditions"),
        ({"objects": [{"prefix": str(number)} for number in range(6)]}, "1 to 5 conditions"),
        ({"objects": [{"prefix": "in/*"}]}, "without wildcards"),
        ({"objects": [{"name": "a", "prefix": "b"}]}, "without wildcards"),
        ({"objects": ["in/"]}, "without wildcards"),
    ],
)
def test_wrong_rules_are_refused(service: LocalService, fields: dict[str, Any], says: str) -> None:
    assert says in add(service, **fields)
    assert admin(service, "GET", "event-rules") == (200, {})


def test_everything_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"85 characters.*bucket is required.*body must be.*no event type 'x'"
    ):
        EventRule.read("n" * 86, {"events": ["x"], "queue": "q", "body": "?"})


def test_there_are_ten_rules_at_most(service: LocalService) -> None:
    for number in range(10):
        assert not add(service, str(number), objects=[{"prefix": f"{number}/"}])
    assert "10 rules" in add(service, "more", objects=[{"prefix": "more/"}])


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ({}, {}, True),
        ({}, {"bucket": "papers"}, False),
        ({"events": ["ObjectCreated:*"]}, {"events": ["ObjectRemoved:*"]}, False),
        ({"events": ["ObjectCreated:*"]}, {"events": ["ObjectCreated:CopyObject"]}, True),
        ({"objects": [{"prefix": "a/"}]}, {"objects": [{"prefix": "a/b/"}]}, True),
        ({"objects": [{"prefix": "a/"}]}, {"objects": [{"prefix": "b/"}]}, False),
        ({"objects": [{"prefix": "a/"}]}, {"objects": [{"suffix": ".mov"}]}, True),
        ({"objects": [{"suffix": ".wav"}]}, {"objects": [{"suffix": ".mov"}]}, False),
        ({"objects": [{"name": "a/x.mov"}]}, {"objects": [{"suffix": ".mov"}]}, True),
        ({"objects": [{"suffix": ".mov"}]}, {"objects": [{"name": "a/x.wav"}]}, False),
        ({"objects": [{"name": "a"}]}, {"objects": [{"name": "b"}, {"name": "a"}]}, True),
    ],
)
def test_rules_for_the_same_objects_share_no_event(
    service: LocalService, first: dict[str, Any], second: dict[str, Any], collide: bool
) -> None:
    assert not add(service, "first", **first)
    error = add(service, "second", **second)
    assert error.startswith("the rule 'first' sends ObjectCreated") is collide
    assert bool(error) is collide


def test_bodies_are_base64_by_default(service: LocalService) -> None:
    add(service, body=None)
    put(oss_client(service), "a")
    entry = json.loads(base64.b64decode(bodies(service, 1)[0]))["events"][0]
    assert entry["oss"]["object"]["key"] == "a"


def test_a_topic_wraps_the_body(service: LocalService) -> None:
    admin(service, "PUT", "topics/changes", {"queues": ["inbox"], "format": "JSON"})
    add(service, queue=None, topic="changes")
    put(oss_client(service), "a")
    wrapper = json.loads(bodies(service, 1)[0])
    assert (wrapper["TopicName"], wrapper["SubscriptionName"]) == ("changes", "inbox")
    assert json.loads(wrapper["Message"])["events"][0]["oss"]["object"]["key"] == "a"


def test_the_event_of_eventbridge(service: LocalService) -> None:
    add(service, body="eventbridge")
    result = oss_client(service).put_object(oss.PutObjectRequest(bucket="media", key="in/a.mov", body=b"1"))
    event = json.loads(bodies(service, 1)[0])
    data = event.pop("data")
    owner = service.cloud.owner
    assert event == {
        "id": result.request_id,
        "source": "acs.oss",
        "specversion": "1.0",
        "type": "oss:ObjectCreated:PutObject",
        "subject": f"acs:oss:cn-hangzhou:{owner}:media/in/a.mov",
        "time": data["eventTime"],
        "datacontenttype": "application/json;charset=utf-8",
        "aliyunaccountid": owner,
        "aliyunoriginalaccountid": owner,
        "aliyunpublishtime": data["eventTime"],
        "aliyuneventbusname": "default",
        "aliyunregionid": "cn-hangzhou",
    }
    assert data["eventName"] == "ObjectCreated:PutObject"
    assert data["oss"]["object"]["key"] == "in/a.mov"
    assert "ruleId" not in data["oss"]


def test_events_can_be_lost_doubled_and_late(service: LocalService) -> None:
    add(service)
    service.add_fault("event_drop", match="oss://media/lost*", times=0)
    service.add_fault("event_twice", match="ObjectCreated:CopyObject")
    service.add_fault("event_delay", match="*/late", seconds=0.3)
    client = oss_client(service)
    put(client, "late")
    put(client, "lost")
    put(client, "a")
    client.copy_object(oss.CopyObjectRequest(bucket="media", key="b", source_key="a"))
    assert service.messages("inbox")["visible"] == 3
    found = entries(service, 4)
    assert [entry["oss"]["object"]["key"] for entry in found] == ["a", "b", "b", "late"]
    assert found[1] == found[2]


def test_two_events_can_change_places(service: LocalService) -> None:
    add(service)
    service.add_fault("event_swap", times=3, every=2, seconds=2)
    client = oss_client(service)
    for key in "abcdef":
        put(client, key)
    begin = time.monotonic()
    assert keys(service, 6) == list("acbedf")
    # There is none after the last one, which comes after the time that was given.
    assert time.monotonic() - begin > 1


def test_a_seed_gives_the_same_order_each_time(service: LocalService) -> None:
    add(service)
    seconds = [0.5, 2.5]
    first, again, other = (
        [Fault("event_delay", seconds=seconds, seed=seed, applied=number).duration() for number in (1, 2, 3)]
        for seed in (SEED, SEED, SEED + 1)
    )
    assert first == again != other
    assert first[2] + 0.7 < first[0] < first[1] - 0.7
    service.add_fault("event_delay", times=0, seconds=seconds, seed=SEED)
    for key in "abc":
        service.put(key, b"")
    assert keys(service, 3) == ["c", "a", "b"]


def test_rules_and_queues_at_the_start(start: Callable[..., LocalService]) -> None:
    service = start("other", queues={"inbox": {"visibility": 7}}, event_rules={"all": rule()})
    put(oss_client(service), "a")
    message = open_queue(service, "inbox").receive_message(1)
    assert 5_000 < message.next_visible_time - time.time() * 1000 <= 7_000
    assert admin(service, "GET", "state")[1]["queues"] == {"inbox": {"visible": 0, "hidden": 1}}
    assert json.loads(service.connection_json())["extra"]["smq_queue"] == "inbox"


def test_a_wrong_rule_at_the_start_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no event type"):
        Cloud(tmp_path, event_rules={"all": rule(events=["x"])})
    Cloud(tmp_path).close()


def test_queues_over_http(service: LocalService) -> None:
    assert admin(service, "PUT", "queues/inbox", {"visibility": 5}) == (200, {})
    assert admin(service, "PUT", "queues/inbox", {"retention": 100}) == (200, {})
    queue = service.cloud.broker.queues["inbox"]
    assert (queue.visibility, queue.retention) == (5, 100)
    assert (
        "visibility must be 1 to 43200"
        in admin(service, "PUT", "queues/inbox", {"visibility": 0})[1]["error"]
    )
    assert "letters, digits" in admin(service, "PUT", "queues/a_b", {})[1]["error"]


def test_an_object_stored_before_the_start_raises_nothing(tmp_path: Path) -> None:
    from airflow_provider_oss_async.local.server.app import LocalService

    service = LocalService(tmp_path, event_rules={"all": rule()})
    service.put("early", b"")
    with service:
        service.put("later", b"")
        assert keys(service, 1) == ["later"]
