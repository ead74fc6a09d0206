from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.jobs.reconciliation import UNKNOWN_TASK_ID, reconcile
from airflow_provider_oss_async.jobs.submission import JobRequest, build_request, submit
from airflow_provider_oss_async.process import DocumentConvert, ObjectURI, VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.services import Services

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
