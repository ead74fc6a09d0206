from __future__ import annotations

import asyncio
import functools
import itertools
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.imm import IMMClient, TaskInfo
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
from airflow_provider_oss_async.jobs.poll_group import (
    GRACE_ANSWERS,
    MAX_PAGE_FAILURES,
    MAX_REFUSALS,
    status_of,
)
from airflow_provider_oss_async.jobs.poller import JobPoller
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.process import ObjectURI, VideoConvert
from tests.support.services import QUICK, quick_services, wire_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_oss_async.clients.credentials import Credentials
    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Request, Wire


async def start(services: Services, target: str = "out.mp4", project: str = "local-project") -> OSSJob:
    source, output = ObjectURI("media", "in.mov"), ObjectURI("media", target)
    request = build_request(VideoConvert(container="mp4"), source, output)
    return await submit(services.oss, replace(request, region="cn-hangzhou", imm_project=project))


@pytest.fixture
async def fast(stand: Any) -> AsyncIterator[Services]:
    """A poller that is not slowed down by its own rate limit."""
    async with quick_services(stand.settings(), rate=1000.0) as opened:
        yield opened


def soon(seconds: float = 10.0) -> float:
    return time.time() + seconds


def unknown(number: int = 0, project: str = "local-project") -> OSSJob:
    return OSSJob(f"MediaConvert-unknown-{number}", "MediaConvert", "oss://media/in.mov", imm_project=project)


def runners() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "oss-async-poller"]


async def nothing_runs() -> None:
    """Wait until no poller runs: one that was cancelled needs a moment."""
    async with asyncio.timeout(10):
        while runners():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_job_that_succeeds(services: Services) -> None:
    status = await services.poller.wait(await start(services), deadline=soon())
    assert status.state == "succeeded"
    assert status.finished_at.endswith("Z")


async def test_a_job_that_fails_says_why(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    status = await services.poller.wait(await start(services), deadline=soon())
    assert (status.state, status.code, status.detail) == ("failed", "InvalidFile", "not a video")


async def test_a_job_the_service_forgets_is_lost(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    stand.service.add_fault("job_forget", seconds=0)
    status = await services.poller.wait(await start(services), deadline=soon())
    assert status == JobStatus("lost")


async def test_a_job_that_is_unknown_only_for_a_moment_is_not_lost(stand: Any) -> None:
    stand.service.add_fault(
        "refuse",
        match="IMM:GetTask",
        status=400,
        code="ResourceNotFound",
        message="The specified resource Task is not found.",
        times=4,
    )
    async with quick_services(stand.settings(), timing=replace(QUICK, unknown_task_grace=30.0)) as services:
        status = await services.poller.wait(await start(services), deadline=soon())
    assert status.state == "succeeded"


async def test_the_deadline_ends_waiting_between_two_polls(services: Services, stand: Any) -> None:
    """The next poll would only come in a minute."""
    stand.service.add_fault("job_delay", seconds=30)
    job = await start(services)
    begun = time.monotonic()
    with pytest.raises(OSSJobTimeoutError, match="cannot cancel jobs") as caught:
        async with asyncio.timeout(10):
            await services.poller.wait(job, deadline=soon(0.5), min_interval=60, max_interval=60)
    assert 0.4 < time.monotonic() - begun < 5
    assert caught.value.job == job.to_dict()
    assert "oss://media/out.mp4" in str(caught.value)
    # The first poll, and one after the deadline.
    assert stand.requests("IMM:GetTask") == 2


async def test_after_the_deadline_the_job_is_polled_once_more(services: Services, stand: Any) -> None:
    """It ends between the first poll and the deadline, and no other poll is due before that."""
    stand.service.add_fault("job_delay", seconds=0.2)
    job = await start(services)
    waiting = services.poller.wait(job, deadline=soon(1.0), min_interval=60, max_interval=60)
    assert (await waiting).state == "succeeded"
    assert stand.requests("IMM:GetTask") == 2


async def test_the_last_poll_has_an_end(services: Services, stand: Any) -> None:
    """A service that does not answer must not hold the task for long after its deadline."""
    stand.service.add_fault("job_delay", seconds=30)
    job = await start(services)
    poller = JobPoller(services.imm, timing=QUICK, last_poll_timeout=0.3)
    stand.service.add_fault("hang", match="IMM:GetTask", times=0)
    begun = time.monotonic()
    with pytest.raises(OSSJobTimeoutError):
        await poller.wait(job, deadline=soon(0.2))
    assert time.monotonic() - begun < 3


async def test_the_longest_interval_bounds_the_shortest(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    async with quick_services(stand.settings(), timing=replace(QUICK, min_poll_interval=5.0)) as services:
        begun = time.monotonic()
        await services.poller.wait(await start(services), deadline=soon(), max_interval=0.1)
        assert time.monotonic() - begun < 2


async def test_a_running_job_is_logged_now_and_then(
    services: Services, stand: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stand.service.add_fault("job_delay", seconds=0.6)
    poller = JobPoller(services.imm, timing=QUICK, progress_interval=0.1)
    job = await start(services)
    await poller.wait(job, deadline=soon(), max_interval=0.3)
    texts = [record.message for record in caplog.records if "Still running" in record.message]
    assert len(texts) >= 3
    assert all(job.task_id in text for text in texts)


async def test_throttling_slows_down_and_fails_nothing(services: Services, stand: Any) -> None:
    stand.service.add_fault("throttle", match="IMM:GetTask", times=3, seconds=0.1)
    begun = time.monotonic()
    status = await services.poller.wait(await start(services), deadline=soon())
    assert status.state == "succeeded"
    assert time.monotonic() - begun > 0.25
    assert stand.requests("IMM:GetTask") == 4


async def test_errors_of_the_service_are_waited_out(services: Services, stand: Any) -> None:
    stand.service.add_fault("refuse", match="IMM:GetTask", status=503, times=5)
    stand.service.add_fault("close", match="IMM:GetTask", times=2)
    status = await services.poller.wait(await start(services), deadline=soon())
    assert status.state == "succeeded"
    assert stand.requests("IMM:GetTask") == 8


async def test_a_service_that_is_down_for_a_while_is_waited_for(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.1)
    job = await start(services)
    waiting = asyncio.create_task(services.poller.wait(job, deadline=soon(), max_interval=0.1))
    await asyncio.sleep(0.03)
    await asyncio.to_thread(stand.service.stop)
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await asyncio.to_thread(stand.restart)
    assert (await waiting).state == "succeeded"


async def test_an_outage_until_the_deadline_is_a_timeout(services: Services, stand: Any) -> None:
    stand.service.add_fault("refuse", match="IMM:GetTask", status=500, times=0)
    with pytest.raises(OSSJobTimeoutError):
        await services.poller.wait(await start(services), deadline=soon(0.3))


async def test_a_missing_right_ends_waiting_and_is_named(services: Services, stand: Any) -> None:
    stand.service.add_fault(
        "refuse", match="IMM:GetTask", status=403, code="NoPermission", message="no", times=0
    )
    with pytest.raises(OSSServiceError, match="imm:GetTask") as caught:
        await services.poller.wait(await start(services), deadline=soon())
    assert caught.value.status == 403
    # Refusals must last for a while, too.
    assert MAX_REFUSALS <= stand.requests("IMM:GetTask") <= 10


async def test_a_right_that_is_missing_for_a_moment_ends_nothing(services: Services, stand: Any) -> None:
    stand.service.add_fault("refuse", match="IMM:GetTask", status=403, code="NoPermission", times=2)
    assert (await services.poller.wait(await start(services), deadline=soon())).state == "succeeded"


async def test_a_wrong_project_ends_waiting(services: Services) -> None:
    with pytest.raises(OSSServiceError, match="no such project is there"):
        await services.poller.wait(unknown(project="nonsense"), deadline=soon())


async def test_a_bad_job_does_not_end_the_others(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_fail", match="oss://media/in.mov", times=1)
    failing = await start(services, "a.mp4")
    stand.service.add_fault("job_delay", seconds=0.8, times=3)
    good = [await start(services, f"good-{number}.mp4") for number in range(3)]
    jobs = [
        failing,
        unknown(),
        unknown(project="nonsense"),
        OSSJob("x", "NoSuchType", "", imm_project="local-project"),
        *good,
    ]
    results = await asyncio.gather(
        *(services.poller.wait(job, deadline=soon(), max_interval=0.1) for job in jobs),
        return_exceptions=True,
    )
    states = [result.state if isinstance(result, JobStatus) else type(result) for result in results]
    assert states == ["failed", "lost", OSSServiceError, "lost", "succeeded", "succeeded", "succeeded"]


async def test_many_jobs_are_polled_together(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    jobs = list(await asyncio.gather(*(start(services, f"{number}.mp4") for number in range(120))))
    results = await asyncio.gather(
        *(services.poller.wait(job, deadline=soon(), max_interval=0.2) for job in jobs)
    )
    assert {result.state for result in results} == {"succeeded"}
    assert stand.requests("IMM:ListTasks") >= 2
    assert stand.requests("IMM:ListTasks") + stand.requests("IMM:GetTask") < 60


async def test_without_the_right_to_list_each_job_is_polled(fast: Services, stand: Any) -> None:
    stand.service.add_fault(
        "refuse", match="IMM:ListTasks", status=403, code="NoPermission", message="no", times=0
    )
    jobs = list(await asyncio.gather(*(start(fast, f"{number}.mp4") for number in range(25))))
    results = await asyncio.gather(*(fast.poller.wait(job, deadline=soon()) for job in jobs))
    assert {result.state for result in results} == {"succeeded"}
    assert stand.requests("IMM:ListTasks") == 1
    assert stand.requests("IMM:GetTask") >= 25


async def test_a_batch_poll_that_finds_few_of_its_jobs_ends(fast: Services, stand: Any) -> None:
    mine = await start(fast)
    await asyncio.gather(*(start(fast, f"{number}.mp4") for number in range(105)))
    jobs = [unknown(number) for number in range(25)]
    results = await asyncio.gather(*(fast.poller.wait(job, deadline=soon()) for job in [mine, *jobs]))
    assert [result.state for result in results] == ["succeeded", *["lost"] * 25]
    # One page each time, not all two of them.
    assert stand.requests("IMM:GetTask") >= 25


async def test_the_interval_grows_for_all_jobs_of_a_batch_poll(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=30, times=0)
    jobs = list(await asyncio.gather(*(start(services, f"{number}.mp4") for number in range(60))))
    waits = [services.poller.wait(job, deadline=soon(4)) for job in jobs]
    await asyncio.gather(*waits, return_exceptions=True)
    # 0.05 s, 0.075 s, 0.11 s ...: ten polls in four seconds.
    assert 3 <= stand.requests("IMM:ListTasks") <= 13


async def test_a_new_job_does_not_wait_for_thousands(stand: Any) -> None:
    """Without the right to list, all jobs are polled one by one; the one that was not polled yet first."""
    stand.service.add_fault(
        "refuse", match="IMM:ListTasks", status=403, code="NoPermission", message="no", times=0
    )
    timing = replace(QUICK, unknown_task_grace=60.0)
    async with quick_services(stand.settings(), timing=timing, rate=150.0) as services:
        # One round of these takes 2 s, so that there are always some that are overdue.
        waits = [services.poller.wait(unknown(n), deadline=soon(60), max_interval=0.5) for n in range(300)]
        others = [asyncio.create_task(wait) for wait in waits]
        job = await start(services)
        while (asked := stand.requests("IMM:GetTask")) < 350:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        status = await services.poller.wait(job, deadline=soon(60))
        assert status.state == "succeeded"
        assert stand.requests("IMM:GetTask") - asked < 100
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def test_a_batch_poll_outlasts_throttling_and_errors(fast: Services, stand: Any) -> None:
    jobs = list(await asyncio.gather(*(start(fast, f"{number}.mp4") for number in range(250))))
    while any(job.status == "Running" for job in stand.service.cloud.table.all()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    stand.service.add_fault("throttle", match="IMM:ListTasks", every=2, times=2, seconds=0.05)
    stand.service.add_fault("refuse", match="IMM:ListTasks", every=3, times=2, status=503)
    results = await asyncio.gather(*(fast.poller.wait(job, deadline=soon()) for job in jobs))
    assert {result.state for result in results} == {"succeeded"}
    # The list was not begun anew each time, and no job was polled alone but the first few.
    assert stand.requests("IMM:ListTasks") <= 3 + 4
    assert stand.requests("IMM:GetTask") < 50


@pytest.mark.parametrize(("kind", "fields"), [("refuse", {"status": 503}), ("throttle", {"seconds": 0.05})])
async def test_where_listing_gives_no_answer_jobs_are_polled(
    fast: Services, stand: Any, kind: str, fields: dict[str, Any]
) -> None:
    jobs = list(await asyncio.gather(*(start(fast, f"{number}.mp4") for number in range(60))))
    stand.service.add_fault(kind, match="IMM:ListTasks", times=0, **fields)
    results = await asyncio.gather(*(fast.poller.wait(job, deadline=soon(20)) for job in jobs))
    assert {result.state for result in results} == {"succeeded"}
    assert stand.requests("IMM:ListTasks") == MAX_PAGE_FAILURES


async def test_one_bad_answer_delays_no_other_job(stand: Any) -> None:
    stand.service.add_fault("refuse", match="IMM:ListTasks", status=403, code="NoPermission", times=0)
    stand.service.add_fault("refuse", match="IMM:GetTask", status=500, every=7, times=0)
    async with quick_services(stand.settings(), timing=replace(QUICK, min_poll_interval=5.0)) as services:
        jobs = list(await asyncio.gather(*(start(services, f"{number}.mp4") for number in range(60))))
        waits = [services.poller.wait(job, deadline=soon(4.5)) for job in jobs]
        results = await asyncio.gather(*waits, return_exceptions=True)
    # At 20 requests a second they are all polled within 3 s, and the few that got no answer at the deadline.
    assert sum(isinstance(result, JobStatus) for result in results) > 50


async def test_credentials_that_cannot_be_had_end_nothing_at_once(services: Services) -> None:
    job = await start(services)
    begun, good = time.monotonic(), services.imm._credentials

    async def credentials() -> Credentials:
        if time.monotonic() - begun < 0.15:
            raise OSSConnectionError("no credentials for a moment")
        return await good()

    imm = IMMClient(services.imm._session, str(services.imm._endpoint), credentials)
    status = await JobPoller(imm, timing=QUICK).wait(job, deadline=soon(), max_interval=0.06)
    assert status.state == "succeeded"


async def test_credentials_that_are_no_good_end_the_wait(services: Services, stand: Any) -> None:
    job = await start(services)
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    stand.service.cloud.verifier.add(AccessKey("local", "rotated"))
    with pytest.raises(OSSServiceError, match="Check the AccessKey secret"):
        await services.poller.wait(job, deadline=soon())
    # Refusals must last for a while, too.
    assert MAX_REFUSALS <= stand.requests("IMM:GetTask") <= 10


async def test_a_message_about_a_job_has_it_polled(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    job = await start(services)
    waiting = asyncio.create_task(
        services.poller.wait(job, deadline=soon(), max_interval=60, min_interval=60)
    )
    while not stand.requests("IMM:GetTask"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.4)
    services.poller.wake(unknown())
    services.poller.wake(job)
    assert (await waiting).state == "succeeded"
    assert stand.requests("IMM:GetTask") == 2


async def test_two_wait_for_the_same_job(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.15)
    job = await start(services)
    first = asyncio.create_task(services.poller.wait(job, deadline=soon()))
    second = asyncio.create_task(services.poller.wait(job, deadline=soon()))
    await asyncio.sleep(0.05)
    assert len(runners()) == 1
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await second).state == "succeeded"


async def test_the_one_with_the_earlier_deadline_leaves_the_other_waiting(
    services: Services, stand: Any
) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    job = await start(services)
    results = await asyncio.gather(
        services.poller.wait(job, deadline=soon(0.1)),
        services.poller.wait(job, deadline=soon()),
        return_exceptions=True,
    )
    assert isinstance(results[0], OSSJobTimeoutError)
    assert isinstance(results[1], JobStatus)


async def test_one_who_comes_when_the_job_has_ended_is_told_too(services: Services) -> None:
    job = await start(services)
    told: list[Any] = []

    def ended(outcome: Any) -> None:
        told.append(outcome)
        if len(told) == 1:
            # Before the other one, who has been told, has left.
            services.poller.follow(job, ended, deadline=soon())

    first = asyncio.create_task(services.poller.wait(job, deadline=soon()))
    services.poller.follow(job, ended, deadline=soon())
    assert (await first).state == "succeeded"
    while len(told) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert [outcome.state for outcome in told] == ["succeeded"] * 2


async def test_jobs_that_are_followed_need_no_tasks(fast: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video", times=1)
    jobs = list(await asyncio.gather(*(start(fast, f"{number}.mp4") for number in range(50))))
    told: list[Any] = []
    for job in jobs:
        fast.poller.follow(job, told.append, deadline=soon(), max_interval=0.2, first_poll=0.1)
    stopped = fast.poller.follow(jobs[0], lambda _: told.append("stopped"), deadline=soon())
    stopped.stop()
    assert len(runners()) == 1
    while len(told) < 50:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert sorted(outcome.state for outcome in told) == ["failed"] + ["succeeded"] * 49
    assert not fast.poller._groups


async def test_a_followed_job_is_polled_once_more_at_its_deadline(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=30, times=2)
    long, dropped = [await start(services, f"{number}.mp4") for number in range(2)]
    stand.service.add_fault("job_delay", seconds=0.2, times=1)
    short = await start(services, "short.mp4")
    told: dict[str, Any] = {}
    for name, job in (("short", short), ("long", long)):
        services.poller.follow(
            job,
            functools.partial(told.__setitem__, name),
            deadline=soon(2.0),
            min_interval=60,
            max_interval=60,
        )
    following = services.poller.follow(dropped, lambda _: told.update(dropped=1), deadline=soon(1.9))
    while following._last_poll is None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    following.stop()
    while len(told) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    assert told["short"].state == "succeeded"
    assert isinstance(told["long"], OSSJobTimeoutError)
    assert set(told) == {"short", "long"}


async def test_a_refusal_is_told_to_all_who_follow(fast: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=30, times=0)
    jobs = [await start(fast, f"{number}.mp4") for number in range(3)]
    stand.service.add_fault("refuse", match="IMM:*", status=403, code="NoPermission", message="no", times=0)
    told: list[Any] = []
    for job in jobs:
        fast.poller.follow(job, told.append, deadline=soon())
    while len(told) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    assert {type(outcome) for outcome in told} == {OSSServiceError}
    await nothing_runs()


async def test_nothing_is_left_when_nobody_waits(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5, times=0)
    job = await start(services)
    waiting = asyncio.create_task(services.poller.wait(job, deadline=soon()))
    await asyncio.sleep(0.1)
    assert runners()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await nothing_runs()
    asked = stand.requests("IMM:GetTask")
    await asyncio.sleep(0.15)
    assert stand.requests("IMM:GetTask") == asked
    # It starts again for the next one.
    with pytest.raises(OSSJobTimeoutError):
        await services.poller.wait(job, deadline=soon(0.1))


async def test_poll_once(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.1)
    job = await start(services)
    assert await services.poller.poll_once(job) == JobStatus("running")
    assert await services.poller.poll_once(unknown()) == JobStatus("running")
    await services.poller.wait(job, deadline=soon())
    assert (await services.poller.poll_once(job)).state == "succeeded"
    stand.service.add_fault("throttle", match="IMM:GetTask")
    with pytest.raises(OSSThrottledError):
        await services.poller.poll_once(job)
    stand.service.add_fault("close", match="IMM:GetTask")
    with pytest.raises(OSSUnavailableError):
        await services.poller.poll_once(job)


async def test_poll_of_a_job_that_must_be_known(services: Services, stand: Any) -> None:
    assert await services.poller.poll_once(unknown(), time.time()) == JobStatus("running")
    assert stand.requests("IMM:GetTask") == 1
    assert await services.poller.poll_once(unknown(), time.time() - 10) == JobStatus("lost")
    assert stand.requests("IMM:GetTask") == 1 + GRACE_ANSWERS


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("Succeeded", "succeeded"),
        ("succeeded", "succeeded"),
        ("FAILED", "failed"),
        ("Running", "running"),
        ("Dispatched", "running"),
        ("", "running"),
    ],
)
def test_what_a_status_means(text: str, state: str) -> None:
    info = TaskInfo("t", "MediaConvert", text, code="C", message="m")
    assert status_of(info).state == state
    assert status_of(info).final is (state != "running")


class TestListingsWithoutEnd:
    """``ListTasks`` by start times may go on for ever; each test counts what it costs."""

    async def poll(
        self, wire: Wire, tokens: Iterator[str], listed: int, rate: float = 1000.0
    ) -> tuple[int, int]:
        """Wait for 30 running jobs, of which a page lists some; return the numbers of requests."""
        started = datetime.now(UTC).isoformat()
        jobs = [
            OSSJob(f"T-{n}", "MediaConvert", "oss://media/in.mov", imm_project="p", submitted_at=started)
            for n in range(30)
        ]
        tasks = [{"TaskId": job.task_id, "TaskType": "MediaConvert", "Status": "Running"} for job in jobs]

        def respond(request: Request) -> tuple[int, str]:
            if request.action == "GetTask":
                return 200, '{"Status": "Running"}'
            if "EndTimeRange" in request.query:
                return 400, '{"Code": "InvalidArgument", "Message": "EndTimeRange"}'
            return 200, json.dumps({"Tasks": tasks[:listed], "NextToken": next(tokens)})

        wire.respond = respond
        async with quick_services(wire_settings(wire), rate=rate) as services:
            waits = [services.poller.wait(job, deadline=soon(2), max_interval=0.5) for job in jobs]
            results = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(result) for result in results} == {OSSJobTimeoutError}
        actions = [request.action for request in wire.requests if "EndTimeRange" not in request.query]
        return actions.count("ListTasks"), actions.count("GetTask")

    async def test_a_repeated_token(self, wire: Wire) -> None:
        lists, gets = await self.poll(wire, itertools.repeat("same"), 29)
        # After that, jobs are polled one by one for ten minutes.
        # At most two by the end of tasks, and two by their start.
        assert 2 <= lists <= 4
        assert gets >= 30

    async def test_new_tokens_for_the_same_tasks(self, wire: Wire) -> None:
        tokens = (f"token-{number}" for number in itertools.count())
        lists, gets = await self.poll(wire, tokens, 29)
        # 29 tasks make five pages worthwhile, and the sixth that shows no other is the last.
        polls = sum(
            request.action == "ListTasks" and not {"NextToken", "EndTimeRange"} & request.query.keys()
            for request in wire.requests
        )
        assert 6 <= lists <= 6 * polls
        assert gets >= 30

    async def test_the_rate_limit_is_shared(self, wire: Wire) -> None:
        tokens = (f"token-{number}" for number in itertools.count())
        assert sum(await self.poll(wire, tokens, 29, rate=20.0)) <= 20 * 4
