"""What a period has left undone is found, and a batch makes it whole."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.batch.outputs import expectation
from airflow_provider_oss_async.batch.sources import ObjectListing
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import (
    DecodeBlindWatermark,
    DocumentConvert,
    VideoConvert,
    VideoSnapshots,
)
from tests.support.batches import put_many, run, specification

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick", "connect")

PROCESS = VideoConvert(container="mp4", video_codec="h264")
TARGET = "out/{barename}.mp4"
SECOND_LEDGER = "oss://media/.oss-async/second/ledger.jsonl"


async def found(sources: Any, **options: Any) -> dict[str, str]:
    rows = await OSSAsyncHook().aincomplete_outputs(
        sources, options.pop("process", PROCESS), options.pop("target", TARGET), **options
    )
    return {row["source"].removeprefix("oss://media/"): row["reason"] for row in rows}


async def test_missing_empty_and_older(stand: Any) -> None:
    keys = put_many(stand, 5)
    listing = ObjectListing("in/", pattern="*.mov")
    assert await found(listing) == dict.fromkeys(keys, "missing")
    for number in (0, 1, 2):
        stand.put(f"out/0000{number}.mp4", b"" if number == 1 else b"result")
    # Times of objects are whole seconds.
    await asyncio.sleep(1.1)
    stand.put(keys[2], b"changed")
    # Another version of the same name, and a folder.
    stand.put("out/00003.mkv")
    stand.put("in/folder/")
    assert await found(listing) == {
        keys[1]: "empty",
        keys[2]: "older than its source",
        keys[3]: "missing",
        keys[4]: "missing",
    }


async def test_the_result_is_what_the_batch_takes(stand: Any) -> None:
    put_many(stand, 3)
    listing = ObjectListing("in/", pattern="0*")
    await run(specification(["in/00001.mov"]))
    rows = await OSSAsyncHook().aincomplete_outputs(listing, PROCESS, TARGET)
    assert rows[0] == {
        "source": "oss://media/in/00000.mov",
        "target": "oss://media/out/{barename}.mp4",
        "reason": "missing",
    }
    summary = await run(specification(rows, ledger=SECOND_LEDGER))
    assert (summary["objects"], summary["succeeded"]) == (2, 2)
    assert await OSSAsyncHook().aincomplete_outputs(listing, PROCESS, TARGET) == []
    assert len(stand.accepted()) == 3


async def test_objects_with_targets_and_arguments_of_their_own(stand: Any) -> None:
    put_many(stand, 2)
    sources: list[Any] = [
        {"source": "in/00000.mov", "target": "own/0.mp4", "width": 640},
        {"source": "in/00001.mov", "reason": "of an earlier check"},
        {"source": "in/gone.mov", "target": "own/gone.mp4"},
    ]
    stand.put("own/gone.mp4")
    rows = await OSSAsyncHook().aincomplete_outputs(sources, PROCESS, TARGET)
    assert [(row["source"], row["target"], row.get("width")) for row in rows] == [
        ("oss://media/in/00000.mov", "oss://media/own/0.mp4", 640),
        ("oss://media/in/00001.mov", "oss://media/out/{barename}.mp4", None),
    ], "what has no source any more cannot be made again"


async def test_of_several_outputs_one_counts(stand: Any) -> None:
    put_many(stand, 2)
    stand.put("frames/00000_0_1.jpg")
    spec = VideoSnapshots(format="jpg")
    assert await found(ObjectListing("in/"), process=spec, target="frames/{barename}") == {
        "in/00001.mov": "missing"
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sources": "in/", "process": 7}, ["sources='in/'", "process=7"]),
        ({"target": "/x", "verify_output": "all"}, ["target", "verify_output='all'"]),
        ({"max_objects": 0}, ["max_objects=0"]),
        ({"process": DecodeBlindWatermark(), "target": None}, ["writes no object"]),
    ],
)
def test_wrong_arguments_are_named_together(arguments: dict[str, Any], words: list[str]) -> None:
    values: dict[str, Any] = {"sources": ["a.mov"], "process": PROCESS, "target": TARGET, **arguments}
    with pytest.raises(ProcessError) as caught:
        expectation(
            values.pop("sources"), values.pop("process"), values.pop("target"), bucket="media", **values
        )
    for word in words:
        assert word in str(caught.value)


async def test_two_objects_with_one_target_are_an_error(stand: Any) -> None:
    put_many(stand, 2)
    with pytest.raises(ProcessError, match="same target"):
        await found(ObjectListing("in/"), target="out/all.mp4")
    with pytest.raises(ProcessError, match="max_objects=1"):
        await found(ObjectListing("in/"), max_objects=1)


# With real media.


@pytest.fixture
def media(start_stand: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A stand-in that really works, with four videos below ``in/``."""
    from airflow_provider_oss_async.local.processing.ffmpeg import run as ffmpeg
    from airflow_provider_oss_async.local.processing.run import process_job

    stand = start_stand(processor=process_job)
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(stand.connection()))
    path = tmp_path / "video.mp4"
    ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=160x90:r=5:d=4", "-preset", "ultrafast", str(path)])
    for number in range(4):
        stand.put(f"in/{number}.mp4", path.read_bytes())
    return stand


async def test_deleted_truncated_and_aged_outputs_are_made_again(media: Any) -> None:
    listing = ObjectListing("in/")
    # An MPEG transport stream says by its end how long it is, and not in a header.
    process, target = VideoConvert(container="ts", video_codec="h264"), "out/{barename}.ts"
    expected: dict[str, Any] = {"process": process, "target": target}
    made: dict[str, Any] = {"process": process, "target": f"oss://media/{target}"}
    # The second job writes half a file, and says that it has succeeded.
    media.service.add_fault("output_cut", match="*/1.mp4")
    await run(specification(listing, **made))
    async with OSSAsyncHook().session() as services:
        await services.oss.delete("media", "out/0.ts")
        source = await services.oss.read("media", "in/2.mp4")
    await asyncio.sleep(1.1)
    media.put("in/2.mp4", source)
    assert await found(listing, **expected) == {
        "in/0.mp4": "missing",
        "in/2.mp4": "older than its source",
    }
    rows = await OSSAsyncHook().aincomplete_outputs(listing, process, target, verify_output="media")
    reasons = {row["source"].rpartition("/")[2]: row["reason"] for row in rows}
    assert set(reasons) == {"0.mp4", "1.mp4", "2.mp4"}, reasons
    assert "was asked for" in reasons["1.mp4"]
    summary = await run(specification(rows, ledger=SECOND_LEDGER, **made))
    assert summary["succeeded"] == 3
    assert await found(listing, verify_output="media", **expected) == {}


async def test_what_cannot_be_verified_is_not_made_again(
    media: Any, caplog: pytest.LogCaptureFixture
) -> None:
    listing = ObjectListing("in/")
    await run(specification(listing))
    media.service.add_fault("refuse", match="OSS:video/info", status=403, code="AccessDenied", times=0)
    assert await found(listing, verify_output="media") == {}
    assert "could not be verified" in caplog.text


async def test_one_job_can_be_estimated(media: Any) -> None:
    prices = {"currency": "EUR", "per_minute": {"h264": 0.5}, "per_job": {"doc/convert": 2}}
    one = await OSSAsyncHook().aestimate("in/0.mp4", PROCESS, prices=prices)
    assert (one["objects"], one["cost"], one["currency"]) == (1, 0.5, "EUR")
    assert one["bytes"] > 1000
    assert one["minutes"] == {"h264": {"any size": 1.0}}
    pages = await OSSAsyncHook().aestimate("in/0.mp4", DocumentConvert(target_format="png"), prices=prices)
    assert pages["cost"] == 2
    text = await OSSAsyncHook().aestimate("in/0.mp4", "image/deblindwatermark,s_low,t_text")
    assert "cost" not in text
    assert (await OSSAsyncHook().aestimate("in/0.mp4", PROCESS, probe=False))["minutes"] == {}
    with pytest.raises(ProcessError, match="does not exist"):
        await OSSAsyncHook().aestimate("in/none.mp4", PROCESS)
    with pytest.raises(ProcessError, match="prices"):
        await OSSAsyncHook().aestimate("in/0.mp4", PROCESS, prices={"x": 1})
    assert media.accepted() == []


def test_from_synchronous_code(media: Any) -> None:
    assert len(OSSAsyncHook().incomplete_outputs(ObjectListing("in/"), PROCESS, TARGET)) == 4
    assert OSSAsyncHook().estimate("in/0.mp4", PROCESS)["probed"] == 1
