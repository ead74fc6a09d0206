"""Sample inputs, made on the spot."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date
from pathlib import Path

import openpyxl
from PIL import Image, ImageDraw, ImageFilter

from airflow_provider_oss_async.local.processing import watermark
from airflow_provider_oss_async.local.processing.ffmpeg import run
from airflow_provider_oss_async.local.processing.office import run_pandoc
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import DocumentConvert

#: Text of the watermark in ``photo.png``.
WATERMARK = "sample owner 2026"
_STOPS = ("Ferry terminal", "Old market", "Botanical garden", "Night market", "Lighthouse 燈塔")
_NAMES = (
    "Ελληνικά: λιμάνι", "Кириллица: гавань", "Français: la ville côtière", "繁體中文:港口", "日本語: 港",
    "한국어: 항구", "العربية: ميناء", "עברית: נמל",
)  # fmt: skip
_WAY = (
    "The way leads past warehouses of brick, small boats and a row of trees that were planted when the quay "
    "was built. "
)
_PAGE_BREAK = """```{=openxml}
<w:p><w:r><w:br w:type="page"/></w:r></w:p>
```"""
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "2")


def make_samples(directory: Path) -> dict[str, Path]:
    """Make the samples, about 2 MB.

    :param directory: is made if it does not exist.
    :return: the files by name: ``harbour.mp4`` (8 s, 640x360, with sound), ``credits.mp4`` (3 s, other size,
        rate and sound), ``announcement.mp3`` (6 s), ``report.docx``, ``figures.xlsx``, ``slides.pptx``,
        ``report.pdf``, ``photo.png``, which holds :data:`WATERMARK`, ``unmarked.png``, which holds none, and
        ``broken.mov``, whose job fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = (
        "harbour.mp4", "credits.mp4", "announcement.mp3", "report.docx", "figures.xlsx", "slides.pptx",
        "report.pdf", "photo.png", "unmarked.png", "broken.mov",
    )  # fmt: skip
    files = {name: directory / name for name in names}
    _harbour(files["harbour.mp4"])
    _credits(files["credits.mp4"])
    _announcement(files["announcement.mp3"])
    _photo(files["unmarked.png"])
    watermark.embed(files["unmarked.png"], WATERMARK, files["photo.png"], "medium")
    # As an upload that was broken off.
    files["broken.mov"].write_bytes(files["harbour.mp4"].read_bytes()[:20_000])
    _report(files["report.docx"])
    _figures(files["figures.xlsx"])
    _slides(files["slides.pptx"])
    with tempfile.TemporaryDirectory() as work:
        produced = process_job(DocumentConvert(target_format="pdf"), files["report.docx"], {}, Path(work))
        shutil.copyfile(produced.files[0].path, files["report.pdf"])
    return files


def _harbour(path: Path) -> None:
    # Four scenes of two seconds, each with its own picture and two notes, so that every frame taken differs.
    pictures = [
        "testsrc2=s=640x360:r=25:d=2",
        "gradients=s=640x360:r=25:d=2:c0=0x0b3d91:c1=0xff9e5e:c2=0x00b894:n=3:speed=0.03:seed=7",
        "mandelbrot=s=640x360:r=25:end_pts=60,trim=duration=2",
        "life=s=160x90:r=25:mold=8:life_color=0x7cffb2:death_color=0x223a5e:seed=3,scale=640:360"
        ",trim=duration=2",
    ]
    graph = ";".join(f"{picture},setsar=1,format=yuv420p[v{n}]" for n, picture in enumerate(pictures))
    graph += ";[v0][v1][v2][v3]concat=n=4[v]"
    notes = "0.2*sin(2*PI*t*(220+110*floor(t)))*(1+sin(2*PI*t*4))/2"
    sound = f"aevalsrc='{notes}|{notes}':s=48000:d=8[a]"
    output = ["-map", "[v]", "-map", "[a]", "-t", "8", *_H264, "-g", "50", "-c:a", "aac", "-b:a", "96k"]
    run(["-filter_complex", f"{graph};{sound}", *output, str(path)])


def _credits(path: Path) -> None:
    picture = "smptehdbars=s=480x360:r=30:d=3,hue=H=2*PI*t/3[v]"
    sound = "sine=f=330:r=44100:d=3,volume=0.4[a]"
    output = ["-map", "[v]", "-map", "[a]", *_H264, "-c:a", "aac", "-b:a", "64k"]
    run(["-filter_complex", f"{picture};{sound}", *output, str(path)])


def _announcement(path: Path) -> None:
    # A hum with overtones whose loudness and pitch change about as fast as syllables do.
    hum = "+".join(f"{0.25 / n}*sin(2*PI*{n}*(140*t+3*sin(2*PI*t)))" for n in range(1, 5))
    sound = f"aevalsrc='({hum})*abs(sin(2*PI*1.7*t))':s=44100:d=6,aformat=channel_layouts=mono[a]"
    run(["-filter_complex", sound, "-map", "[a]", "-c:a", "libmp3lame", "-b:a", "128k", str(path)])


def _photo(path: Path) -> None:
    sky = Image.linear_gradient("L").resize((800, 600))
    picture = Image.merge("RGB", (sky.point(lambda v: v // 3 + 60), sky.point(lambda v: v // 2 + 70), sky))
    draw = ImageDraw.Draw(picture)
    for number in range(24):
        x, y = number * 67 % 800, 330 + number * 53 % 220
        draw.rectangle((x, y, x + 50, 600), fill=(60 + number * 5, 90 + number * 3, 120 - number * 2))
    draw.ellipse((560, 60, 660, 160), fill=(250, 225, 140))
    picture.filter(ImageFilter.GaussianBlur(1)).save(path)


def _report(path: Path) -> None:
    stops = "\n".join(f"| {n} | {stop} | {minutes} |" for n, stop, minutes in _rows())
    names = "\n".join(f"- {text}" for text in _NAMES)
    ways = "\n\n".join(f"## {n}. {stop}\n\n{_WAY * 3}" for n, stop, _ in _rows())
    _pandoc(
        path,
        f"""---
title: "City walks: the harbour"
---
A walk of two hours along the quay, described for visitors.
**Wear good shoes** and bring *something to drink*.

# Stops

| No. | Stop | Minutes |
|-|----|-|
{stops}

# Names in other scripts

{names}

{_PAGE_BREAK}

{ways}

{_PAGE_BREAK}

# On the way back

Trams leave every ten minutes.
""",
    )


def _rows() -> list[tuple[int, str, int]]:
    return [(number, stop, 10 + 7 * number) for number, stop in enumerate(_STOPS, 1)]


def _pandoc(path: Path, markdown: str) -> None:
    run_pandoc("markdown", path.parent, ["-f", "markdown", "-o", path.name], markdown.encode())


def _figures(path: Path) -> None:
    book = openpyxl.Workbook()
    visitors = book.worksheets[0]
    visitors.title = "Visitors"
    visitors.append(["Month", "Stop", "Visitors", "Share"])
    for month in range(1, 13):
        for number, stop in enumerate(_STOPS, 1):
            visitors.append([date(2026, month, 1), stop, 1000 * number + 37 * month, number / 15])
    for row in visitors.iter_rows(min_row=2, min_col=3):
        row[0].number_format, row[1].number_format = "#,##0", "0%"
    times = book.create_sheet("Opening times")
    times.append(["Stop", "Opens", "Closes"])
    for stop in _STOPS:
        times.append([stop, "09:00", "18:30"])
    book.save(path)


def _slides(path: Path) -> None:
    stops = "\n".join(f"- {stop}" for stop in _STOPS)
    minutes = "\n".join(f"| {stop} | {minutes} |" for _, stop, minutes in _rows())
    _pandoc(
        path,
        f"""% The harbour
% City walks, season 2026

# Stops

{stops}

# Minutes

| Stop | Minutes |
|-|-|
{minutes}
""",
    )
