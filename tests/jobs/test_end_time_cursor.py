from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.imm import TaskInfo
from airflow_provider_oss_async.exceptions import OSSServiceError
from airflow_provider_oss_async.jobs.end_time_cursor import (
    ENOUGH_TASKS,
    CursorTiming,
    EndTimeCursor,
    epoch,
)
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.process import ObjectURI, VideoConvert
from tests.support.services import QUICK, quick_services, wire_settings

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.job import JobStatus
    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Request, Wire

#: Everything that ends is certain to be listed at once, so that tests need not wait.
PROMPT = CursorTiming(overlap=1.0, lateness=0.2, unseen_after=0.3, single_interval=0.05, suspension=60.0)


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


class Project:
    """The ended tasks of a project, served in pages of two."""

    def __init__(self, *ended: float) -> None:
        self.ended = {f"T-{number}": moment for number, moment in enumerate(ended)}
        self.starts: list[float] = []
        self.requests = 0

    async def page(self, start: datetime, token: str | None) -> tuple[list[TaskInfo], str | None]:
        self.requests += 1
        if token is None:
            self.starts.append(start.timestamp())
        found = sorted((m, name) for name, m in self.ended.items() if m >= start.timestamp())
        first = int(token or 0)
        tasks = [TaskInfo(name, "MediaConvert", "Succeeded", end_time=iso(m)) for m, name in found]
        more = first + 2 < len(tasks)
        return tasks[first : first + 2], str(first + 2) if more else None


async def shown(cursor: EndTimeCursor) -> list[str]:
    return [info.task_id async for page in cursor.read() for info in page]


async def test_each_ended_task_is_shown_once_but_for_the_overlap() -> None:
    now = time.time()
    project = Project(now - 100, now - 50, now - 40, now - 2)
    cursor = EndTimeCursor(project.page, CursorTiming(overlap=5.0))
    cursor.rewind(now - 60)
    assert await shown(cursor) == ["T-1", "T-2", "T-3"]
    project.ended["T-late"], project.ended["T-new"] = now - 4, now - 1
    # From five seconds before the last end that was seen.
    assert await shown(cursor) == ["T-late", "T-3", "T-new"]
    assert project.starts == pytest.approx([now - 70, now - 7], abs=0.1)


async def test_what_is_covered() -> None:
    now = time.time()
    cursor = EndTimeCursor(Project(now - 10).page, CursorTiming(overlap=5.0))
    assert not cursor.covers(now)
    cursor.rewind(now - 100)
    assert cursor.covers(now - 100)
    await shown(cursor)
    assert cursor.covers(now)
    assert not cursor.covers(now - 60)
    cursor.rewind(now - 60)
    assert cursor.covers(now - 60)


async def test_an_end_in_the_future_hides_nothing() -> None:
    now = time.time()
    project = Project(now - 10, now + 5000)
    cursor = EndTimeCursor(project.page, CursorTiming(overlap=5.0))
    cursor.rewind(now - 60)
    await shown(cursor)
    project.ended["T-new"] = now - 1
    assert "T-new" in await shown(cursor)


async def test_the_overlap_shrinks_while_tasks_come_in_order_and_grows_where_one_does_not() -> None:
    now = time.time()
    project = Project()
    cursor = EndTimeCursor(project.page, CursorTiming(overlap=16.0, min_overlap=0.5))
    cursor.rewind(now - 1000)

    def end(name: str, moment: float) -> None:
        project.ended.update({f"{name}-{n}": moment + n / 100 for n in range(ENOUGH_TASKS)})

    lengths = []
    for number in range(5):
        end(f"round-{number}", now - 900 + 30 * number)
        assert len(set(await shown(cursor)) & {f"round-{number}-{n}" for n in range(ENOUGH_TASKS)})
        lengths.append(cursor.overlap)
    # The first read says nothing: what it shows may have been listed for long.
    assert lengths == [16.0, 1.0, 0.5, 0.5, 0.5]
    # A task that ended 0.3 s before the last one comes behind it.
    project.ended["late"] = max(project.ended.values()) - 0.3
    assert "late" in await shown(cursor)
    assert cursor.overlap == pytest.approx(1.2, abs=0.01)
    # Few tasks say nothing.
    project.ended["single"] = now - 500
    await shown(cursor)
    assert cursor.overlap == pytest.approx(1.2, abs=0.01)


async def test_a_task_that_was_passed_is_read_after_all() -> None:
    now = time.time()
    project = Project(*(now - 900 + n for n in range(40)))
    cursor = EndTimeCursor(project.page, CursorTiming(overlap=16.0, min_overlap=0.5))
    cursor.rewind(now - 1000)
    await shown(cursor)
    project.ended.update({f"more-{n}": now - 600 + n / 10 for n in range(40)})
    await shown(cursor)
    assert cursor.overlap == 1.0
    project.ended["late"] = now - 650
    assert "late" not in await shown(cursor)
    assert not cursor.passed(now - 596.5)
    assert cursor.passed(now - 650)
    cursor.widen(now - 650)
    assert "late" in await shown(cursor)
    # It stays long, however orderly tasks come now.
    project.ended.update({f"last-{n}": now - 400 + n / 10 for n in range(40)})
    await shown(cursor)
    assert cursor.overlap == 16.0
    assert not cursor.passed(now - 900)


async def test_what_was_shown_lately_is_remembered() -> None:
    now = time.time()
    project = Project(now - 100, now - 50, now - 40)
    cursor = EndTimeCursor(project.page, CursorTiming(overlap=15.0))
    cursor.rewind(now - 200)
    await shown(cursor)
    assert cursor.recent("T-0") is None
    assert [info.task_id for name in ("T-1", "T-2") if (info := cursor.recent(name))] == ["T-1", "T-2"]


@pytest.mark.parametrize("tokens", [["same"] * 50, [f"token-{n}" for n in range(50)]])
async def test_pages_without_end(tokens: list[str]) -> None:
    answers = iter(tokens)

    async def page(start: datetime, token: str | None) -> tuple[list[TaskInfo], str | None]:
        return [TaskInfo("T", "MediaConvert", "Succeeded", end_time=iso(time.time()))], next(answers)

    with pytest.raises(OSSServiceError, match="repeats its pages"):
        await shown(EndTimeCursor(page, CursorTiming()))
    assert len(list(answers)) >= 45


@pytest.mark.parametrize("text", ["", "yesterday", "9" * 50, "10000-01-01T00:00:00Z", "2026-13-01"])
def test_times_that_are_none(text: str) -> None:
    assert epoch(text) is None


async def start(services: Services, target: str) -> OSSJob:
    request = build_request(
        VideoConvert(container="mp4"), ObjectURI("media", "in.mov"), ObjectURI("media", target)
    )
    return await submit(services.oss, replace(request, region="cn-hangzhou", imm_project="local-project"))


async def wait_for_all(services: Services, count: int) -> list[JobStatus]:
    jobs = await asyncio.gather(*(start(services, f"{number}.mp4") for number in range(count)))
    waits = [services.poller.wait(job, deadline=time.time() + 20, max_interval=0.3) for job in jobs]
    return list(await asyncio.gather(*waits))


async def test_many_jobs_cost_what_ends(stand: Any) -> None:
    """Also beside as many tasks of others, which cost only when they end."""
    stand.service.add_fault("job_delay", seconds=1.5, times=0)
    async with quick_services(stand.settings(), rate=1000.0) as services:
        await asyncio.gather(*(start(services, f"foreign/{number}.mp4") for number in range(100)))
        results = await wait_for_all(services, 100)
    assert {result.state for result in results} == {"succeeded"}
    # 1.5 s at intervals that grow from 0.05 to 0.3 s: about 12 polls, and 2 pages for what has ended.
    assert stand.requests("IMM:ListTasks") <= 40
    assert stand.requests("IMM:GetTask") <= 20


async def test_where_ends_cannot_be_listed_starts_are(stand: Any, caplog: pytest.LogCaptureFixture) -> None:
    stand.service.add_fault(
        "refuse", match="IMM:ListTasks", status=400, code="InvalidArgument", message="EndTimeRange", times=1
    )
    async with quick_services(stand.settings(), rate=1000.0) as services:
        results = await wait_for_all(services, 60)
    assert {result.state for result in results} == {"succeeded"}
    assert "listed by their start, because listing them by their end was refused" in caplog.text
    assert stand.requests("IMM:GetTask") < 60


async def test_a_cursor_that_does_not_show_all_is_not_used(
    stand: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ended tasks are listed a minute late; jobs that were not seen for long are polled by themselves."""
    stand.service.cloud.list_delay = 60.0
    caplog.set_level(logging.WARNING)
    options = {"cursor_timing": PROMPT}
    async with quick_services(stand.settings(), rate=1000.0, poller=options) as services:
        results = await wait_for_all(services, 40)
    assert {result.state for result in results} == {"succeeded"}
    assert "listing them by their end did not show job" in caplog.text


async def test_a_job_of_unknown_age_is_polled_by_itself_once(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=60.0, times=0)
    async with quick_services(stand.settings(), rate=1000.0, timing=QUICK) as services:
        jobs = await asyncio.gather(*(start(services, f"{number}.mp4") for number in range(30)))
        bare = replace(jobs[0], submitted_at="")
        waits = [
            asyncio.create_task(services.poller.wait(job, deadline=time.time() + 60, max_interval=0.3))
            for job in [bare, *jobs[1:]]
        ]
        async with asyncio.timeout(30):
            while stand.requests("IMM:ListTasks") < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    assert stand.requests("IMM:GetTask") == 1


async def test_a_job_that_was_shown_before_it_is_waited_for_costs_nothing(stand: Any) -> None:
    async with quick_services(stand.settings(), rate=1000.0) as services:
        stand.service.add_fault("job_delay", seconds=30.0, times=30)
        long = [await start(services, f"long/{number}.mp4") for number in range(30)]
        others = [services.poller.wait(job, deadline=time.time() + 20, max_interval=0.3) for job in long]
        waiting = [asyncio.create_task(other) for other in others]
        job = await start(services, "short.mp4")
        # It is listed before anyone waits for it.
        await asyncio.sleep(1.0)
        asked = stand.requests("IMM:GetTask")
        status = await services.poller.wait(job, deadline=time.time() + 20, max_interval=0.3)
        assert status.state == "succeeded"
        assert stand.requests("IMM:GetTask") == asked
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_jobs_that_are_listed_late_behind_a_short_overlap_are_found(wire: Wire) -> None:
    """The poll of one of them, which was not shown for long, has the others read again."""
    begun = time.time()
    ended = {f"T-{number:02}": begun + number / 50 for number in range(60)}
    #: Listed only once T-10 was asked for.
    late = {"T-10", "T-11", "T-12"}
    running = {f"R-{number}" for number in range(30)}
    asked: list[str] = []

    def told(name: str) -> dict[str, str]:
        if name in ended and ended[name] <= time.time():
            return {"TaskId": name, "Status": "Succeeded", "EndTime": iso(ended[name])}
        return {"TaskId": name, "Status": "Running"}

    def respond(request: Request) -> tuple[int, str]:
        if request.action == "GetTask":
            asked.append(request.query["TaskId"][0])
            if asked[-1] in late:
                late.clear()
            return 200, json.dumps(told(asked[-1]))
        start = datetime.fromisoformat(json.loads(request.query["EndTimeRange"][0])["Start"]).timestamp()
        found = [n for n, end in ended.items() if start <= end <= time.time() and n not in late]
        return 200, json.dumps({"Tasks": [told(name) for name in sorted(found, key=lambda n: ended[n])]})

    wire.respond = respond
    timing = CursorTiming(overlap=15.0, min_overlap=0.01, unseen_after=2.5, single_interval=60.0)
    async with quick_services(wire_settings(wire), rate=1000.0, poller={"cursor_timing": timing}) as services:

        async def wait(name: str) -> str:
            job = OSSJob(name, "MediaConvert", "oss://media/in.mov", imm_project="p", submitted_at=iso(begun))
            status = await services.poller.wait(job, deadline=begun + 30, max_interval=0.2)
            return status.state

        # The job that has waited for the longest is the one to be polled.
        mine = [asyncio.create_task(wait(name)) for name in ended]
        waiting = [asyncio.create_task(wait(name)) for name in sorted(running)]
        assert await asyncio.gather(*mine) == ["succeeded"] * 60
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert asked == ["T-10"]
    assert time.time() - begun < 20
