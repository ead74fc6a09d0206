"""What the output of a job must be, as far as the arguments of the job say it; the rest is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.media import AUDIO_CODECS, AUDIO_CONTAINERS, CONTAINERS, FIT
from airflow_provider_oss_async.process.operations import SPECIFICATIONS

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.grammar import Process
    from airflow_provider_oss_async.process.specification import Specification

#: Pixels by which a side may differ: codecs need even sides.
_ROUNDING = 2
#: Names under which a container may be listed, where they are not its own alone; one container has several.
_FORMAT_NAMES = {
    "mp4": ("mp4", "mov"),
    "mov": ("mov", "mp4"),
    "mkv": ("mkv", "matroska"),
    "webm": ("webm", "matroska"),
    "asf": ("asf", "wmv", "wma"),
    "ts": ("ts", "mpegts"),
    "aac": ("aac", "adts"),
    "oga": ("oga", "ogg"),
    "opus": ("opus", "ogg"),
    "jpg": ("jpg", "jpeg"),
}
#: Names of codecs where they are not the argument's.
_CODEC_NAMES = {"h265": ("h265", "hevc")}
_VIDEO_CODECS = ("h264", "h265", "vp9")


@dataclass(frozen=True, slots=True)
class ExpectedSize:
    """A size that was asked for.

    :param width: px (int), ``None`` where it is open.
    :param height: px (int), ``None`` where it is open.
    :param inside: whether it is the largest that keeps the shape inside of this.
    :param or_smaller: whether that of a smaller source is kept.
    :param turned: whether the sides may be exchanged.
    """

    width: int | None
    height: int | None
    inside: bool = False
    or_smaller: bool = False
    turned: bool = False

    def __str__(self) -> str:
        text = f"{self.width or 'any'} x {self.height or 'any'}"
        return f"{'inside of ' if self.inside else ''}{text}{' or smaller' if self.or_smaller else ''}"

    def fits(self, width: int, height: int) -> bool:
        """Whether a size is what was asked for."""
        return self._fits(width, height) or (self.turned and self._fits(height, width))

    def _fits(self, *found: int) -> bool:
        sides = [
            (asked, has)
            for asked, has in zip((self.width, self.height), found, strict=True)
            if asked is not None
        ]
        if self.or_smaller:
            # The service compares areas.
            if len(sides) == 2 and found[0] * found[1] <= sides[0][0] * sides[1][0]:
                return True
            if all(has <= asked + _ROUNDING for asked, has in sides):
                return True
        near = [abs(has - asked) <= _ROUNDING for asked, has in sides]
        if self.inside:
            return any(near) and all(has <= asked + _ROUNDING for asked, has in sides)
        return all(near)


@dataclass(frozen=True, slots=True)
class ExpectedVideo:
    """A video stream.

    :param codecs: names, see :func:`is_codec`; empty where it is open.
    :param size: ``None`` where it is open.
    :param frame_rate: frames per second (float), ``None`` where it is open.
    :param or_lower: whether a lower frame rate of the source is kept.
    """

    codecs: tuple[str, ...] = ()
    size: ExpectedSize | None = None
    frame_rate: float | None = None
    or_lower: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedAudio:
    """An audio stream.

    :param codecs: names, see :func:`is_codec`; empty where it is open.
    :param sample_rate: Hz (int), ``None`` where it is open.
    :param channels: (int), ``None`` where it is open.
    """

    codecs: tuple[str, ...] = ()
    sample_rate: int | None = None
    channels: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a source that is in the output.

    :param object: key of the object; empty for the source of the job.
    :param start: seconds (float).
    :param duration: seconds (float), 0 for all that follows.
    """

    object: str = ""
    start: float = 0.0
    duration: float = 0.0

    def length(self, total: float) -> float:
        """Return its length in seconds, of an object that lasts ``total`` seconds."""
        rest = max(0.0, total - self.start)
        return min(self.duration, rest) if self.duration else rest


@dataclass(frozen=True, slots=True)
class ExpectedFrames:
    """How many frames are taken.

    :param most: not more than this (int); 0 where it is open.
    :param spread: whether just so many are taken, if there are as many.
    :param interval: seconds (float) from one to the next; 0 where that does not decide.
    :param start: seconds (float).
    """

    most: int
    spread: bool
    interval: float
    start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutput:
    """An output, or each of several.

    :param kind: how it is inspected: ``video``, ``audio``, ``image``, ``pdf`` or ``text``.
    :param formats: names of the format, of which one must be there.
    :param video: ``None`` where there must be none.
    :param audio: ``None`` where there must be none.
    :param size: of images.
    :param parts: whose lengths add up to that of the output; empty where it is open.
    :param from_keyframe: whether the output may begin earlier than asked for, because frames are copied.
    :param frames: how many images there are; ``None`` where it is open.
    :param pages: how many images there are at most (int); ``None`` where it is open.
    :param numbered: whether ``{index}`` counts the outputs without a gap.
    """

    kind: Literal["video", "audio", "image", "pdf", "text"]
    formats: tuple[str, ...] = ()
    video: ExpectedVideo | None = None
    audio: ExpectedAudio | None = None
    size: ExpectedSize | None = None
    parts: tuple[Part, ...] = ()
    from_keyframe: bool = False
    frames: ExpectedFrames | None = None
    pages: int | None = None
    numbered: bool = False


def is_codec(found: str, asked: tuple[str, ...]) -> bool:
    """Whether a codec is one of those asked for: ``pcm_s16le`` is ``pcm``, ``amr_nb`` is ``amr``."""
    return any(found == name or found.startswith(f"{name}_") for name in asked)


def expected_output(process: Process) -> ExpectedOutput | None:
    """Return what the outputs of a process must be.

    :return: ``None`` where it writes none, or where only the service knows what it does, as with a style.
    """
    specification = SPECIFICATIONS.get(process.operation)
    if specification is None or not specification.writes_object:
        return None
    try:
        spec = specification.from_process(process)
    except ProcessError:
        # A process of another program, with values that this package does not know.
        return None
    reader = _READERS.get(process.operation.partition("/")[2])
    return reader(spec) if reader is not None else None


def _media(spec: Specification) -> ExpectedOutput:
    container: str = spec.get("container")
    merge = bool(spec.segment_fields)
    video = None if container in AUDIO_CONTAINERS or spec.get("no_video") else _video(spec)
    audio = None if spec.get("no_audio") else _audio(spec, container)
    cut = Part("", spec.get("start", 0.0), spec.get("duration", 0.0))
    parts: tuple[Part, ...] = ()
    if merge:
        before, after = (
            tuple(
                Part(clip["object"], clip.get("start", 0.0), clip.get("duration", 0.0))
                for clip in spec.get(name, ())
            )
            for name in ("before", "after")
        )
        parts = (*before, cut, *after)
    elif cut != Part():
        parts = (cut,)
    return ExpectedOutput(
        kind="audio" if video is None else "video",
        formats=_FORMAT_NAMES.get(container, (container,)),
        video=video,
        audio=audio,
        parts=parts,
        from_keyframe=video is not None and not merge and spec.get("video_codec", "copy") == "copy",
    )


def _video(spec: Specification) -> ExpectedVideo | None:
    if spec.operation.startswith("audio/"):
        return None
    codec = spec.get("video_codec", "copy")
    if codec == "copy":
        return ExpectedVideo()
    return ExpectedVideo(
        # What another codec is called is not known.
        _CODEC_NAMES.get(codec, (codec,)) if codec in _VIDEO_CODECS else (),
        _size(spec, or_smaller=spec.get("size_if_smaller") == "keep_source"),
        spec.get("frame_rate"),
        spec.get("frame_rate_if_lower") == "keep_source",
    )


def _audio(spec: Specification, container: str) -> ExpectedAudio:
    codec = spec.get("audio_codec", "copy")
    copied = codec == "copy" and container not in AUDIO_CONTAINERS
    codecs = CONTAINERS[container].audio if codec == "copy" and container in AUDIO_CONTAINERS else (codec,)
    known = not copied and all(name in AUDIO_CODECS for name in codecs)
    # Opus is always decoded at 48 kHz.
    fixed_rate = codecs == ("opus",) or copied
    return ExpectedAudio(
        codecs if known else (),
        None if fixed_rate else spec.get("sample_rate"),
        None if copied else spec.get("channels"),
    )


def _size(spec: Specification, *, or_smaller: bool = False) -> ExpectedSize | None:
    width, height, fit = spec.get("width"), spec.get("height"), spec.get("fit", "stretch")
    if (width is None and height is None) or fit not in FIT:
        return None
    return ExpectedSize(
        width, height, inside=fit == "fit", or_smaller=or_smaller, turned=bool(spec.get("adapt_orientation"))
    )


def _images(spec: Specification) -> ExpectedOutput:
    frames = None
    if spec.operation == "video/snapshots":
        sampling = spec.get("sampling", "inter")
        frames = ExpectedFrames(
            most=spec.get("count", 0),
            spread=sampling == "avg",
            interval=spec.get("interval", 0.0) if sampling == "inter" else 0.0,
            start=spec.get("start", 0.0),
        )
    name: str = spec.get("format")
    return ExpectedOutput(
        kind="image",
        formats=_FORMAT_NAMES.get(name, (name,)),
        # Where the gaps and the border of a sheet are is not documented.
        size=None if spec.operation == "video/sprite" else _size(spec),
        frames=frames,
        numbered=spec.operation != "video/animation",
    )


def _document(spec: Specification) -> ExpectedOutput:
    name: str = spec.get("target_format")
    if name == "pdf":
        return ExpectedOutput(kind="pdf")
    if name == "txt":
        return ExpectedOutput(kind="text")
    pages = None
    if "pages" in spec.values:
        ranges = [part.partition("-") for part in spec.get("pages").split(",")]
        pages = sum(int(last or first) - int(first) + 1 for first, _, last in ranges)
    # Whether numbers are those of the pages or of the outputs is not documented.
    return ExpectedOutput(
        kind="image", formats=_FORMAT_NAMES.get(name, (name,)), pages=pages, numbered=pages is None
    )


_READERS = {
    "convert": lambda spec: _document(spec) if spec.operation == "doc/convert" else _media(spec),
    "concat": _media,
    "animation": _images,
    "snapshots": _images,
    "sprite": _images,
}
