"""What is read out of the answers of ``video/info``, ``audio/info`` and ``image/info``."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.clients.media_info import (
    MEDIA_KINDS,
    AudioStream,
    ImageInfo,
    MediaInfo,
    VideoStream,
    media_kind,
    parse_media_info,
)
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSUnavailableError
from tests.support.services import quick_services, wire_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.clients.oss import OSSClient
    from tests.support.wire import Wire

#: In the form of the documented sample; the first stream has no Index, and a StartTime of 0 is left out.
VIDEO: dict[str, Any] = {
    "RequestId": "R",
    "FormatName": "mov,mp4,m4a,3gp,3g2,mj2",
    "StreamCount": 2,
    "Size": 2044258,
    "Bitrate": 1019964,
    "Duration": 16.034,
    "VideoWidth": 1080,
    "VideoHeight": 1920,
    "VideoStreams": [
        {
            "CodecName": "h264",
            "Width": 1920,
            "Height": 1080,
            "FrameRate": "60/1",
            "AverageFrameRate": "19800000/329911",
            "FrameCount": 962,
            "Duration": 16.033178,
            "Bitrate": 950000,
            "PixelFormat": "yuv420p",
            "Rotate": "90",
        }
    ],
    "AudioStreams": [
        {
            "Index": 1,
            "CodecName": "aac",
            "SampleRate": 44100,
            "Channels": 2,
            "Duration": 16.021769,
            "Bitrate": 69000,
        }
    ],
}
IMAGE = {
    "FileSize": {"value": "21839"},
    "Format": {"value": "jpg"},
    "FrameCount": {"value": "1"},
    "ImageHeight": {"value": "267"},
    "ImageWidth": {"value": "400"},
    "XResolution": {"value": "96/1"},
}


def parse(data: Any, kind: Any = "video") -> MediaInfo:
    return parse_media_info(kind, json.dumps(data).encode(), '"E"')


def stream(**fields: Any) -> VideoStream:
    (found,) = parse({"VideoStreams": [fields]}).video or ()
    return found


def test_a_video() -> None:
    assert parse(VIDEO) == MediaInfo(
        "video",
        formats=frozenset({"mov", "mp4", "m4a", "3gp", "3g2", "mj2"}),
        duration=16.034,
        size=2044258,
        bitrate=1019964,
        video=(
            VideoStream(
                "h264", 1920, 1080, Fraction(19800000, 329911), 962, 16.033178, 950000, "yuv420p", 90
            ),
        ),
        audio=(AudioStream("aac", 44100, 2, 16.021769, 69000),),
        etag="E",
    )


def test_an_image() -> None:
    assert parse(IMAGE, "image") == MediaInfo(
        "image", size=21839, image=ImageInfo("jpg", 400, 267, 1), etag="E"
    )


def test_what_is_absent_is_not_known() -> None:
    assert parse({"FormatName": "avi"}) == MediaInfo("video", formats=frozenset({"avi"}), etag="E")
    assert parse({"Format": {"value": "png"}}, "image").image == ImageInfo("png")
    assert stream(CodecName="h264") == VideoStream("h264")


@pytest.mark.parametrize(
    ("changes", "video", "audio"),
    [
        # Lists that are empty are left out: only the number of streams tells that nothing is missing.
        ({"StreamCount": 1, "AudioStreams": None}, 1, 0),
        ({"StreamCount": 2, "AudioStreams": None}, 1, None),
        ({"StreamCount": None, "AudioStreams": None}, 1, None),
        ({"StreamCount": 1, "VideoStreams": None}, 0, 1),
        ({"StreamCount": 2, "AudioStreams": None, "Subtitles": [{"CodecName": "ass"}]}, 1, 0),
        ({"StreamCount": None, "AudioStreams": []}, 1, 0),
    ],
)
def test_whether_it_is_certain_that_a_stream_is_missing(
    changes: dict[str, Any], video: int | None, audio: int | None
) -> None:
    info = parse({name: value for name, value in {**VIDEO, **changes}.items() if value is not None})
    found = [None if streams is None else len(streams) for streams in (info.video, info.audio)]
    assert found == [video, audio]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("90000/2999", Fraction(90000, 2999)),
        ("25/1", Fraction(25)),
        ("25", Fraction(25)),
        ("29.97", Fraction("29.97")),
        ("0/0", None),
        ("25/0", None),
        ("0/1", None),
        ("abc", None),
        ("1e9/1", None),
        ("9" * 30, None),
        (25, None),
        ("٢٥/1", None),
    ],
)
def test_a_frame_rate_is_a_fraction(text: Any, rate: Fraction | None) -> None:
    assert stream(CodecName="h264", AverageFrameRate=text).frame_rate == rate


@pytest.mark.parametrize(("text", "degrees"), [("90", 90), ("-90", 270), ("90.000000", 90), ("x", 0)])
def test_a_rotation(text: str, degrees: int) -> None:
    assert stream(CodecName="h264", Rotate=text).rotation == degrees


@pytest.mark.parametrize(
    "fields",
    [
        {"Width": "1280"},
        {"Width": True},
        {"Width": -2},
        {"Width": 1280.0},
        {"Width": 10**18},
        {"Duration": "8"},
        {"Duration": True},
        {"Duration": -1},
        {"Duration": float("inf")},
        {"Duration": float("nan")},
        {"CodecName": 5},
        {"Width": None},
    ],
)
def test_a_value_of_another_type_counts_as_absent(fields: dict[str, Any]) -> None:
    assert stream(**fields, FrameCount=3) == VideoStream(frames=3)


def test_texts_and_lists_have_a_limit() -> None:
    assert len(stream(CodecName="x" * 5000).codec) == 200
    assert stream(CodecName="a\n\x00b").codec == "ab"
    assert len(parse({"VideoStreams": [{"Width": 2}] * 5000}).video or ()) == 1000
    assert parse({"VideoStreams": [5, {"Width": 2}]}).video == (VideoStream(width=2),)


@pytest.mark.parametrize("kind", MEDIA_KINDS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b'{"format": {"duration": "8"}, "streams": []}',
        b"\xff",
        b"[" * 99_999,
        b'{"Size": ' + b"9" * 9_999 + b"}",
    ],
)
def test_what_is_no_such_answer(kind: Any, body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_media_info(kind, body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.sampled_from(
    sorted({*VIDEO, *IMAGE, *VIDEO["VideoStreams"][0], *VIDEO["AudioStreams"][0], "value"})
)


_OBJECTS = st.dictionaries(_FIELDS, _JSON, max_size=6)


@given(
    st.sampled_from(MEDIA_KINDS),
    st.dictionaries(_FIELDS, _JSON | st.lists(_OBJECTS, max_size=3) | _OBJECTS, max_size=6),
)
def test_nothing_but_a_value_error_comes_of_anything(kind: Any, data: Any) -> None:
    try:
        info = parse(data, kind)
    except ValueError:
        return
    assert info.duration is None or info.duration > 0
    assert info.size is None or 0 < info.size < 10**15
    assert all(video.frame_rate is None or video.frame_rate for video in info.video or ())


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a/b.mp4", "video"),
        ("a/b.MOV", "video"),
        ("a.b/c.mp3", "audio"),
        ("x.m4a", "audio"),
        ("x.jpeg", "image"),
        ("x.webp", "image"),
        ("x.pdf", None),
        ("mp4", None),
        ("a.mp4/b", None),
        ("x.", None),
    ],
)
def test_the_extension_tells_the_kind(key: str, kind: str | None) -> None:
    assert media_kind(key) == kind


# The client


@pytest.fixture
async def oss(wire: Wire) -> AsyncIterator[OSSClient]:
    async with quick_services(wire_settings(wire)) as services:
        yield services.oss


@pytest.mark.parametrize("kind", MEDIA_KINDS)
async def test_the_request(oss: OSSClient, wire: Wire, kind: Any) -> None:
    body = json.dumps(IMAGE if kind == "image" else VIDEO)
    wire.answer(200, body, ETag='"E"', x_oss_request_id="REQ")
    info = await oss.media_info("media", "in/a b.mp4", kind)
    assert (info.kind, info.etag) == (kind, "E")
    (request,) = wire.requests
    assert (request.method, request.path) == ("GET", "/media/in/a%20b.mp4")
    assert request.query["x-oss-process"] == [f"{kind}/info"]


@pytest.mark.parametrize(
    ("kind", "right"),
    [("video", "oss:ProcessImm and imm:DetectMediaMeta"), ("image", "Grant oss:GetObject to the caller")],
)
async def test_a_missing_right_is_named(oss: OSSClient, wire: Wire, kind: Any, right: str) -> None:
    wire.answer(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", x_oss_request_id="REQ")
    with pytest.raises(OSSServiceError, match=right) as caught:
        await oss.media_info("media", "a", kind)
    assert caught.value.action == f"{kind}/info"


async def test_an_answer_that_is_none(oss: OSSClient, wire: Wire) -> None:
    # Such as that of a server that does not know the operation and sends the object.
    wire.answer(200, b"\x00\x00\x00 ftypisom", x_oss_request_id="REQ")
    with pytest.raises(OSSUnavailableError, match="no usable answer to video/info") as caught:
        await oss.media_info("media", "a.mp4", "video")
    assert caught.value.__context__ is None
