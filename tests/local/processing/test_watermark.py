from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageFilter

from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.processing.watermark import TEXT_LIMIT, decode, embed
from airflow_provider_oss_async.process import DecodeBlindWatermark

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something like a photograph: soft shapes, some grain, a white and a black patch."""
    random = np.random.default_rng(5)
    coarse = Image.fromarray(random.integers(20, 235, (12, 16, 3), dtype=np.uint8))
    picture = coarse.resize((400, 300), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
    pixels = np.clip(np.asarray(picture) + random.normal(0, 3, (300, 400, 3)), 0, 255).astype(np.uint8)
    pixels[:40, :60], pixels[-40:, -60:] = 255, 0
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(float)


@pytest.mark.parametrize("strength", ["low", "medium", "high"])
@pytest.mark.parametrize("text", ["a", "sample owner 2026", "版權所有 © Ωμέγα", "x" * 100])
def test_a_text_comes_back(text: str, strength: str, photo: Path, tmp_path: Path) -> None:
    embed(photo, text, tmp_path / "marked.png", strength)
    assert decode(tmp_path / "marked.png", strength) == text


def test_it_does_not_show_much(photo: Path, tmp_path: Path) -> None:
    noise = []
    for strength in ("low", "medium", "high"):
        embed(photo, "sample", tmp_path / "marked.png", strength)
        # Without the white and the black patch, whose brightness has to give way.
        difference = (pixels(tmp_path / "marked.png") - pixels(photo))[40:-40]
        noise.append(10 * np.log10(255**2 / np.mean(difference**2)))
    assert noise == sorted(noise, reverse=True)
    assert noise[0] > 36  # dB


@pytest.mark.parametrize(("strength", "quality"), [("low", 90), ("medium", 75), ("high", 50)])
def test_it_survives_jpeg(strength: str, quality: int, photo: Path, tmp_path: Path) -> None:
    embed(photo, "sample owner 2026", tmp_path / "marked.png", strength)
    with Image.open(tmp_path / "marked.png") as picture:
        picture.save(tmp_path / "marked.jpg", quality=quality)
    assert decode(tmp_path / "marked.jpg", strength) == "sample owner 2026"


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("BMP", "RGB"),
        ("WEBP", "RGBA"),
        ("TIFF", "RGB"),
    ],
)
def test_the_format_is_kept(form: str, mode: str, photo: Path, tmp_path: Path) -> None:
    source, marked = tmp_path / "source", tmp_path / "marked"
    with Image.open(photo) as opened:
        picture = opened.convert(mode)
        if mode == "RGBA":
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        picture.save(source, format=form)
    embed(source, "sample", marked, "medium")
    with Image.open(marked) as picture:
        assert picture.format == form
        assert ("A" in picture.getbands()) is (mode == "RGBA")
    assert decode(marked, "medium") == "sample"


def test_an_unmarked_picture_has_no_text(photo: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for number in range(20):
        Image.fromarray(random.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    for path in (photo, *tmp_path.iterdir()):
        with pytest.raises(JobFailed) as caught:
            decode(path)
        assert caught.value.code == "WatermarkNotFound"


def test_another_strength_is_named(photo: Path, tmp_path: Path) -> None:
    strengths = ("low", "medium", "high")
    for one, other in itertools.permutations(strengths, 2):
        embed(photo, "sample", tmp_path / "marked.png", one)
        with pytest.raises(JobFailed) as caught:
            decode(tmp_path / "marked.png", other)
        assert f"one of strength {one}" in caught.value.message


def test_a_picture_can_be_too_small_or_too_large(photo: Path, tmp_path: Path) -> None:
    with Image.open(photo) as picture:
        picture.resize((80, 80)).save(tmp_path / "small.png")
        picture.resize((79, 80)).save(tmp_path / "tiny.png")
        picture.resize((10_001, 80)).save(tmp_path / "long.png")
    embed(tmp_path / "small.png", "ok", tmp_path / "marked.png")
    assert decode(tmp_path / "marked.png") == "ok"
    for name, text in (("small.png", "x" * 60), ("tiny.png", "ok"), ("long.png", "ok")):
        with pytest.raises(JobFailed):
            embed(tmp_path / name, text, tmp_path / "marked.png")


@pytest.mark.parametrize("text", ["", "x" * (TEXT_LIMIT + 1)])
def test_the_text_has_limits(text: str, photo: Path, tmp_path: Path) -> None:
    with pytest.raises(JobFailed):
        embed(photo, text, tmp_path / "marked.png")


@pytest.mark.parametrize("content", [b"", b"not a picture", b"GIF89a\1\0\1\0\0\0\0;"])
def test_what_is_no_picture(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(JobFailed) as caught:
        decode(tmp_path / "x.png")
    assert caught.value.code == "UnsupportedImage"
    assert str(tmp_path) not in caught.value.message


def test_a_torn_picture(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(photo.read_bytes()[:5000])
    with pytest.raises(JobFailed) as caught:
        decode(tmp_path / "x.png")
    assert caught.value.code == "UnsupportedImage"


def test_the_job_returns_the_text(photo: Path, tmp_path: Path) -> None:
    embed(photo, "sample", tmp_path / "marked.png", "medium")
    result = process_job(
        DecodeBlindWatermark(strength="medium"), tmp_path / "marked.png", {}, tmp_path / "work"
    )
    assert (result.content, result.files) == ("sample", [])
