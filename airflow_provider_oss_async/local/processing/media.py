"""Transcoding and merging of video and audio.

Where the service's behaviour is not documented, this is what is done here:

* A stream with codec ``copy`` is kept as it is. Where a cut does not begin at a keyframe, video is encoded
  anew in its own codec, so that cuts are exact; a codec without an encoder here fails the job.
* An audio-only container decides the codec where ``audio_codec`` is left at ``copy``: the stream is kept if
  it has that codec already and nothing is asked of it, else it is transcoded. ``audio/*`` always transcodes.
* ``audio_quality`` is spread evenly over the scale of the codec, or over bit rates where it has none.
* ``narrowband_hd`` is no more than a slower preset of the encoder.
* flac has 16 bits where ``bit_depth`` is not given, unless the source has more.
* Merged pieces are brought to the size of the ``align`` object with ``fit``; where that keeps the
  proportions, with bars. Pieces without audio are silent, subtitles are dropped.
* Text subtitles are cut with the video, as SubRip without styles.

Every result is read back and compared with what was asked for, for ffmpeg drops streams and times without
an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.ffmpeg import (
    AudioStream,
    Media,
    Timeline,
    VideoStream,
    fit_filter,
    probe,
    reading,
    run,
    target_size,
    timelines,
    trim_filter,
)
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.process.media import AUDIO_CONTAINERS, audio_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification

#: ffmpeg's muxers and demuxers of the containers.
_MUXERS = {
    "mp4": "mp4", "mkv": "matroska", "mov": "mov", "asf": "asf", "avi": "avi", "mxf": "mxf", "ts": "mpegts",
    "flv": "flv", "webm": "webm", "mp3": "mp3", "aac": "adts", "flac": "flac", "oga": "oga", "ac3": "ac3",
    "opus": "opus", "amr": "amr",
}  # fmt: skip
_DEMUXERS = {**_MUXERS, "aac": "aac", "oga": "ogg", "opus": "ogg"}
#: Demuxers that find a keyframe by its time.
_SEEKABLE = ("mov", "matroska")
_FASTSTART = {"mp4", "mov"}
_VIDEO_ENCODERS = {"h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9"}
#: As ffmpeg names codecs.
_CODEC_NAMES = {"h265": "hevc", "amr": "amr_nb", "pcm": "pcm_s16le"}
_OWN_CODECS = {"h264": "h264", "hevc": "h265", "vp9": "vp9"}
_AUDIO_ENCODERS = {
    "mp3": "libmp3lame", "aac": "aac", "flac": "flac", "vorbis": "libvorbis", "ac3": "ac3", "opus": "libopus",
    "amr": "libopencore_amrnb", "pcm": "pcm_s16le",
}  # fmt: skip
#: The codec of an audio-only container, and what else it can hold as it is.
_AUDIO_OF = {name: name for name in AUDIO_CONTAINERS} | {"oga": "vorbis"}
_ALSO_HELD = {"oga": ("opus", "flac"), "amr": ("amr_nb", "amr_wb")}
_TEXT_SUBTITLES = {"mp4": "mov_text", "mov": "mov_text", "mkv": "srt", "webm": "webvtt"}
_SUBTITLE_TIMES = re.compile(r"(\d+:\d\d:\d\d,\d+) --> (\d+:\d\d:\d\d,\d+)")
#: How much a stream of a result may begin or end too early or too late, in seconds: codecs add some packets.
_TOLERANCE = 0.15
_AUDIO_ARGUMENTS = ("sample_rate", "channels", "audio_quality", "audio_bitrate", "bit_depth")
_LAYOUTS = ("", "mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True, slots=True)
class _VideoSettings:
    """How a video stream is made: the size and rate to bring it to where they change, and encoder options."""

    codec: str
    size: tuple[int, int] | None = None
    fps: float | None = None
    options: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a stream of the result must be.

    :param codec: as ffmpeg names it.
    :param start: seconds from the beginning of the result to the first frame.
    :param end: seconds from the beginning of the result to the end of the last frame.
    :param size: width and height as displayed, px; ``None``: not compared.
    :param fps: frames per second; 0: not compared.
    :param sample_rate: Hz; 0: not compared.
    :param channels: number of channels; 0: not compared.
    """

    codec: str
    start: float
    end: float
    size: tuple[int, int] | None = None
    fps: float = 0
    sample_rate: int = 0
    channels: int = 0


def convert(spec: Specification, source: Path, workdir: Path) -> ProducedFile:
    """Transcode, remux or cut one file.

    :raises JobFailed: the file or the combination of codec and container does not allow it.
    """
    media, times = probe(source), timelines(source)
    container = _container(spec)
    start, duration = spec.get("start", 0), spec.get("duration", 0)
    _length(times, start, duration, "the object")
    expected: dict[str, Expected] = {}
    outputs: list[str] = []
    seek = 0.0
    if media.video and container not in AUDIO_CONTAINERS and not spec.get("no_video"):
        begin, end = _part(times, "video", start, duration)
        if end <= begin:
            raise JobFailed("InvalidArgument", f"The object has no video from start={start:g} s on")
        settings = _video_settings(spec, media.video, container)
        if settings.codec == "copy" and start:
            # Half a frame, but at least the precision of Matroska.
            precision = max(0.001, 0.5 / (media.video.fps or 25))
            near = [time for time in times["video"].keyframes if abs(time - start) < precision]
            if near and media.container.split(",")[0] in _SEEKABLE:
                seek = near[0] + 0.001
            else:
                settings = _encode_anew(media.video, container)
        filters = [f"fps={settings.fps:g}"] if settings.fps else []
        if settings.size:
            filters.append(fit_filter(settings.size, spec.get("fit", "stretch")))
        outputs += [
            "-map",
            "0:V:0",
            *(["-filter:v", ",".join(filters)] if filters else []),
            *settings.options,
        ]
        expected["video"] = _expected_video(settings, media.video, begin, end)
    if media.audio and not spec.get("no_audio"):
        begin, end = _part(times, "audio", start, duration)
        # The audio may end before the part that is kept.
        if end > begin:
            codec = _audio_codec(spec, container, media.audio)
            options = _audio_options(spec, codec, media.audio)
            # A copy would begin at the keyframe of the video before the start.
            outputs += ["-map", "0:a:0", *options, *(["-copypriorss:a", "0"] if seek else [])]
            expected["audio"] = _expected_audio(spec, codec, media.audio, begin, end)
    if not expected:
        wanted = "audio" if container in AUDIO_CONTAINERS else "video or audio"
        raise JobFailed("InvalidArgument", f"Nothing is left to write: the object has no {wanted} to keep")
    subtitles: Path | None = None
    if media.subtitle and not spec.get("no_subtitles") and "video" in expected:
        codec, kept = _subtitle_codec(media.subtitle, container, cut=bool(start or duration))
        if codec and kept:
            outputs += ["-map", "0:s:0", "-c:s", codec]
        elif codec:
            subtitles = _cut_subtitles(source, workdir, start, duration)
        if codec and (kept or subtitles):
            expected["subtitle"] = Expected(codec, 0, 0)
    cut_options = ["-ss", f"{start:.3f}"] if start and not seek else []
    cut_options += ["-t", f"{duration:.3f}"] if duration else []
    arguments = [*reading(source, seek=seek), *outputs, *cut_options]
    if subtitles:
        # In a run of its own: ffmpeg does not move the times of subtitles with a cut of the output.
        part = workdir / f"part.{container}"
        run([*arguments, "-f", _MUXERS[container], str(part)], [source, part, workdir])
        codec = expected["subtitle"].codec
        arguments = [*reading(part), "-f", "srt", "-i", str(subtitles)]
        arguments += ["-map", "0:V", "-map", "0:a?", "-map", "1:s", "-c", "copy", "-c:s", codec]
    return _write(arguments, container, expected, source, workdir)


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
    cuts = []
    for number, (path, clip) in enumerate(pieces, 1):
        start, duration = clip.get("start", 0), clip.get("duration", 0)
        length = _length(timelines(path), start, duration, f"object {number} of the merge")
        cuts.append((start, length))
        arguments += reading(path)
    graph: list[str] = []
    outputs: list[str] = []
    expected: dict[str, Expected] = {}
    total = sum(length for _, length in cuts)
    if spec.operation == "video/concat" and container not in AUDIO_CONTAINERS:
        expected["video"] = _merged_video(spec, container, all_media, cuts, aligned, graph, outputs, total)
    model = aligned.audio or next((media.audio for media in all_media if media.audio), None)
    if model is not None and not spec.get("no_audio"):
        expected["audio"] = _merged_audio(spec, container, all_media, cuts, model, graph, outputs, total)
    if not expected:
        raise JobFailed("InvalidArgument", "None of the objects has audio")
    kinds = [kind[0] for kind in expected]
    inputs = "".join(f"[{kind}{number}]" for number in range(len(pieces)) for kind in kinds)
    ends = "".join(f"[{kind}]" for kind in kinds)
    graph.append(f"{inputs}concat=n={len(pieces)}:v={kinds.count('v')}:a={kinds.count('a')}{ends}")
    arguments += ["-filter_complex", ";".join(graph), *outputs]
    return _write(arguments, container, expected, source, workdir, *(path for path, _ in pieces))


def _part(times: Mapping[str, Timeline], kind: str, start: float, duration: float) -> tuple[float, float]:
    """Return when a stream of the source begins and ends in a cut, in seconds since the cut's beginning."""
    if kind not in times:
        raise JobFailed("UnsupportedMedia", f"The object's {kind} stream has no frames")
    end = times[kind].end - start
    return max(0.0, times[kind].start - start), min(end, duration) if duration else end


def _expected_video(settings: _VideoSettings, video: VideoStream, start: float, end: float) -> Expected:
    codec = video.codec if settings.codec == "copy" else _CODEC_NAMES.get(settings.codec, settings.codec)
    size = settings.size or (video.width, video.height)
    return Expected(codec, start, end, size=size, fps=settings.fps or 0)


def _expected_audio(
    spec: Specification, codec: str, audio: AudioStream, start: float, end: float
) -> Expected:
    if codec == "copy":
        return Expected(audio.codec, start, end)
    # Opus is always decoded at 48 kHz.
    rate = 0 if codec in ("opus", "amr") else spec.get("sample_rate", 0)
    channels = 0 if codec == "amr" else spec.get("channels", 0)
    return Expected(_CODEC_NAMES.get(codec, codec), start, end, sample_rate=rate, channels=channels)


def _merged_video(
    spec: Specification,
    container: str,
    all_media: list[Media],
    cuts: list[tuple[float, float]],
    aligned: Media,
    graph: list[str],
    outputs: list[str],
    total: float,
) -> Expected:
    """Add one chain per piece to the graph, and the options of the output; return what is to be expected."""
    for number, media in enumerate(all_media, 1):
        if media.video is None:
            raise JobFailed("InvalidArgument", f"Object {number} of the merge has no video")
    model = aligned.video
    assert model is not None  # noqa: S101
    settings = _video_settings(spec, model, container)
    fit = spec.get("fit", "stretch")
    size = settings.size or _even(model)
    # Pieces of another shape must have the same size in the end.
    shape = fit_filter(size, "fill" if fit == "fit" else fit)
    rate = settings.fps or model.fps or 25
    pixels = spec.get("pixel_format", model.pixel_format)
    for number, (start, length) in enumerate(cuts):
        chain = f"{trim_filter('video', start, length)},fps={rate:g},{shape},format={pixels}"
        graph.append(f"[{number}:V:0]{chain}[v{number}]")
    outputs += ["-map", "[v]", *settings.options]
    return Expected(_CODEC_NAMES.get(settings.codec, settings.codec), 0, total, size=size, fps=rate)


def _merged_audio(
    spec: Specification,
    container: str,
    all_media: list[Media],
    cuts: list[tuple[float, float]],
    model: AudioStream,
    graph: list[str],
    outputs: list[str],
    total: float,
) -> Expected:
    """Add one chain per piece to the graph, and the options of the output; return what is to be expected."""
    codec = spec.get("audio_codec") or _AUDIO_OF[container]
    rate, channels = spec.get("sample_rate", model.sample_rate), spec.get("channels", model.channels)
    for problem in audio_errors({"sample_rate": rate, "channels": channels}, codec):
        # Documented: a default that the format cannot hold makes the merge fail.
        raise JobFailed(
            "InvalidArgument", f"{problem}; it was taken from the align object unless it was given"
        )
    layout = _LAYOUTS[channels]
    same = f"aformat=sample_rates={rate}:channel_layouts={layout}"
    for number, (media, (start, length)) in enumerate(zip(all_media, cuts, strict=True)):
        if media.audio:
            graph.append(f"[{number}:a:0]{trim_filter('audio', start, length)},{same}[a{number}]")
        else:
            graph.append(f"anullsrc=r={rate}:cl={layout},atrim=duration={length:.3f},{same}[a{number}]")
    outputs += ["-map", "[a]", *_audio_options(spec, codec, model)]
    return _expected_audio(spec, codec, model, 0, total)


def _encode_anew(video: VideoStream, container: str) -> _VideoSettings:
    """Return the settings for a copied stream that must be cut between two keyframes."""
    codec = _OWN_CODECS.get(video.codec)
    if codec is None:
        raise JobFailed(
            "InvalidArgument",
            f"Copied {video.codec} video cannot be cut between two keyframes: give video_codec",
        )
    options = ["-c:v", _VIDEO_ENCODERS[codec], *_tag(codec, container), "-crf", "18", *_speed(codec)]
    # Encoders for 4:2:0 need even sides.
    size = _even(video)
    return _VideoSettings(codec, size if size != (video.width, video.height) else None, options=options)


def _speed(codec: str, preset: str = "veryfast") -> list[str]:
    if codec == "vp9":
        return ["-b:v", "0", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1"]
    return ["-preset", preset, *(["-x265-params", "log-level=error:pools=2"] if codec == "h265" else [])]


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
    options += _speed(codec, "slow" if spec.get("narrowband_hd") else "veryfast")
    # VP9 with transparency has no reference frames that are not shown.
    options += ["-auto-alt-ref", "0"] if spec.get("pixel_format") == "yuva420p" else []
    if pixels := spec.get("pixel_format"):
        options += ["-pix_fmt", pixels]
    if bitrate := spec.get("video_bitrate"):
        if not _apply(spec, "video_bitrate", video.bitrate, bitrate):
            bitrate = video.bitrate
        options += ["-b:v", str(bitrate)]
    else:
        most = spec.get("max_bitrate")
        options += ["-crf", f"{spec.get('crf', 23):g}"]
        options += ["-b:v", str(most or 0)] if codec == "vp9" else []
        options += ["-maxrate", str(most), "-bufsize", str(spec.get("buffer_size"))] if most else []
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


def _subtitle_codec(codec: str, container: str, *, cut: bool) -> tuple[str, bool]:
    """Return the codec of the subtitles in the result, and whether the source's are taken unchanged.

    The codec is empty where the container cannot hold them: pictures cannot become text.
    """
    is_text = codec in ("subrip", "mov_text", "webvtt", "ass", "ssa", "text")
    if container == "mkv" and codec != "mov_text" and not (cut and is_text):
        # The packets of pictures have no end that could be cut.
        return ("", True) if cut else ("copy", True)
    return (_TEXT_SUBTITLES.get(container, ""), not cut) if is_text else ("", True)


def _cut_subtitles(source: Path, workdir: Path, start: float, duration: float) -> Path | None:
    """Write the texts that are shown within a cut, as SubRip; ``None`` for none."""
    given, target = workdir / "subtitles.srt", workdir / "cut.srt"
    run([*reading(source), "-map", "0:s:0", "-f", "srt", str(given)], [source, given, workdir])
    entries: list[str] = []
    for block in given.read_text(encoding="utf-8").strip().split("\n\n"):
        found = _SUBTITLE_TIMES.search(block)
        if not found:
            continue
        begin, end = (_seconds(found[side]) - start for side in (1, 2))
        begin, end = max(begin, 0), min(end, duration) if duration else end
        if end > begin:
            entries.append(
                f"{len(entries) + 1}\n{_clock(begin)} --> {_clock(end)}\n{block[found.end() :].strip()}\n"
            )
    target.write_text("\n".join(entries), encoding="utf-8")
    return target if entries else None


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _clock(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def _container(spec: Specification) -> str:
    container: str = spec.get("container")
    if container not in _MUXERS:
        raise JobFailed(
            "InvalidArgument", f"container={container!r} is not known: expected {_names(_MUXERS)}"
        )
    return container


def _length(times: Mapping[str, Timeline], start: float, duration: float, name: str) -> float:
    """Return the length of a cut, in seconds."""
    end = max((timeline.end for timeline in times.values()), default=0.0)
    if start >= end:
        raise JobFailed("InvalidArgument", f"start={start:g} s is not inside {name}, which lasts {end:g} s")
    return min(duration or end, end - start)


def _tag(codec: str, container: str) -> list[str]:
    # Without it players of Apple do not know the stream.
    return ["-tag:v", "hvc1"] if codec in ("h265", "hevc") and container in _FASTSTART else []


def _even(video: VideoStream) -> tuple[int, int]:
    return video.width // 2 * 2, video.height // 2 * 2


def _names(known: Mapping[str, str]) -> str:
    return ", ".join(known)


def _write(
    arguments: list[str],
    container: str,
    expected: Mapping[str, Expected],
    source: Path,
    workdir: Path,
    *more: Path,
) -> ProducedFile:
    result = workdir / f"result.{container}"
    arguments += ["-movflags", "+faststart"] if container in _FASTSTART else []
    run(
        [*arguments, "-threads", "2", "-f", _MUXERS[container], str(result)], [source, result, workdir, *more]
    )
    if not result.stat().st_size:
        raise JobFailed("ProcessingFailed", "ffmpeg wrote nothing: the part to process holds no frames")
    check_result(result, container, expected)
    return ProducedFile(result, extension=container)


def check_result(result: Path, container: str, expected: Mapping[str, Expected]) -> None:
    """Compare a result with what was asked for.

    :param result: the file.
    :param container: its container.
    :param expected: its streams, by ``video``, ``audio`` and ``subtitle``; of a subtitle only the presence is
        compared.
    :raises JobFailed: it is something else.
    """
    try:
        media, times = probe(result), timelines(result)
    except JobFailed as error:
        raise JobFailed("ProcessingFailed", f"The result cannot be read back: {error.message}") from error
    if _DEMUXERS[container] not in media.container.split(","):
        raise _wrong(f"it is {media.container}, not {container}")
    for kind, stream in (("video", media.video), ("audio", media.audio)):
        wanted = expected.get(kind)
        if wanted is None:
            if stream is not None:
                raise _wrong(f"it has {kind} that was not asked for")
            continue
        if stream is None or kind not in times:
            raise _wrong(f"it has no {kind}: the container {container} may be unable to hold {wanted.codec}")
        if stream.codec != wanted.codec:
            raise _wrong(f"its {kind} is {stream.codec}, not {wanted.codec}")
        # A frame is the shortest that can be kept or cut.
        frame = 2 / stream.fps if isinstance(stream, VideoStream) and stream.fps else 0
        for word, has, wants in (
            ("begins", times[kind].start, wanted.start), ("ends", times[kind].end, wanted.end),
        ):  # fmt: skip
            if abs(has - wants) > _TOLERANCE + frame:
                raise _wrong(f"its {kind} {word} at {has:.2f} s, not at {wants:.2f} s")
    if "subtitle" in expected and media.subtitle is None:
        raise _wrong("it has no subtitles")
    if media.video and (wanted := expected["video"]):
        has_size = media.video.width, media.video.height
        # Pixels that are not square are rounded.
        if wanted.size and max(abs(a - b) for a, b in zip(has_size, wanted.size, strict=True)) > 2:
            raise _wrong("its size is {} x {}, not {} x {}".format(*has_size, *wanted.size))
        if wanted.fps and media.video.fps and abs(media.video.fps / wanted.fps - 1) > 0.05:
            raise _wrong(f"it has {media.video.fps:g} frames per second, not {wanted.fps:g}")
    if media.audio and (wanted := expected["audio"]):
        for name, has, wants in (
            ("sample rate", media.audio.sample_rate, wanted.sample_rate),
            ("number of channels", media.audio.channels, wanted.channels),
        ):
            if wants and has != wants:
                raise _wrong(f"the {name} of its audio is {has}, not {wants}")


def _wrong(reason: str) -> JobFailed:
    return JobFailed("ProcessingFailed", f"The result is not what was asked for: {reason}")
