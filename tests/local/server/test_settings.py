"""Settings of the stand-in: engine slots, the limit of the queue, late listing; and what tests can read."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_imm20200930 import models

from airflow_provider_oss_async.local.server.cloud import Cloud
from tests.support.local_service import (
    Gate,
    admin,
    convert,
    get_task,
    imm_client,
    oss_client,
    put,
    submit,
    wait_for_end,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService


def list_ids(client: Any, **arguments: Any) -> list[str]:
    request = models.ListTasksRequest(project_name="local-project", **arguments)
    return [task.task_id for task in client.list_tasks(request).body.tasks or []]


def submit_many(service: LocalService, count: int) -> list[str]:
    service.put("in.mov", b"data")
    return [submit(oss_client(service), convert(f"{number}.mp4")) for number in range(count)]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_project_runs_so_many_jobs_at_once(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(processor=gate, workers=8, engine_concurrency=2)
    tasks = submit_many(service, 5)
    wait_until(lambda: gate.working == 2)
    time.sleep(0.1)
    assert gate.working == 2
    admin(service, "PUT", "projects/local-project", {"engine_concurrency": 4})
    wait_until(lambda: gate.working == 4)
    gate.open.set()
    imm = imm_client(service)
    assert [wait_for_end(imm, task).status for task in tasks] == ["Succeeded"] * 5
    assert gate.most == 4


def test_projects_do_not_share_their_slots(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(
        processor=gate, workers=8, engine_concurrency=1, buckets={"media": "local-project", "papers": "other"}
    )
    submit_many(service, 2)
    put(oss_client(service), "in.mov", bucket="papers")
    submit(oss_client(service), convert(), bucket="papers")
    wait_until(lambda: gate.working == 2)
    gate.open.set()


def test_a_job_that_is_queued_for_too_long_fails(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(processor=gate, engine_concurrency=1, queue_seconds=0.2)
    first, second = submit_many(service, 2)
    imm = imm_client(service)
    failed = wait_for_end(imm, second)
    assert (failed.status, failed.code) == ("Failed", "QueueTimeout")
    assert "queued for longer than 0.2 seconds" in failed.message
    assert get_task(imm, first).status == "Running"
    admin(service, "PUT", "settings", {"queue_seconds": 60})
    third = submit_many(service, 1)[0]
    gate.open.set()
    assert [wait_for_end(imm, task).status for task in (first, third)] == ["Succeeded"] * 2


def test_a_project_tells_its_limits(start: Callable[..., LocalService]) -> None:
    imm = imm_client(start(engine_concurrency=20))
    project = imm.get_project(models.GetProjectRequest(project_name="local-project")).body.project
    assert (project.engine_concurrency, project.project_queries_per_second) == (20, 100)


def test_the_end_time_cursor(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(processor=gate, workers=8)
    service.put("in.mov", b"data")
    imm = imm_client(service)
    gate.open.set()
    done = submit_many(service, 5)
    for task in done:
        wait_for_end(imm, task)
    gate.open.clear()
    running = submit_many(service, 1)
    ends = {task: get_task(imm, task).end_time for task in done}
    in_order = sorted(done, key=ends.__getitem__)
    cursor = models.TimeRange(start=ends[in_order[2]])
    # The range is inclusive, with a resolution of microseconds.
    assert list_ids(imm, sort="EndTime", order="asc", end_time_range=cursor)[-2:] == in_order[3:]
    assert list_ids(imm, sort="EndTime", order="desc", end_time_range=cursor)[:2] == in_order[:2:-1]
    until = models.TimeRange(end=ends[in_order[1]], start="2020-01-01T00:00:00Z")
    assert in_order[3] not in list_ids(imm, sort="EndTime", end_time_range=until)
    assert list_ids(imm, sort="EndTime") == running + in_order
    assert list_ids(
        imm, sort="TaskId", end_time_range=models.TimeRange(start="2020-01-01T00:00:00Z")
    ) == sorted(done)
    gate.open.set()


@pytest.mark.parametrize("sort", ["TaskId", "StartTime", "EndTime"])
def test_late_listing(start: Callable[..., LocalService], sort: str) -> None:
    service = start(list_delay=60)
    imm = imm_client(service)
    task = submit_many(service, 1)[0]
    assert wait_for_end(imm, task).status == "Succeeded"
    recent = models.TimeRange(start=(datetime.now(UTC) - timedelta(minutes=5)).isoformat())
    assert list_ids(imm, sort=sort, end_time_range=recent) == []
    assert list_ids(imm, sort=sort, status="Succeeded") == []
    assert list_ids(imm, sort=sort, status="Running") == [task]
    admin(service, "PUT", "settings", {"list_delay": 0})
    assert list_ids(imm, sort=sort, end_time_range=recent) == [task]
    assert list_ids(imm, sort=sort, status="Succeeded") == [task]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"engine_concurrency": 0},
        {"job_seconds": (2.0, 1.0)},
        {"queue_seconds": -1},
        {"list_delay": -1},
        {"buckets": {"../x": None}},
        {"topics": {"a b": []}},
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|InvalidBucketName|is named with"):
        Cloud(tmp_path / "data", **options)


def test_what_tests_can_ask(service: LocalService) -> None:
    service.put("a/in.mov", b"data")
    client = oss_client(service)
    import alibabacloud_oss_v2 as oss

    answer = client.async_process_object(
        oss.AsyncProcessObjectRequest(bucket="media", key="a/in.mov", process=convert("out.mp4"))
    )
    wait_for_end(imm_client(service), str(answer.task_id))
    (job,) = service.jobs()
    assert (job["source"], job["target"]) == ("oss://media/a/in.mov", "oss://media/out.mp4")
    assert (job["process"], job["status"]) == (convert("out.mp4"), "succeeded")
    assert (job["task_id"], job["event_id"]) == (answer.task_id, answer.event_id)
    assert job["outputs"] == ["oss://media/out.mp4"]
    assert service.objects() == ["a/in.mov", "out.mp4"]
    assert service.objects("a/") == ["a/in.mov"]
    assert service.get("out.mp4") == b"data"
    assert admin(service, "GET", "state?jobs=1")[1]["job_list"] == [job]
    assert "job_list" not in admin(service, "GET", "state")[1]
    with pytest.raises(KeyError):
        service.get("none")
    with pytest.raises(KeyError):
        service.put("k", b"", bucket="none")


@pytest.mark.parametrize("height", ["360p", "540p", "720p", "1080p", "1440p", "2160p"])
def test_built_in_styles(service: LocalService, height: str) -> None:
    service.put("in.mov", b"data")
    task = submit(oss_client(service), f"style/::h264-mp4-{height}|{convert().partition('|')[2]}")
    assert wait_for_end(imm_client(service), task).status == "Succeeded"
