from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.exceptions import OSSServiceError
from airflow_provider_oss_async.jobs.existing_outputs import existing_outputs
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.submission import JobRequest, build_request
from airflow_provider_oss_async.process import DecodeBlindWatermark, DocumentConvert, ObjectURI, VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.services import Services

SOURCE = ObjectURI("media", "in.mov")
MP4 = VideoConvert(container="mp4")
PAGES = DocumentConvert(target_format="png")


def request(process: Any = MP4, target: str | None = "out.mp4") -> JobRequest:
    return build_request(process, SOURCE, ObjectURI("media", target) if target else None)


async def test_nothing_is_there(services: Services) -> None:
    assert await existing_outputs(services, request()) is None
    assert await existing_outputs(services, request(PAGES, "pages/{index}.png")) is None


async def test_a_job_without_output_has_none(services: Services, stand: Any) -> None:
    assert await existing_outputs(services, request(DecodeBlindWatermark(), None)) is None
    assert stand.requests("OSS:HeadObject") == 0


async def test_an_output_that_is_older_than_its_source(services: Services, stand: Any) -> None:
    stand.put("out.mp4")
    await asyncio.sleep(1.1)  # object times have whole seconds
    stand.put("in.mov")
    found = await existing_outputs(services, request())
    assert found is not None
    assert found.outputs == ("oss://media/out.mp4",)
    assert not found.newer_than_source


@pytest.mark.parametrize(("body", "newer"), [(b"data", True), (b"", False)])
async def test_an_output_that_is_newer(services: Services, stand: Any, body: bytes, newer: bool) -> None:
    await asyncio.sleep(1.1)
    stand.put("out.mp4", body)
    found = await existing_outputs(services, request())
    assert found is not None
    # An empty object is no result.
    assert found.newer_than_source is newer


async def test_an_output_of_a_source_that_is_gone(services: Services, stand: Any) -> None:
    stand.put("out.mp4")
    found = await existing_outputs(
        services, build_request(MP4, ObjectURI("media", "gone.mov"), ObjectURI("media", "out.mp4"))
    )
    assert found is not None
    assert not found.newer_than_source


async def test_of_many_outputs_the_oldest_counts(services: Services, stand: Any) -> None:
    stand.put("pages/1.png")
    await asyncio.sleep(1.1)
    stand.put("in.mov")
    await asyncio.sleep(1.1)
    stand.put("pages/2.png")
    stand.put("pages/other.txt")
    found = await existing_outputs(services, request(PAGES, "pages/{index}.png"))
    assert found is not None
    assert found.outputs == ("oss://media/pages/1.png", "oss://media/pages/2.png")
    assert not found.newer_than_source


async def test_the_result_has_the_keys_of_a_job(services: Services, stand: Any) -> None:
    stand.put("out.mp4")
    found = await existing_outputs(services, request())
    assert found is not None
    result = found.result()
    job = OSSJob("", "MediaConvert", str(SOURCE), request().target, request().process.encode())
    assert {key: result[key] for key in job.to_dict()} == job.to_dict()
    assert (result["status"], result["outputs"]) == ("skipped", ["oss://media/out.mp4"])
    assert result["finished_at"].endswith("+00:00")


async def test_trouble_is_waited_out_and_a_missing_right_is_named(services: Services, stand: Any) -> None:
    stand.put("out.mp4")
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=503, times=2)
    assert await existing_outputs(services, request()) is not None
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=0)
    with pytest.raises(OSSServiceError, match="oss:GetObject"):
        await existing_outputs(services, request())
