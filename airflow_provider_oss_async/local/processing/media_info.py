"""The synchronous operations ``video/info``, ``audio/info`` and ``image/info``: what a file holds.

In the documented shape: numbers as numbers and fractions as text for video and audio, all values as text for
images; values that are zero or empty are left out. Of each kind the first stream is described; its size is
that which is shown.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.result import JobFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Greatest image that is read, in bytes.
MAX_IMAGE = 20 * 1024 * 1024


def describe(kind: str, path: Path, *, max_image: int = MAX_IMAGE) -> dict[str, Any]:
    """Return what an operation answers.

    :param kind: ``video``, ``audio`` or ``image``.
    :param max_image: bytes of an image at most.
    :raises JobFailed: the file is none that the operation reads.
    """
    return _image(path, max_image) if kind == "image" else _media(path)


def _media(path: Path) -> dict[str, Any]:
    from airflow_provider_oss_async.local.processing.ffmpeg import probe, timelines

    media, times = probe(path), timelines(path)
    video: list[dict[str, Any]] = []
    audio: list[dict[str, Any]] = []
    if media.video:
        line = times.get("video")
        seconds = line.end - line.start if line else 0
        average = (
            Fraction(line.frames) / Fraction(seconds).limit_denominator(10**6) if seconds and line else 0
        )
        video.append(
            _without_zeros(
                CodecName=media.video.codec,
                Width=media.video.width,
                Height=media.video.height,
                FrameRate=_text(Fraction(media.video.fps).limit_denominator(1001)),
                AverageFrameRate=_text(Fraction(average).limit_denominator(10**6)),
                FrameCount=line.frames if line else 0,
                StartTime=line.start if line else 0,
                Duration=seconds,
                Bitrate=media.video.bitrate,
                PixelFormat=media.video.pixel_format,
            )
        )
    if media.audio:
        line = times.get("audio")
        audio.append(
            _without_zeros(
                Index=len(video),
                CodecName=media.audio.codec,
                SampleRate=media.audio.sample_rate,
                Channels=media.audio.channels,
                StartTime=line.start if line else 0,
                Duration=line.end - line.start if line else 0,
                Bitrate=media.audio.bitrate,
            )
        )
    subtitles = [{"Index": len(video) + len(audio), "CodecName": media.subtitle}] if media.subtitle else []
    return _without_zeros(
        FormatName=media.container,
        StreamCount=len(video) + len(audio) + len(subtitles),
        Size=path.stat().st_size,
        Bitrate=media.bitrate,
        Duration=media.duration or 0,
        VideoWidth=media.video.width if media.video else 0,
        VideoHeight=media.video.height if media.video else 0,
        VideoStreams=video,
        AudioStreams=audio,
        Subtitles=subtitles,
    )


def _image(path: Path, max_image: int) -> dict[str, Any]:
    from PIL import Image, UnidentifiedImageError

    if path.stat().st_size > max_image:
        raise JobFailed("ImageTooLarge", "The size of the image exceeds the limit.")
    try:
        with Image.open(path) as image:
            kind = (image.format or "").lower()
            found = {
                "FileSize": path.stat().st_size,
                "Format": {"jpeg": "jpg"}.get(kind, kind),
                "FrameCount": getattr(image, "n_frames", 1),
                "ImageHeight": image.height,
                "ImageWidth": image.width,
            }
    except (UnidentifiedImageError, OSError, ValueError):
        raise JobFailed("InvalidArgument", "The image is not valid or of an unsupported format.") from None
    return {name: {"value": str(value)} for name, value in found.items()}


def _text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}" if rate else ""


def _without_zeros(**values: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = {
        name: round(value, 6) if isinstance(value, float) else value for name, value in values.items()
    }
    # A whole number of seconds is written without a point.
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
        if value
    }
