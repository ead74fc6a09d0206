"""Sample inputs, made on the spot: there are no binary files in the repository."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_BREAK
from PIL import Image, ImageDraw, ImageFilter
from pptx.util import Inches

from airflow_provider_oss_async.local.processing import watermark
from airflow_provider_oss_async.local.processing.ffmpeg import run
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import DocumentConvert

#: What the watermarked picture says.
WATERMARK = "sample owner 2026"
_STOPS = ("Ferry terminal", "Old market", "Botanical garden", "Night market", "Lighthouse 燈塔")
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "2")


def make_samples(directory: Path) -> dict[str, Path]:
    """Make the samples, about 2 MB.

    :param directory: is made if it does not exist.
    :return: the files by name: ``harbour.mp4`` (8 s, 640x360, with sound), ``credits.mp4`` (3 s, other size,
        rate and sound), ``announcement.mp3`` (6 s), ``report.docx``, ``figures.xlsx``, ``slides.pptx``,
        ``report.pdf`` and ``photo.png``, which holds :data:`WATERMARK`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names = (
        "harbour.mp4", "credits.mp4", "announcement.mp3", "report.docx", "figures.xlsx", "slides.pptx",
        "report.pdf", "photo.png",
    )  # fmt: skip
    files = {name: directory / name for name in names}
    _harbour(files["harbour.mp4"])
    _credits(files["credits.mp4"])
    _announcement(files["announcement.mp3"])
    _photo(files["photo.png"])
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
    watermark.embed(path, WATERMARK, path, "medium")


def _report(path: Path) -> None:
    document = docx.Document()
    document.add_heading("City walks: the harbour", 0)
    paragraph = document.add_paragraph("A walk of two hours along the quay, described for visitors. ")
    paragraph.add_run("Wear good shoes").bold = True
    paragraph.add_run(" and bring ")
    paragraph.add_run("something to drink").italic = True
    paragraph.add_run(".")
    document.add_heading("Stops", 1)
    table = document.add_table(1, 3, style="Table Grid")
    for cell, text in zip(table.rows[0].cells, ("No.", "Stop", "Minutes"), strict=True):
        cell.text = text
    for number, stop in enumerate(_STOPS, 1):
        for cell, text in zip(table.add_row().cells, (str(number), stop, str(10 + 7 * number)), strict=True):
            cell.text = text
    document.add_heading("Names in other scripts", 1)
    for text in ("Ελληνικά: λιμάνι", "Кириллица: гавань", "Français: la ville côtière", "繁體中文:港口"):
        document.add_paragraph(text, style="List Bullet")
    document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    for number, stop in enumerate(_STOPS, 1):
        document.add_heading(f"{number}. {stop}", 2)
        document.add_paragraph(
            "The way leads past warehouses of brick, small boats and a row of trees that were planted when "
            f"the quay was built. Count {10 + 7 * number} minutes from the stop before. " * 3
        )
    document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    document.add_heading("On the way back", 1)
    document.add_paragraph("Trams leave every ten minutes.").alignment = WD_ALIGN_PARAGRAPH.CENTER
    document.save(str(path))


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
    show = pptx.Presentation()
    title = show.slides.add_slide(show.slide_layouts[0])
    title.shapes.title.text = "The harbour"
    title.placeholders[1].text = "City walks, season 2026"
    stops = show.slides.add_slide(show.slide_layouts[1])
    stops.shapes.title.text = "Stops"
    stops.placeholders[1].text = "\n".join(_STOPS)
    minutes = show.slides.add_slide(show.slide_layouts[5])
    minutes.shapes.title.text = "Minutes"
    rows = (("Stop", "Minutes"), *((stop, str(10 + 7 * n)) for n, stop in enumerate(_STOPS, 1)))
    table = minutes.shapes.add_table(len(rows), 2, Inches(1), Inches(2), Inches(8), Inches(4)).table
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.cell(number, column).text = text
    show.save(str(path))
