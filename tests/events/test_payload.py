from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_oss_async.events import ended_jobs, new_objects
from airflow_provider_oss_async.events.payload import make_payload, read_payload, triggering
from airflow_provider_oss_async.exceptions import ProcessError

WATCH: dict[str, Any] = {"prefix": "in/", "suffix": None, "pattern": None, "exclude": []}


def arrived(key: str, id: str, time: str = "2026-01-02T03:04:05.000Z", **fields: Any) -> dict[str, Any]:
    known = {"bucket": "media", "key": key, "size": 4, "etag": "E", "event": "ObjectCreated:PutObject"}
    return {**known, "time": time, "id": id, **fields}


def ended(task_id: str, id: str) -> dict[str, Any]:
    return {"task_id": task_id, "state": "succeeded", "code": "", "message": "", "id": id}


def context(*payloads: Any, **extra: Any) -> dict[str, Any]:
    events = [
        SimpleNamespace(extra={"from_trigger": True, "payload": payload, **extra}) for payload in payloads
    ]
    return {"triggering_asset_events": {"asset": events}}


def test_all_objects_of_all_events_each_once() -> None:
    first = make_payload("q", WATCH, [arrived("in/a", "1"), arrived("in/b", "2"), arrived("in/a", "1")])
    again = make_payload("q", WATCH, [arrived("in/b", "2"), arrived("in/c", "3")])
    assert len(first["objects"]) == 2
    found = new_objects(context(first, again))
    assert [item["source"] for item in found] == [f"oss://media/in/{name}" for name in "abc"]
    assert found[0] == {"source": "oss://media/in/a", **arrived("in/a", "1")}
    assert json.loads(json.dumps(found)) == found


def test_of_several_events_about_an_object_the_latest_counts() -> None:
    early, late = arrived("in/a", "1"), arrived("in/a", "2", time="2026-01-02T03:04:06.000Z", size=9)
    for order in ([early, late], [late, early]):
        (found,) = new_objects(context(make_payload("q", WATCH, order)))
        assert (found["id"], found["size"]) == ("2", 9)


def test_objects_of_one_name_in_two_buckets() -> None:
    payload = make_payload("q", WATCH, [arrived("in/a", "1"), arrived("in/a", "2", bucket="other")])
    assert [item["source"] for item in new_objects(context(payload))] == [
        "oss://media/in/a",
        "oss://other/in/a",
    ]


def test_ended_jobs_each_once() -> None:
    payload = make_payload("q", WATCH, jobs=[ended("T-1", "1"), ended("T-2", "2")])
    assert ended_jobs(context(payload, payload)) == [ended("T-1", "1"), ended("T-2", "2")]
    assert new_objects(context(payload)) == []


def test_an_event_under_two_names_is_one() -> None:
    both = context(make_payload("q", WATCH, [arrived("in/a", "1")]))
    both["triggering_asset_events"]["alias"] = list(both["triggering_asset_events"]["asset"])
    assert len(triggering(both)) == 1


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"triggering_asset_events": None},
        {"triggering_asset_events": {"asset": [SimpleNamespace(extra=None), SimpleNamespace()]}},
        {"triggering_asset_events": {"asset": [SimpleNamespace(extra={"payload": {"version": 1}})]}},
        context({"status": "success", "message_batch": []}),
        context("text"),
        context(make_payload("q", WATCH, [arrived("in/a", "1")]), from_trigger=False),
    ],
)
def test_events_of_others(other: dict[str, Any]) -> None:
    assert triggering(other) == []
    assert new_objects(other) == []


def test_another_version_is_refused() -> None:
    payload = {**make_payload("q", WATCH), "version": 2}
    for read in (triggering, new_objects, ended_jobs):
        with pytest.raises(ProcessError, match=r"Use the release .* version 2, .* version 1"):
            read(context(payload))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {},
        {"version": 1},
        {**make_payload("q", WATCH), "objects": None},
        {**make_payload("q", WATCH), "objects": ["in/a"]},
        {**make_payload("q", WATCH), "objects": [{"bucket": "media", "id": "1"}]},
        {**make_payload("q", WATCH), "jobs": [{"task_id": "T"}]},
    ],
)
def test_what_is_no_payload(wrong: Any) -> None:
    with pytest.raises(ProcessError, match="is not the payload"):
        read_payload(wrong)
