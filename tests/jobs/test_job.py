from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob

JOB = OSSJob(
    "MediaConvert-1",
    "MediaConvert",
    "oss://media/in.mov",
    "oss://media/out.mp4",
    "video/convert,f_mp4",
    "cn-hangzhou",
    "project",
    "E-1",
    "R-1",
    "2026-11-24T01:00:00+00:00",
)


def test_it_travels_as_a_plain_dict() -> None:
    assert OSSJob.from_dict(json.loads(json.dumps(JOB.to_dict()))) == JOB


def test_a_result_is_a_job_too() -> None:
    assert OSSJob.from_dict({**JOB.to_dict(), "status": "succeeded", "outputs": []}) == JOB


def test_absent_fields_are_empty() -> None:
    given: dict[str, Any] = {"task_id": "T", "task_type": "MediaConvert", "region": None}
    assert OSSJob.from_dict(given) == OSSJob("T", "MediaConvert", "")


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        ({"task_type": "MediaConvert"}, "task_id"),
        ({"task_id": "T", "task_type": ""}, "task_type"),
        ({}, "task_id and task_type"),
    ],
)
def test_what_is_no_job(data: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=f"a job needs {missing}; got the keys"):
        OSSJob.from_dict(data)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T01:00:00+00:00", 1795482000.0),
        ("2026-11-24T09:00:00+08:00", 1795482000.0),
        ("2026-11-24T01:00:00", 1795482000.0),
        ("", None),
        ("yesterday", None),
        ("9999-12-31T23:59:59-23:59", 253402387139.0),
        ("0001-01-01T00:00:00+23:59", None),
    ],
)
def test_when_it_was_submitted(text: str, seconds: float | None) -> None:
    found = OSSJob("T", "MediaConvert", "", submitted_at=text).submitted
    assert found == seconds or (text.startswith("0001") and found is not None and found < 0)


def test_facts_have_the_ids_last() -> None:
    assert list(JOB.facts) == ["source", "target", "IMM_project", "task_id", "request_id"]


@pytest.mark.parametrize(
    ("state", "final"), [("running", False), ("succeeded", True), ("failed", True), ("lost", True)]
)
def test_final_states(state: Any, final: bool) -> None:
    assert JobStatus(state).final is final
