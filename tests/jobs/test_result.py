from __future__ import annotations

import asyncio
import json
import pickle
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSJobError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSServiceError,
)
from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
from airflow_provider_oss_async.jobs.job_errors import timeout_error
from airflow_provider_oss_async.jobs.result import event_of, result_from, result_of
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.process import DecodeBlindWatermark, DocumentConvert, ObjectURI, VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.services import Services

DONE = JobStatus("succeeded", finished_at="2026-11-24T01:00:00.000000000Z")


def job(process: Any, target: str | None, submitted_at: str = "") -> OSSJob:
    found = build_request(process, ObjectURI("media", "in.mov"), target and ObjectURI("media", target))  # type: ignore[arg-type]
    return OSSJob(
        "T-1",
        found.task_type,
        "oss://media/in.mov",
        found.target,
        found.process.encode(),
        request_id="R-1",
        imm_project="local-project",
        submitted_at=submitted_at,
    )


async def test_a_single_output_is_listed_if_it_exists(services: Services, stand: Any) -> None:
    done = job(VideoConvert(container="mp4"), "out")
    assert (await result_of(services, done, DONE))["outputs"] == []
    stand.put("out.mp4")
    result = await result_of(services, done, DONE)
    assert result == {
        **done.to_dict(),
        "status": "succeeded",
        "finished_at": DONE.finished_at,
        "outputs": ["oss://media/out.mp4"],
    }
    json.dumps(result)


async def test_many_outputs_are_listed_in_order_without_others(services: Services, stand: Any) -> None:
    for name in ("page-1.png", "page-2.png", "page-10.png", "page-x.png", "page-3.jpg", "sub/page-1.png"):
        stand.put(f"pages/{name}")
    done = job(DocumentConvert(target_format="png"), "pages/page-{index}.png")
    outputs = (await result_of(services, done, DONE))["outputs"]
    assert outputs == [f"oss://media/pages/page-{number}.png" for number in (1, 2, 10)]


async def test_outputs_of_an_earlier_job_are_not_listed(services: Services, stand: Any) -> None:
    stand.put("pages/9.png")
    # Object times have whole seconds, and one of them is tolerated.
    await asyncio.sleep(2.1)
    submitted = datetime.now(UTC).isoformat()
    stand.put("pages/1.png")
    done = job(DocumentConvert(target_format="png"), "pages/{index}.png", submitted)
    assert (await result_of(services, done, DONE))["outputs"] == ["oss://media/pages/1.png"]


async def test_more_than_a_page_of_objects_is_listed(services: Services, stand: Any) -> None:
    for number in range(1, 1004):
        stand.put(f"p/{number}.png")
    done = job(DocumentConvert(target_format="png"), "p/{index}.png")
    outputs = (await result_of(services, done, DONE))["outputs"]
    assert len(outputs) == 1003
    assert outputs[-1] == "oss://media/p/1003.png"


async def test_a_watermark_comes_as_text(services: Services, stand: Any) -> None:
    found = build_request(DecodeBlindWatermark(), ObjectURI("media", "in.mov"))
    done = await submit(services.oss, replace(found, imm_project="local-project"))
    status = await services.poller.wait(done, deadline=time.time() + 10)
    result = await result_of(services, done, status)
    assert (result["content"], result["outputs"]) == ("hidden text", [])


async def test_a_job_known_by_its_id_alone_has_no_outputs(services: Services) -> None:
    bare = OSSJob("T", "MediaConvert", "")
    assert (await result_of(services, bare, DONE))["outputs"] == []


async def test_outputs_that_may_not_be_listed_are_an_error_that_names_the_right(
    services: Services, stand: Any
) -> None:
    stand.service.add_fault("refuse", match="OSS:ListObjects*", status=403, code="AccessDenied", times=0)
    done = job(DocumentConvert(target_format="png"), "pages/{index}.png")
    with pytest.raises(OSSServiceError, match="oss:ListObjects"):
        await result_of(services, done, DONE)


async def test_no_result_of_a_job_that_failed(services: Services) -> None:
    done = job(VideoConvert(container="mp4"), "out.mp4")
    with pytest.raises(OSSJobFailedError, match="The job failed: not a video"):
        await result_of(services, done, JobStatus("failed", "InvalidFile", "not a video"))
    with pytest.raises(OSSJobLostError, match="local-project"):
        await result_of(services, done, JobStatus("lost"))


def errors() -> list[OSSJobError]:
    done = job(VideoConvert(container="mp4"), "out.mp4")
    fields: dict[str, Any] = {"job": done.to_dict(), "code": "C", "detail": "d"}
    return [
        OSSJobFailedError("it failed", **fields),
        OSSJobLostError("lost", job=done.to_dict()),
        timeout_error(done),
    ]


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_the_event(error: OSSJobError) -> None:
    event = json.loads(json.dumps(event_of(error)))
    with pytest.raises(type(error)) as caught:
        result_from(event)
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert vars(caught.value) == vars(error)
    assert vars(pickle.loads(pickle.dumps(caught.value))) == vars(error)


def test_a_result_is_the_same_after_the_event() -> None:
    done = job(VideoConvert(container="mp4"), "out.mp4")
    result = {**done.to_dict(), "status": "succeeded", "finished_at": "", "outputs": ["oss://media/out.mp4"]}
    assert result_from(json.loads(json.dumps(event_of(result)))) == result


def test_another_error_keeps_its_message() -> None:
    error = OSSServiceError("IMM refused: give imm:GetTask", service="IMM", action="GetTask", status=403)
    event = event_of(error)
    assert event["status"] == "error"
    with pytest.raises(OSSAsyncError, match="give imm:GetTask") as caught:
        result_from(event)
    assert type(caught.value) is OSSServiceError
    assert vars(caught.value) == vars(error)


@pytest.mark.parametrize(
    "event", [None, {}, {"result": {}}, {"version": 0, "status": "success", "result": {}}]
)
def test_an_event_that_says_nothing_is_an_error(event: Any) -> None:
    with pytest.raises(OSSAsyncError, match="without a result that can be read"):
        result_from(event)
