"""What OSS says of a media file: the answers of ``video/info``, ``audio/info`` and ``image/info``.

Sources: "Video information extraction"
(https://www.alibabacloud.com/help/en/oss/user-guide/video-information-extraction), "Audio information
extraction" (https://www.alibabacloud.com/help/en/oss/user-guide/audio-information-extraction), "Query image
information" (https://www.alibabacloud.com/help/en/oss/user-guide/query-image-information-1), and IMM's
``DetectMediaMeta``. The service leaves out values that are zero or empty, so what is absent is not known.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_oss_async.process.media import AUDIO_CONTAINERS, CONTAINERS

if TYPE_CHECKING:
    from collections.abc import Mapping

MediaKind = Literal["video", "audio", "image"]
MEDIA_KINDS: tuple[MediaKind, ...] = get_args(MediaKind)

#: Extensions that tell what a file is.
_EXTENSIONS: dict[MediaKind, frozenset[str]] = {
    "image": frozenset({"jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "heic"}),
    "audio": frozenset({*AUDIO_CONTAINERS, "aif", "aiff", "ape", "m4a", "mp2", "ogg", "wav", "wma"}),
    "video": frozenset(
        {name for name in CONTAINERS if name not in AUDIO_CONTAINERS}
        | {"3gp", "m2ts", "m3u8", "m4v", "mpeg", "mpg", "mts", "ogv", "rm", "rmvb", "vob", "wmv"}
    ),
}
#: Streams of a kind that are read at most, characters of a text, and the largest number.
_MAX_STREAMS = 1000
_MAX_TEXT = 200
_MAX_NUMBER = 10**15


@dataclass(frozen=True, slots=True)
class VideoStream:
    """A video stream; a cover picture of an audio file may count as one. ``None``: not known.

    :param codec: such as ``h264``, ``hevc``, ``vp9`` (str); empty where not known.
    :param width: px (int).
    :param height: px (int).
    :param frame_rate: average frames per second (:class:`~fractions.Fraction`).
    :param frames: number of frames (int).
    :param duration: seconds (float).
    :param bitrate: bit/s (int).
    :param pixel_format: such as ``yuv420p`` (str); empty where not known.
    :param rotation: degrees by which it is turned when it is shown (int); 0 where not known.
    """

    codec: str = ""
    width: int | None = None
    height: int | None = None
    frame_rate: Fraction | None = None
    frames: int | None = None
    duration: float | None = None
    bitrate: int | None = None
    pixel_format: str = ""
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class AudioStream:
    """An audio stream. ``None``: not known.

    :param codec: such as ``aac``, ``mp3``, ``pcm_s16le`` (str); empty where not known.
    :param sample_rate: Hz (int).
    :param channels: number of channels (int).
    :param duration: seconds (float).
    :param bitrate: bit/s (int).
    """

    codec: str = ""
    sample_rate: int | None = None
    channels: int | None = None
    duration: float | None = None
    bitrate: int | None = None


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image. ``None``: not known.

    :param format: such as ``jpg``, ``png``, ``gif``, ``webp`` (str), lower case; empty where not known.
    :param width: px (int).
    :param height: px (int).
    :param frames: number of frames (int), more than 1 for an animation.
    """

    format: str = ""
    width: int | None = None
    height: int | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What OSS says of a media file. ``None`` and empty: not known.

    :param kind: which of the three was asked: ``video``, ``audio`` or ``image``.
    :param formats: names of the container (set of str), lower case: ``{"mov", "mp4", "m4a", ...}``. One
        container has several names, so test for membership.
    :param duration: seconds (float).
    :param size: bytes (int).
    :param bitrate: bit/s of the whole (int).
    :param video: the video streams, covers included; ``()`` where it is certain that there is none.
    :param audio: the audio streams; ``()`` where it is certain that there is none.
    :param image: of ``image/info`` only.
    :param etag: entity tag of the version that was inspected (str), without quotes.
    :param modified: when that was written, in epoch seconds (float); 0 where not known.
    """

    kind: MediaKind
    formats: frozenset[str] = frozenset()
    duration: float | None = None
    size: int | None = None
    bitrate: int | None = None
    video: tuple[VideoStream, ...] | None = None
    audio: tuple[AudioStream, ...] | None = None
    image: ImageInfo | None = None
    etag: str = ""
    modified: float = 0.0


def media_kind(key: str) -> MediaKind | None:
    """Return what an object is by the extension of its key, ``None`` where that does not tell it."""
    stem, _, extension = key.rpartition("/")[2].rpartition(".")
    return next((kind for kind in MEDIA_KINDS if stem and extension.lower() in _EXTENSIONS[kind]), None)


def parse_media_info(kind: MediaKind, body: bytes, etag: str = "") -> MediaInfo:
    """Read an answer of ``video/info``, ``audio/info`` or ``image/info``.

    :param body: JSON in the form that the pages above describe. A field of another type counts as absent.
    :param etag: the answer's header of that name.
    :raises ValueError: it is no JSON object, or has none of the fields of such an answer.
    """
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"{kind}/info is not a JSON object")
    info = _image(data, etag) if kind == "image" else _media(kind, data, etag)
    if info == MediaInfo(kind, etag=info.etag, image=ImageInfo() if kind == "image" else None):
        raise ValueError(f"{kind}/info has none of its fields")
    return info


def _media(kind: MediaKind, data: Mapping[str, Any], etag: str) -> MediaInfo:
    lists = {name: _list(data.get(name)) for name in ("VideoStreams", "AudioStreams", "Subtitles")}
    # An empty list is left out as other empty values are; the number of streams tells whether one is missing.
    listed = sum(len(streams or ()) for streams in lists.values())
    complete = _whole(data.get("StreamCount")) == listed
    video, audio = (
        () if lists[name] is None and complete else lists[name] for name in ("VideoStreams", "AudioStreams")
    )
    return MediaInfo(
        kind,
        formats=frozenset(
            name.strip() for name in _text(data.get("FormatName")).lower().split(",") if name.strip()
        ),
        duration=_number(data.get("Duration")),
        size=_whole(data.get("Size")),
        bitrate=_whole(data.get("Bitrate")),
        video=None if video is None else tuple(map(_video, video)),
        audio=None if audio is None else tuple(map(_audio, audio)),
        etag=etag.strip('"')[:_MAX_TEXT],
    )


def _video(stream: Mapping[str, Any]) -> VideoStream:
    rotation = _fraction(stream.get("Rotate"))
    return VideoStream(
        codec=_text(stream.get("CodecName")).lower(),
        width=_whole(stream.get("Width")),
        height=_whole(stream.get("Height")),
        frame_rate=_fraction(stream.get("AverageFrameRate")) or None,
        frames=_whole(stream.get("FrameCount")),
        duration=_number(stream.get("Duration")),
        bitrate=_whole(stream.get("Bitrate")),
        pixel_format=_text(stream.get("PixelFormat")).lower(),
        rotation=round(rotation) % 360 if rotation is not None else 0,
    )


def _audio(stream: Mapping[str, Any]) -> AudioStream:
    return AudioStream(
        codec=_text(stream.get("CodecName")).lower(),
        sample_rate=_whole(stream.get("SampleRate")),
        channels=_whole(stream.get("Channels")),
        duration=_number(stream.get("Duration")),
        bitrate=_whole(stream.get("Bitrate")),
    )


def _image(data: Mapping[str, Any], etag: str) -> MediaInfo:
    """Read values of the form ``{"value": "text"}``."""
    texts = {name: _text(entry.get("value")) for name, entry in data.items() if isinstance(entry, dict)}
    # Numbers are text here.
    numbers = {
        name: int(text) for name, text in texts.items() if re.fullmatch("[0-9]{1,15}", text) and int(text)
    }
    return MediaInfo(
        "image",
        size=numbers.get("FileSize"),
        image=ImageInfo(
            format=texts.get("Format", "").lower(),
            width=numbers.get("ImageWidth"),
            height=numbers.get("ImageHeight"),
            frames=numbers.get("FrameCount"),
        ),
        etag=etag.strip('"')[:_MAX_TEXT],
    )


def _list(value: object) -> list[Mapping[str, Any]] | None:
    if not isinstance(value, list):
        return None
    return [item for item in value[:_MAX_STREAMS] if isinstance(item, dict)]


def _text(value: object) -> str:
    text = value[:_MAX_TEXT] if isinstance(value, str) else ""
    return re.sub(r"[\x00-\x1f\x7f]", "", text.encode("utf-8", "replace").decode())


def _whole(value: object) -> int | None:
    """Return a whole number above 0, ``None`` for anything else."""
    return value if type(value) is int and 0 < value < _MAX_NUMBER else None


def _number(value: object) -> float | None:
    """Return a number above 0, ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < _MAX_NUMBER and math.isfinite(value) else None


def _fraction(value: object) -> Fraction | None:
    """Return a number that is written as text, ``25/1`` or ``25``; ``None`` for anything else."""
    found = re.fullmatch(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?)(?:/([0-9]{1,15}))?", _text(value))
    if found is None or (found[2] and not int(found[2])):
        return None
    return Fraction(found[1]) / int(found[2] or 1)
