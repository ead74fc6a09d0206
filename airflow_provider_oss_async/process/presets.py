"""Presets: named, versioned sets of arguments that expand to visible specifications.

A released version never changes: what is to be different becomes a new version beside it. The sizes are those
of OSS's built-in styles (640, 960, 1280, 1920, 2560 and 3840 px on the long side). Bit rates are published by
two other services of Alibaba Cloud, whose tables differ (:data:`PUBLISHED`); where neither has a size, the
value is this package's own, and the preset says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.audio import AudioConvert
from airflow_provider_oss_async.process.document import DocumentConvert
from airflow_provider_oss_async.process.frames import VideoAnimation, VideoSnapshots, VideoSprite
from airflow_provider_oss_async.process.text import plain, shown
from airflow_provider_oss_async.process.video import VideoConvert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_oss_async.process.specification import Specification

_MPS_PAGE = "https://www.alibabacloud.com/help/en/mps/preset-templates"
_IMS_PAGE = "https://www.alibabacloud.com/help/en/ims/developer-reference/preset-template-description"
_GUIDE = "https://www.alibabacloud.com/help/en/oss/user-guide"
_VP9_PAGE = "https://developers.google.com/media/vp9/settings/vod"
#: Copies of these pages had no date of their own.
_READ = "read 2026-11-25"
_MPS, _IMS, _VP9 = (f"{page} ({_READ})" for page in (_MPS_PAGE, _IMS_PAGE, _VP9_PAGE))
_SECOND_HAND = "second-hand: as other people's code has the style, which OSS shows in its console only"


class Published(NamedTuple):
    """A row of a table that is published for another service; bit rates are in kbit/s.

    :param service: ``MPS`` (ApsaraVideo Media Processing) or ``IMS`` (Intelligent Media Services).
    :param template: the service's name of the template.
    :param width: what the page calls the width of the result.
    """

    service: str
    template: str
    width: int
    video: int
    audio: int
    source: str


#: The tables of MPS (whose bit rates are maxima) and IMS for MP4.
PUBLISHED = (
    Published("MPS", "MP4-LD", 640, 400, 64, _MPS),
    Published("MPS", "MP4-SD", 848, 800, 80, _MPS),
    Published("MPS", "MP4-HD", 1280, 1800, 128, _MPS),
    Published("MPS", "MP4-FHD", 1920, 3000, 160, _MPS),
    Published("MPS", "MP4-2K", 2048, 3500, 160, _MPS),
    Published("MPS", "MP4-4K", 3840, 6000, 160, _MPS),
    Published("IMS", "MP4-H.264-480P", 480, 750, 64, _IMS),
    Published("IMS", "MP4-H.264-720P", 720, 1200, 64, _IMS),
    Published("IMS", "MP4-H.264-1080P", 1080, 2000, 64, _IMS),
    Published("IMS", "MP4-H.265-480P", 480, 500, 64, _IMS),
    Published("IMS", "MP4-H.265-720P", 720, 800, 64, _IMS),
    Published("IMS", "MP4-H.265-1080P", 1080, 1350, 64, _IMS),
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One version of a preset.

    :param name: its name.
    :param version: from 1.
    :param specification: class of the specification that it expands to.
    :param arguments: the arguments, all of them.
    :param fixed: arguments that its name promises, which cannot be overridden.
    :param meaning: what it is for.
    :param source: where the values come from: page and date, or that they are this package's own.
    """

    name: str
    version: int
    specification: type[Specification]
    arguments: Mapping[str, Any]
    fixed: tuple[str, ...]
    meaning: str
    source: str


#: Common to all renditions: never larger than the source, upright and turned videos alike, two channels,
#: keyframes at the same places in all renditions of one source.
_RENDITION = {
    "size_if_smaller": "keep_source",
    "fit": "fit",
    "adapt_orientation": True,
    "pixel_format": "yuv420p",
    "keyframe_interval": 50,
    "no_subtitles": True,
    "sample_rate": 48000,
    "channels": 2,
    "audio_bitrate_if_lower": "keep_source",
}
#: Lines of picture, width in px, most kbit/s of video with h264 and h265, kbit/s of audio, whose values.
_SIZES = (
    (360, 640, 400, 270, 64, f"bit rates of MPS's MP4-LD, {_MPS}"),
    (540, 960, 1000, 670, 96, f"bit rates are this package's own, between MPS's MP4-SD and MP4-HD, {_MPS}"),
    (720, 1280, 1800, 1200, 128, f"bit rates of MPS's MP4-HD, {_MPS}"),
    (1080, 1920, 3000, 2000, 160, f"bit rates of MPS's MP4-FHD, {_MPS}"),
    (
        1440,
        2560,
        4500,
        3000,
        160,
        f"bit rates are this package's own, between MPS's MP4-2K and MP4-4K, {_MPS}",
    ),
    (2160, 3840, 6000, 4000, 160, f"bit rates of MPS's MP4-4K, {_MPS}"),
)
#: What players of h265 have not is no rendition: below 720p devices without h265 are the rule.
_SMALLEST_H265 = 720


def _capped(kbit: int, crf: float) -> dict[str, Any]:
    """Return the arguments of constant quality with a maximum bit rate."""
    return {"crf": crf, "max_bitrate": kbit * 1000, "buffer_size": 2 * kbit * 1000}


def _renditions() -> Iterator[Preset]:
    identity = ("container", "video_codec", "width")
    for lines, width, h264, h265, audio, source in _SIZES:
        common = {
            "width": width,
            **_RENDITION,
            "audio_codec": "aac",
            "audio_bitrate": audio * 1000,
        }
        meaning = f"MP4 of at most {width} px on the long side"
        yield Preset(
            f"h264_{lines}p",
            1,
            VideoConvert,
            {"container": "mp4", "video_codec": "h264", **common, **_capped(h264, 23)},
            identity,
            meaning,
            source,
        )
        if lines >= _SMALLEST_H265:
            ratio = f"h265 at two thirds of h264, as in the table of IMS, {_IMS}"
            yield Preset(
                f"h265_{lines}p",
                1,
                VideoConvert,
                {"container": "mp4", "video_codec": "h265", **common, **_capped(h265, 28)},
                identity,
                meaning,
                f"{source}; {ratio}",
            )
        # Maxima of MPS's Narrowband HD 1.0 of the same widths.
        if narrow := {720: 1500, 1080: 3000}.get(lines):
            yield Preset(
                f"narrowband_{lines}p",
                1,
                VideoConvert,
                {
                    "container": "mp4",
                    "video_codec": "h264",
                    "narrowband_hd": True,
                    **common,
                    **_capped(narrow, 23),
                },
                (*identity, "narrowband_hd", "pixel_format"),
                f"{meaning}, with Narrowband HD: fewer bits at the same visual quality",
                f"maximum bit rate of MPS's Narrowband HD 1.0, {_MPS}; other values of h264_{lines}p",
            )
        if vp9 := {720: (1024, 32), 1080: (1800, 31)}.get(lines):
            target, crf = vp9
            yield Preset(
                f"webm_{lines}p",
                1,
                VideoConvert,
                {
                    "container": "webm",
                    "video_codec": "vp9",
                    **common,
                    "audio_codec": "opus",
                    **_capped(target * 3 // 2, crf),
                    # Advised there; keyframes cost more with vp9.
                    "keyframe_interval": 240,
                },
                identity,
                f"WebM (VP9 and Opus) of at most {width} px on the long side",
                f"quality, maximum (150 % of the target) and keyframes as Google advises, {_VP9}",
            )


def _others() -> Iterator[Preset]:
    own = "values are this package's own; arguments: "
    yield Preset(
        "audio_track",
        1,
        VideoConvert,
        {
            "container": "mp3",
            "audio_codec": "mp3",
            "sample_rate": 48000,
            "channels": 2,
            "audio_bitrate": 192_000,
            "audio_bitrate_if_lower": "keep_source",
        },
        ("container", "audio_codec"),
        "the sound of a video as MP3",
        f"{own}{_GUIDE}/video-transcoding (Dec 26 2025)",
    )
    yield Preset(
        "podcast_aac",
        1,
        AudioConvert,
        {"container": "aac", "sample_rate": 44100, "channels": 2, "audio_bitrate": 128_000},
        ("container",),
        "speech and music as AAC in stereo",
        f"{own}{_GUIDE}/audio-transcoding (May 28 2025)",
    )
    frames = f"{own}{_GUIDE}/video-frame-cutting (Sep 23 2025)"
    size = {"width": 640, "height": 360, "fit": "fit"}
    yield Preset(
        "snapshots_interval",
        1,
        VideoSnapshots,
        {"format": "jpg", "sampling": "inter", "interval": 10, **size},
        ("format", "sampling"),
        "a frame every ten seconds, within 640 x 360 px",
        frames,
    )
    yield Preset(
        "snapshots_scenes",
        1,
        VideoSnapshots,
        {"format": "jpg", "sampling": "dhash", "change_threshold": 20, "interval": 1, **size},
        ("format", "sampling"),
        "a frame where the picture changes, compared once a second, within 640 x 360 px",
        f"{frames}, which advises a threshold of at most 25",
    )
    yield Preset(
        "sprite_player",
        1,
        VideoSprite,
        {
            "format": "jpg",
            "sampling": "inter",
            "interval": 10,
            "tile_width": 160,
            "tile_height": 90,
            "fit": "fill",
            "columns": 10,
            "rows": 10,
            "padding": 0,
            "margin": 0,
        },
        ("format", "padding", "margin"),
        "sheets of 10 x 10 tiles of 160 x 90 px without gaps, one every ten seconds, for a player's seek bar",
        f"{own}{_GUIDE}/video-cut-sprite (Sep 23 2025), and IMM's for the layout",
    )
    for kind in ("gif", "webp"):
        yield Preset(
            f"preview_{kind}",
            1,
            VideoAnimation,
            {
                "format": kind,
                "count": 20,
                "interval": 2,
                "frame_rate": 4,
                "width": 320,
                "height": 180,
                "fit": "fit",
            },
            ("format",),
            "20 frames, one every two seconds, played in five seconds, within 320 x 180 px",
            f"{own}{_GUIDE}/convert-videos-to-animated-images (Jul 8 2025)",
        )
    for kind in ("png", "jpg"):
        yield Preset(
            f"pages_{kind}",
            1,
            DocumentConvert,
            {"target_format": kind},
            ("target_format",),
            "a picture of each page; the service has no argument for the resolution",
            f"{_GUIDE}/document-conversion (Nov 10 2025)",
        )


def _copies_of_styles() -> Iterator[Preset]:
    for lines, width, rate, crf, sound in (
        (360, 640, 25, 25, {"sample_rate": 44100, "channels": 2, "audio_bitrate": 64_000}),
        (540, 960, 25, 25, {"sample_rate": 44100, "channels": 2, "audio_bitrate": 96_000}),
        (720, 1280, 25, 26, {"sample_rate": 44100, "channels": 2, "audio_bitrate": 128_000}),
        (1080, 1920, 25, 26, {"sample_rate": 44100, "channels": 2, "audio_bitrate": 160_000}),
        (1440, 2560, 60, 26, {"sample_rate": 48000, "audio_bitrate": 320_000}),
        (2160, 3840, 60, 26, {"sample_rate": 48000, "audio_bitrate": 512_000}),
    ):
        arguments = {
            "container": "mp4",
            "video_codec": "h264",
            "frame_rate": rate,
            "frame_rate_if_lower": "keep_source",
            "width": width,
            "size_if_smaller": "keep_source",
            "fit": "fit",
            "adapt_orientation": True,
            "crf": crf,
            "keyframe_interval": 250,
            "audio_codec": "aac",
            **sound,
            "audio_bitrate_if_lower": "keep_source",
        }
        yield Preset(
            f"style_h264_mp4_{lines}p",
            1,
            VideoConvert,
            arguments,
            ("container", "video_codec", "width"),
            f"what the built-in style `::h264-mp4-{lines}p` is said to hold",
            _SECOND_HAND,
        )


#: Every preset: name -> version -> preset.
PRESETS: dict[str, dict[int, Preset]] = {}
for _preset in (*_renditions(), *_others(), *_copies_of_styles()):
    PRESETS.setdefault(_preset.name, {})[_preset.version] = _preset


def find_preset(name: str, version: int | None = None) -> Preset:
    """Return a preset as it stands in the table.

    :param name: one of :data:`PRESETS`.
    :param version: from 1. Default: the newest.
    :raises ProcessError: there is no such preset or version; names those that there are.
    """
    versions = PRESETS.get(name) if isinstance(name, str) else None
    if versions is None:
        raise ProcessError(f"preset {shown(name)} is not known: expected one of {', '.join(sorted(PRESETS))}")
    found = versions.get(max(versions) if version is None else version)
    if found is None:
        known = ", ".join(map(str, sorted(versions)))
        raise ProcessError(f"preset {name} has no version {shown(version)}: expected one of {known}")
    return found


def preset(
    name: str,
    *,
    version: int | None = None,
    extra_params: Mapping[str, str | float] | None = None,
    allow_ignored: bool = False,
    **overrides: Any,
) -> Specification:
    """Return the specification that a preset stands for.

    It goes wherever a specification goes: ``process=preset("h264_720p")`` of ``OSSAsyncProcessOperator`` and
    of the batch, whose rendered templates show every argument. ``**preset("h264_720p").values`` are the
    arguments alone, for the operator of one operation.

    :param name: such as ``h264_720p``; all are in the reference of the operators.
    :param version: pins the preset. Default: the newest version of this release.
    :param extra_params: as of a specification.
    :param allow_ignored: as of a specification.
    :param overrides: arguments that take the place of the preset's own, or are added to them; ``None`` takes
        one away. What the preset's name promises (its container, codec and width) cannot be overridden.
    :raises ProcessError: the preset is not known, or an override is unknown, contradicts it or is not
        allowed. Names all of them.
    """
    found = find_preset(name, version)
    kind = found.specification
    known = {field.name for field in kind.fields()}
    problems: list[str] = []
    if unknown := sorted(overrides.keys() - known):
        free = ", ".join(sorted(known - {*found.fixed}))
        problems.append(f"{', '.join(unknown)} is not an argument of {kind.__name__}: expected one of {free}")
    problems += [
        f"{argument}={shown(overrides[argument])} contradicts its {argument}={found.arguments[argument]!r}: "
        f"take another preset, or write {kind.__name__}(...)"
        for argument in found.fixed
        if argument in overrides and not _same(overrides[argument], found.arguments[argument])
    ]
    given = {**found.arguments, **{key: value for key, value in overrides.items() if key in known}}
    # A contradiction is named once.
    given.update({argument: found.arguments[argument] for argument in found.fixed})
    specification: Specification | None = None
    try:
        specification = kind(extra_params=extra_params, allow_ignored=allow_ignored, **given)
    except ProcessError as error:
        problems += error.problems or [str(error)]
        own = [argument for argument in found.arguments if argument not in {*found.fixed, *overrides}]
        hint = f"; an argument of the preset is taken away with None ({', '.join(own)})" if own else ""
        problems[-1] += hint
    if problems or specification is None:
        raise ProcessError(f"preset {name}: {'; '.join(problems)}", problems=problems)
    return specification


def _same(value: Any, fixed: Any) -> bool:
    """Whether a value means the same as a fixed one; text is understood as everywhere."""
    value = plain(value)
    if isinstance(fixed, bool):
        return str(value).lower() in (("true", "1") if fixed else ("false", "0"))
    return not isinstance(value, bool) and str(value) == str(fixed)
