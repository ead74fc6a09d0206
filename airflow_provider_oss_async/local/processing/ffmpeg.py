"""Running the ffmpeg of the ``imageio-ffmpeg`` wheel, and reading its descriptions of files."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import imageio_ffmpeg

from airflow_provider_oss_async.local.processing.result import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

#: How long one run may take, in seconds.
TIME_LIMIT = 600.0
#: The demuxers that may read an object. Left out is everything that opens further files or addresses (HLS and
#: DASH playlists, concat scripts, image sequences) and everything that takes any text for a video (tty, ...).
_FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,eac3,flac,flv,matroska,mp3,mp4,mov,mpc,mpc8,mpeg,mpegts,mpegvideo,"
    "h264,hevc,mxf,nsv,ogg,rm,swf,tta,vc1,wav,webm,wv"
)
_READ = ("-protocol_whitelist", "file", "-format_whitelist", _FORMATS, "-threads", "2")
#: Beginnings of the messages that follow every failure and do not tell its cause.
_NOISE = (
    "Task finished with",
    "Terminating thread",
    "Nothing was written",
    "Conversion failed",
    "Error opening output",
)
_HEAD = ("-nostdin", "-hide_banner", "-y", "-loglevel", "error")


@dataclass(frozen=True, slots=True)
class VideoStream:
    """The first video stream of a file.

    :param codec: as ffmpeg names it: ``h264``, ``hevc``, ``vp9``.
    :param width: width as displayed, with the rotation and the shape of the pixels applied, px.
    :param height: height as displayed, px.
    :param fps: frames per second; 0 where the file does not say.
    :param pixel_format: such as ``yuv420p``.
    :param bitrate: bit/s, estimated from the file's where the stream does not say; 0 where unknown.
    """

    codec: str
    width: int
    height: int
    fps: float
    pixel_format: str
    bitrate: int


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The first audio stream of a file.

    :param codec: as ffmpeg names it: ``aac``, ``mp3``, ``pcm_s16le``.
    :param sample_rate: Hz.
    :param channels: number of channels.
    :param sample_format: such as ``fltp``.
    :param bitrate: bit/s; 0 where unknown.
    :param bit_depth: bits of a sample where the file says so; else 0.
    """

    codec: str
    sample_rate: int
    channels: int
    sample_format: str
    bitrate: int
    bit_depth: int


@dataclass(frozen=True, slots=True)
class Media:
    """What a file holds.

    :param container: the names of ffmpeg's demuxer: ``mov,mp4,m4a,3gp,3g2,mj2``.
    :param duration: seconds; ``None`` where unknown.
    :param bitrate: bit/s of the whole file; 0 where unknown.
    :param video: first video stream, covers of audio files left out.
    :param audio: first audio stream.
    :param subtitle: codec of the first subtitle stream; ``None`` for none.
    """

    container: str
    duration: float | None
    bitrate: int
    video: VideoStream | None
    audio: AudioStream | None
    subtitle: str | None


def run(arguments: Sequence[str], paths: Iterable[Path] = (), *, limit: float = TIME_LIMIT) -> bytes:
    """Run ffmpeg.

    :param arguments: everything after the general options.
    :param paths: local files and directories, to be kept out of messages.
    :param limit: seconds.
    :return: standard output.
    :raises JobFailed: ffmpeg fails, or takes too long.
    """
    done = _call([*_HEAD, *arguments], limit)
    if done.returncode:
        raise _failure(done, paths)
    return done.stdout


def reading(path: Path, *, seek: float = 0) -> list[str]:
    """Return the arguments that open a file.

    :param seek: where to begin, in seconds. ffmpeg finds this position exactly in Matroska and MP4 files
        only; in others the cut must be made behind the decoder.
    """
    return [*_READ, *(["-ss", f"{seek:.3f}"] if seek else []), "-i", f"file:{path}"]


def trim_filter(kind: str, start: float, duration: float = 0) -> str:
    """Return the filters that keep a part of a stream, whose time then begins at 0.

    :param kind: ``video`` or ``audio``.
    :param start: seconds.
    :param duration: seconds; 0: to the end.
    """
    letter = "" if kind == "video" else "a"
    given = [f"start={start:.3f}"] if start else []
    given += [f"duration={duration:.3f}"] if duration else []
    cut = f"{letter}trim={':'.join(given)}," if given else ""
    return f"{cut}{letter}setpts=PTS-STARTPTS"


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the frames of a stream are shown, in seconds since the beginning of the file.

    :param start: beginning of the first frame.
    :param end: end of the last one.
    :param keyframes: beginnings of the keyframes.
    :param frames: number of frames.
    """

    start: float
    end: float
    keyframes: tuple[float, ...]
    frames: int = 0


def timelines(path: Path) -> dict[str, Timeline]:
    """Return the timelines of the first video and the first audio stream, by ``video`` and ``audio``.

    Nothing is decoded. A stream without a frame is left out.

    :raises JobFailed: it is no media file.
    """
    streams = ["-map", "0:V:0?", "-map", "0:a:0?", "-c", "copy"]
    text = run([*reading(path), *streams, "-f", "framecrc", "-"], [path]).decode(errors="replace")
    bases = {m[1]: Fraction(m[2]) for m in re.finditer(r"^#tb (\d+): (\d+/\d+)$", text, re.M)}
    kinds = dict(re.findall(r"^#media_type (\d+): (\w+)$", text, re.M))
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for frame in re.finditer(r"^(\d+), *(-?\d+), *(-?\d+), *(\d+), .*$", text, re.M):
        stream, decoded, shown, length = frame.groups()
        # A stream without times of presentation is shown as it is decoded.
        begin = int(shown) if int(shown) > -(2**62) else int(decoded)
        found.setdefault(stream, []).append((begin, begin + int(length), ", F=0x" not in frame[0]))
    return {
        kinds[stream]: Timeline(
            float(min(begin for begin, _, _ in frames) * bases[stream]),
            float(max(end for _, end, _ in frames) * bases[stream]),
            tuple(float(begin * bases[stream]) for begin, _, is_key in frames if is_key),
            len(frames),
        )
        for stream, frames in found.items()
    }


def probe(path: Path) -> Media:
    """Describe a media file.

    :raises JobFailed: it is not one, or of a format that is not read here.
    """
    done = _call(["-nostdin", "-hide_banner", *reading(path)], 60)
    text = done.stderr.decode(errors="replace")
    head = re.search(r"^Input #0, (\S+), from ", text, re.M)
    if not head:
        raise _failure(done, [path])
    text = text[head.start() :]
    span = re.search(r"Duration: (\d+):(\d\d):(\d\d\.\d+)", text)
    duration = int(span[1]) * 3600 + int(span[2]) * 60 + float(span[3]) if span else None
    total = _rate(re.search(r"Duration:.*bitrate: (\d+) (k?)b/s", text))
    # A stream's block reaches to the next stream; side data below it tells the rotation.
    blocks = re.split(r"^  Stream #0:", text, flags=re.M)[1:]
    audio = next((_audio(block) for block in blocks if ": Audio: " in block.split("\n", 1)[0]), None)
    left = max(0, total - (audio.bitrate if audio else 0))
    found = (
        _video(block, left) for block in blocks if ": Video: " in block and "(attached pic)" not in block
    )
    subtitle = re.search(r": Subtitle: (\w+)", text)
    return Media(head[1], duration, total, next(found, None), audio, subtitle[1] if subtitle else None)


def fit_filter(size: tuple[int, int], fit: str) -> str:
    """Return the filters that bring a frame to a size.

    :param size: width and height in px, as :func:`target_size` returns them.
    :param fit: ``stretch``, ``crop`` (cover, cut the rest), ``fill`` (black bars) or ``fit`` (the
        size already keeps the proportions).
    :raises JobFailed: an unknown way.
    """
    w, h = size
    scale = f"scale={w}:{h}:flags=bicubic"
    keep = f"{scale}:force_original_aspect_ratio"
    # The shape of the pixels must be settled before proportions are kept.
    square = "scale=iw*sar:ih,setsar=1"
    ways = {
        "stretch": f"{scale},setsar=1",
        "fit": f"{scale},setsar=1",
        "crop": f"{square},{keep}=increase,crop={w}:{h}",
        "fill": f"{square},{keep}=decrease,pad={w}:{h}:-1:-1:color=black,setsar=1",
    }
    if fit not in ways:
        raise JobFailed("InvalidArgument", f"fit={fit!r} is not known: expected stretch, crop, fill or fit")
    return ways[fit]


def target_size(
    video: VideoStream, width: int | None, height: int | None, fit: str, *, even: bool
) -> tuple[int, int] | None:
    """Return the size of the result in px, ``None`` where no side is given.

    One side given alone keeps the proportions (documented for ``s_640x`` and for the synchronous
    ``video/snapshot``); so does ``fit``.

    :param even: round to even numbers, as the codecs of videos need.
    """
    if not width and not height:
        return None
    ratio = video.width / video.height
    if not height or (fit == "fit" and width and ratio > width / height):
        assert width  # noqa: S101
        size: tuple[float, float] = (width, width / ratio)
    elif not width or fit == "fit":
        size = (height * ratio, height)
    else:
        size = (width, height)
    step = 2 if even else 1
    w, h = (max(step, round(side / step) * step) for side in size)
    return w, h


def _call(arguments: list[str], limit: float) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), *arguments]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise JobFailed("Timeout", f"ffmpeg did not finish within {limit:g} s") from None


def _failure(done: subprocess.CompletedProcess[bytes], paths: Iterable[Path]) -> JobFailed:
    text = done.stderr.decode(errors="replace")
    # Directories after the files in them.
    for path in sorted(map(str, paths), key=len, reverse=True):
        text = text.replace(f"file:{path}", "the file").replace(path, "the file")
    text = re.sub(r"\[[^\[\]]+ @ 0x[0-9a-f]+\] ", "", text)
    lines = dict.fromkeys(line.strip() for line in text.splitlines() if line.strip())
    telling = [line for line in lines if not line.startswith(_NOISE)] or list(lines)
    reason = "; ".join(telling[-3:])[-500:] or f"it ended with status {done.returncode}"
    if "not on whitelist" in text:
        reason = "playlists, scripts, texts and images are not read as media"
    elif opening := re.search(r"Error opening input files?: (.+)", text):
        reason = opening[1]
    if "Error opening input" in text or "not on whitelist" in text:
        return JobFailed("UnsupportedMedia", f"The object cannot be read as video or audio: {reason}")
    return JobFailed("ProcessingFailed", f"ffmpeg failed: {reason}")


def _bare(block: str) -> str:
    """Return a stream's line without what ffmpeg adds in brackets, at most two deep."""
    line = block.split("\n", 1)[0]
    for _ in range(2):
        line = re.sub(r"\s*[\[(][^\[\]()]*[\])]", "", line)
    return line


def _rate(match: re.Match[str] | None) -> int:
    return int(match[1]) * (1000 if match[2] else 1) if match else 0


def _video(block: str, default_bitrate: int) -> VideoStream:
    line = _bare(block)
    codec, *fields = line.partition(": Video: ")[2].split(", ")
    size = re.search(r", (\d+)x(\d+)", line)
    rate = re.search(r", ([\d.]+)(k?) (?:fps|tbr)", line)
    sar = re.search(r"SAR (\d+):(\d+)", block)
    width, height = (int(size[1]), int(size[2])) if size else (0, 0)
    if not width or not height:
        raise JobFailed("UnsupportedMedia", "The object's video stream has no picture size")
    if sar and int(sar[1]) and int(sar[2]):
        width = round(width * Fraction(int(sar[1]), int(sar[2])))
    turn = re.search(r"rotation of (-?[\d.]+) degrees", block)
    if turn and round(float(turn[1]) / 90) % 2:
        width, height = height, width
    bitrate = _rate(re.search(r", (\d+) (k?)b/s", line)) or default_bitrate
    fps = float(rate[1]) * (1000 if rate[2] else 1) if rate else 0.0
    return VideoStream(codec.strip(), width, height, fps, fields[0].strip() if fields else "", bitrate)


def _audio(block: str) -> AudioStream:
    line = _bare(block)
    codec, *fields = (field.strip() for field in line.partition(": Audio: ")[2].split(", "))
    rate = re.search(r", (\d+) Hz", line)
    depth = re.search(r"\((\d+) bit\)", block.split("\n", 1)[0])
    layout = fields[1] if len(fields) > 1 else "mono"
    known = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8}
    count = re.match(r"(\d+) channels", layout)
    # 5.1 has six.
    named = known.get(layout) or sum(map(int, re.findall(r"\d", layout))) or 2
    channels = int(count[1]) if count else named
    return AudioStream(
        codec,
        int(rate[1]) if rate else 0,
        channels,
        fields[2] if len(fields) > 2 else "",
        _rate(re.search(r", (\d+) (k?)b/s", line)),
        int(depth[1]) if depth else 0,
    )
