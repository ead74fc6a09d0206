from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.exceptions import (
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import VideoConvert
from tests.support.batches import put_many

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("quick", "connect")
MP4 = VideoConvert(container="mp4")


def test_many_jobs_over_one_session(stand: Any, connect: Any) -> None:
    connect({"imm_project": ""})
    keys = put_many(stand, 40)
    outcomes = OSSAsyncHook().submit_many((key, MP4, f"out/{key}.mp4") for key in keys)
    assert sorted(outcome.source for outcome in outcomes) == keys
    assert {o.job.task_id for o in outcomes if o.job} == {job["task_id"] for job in stand.accepted()}
    assert {o.job.imm_project for o in outcomes if o.job} == {"local-project"}
    assert stand.requests("IMM:GetOSSBucketAttachment") == 1


def test_one_that_fails_does_not_stop_the_others(stand: Any) -> None:
    put_many(stand, 3)
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject")
    jobs: list[Any] = [
        ("in/00000.mov", MP4, "out/0.mp4"),
        ("in/gone.mov", MP4, "out/1.mp4"),
        ("", MP4, "out/2.mp4"),
        (None, MP4, "out/2.mp4"),
        ("in/00001.mov", "nonsense", "out/3.mp4"),
        ("in/00001.mov", object(), "out/3.mp4"),
        ("in/00002.mov", "video/convert,f_mp4", "out/4.mp4"),
    ]
    outcomes = OSSAsyncHook().submit_many(jobs, max_in_flight=1)
    kinds = [type(outcome.error) for outcome in outcomes]
    assert kinds == [
        OSSSubmitUncertainError,
        OSSSubmitRefusedError,
        ProcessError,
        ProcessError,
        ProcessError,
        ProcessError,
        type(None),
    ]
    assert [outcome.job is None for outcome in outcomes] == [True] * 6 + [False]


async def test_jobs_are_read_as_they_are_submitted(stand: Any) -> None:
    put_many(stand, 30)
    read = 0

    def jobs() -> Iterator[tuple[str, VideoConvert, str]]:
        nonlocal read
        for number in range(30):
            read += 1
            yield f"in/{number:05}.mov", MP4, f"out/{number}.mp4"

    outcomes = OSSAsyncHook().asubmit_many(jobs(), max_in_flight=3)
    async for outcome in outcomes:
        assert outcome.job is not None
        break
    await outcomes.aclose()  # type: ignore[attr-defined]
    assert read <= 6
    assert len(stand.accepted()) <= 6


def test_limits_are_checked(stand: Any) -> None:
    with pytest.raises(ProcessError, match=r"max_in_flight=0.*max_submits_per_second=-1"):
        OSSAsyncHook().submit_many([("a", MP4, "b")], max_in_flight=0, max_submits_per_second=-1)
    assert stand.accepted() == []


async def test_not_inside_of_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match="asubmit_many"):
        OSSAsyncHook().submit_many([])
