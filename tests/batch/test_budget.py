"""What a batch will come to: minutes and cost, before anything is submitted."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.batch.budget import (
    LARGER,
    Job,
    Prices,
    Result,
    check_cost,
    estimate,
    result_of,
    size_class,
)
from airflow_provider_oss_async.batch.plan import make_plan
from airflow_provider_oss_async.clients.media_info import AudioStream, MediaInfo, VideoStream
from airflow_provider_oss_async.exceptions import OSSServiceError, ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.jobs.submission import build_request
from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    DocumentConvert,
    ObjectURI,
    Specification,
    Style,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
)
from tests.support.batches import specification

if TYPE_CHECKING:
    from pathlib import Path

PRICES = {
    "currency": "CNY",
    "per_minute": {
        "h264": {"640x360": 0.1, "1280x720": 0.2, "1920x1080": 0.5},
        "copy": 0.01,
        "audio": 0.004,
    },
    "per_job": {"doc/convert": 0.02, "video/convert": 0.001},
    "round_up_seconds": 60,
}


def info(width: int = 1920, height: int = 1080, duration: float | None = 90.0) -> MediaInfo:
    stream = VideoStream("h264", width, height, Fraction(25))
    return MediaInfo("video", frozenset({"mp4"}), duration, video=(stream,), audio=(AudioStream("aac"),))


def h264(**arguments: Any) -> VideoConvert:
    return VideoConvert(container="mp4", video_codec="h264", **arguments)


@pytest.mark.parametrize(
    ("spec", "source", "expected"),
    [
        (h264(), info(), Result("h264", (1920, 1080), 90, False)),
        (h264(width=1280), info(), Result("h264", (1280, 720), 90, False)),
        (h264(height=720), info(), Result("h264", (1280, 720), 90, False)),
        (h264(width=1280, height=1280), info(), Result("h264", (1280, 1280), 90, False)),
        (h264(width=1280, height=1280, fit="fit"), info(), Result("h264", (1280, 720), 90, False)),
        # What is upright stays so.
        (
            h264(width=1280, adapt_orientation=True),
            info(1080, 1920),
            Result("h264", (720, 1280), 90, False),
        ),
        (h264(width=1280), info(640, 360), Result("h264", (1280, 720), 90, False)),
        (
            h264(width=1280, size_if_smaller="keep_source"),
            info(640, 360),
            Result("h264", (640, 360), 90, False),
        ),
        # The size of the source is not known.
        (h264(), MediaInfo("video", duration=9.0), Result("h264", None, 9, False)),
        (h264(width=640, height=360), MediaInfo("video", duration=9.0), Result("h264", (640, 360), 9, False)),
        (
            h264(width=640, height=360, size_if_smaller="keep_source"),
            MediaInfo("video", duration=9.0),
            Result("h264", None, 9, False),
        ),
        # Cuts.
        (h264(start=30), info(), Result("h264", (1920, 1080), 60, False)),
        (h264(start=30, duration=20), info(), Result("h264", (1920, 1080), 20, False)),
        (h264(duration=500), info(), Result("h264", (1920, 1080), 90, False)),
        (h264(start=500), info(), Result("h264", (1920, 1080), 0, False)),
        (h264(), info(duration=None), None),
        # Codecs.
        (VideoConvert(container="mkv"), info(), Result("copy", (1920, 1080), 90, False)),
        (h264(narrowband_hd=True), info(), Result("narrowband_h264", (1920, 1080), 90, False)),
        (VideoConvert(container="mp3"), info(), Result("mp3", None, 90, True)),
        (VideoConvert(container="mp3", audio_codec="mp3"), info(), Result("mp3", None, 90, True)),
        (VideoConvert(container="mkv", no_video=True), info(), Result("copy", None, 90, True)),
        (AudioConvert(container="flac"), info(), Result("flac", None, 90, True)),
    ],
)
def test_results_follow_from_arguments_and_source(
    spec: Specification, source: MediaInfo, expected: Result | None
) -> None:
    assert result_of(spec, source) == expected


def test_a_merge_is_the_sum_of_its_parts() -> None:
    spec = VideoConcat(
        container="mp4",
        video_codec="h264",
        audio_codec="aac",
        start=80,
        after=["b.mp4", {"object": "c.mp4", "start": 5, "duration": 2}],
    )
    others = {"b.mp4": info(duration=30.0), "c.mp4": info(duration=60.0)}
    assert result_of(spec, info(), others) == Result("h264", (1920, 1080), 42, False)
    assert result_of(spec, info(), {"b.mp4": info()}) is None, "one of them could not be read"


@pytest.mark.parametrize(
    ("size", "found"),
    [
        ((640, 480), "640x480"),
        ((480, 640), "640x480"),
        ((642, 360), "1280x720"),
        ((720, 1280), "1280x720"),
        # As large as 1280 x 720, but higher.
        ((960, 960), "1920x1080"),
        ((8000, 2), LARGER),
        (None, "unknown size"),
    ],
)
def test_size_classes(size: tuple[int, int] | None, found: str) -> None:
    assert size_class(size, ("640x480", "1280x720", "1920x1080")) == found
    assert size_class(size, ()) == ""


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, ["prices=None", "expected a mapping"]),
        ("{}", ["native_obj"]),
        ({"currency": "CNY"}, ["neither per_minute nor per_job"]),
        (
            {"currency": 7, "per_minute": [], "x": 1, "round_up_seconds": 0},
            ["'x'] is not known", "currency']=7", "per_minute']=[]", "round_up_seconds']=0"],
        ),
        (
            {
                "currency": "CNY",
                "per_minute": {"h264": {"720p": 1, "1280x720": -1}, "h265": {}, "copy": True},
            },
            ["'720p' is not a size", "-1 is not a price", "'h265'] has no price", "True is not a price"],
        ),
        ({"currency": "CNY", "per_job": {"*": "0.1"}}, ["'0.1' is not a price"]),
        ({"currency": "CNY", "per_job": {"*": float("nan")}}, ["nan is not a price"]),
    ],
)
def test_a_wrong_table_is_refused_in_one_message(table: Any, words: list[str]) -> None:
    with pytest.raises(ProcessError) as caught:
        Prices.read(table)
    for word in words:
        assert word in str(caught.value)


def test_prices_are_found_by_codec_and_size() -> None:
    prices = Prices.read(PRICES)
    assert prices.minute("h264", "1280x720", False) == 0.2
    assert prices.minute("h264", LARGER, False) is None
    assert prices.minute("copy", "", False) == 0.01
    assert prices.minute("mp3", "", True) == 0.004
    assert prices.minute("h265", "1280x720", False) is None
    assert prices.sizes("h264") == ("640x360", "1280x720", "1920x1080")
    assert prices.sizes("copy") == ()
    assert (prices.job("doc/convert"), prices.job("video/sprite")) == (0.02, None)


# On the stand-in, with real media.


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, bytes]:
    from airflow_provider_oss_async.local.processing.ffmpeg import run

    found = {}
    for name, size, seconds in (("large", "640x360", 3), ("small", "320x180", 1), ("other", "320x180", 2)):
        path = tmp_path / f"{name}.mp4"
        run(["-f", "lavfi", "-i", f"testsrc2=s={size}:r=5:d={seconds}", "-preset", "ultrafast", str(path)])
        found[name] = path.read_bytes()
    return found


@pytest.fixture
def filled(stand: Any, connect: Any, quick: None, clips: dict[str, bytes]) -> Any:
    for name, body in clips.items():
        stand.put(f"in/{name}.mp4", body)
    stand.put("in/broken.mp4", b"no video")
    return stand


def jobs(spec: Specification | Style, *keys: str, size: int = -1) -> list[Job]:
    def job(uri: ObjectURI) -> Job:
        request = build_request(spec, uri, ObjectURI("media", f"o/{uri.key}/f"))
        return Job(request.process.operation, size, lambda: request)

    return [job(ObjectURI("media", f"in/{key}.mp4")) for key in keys]


async def estimated(found: list[Job], **options: Any) -> dict[str, Any]:
    async with OSSAsyncHook().session() as services:
        return await estimate(services, found, **options)


async def test_minutes_by_codec_and_size(filled: Any) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264", width=640, size_if_smaller="keep_source")
    prices = Prices.read({**PRICES, "round_up_seconds": 6})
    found = await estimated(
        [*jobs(spec, "large", "small", "other"), *jobs(AudioConvert(container="mp3"), "large")], prices=prices
    )
    assert found["jobs"] == {"video/convert": 3, "audio/convert": 1}
    # Each is rounded up to a tenth of a minute; 640 x 360 holds them all.
    assert found["minutes"] == {"h264": {"640x360": 0.3}, "mp3": {"any size": 0.1}}
    assert found["cost"] == pytest.approx(0.3 * 0.1 + 0.1 * 0.004 + 3 * 0.001)
    assert (found["currency"], found["probed"], found["unreadable"]) == ("CNY", 4, 0)
    assert found["rounding"] == "each result is rounded up to 6 seconds"
    (note,) = found["not_known"]
    assert "storage" in note


async def test_a_sample_stands_for_all(filled: Any) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264")
    names = ["large", "small", "other"]
    by_number = await estimated(jobs(spec, *names), probe_sample=1)
    # One of three was asked: 60 seconds after rounding.
    assert by_number["minutes"] == {"h264": {"640x480": 3.0}}
    assert by_number["probed"] == 1
    assert "projected by number from 1 of 3" in by_number["not_known"][0]
    assert "cost" not in by_number
    sized = [*jobs(spec, "large", size=100), *jobs(spec, "small", "other", size=50)]
    by_bytes = await estimated(sized, probe_sample=1)
    assert by_bytes["minutes"] == {"h264": {"640x480": 2.0}}
    assert "projected by bytes" in by_bytes["not_known"][0]


async def test_what_cannot_be_read_is_taken_to_be_like_the_others(filled: Any) -> None:
    spec = VideoConvert(container="mp4", video_codec="h264")
    found = await estimated(jobs(spec, "large", "broken", "gone"))
    assert (found["probed"], found["unreadable"]) == (3, 2)
    assert found["minutes"] == {"h264": {"640x480": 3.0}}
    assert any(
        "2 of 3 probed objects could not be read; they are taken" in note for note in found["not_known"]
    )
    nothing = await estimated(jobs(spec, "gone"), prices=Prices.read(PRICES))
    assert (nothing["minutes"], nothing["cost"]) == ({}, None)


async def test_a_merge_asks_about_its_parts_once(filled: Any) -> None:
    spec = VideoConcat(container="mp4", video_codec="h264", audio_codec="aac", after=["in/other.mp4"])
    audio = AudioConcat(container="mp3", after=["in/gone.mp4"])
    found = await estimated([*jobs(spec, "large", "small"), *jobs(audio, "large")])
    assert found["minutes"]["h264"] == {"640x480": 3.0}
    assert found["unreadable"] == 1


async def test_what_is_not_counted_is_said(filled: Any) -> None:
    found = await estimated(
        [
            *jobs(DocumentConvert(target_format="pdf"), "large"),
            *jobs(VideoSnapshots(format="jpg"), "large"),
            *jobs(Style("::h264-mp4-720p"), "large"),
            *jobs(VideoConvert(container="mp4", video_codec="h264"), "large"),
        ],
        probe=False,
        prices=Prices.read(PRICES),
    )
    assert found["cost"] is None
    text = " ".join(found["not_known"])
    for words in (
        "what a style makes",
        "pages, frames and sheets that 2 jobs write",
        "1 media jobs were not probed",
        "no price for a job of video/snapshots",
        "no price for a job of style/",
    ):
        assert words in text


async def test_a_codec_without_a_price_leaves_the_cost_open(filled: Any) -> None:
    spec = VideoConvert(container="mp4", video_codec="h265")
    found = await estimated(jobs(spec, "large"), prices=Prices.read(PRICES))
    assert found["cost"] is None
    assert "no price for a minute of h265 640x480" in " ".join(found["not_known"])
    with pytest.raises(ProcessError, match=r"cannot be told.*no price for a minute of h265"):
        check_cost(found, 5)


async def test_a_missing_right_is_no_unreadable_object(filled: Any) -> None:
    filled.service.add_fault("refuse", match="OSS:video/info", status=403, code="AccessDenied", times=0)
    with pytest.raises(OSSServiceError, match="Grant"):
        await estimated(jobs(VideoConvert(container="mp4", video_codec="h264"), "large", "small"))


async def test_a_batch_stops_at_max_cost(filled: Any) -> None:
    async def plan(**options: Any) -> Any:
        spec = specification(["in/large.mp4", "in/small.mp4"], probe=True, prices=PRICES, **options)
        async with OSSAsyncHook().session() as services:
            return await make_plan(services, spec)

    found = (await plan(max_cost=1.0)).summary()["estimate"]
    assert found["cost"] == pytest.approx(2 * 0.1 + 2 * 0.001)
    with pytest.raises(ProcessError, match=r"Nothing was submitted: the cost is estimated at 0\.202 CNY"):
        await plan(max_cost=0.2)
    assert filled.service.jobs() == []
