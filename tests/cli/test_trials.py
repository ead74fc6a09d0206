"""Each switch of the stand-in is seen, and said of the assumption that it is about."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.cli.assumptions import ASSUMPTIONS, Result, judge_all
from airflow_provider_oss_async.cli.trials import TRIALS, Run, observe
from airflow_provider_oss_async.exceptions import OSSServiceError
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.local.processing.result import Produced, ProducedFile
from airflow_provider_oss_async.local.pytest_plugin import copy_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick")
FOLDER = "checks/run/"
#: What the stand-in of the tests does with a file that is no video, as it really does nothing.
UNREADABLE = {"kind": "job_fail", "match": "*/broken.mp4", "times": 0, "code": "UnsupportedMedia"}


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def with_sheets(width: int, height: int) -> Callable[..., Produced]:
    """A processor whose sprite sheets have a size."""

    def process(spec: Any, source: Path, segments: Any, workdir: Path) -> Produced:
        if spec.operation != "video/sprite":
            return copy_source(spec, source, segments, workdir)
        (workdir / "sheet").write_bytes(png(width, height))
        return Produced([ProducedFile(workdir / "sheet", extension="png")])

    return process


async def judged(
    stand: Stand, *names: str, faults: tuple[dict[str, Any], ...] = (), **options: Any
) -> dict[str, Result]:
    """Run some jobs, and return what is said of each assumption."""
    for fault in (UNREADABLE, *faults):
        stand.service.add_fault(**fault)
    trials = [trial for trial in TRIALS if not names or trial.name in names]
    run = Run(
        "media", "local-project", "cn-hangzhou", FOLDER, interval=0.05,
        **{"grace": 1.5, "timeout": 20.0, "burst": 0, **options},
    )  # fmt: skip
    async with open_services(stand.settings()) as services:
        seen = await observe(services, trials, run)
    return {one.id: result for one, result in judge_all(seen)}


async def test_all_assumptions_hold(
    start_stand: Callable[..., Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__TASK_LISTING_DELAY", "15")
    stand = start_stand(topics={"jobs": ["done"]}, processor=with_sheets(88, 36))
    stand.service.put("other.mov", b"data")
    results = await judged(stand, topic="jobs", queue="done", burst=20)
    tested = {one.id for one in ASSUMPTIONS if one.judge}
    assert {name for name, result in results.items() if result.verdict == "confirmed"} == tested, results
    assert {result.verdict for result in results.values()} == {"confirmed", "not tested"}
    # Everything is removed, and nothing else.
    assert stand.service.objects() == ["other.mov"]
    assert stand.messages("done") == (0, 0)


NOT_KNOWN = {
    "kind": "refuse", "match": "IMM:GetTask", "times": 0, "status": 400, "code": "ResourceNotFound",
    "message": "The specified resource Task is not found.",
}  # fmt: skip
ODD_END: dict[str, Any] = {"kind": "job_fail", "times": 0, "code": "Odd", "message": "odd"}
MERGED = {"kind": "job_fail", "match": "*/concat", "times": 0, "code": "InvalidArgument", "message": "[ar]"}


@pytest.mark.parametrize(
    ("jobs", "stand_options", "faults", "differs", "seen", "setting"),
    [
        (["convert"], {}, [NOT_KNOWN], "task-ids", "ResourceNotFound", 'completion="object"'),
        (["convert"], {"behaviour": {"start_list_delay": 0.9}}, [], "task-listing", "after up to",
         "[oss_async] task_listing_delay = 2"),
        (["convert"], {"behaviour": {"start_list_delay": 60}}, [], "task-listing", "never listed: convert",
         "task_listing_delay"),
        (["convert"], {"list_delay": 0.9}, [], "end-listing", "after up to", "task_listing_delay"),
        (["convert"], {"behaviour": {"end_time_cursor": "refused"}}, [], "end-listing", "refused: InvalidArg",
         "Nothing: "),
        (["convert", "animation"], {"behaviour": {"end_time_cursor": "incomplete"}}, [], "end-listing",
         "never listed: animation", "Nothing: "),
        (["convert"], {"behaviour": {"definitions": False}}, [], "definitions", "not shown: convert",
         "on_uncertain_submit"),
        (["convert"], {"behaviour": {"task_clock_offset": -9}}, [], "clocks", "convert: -",
         "on_uncertain_submit"),
        (["frames"], {"behaviour": {"frame_suffix": "-{index:03d}"}}, [], "frame-names", "frames/f-001.jpg",
         "Put {index}"),
        (["frames"], {"behaviour": {"frame_suffix": "-{index:03d}"}}, [], "outputs", "found nothing",
         "list_keys"),
        (["frames"], {"behaviour": {"frame_suffix": "-{index:03d}"}}, [], "outputs-at-once", "not yet there",
         "retries"),
        (["document"], {"behaviour": {"index_digits": 3}}, [], "numbers", "pages/001.png", "outputs"),
        (["convert"], {"behaviour": {"message_body": "foreign"}}, [], "messages", "1 messages that nobody",
         'completion="imm"'),
        (["watermark"], {"behaviour": {"message_body": "foreign"}}, [], "other-messages", "watermark",
         'completion="imm"'),
        (["convert"], {"behaviour": {"unknown_task_code": "TaskGone"}}, [], "unknown-task", "TaskGone: ",
         "service's own words"),
        (["merge"], {}, [MERGED], "merge-arguments", "InvalidArgument [ar]", "Leave out"),
        (["sprite"], {"processor": with_sheets(80, 32)}, [], "sprite-layout", "80x32 instead of 88x36",
         "Check the sheets"),
        (["convert"], {"behaviour": {"info_body": "foreign"}}, [], "media-info", "none of its fields",
         'verify_output="exists"'),
        (["watermark"], {}, [{**ODD_END, "match": "image/*"}], "watermark", "Odd odd", "missing_ok"),
        (["unreadable source"], {}, [], "failures", "the job has succeeded", "retry_policy"),
    ],
)  # fmt: skip
async def test_what_differs_is_said(
    start_stand: Callable[..., Stand],
    jobs: list[str],
    stand_options: dict[str, Any],
    faults: list[dict[str, Any]],
    differs: str,
    seen: str,
    setting: str,
) -> None:
    stand = start_stand(topics={"jobs": ["done"]}, **stand_options)
    if differs == "failures":
        stand.service.add_fault("job_fail", match="*/nothing")
        results = await _without_failure(stand)
    else:
        results = await judged(stand, *jobs, faults=tuple(faults), topic="jobs", queue="done")
    result = results[differs]
    assert result.verdict == "differs", results
    assert seen in result.seen
    assert setting in result.setting
    assert stand.service.objects() == []


async def _without_failure(stand: Stand) -> dict[str, Result]:
    trials = [trial for trial in TRIALS if trial.name == "unreadable source"]
    run = Run("media", "local-project", "cn-hangzhou", FOLDER, interval=0.05, grace=1.5, burst=0)
    async with open_services(stand.settings()) as services:
        return {one.id: result for one, result in judge_all(await observe(services, trials, run))}


async def test_an_odd_failure_is_said(start_stand: Callable[..., Stand]) -> None:
    stand = start_stand()
    stand.service.add_fault(**{**ODD_END, "match": "*/broken.mp4"})
    results = await _without_failure(stand)
    assert results["failures"].verdict == "differs"
    assert results["failures"].seen == "Odd: odd"


async def test_a_lower_rate_is_said(start_stand: Callable[..., Stand]) -> None:
    results = await judged(start_stand(behaviour={"requests_per_second": 5}), "convert", burst=20)
    assert results["rate"].verdict == "differs"
    assert results["rate"].setting.startswith("[oss_async] max_requests_per_second = ")
    assert int(results["rate"].setting.rpartition(" ")[2]) <= 5
    # Throttling has hidden nothing else.
    assert results["task-ids"].verdict == "confirmed"


async def test_what_is_refused_and_what_has_not_ended(start_stand: Callable[..., Stand]) -> None:
    stand = start_stand(job_seconds=30)
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=400, code="Imm Client", message="no"
    )
    results = await judged(stand, "merge", "document", timeout=0.5)
    assert results["merge-arguments"] == (
        "differs",
        "merge: Imm Client no",
        results["merge-arguments"].setting,
    )
    assert results["numbers"].verdict == "not tested"
    assert results["messages"].seen == "give --topic and --queue"


async def test_a_missing_right_to_look_at_media_is_said(start_stand: Callable[..., Stand]) -> None:
    deny = {"kind": "deny", "match": "imm:DetectMediaMeta"}
    result = (await judged(start_stand(), "convert", faults=(deny,)))["media-info"]
    assert result.verdict == "not tested"
    assert "imm:DetectMediaMeta is missing" in result.seen


async def test_results_may_be_kept(start_stand: Callable[..., Stand]) -> None:
    stand = start_stand()
    await judged(stand, "convert", keep=True)
    assert f"{FOLDER}convert/out.mp4" in stand.service.objects()


async def test_it_is_removed_after_a_failure_too(
    start_stand: Callable[..., Stand], caplog: pytest.LogCaptureFixture
) -> None:
    stand = start_stand()
    deny = {"kind": "deny", "match": "imm:ListTasks", "times": 0}
    with pytest.raises(OSSServiceError, match="imm:ListTasks"):
        await judged(stand, "convert", faults=(deny,))
    assert [key for key in stand.service.objects() if "/out" not in key] == []
    stand.service.clear_faults()
    await judged(stand, "convert", faults=({"kind": "deny", "match": "oss:DeleteObject", "times": 0},))
    assert "is not removed" in caplog.text
