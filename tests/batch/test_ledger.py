from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.batch.ledger import LedgerWriter, encode_block, ledger_uri, read_blocks
from airflow_provider_oss_async.exceptions import LedgerError, LedgerFencedError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.jobs.services import Services

pytestmark = pytest.mark.usefixtures("quick", "connect")
URI = ObjectURI("media", ".oss-async/ledger.jsonl")


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    async with OSSAsyncHook().session() as opened:
        yield opened


async def entries(services: Services) -> list[Any]:
    return [entry async for _, _, block in read_blocks(services.oss, URI) for entry in block]


def writer(services: Services, **options: Any) -> LedgerWriter:
    return LedgerWriter(services.oss, URI, **{"linger": 0.01, "retry_seconds": 2.0, **options})


async def test_entries_come_back_in_their_order(services: Services) -> None:
    ledger = writer(services)
    await asyncio.gather(*(ledger.record(["i", number, "ü"]) for number in range(500)))
    await ledger.close()
    assert await entries(services) == [["i", number, "ü"] for number in range(500)]
    # Those that came together share blocks.
    assert ledger.appends < 10


async def test_a_second_writer_fences_the_first(services: Services) -> None:
    first = writer(services)
    await first.record(["o", first.writer])
    second = writer(services, position=first.position, number=first.number)
    # Records of the same length: only the content tells who wrote.
    await second.record(["o", second.writer])
    with pytest.raises(LedgerFencedError):
        await first.record(["o", first.writer])
    with pytest.raises(LedgerFencedError):
        await first.record(["i", 1])
    await second.record(["i", 2])
    assert await entries(services) == [["o", first.writer], ["o", second.writer], ["i", 2]]
    await first.close()
    await second.close()


async def test_two_writers_of_equal_length_at_once(services: Services) -> None:
    pair = [writer(services), writer(services)]
    outcomes = await asyncio.gather(
        *(ledger.record(["i", ledger.writer]) for ledger in pair), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(LedgerFencedError) == 1
    (won,) = [ledger for ledger, outcome in zip(pair, outcomes, strict=True) if outcome is None]
    assert await entries(services) == [["i", won.writer]]


@pytest.mark.parametrize("kind", ["lose", "cut", "close"])
async def test_a_lost_answer_is_found_out(stand: Any, services: Services, kind: str) -> None:
    ledger = writer(services)
    await ledger.record(["i", 0])
    stand.service.add_fault(kind, match="OSS:AppendObject")
    await ledger.record(["i", 1])
    await ledger.record(["i", 2])
    assert await entries(services) == [["i", 0], ["i", 1], ["i", 2]]
    await ledger.close()


async def test_a_lost_answer_and_another_writer_behind_it(stand: Any, services: Services) -> None:
    ledger = writer(services)
    await ledger.record(["i", 0])
    stand.service.add_fault("lose", match="OSS:AppendObject")
    # The append is done, its answer lost; before the writer asks, another one appends.
    stand.service.add_fault("delay", match="OSS:HeadObject", seconds=0.3)
    pending = asyncio.ensure_future(ledger.record(["i", 1]))
    await asyncio.sleep(0.15)
    data = encode_block(ledger.number + 1, "other", ["[]"])
    length = ledger.position + len(encode_block(ledger.number, ledger.writer, ['["i",1]']))
    await services.oss.append(URI.bucket, URI.key, length, data)
    with pytest.raises(LedgerFencedError):
        await pending
    assert (await entries(services))[:2] == [["i", 0], ["i", 1]]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDenied", r"Grant oss:PutObject, oss:GetObject on media/\.oss-async/\*"),
        (409, "ObjectNotAppendable", "ledger='oss://bucket/folder/'"),
        (409, "FileImmutable", "retention policy"),
        (400, "InvalidArgument", "KMS"),
    ],
)
async def test_a_refusal_says_what_to_choose(
    stand: Any, services: Services, status: int, code: str, words: str
) -> None:
    stand.service.add_fault("refuse", match="OSS:AppendObject", status=status, code=code)
    with pytest.raises(LedgerError, match=words) as caught:
        await writer(services).record(["i", 0])
    assert not isinstance(caught.value, LedgerFencedError)
    assert caught.value.code == code


async def test_an_outage_is_waited_out(stand: Any, services: Services) -> None:
    stand.service.add_fault(
        "refuse", match="OSS:AppendObject", status=503, code="ServiceUnavailable", times=2
    )
    stand.service.add_fault("throttle", match="OSS:AppendObject", seconds=1)
    ledger = writer(services, retry_seconds=20.0)
    await ledger.record(["i", 0])
    assert await entries(services) == [["i", 0]]
    await ledger.close()


async def test_a_lasting_outage_ends_the_writer(stand: Any, services: Services) -> None:
    stand.service.add_fault("refuse", match="OSS:*", status=503, code="ServiceUnavailable", times=0)
    failures: list[Any] = []
    ledger = writer(services, retry_seconds=0.3, failed=failures.append)
    with pytest.raises(LedgerError, match="Try again later"):
        await ledger.record(["i", 0])
    assert len(failures) == 1
    with pytest.raises(LedgerError):
        ledger.post(["i", 1])


async def test_a_waiter_that_is_cancelled_stops_nobody(services: Services) -> None:
    ledger = writer(services, linger=0.1)
    first = asyncio.ensure_future(ledger.record(["i", 0]))
    second = asyncio.ensure_future(ledger.record(["i", 1]))
    await asyncio.sleep(0.01)
    first.cancel()
    await second
    assert await entries(services) == [["i", 0], ["i", 1]]
    await ledger.close()


async def test_closing_waits_for_what_is_being_appended(stand: Any, services: Services) -> None:
    ledger = writer(services)
    stand.service.add_fault("delay", match="OSS:AppendObject", seconds=0.3)
    ledger.post(["i", 0])
    await asyncio.sleep(0.15)
    ledger.post(["i", 1])
    await ledger.close()
    assert await entries(services) == [["i", 0], ["i", 1]]
    # The same with nothing behind it.
    stand.service.add_fault("delay", match="OSS:AppendObject", seconds=0.3)
    ledger = writer(services, position=ledger.position, number=ledger.number)
    ledger.post(["i", 2])
    await asyncio.sleep(0.15)
    await ledger.close()
    assert (await entries(services))[-1] == ["i", 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-5], "ends within block 1"),
        (lambda data: data + b'["i",3]\n', "ends within block 2"),
        (lambda data: data.replace(b'["i",0]', b'["i",7]'), "check sum of block 0"),
        (lambda data: data[data.index(b"\n", 10) + 1 :], "check sum of block 0"),
        (lambda data: data.replace(b'["b",1', b'["b",x'), "block 1 cannot be read"),
    ],
)
async def test_damage_is_found(stand: Any, services: Services, damage: Any, words: str) -> None:
    whole = encode_block(0, "w", ['["i",0]']) + encode_block(1, "w", ['["i",1]'])
    stand.put(URI.key, damage(whole))
    with pytest.raises(LedgerError, match=words):
        await entries(services)


async def test_reading_goes_on_where_it_was(services: Services) -> None:
    ledger = writer(services)
    await ledger.record(["i", 0])
    position, number = ledger.position, ledger.number
    await ledger.record(["i", 1])
    blocks = [block async for block in read_blocks(services.oss, URI, position, number)]
    assert blocks == [(ledger.position, ledger.number, [["i", 1]])]
    await ledger.close()


def test_the_place_follows_from_the_task_instance() -> None:
    base = ObjectURI("media", ".oss-async")
    names = ("dag", "scheduled__2026-01-01T00:00:00+00:00", "group.task", "-1", "2")
    key = ledger_uri(base, *names).key
    assert key == ".oss-async/dag/scheduled__2026-01-01T00:00:00%2B00:00/group.task/-1/2/ledger.jsonl"
    # Every part counts, and none can be taken for two.
    others = {
        ledger_uri(base, *changed).key
        for changed in (("a/b", "c"), ("a", "b/c"), ("a", "b", "c"), ("a%2Fb", "c"), ("..", "c"), (".", "c"))
    }
    assert len(others) == 6
    assert all(ObjectURI.parse(f"oss://media/{key}") for key in others)


def test_a_long_name_is_shortened() -> None:
    base = ObjectURI("media", ".oss-async")
    keys = {ledger_uri(base, "d" * 250, "ü" * 250, f"t{n}").key for n in range(3)}
    assert len(keys) == 3
    assert all(
        len(key.encode()) < 1000 and re.fullmatch(r"\.oss-async/[0-9a-f]{64}/ledger\.jsonl", key)
        for key in keys
    )


async def test_it_is_json_lines(services: Services) -> None:
    ledger = writer(services)
    await ledger.record({"oss_async_ledger": 1}, ["i", 0, 1, 2.5])
    await ledger.close()
    lines = (await services.oss.read(URI.bucket, URI.key)).decode().splitlines()
    footer = json.loads(lines[-1])
    assert [json.loads(line) for line in lines[:-1]] == [{"oss_async_ledger": 1}, ["i", 0, 1, 2.5]]
    assert footer[:4] == ["b", 0, ledger.writer, 2]
