"""Transcoding and merging of video and audio.

Where the service's behaviour is not documented, this is what is done here:

* A stream with codec ``copy`` is kept as it is and cut at keyframes. A container that cannot hold it fails
  the job.
* An audio-only container decides the codec where ``audio_codec`` is left at ``copy``: the stream is kept if
  it has that codec already and nothing is asked of it, else it is transcoded. ``audio/*`` always transcodes.
* ``audio_quality`` is spread evenly over the scale of the codec, or over bit rates where it has none.
* ``narrowband_hd`` is no more than a slower preset of the encoder.
* flac has 16 bits where ``bit_depth`` is not given, unless the source has more.
* Merged pieces are brought to the size of the ``align`` object with ``fit``; where that keeps the
  proportions, with bars. Pieces without audio are silent, subtitles are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.ffmpeg import (
    AudioStream,
    Media,
    VideoStream,
    fit_filter,
    probe,
    reading,
    run,
    target_size,
)
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.process.media import AUDIO_CONTAINERS, audio_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification

_MUXERS = {
    "mp4": "mp4", "mkv": "matroska", "mov": "mov", "asf": "asf", "avi": "avi", "mxf": "mxf", "ts": "mpegts",
    "flv": "flv", "webm": "webm", "mp3": "mp3", "aac": "adts", "flac": "flac", "oga": "oga", "ac3": "ac3",
    "opus": "opus", "amr": "amr",
}  # fmt: skip
_FASTSTART = {"mp4", "mov"}
_VIDEO_ENCODERS = {"h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9"}
_AUDIO_ENCODERS = {
    "mp3": "libmp3lame", "aac": "aac", "flac": "flac", "vorbis": "libvorbis", "ac3": "ac3", "opus": "libopus",
    "amr": "libopencore_amrnb", "pcm": "pcm_s16le",
}  # fmt: skip
#: The codec of an audio-only container, and what else it can hold as it is.
_AUDIO_OF = {name: name for name in AUDIO_CONTAINERS} | {"oga": "vorbis"}
_ALSO_HELD = {"oga": ("opus", "flac"), "amr": ("amr_nb", "amr_wb")}
_TEXT_SUBTITLES = {"mp4": "mov_text", "mov": "mov_text", "mkv": "srt", "webm": "webvtt"}
_AUDIO_ARGUMENTS = ("sample_rate", "channels", "audio_quality", "audio_bitrate", "bit_depth")
_LAYOUTS = ("", "mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True, slots=True)
class _VideoSettings:
    """How a video stream is made: the size and rate to bring it to where they change, and encoder options."""

    codec: str
    size: tuple[int, int] | None = None
    fps: float | None = None
    options: list[str] = field(default_factory=list)


def convert(spec: Specification, source: Path, workdir: Path) -> ProducedFile:
    """Transcode, remux or cut one file.

    :raises JobFailed: the file or the combination of codec and container does not allow it.
    """
    media = probe(source)
    container = _container(spec)
    start, duration = spec.get("start", 0), spec.get("duration", 0)
    _length(media, start, duration, "the object")
    only_audio = container in AUDIO_CONTAINERS
    arguments = reading(source, start, duration)
    kept = []
    if media.video and not only_audio and not spec.get("no_video"):
        kept.append("video")
        settings = _video_settings(spec, media.video, container)
        filters = [f"fps={settings.fps:g}"] if settings.fps else []
        if settings.size:
            filters.append(fit_filter(settings.size, spec.get("fit", "stretch")))
        arguments += [
            "-map",
            "0:V:0",
            *(["-filter:v", ",".join(filters)] if filters else []),
            *settings.options,
        ]
    if media.audio and not spec.get("no_audio"):
        kept.append("audio")
        codec = _audio_codec(spec, container, media.audio)
        arguments += ["-map", "0:a:0", *_audio_options(spec, codec, media.audio)]
        # Else a copy begins at the keyframe of the video before the start, even where there is no video.
        if not ("video" in kept and spec.get("video_codec", "copy") == "copy"):
            arguments += ["-copypriorss:a", "0"]
    if not kept:
        wanted = "audio" if only_audio else "video or audio"
        raise JobFailed("InvalidArgument", f"Nothing is left to write: the object has no {wanted} to keep")
    if media.subtitle and not spec.get("no_subtitles") and "video" in kept:
        arguments += _subtitle_options(media.subtitle, container)
    return _write(arguments, container, source, workdir)


def concat(spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path) -> ProducedFile:
    """Merge files: those before the source, the source, those after it.

    :raises JobFailed: a file lacks video (of a video) or all lack audio (of an audio), or the properties
        taken from the ``align`` object do not fit the format.
    """
    pieces: list[tuple[Path, dict[str, Any]]] = []
    for name in ("before", "", "after"):
        if name:
            pieces += [(segments[clip["object"]], clip) for clip in spec.get(name, ())]
        else:
            pieces.append((source, {k: spec.get(k, 0) for k in ("start", "duration")}))
    container = _container(spec)
    all_media = [probe(path) for path, _ in pieces]
    aligned = all_media[spec.get("align", 0)]
    arguments: list[str] = []
    lengths = []
    for number, ((path, clip), media) in enumerate(zip(pieces, all_media, strict=True), 1):
        start, duration = clip.get("start", 0), clip.get("duration", 0)
        lengths.append(_length(media, start, duration, f"object {number} of the merge"))
        arguments += reading(path, start, duration)
    graph: list[str] = []
    outputs: list[str] = []
    with_video = spec.operation == "video/concat" and container not in AUDIO_CONTAINERS
    if with_video:
        outputs += _merged_video(spec, container, all_media, aligned, graph)
    model = aligned.audio or next((media.audio for media in all_media if media.audio), None)
    with_audio = model is not None and not spec.get("no_audio")
    if model is not None and with_audio:
        outputs += _merged_audio(spec, container, all_media, lengths, model, graph)
    elif not with_video:
        raise JobFailed("InvalidArgument", "None of the objects has audio")
    kinds = "v" * with_video + "a" * with_audio
    inputs = "".join(f"[{kind}{number}]" for number in range(len(pieces)) for kind in kinds)
    ends = "".join(f"[{kind}]" for kind in kinds)
    graph.append(f"{inputs}concat=n={len(pieces)}:v={int(with_video)}:a={int(with_audio)}{ends}")
    arguments += ["-filter_complex", ";".join(graph), *outputs]
    return _write(arguments, container, source, workdir, *(path for path, _ in pieces))


def _merged_video(
    spec: Specification, container: str, all_media: list[Media], aligned: Media, graph: list[str]
) -> list[str]:
    """Add one chain per piece to the graph; return the options of the output."""
    for number, media in enumerate(all_media, 1):
        if media.video is None:
            raise JobFailed("InvalidArgument", f"Object {number} of the merge has no video")
    model = aligned.video
    assert model is not None  # noqa: S101
    settings = _video_settings(spec, model, container)
    fit = spec.get("fit", "stretch")
    # Pieces of another shape must have the same size in the end.
    shape = fit_filter(settings.size or _even(model), "fill" if fit == "fit" else fit)
    rate = settings.fps or model.fps or 25
    pixels = spec.get("pixel_format", model.pixel_format)
    chain = f"setpts=PTS-STARTPTS,fps={rate:g},{shape},format={pixels}"
    graph.extend(f"[{number}:V:0]{chain}[v{number}]" for number in range(len(all_media)))
    return ["-map", "[v]", *settings.options]


def _merged_audio(
    spec: Specification,
    container: str,
    all_media: list[Media],
    lengths: list[float | None],
    model: AudioStream,
    graph: list[str],
) -> list[str]:
    """Add one chain per piece to the graph; return the options of the output."""
    codec = spec.get("audio_codec") or _AUDIO_OF[container]
    rate, channels = spec.get("sample_rate", model.sample_rate), spec.get("channels", model.channels)
    for problem in audio_errors({"sample_rate": rate, "channels": channels}, codec):
        # Documented: a default that the format cannot hold makes the merge fail.
        raise JobFailed(
            "InvalidArgument", f"{problem}; it was taken from the align object unless it was given"
        )
    layout = _LAYOUTS[channels]
    same = f"aformat=sample_rates={rate}:channel_layouts={layout}"
    for number, (media, length) in enumerate(zip(all_media, lengths, strict=True)):
        if media.audio:
            graph.append(f"[{number}:a:0]asetpts=PTS-STARTPTS,{same}[a{number}]")
        elif length is None:
            raise JobFailed(
                "UnsupportedMedia", f"Object {number + 1} of the merge has no audio and no known length"
            )
        else:
            graph.append(f"anullsrc=r={rate}:cl={layout},atrim=duration={length:.3f},{same}[a{number}]")
    return ["-map", "[a]", *_audio_options(spec, codec, model)]


def _video_settings(spec: Specification, video: VideoStream, container: str) -> _VideoSettings:
    codec = spec.get("video_codec", "copy")
    if codec == "copy":
        return _VideoSettings(codec, options=["-c:v", "copy", *_tag(video.codec, container)])
    encoder = _VIDEO_ENCODERS.get(codec)
    if encoder is None:
        raise JobFailed(
            "InvalidArgument", f"video_codec={codec!r} is not known: expected {_names(_VIDEO_ENCODERS)}"
        )
    options = ["-c:v", encoder, *_tag(codec, container), "-g", str(spec.get("keyframe_interval", 150))]
    if codec == "vp9":
        options += ["-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1"]
        options += ["-auto-alt-ref", "0"] if spec.get("pixel_format") == "yuva420p" else []
    else:
        options += ["-preset", "slow" if spec.get("narrowband_hd") else "veryfast"]
        options += ["-x265-params", "log-level=error:pools=2"] if codec == "h265" else []
    if pixels := spec.get("pixel_format"):
        options += ["-pix_fmt", pixels]
    if bitrate := spec.get("video_bitrate"):
        if not _apply(spec, "video_bitrate", video.bitrate, bitrate):
            bitrate = video.bitrate
        options += ["-b:v", str(bitrate)]
    else:
        ceiling = spec.get("max_bitrate")
        options += ["-crf", f"{spec.get('crf', 23):g}"]
        options += ["-b:v", str(ceiling or 0)] if codec == "vp9" else []
        options += ["-maxrate", str(ceiling), "-bufsize", str(spec.get("buffer_size"))] if ceiling else []
    fps = spec.get("frame_rate")
    if fps and not _apply(spec, "frame_rate", video.fps, fps):
        fps = None
    width, height = spec.get("width"), spec.get("height")
    if spec.get("adapt_orientation") and video.height > video.width:
        width, height = height, width
    size = target_size(video, width, height, spec.get("fit", "stretch"), even=True)
    area = video.width * video.height
    if size and not _apply(spec, "size", area, size[0] * size[1]):
        size = None
    if size is None and codec != "vp9" and _even(video) != (video.width, video.height):
        size = _even(video)
    return _VideoSettings(codec, size, fps, options)


def _apply(spec: Specification, name: str, has: float, wanted: float) -> bool:
    """Return whether a target is applied, by the policy for sources that are below it."""
    policy = spec.get("size_if_smaller" if name == "size" else f"{name}_if_lower", "convert")
    # An unknown property of the source is no reason to keep or to fail.
    if not has or has >= wanted or policy == "convert":
        return True
    if policy == "fail":
        raise JobFailed(
            "InvalidArgument", f"The object's {name.replace('_', ' ')} ({has:g}) is below {wanted:g}"
        )
    return False


def _audio_codec(spec: Specification, container: str, audio: AudioStream) -> str:
    codec: str = spec.get("audio_codec", "copy")
    if codec != "copy" or container not in AUDIO_CONTAINERS:
        return codec
    native = _AUDIO_OF[container]
    fits = audio.codec in (native, *_ALSO_HELD.get(container, ()))
    untouched = not any(name in spec.values for name in _AUDIO_ARGUMENTS)
    return "copy" if spec.operation == "video/convert" and fits and untouched else native


def _audio_options(spec: Specification, codec: str, audio: AudioStream) -> list[str]:
    if codec == "copy":
        return ["-c:a", "copy"]
    encoder = _AUDIO_ENCODERS.get(codec)
    if encoder is None:
        raise JobFailed(
            "InvalidArgument", f"audio_codec={codec!r} is not known: expected {_names(_AUDIO_ENCODERS)}"
        )
    rate, channels, bitrate = spec.get("sample_rate"), spec.get("channels"), spec.get("audio_bitrate")
    options = ["-c:a", encoder]
    if codec == "amr":
        if rate not in (None, 8000):
            raise JobFailed(
                "InvalidArgument", "The local stand-in has no encoder for AMR-WB: use sample_rate 8000"
            )
        rate, channels = 8000, 1
    if codec == "flac":
        depth = spec.get("bit_depth") or (24 if audio.bit_depth > 16 else 16)
        options += ["-sample_fmt", "s16" if depth == 16 else "s32", "-bits_per_raw_sample", str(depth)]
    options += ["-ar", str(rate)] if rate else []
    options += ["-ac", str(channels)] if channels else []
    if bitrate:
        if not _apply(spec, "audio_bitrate", audio.bitrate, bitrate):
            bitrate = audio.bitrate
        options += ["-b:a", str(bitrate)]
    elif (quality := spec.get("audio_quality")) is not None:
        options += _quality(codec, quality)
    return options


def _quality(codec: str, quality: int) -> list[str]:
    scales = {"mp3": (9.0, 0.0), "aac": (0.1, 2.0), "vorbis": (0.0, 10.0)}
    if codec in scales:
        worst, best = scales[codec]
        return ["-q:a", f"{worst + (best - worst) * quality / 100:.2f}"]
    if codec in ("ac3", "opus"):
        return ["-b:a", str(32_000 + 2_240 * quality)]
    return []


def _subtitle_options(codec: str, container: str) -> list[str]:
    """Keep the first subtitles where the container can hold them; pictures cannot become text."""
    if container == "mkv" and codec != "mov_text":
        return ["-map", "0:s:0", "-c:s", "copy"]
    if container in _TEXT_SUBTITLES and codec in ("subrip", "mov_text", "webvtt", "ass", "ssa", "text"):
        return ["-map", "0:s:0", "-c:s", _TEXT_SUBTITLES[container]]
    return []


def _container(spec: Specification) -> str:
    container: str = spec.get("container")
    if container not in _MUXERS:
        raise JobFailed(
            "InvalidArgument", f"container={container!r} is not known: expected {_names(_MUXERS)}"
        )
    return container


def _length(media: Media, start: float, duration: float, name: str) -> float | None:
    """Return the length of a cut in seconds, ``None`` where the file's is not known."""
    if media.duration is None:
        return duration or None
    if start >= media.duration:
        raise JobFailed(
            "InvalidArgument", f"start={start:g} s is not inside {name}, which lasts {media.duration:g} s"
        )
    return min(duration or media.duration, media.duration - start)


def _tag(codec: str, container: str) -> list[str]:
    # Without it players of Apple do not know the stream.
    return ["-tag:v", "hvc1"] if codec in ("h265", "hevc") and container in _FASTSTART else []


def _even(video: VideoStream) -> tuple[int, int]:
    return video.width // 2 * 2, video.height // 2 * 2


def _names(known: Mapping[str, str]) -> str:
    return ", ".join(known)


def _write(arguments: list[str], container: str, source: Path, workdir: Path, *more: Path) -> ProducedFile:
    result = workdir / f"result.{container}"
    arguments += ["-movflags", "+faststart"] if container in _FASTSTART else []
    run(
        [*arguments, "-threads", "2", "-f", _MUXERS[container], str(result)], [source, result, workdir, *more]
    )
    if not result.stat().st_size:
        raise JobFailed("ProcessingFailed", "ffmpeg wrote nothing: the part to process holds no frames")
    return ProducedFile(result, extension=container)
