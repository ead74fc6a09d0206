"""Frames of a video: snapshots, sprite sheets and animations.

Where the service's behaviour is not documented, this is what is done here: ``interval`` counts only with
sampling ``inter``; ``avg`` divides the time from ``start`` to the end into ``count`` equal parts and takes
the first frame of each; ``dhash`` takes the first frame and every one whose difference hash of 8 x 8 bits
differs from that of the last one taken in more than ``change_threshold`` per cent of the bits; a width or
height given alone keeps the proportions. Cells of a sheet without a frame are black.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from airflow_provider_oss_async.local.processing.ffmpeg import (
    Media,
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification

#: Documented limit of a sheet's sides, in px.
SHEET_LIMIT = 16_384
_ENCODERS = {
    "jpg": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "2"],
    "png": ["-c:v", "png"],
}
_HASH_SIDE = 8


def snapshots(spec: Specification, source: Path, workdir: Path) -> list[ProducedFile]:
    """Take frames as images.

    :raises JobFailed: no video, or no frame after ``start``.
    """
    video = _video(probe(source))
    form = _known(spec.get("format"), *_ENCODERS)
    size = _size(spec, video, "width", "height")
    paths = _take(spec, source, workdir, size, _ENCODERS[form], form)
    return [ProducedFile(path, index, extension=form) for index, path in enumerate(paths, 1)]


def sprite(spec: Specification, source: Path, workdir: Path) -> list[ProducedFile]:
    """Take frames and lay them out on as many sheets as they need.

    :raises JobFailed: no video, no frame after ``start``, or a sheet beyond the service's limit.
    """
    video = _video(probe(source))
    form = _known(spec.get("format"), *_ENCODERS)
    columns, rows = spec.get("columns", 6), spec.get("rows", 6)
    gap, margin = spec.get("padding", 2), spec.get("margin", 2)
    width, height = _size(spec, video, "tile_width", "tile_height") or (video.width, video.height)

    sheet_size = (
        columns * width + (columns - 1) * gap + 2 * margin,
        rows * height + (rows - 1) * gap + 2 * margin,
    )
    if max(sheet_size) > SHEET_LIMIT:
        size = "{} x {}".format(*sheet_size)
        raise JobFailed("InvalidArgument", f"A sheet of {size} px is more than {SHEET_LIMIT} on a side")
    tiles = _take(spec, source, workdir, (width, height), _ENCODERS["png"], "png")
    cells = columns * rows
    sheets = []
    for number, first in enumerate(range(0, len(tiles), cells), 1):
        sheet = Image.new("RGB", sheet_size)
        for place, tile in enumerate(tiles[first : first + cells]):
            row, column = divmod(place, columns)
            with Image.open(tile) as picture:
                sheet.paste(picture, (margin + column * (width + gap), margin + row * (height + gap)))
        path = workdir / f"sheet-{number}.{form}"
        sheet.save(path, quality=90)
        sheets.append(ProducedFile(path, number, extension=form))
    return sheets


def animation(spec: Specification, source: Path, workdir: Path) -> list[ProducedFile]:
    """Make an animated GIF or WebP that repeats for ever.

    :raises JobFailed: no video, or no frame after ``start``.
    """
    video = _video(probe(source))
    form = _known(spec.get("format"), "gif", "webp")
    interval, start = spec.get("interval", 0), spec.get("start", 0)
    _length_from(source, start)
    own = video.fps or 25
    rate = spec.get("frame_rate") or (min(own, 1 / interval) if interval else own)
    filters = [trim_filter("video", start), _by_interval(interval)]
    if count := spec.get("count"):
        filters.append(f"trim=end_frame={count}")
    filters.append(f"settb=AVTB,setpts=N/({rate:g}*TB),fps={rate:g}")
    size = _size(spec, video, "width", "height")
    if size:
        filters.append(fit_filter(size, spec.get("fit", "stretch")))
    chain = ",".join(filters)
    if form == "gif":
        graph = f"[0:V:0]{chain},split[a][b];[a]palettegen[p];[b][p]paletteuse[v]"
        encoder = ["-c:v", "gif"]
    else:
        graph = f"[0:V:0]{chain}[v]"
        encoder = ["-c:v", "libwebp_anim", "-quality", "75"]
    result = workdir / f"result.{form}"
    options = ["-filter_complex", graph, "-map", "[v]", *encoder, "-threads", "2", "-loop", "0", "-f", form]
    run([*reading(source), *options, str(result)], [source, result, workdir])
    check_picture(result, size)
    return [ProducedFile(result, extension=form)]


OPERATIONS = {"video/snapshots": snapshots, "video/sprite": sprite, "video/animation": animation}


def _take(
    spec: Specification,
    source: Path,
    workdir: Path,
    size: tuple[int, int] | None,
    encoder: list[str],
    form: str,
) -> list[Path]:
    start, count = spec.get("start", 0), spec.get("count", 0)
    chain = [trim_filter("video", start), _sampling(spec, source, _length_from(source, start))]
    if size:
        chain.append(fit_filter(size, spec.get("fit", "stretch")))
    # In a file: the list of frames that dhash has chosen can be too long for an argument.
    graph = workdir / "filters.txt"
    graph.write_text(",".join(chain))
    folder = workdir / "frames"
    folder.mkdir(exist_ok=True)
    options = [
        "-map",
        "0:V:0",
        "-/filter:v",
        str(graph),
        "-fps_mode",
        "passthrough",
        *encoder,
        "-threads",
        "2",
    ]
    options += ["-frames:v", str(count)] if count else []
    pattern = folder / f"frame-%07d.{form}"
    run([*reading(source), *options, "-f", "image2", str(pattern)], [source, pattern, folder, workdir])
    paths = sorted(folder.iterdir())
    if not paths:
        raise JobFailed("ProcessingFailed", "No frame was found from start to the end of the object")
    for path in paths:
        check_picture(path, size)
    return paths


def check_picture(path: Path, size: tuple[int, int] | None) -> None:
    """Compare a picture with what was asked for.

    :param size: width and height in px; ``None``: not compared.
    :raises JobFailed: it is damaged, or of another size.
    """
    try:
        with Image.open(path) as picture:
            has = picture.size
            picture.verify()
    except (OSError, SyntaxError) as error:
        raise JobFailed("ProcessingFailed", "The result is not a picture that can be read back") from error
    if size and has != size:
        wrong = "{} x {}, not {} x {}".format(*has, *size)
        raise JobFailed("ProcessingFailed", f"The result is not what was asked for: its size is {wrong}")


def _sampling(spec: Specification, source: Path, length: float) -> str:
    sampling = _known(spec.get("sampling", "inter"), "inter", "key", "avg", "dhash")
    start = spec.get("start", 0)
    if sampling == "key":
        return "select=key"
    if sampling == "avg":
        return _by_interval(length / spec.get("count"))
    if sampling == "dhash":
        chosen = _changes(source, start, spec.get("change_threshold", 0), spec.get("count", 0))
        return f"select='{_is_one_of(chosen)}'"
    return _by_interval(spec.get("interval", 0))


def _by_interval(interval: float) -> str:
    """Return the filters that take the first frame of every interval; 0 takes every frame."""
    if not interval:
        return "null"
    # Half a millisecond against times that are rounded down.
    place = f"floor(({{}}+0.0005)/{interval:.6f})"
    first, last = place.format("t"), place.format("prev_selected_t")
    return f"select='isnan(prev_selected_t)+gt({first},{last})'"


def _is_one_of(numbers: list[int]) -> str:
    """Return an expression for a frame's number being in a list; a search tree, for its depth is limited."""
    if len(numbers) == 1:
        return f"eq(n,{numbers[0]})"
    middle = len(numbers) // 2
    halves = (_is_one_of(half) for half in (numbers[:middle], numbers[middle:]))
    return f"if(lt(n,{numbers[middle]}),{','.join(halves)})"


def _changes(source: Path, start: float, threshold: int, count: int) -> list[int]:
    """Return the numbers of the frames at which the picture has changed."""
    width, height = _HASH_SIDE + 1, _HASH_SIDE
    filters = [
        "-map",
        "0:V:0",
        "-vf",
        f"{trim_filter('video', start)},scale={width}:{height}:flags=area,format=gray",
        "-fps_mode",
        "passthrough",
    ]
    raw = run([*reading(source), *filters, "-f", "rawvideo", "-"], [source])
    chosen: list[int] = []
    last = 0
    for number, code in enumerate(_hashes(raw, width, height)):
        if not chosen or (code ^ last).bit_count() * 100 > threshold * _HASH_SIDE**2:
            chosen.append(number)
            last = code
            if len(chosen) == count:
                break
    if not chosen:
        raise JobFailed("ProcessingFailed", "No frame was found from start to the end of the object")
    return chosen


def _hashes(raw: bytes, width: int, height: int) -> Iterator[int]:
    """Yield a difference hash for every frame: a bit for each pixel darker than its right neighbour."""
    for offset in range(0, len(raw), width * height):
        code = 0
        for row in range(offset, offset + width * height, width):
            for place in range(row, row + width - 1):
                code = code << 1 | (raw[place] < raw[place + 1])
        yield code


def _video(media: Media) -> VideoStream:
    if media.video is None:
        raise JobFailed("InvalidArgument", "The object has no video")
    return media.video


def _size(spec: Specification, video: VideoStream, width: str, height: str) -> tuple[int, int] | None:
    """Return the frames' size from the arguments in px, else from those in per cent."""
    fit = spec.get("fit", "stretch")
    size = target_size(video, spec.get(width), spec.get(height), fit, even=False)
    if size is None and (f"{width}_percent" in spec.values or f"{height}_percent" in spec.values):
        w = max(1, round(video.width * spec.get(f"{width}_percent", 100) / 100))
        h = max(1, round(video.height * spec.get(f"{height}_percent", 100) / 100))
        size = target_size(video, w, h, fit, even=False)
    return size


def _length_from(source: Path, start: float) -> float:
    """Return how much of the video comes after a time, in seconds."""
    video = timelines(source).get("video")
    if video is None:
        raise JobFailed("UnsupportedMedia", "The object's video stream has no frames")
    if start >= video.end:
        raise JobFailed(
            "InvalidArgument", f"start={start:g} s is not inside the object's video ({video.end:g} s)"
        )
    return video.end - start


def _known(value: str, *known: str) -> str:
    if value not in known:
        raise JobFailed("InvalidArgument", f"{value!r} is not known: expected one of {', '.join(known)}")
    return value
