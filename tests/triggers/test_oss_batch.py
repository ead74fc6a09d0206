from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from airflow_provider_oss_async.batch.sources import ObjectListing
from airflow_provider_oss_async.exceptions import OSSBatchFailedError, OSSSubmitRefusedError
from airflow_provider_oss_async.jobs.result import result_from
from airflow_provider_oss_async.triggers.oss_batch import OSSAsyncBatchTrigger
from tests.support.batches import put_many, specification

pytestmark = pytest.mark.usefixtures("quick", "connect")


def trigger(**options: Any) -> OSSAsyncBatchTrigger:
    spec = specification(ObjectListing("in/"), **options.pop("batch", {}))
    return OSSAsyncBatchTrigger(
        batch_specification=spec.to_dict(), watch_interval=0.1, **{"take_over_after": 2.0, **options}
    )


async def outcome(trigger: OSSAsyncBatchTrigger) -> dict[str, Any]:
    (event,) = [event async for event in trigger.run()]
    return result_from(event.payload)


def paid(stand: Any) -> Counter[str]:
    return Counter(job["source"] for job in stand.accepted())


async def test_two_copies_pay_once_and_tell_the_same(stand: Any) -> None:
    put_many(stand, 25)
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    outcomes = await asyncio.gather(*(outcome(trigger(batch={"max_in_flight": 10})) for _ in range(2)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0]["succeeded"] == 25
    assert set(paid(stand).values()) == {1}


async def test_a_copy_takes_over_where_the_other_one_is_gone(stand: Any) -> None:
    put_many(stand, 10)
    stand.service.add_fault("job_delay", seconds=1.0, times=0)
    first = asyncio.create_task(outcome(trigger(batch={"max_in_flight": 4}, take_over_after=1.5)))
    await asyncio.sleep(0.8)
    second = asyncio.create_task(outcome(trigger(batch={"max_in_flight": 4})))
    await asyncio.sleep(0.8)
    # The second one is the owner now, and dies; the first one finds nothing new in the ledger.
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert (await first)["succeeded"] == 10
    assert set(paid(stand).values()) == {1}


async def test_a_restarted_trigger_goes_on(stand: Any) -> None:
    put_many(stand, 20)
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    for _ in range(3):
        task = asyncio.create_task(outcome(trigger(batch={"max_in_flight": 4})))
        await asyncio.sleep(0.6)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert 0 < len(stand.accepted()) < 20
    assert (await outcome(trigger()))["succeeded"] == 20
    assert set(paid(stand).values()) == {1}


async def test_a_restart_after_the_end_tells_the_same(stand: Any) -> None:
    put_many(stand, 3)
    stand.service.add_fault("job_fail", code="InternalError", times=3)
    with pytest.raises(OSSBatchFailedError) as first:
        await outcome(trigger(batch={"attempts": 1}))
    with pytest.raises(OSSBatchFailedError) as second:
        await outcome(trigger(batch={"attempts": 1}))
    assert first.value.summary == second.value.summary
    assert len(stand.accepted()) == 3


async def test_the_event_is_held(stand: Any) -> None:
    import time

    put_many(stand, 1)
    begun = time.time()
    await outcome(trigger(deferred_at=begun, event_hold=2.5))
    assert time.time() - begun >= 2.5


async def test_a_stored_form_of_another_version() -> None:
    data = {**specification(ObjectListing("in/")).to_dict(), "version": 9}
    with pytest.raises(Exception, match="reads version 1"):
        await outcome(OSSAsyncBatchTrigger(batch_specification=data))


async def test_keys_that_were_exchanged_are_read_again(stand: Any, connect: Any) -> None:
    put_many(stand, 40)
    from airflow_provider_oss_async.local.server.signatures import AccessKey

    stand.service.cloud.verifier.add(AccessKey("second", "second-secret", None, None))
    connect(login="old", password="old-secret")
    stand.service.cloud.verifier.add(AccessKey("old", "old-secret", None, None))
    stand.service.add_fault("job_delay", seconds=0.5, times=0)
    running = asyncio.create_task(outcome(trigger(batch={"max_in_flight": 5})))
    await asyncio.sleep(0.9)
    connect(login="second", password="second-secret")
    stand.service.cloud.verifier.add(AccessKey("old", "changed", None, None))
    assert (await running)["succeeded"] == 40
    assert set(paid(stand).values()) == {1}


async def test_lasting_refusals_reach_the_task(stand: Any) -> None:
    put_many(stand, 40)
    stand.service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=403, code="AccessDenied", times=0
    )
    with pytest.raises(OSSSubmitRefusedError, match="in a row"):
        await outcome(trigger())
