from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_oss_async.clients.oss import ObjectState
from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

JOB = OSSJob("MediaConvert-1", "MediaConvert", "oss://media/in.mov")


@pytest.mark.parametrize("baseline", [None, ObjectState("etag", 12.0, "v1", 7)])
@pytest.mark.parametrize("interval", [None, 30.0])
def test_it_travels_as_json(baseline: ObjectState | None, interval: float | None) -> None:
    before = WaitSpecification(JOB, "object", 1764000000.5, interval, baseline, "media", "warn")
    stored = json.loads(json.dumps(before.to_dict()))
    assert stored["version"] == 1
    assert WaitSpecification.from_dict(stored) == before


def test_an_older_form_checks_no_output() -> None:
    stored = WaitSpecification(JOB, "imm", 1.0, verify_output="media").to_dict()
    del stored["verify_output"], stored["if_output_differs"]
    assert WaitSpecification.from_dict(stored) == WaitSpecification(JOB, "imm", 1.0)


@pytest.mark.parametrize("version", [None, 0, 2, "1"])
def test_another_version_is_refused_and_the_job_is_named(version: Any) -> None:
    stored = {**WaitSpecification(JOB, "imm", 1.0).to_dict(), "version": version}
    with pytest.raises(OSSAsyncError, match="same release on workers and triggerers") as caught:
        WaitSpecification.from_dict(stored)
    assert "MediaConvert-1" in str(caught.value)
