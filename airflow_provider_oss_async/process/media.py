"""Arguments that video and audio operations share.

Sources: "Video transcoding" (https://www.alibabacloud.com/help/en/oss/user-guide/video-transcoding) and
"Audio transcoding" (https://www.alibabacloud.com/help/en/oss/user-guide/audio-transcoding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from annotated_types import Interval
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.clip import CLIPS_FORM, MAX_CLIPS, Clips
from airflow_provider_oss_async.process.field import Param, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Container(NamedTuple):
    """The codecs of which a container can hold a stream.

    :param video: video codecs; empty for a container of audio alone.
    :param audio: audio codecs.
    """

    video: tuple[str, ...]
    audio: tuple[str, ...]


VIDEO_CODECS = ("h264", "h265", "vp9")
AUDIO_CODECS = ("mp3", "aac", "flac", "vorbis", "ac3", "opus", "amr", "pcm")


def _all_but(codecs: tuple[str, ...], *missing: str) -> tuple[str, ...]:
    return tuple(codec for codec in codecs if codec not in missing)


#: The containers that the service has. It does not document what each can hold: a codec is listed where
#: ffmpeg can write it so that it can be read again, or where a documented sample has it (h265 in avi).
CONTAINERS = {
    "mp4": Container(VIDEO_CODECS, _all_but(AUDIO_CODECS, "amr")),
    "mkv": Container(VIDEO_CODECS, AUDIO_CODECS),
    "mov": Container(("h264", "h265"), _all_but(AUDIO_CODECS, "flac", "opus")),
    "asf": Container(("h264", "vp9"), _all_but(AUDIO_CODECS, "opus")),
    "avi": Container(VIDEO_CODECS, _all_but(AUDIO_CODECS, "opus")),
    "mxf": Container(("h264",), ("pcm",)),
    "ts": Container(("h264", "h265"), ("mp3", "aac", "ac3", "opus")),
    "flv": Container(VIDEO_CODECS, _all_but(AUDIO_CODECS, "vorbis", "amr", "pcm")),
    "webm": Container(("vp9",), ("vorbis", "opus")),
    "mp3": Container((), ("mp3",)),
    "aac": Container((), ("aac",)),
    "flac": Container((), ("flac",)),
    "oga": Container((), ("flac", "vorbis", "opus")),
    "ac3": Container((), ("ac3",)),
    "opus": Container((), ("opus",)),
    "amr": Container((), ("amr",)),
}
AUDIO_CONTAINERS = tuple(name for name, container in CONTAINERS.items() if not container.video)
FIT = ("stretch", "crop", "fill", "fit")
FIT_DOC = (
    "How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, "
    "fill adds black bars, fit keeps the shape inside the size."
)
#: What to do where the source is below the wanted value: readable value to wire digit.
IF_LOWER = (("convert", "0"), ("keep_source", "1"), ("fail", "2"))
SAMPLE_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
#: Sample rates and most channels of the formats that do not take all.
_RATES_BY_FORMAT = {
    "mp3": tuple(rate for rate in SAMPLE_RATES if rate <= 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
    "ac3": (32000, 44100, 48000),
    "amr": (8000, 16000),
}
_CHANNELS_BY_FORMAT = {"mp3": 2, "ac3": 6, "amr": 1}

Start = Annotated[Seconds, Param("ss", "Where to begin in the source.", default="the beginning", unit="s")]
Duration = Annotated[
    Seconds, Param("t", "How much to process; 0 means to the end.", default="to the end", unit="s")
]


class Clipping(TypedDict, total=False):
    """Which part of the source is processed."""

    start: Start
    duration: Duration


class AudioEncoding(TypedDict, total=False):
    """How the audio of the result is encoded."""

    sample_rate: Annotated[
        int,
        Interval(ge=SAMPLE_RATES[0], le=SAMPLE_RATES[-1]),
        Param(
            "ar",
            "Audio sample rate. mp3 up to 48000; opus 8000, 12000, 16000, 24000, 48000; "
            "ac3 32000, 44100, 48000; amr 8000, 16000.",
            default="the source's",
            unit="Hz",
        ),
    ]
    channels: Annotated[
        int,
        Interval(ge=1, le=8),
        Param("ac", "Audio channels. mp3 up to 2; ac3 up to 6; amr 1.", default="the source's"),
    ]
    audio_quality: Annotated[
        int,
        Interval(ge=0, le=100),
        Param("aq", "Audio quality, higher is better.", excludes=("audio_bitrate",)),
    ]
    audio_bitrate: Annotated[
        int, Interval(ge=1000, le=10_000_000), Param("ab", "Audio bit rate.", unit="bit/s")
    ]
    audio_bitrate_if_lower: Annotated[
        str,
        Param(
            "abopt",
            "What to do where the source's audio bit rate is below audio_bitrate.",
            default="convert",
            choices=IF_LOWER,
            needs=("audio_bitrate",),
        ),
    ]
    bit_depth: Annotated[
        int, Interval(ge=16, le=24), Param("adepth", "Audio bit depth, 16 or 24; flac only.", unit="bit")
    ]


Align = Annotated[
    int,
    Interval(ge=0, le=MAX_CLIPS),
    Param(
        "align",
        "Position, counted from 0 in play order, of the object whose properties the result has by default.",
        default="0",
    ),
]
Before = Annotated[
    Clips, Param("pre", "Objects that play before the source, in this order.", form=CLIPS_FORM)
]
After = Annotated[Clips, Param("sur", "Objects that play after the source, in this order.", form=CLIPS_FORM)]


def container_errors(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield codecs of which the container cannot hold a stream; what is not in the tables is not checked.

    :param values: validated arguments.
    """
    container = values["container"]
    holds = CONTAINERS.get(container)
    if holds is None:
        return
    for name, codecs, dropped, of_container in (
        ("video_codec", VIDEO_CODECS, values.get("no_video") or not holds.video, holds.video),
        ("audio_codec", AUDIO_CODECS, values.get("no_audio"), holds.audio),
    ):
        codec = values.get(name)
        if codec in codecs and codec not in of_container and not dropped:
            yield (
                f"{name}={codec!r} is not allowed with container={container!r}: it holds "
                f"{' or '.join(of_container)}"
            )


def audio_errors(values: Mapping[str, Any], audio_format: str) -> Iterator[str]:
    """Yield what an audio format cannot hold.

    :param values: validated arguments.
    :param audio_format: codec where one is given, else container; unknown ones are not checked.
    """
    rate = values.get("sample_rate")
    rates = _RATES_BY_FORMAT.get(audio_format, SAMPLE_RATES)
    if rate is not None and rate not in rates:
        yield f"sample_rate={rate} is not allowed with {audio_format}: expected one of {_list(rates)} Hz"
    channels = values.get("channels")
    most = _CHANNELS_BY_FORMAT.get(audio_format, 8)
    if channels is not None and channels > most:
        yield f"channels={channels} is not allowed with {audio_format}: expected 1 to {most}"
    depth = values.get("bit_depth")
    if depth is not None and depth not in (16, 24):
        yield f"bit_depth={depth} is not allowed: expected 16 or 24"
    elif depth is not None and audio_format != "flac":
        yield f"bit_depth={depth} is only allowed with flac"


def merge_errors(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the service refuses of a merge: too many objects, or an ``align`` beyond them."""
    others = len(values.get("before", ())) + len(values.get("after", ()))
    if others > MAX_CLIPS:
        yield f"before and after name {others} objects: expected 1 to {MAX_CLIPS} in all"
    elif others and values.get("align", 0) > others:
        yield f"align={values['align']} is not allowed: expected 0 to {others}, counted in play order"


def _list(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
