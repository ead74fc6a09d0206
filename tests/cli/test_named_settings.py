"""Where the service differs, the package works with the setting that ``verify`` names."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.cli.assumptions import judge_all
from airflow_provider_oss_async.cli.trials import TRIALS, Run, observe
from airflow_provider_oss_async.exceptions import OSSJobFailedError, OSSJobLostError, OSSServiceError
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator, OSSVideoSnapshotsOperator
from airflow_provider_oss_async.process import ObjectURI, VideoConvert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def differing(start_stand: Callable[..., Stand], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stand]:
    """Start a stand-in that differs; the default connection leads to it."""

    def start(**options: Any) -> Stand:
        stand = start_stand(**options)
        stand.put("in.mov")
        monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(stand.connection()))
        return stand

    return start


def convert(**options: Any) -> OSSVideoConvertOperator:
    return OSSVideoConvertOperator(
        task_id="t", source="in.mov", target="out/a.mp4", container="mp4", poll_interval=0.2, **options
    )


async def states(stand: Stand, count: int) -> list[str]:
    """Submit jobs, wait for them all, and return their states."""
    async with open_services(stand.settings()) as services:

        async def one(number: int) -> str:
            request = build_request(
                VideoConvert(container="mp4"),
                ObjectURI("media", "in.mov"),
                ObjectURI("media", f"out/{number}.mp4"),
            )
            job = await submit(services.oss, replace(request, imm_project="local-project"))
            status = await services.poller.wait(job, deadline=time.time() + 40, max_interval=0.5)
            return status.state

        return list(await asyncio.gather(*map(one, range(count))))


def test_ids_that_gettask_does_not_know(differing: Callable[..., Stand], new_try: Callable[..., Any]) -> None:
    stand = differing(job_seconds=0.2)
    stand.service.add_fault(
        "refuse",
        match="IMM:*",
        times=0,
        status=400,
        code="ResourceNotFound",
        message="resource Task is not found",
    )
    assert convert(completion="object").execute(new_try())["outputs"] == ["oss://media/out/a.mp4"]


def test_tasks_that_are_listed_late(
    differing: Callable[..., Stand], new_try: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = differing(behaviour={"start_list_delay": 0.9})
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__TASK_LISTING_DELAY", "2")
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    assert convert().execute(new_try())["outputs"] == ["oss://media/out/a.mp4"]
    assert len(stand.accepted()) == 1


async def test_tasks_that_are_listed_a_minute_late(
    differing: Callable[..., Stand], new_try: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the setting that verify names, a lost answer would be followed by a second job."""
    stand = differing(behaviour={"start_list_delay": 60})
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__TASK_LISTING_DELAY", "15")
    run = Run("media", "local-project", "cn-hangzhou", "checks/run/", interval=1.0, burst=0)
    async with open_services(stand.settings()) as services:
        verified = asyncio.create_task(observe(services, TRIALS[:1], run))
        # The operator runs at the same time, with the value that verify will name.
        monkeypatch.setenv("AIRFLOW__OSS_ASYNC__TASK_LISTING_DELAY", "90")
        while not stand.accepted():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
        returned = await asyncio.to_thread(convert().execute, new_try())
        result = {one.id: result for one, result in judge_all(await verified)}["task-listing"]
    assert result.verdict == "differs"
    assert result.seen.startswith("after up to 6")
    name, _, value = result.setting.partition(" = ")
    assert name == "[oss_async] task_listing_delay"
    assert 90 <= int(value) <= 105
    assert returned["outputs"] == ["oss://media/out/a.mp4"]
    assert [job["source"] for job in stand.accepted()].count("oss://media/in.mov") == 1


@pytest.mark.parametrize("cursor", ["refused", "incomplete"])
async def test_a_cursor_that_does_not_show_all(differing: Callable[..., Stand], cursor: str) -> None:
    stand = differing(behaviour={"end_time_cursor": cursor}, job_seconds=(0.1, 1.5))
    assert await states(stand, 30) == ["succeeded"] * 30


async def test_a_lower_rate(differing: Callable[..., Stand], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__MAX_REQUESTS_PER_SECOND", "2")
    assert await states(differing(behaviour={"requests_per_second": 5}), 6) == ["succeeded"] * 6


def test_other_names_of_frames(differing: Callable[..., Stand], new_try: Callable[..., Any]) -> None:
    differing(behaviour={"frame_suffix": "-{index:03d}", "index_digits": 3})
    operator = OSSVideoSnapshotsOperator(
        task_id="t", source="in.mov", target="frames/{index}.jpg", format="jpg", interval=1, poll_interval=0.2
    )
    assert operator.execute(new_try())["outputs"] == ["oss://media/frames/001.jpg"]


def test_definitions_that_are_not_listed(
    differing: Callable[..., Stand], new_try: Callable[..., Any]
) -> None:
    """A lost answer never leads to a second job."""
    stand = differing(behaviour={"definitions": False})
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    assert convert().execute(new_try())["outputs"] == ["oss://media/out/a.mp4"]
    assert len(stand.accepted()) == 1


def test_another_code_of_an_unknown_task(
    differing: Callable[..., Stand], new_try: Callable[..., Any]
) -> None:
    stand = differing(
        behaviour={"unknown_task_code": "TaskGone", "unknown_task_message": "It is gone."}, job_seconds=5
    )
    stand.service.add_fault("job_forget", seconds=0.1)
    with pytest.raises((OSSServiceError, OSSJobLostError, OSSJobFailedError), match="It is gone"):
        convert(timeout=20).execute(new_try())
    # Jobs that it knows are not concerned.
    stand.service.cloud.runner._seconds = (0, 0)
    assert convert().execute(new_try())["status"] == "succeeded"


def test_foreign_messages(differing: Callable[..., Stand], new_try: Callable[..., Any]) -> None:
    differing(behaviour={"message_body": "foreign"}, topics={"jobs": ["done"]})
    assert convert(completion="imm", notify_topic="jobs").execute(new_try())["status"] == "succeeded"
