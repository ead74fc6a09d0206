"""Runners that are cut off at exact requests: what they had sent counts, nothing else is sent by them."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.batch.show import read_state
from airflow_provider_oss_async.batch.sources import ObjectListing
from airflow_provider_oss_async.exceptions import LedgerFencedError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.jobs.submission import INTENT_MAX_AGE
from airflow_provider_oss_async.process import DocumentConvert, ObjectURI
from tests.support.batches import LEDGER, QUICK, manifest, put_many, run, runner, specification
from tests.support.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.batch.specification import BatchSpecification
    from tests.support.cutting_proxy import Verdict

pytestmark = pytest.mark.usefixtures("quick", "connect")
COUNT = 12


async def run_until_cut(
    stand: Any,
    spec: BatchSpecification,
    rule: Callable[[str, int], Verdict],
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    """Run a batch behind a proxy until that goes down; return whether it did before the batch ended."""
    async with CuttingProxy(stand.service.endpoint, rule) as proxy:
        data = json.dumps(stand.connection({"imm_endpoint": proxy.url}, host=proxy.url))
        monkeypatch.setenv("AIRFLOW_CONN_CUT", data)

        async def go() -> None:
            async with OSSAsyncHook("cut").session() as services:
                await runner(services, spec, timing=replace(QUICK, stop=0.05)).run()

        task = asyncio.create_task(go())
        down = asyncio.create_task(proxy.down.wait())
        await asyncio.wait({task, down}, return_when=asyncio.FIRST_COMPLETED)
        was_cut = proxy.down.is_set()
        task.cancel()
        down.cancel()
        outcomes = await asyncio.gather(task, down, return_exceptions=True)
        if not was_cut:
            assert outcomes[0] is None, outcomes
        return was_cut


async def check(stand: Any, summary: dict[str, Any], count: int = COUNT) -> None:
    """Each object has exactly one accepted job per attempt that the ledger knows, and the manifest agrees."""
    accepted = Counter(job["source"] for job in stand.accepted())
    ids = {job["task_id"]: job["source"] for job in stand.accepted()}
    assert len(accepted) == count
    async with OSSAsyncHook().session() as services:
        state = await read_state(services.oss, ObjectURI.parse(LEDGER))
    for row in state.rows:
        source = state.uri(row.source)
        known = [*row.earlier, row.task_id]
        assert len(known) == row.attempt == accepted[source], (source, known, row.attempt)
        assert {ids.get(task_id, source) for task_id in known} == {source}
    rows = await manifest(summary)
    jobs = {f"oss://{job.bucket}/{job.key}": job for job in stand.service.cloud.table.all()}
    for source, told in rows.items():
        assert told["state"] == jobs[source].status.lower()
        assert told["task_id"] in (jobs[source].task_id, "unknown")


def at(action: str, number: int, verdict: Verdict) -> Callable[[str, int], Verdict]:
    return lambda asked, count: verdict if (asked, count) == (action, number) else None


#: The appends of a batch: header, plan, intents, ids with ends, ..., manifest, end.
MOMENTS = [
    *(("append", number, verdict) for number in (1, 2, 3, 4, 5, 6) for verdict in ("before", "after")),
    *(("process", number, verdict) for number in (1, 5, COUNT) for verdict in ("before", "after")),
    ("GetTask", 1, "before"),
    ("GET", 1, "before"),
]


@pytest.mark.parametrize(("action", "number", "verdict"), MOMENTS)
async def test_cut_off_at_an_exact_request(
    stand: Any, monkeypatch: pytest.MonkeyPatch, action: str, number: int, verdict: Verdict
) -> None:
    put_many(stand, COUNT)
    spec = specification(ObjectListing("in/"))
    await run_until_cut(stand, spec, at(action, number, verdict), monkeypatch)
    summary = await run(spec)
    assert summary["succeeded"] == COUNT
    assert summary["jobs"] == COUNT
    await check(stand, summary)
    assert set(Counter(job["source"] for job in stand.accepted()).values()) == {1}


@pytest.mark.parametrize("seed", range(10))
async def test_cut_off_at_random_again_and_again(
    stand: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    put_many(stand, COUNT)
    stand.service.add_fault("job_delay", seconds=[0.0, 0.5], times=0)
    stand.service.add_fault("job_fail", code="QueueTimeout", message="queued too long", times=4, every=4)
    spec = specification(ObjectListing("in/"), max_in_flight=chance.choice([2, 5, 50]), attempts=9)
    cuts = 0
    for _ in range(4):
        left = chance.randrange(1, 60)
        verdict: Verdict = chance.choice(["before", "after"])

        def rule(action: str, number: int, verdict: Verdict = verdict) -> Verdict:
            nonlocal left
            left -= 1
            return verdict if left == 0 else None

        cuts += await run_until_cut(stand, spec, rule, monkeypatch)
    assert cuts
    summary = await run(spec)
    assert summary["succeeded"] == COUNT
    await check(stand, summary)


@pytest.mark.parametrize("verdict", ["before", "after"])
@pytest.mark.parametrize("number", [1, 6, COUNT])
async def test_documents_are_reconciled_after_a_crash(
    stand: Any, monkeypatch: pytest.MonkeyPatch, number: int, verdict: Verdict
) -> None:
    put_many(stand, COUNT, suffix=".doc")
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    spec = specification(
        ObjectListing("in/"),
        process=DocumentConvert(target_format="pdf"),
        target="oss://media/out/{barename}.pdf",
    )
    assert await run_until_cut(stand, spec, at("process", number, verdict), monkeypatch)
    summary = await run(spec)
    assert summary["succeeded"] == COUNT
    assert set(Counter(job["source"] for job in stand.accepted()).values()) == {1}


async def test_only_what_is_in_doubt_is_reconciled(stand: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # So few that they are polled one by one.
    put_many(stand, 10)
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    spec = specification(ObjectListing("in/"))
    assert await run_until_cut(stand, spec, at("GetTask", 1, "before"), monkeypatch)
    before = stand.requests("IMM:ListTasks")
    assert (await run(spec))["succeeded"] == 10
    # All ids were stored or are found by the two listings of one reconciliation.
    assert stand.requests("IMM:ListTasks") - before <= 10
    assert set(Counter(job["source"] for job in stand.accepted()).values()) == {1}


async def test_an_answer_that_is_lost_while_the_batch_stops(
    stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_many(stand, 1)
    spec = specification(ObjectListing("in/"))
    async with CuttingProxy(stand.service.endpoint, at("process", 1, "hold")) as proxy:
        data = json.dumps(stand.connection({"imm_endpoint": proxy.url}, host=proxy.url))
        monkeypatch.setenv("AIRFLOW_CONN_CUT", data)
        async with OSSAsyncHook("cut").session() as services:
            stopped = asyncio.create_task(runner(services, spec, timing=replace(QUICK, stop=0.05)).run())
            await proxy.held.wait()
            stopped.cancel()
            await asyncio.sleep(0.2)
            proxy.down.set()
            proxy.release.set()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(stopped, 10)
    summary = await run(spec)
    assert (summary["succeeded"], summary["jobs"]) == (1, 1)
    assert len(stand.accepted()) == 1


async def test_a_frozen_writer_that_wakes_up_submits_nothing(
    stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its intents are stored, it is stopped for longer than an intent is good, and another one takes over."""
    put_many(stand, COUNT)
    spec = specification(ObjectListing("in/"))
    # Header, plan, intents.
    async with CuttingProxy(stand.service.endpoint, at("append", 3, "hold")) as proxy:
        data = json.dumps(stand.connection({"imm_endpoint": proxy.url}, host=proxy.url))
        monkeypatch.setenv("AIRFLOW_CONN_CUT", data)
        async with OSSAsyncHook("cut").session() as services:
            frozen = asyncio.create_task(runner(services, spec).run())
            await proxy.held.wait()
            assert stand.accepted() == []
            summary = await run(spec)
            await asyncio.sleep(INTENT_MAX_AGE)
            proxy.release.set()
            with pytest.raises(LedgerFencedError):
                await frozen
        assert proxy.requests["process"] == 0
    assert summary["succeeded"] == COUNT
    assert set(Counter(job["source"] for job in stand.accepted()).values()) == {1}
