from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.oss import ObjectState
from airflow_provider_oss_async.exceptions import (
    OSSJobTimeoutError,
    OSSServiceError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.submission import instruct, submit
from airflow_provider_oss_async.jobs.waiting import (
    Following,
    follow,
    look,
    predictable_output,
    see_through,
    settle_project,
    take_baseline,
)
from airflow_provider_oss_async.process import (
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    Style,
    VideoConvert,
    VideoSnapshots,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_oss_async.hooks.services import Services

pytestmark = pytest.mark.usefixtures("quick")

SOURCE = ObjectURI("media", "in.mov")
OUT = ObjectURI("media", "out.mp4")


@pytest.fixture
async def services(stand: Any) -> AsyncIterator[Services]:
    async with open_services(stand.settings()) as opened:
        yield opened


def following(baseline: ObjectState | None = None, seconds: float = 5.0, **fields: Any) -> Following:
    found = instruct(VideoConvert(container="mp4"), SOURCE, OUT)
    job = OSSJob("T-1", "MediaConvert", str(SOURCE), found.target, found.process.encode())
    values: dict[str, Any] = {"poll_interval": 0.1, "completion": "object", **fields}
    return Following(job, deadline=time.time() + seconds, baseline=baseline, **values)


async def test_an_object_that_was_not_there(services: Services, stand: Any) -> None:
    baseline = await take_baseline(services, OUT)
    assert baseline is None
    waiting = asyncio.create_task(follow(services, following(baseline)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert await look(services, following(baseline)) == JobStatus("running")
    await asyncio.to_thread(stand.put, "out.mp4")
    status = await waiting
    assert status.state == "succeeded"
    assert status.finished_at.endswith("+00:00")


async def test_an_object_that_is_overwritten(services: Services, stand: Any) -> None:
    stand.put("out.mp4", b"old")
    baseline = await take_baseline(services, OUT)
    assert baseline is not None
    assert (await look(services, following(baseline))).state == "running"
    stand.put("out.mp4", b"new")
    assert (await follow(services, following(baseline))).state == "succeeded"


async def test_an_object_that_is_overwritten_by_its_equal(services: Services, stand: Any) -> None:
    stand.put("out.mp4", b"same")
    baseline = await take_baseline(services, OUT)
    assert (await look(services, following(baseline))).state == "running"
    await asyncio.sleep(1.01)  # object times have whole seconds
    stand.put("out.mp4", b"same")
    after = await take_baseline(services, OUT)
    assert after is not None
    assert baseline is not None
    assert after.etag == baseline.etag
    assert (await follow(services, following(baseline))).state == "succeeded"


async def test_an_object_that_never_comes(services: Services) -> None:
    with pytest.raises(OSSJobTimeoutError):
        await follow(services, following(seconds=0.3))


async def test_trouble_with_the_object_is_waited_out(services: Services, stand: Any) -> None:
    stand.put("out.mp4")
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=503, times=3)
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=2)
    stand.service.add_fault("close", match="OSS:HeadObject", times=4)
    assert (await follow(services, following(seconds=20))).state == "succeeded"


async def test_a_missing_right_on_the_object_ends_waiting(services: Services, stand: Any) -> None:
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=0)
    with pytest.raises(OSSServiceError, match="oss:GetObject"):
        await follow(services, following())
    with pytest.raises(OSSServiceError, match="oss:GetObject"):
        await take_baseline(services, OUT)


async def test_a_bucket_that_is_not_there_is_no_absent_object(services: Services) -> None:
    with pytest.raises(OSSServiceError):
        await take_baseline(services, ObjectURI("nowhere", "out.mp4"))


@pytest.mark.parametrize(
    ("process", "target", "key"),
    [
        (VideoConvert(container="mp4"), "out.mp4", "out.mp4"),
        (VideoConvert(container="mp4"), "out", "out.mp4"),
        (VideoConvert(container="mp4"), "{barename}/x.{autoext}", "in/x.mp4"),
        (VideoConvert(container="mp4"), "{{x}}.mp4", "{x}.mp4"),
        (DocumentConvert(target_format="pdf"), "out.pdf", "out.pdf"),
    ],
)
def test_outputs_that_can_be_told(process: Any, target: str, key: str) -> None:
    submission = instruct(process, SOURCE, ObjectURI("media", target))
    assert predictable_output(submission) == ObjectURI("media", key)


@pytest.mark.parametrize(
    ("process", "target"),
    [
        (DocumentConvert(target_format="png"), "pages/{index}.png"),
        (DocumentConvert(target_format="png"), "page.png"),
        (VideoSnapshots(format="jpg", count=3), "frames/f"),
        (Style("mine", task_type="MediaConvert"), "out"),
        (VideoConvert(container="mp4"), "{year}/out.mp4"),
        (DecodeBlindWatermark(), None),
    ],
)
def test_outputs_that_cannot_be_told(process: Any, target: str | None) -> None:
    submission = instruct(process, SOURCE, ObjectURI("media", target) if target else None)
    with pytest.raises(ProcessError, match="completion='imm'"):
        predictable_output(submission)


async def test_the_project_is_the_given_one_or_looked_up(services: Services, stand: Any) -> None:
    assert await settle_project(services, "media", "given") == "given"
    assert stand.requests("IMM:GetOSSBucketAttachment") == 0
    assert await settle_project(services, "media", "") == "local-project"


async def test_an_unattached_bucket_says_what_to_do(start_stand: Callable[..., Any]) -> None:
    stand = start_stand(buckets={"media": "local-project", "loose": None})
    async with open_services(stand.settings()) as services:
        with pytest.raises(OSSServiceError) as caught:
            await settle_project(services, "loose", "")
        for part in ("Nothing was submitted", "loose", "imm_project", "completion='object'"):
            assert part in str(caught.value)
        assert (caught.value.service, caught.value.action) == ("IMM", "GetOSSBucketAttachment")
        stand.service.add_fault("refuse", match="IMM:*", status=503)
        assert await settle_project(services, "media", "") == "local-project"
        stand.service.add_fault("refuse", match="IMM:*", status=503, times=0)
        with pytest.raises(OSSUnavailableError, match="Nothing was submitted"):
            await settle_project(services, "media", "")


async def running(services: Services, stand: Any, **fields: Any) -> Following:
    await services.ready()
    submission = instruct(VideoConvert(container="mp4"), SOURCE, OUT)
    job = await submit(services.oss, replace(submission, imm_project="local-project"))
    return Following(job, "imm", time.time() + 10, poll_interval=0.1)


async def test_no_deadline_reaches_the_end_of_the_record(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    fresh = await running(services, stand)
    long_ago = datetime.fromtimestamp(time.time() - MAX_TIMEOUT + 0.3, UTC).isoformat()
    old = replace(fresh, job=replace(fresh.job, submitted_at=long_ago))
    begun = time.monotonic()
    with pytest.raises(OSSJobTimeoutError):
        await follow(services, old)
    assert time.monotonic() - begun < 3


async def test_an_outage_after_the_end_is_waited_out_too(services: Services, stand: Any) -> None:
    before = await running(services, stand)
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=503, times=5)
    result = await see_through(services, before)
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert stand.requests("OSS:HeadObject") >= 6


async def test_what_is_known_is_not_asked_again(services: Services, stand: Any) -> None:
    before = await running(services, stand)
    final = await follow(services, before)
    asked = stand.requests("IMM:GetTask")
    assert (await see_through(services, before, final))["status"] == "succeeded"
    assert stand.requests("IMM:GetTask") == asked


async def test_a_queue_that_was_taken_off_the_connection(
    services: Services, stand: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    before = replace(await running(services, stand), completion="smq", poll_interval=0.3)
    assert (await see_through(services, before))["status"] == "succeeded"
    assert "names no SMQ queue any more" in caplog.text


async def test_those_who_look_for_outputs_leave_connections_to_others(stand: Any) -> None:
    """Else whoever asks for other jobs would wait for a connection longer than a request may take."""
    async with open_services(stand.settings({"read_timeout": 1.5})) as services:
        before = await running(services, stand)
        final = await follow(services, before)
        stand.service.add_fault("delay", match="OSS:HeadObject", seconds=1, times=0)
        looking = [asyncio.create_task(see_through(services, before, final)) for _ in range(250)]
        while stand.requests("OSS:HeadObject") < 60:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await look(services, before)).state == "succeeded"
        assert all(result["outputs"] for result in await asyncio.gather(*looking))


@pytest.mark.parametrize("baseline", [None, ObjectState("etag", 12.0, "v1")])
def test_a_following_travels_as_json(baseline: ObjectState | None) -> None:
    before = following(baseline)
    assert Following.from_dict(json.loads(json.dumps(before.to_dict()))) == before
