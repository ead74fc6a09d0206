"""Whether outputs are what was asked for: real files that the stand-in describes, and jobs with faults."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSJobError, OSSOutputMismatchError
from airflow_provider_oss_async.jobs import output_check
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.output_check import OutputReport, check_job, check_outputs, sample
from airflow_provider_oss_async.jobs.result import OutputObject
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.jobs.waiting import wait_for_result
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    Specification,
    Style,
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
)
from tests.support.clips import make_clips
from tests.support.services import QUICK, quick_services, wire_settings
from tests.support.stand import Stand
from tests.support.wire import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Wire

CLIPS = ("wide.mp4", "tall.mkv", "sound.wav")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A stand-in that does real work, with some media."""
    folder = tmp_path_factory.mktemp("media")
    stand = Stand(folder / "cloud", processor=process_job)
    for name, path in make_clips(folder).items():
        stand.put(name, path.read_bytes())
    picture = folder / "picture"
    Image.new("RGB", (64, 48)).save(picture, "PNG")
    stand.put("picture.png", picture.read_bytes())
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "blue")]
    frames[0].save(picture, "GIF", save_all=True, append_images=frames[1:])
    stand.put("moving.gif", picture.read_bytes())
    stand.put("letter.html", b"<p>one</p>")
    yield stand
    stand.service.stop()


@pytest.fixture
async def media(real: Stand) -> AsyncIterator[Services]:
    real.service.clear_faults()
    async with quick_services(real.settings(), timing=replace(QUICK, retry_seconds=0.3)) as services:
        yield services


def uri(key: str) -> ObjectURI:
    return ObjectURI("media", key)


def there(*keys: str, size: int = 1000, modified: float = 0.0) -> list[OutputObject]:
    return [OutputObject(uri(key), size, modified) for key in keys]


async def check(
    services: Services, spec: Specification, source: str, *keys: str, target: str = "", **options: Any
) -> OutputReport:
    """Check objects as if a job had written them."""
    process = spec.to_process(uri(source), uri(target or "out/{index}.x"))
    return await check_outputs(services, process, uri(source), there(*keys), **{"level": "media", **options})


def convert(container: str = "mp4", **arguments: Any) -> VideoConvert:
    return VideoConvert(container=container, **arguments)


def transcode(**arguments: Any) -> VideoConvert:
    return convert(video_codec="h264", **arguments)


def merge(*after: Any, **arguments: Any) -> VideoConcat:
    given = {"container": "mp4", "video_codec": "h264", "audio_codec": "aac", "after": after, **arguments}
    return VideoConcat(**given)


#: What was asked for, the source, the object that is there, and what differs.
CASES: list[tuple[Specification, str, str, set[str]]] = [
    (convert(), "wide.mp4", "wide.mp4", set()),
    (convert("mov"), "wide.mp4", "wide.mp4", set()),
    (convert("mkv"), "tall.mkv", "tall.mkv", set()),
    (convert("mkv"), "wide.mp4", "wide.mp4", {"container"}),
    (transcode(), "wide.mp4", "wide.mp4", set()),
    (convert(video_codec="h265"), "wide.mp4", "wide.mp4", {"video codec"}),
    (transcode(width=320, height=180), "wide.mp4", "wide.mp4", set()),
    (transcode(width=320), "wide.mp4", "wide.mp4", set()),
    (transcode(width=640), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(height=240), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(width=640, size_if_smaller="keep_source"), "wide.mp4", "wide.mp4", set()),
    (transcode(width=640, height=480, size_if_smaller="keep_source"), "wide.mp4", "wide.mp4", set()),
    (transcode(width=160, size_if_smaller="keep_source"), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(width=320, height=320, fit="fit"), "wide.mp4", "wide.mp4", set()),
    (transcode(width=320, height=320, fit="crop"), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(width=640, height=320, fit="fit"), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(width=180, height=320, adapt_orientation=True), "wide.mp4", "wide.mp4", set()),
    (transcode(width=180, height=320), "wide.mp4", "wide.mp4", {"size"}),
    (transcode(frame_rate=25), "wide.mp4", "wide.mp4", set()),
    (transcode(frame_rate=30), "wide.mp4", "wide.mp4", {"frame rate"}),
    (transcode(frame_rate=30, frame_rate_if_lower="keep_source"), "wide.mp4", "wide.mp4", set()),
    (transcode(frame_rate=15, frame_rate_if_lower="keep_source"), "wide.mp4", "wide.mp4", {"frame rate"}),
    (convert(audio_codec="aac", sample_rate=44100, channels=1), "wide.mp4", "wide.mp4", set()),
    (convert(audio_codec="mp3"), "wide.mp4", "wide.mp4", {"audio codec"}),
    (convert(audio_codec="aac", sample_rate=8000), "wide.mp4", "wide.mp4", {"sample rate"}),
    (convert(audio_codec="aac", channels=2), "wide.mp4", "wide.mp4", {"number of channels"}),
    (convert(no_audio=True), "wide.mp4", "wide.mp4", {"audio"}),
    (convert("mkv", no_audio=True), "wide.mp4", "tall.mkv", set()),
    # Whether a stream is missing is known of the source only.
    (convert("mkv", audio_codec="aac"), "tall.mkv", "tall.mkv", set()),
    (convert("mkv", audio_codec="aac"), "wide.mp4", "tall.mkv", {"audio"}),
    (convert("mkv"), "wide.mp4", "tall.mkv", {"audio"}),
    (convert("mov"), "wide.mp4", "sound.wav", {"container", "video"}),
    (convert("mov"), "sound.wav", "sound.wav", {"container"}),
    (convert("mp3"), "wide.mp4", "wide.mp4", {"container", "video", "audio codec"}),
    (AudioConvert(container="mp3"), "sound.wav", "sound.wav", {"container", "audio codec"}),
    # Cuts.
    (transcode(duration=2), "wide.mp4", "wide.mp4", set()),
    (transcode(duration=0.5), "wide.mp4", "wide.mp4", {"duration"}),
    (transcode(duration=60), "wide.mp4", "wide.mp4", set()),
    (transcode(start=1.2), "wide.mp4", "wide.mp4", {"duration"}),
    # A copy begins at a keyframe.
    (convert(start=1.2), "wide.mp4", "wide.mp4", set()),
    (transcode(start=0.2, duration=9), "wide.mp4", "wide.mp4", set()),
    # Merges.
    (merge("tall.mkv"), "wide.mp4", "wide.mp4", {"duration"}),
    (merge({"object": "tall.mkv", "duration": 0.2}), "wide.mp4", "wide.mp4", set()),
    (merge({"object": "wide.mp4", "duration": 60}, duration=1), "wide.mp4", "wide.mp4", {"duration"}),
    (merge({"object": "tall.mkv", "start": 0.9, "duration": 60}), "wide.mp4", "wide.mp4", set()),
    (AudioConcat(container="mp3", after=["sound.wav"]), "sound.wav", "sound.wav",
     {"container", "audio codec", "duration"}),
    # Pictures.
    (VideoSnapshots(format="png", count=1, width=64, height=48), "wide.mp4", "picture.png", set()),
    (VideoSnapshots(format="jpg", count=1), "wide.mp4", "picture.png", {"format"}),
    (VideoSnapshots(format="png", count=1, width=32, height=48), "wide.mp4", "picture.png", {"size"}),
    (VideoSprite(format="png", count=1), "wide.mp4", "picture.png", set()),
    (VideoAnimation(format="gif", count=2, width=64, height=48), "wide.mp4", "moving.gif", set()),
    (VideoAnimation(format="webp", count=2), "wide.mp4", "moving.gif", {"format"}),
    (DocumentConvert(target_format="png"), "letter.html", "picture.png", set()),
    (DocumentConvert(target_format="jpg"), "letter.html", "picture.png", {"format"}),
    (DocumentConvert(target_format="txt"), "letter.html", "letter.html", set()),
]  # fmt: skip


def case_id(value: Any) -> str:
    """The same in every process, for tests in parallel: the order of a set is not."""
    return " and ".join(sorted(value)) if isinstance(value, set) else repr(value)


@pytest.mark.parametrize(("spec", "source", "key", "differing"), CASES, ids=case_id)
async def test_each_comparison(
    media: Services, spec: Specification, source: str, key: str, differing: set[str]
) -> None:
    report = await check(media, spec, source, key)
    assert {difference.what for difference in report.differences} == differing, report
    assert report.reasons == []
    assert report.verdict == ("differs" if differing else "matches")


async def test_a_difference_says_what_was_asked_for_and_found(media: Services) -> None:
    (found,) = (await check(media, transcode(width=640, frame_rate=25), "wide.mp4", "wide.mp4")).differences
    assert (found.uri, found.asked, found.found) == ("oss://media/wide.mp4", "640 x any px", "320 x 180 px")
    assert str(found) == "size is 320 x 180 px, and 640 x any px was asked for (oss://media/wide.mp4)"


async def test_sources_are_inspected_only_where_they_are_needed(media: Services, real: Stand) -> None:
    for spec, requests in (
        (transcode(width=320, frame_rate=25, duration=2), 1),
        (transcode(duration=60), 2),
        (merge("tall.mkv", "tall.mkv", duration=0.1), 2),
        (merge({"object": "tall.mkv", "duration": 0.2}, duration=2), 1),
    ):
        before = real.requests("OSS:video/info")
        await check(media, spec, "wide.mp4", "wide.mp4")
        assert real.requests("OSS:video/info") - before == requests, spec


# Several outputs


def test_a_sample_has_the_first_and_the_last() -> None:
    assert [sample(range(number)) for number in (0, 1, 3, 5)] == [[], [0], [0, 1, 2], [0, 1, 2, 3, 4]]
    assert sample(range(1000)) == [0, 250, 500, 749, 999]


def numbers(*found: int) -> tuple[str, ...]:
    return tuple(f"p/{number}.png" for number in found)


@pytest.mark.parametrize(
    ("spec", "keys", "target", "differing"),
    [
        (DocumentConvert(target_format="png"), numbers(1, 2, 3), "p/{index}.png", set()),
        (DocumentConvert(target_format="png"), numbers(1, 3), "p/{index}.png", {"numbers"}),
        (DocumentConvert(target_format="png"), numbers(1, 3), "p/{index}.{autoext}", {"numbers"}),
        (DocumentConvert(target_format="png"), ("p/1_1.png", "p/3_1.png"), "p/{index}.png", set()),
        (DocumentConvert(target_format="png", pages="2,4-5"), numbers(2, 4, 5), "p/{index}.png", set()),
        (DocumentConvert(target_format="png", pages="2"), numbers(1, 2), "p/{index}.png",
         {"number of pages"}),
        (VideoSnapshots(format="png", count=2), numbers(1, 2), "p/{index}.png", set()),
        (VideoSnapshots(format="png", count=2), numbers(1, 2, 3), "p/{index}.png", {"number of frames"}),
        (VideoSnapshots(format="png", count=3, sampling="avg"), numbers(1, 2), "p/{index}.png",
         {"number of frames"}),
        (VideoSnapshots(format="png", count=999, sampling="avg"), numbers(*range(1, 51)), "p/{index}.png",
         set()),
        (VideoSnapshots(format="png", interval=0.25), numbers(*range(1, 9)), "p/{index}.png", set()),
        (VideoSnapshots(format="png", interval=0.25), numbers(*range(1, 6)), "p/{index}.png",
         {"number of frames"}),
        (VideoSnapshots(format="png", interval=0.25, count=4), numbers(1, 2, 3), "p/{index}.png",
         {"number of frames"}),
        (VideoSnapshots(format="png", interval=0.25, start=1), numbers(1, 2, 3), "p/{index}.png", set()),
        (VideoSnapshots(format="png", count=9), ("p/f_0_1.png", "p/f_0_3.png"), "p/f", set()),
        (VideoSnapshots(format="png", count=9), ("p/1-0.png",), "p/{index}-{streamindex}.png", set()),
    ],
)  # fmt: skip
async def test_how_many_there_are(
    media: Services, real: Stand, spec: Specification, keys: tuple[str, ...], target: str, differing: set[str]
) -> None:
    picture = real.service.get("picture.png")
    for key in sample(keys):
        real.service.put(key, picture)
    report = await check(media, spec, "wide.mp4", *keys, target=target)
    assert {difference.what for difference in report.differences} == differing, report
    assert len(report.inspected) == min(len(keys), 5)
    assert report.reasons == []


# What is there


@pytest.mark.parametrize("level", ["exists", "media"])
async def test_an_output_is_there_and_not_empty_and_new(media: Services, level: str) -> None:
    process = DocumentConvert(target_format="txt").to_process(uri("letter.html"), uri("a/{index}.txt"))

    async def found(outputs: list[OutputObject], since: float | None = 1000.0) -> list[tuple[str, ...]]:
        report = await check_outputs(media, process, uri("letter.html"), outputs, level=level, since=since)
        return [(one.uri, one.what, one.asked, one.found) for one in report.differences]

    assert await found(there("a/1.txt", modified=998.0)) == []
    assert await found([OutputObject(uri("a/1.txt"))]) == []
    assert await found([]) == [("oss://media/a/{index}.txt", "output", "an object", "none")]
    assert await found(there("a/1.txt", size=0)) == [
        ("oss://media/a/1.txt", "size", "more than 0 bytes", "0 bytes")
    ]
    assert await found(there("a/1.txt", modified=995.0)) == [
        ("oss://media/a/1.txt", "time", "after 1970-01-01T00:16:40+00:00", "1970-01-01T00:16:35+00:00")
    ]
    assert await found(there("a/1.txt", modified=995.0), since=None) == []


async def test_of_many_differences_the_first_are_named(media: Services) -> None:
    process = DocumentConvert(target_format="png").to_process(uri("letter.html"), uri("p/{index}.png"))
    empty = [OutputObject(uri(f"p/{number}.png"), 0) for number in range(1, 1001)]
    report = await check_outputs(media, process, uri("letter.html"), empty, level="exists")
    assert len(report.to_dict()["differences"]) == 20
    job = OSSJob("T", "OfficeConversion", "oss://media/letter.html")
    error = output_check.mismatch_error(job, report)
    assert len(error.differences) == 20
    assert "p/5.png); and 995 more. Check source" in str(error)


async def test_a_job_that_writes_nothing_is_as_asked_for(media: Services) -> None:
    process = DecodeBlindWatermark().to_process(uri("picture.png"))
    assert (await check_outputs(media, process, uri("picture.png"), [], level="media")).verdict == "matches"


@pytest.mark.parametrize(
    ("body", "differing"),
    [
        (b"%PDF-1.7\n" + b"x" * 5000 + b"\n%%EOF\n", set()),
        (b"%PDF-1.7\n%%EOF", set()),
        (b"%PDF-1.7\n" + b"x" * 5000, {"end"}),
        (b"<html>" + b"x" * 5000 + b"%%EOF", {"format"}),
    ],
)
async def test_a_pdf_has_head_and_tail(
    media: Services, real: Stand, body: bytes, differing: set[str]
) -> None:
    real.service.put("a.pdf", body)
    process = DocumentConvert(target_format="pdf").to_process(uri("letter.html"), uri("a.pdf"))
    for size in (len(body), -1):
        report = await check_outputs(
            media, process, uri("letter.html"), [OutputObject(uri("a.pdf"), size)], level="media"
        )
        # Where the size is not known nothing can be told.
        assert {one.what for one in report.differences} == (differing if size > 0 else set())


# What cannot be told


async def test_what_cannot_be_inspected_is_not_verified(media: Services, real: Stand) -> None:
    for fault, words in (
        ({"kind": "deny", "match": "imm:DetectMediaMeta"}, "imm:DetectMediaMeta"),
        ({"kind": "refuse", "match": "OSS:video/info", "times": 0}, "InternalError"),
        ({"kind": "throttle", "match": "OSS:video/info", "times": 0}, "SlowDown"),
        ({"kind": "close", "match": "OSS:video/info", "times": 0}, "no usable answer"),
    ):
        real.service.clear_faults()
        real.service.add_fault(**fault)
        report = await check(media, transcode(width=640), "wide.mp4", "wide.mp4")
        assert report.verdict == "not verified"
        (reason,) = report.reasons
        assert words in reason
        assert report.inspected == []


async def test_what_passes_is_tried_again(media: Services, real: Stand) -> None:
    real.service.add_fault("refuse", match="OSS:video/info", times=2, status=503, code="ServiceUnavailable")
    assert (await check(media, transcode(), "wide.mp4", "wide.mp4")).verdict == "matches"
    # An output that is visible a moment later.
    real.service.add_fault("refuse", match="OSS:video/info", times=2, status=404, code="NoSuchKey")
    assert (await check(media, transcode(), "wide.mp4", "wide.mp4")).verdict == "matches"
    before = real.requests("OSS:video/info")
    assert (await check(media, transcode(), "wide.mp4", "none.mp4")).verdict == "not verified"
    assert 1 < real.requests("OSS:video/info") - before <= 3


async def test_after_a_refusal_the_other_outputs_are_not_asked_for(media: Services, real: Stand) -> None:
    real.service.add_fault("deny", match="oss:GetObject", times=0)
    before = real.requests("OSS:image/info")
    report = await check(
        media,
        DocumentConvert(target_format="png"),
        "letter.html",
        *numbers(*range(1, 9)),
        target="p/{index}.png",
    )
    assert report.verdict == "not verified"
    assert real.requests("OSS:image/info") - before == 1


async def test_a_source_that_cannot_be_inspected_is_no_difference(media: Services, real: Stand) -> None:
    report = await check(media, merge("none.mkv"), "wide.mp4", "wide.mp4")
    assert report.verdict == "not verified"
    assert "the source could not be inspected" in report.reasons[0]
    # One that was overwritten says nothing of what was processed.
    report = await check(media, transcode(start=1.2), "wide.mp4", "wide.mp4", since=time.time() - 3600)
    assert report.verdict == "not verified"
    assert report.reasons == ["oss://media/wide.mp4 was overwritten after the submission"]
    report = await check(
        media, VideoSnapshots(format="png", interval=0.1), "none.mp4", "picture.png", target="p/{index}.png"
    )
    assert report.verdict == "not verified"


async def test_a_large_image_is_not_asked_for(media: Services, real: Stand) -> None:
    process = VideoAnimation(format="gif").to_process(uri("wide.mp4"), uri("out.gif"))
    outputs = there("out.gif", size=21 * 1024 * 1024)
    before = real.requests("OSS:image/info")
    report = await check_outputs(media, process, uri("wide.mp4"), outputs, level="media")
    assert "20 MB" in report.reasons[0]
    assert real.requests("OSS:image/info") == before


async def test_a_style_does_not_say_what_it_does(media: Services) -> None:
    process = Style("::h264-mp4-720p").to_process(uri("wide.mp4"), uri("out.mp4"))
    for level, reasons in (
        ("media", ["what style/::h264-mp4-720p was to give is not known"]),
        ("exists", []),
    ):
        report = await check_outputs(media, process, uri("wide.mp4"), there("wide.mp4"), level=level)
        assert report.reasons == reasons


async def test_a_fault_of_the_check_is_not_one_of_the_job(
    media: Services, caplog: pytest.LogCaptureFixture
) -> None:
    broken: Any = None
    report = await check(replace(media, oss=broken), transcode(), "wide.mp4", "wide.mp4")
    assert report.reasons == ["the check failed: AttributeError"]
    assert "has no attribute 'media_info'" in caplog.text


@pytest.mark.parametrize(
    ("limit", "words"),
    [("request_seconds", "No answer about"), ("check_seconds", "the check took longer than 0.2 s")],
)
async def test_a_check_that_takes_too_long(media: Services, real: Stand, limit: str, words: str) -> None:
    real.service.add_fault("delay", match="OSS:video/info", times=0, seconds=5)
    limits: dict[str, Any] = {limit: 0.2}
    report = await check(media, transcode(), "wide.mp4", "wide.mp4", **limits)
    assert words in report.reasons[0]


# Answers that a real service may give


def answers(wire: Wire, body: dict[str, Any], source: dict[str, Any] | None = None) -> None:
    wire.headers = {"x-oss-request-id": "REQ"}
    wire.respond = lambda request: (
        200,
        json.dumps(source if source is not None and "in" in request.path else body),
    )


async def differing(wire: Wire, spec: Specification) -> set[str]:
    async with quick_services(wire_settings(wire)) as services:
        report = await check(services, spec, "in.mp4", "out.mp4", target="out.mp4")
    assert report.reasons == []
    return {difference.what for difference in report.differences}


@pytest.mark.parametrize(
    "body",
    [
        {"RequestId": "R", "FormatName": "mov,mp4"},
        {"FormatName": "mov,mp4", "VideoStreams": [{"Width": 640}], "AudioStreams": [{"Index": 1}]},
        {"FormatName": "mov,mp4", "VideoStreams": [{"CodecName": "h264", "AverageFrameRate": "0/0"}]},
        {"Duration": 5.0},
    ],
)
async def test_what_is_absent_is_not_compared(wire: Wire, body: dict[str, Any]) -> None:
    answers(wire, body)
    spec = transcode(
        width=640, height=480, frame_rate=25, audio_codec="aac", sample_rate=44100, channels=2, duration=5
    )
    assert await differing(wire, spec) == set()


@pytest.mark.parametrize(
    ("spec", "stream", "what"),
    [
        # Documented samples: the average is irregular, and durations differ by some milliseconds.
        (transcode(frame_rate=60), {"AverageFrameRate": "19800000/329911", "FrameCount": 962}, set()),
        (transcode(frame_rate=30), {"AverageFrameRate": "21645000/721493", "FrameCount": 481}, set()),
        (transcode(frame_rate=24), {"AverageFrameRate": "25/1", "FrameCount": 481}, {"frame rate"}),
        # A picture that is turned when it is shown.
        (transcode(width=1080, height=1920), {"Width": 1920, "Height": 1080, "Rotate": "90"}, set()),
        (transcode(width=1080, height=1920), {"Width": 1920, "Height": 1080}, {"size"}),
        (convert(video_codec="h265"), {"CodecName": "hevc"}, set()),
    ],
)
async def test_real_values(wire: Wire, spec: Specification, stream: dict[str, Any], what: set[str]) -> None:
    answers(wire, {"FormatName": "mov,mp4", "VideoStreams": [stream]})
    assert await differing(wire, spec) == what


async def test_a_cover_is_no_video(wire: Wire) -> None:
    cover = {"FormatName": "mp3", "StreamCount": 2, "VideoStreams": [{"CodecName": "mjpeg"}]}
    answers(wire, {**cover, "AudioStreams": [{"CodecName": "mp3"}]})
    assert await differing(wire, AudioConvert(container="mp3")) == set()
    # Nor is it the video that was to be kept.
    answers(
        wire,
        {**cover, "FormatName": "mp4", "AudioStreams": [{"CodecName": "mp3"}]},
        {"VideoStreams": [{"CodecName": "h264"}]},
    )
    assert await differing(wire, convert()) == {"video"}


async def test_a_long_merge_that_lacks_a_short_clip(wire: Wire) -> None:
    answers(wire, {"Duration": 3600.4}, {"Duration": 1802.5})
    assert await differing(wire, merge("in2.mp4")) == {"duration"}
    answers(wire, {"Duration": 3605.8}, {"Duration": 1802.5})
    assert await differing(wire, merge("in2.mp4")) == set()


async def test_an_estimated_duration_may_differ_more(wire: Wire) -> None:
    aac = {"FormatName": "aac"}
    answers(wire, {**aac, "Duration": 95.0}, {"Duration": 500})
    assert await differing(wire, AudioConvert(container="aac", duration=100)) == set()
    answers(wire, {"FormatName": "flac", "Duration": 95.0}, {"Duration": 500})
    assert await differing(wire, AudioConvert(container="flac", duration=100)) == {"duration"}


async def test_slow_frames_may_overlap(wire: Wire) -> None:
    assert output_check._tolerance(10, 1, Fraction(1), estimated=False) == pytest.approx(2.605)


async def test_an_answer_that_nobody_expects(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    wire.headers = {"x-oss-request-id": "REQ"}
    wire.respond = lambda request: Answer(200, b"\x00\x00\x00\x20ftypisom")
    async with quick_services(wire_settings(wire), timing=replace(QUICK, retry_seconds=0.1)) as services:
        report = await check(services, transcode(), "in.mp4", "out.mp4", target="out.mp4")
    assert "no usable answer to video/info" in report.reasons[0]


# Whole jobs, with and without faults


JOBS: list[tuple[Specification, str, str, str, set[str]]] = [
    (transcode(width=160, height=90, audio_codec="aac"), "wide.mp4", "o.mp4", "", set()),
    (transcode(width=160, height=90), "wide.mp4", "o.mp4", "output_half_size", {"size"}),
    (transcode(audio_codec="aac"), "wide.mp4", "o.mp4", "output_no_audio", {"audio"}),
    (transcode(), "wide.mp4", "o.mp4", "output_empty", {"size"}),
    (transcode(), "wide.mp4", "o.mp4", "output_missing", {"output"}),
    (merge("tall.mkv", width=64, height=64), "wide.mp4", "o.mp4", "", set()),
    (merge("tall.mkv", width=64, height=64), "wide.mp4", "o.mp4", "output_first_clip", {"duration"}),
    (VideoSnapshots(format="png", count=3, sampling="avg", width=64, height=64), "wide.mp4", "f/{index}.png",
     "", set()),
    (VideoSnapshots(format="png", count=3, sampling="avg", width=64, height=64), "wide.mp4", "f/{index}.png",
     "output_last_missing", {"number of frames"}),
    (VideoSnapshots(format="png", count=3, sampling="avg", width=64, height=64), "wide.mp4", "f/{index}.png",
     "output_half_size", {"size"}),
    (DocumentConvert(target_format="pdf"), "letter.html", "o.pdf", "", set()),
    (DocumentConvert(target_format="pdf"), "letter.html", "o.pdf", "output_cut", {"end"}),
]  # fmt: skip


async def run(
    services: Services, spec: Specification, source: str, target: str, **options: Any
) -> dict[str, Any]:
    request = build_request(spec, uri(source), uri(target))
    job = await submit(services.oss, replace(request, imm_project="local-project"))
    given = {"verify_output": "media", **options}
    return await wait_for_result(services, WaitSpecification(job, "imm", time.time() + 60, 0.1, **given))


@pytest.mark.parametrize(("spec", "source", "target", "fault", "differing"), JOBS)
async def test_jobs(
    media: Services,
    real: Stand,
    spec: Specification,
    source: str,
    target: str,
    fault: str,
    differing: set[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for key in real.service.objects():
        if key.startswith(("o.", "f/")):
            await media.oss.delete("media", key)
    if fault:
        real.service.add_fault(fault)
    caplog.set_level(logging.INFO)
    jobs = len(real.accepted())
    result = await run(media, spec, source, target, if_output_differs="warn")
    found = result["verification"]
    assert {difference["what"] for difference in found["differences"]} == differing, found
    assert found["verdict"] == ("differs" if differing else "matches")
    assert found["level"] == "media"
    assert json.loads(json.dumps(found)) == found
    assert ("its output is not what was asked for" if differing else "is as asked for") in caplog.text
    assert len(real.accepted()) == jobs + 1


async def test_a_difference_fails_the_job(media: Services, real: Stand) -> None:
    real.service.add_fault("output_empty")
    with pytest.raises(OSSOutputMismatchError, match="more than 0 bytes was asked for") as caught:
        await run(media, transcode(), "wide.mp4", "o.mp4", verify_output="exists")
    error = caught.value
    assert isinstance(error, OSSJobError)
    assert error.differences == [
        {"uri": "oss://media/o.mp4", "what": "size", "asked": "more than 0 bytes", "found": "0 bytes"}
    ]
    assert (error.code, error.target) == ("OutputMismatch", "oss://media/o.mp4")
    assert error.job["task_id"]
    assert error.advice
    again = OSSAsyncError.from_dict(json.loads(json.dumps(error.to_dict())))
    assert type(again) is OSSOutputMismatchError
    assert again.fields == error.fields


async def test_by_default_nothing_is_checked(media: Services, real: Stand) -> None:
    real.service.add_fault("output_empty")
    before = real.requests("OSS:video/info")
    result = await run(media, transcode(), "wide.mp4", "o.mp4", verify_output="")
    assert "verification" not in result
    assert result["outputs"] == ["oss://media/o.mp4"]
    assert real.requests("OSS:video/info") == before


async def test_a_check_that_brings_nothing_is_a_success(
    media: Services, real: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    real.service.add_fault("deny", match="imm:DetectMediaMeta", times=0)
    result = await run(media, transcode(), "wide.mp4", "o.mp4")
    assert result["status"] == "succeeded"
    assert result["verification"]["verdict"] == "not verified"
    assert "could not be verified" in caplog.text
    assert "Grant imm:DetectMediaMeta" in caplog.text


async def test_outputs_that_cannot_be_found_are_not_verified(media: Services, real: Stand) -> None:
    request = build_request(transcode(), uri("wide.mp4"), uri("o.mp4"))
    job = await submit(media.oss, replace(request, imm_project="local-project"))
    real.service.add_fault("deny", match="oss:GetObject", times=0)
    report = await check_job(media, job, "exists")
    assert report.verdict == "not verified"
    assert "Grant oss:GetObject" in report.reasons[0]


async def test_a_job_whose_process_is_not_known_is_not_verified(media: Services, real: Stand) -> None:
    real.service.put("o.mp4", real.service.get("wide.mp4"))
    request = build_request(transcode(), uri("wide.mp4"), uri("o.mp4"))
    job = await submit(media.oss, replace(request, imm_project="local-project"))
    spec = WaitSpecification(replace(job, process=""), "imm", time.time() + 60, 0.1, verify_output="media")
    result = await wait_for_result(media, spec)
    assert result["verification"]["reasons"] == ["the process of the job is not known"]
