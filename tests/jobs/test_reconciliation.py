from __future__ import annotations

import itertools
import json
import time
from dataclasses import replace
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.imm import IMMClient
from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.jobs.reconciliation import (
    AFTER,
    BEFORE,
    MAX_PAGES,
    UNKNOWN_TASK_ID,
    reconcile,
)
from airflow_provider_oss_async.jobs.submission import JobRequest, build_request, submit
from airflow_provider_oss_async.process import DocumentConvert, ObjectURI, VideoConvert
from tests.support.services import quick_services, wire_settings
from tests.support.wire import Answer

if TYPE_CHECKING:
    from airflow_provider_oss_async.clients.credentials import Credentials
    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Request, Wire

SOURCE = ObjectURI("media", "in.mov")
PDF = DocumentConvert(target_format="pdf")
MP4 = VideoConvert(container="mp4")


def request(
    process: Any, target: str, source: ObjectURI = SOURCE, project: str = "local-project"
) -> JobRequest:
    found = build_request(process, source, ObjectURI("media", target))
    return replace(found, region="cn-hangzhou", imm_project=project)


async def test_a_media_job_is_found_by_its_source_and_target(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5, times=0)
    begun = time.time()
    wanted = request(MP4, "wanted.mp4")
    await submit(services.oss, request(MP4, "other.mp4"))
    job = await submit(services.oss, wanted)
    found = await reconcile(services, wanted, begun)
    assert found.certain
    assert found.job is not None
    assert found.job.task_id == job.task_id
    for name in ("task_type", "source", "target", "process", "region", "imm_project"):
        assert getattr(found.job, name) == getattr(job, name)
    assert found.job.submitted_at


async def test_a_target_with_variables_is_found(services: Services) -> None:
    begun = time.time()
    wanted = request(MP4, "{barename}/x.{autoext}")
    job = await submit(services.oss, wanted)
    found = await reconcile(services, wanted, begun)
    assert found.job is not None
    assert found.job.task_id == job.task_id


async def test_where_nothing_has_started_there_is_certainly_none(services: Services, stand: Any) -> None:
    begun = time.time()
    found = await reconcile(services, request(MP4, "wanted.mp4"), begun)
    assert (found.job, found.certain) == (None, True)
    # It has waited for a task that would only be listed a moment later.
    assert time.time() - begun > 0.3
    assert stand.requests("IMM:ListTasks") > 1


async def test_other_jobs_are_certainly_not_it(services: Services) -> None:
    begun = time.time()
    await submit(services.oss, request(MP4, "other.mp4"))
    await submit(services.oss, request(PDF, "wanted.pdf"))
    found = await reconcile(services, request(MP4, "wanted.mp4"), begun)
    assert (found.job, found.certain) == (None, True)


async def test_an_earlier_job_is_not_it(services: Services) -> None:
    wanted = request(MP4, "wanted.mp4")
    await submit(services.oss, wanted)
    found = await reconcile(services, wanted, time.time() + 0.05, before=0.0, settle_clock=False)
    assert (found.job, found.certain) == (None, True)


async def test_two_equal_jobs_cannot_be_told_apart(services: Services) -> None:
    begun = time.time()
    wanted = request(MP4, "wanted.mp4")
    jobs = [await submit(services.oss, wanted) for _ in range(2)]
    found = await reconcile(services, wanted, begun)
    assert (found.job, found.certain) == (None, False)
    assert all(job.task_id in found.reason for job in jobs)


async def test_a_document_is_found_by_its_fresh_target(services: Services) -> None:
    begun = time.time()
    wanted = request(PDF, "wanted.pdf")
    job = await submit(services.oss, wanted)
    while not (await services.poller.poll_once(job)).final:
        pass
    found = await reconcile(services, wanted, begun)
    assert found.certain
    assert found.job is not None
    assert found.job.task_id == job.task_id


async def test_a_document_that_is_not_written_yet_cannot_be_decided(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    begun = time.time()
    wanted = request(PDF, "wanted.pdf")
    job = await submit(services.oss, wanted)
    found = await reconcile(services, wanted, begun)
    assert (found.job, found.certain) == (None, False)
    assert job.task_id in found.reason


async def test_two_documents_at_once_cannot_be_decided(services: Services) -> None:
    begun = time.time()
    for name in ("wanted.pdf", "other.pdf"):
        await submit(services.oss, request(PDF, name))
    found = await reconcile(services, request(PDF, "wanted.pdf"), begun)
    assert (found.job, found.certain) == (None, False)


async def test_a_list_that_is_refused_decides_nothing(services: Services, stand: Any) -> None:
    stand.service.add_fault("refuse", match="IMM:ListTasks", status=403, code="NoPermission", times=0)
    found = await reconcile(services, request(MP4, "wanted.mp4"), time.time())
    assert (found.job, found.certain) == (None, False)
    assert "imm:ListTasks" in found.reason


async def test_all_pages_of_the_list_are_read(services: Services) -> None:
    begun = time.time()
    wanted = request(MP4, "wanted.mp4")
    job = await submit(services.oss, wanted)
    for number in range(110):
        await submit(services.oss, request(MP4, f"other-{number}.mp4"))
    found = await reconcile(services, wanted, begun)
    assert found.job is not None
    assert found.job.task_id == job.task_id


async def test_without_a_project_the_target_tells(services: Services, stand: Any) -> None:
    wanted = request(MP4, "wanted.mp4", project="")
    found = await reconcile(services, wanted, time.time())
    assert (found.job, found.certain) == (None, False)
    stand.put("wanted.mp4", b"old")
    baseline = await services.oss.head("media", "wanted.mp4")
    found = await reconcile(services, wanted, time.time(), baseline)
    assert (found.job, found.certain) == (None, False)
    stand.put("wanted.mp4", b"new")
    found = await reconcile(services, wanted, time.time(), baseline)
    assert found.certain
    assert found.job is not None
    assert found.job.task_id == UNKNOWN_TASK_ID


def task_info(number: int, definition: str = "") -> dict[str, str]:
    return {
        "TaskId": f"T-{number}",
        "TaskType": "MediaConvert",
        "Status": "Running",
        "TaskRequestDefinition": definition,
    }


@pytest.mark.parametrize(("token", "requests"), [("same", 2), ("new", MAX_PAGES + 1)])
async def test_a_listing_without_end_decides_nothing(wire: Wire, token: str, requests: int) -> None:
    """It is read once, at the rate limit that all requests share, and is no outage that would be retried."""
    numbers = itertools.count()

    def respond(sent: Request) -> tuple[int, str]:
        assert sent.action == "ListTasks"
        following = token if token == "same" else f"token-{next(numbers)}"
        return 200, json.dumps({"Tasks": [task_info(1)], "NextToken": following})

    wire.respond = respond
    async with quick_services(wire_settings(wire), rate=400.0) as services:
        begun = time.monotonic()
        found = await reconcile(services, request(MP4, "wanted.mp4"), time.time(), settle_clock=False)
        assert time.monotonic() - begun >= (requests - 1) / 400
    assert (found.job, found.certain) == (None, False)
    assert "does not end" in found.reason
    assert len(wire.requests) == requests


@pytest.mark.parametrize(
    "definition",
    ["[" * 100_000, "nonsense", "[1]", '{"a": "\\ud800"}', '"oss://media/in.mov"', "9" * 5000],
    ids=["deep", "text", "list", "surrogate", "one", "long number"],
)
async def test_odd_definitions_decide_nothing(wire: Wire, definition: str) -> None:
    """A task that does not show its source may be anybody's."""
    wire.respond = lambda request: (
        200,
        json.dumps({"Tasks": [task_info(1, definition), task_info(2, definition)]}),
    )
    async with quick_services(wire_settings(wire), rate=400.0) as services:
        found = await reconcile(services, request(MP4, "wanted.mp4"), time.time(), settle_clock=False)
    assert (found.job, found.certain) == (None, False)
    assert "T-1, T-2" in found.reason


async def test_a_task_with_an_odd_start_is_found(wire: Wire) -> None:
    wanted = request(MP4, "wanted.mp4")
    definition = json.dumps({"Sources": [{"URI": str(SOURCE)}], "Targets": [{"URI": wanted.target}]})
    told = {**task_info(1, definition), "StartTime": "yesterday", "EventId": ["E"]}
    wire.respond = lambda request: (200, json.dumps({"Tasks": [told]}))
    async with quick_services(wire_settings(wire), rate=400.0) as services:
        found = await reconcile(services, wanted, time.time(), settle_clock=False)
    assert found.job is not None
    assert (found.job.task_id, found.job.submitted) == ("T-1", None)


async def test_credentials_that_cannot_be_had_decide_nothing(services: Services) -> None:
    async def none() -> Credentials:
        raise OSSConnectionError("no credentials now")

    imm = IMMClient(services.imm._session, str(services.imm._endpoint), none)
    found = await reconcile(replace(services, imm=imm), request(MP4, "wanted.mp4"), time.time())
    assert (found.job, found.certain) == (None, False)
    assert "no credentials now" in found.reason


async def test_the_clock_of_the_service_counts(wire: Wire) -> None:
    """A service whose clock is an hour ahead lists its tasks an hour later."""
    ahead = time.time() + 3600
    asked: list[dict[str, str]] = []

    def respond(sent: Request) -> Answer:
        if not sent.action:
            return Answer(200, headers={"Date": formatdate(ahead, usegmt=True)})
        asked.append(json.loads(sent.query["StartTimeRange"][0]))
        return Answer(200, '{"Tasks": []}')

    wire.respond = respond
    async with quick_services(wire_settings(wire), rate=400.0) as services:
        await reconcile(services, request(MP4, "wanted.mp4"), time.time())
    start = datetime.fromisoformat(asked[0]["Start"]).timestamp()
    end = datetime.fromisoformat(asked[0]["End"]).timestamp()
    assert abs(start - (ahead - BEFORE)) < 2.5
    assert end - start == pytest.approx(BEFORE + AFTER, abs=0.01)
