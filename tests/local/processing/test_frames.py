from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from airflow_provider_oss_async.local.processing import frames
from airflow_provider_oss_async.local.processing.ffmpeg import run
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import Specification, VideoAnimation, VideoSnapshots, VideoSprite

if TYPE_CHECKING:
    from pathlib import Path

    Clips = dict[str, Path]


def taken(spec: Specification, source: Path, workdir: Path) -> list[ProducedFile]:
    files = process_job(spec, source, {}, workdir).files
    assert [file.index_text for file in files] == [str(n) for n in range(1, len(files) + 1)]
    assert {(file.stream_index, file.extension) for file in files} == {(0, spec.get("format"))}
    return files


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three still scenes of a second at 10 fps, a keyframe every second."""
    path = tmp_path_factory.mktemp("scenes") / "scenes.mp4"
    pictures = ("X", "160-X", "128+100*sin(X/9+Y/30)")
    source = "color=s=160x90:r=10:d=1,geq=lum='{}':cb=128:cr=128[s{}];"
    graph = "".join(source.format(picture, number) for number, picture in enumerate(pictures))
    graph += "[s0][s1][s2]concat=n=3[v]"
    keys = ["-g", "10", "-sc_threshold", "0", "-pix_fmt", "yuv420p"]
    run(["-filter_complex", graph, "-map", "[v]", "-c:v", "libx264", *keys, str(path)])
    return path


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 30),
        ({"interval": 0.5}, 6),
        ({"interval": 0.01}, 30),
        ({"interval": 0.5, "start": 1.2}, 4),
        ({"interval": 0.3, "count": 4}, 4),
        ({"interval": 60}, 1),
        ({"sampling": "key"}, 3),
        ({"sampling": "key", "count": 2}, 2),
        ({"sampling": "avg", "count": 7}, 7),
        ({"sampling": "avg", "count": 2, "start": 2}, 2),
        ({"sampling": "dhash", "change_threshold": 15}, 3),
        ({"sampling": "dhash", "change_threshold": 15, "count": 2}, 2),
        ({"sampling": "dhash", "change_threshold": 100}, 1),
    ],
)
def test_how_many_frames_are_taken(given: dict[str, Any], count: int, scenes: Path, tmp_path: Path) -> None:
    assert len(taken(VideoSnapshots(format="jpg", **given), scenes, tmp_path)) == count


def test_an_interval_takes_the_frames_at_its_times(clips: Clips, tmp_path: Path) -> None:
    every = taken(VideoSnapshots(format="png"), clips["wide.mp4"], tmp_path / "every")
    some = taken(VideoSnapshots(format="png", interval=0.4), clips["wide.mp4"], tmp_path / "some")
    assert [f.path.read_bytes() for f in some] == [every[n].path.read_bytes() for n in range(0, 50, 10)]


def test_changes_are_found_where_the_scene_changes(scenes: Path, tmp_path: Path) -> None:
    every = taken(VideoSnapshots(format="png"), scenes, tmp_path / "every")
    spec = VideoSnapshots(format="png", sampling="dhash", change_threshold=15)
    some = taken(spec, scenes, tmp_path / "some")
    contents = [file.path.read_bytes() for file in some]
    assert contents == [every[n].path.read_bytes() for n in (0, 10, 20)]
    assert len(set(contents)) == 3


def test_many_changes_are_no_problem(tmp_path: Path) -> None:
    noise = tmp_path / "noise.mkv"
    graph = "color=gray:s=64x64:r=50:d=12,noise=alls=100:allf=t"
    run(["-f", "lavfi", "-i", graph, "-c:v", "libx264", "-preset", "ultrafast", str(noise)])
    assert len(taken(VideoSnapshots(format="jpg", sampling="dhash"), noise, tmp_path / "out")) > 400


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (320, 180)),
        ({"width": 100, "height": 100}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "crop"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "fill"}, (100, 100)),
        ({"width": 100, "height": 100, "fit": "fit"}, (100, 56)),
        ({"width": 97}, (97, 55)),
        ({"height": 45}, (80, 45)),
        ({"width_percent": 50, "height_percent": 200}, (160, 360)),
        ({"width_percent": 50, "width": 64, "allow_ignored": True}, (64, 36)),
    ],
)
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_size_of_the_frames(
    form: str, given: dict[str, Any], size: tuple[int, int], clips: Clips, tmp_path: Path
) -> None:
    (file,) = taken(VideoSnapshots(format=form, count=1, **given), clips["wide.mp4"], tmp_path)
    with Image.open(file.path) as picture:
        assert picture.size == size
        assert picture.format == {"jpg": "JPEG", "png": "PNG"}[form]


@pytest.mark.parametrize(
    ("given", "sheets", "size"),
    [
        ({"sampling": "avg", "count": 6, "columns": 3, "rows": 2}, 1, (3 * 32 + 2 * 2 + 4, 2 * 32 + 2 + 4)),
        ({"sampling": "avg", "count": 7, "columns": 3, "rows": 2}, 2, (3 * 32 + 2 * 2 + 4, 2 * 32 + 2 + 4)),
        ({"interval": 0.1, "columns": 2, "rows": 2, "padding": 0, "margin": 0}, 5, (64, 64)),
        ({"sampling": "key", "columns": 4, "rows": 1, "padding": 5, "margin": 7}, 1, (4 * 32 + 15 + 14, 46)),
        ({"count": 3}, 1, (6 * 32 + 5 * 2 + 4, 6 * 32 + 5 * 2 + 4)),
    ],
)
def test_sheets(
    given: dict[str, Any], sheets: int, size: tuple[int, int], clips: Clips, tmp_path: Path
) -> None:
    files = taken(
        VideoSprite(format="png", tile_width=32, tile_height=32, **given), clips["wide.mp4"], tmp_path
    )
    assert len(files) == sheets
    for file in files:
        with Image.open(file.path) as picture:
            assert picture.size == size


def test_tiles_lie_in_the_order_of_the_frames(scenes: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "tile_width": 32,
        "tile_height": 32,
        "columns": 2,
        "rows": 2,
        "padding": 4,
        "margin": 6,
    }
    (sheet,) = taken(VideoSprite(format="png", sampling="key", **given), scenes, tmp_path / "sheet")
    frames = taken(
        VideoSnapshots(format="png", sampling="key", width=32, height=32), scenes, tmp_path / "frames"
    )
    with Image.open(sheet.path) as picture:
        for file, (x, y) in zip(frames, ((6, 6), (42, 6), (6, 42)), strict=True):
            with Image.open(file.path) as frame:
                assert picture.crop((x, y, x + 32, y + 32)).tobytes() == frame.convert("RGB").tobytes()
        # The fourth cell, the gap and the border.
        for box in ((42, 42, 74, 74), (38, 0, 42, 80), (0, 0, 80, 6)):
            assert picture.crop(box).getextrema() == ((0, 0),) * 3


def test_a_sheet_has_its_limits(clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(JobFailed) as caught:
        process_job(VideoSprite(format="jpg", columns=100), clips["wide.mp4"], {}, tmp_path)
    assert "16384" in caught.value.message


@pytest.mark.parametrize("form", ["gif", "webp"])
@pytest.mark.parametrize(
    ("given", "frames", "milliseconds"),
    [
        ({"interval": 0.5}, 4, 500),
        ({"interval": 0.5, "frame_rate": 10}, 4, 100),
        ({"interval": 0.2, "count": 3, "start": 1}, 3, 200),
        ({"count": 5, "frame_rate": 5}, 5, 200),
        ({"interval": 0.001, "count": 10}, 10, 40),
    ],
)
def test_animations(
    form: str, given: dict[str, Any], frames: int, milliseconds: int, clips: Clips, tmp_path: Path
) -> None:
    spec = VideoAnimation(format=form, width=80, height=80, fit="fit", **given)
    (file,) = taken(spec, clips["wide.mp4"], tmp_path)
    with Image.open(file.path) as picture:
        assert picture.format == form.upper()
        assert picture.size == (80, 45)
        assert getattr(picture, "n_frames", 1) == frames
        assert picture.info["loop"] == 0
        picture.seek(1)
        picture.load()
        assert picture.info["duration"] == pytest.approx(milliseconds, abs=10)


@pytest.mark.parametrize(
    ("spec", "source", "part"),
    [
        (VideoSnapshots(format="jpg"), "sound.wav", "no video"),
        (VideoAnimation(format="gif"), "sound.wav", "no video"),
        (VideoSprite(format="png", start=9), "wide.mp4", "start=9"),
        (VideoAnimation(format="gif", start=9), "wide.mp4", "start=9"),
        (VideoSnapshots(format="bmp", extra_params={"f": "bmp"}), "wide.mp4", "'bmp'"),
        (VideoAnimation(format="apng", extra_params={"f": "apng"}), "wide.mp4", "'apng'"),
        (VideoSnapshots(format="jpg", sampling="best"), "wide.mp4", "'best'"),
    ],
)
def test_what_fails_says_why(
    spec: Specification, source: str, part: str, clips: Clips, tmp_path: Path
) -> None:
    with pytest.raises(JobFailed) as caught:
        process_job(spec, clips[source], {}, tmp_path)
    assert part in caught.value.message


@pytest.mark.parametrize("name", ["a.ts", "a.h264"])
def test_frames_after_a_start_in_files_with_one_keyframe(name: str, clips: Clips, tmp_path: Path) -> None:
    source = tmp_path / name
    run(["-i", str(clips["wide.mp4"]), "-c:v", "libx264", "-preset", "ultrafast", "-g", "1000", str(source)])
    spec = VideoSnapshots(format="png", start=1, interval=0.25, width=32)
    assert len(process_job(spec, source, {}, tmp_path / "inter").files) == 4
    spec = VideoSnapshots(format="png", start=1, sampling="avg", count=2, width=32)
    assert len(process_job(spec, source, {}, tmp_path / "avg").files) == 2
    (file,) = process_job(VideoAnimation(format="gif", start=1, width=32), source, {}, tmp_path).files
    with Image.open(file.path) as picture:
        assert getattr(picture, "n_frames", 1) == pytest.approx(25, abs=1)


def test_a_picture_is_compared_with_what_was_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    Image.new("RGB", (40, 30)).save(picture)
    frames.check_picture(picture, (40, 30))
    with pytest.raises(JobFailed, match="its size is 40 x 30, not 30 x 40"):
        frames.check_picture(picture, (30, 40))
    picture.write_bytes(picture.read_bytes()[:40])
    with pytest.raises(JobFailed, match="not a picture that can be read back"):
        frames.check_picture(picture, None)
