from __future__ import annotations

import asyncio
import csv
import io
import pickle
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_oss_async.batch.runner import BatchRunner
from airflow_provider_oss_async.batch.show import describe, read_state
from airflow_provider_oss_async.batch.sources import Inventory, ObjectListing
from airflow_provider_oss_async.batch.specification import BatchSpecification
from airflow_provider_oss_async.exceptions import (
    LedgerError,
    LedgerFencedError,
    OSSAsyncError,
    OSSBatchFailedError,
    OSSServiceError,
    OSSSubmitRefusedError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import DecodeBlindWatermark, DocumentConvert, ObjectURI, VideoConvert
from tests.batch.test_plan import SCHEMA, put_inventory
from tests.support.batches import (
    LEDGER,
    QUICK,
    ledger_entries,
    manifest,
    put_many,
    read_object,
    run,
    runner,
    specification,
)

pytestmark = pytest.mark.usefixtures("quick", "connect")


def accepted(stand: Any) -> Counter[str]:
    return Counter(job["source"] for job in stand.accepted())


async def test_a_batch_is_seen_through(stand: Any) -> None:
    keys = put_many(stand, 60)
    summary = await run(specification(ObjectListing("in/")))
    assert (summary["objects"], summary["succeeded"], summary["jobs"]) == (60, 60, 60)
    assert accepted(stand) == {f"oss://media/{key}": 1 for key in keys}
    rows = await manifest(summary)
    jobs = {job["source"]: job["task_id"] for job in stand.accepted()}
    for source, row in rows.items():
        assert (row["state"], row["task_id"], row["attempts"]) == ("succeeded", jobs[source], 1)
        assert row["outputs"] == [row["target"]]
        assert row["submitted_at"] <= row["finished_at"]
    # What is certain is not asked for: one HEAD for the ledger, no other.
    assert stand.requests("OSS:HeadObject") <= 2


async def test_each_object_with_its_own_arguments(stand: Any) -> None:
    put_many(stand, 2)
    spec = specification(
        ["in/00000.mov", {"source": "in/00001.mov", "target": "own.mp4", "width": 320}],
        process=VideoConvert(container="mp4", video_codec="h264", width=640),
    )
    summary = await run(spec)
    assert summary["ok"]
    processes = {job["source"]: job["process"] for job in stand.accepted()}
    assert "s_640x" in processes["oss://media/in/00000.mov"]
    assert "s_320x" in processes["oss://media/in/00001.mov"]
    assert (await manifest(summary))["oss://media/in/00001.mov"]["target"] == "oss://media/own.mp4"


async def test_several_outputs_are_listed(stand: Any) -> None:
    put_many(stand, 5, suffix=".doc")
    stand.put("out/00000-99.png")
    spec = specification(
        ObjectListing("in/"),
        process=DocumentConvert(target_format="png"),
        target="oss://media/out/{barename}-{index}.{autoext}",
    )
    rows = await manifest(await run(spec))
    assert rows["oss://media/in/00003.doc"]["outputs"] == [
        f"oss://media/out/00003-{page}.png" for page in (1, 2, 3)
    ]
    assert stand.requests("OSS:ListObjectsV2") <= 3


async def test_watermarks_are_read(stand: Any) -> None:
    put_many(stand, 3, suffix=".png")
    spec = specification(ObjectListing("in/"), process=DecodeBlindWatermark(), target="")
    rows = await manifest(await run(spec))
    assert [row["content"] for row in rows.values()] == ["hidden text"] * 3


async def test_the_manifest_as_csv(stand: Any) -> None:
    put_many(stand, 2)
    stand.put("in/folder/")
    summary = await run(specification(ObjectListing("in/"), manifest_format="csv"))
    assert summary["manifest"].endswith(".csv")
    rows = list(csv.DictReader(io.StringIO((await read_object(summary["manifest"])).decode())))
    assert [row["state"] for row in rows] == ["succeeded", "succeeded", "set_aside"]
    assert rows[0]["outputs"] == "oss://media/out/00000.mp4"
    assert rows[2]["code"] == "folder"


async def test_nothing_to_do(stand: Any) -> None:
    summary = await run(specification(ObjectListing("nothing/")))
    assert summary["ok"]
    assert summary["objects"] == 0
    assert stand.accepted() == []


async def test_no_more_are_in_flight_than_allowed(start_stand: Any, monkeypatch: Any) -> None:
    import json

    stand = start_stand(job_seconds=0.15)
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(stand.connection()))
    put_many(stand, 30)
    spec = specification(ObjectListing("in/"), max_in_flight=4)
    async with OSSAsyncHook().session() as services:
        batch = runner(services, spec)
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                jobs = stand.service.cloud.table.all()
                most = max(most, sum(job.status == "Running" for job in jobs))
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        assert (await batch.run())["succeeded"] == 30
        watching.cancel()
    assert 2 <= most <= 4


async def test_the_projects_concurrency_lowers_the_limit(stand: Any) -> None:
    stand.service.cloud.runner.engines["local-project"].resize(3)
    put_many(stand, 1)
    async with OSSAsyncHook().session() as services:
        batch = runner(services, specification(ObjectListing("in/")))
        await batch.run()
    assert batch._limit.allowed(1) == 6


async def test_submissions_keep_to_their_rate(stand: Any) -> None:
    put_many(stand, 15)
    await run(specification(ObjectListing("in/"), max_submits_per_second=10.0))
    from datetime import datetime

    times = sorted(
        datetime.fromisoformat(job["time"][:26] + "+00:00").timestamp() for job in stand.accepted()
    )
    assert times[-1] - times[0] >= 1.0


# Failures


async def test_what_passes_is_tried_again(stand: Any) -> None:
    put_many(stand, 10)
    stand.service.add_fault("job_fail", code="QueueTimeout", message="queued for too long", times=3)
    summary = await run(specification(ObjectListing("in/")))
    assert (summary["succeeded"], summary["jobs"]) == (10, 13)
    assert sorted(row["attempts"] for row in (await manifest(summary)).values()) == [1] * 7 + [2] * 3
    assert sum(accepted(stand).values()) == 13


async def test_attempts_are_used_up(stand: Any) -> None:
    put_many(stand, 2)
    stand.service.add_fault("job_fail", code="InternalError", match="oss://media/in/00000.mov", times=0)
    with pytest.raises(OSSBatchFailedError) as caught:
        await run(specification(ObjectListing("in/"), attempts=2))
    assert accepted(stand) == {"oss://media/in/00000.mov": 2, "oss://media/in/00001.mov": 1}
    assert caught.value.summary["codes"] == {"InternalError": 1}
    assert caught.value.summary["again"] == 1


async def test_bad_content_is_not_tried_again(stand: Any) -> None:
    put_many(stand, 6)
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video", times=2)
    with pytest.raises(OSSBatchFailedError, match="2 of 6 objects failed \\(2 InvalidFile\\)") as caught:
        await run(specification(ObjectListing("in/"), max_failed=1))
    error = caught.value
    assert sum(accepted(stand).values()) == 6
    assert error.summary["succeeded"] == 4
    assert len(error.summary["failures"]) == 2
    assert error.summary["failures"][0]["message"] == "not a video"
    assert error.summary["again"] == 0
    assert error.summary["manifest"] in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.summary, str(again)) == (error.summary, str(error))
    assert OSSAsyncError.from_dict(error.to_dict()).summary == error.summary  # type: ignore[attr-defined]


@pytest.mark.parametrize(("tolerated", "ok"), [(0, False), (2, True), (1, False), (0.2, True), (0.19, False)])
async def test_how_many_may_fail(stand: Any, tolerated: float, ok: bool) -> None:
    put_many(stand, 10)
    stand.service.add_fault("job_fail", code="InvalidFile", times=2)
    spec = specification(ObjectListing("in/"), max_failed=tolerated)
    if ok:
        assert (await run(spec))["failed"] == 2
    else:
        with pytest.raises(OSSBatchFailedError):
            await run(spec)


async def test_what_is_gone_since_the_inventory(stand: Any) -> None:
    keys = put_many(stand, 3)
    rows = [["media", key, "4", "Standard", "", "Normal"] for key in [*keys, "in/gone.mov"]]
    summary = await run(specification(Inventory(put_inventory(stand, rows, SCHEMA))))
    assert (summary["ok"], summary["gone"], summary["succeeded"]) == (True, 1, 3)
    assert (await manifest(summary))["oss://media/in/gone.mov"]["state"] == "gone"
    # In an explicit list it is an error.
    with pytest.raises(OSSBatchFailedError, match="NoSuchKey"):
        await run(specification(["in/gone.mov"], ledger=LEDGER.replace("/2/", "/3/")))


async def test_a_throttled_submission_is_sent_later(stand: Any) -> None:
    put_many(stand, 20)
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=429, code="TooManyRequests", times=5
    )
    summary = await run(specification(ObjectListing("in/")))
    assert summary["succeeded"] == 20
    assert sum(accepted(stand).values()) == 20
    assert {row["attempts"] for row in (await manifest(summary)).values()} == {1}


@pytest.mark.parametrize("kind", ["lose", "cut", "close"])
async def test_a_lost_answer_is_reconciled(stand: Any, kind: str) -> None:
    put_many(stand, 20)
    stand.service.add_fault(kind, match="OSS:AsyncProcessObject", times=4, every=3)
    before = stand.requests("IMM:ListTasks")
    summary = await run(specification(ObjectListing("in/")))
    assert summary["succeeded"] == 20
    assert set(accepted(stand).values()) == {1}
    # All of them from the same listings.
    assert stand.requests("IMM:ListTasks") - before <= 12


async def test_documents_are_reconciled_by_their_targets(stand: Any) -> None:
    put_many(stand, 12, suffix=".doc")
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject", times=2, every=3)
    stand.service.add_fault("close", match="OSS:AsyncProcessObject", times=2, every=5)
    spec = specification(
        ObjectListing("in/"),
        process=DocumentConvert(target_format="pdf"),
        target="oss://media/out/{barename}.pdf",
    )
    summary = await run(spec)
    assert summary["succeeded"] == 12
    assert set(accepted(stand).values()) == {1}


async def test_what_cannot_be_decided_fails_or_is_submitted_again(stand: Any) -> None:
    put_many(stand, 1)
    stand.service.add_fault("lose", match="OSS:AsyncProcessObject", times=0)
    stand.service.add_fault("refuse", match="IMM:ListTasks", status=403, code="NoPermission", times=0)
    with pytest.raises(OSSBatchFailedError) as caught:
        await run(specification(ObjectListing("in/")))
    assert caught.value.summary["unknown"] == 1
    assert caught.value.summary["again"] == 0
    assert len(stand.accepted()) == 1


async def test_refusals_for_all_objects_stop_the_batch(stand: Any) -> None:
    put_many(stand, 100)
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=403, code="AccessDenied", times=0
    )
    with pytest.raises(OSSSubmitRefusedError, match=r"refused \d+ objects in a row"):
        await run(specification(ObjectListing("in/"), max_submits_per_second=100.0))
    assert stand.requests("OSS:AsyncProcessObject") < 60
    stand.service.cloud.faults.clear()
    summary = await run(specification(ObjectListing("in/"), try_number=2))
    # A retry has those again that were refused, since nothing was paid for them.
    assert summary["succeeded"] == 100
    assert set(accepted(stand).values()) == {1}


async def test_rights_on_the_ledger_are_missing(stand: Any) -> None:
    put_many(stand, 3)
    stand.service.add_fault("refuse", match="OSS:AppendObject", status=403, code="AccessDenied", times=0)
    with pytest.raises(LedgerError, match="Grant oss:PutObject"):
        await run(specification(ObjectListing("in/")))
    assert stand.accepted() == []


async def test_a_project_that_is_not_known_stops_before_anything_is_paid(stand: Any) -> None:
    put_many(stand, 3)
    stand.service.add_fault(
        "refuse",
        match="IMM:GetOSSBucketAttachment",
        status=400,
        code="ResourceNotFound",
        message="The specified resource Attachment is not found.",
        times=0,
    )
    with pytest.raises(OSSServiceError, match="waiting needs the IMM project"):
        await run(specification(ObjectListing("in/")))
    assert stand.accepted() == []


async def test_a_job_that_takes_too_long(stand: Any) -> None:
    put_many(stand, 2)
    stand.service.add_fault("job_delay", seconds=1.5, match="oss://media/in/00000.mov")
    with pytest.raises(OSSBatchFailedError) as caught:
        await run(specification(ObjectListing("in/"), object_timeout=0.7))
    assert (caught.value.summary["timed_out"], caught.value.summary["succeeded"]) == (1, 1)
    await asyncio.sleep(1.0)
    # A retry waits for the same job again.
    summary = await run(specification(ObjectListing("in/"), try_number=2, object_timeout=20.0))
    assert summary["succeeded"] == 2
    assert set(accepted(stand).values()) == {1}


async def test_the_deadline_of_the_whole(stand: Any) -> None:
    put_many(stand, 6)
    stand.service.add_fault("job_delay", seconds=5.0, times=0)
    with pytest.raises(OSSBatchFailedError, match="had not ended at the deadline") as caught:
        await run(specification(ObjectListing("in/"), deadline=time.time() + 3, max_in_flight=2))
    assert caught.value.summary["unfinished"] == 6
    assert len(stand.accepted()) == 2
    stand.service.cloud.faults.clear()
    assert (await run(specification(ObjectListing("in/"), try_number=2)))["succeeded"] == 6
    assert set(accepted(stand).values()) == {1}


async def test_a_lost_job(stand: Any) -> None:
    put_many(stand, 2)
    stand.service.add_fault("job_delay", seconds=30, match="oss://media/in/00000.mov")
    stand.service.add_fault("job_forget", seconds=0.1, match="oss://media/in/00000.mov")
    with pytest.raises(OSSBatchFailedError) as caught:
        await run(specification(ObjectListing("in/")))
    assert caught.value.summary["lost"] == 1
    assert caught.value.summary["again"] == 1


async def test_one_object_without_rights_does_not_stop_the_others(stand: Any) -> None:
    put_many(stand, 30)
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=403, code="AccessDenied", times=1
    )
    assert (await run(specification(ObjectListing("in/"))))["succeeded"] == 30


# Tries


async def test_a_finished_batch_is_not_run_again(stand: Any) -> None:
    put_many(stand, 5)
    spec = specification(ObjectListing("in/"))
    first = await run(spec)
    size = len(await read_object(LEDGER))
    again = await run(replace(spec, try_number=2))
    assert again == first
    assert len(stand.accepted()) == 5
    assert len(await read_object(LEDGER)) - size < 200


async def test_a_retry_takes_what_may_be_tried_again(stand: Any) -> None:
    put_many(stand, 8)
    stand.service.add_fault("job_fail", code="InternalError", match="oss://media/in/00000.mov", times=3)
    stand.service.add_fault("job_fail", code="InvalidFile", match="oss://media/in/00001.mov", times=0)
    spec = specification(ObjectListing("in/"))
    with pytest.raises(OSSBatchFailedError) as caught:
        await run(spec)
    assert caught.value.summary["again"] == 1
    # The same try, as when its trigger is restarted, gets the same answer.
    with pytest.raises(OSSBatchFailedError) as repeated:
        await run(spec)
    assert repeated.value.summary == caught.value.summary
    with pytest.raises(OSSBatchFailedError) as second:
        await run(replace(spec, try_number=2))
    assert second.value.summary["succeeded"] == 7
    assert second.value.summary["again"] == 0
    expected = {f"oss://media/in/{number:05}.mov": 1 for number in range(8)}
    assert accepted(stand) == {**expected, "oss://media/in/00000.mov": 4}


async def test_a_retry_works_on_the_same_plan(stand: Any) -> None:
    put_many(stand, 3)
    stand.service.add_fault("job_fail", code="InternalError", times=3 * 3)
    spec = specification(ObjectListing("in/"))
    with pytest.raises(OSSBatchFailedError):
        await run(spec)
    put_many(stand, 9)
    assert (await run(replace(spec, try_number=2)))["objects"] == 3


async def test_changed_arguments_are_refused(stand: Any) -> None:
    put_many(stand, 3)
    await run(specification(ObjectListing("in/")))
    with pytest.raises(LedgerError, match="arguments of the batch have changed"):
        await run(specification(ObjectListing("in/"), target="oss://media/other/{barename}.mp4"))
    # Limits may change.
    assert (await run(specification(ObjectListing("in/"), max_in_flight=3, attempts=1)))["objects"] == 3


async def test_a_foreign_object_in_the_place_of_the_ledger(stand: Any) -> None:
    put_many(stand, 3)
    stand.put(ObjectURI.parse(LEDGER).key, b'{"something": "else"}\n')
    with pytest.raises(LedgerError, match="ends within block 0"):
        await run(specification(ObjectListing("in/")))
    assert stand.accepted() == []


async def test_a_ledger_of_another_version(stand: Any) -> None:
    from airflow_provider_oss_async.batch.ledger import encode_block

    stand.put(ObjectURI.parse(LEDGER).key, encode_block(0, "w", ['{"oss_async_ledger":99}']))
    with pytest.raises(LedgerError, match="version 99"):
        await run(specification(["in.mov"]))


def test_a_specification_of_another_version() -> None:
    data = specification(["a.mov"]).to_dict()
    assert BatchSpecification.from_dict(data) == specification(["a.mov"], deadline=data["deadline"])
    with pytest.raises(OSSAsyncError, match="reads version 1"):
        BatchSpecification.from_dict({**data, "version": 2})
    with pytest.raises(OSSAsyncError, match="reads version 1"):
        BatchSpecification.from_dict({**data, "unknown": 2})


# Several writers


async def test_two_runners_on_one_ledger(stand: Any) -> None:
    put_many(stand, 40)
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    spec = specification(ObjectListing("in/"), max_in_flight=10)
    outcomes = await asyncio.gather(run(spec), run(spec), return_exceptions=True)
    fenced = [outcome for outcome in outcomes if isinstance(outcome, LedgerFencedError)]
    done = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    # The second one may begin when the first has ended, and is then told the same.
    assert done, outcomes
    assert len(fenced) + len(done) == 2, outcomes
    assert set(accepted(stand).values()) == {1}
    assert len(accepted(stand)) == 40


async def test_a_second_runner_takes_over(stand: Any) -> None:
    put_many(stand, 40)
    stand.service.add_fault("job_delay", seconds=2.0, times=0)
    spec = specification(ObjectListing("in/"), max_in_flight=15)
    first = asyncio.create_task(run(spec))
    while not stand.accepted():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    second = await run(spec)
    assert second["succeeded"] == 40
    with pytest.raises(LedgerFencedError):
        await first
    assert set(accepted(stand).values()) == {1}
    assert len(accepted(stand)) == 40


async def test_a_killed_task_submits_nothing_more(stand: Any) -> None:
    put_many(stand, 50)
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    killed = False
    spec = specification(ObjectListing("in/"), max_in_flight=5)
    task = asyncio.create_task(run(spec, killed=lambda: killed))
    while not stand.accepted():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    killed = True
    with pytest.raises(OSSAsyncError, match="killed"):
        await task
    number = len(stand.accepted())
    assert 0 < number < 50
    assert (await run(spec))["succeeded"] == 50
    assert set(accepted(stand).values()) == {1}


async def test_a_cancelled_runner_leaves_no_doubt(stand: Any) -> None:
    put_many(stand, 50)
    stand.service.add_fault("delay", match="OSS:AsyncProcessObject", seconds=0.5, times=0)
    spec = specification(ObjectListing("in/"))
    task = asyncio.create_task(run(spec, timing=replace(QUICK, stop=5.0)))
    while not stand.accepted():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with OSSAsyncHook().session() as services:
        state = await read_state(services.oss, ObjectURI.parse(LEDGER))
    # Submissions under way were waited for, and the others withdrawn.
    assert state.counts()["i"] == 0
    assert state.counts()["t"] + state.counts()["s"] == len(stand.accepted()) > 0
    assert (await run(spec))["succeeded"] == 50
    assert set(accepted(stand).values()) == {1}


async def test_where_a_batch_stands(stand: Any, capsys: pytest.CaptureFixture[str]) -> None:
    put_many(stand, 4)
    stand.put("in/folder/")
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    with pytest.raises(OSSBatchFailedError):
        await run(specification(ObjectListing("in/")))
    async with OSSAsyncHook().session() as services:
        text = "\n".join(describe(await read_state(services.oss, ObjectURI.parse(LEDGER))))
        with pytest.raises(LedgerError, match="no ledger"):
            await read_state(services.oss, ObjectURI.parse("oss://media/none.jsonl"))
    for part in (
        "finished",
        "succeeded  3",
        "failed     1",
        "1: folder",
        "InvalidFile not a video",
        "manifest-1",
    ):
        assert part in text


def test_the_command(stand: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from airflow_provider_oss_async.batch.__main__ import main

    asyncio.run(run(specification(["in.mov"])))
    assert main(["show", LEDGER]) == 0
    assert "succeeded  1" in capsys.readouterr().out
    assert main(["show", "oss://media/none.jsonl"]) == 1
    assert "no ledger" in capsys.readouterr().err


async def test_a_ledger_is_small(stand: Any) -> None:
    put_many(stand, 300, prefix="uploads/2026/11/25/camera-7/")
    await run(specification(ObjectListing("uploads/")))
    assert len(await read_object(LEDGER)) / 300 < 300
    assert (await ledger_entries())[0]["oss_async_ledger"] == 1


async def test_plans_need_their_sources(stand: Any) -> None:
    put_many(stand, 3)
    spec = specification([f"in/{number:05}.mov" for number in range(3)])
    async with OSSAsyncHook().session() as services:
        await BatchRunner(services, spec, timing=QUICK).prepare()
        assert stand.accepted() == []
        # As a trigger does, whose arguments would be too long.
        bare = replace(spec, sources={}, fingerprint=spec.request_fingerprint)
        assert (await BatchRunner(services, bare, timing=QUICK).run())["succeeded"] == 3
        elsewhere = replace(bare, ledger=LEDGER.replace("/2/", "/3/"))
        with pytest.raises(LedgerError, match="plan of the batch is not in its ledger"):
            await BatchRunner(services, elsewhere, timing=QUICK).run()


async def test_a_wrong_plan_leaves_no_plan(stand: Any) -> None:
    put_many(stand, 3)
    with pytest.raises(ProcessError, match="max_objects"):
        await run(specification(ObjectListing("in/"), max_objects=2))
    assert (await run(specification(ObjectListing("in/"), max_objects=3)))["succeeded"] == 3
