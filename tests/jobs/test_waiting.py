from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.oss import OSSClient
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.completion import STRATEGIES
from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.jobs.waiting import (
    poll_before_deferral,
    poll_once,
    settle_project,
    wait_for_result,
)
from airflow_provider_oss_async.process import DocumentConvert, ObjectURI, VideoConvert
from tests.support.services import QUICK, quick_services, wire_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.clients.credentials import Credentials
    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Wire

SOURCE = ObjectURI("media", "in.mov")
OUT = ObjectURI("media", "out.mp4")


async def running(services: Services) -> WaitSpecification:
    request = build_request(VideoConvert(container="mp4"), SOURCE, OUT)
    job = await submit(services.oss, replace(request, imm_project="local-project"))
    return WaitSpecification(job, "imm", time.time() + 10, 0.1)


class TestProject:
    async def test_it_is_that_of_the_bucket(self, services: Services, stand: Any) -> None:
        assert await settle_project(services, "media", "") == "local-project"
        assert await settle_project(services, "media", "local-project") == "local-project"
        assert stand.requests("IMM:GetOSSBucketAttachment") == 2

    async def test_another_one_is_refused_with_the_right_one(self, services: Services) -> None:
        with pytest.raises(ProcessError, match="Nothing was submitted") as caught:
            await settle_project(services, "media", "mistyped")
        assert "Set imm_project='local-project', or leave it out." in str(caught.value)
        assert caught.value.advice == "Set imm_project='local-project', or leave it out."

    async def test_where_it_cannot_be_read_the_given_one_is_used_and_that_is_said(
        self, services: Services, stand: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        stand.service.add_fault(
            "refuse", match="IMM:*", status=403, code="NoPermission", message="no", times=0
        )
        assert await settle_project(services, "media", "given") == "given"
        assert "could not be checked" in caplog.text
        with pytest.raises(OSSServiceError, match="imm:GetOSSBucketAttachment"):
            await settle_project(services, "media", "")

    async def test_an_unbound_bucket_says_what_to_do(self, start_stand: Callable[..., Any]) -> None:
        stand = start_stand(buckets={"media": "local-project", "loose": None})
        async with quick_services(stand.settings()) as services:
            for given in ("", "given"):
                with pytest.raises(OSSServiceError) as caught:
                    await settle_project(services, "loose", given)
                for part in ("Nothing was submitted", "loose", "imm_project", "completion='object'"):
                    assert part in str(caught.value)
                assert (caught.value.service, caught.value.action) == ("IMM", "GetOSSBucketAttachment")

    async def test_an_outage_is_waited_out_but_not_for_ever(self, services: Services, stand: Any) -> None:
        stand.service.add_fault("refuse", match="IMM:*", status=503)
        assert await settle_project(services, "media", "") == "local-project"
        stand.service.add_fault("refuse", match="IMM:*", status=503, times=0)
        begun = time.monotonic()
        with pytest.raises(OSSUnavailableError, match="Nothing was submitted"):
            await settle_project(services, "media", "")
        assert time.monotonic() - begun >= QUICK.retry_seconds


async def test_an_outage_after_the_end_is_waited_out_too(services: Services, stand: Any) -> None:
    spec = await running(services)
    stand.service.add_fault("refuse", match="OSS:HeadObject", status=503, times=5)
    result = await wait_for_result(services, spec)
    assert result["outputs"] == ["oss://media/out.mp4"]
    assert stand.requests("OSS:HeadObject") == 6


async def test_a_known_final_state_is_not_polled_again(services: Services, stand: Any) -> None:
    spec = await running(services)
    final = await STRATEGIES["imm"].wait(services, spec)
    polls = stand.requests("IMM:GetTask")
    assert (await wait_for_result(services, spec, final))["status"] == "succeeded"
    assert stand.requests("IMM:GetTask") == polls
    # A state that is not final is none to rely on.
    assert (await wait_for_result(services, spec, JobStatus("running")))["status"] == "succeeded"
    assert stand.requests("IMM:GetTask") == polls + 1


@pytest.mark.parametrize("call", [poll_once, wait_for_result])
async def test_an_error_after_the_submission_names_the_job(services: Services, stand: Any, call: Any) -> None:
    spec = await running(services)
    stand.service.add_fault("refuse", match="IMM:*", status=403, code="NoPermission", message="no", times=0)
    with pytest.raises(OSSServiceError, match="imm:GetTask") as caught:
        await call(services, spec)
    assert caught.value.job == spec.job.to_dict()
    assert "The job was submitted and will be billed." in str(caught.value)
    assert (caught.value.source, caught.value.target) == (str(SOURCE), str(OUT))
    assert caught.value.__context__ is None or caught.value.__suppress_context__


async def test_a_strategy_that_is_not_there_is_refused(services: Services) -> None:
    spec = WaitSpecification(OSSJob("T", "MediaConvert", ""), "other", time.time() + 1)
    with pytest.raises(ProcessError, match="completion='other' is not allowed"):
        await wait_for_result(services, spec)


async def test_searches_for_outputs_leave_connections_to_others(stand: Any) -> None:
    """Otherwise a poll of other jobs would wait for a connection longer than a request may take."""
    async with quick_services(stand.settings({"read_timeout": 1.5})) as services:
        spec = await running(services)
        final = await STRATEGIES["imm"].wait(services, spec)
        stand.service.add_fault("delay", match="OSS:HeadObject", seconds=1, times=0)
        searches = [asyncio.create_task(wait_for_result(services, spec, final)) for _ in range(250)]
        while stand.requests("OSS:HeadObject") < 60:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await poll_once(services, spec)).state == "succeeded"
        assert all(result["outputs"] for result in await asyncio.gather(*searches))


def listing(number: int) -> str:
    return (
        f"<ListBucketResult><Contents><Key>pages/{number}.png</Key><Size>1</Size></Contents>"
        f"<IsTruncated>true</IsTruncated><NextContinuationToken>token-{number}</NextContinuationToken>"
        "</ListBucketResult>"
    )


def many_outputs(deadline: float = 2.0) -> WaitSpecification:
    request = build_request(
        DocumentConvert(target_format="png"), SOURCE, ObjectURI("media", "pages/{index}.png")
    )
    job = OSSJob(
        "T", request.task_type, str(SOURCE), request.target, request.process.encode(), imm_project="p"
    )
    return WaitSpecification(job, "imm", time.time() + deadline)


async def test_a_listing_of_outputs_without_end_is_read_once(wire: Wire) -> None:
    wire.respond = lambda request: (200, listing(1))
    async with quick_services(wire_settings(wire)) as services:
        with pytest.raises(OSSServiceError, match="does not end: the service repeats a page") as caught:
            await wait_for_result(services, many_outputs(), JobStatus("succeeded"))
    assert len(wire.requests) == 2
    assert caught.value.job["task_id"] == "T"


async def test_a_listing_of_outputs_ends_with_the_deadline(wire: Wire) -> None:
    numbers = itertools.count()
    wire.delay = 0.02
    wire.respond = lambda request: (200, listing(next(numbers)))
    async with quick_services(wire_settings(wire), timing=replace(QUICK, retry_seconds=0.5)) as services:
        begun = time.monotonic()
        with pytest.raises(OSSUnavailableError, match="could not be found in time") as caught:
            await wait_for_result(services, many_outputs(1.0), JobStatus("succeeded"))
        assert 1.2 < time.monotonic() - begun < 4
    assert caught.value.job["task_id"] == "T"
    assert len(wire.requests) < 100


async def test_credentials_that_cannot_be_had_name_the_job(services: Services) -> None:
    async def none() -> Credentials:
        raise OSSConnectionError("no credentials now")

    without = replace(services, oss=OSSClient(services.oss.sdk, none))
    spec = many_outputs()
    with pytest.raises(OSSConnectionError, match="The job was submitted and will be billed") as caught:
        await wait_for_result(without, spec, JobStatus("succeeded"))
    assert caught.value.job == spec.job.to_dict()


class TestBeforeDeferral:
    async def test_one_poll_by_default(self, start_stand: Callable[..., Any]) -> None:
        stand = start_stand(job_seconds=30)
        stand.service.put("in.mov", b"")
        async with quick_services(stand.settings()) as services:
            status = await poll_before_deferral(services, await running(services))
        assert not status.final
        assert stand.requests("IMM:GetTask") == 1

    async def test_a_job_that_ends_meanwhile_is_seen(self, start_stand: Callable[..., Any]) -> None:
        stand = start_stand(job_seconds=0.5)
        stand.service.put("in.mov", b"")
        timing = replace(QUICK, poll_before_deferral=60.0)
        async with quick_services(stand.settings(), timing=timing) as services:
            began = time.monotonic()
            status = await poll_before_deferral(services, await running(services))
        assert status.final
        assert stand.requests("IMM:GetTask") > 1
        assert time.monotonic() - began < 30

    async def test_it_ends_with_the_time_and_with_the_deadline(self, start_stand: Callable[..., Any]) -> None:
        stand = start_stand(job_seconds=60)
        stand.service.put("in.mov", b"")
        for seconds, left in ((0.4, 60.0), (60.0, 0.4)):
            timing = replace(QUICK, poll_before_deferral=seconds)
            async with quick_services(stand.settings(), timing=timing) as services:
                spec = replace(await running(services), deadline=time.time() + left)
                began = time.monotonic()
                assert not (await poll_before_deferral(services, spec)).final
            assert 0.3 < time.monotonic() - began < 30
        assert stand.requests("IMM:GetTask") > 3
