from __future__ import annotations

import io
import os
import zipfile
from typing import TYPE_CHECKING, Any

import docx
import openpyxl
import pptx
import pytest
from PIL import Image
from pptx.util import Inches

from airflow_provider_oss_async.local.processing import documents, office
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.process import DocumentConvert

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_libreoffice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty PATH, so that what is tested does not depend on the machine."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(documents, "_MACOS", str(programs / "none"))
    return programs


def convert(source: Path, workdir: Path, target: str, **given: Any) -> list[ProducedFile]:
    files = process_job(DocumentConvert(target_format=target, **given), source, {}, workdir / "work").files
    assert {file.extension for file in files} == {target}
    return files


def text_of(source: Path, workdir: Path, **given: Any) -> str:
    (file,) = convert(source, workdir, "txt", **given)
    return file.path.read_text(encoding="utf-8")


def dark(path: Path) -> float:
    """How much of a page is not white."""
    with Image.open(path) as picture:
        histogram = picture.convert("L").histogram()
    return sum(histogram[:160]) / sum(histogram)


def failure(source: Path, workdir: Path, target: str = "png", **given: Any) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        convert(source, workdir, target, **given)
    assert str(workdir) not in caught.value.message
    return caught.value


@pytest.mark.parametrize(("target", "form"), [("png", "PNG"), ("jpg", "JPEG")])
@pytest.mark.parametrize("name", ["report.docx", "report.pdf", "slides.pptx"])
def test_every_page_becomes_an_image(
    name: str, target: str, form: str, samples: dict[str, Path], tmp_path: Path
) -> None:
    files = convert(samples[name], tmp_path, target)
    assert [file.index_text for file in files] == ["1", "2", "3"]
    for file in files:
        with Image.open(file.path) as picture:
            assert picture.format == form
            assert min(picture.size) > 700
        assert dark(file.path) > 0.0005
        assert file.sheet is None


def test_the_text_of_a_word_document(samples: dict[str, Path], tmp_path: Path) -> None:
    text = " ".join(text_of(samples["report.docx"], tmp_path).split())
    for part in (
        "City walks",
        "Wear good shoes and bring something to drink.",
        "Ferry terminal 17",
        "Ελληνικά",
        "гавань",
    ):
        assert part in text
    # Glyphs or not, the characters are there.
    assert "繁體中文" in text


def test_a_word_document_keeps_what_matters(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 200), "black").save(picture, format="PNG")
    picture.seek(0)
    document = docx.Document()
    document.add_paragraph("one", style="List Number")
    document.add_paragraph("two", style="List Number")
    document.add_paragraph("a < b & c > d \N{GRINNING FACE}\n next line")
    document.add_picture(picture)
    table = document.add_table(200, 2)
    for number, row in enumerate(table.rows):
        row.cells[0].text = f"row {number}"
    document.save(str(tmp_path / "d.docx"))
    text = text_of(tmp_path / "d.docx", tmp_path)
    for part in ("1. one", "2. two", "a < b & c > d", "row 0", "row 199"):
        assert part in text
    pages = convert(tmp_path / "d.docx", tmp_path, "png")
    assert len(pages) > 3
    assert dark(pages[0].path) > 0.03


@pytest.mark.parametrize(
    ("pages", "indexes"),
    [("2", ["2"]), ("1,3", ["1", "3"]), ("2-9", ["2", "3"]), ("3,1-2,2", ["1", "2", "3"])],
)
def test_pages_are_chosen(pages: str, indexes: list[str], samples: dict[str, Path], tmp_path: Path) -> None:
    files = convert(samples["report.docx"], tmp_path, "jpg", pages=pages)
    assert [file.index_text for file in files] == indexes
    (document,) = convert(samples["report.docx"], tmp_path, "pdf", pages=pages)
    assert len(convert(document.path, tmp_path / "again", "png")) == len(indexes)


def test_pages_beyond_the_end(samples: dict[str, Path], tmp_path: Path) -> None:
    assert "3 pages" in failure(samples["report.pdf"], tmp_path, pages="4-9").message


def test_a_workbook_is_numbered_by_sheet_and_part(samples: dict[str, Path], tmp_path: Path) -> None:
    files = convert(samples["figures.xlsx"], tmp_path, "png")
    names = [(file.index_text, file.sheet) for file in files]
    assert names[:2] == [("1_1", "Visitors"), ("1_2", "Visitors")]
    assert names[-1] == ("2_1", "Opening times")
    text = text_of(samples["figures.xlsx"], tmp_path)
    for part in ("2026-01-01 Ferry terminal 1,037 7%", "Lighthouse", "09:00"):
        assert part in text


def test_wide_long_and_empty_sheets(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    wide = book.worksheets[0]
    wide.append([f"column {n}" for n in range(40)])
    hidden = book.create_sheet("hidden")
    hidden.append(["secret"])
    hidden.sheet_state = "hidden"
    book.create_sheet("empty")
    long = book.create_sheet("long")
    long.append(["word " * 3000, True, 0.1 + 0.2, 12345678])
    book.save(tmp_path / "b.xlsx")
    files = convert(tmp_path / "b.xlsx", tmp_path, "png")
    assert len([file for file in files if file.sheet == "Sheet"]) > 1
    assert [file.index_text for file in files if file.sheet == "empty"] == ["2_1"]
    text = text_of(tmp_path / "b.xlsx", tmp_path)
    assert "column 39" in text
    assert "secret" not in text
    assert "TRUE" in text
    assert "0.3" in text
    assert "12345678" in text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_csv(encoding: str, tmp_path: Path) -> None:
    source = tmp_path / "stops.csv"
    source.write_text("name,minutes\n港口,12\n", encoding=encoding)
    (file,) = convert(source, tmp_path, "png")
    assert (file.index_text, file.sheet) == ("1_1", "stops")
    assert "港口 12" in text_of(source, tmp_path)


def test_slides(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (100, 100), "black").save(picture, format="PNG")
    picture.seek(0)
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Title"
    slide.placeholders[1].text = "word " * 2000
    other = show.slides.add_slide(show.slide_layouts[6])
    other.shapes.add_picture(picture, Inches(1), Inches(1), Inches(5), Inches(5))
    group = other.shapes.add_group_shape()
    group.shapes.add_textbox(Inches(7), Inches(1), Inches(2), Inches(1)).text_frame.text = "in a group"
    show.save(str(tmp_path / "s.pptx"))
    files = convert(tmp_path / "s.pptx", tmp_path, "png")
    assert len(files) == 2
    assert dark(files[1].path) > 0.3
    assert "in a group" in text_of(tmp_path / "s.pptx", tmp_path)


def test_html_and_text(tmp_path: Path) -> None:
    source = tmp_path / "page.html"
    source.write_text(
        "<html><head><title>no</title><script>no()</script></head><body><h1>Heading</h1>"
        "<p>One &amp; <b>two</b></p>"
        "<ul><li>item</li></ul><table><tr><td>cell <p>a</p></td><td>cell b</td></tr></table>"
        "<img src='file:///etc/passwd'><pre>  kept  as is</pre>tail</body></html>"
    )
    text = text_of(source, tmp_path)
    for part in ("Heading", "One & two", "• item", "cell a cell b", "kept", "tail"):
        assert part in text
    assert "no" not in text.split()
    program = tmp_path / "main.c"
    program.write_text("int main(void)\n{\n\treturn 0; /* <b>&amp; */\n}\n")
    assert "return 0; /* <b>&amp; */" in text_of(program, tmp_path)


def test_the_format_can_be_given(samples: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "upload.bin"
    source.write_bytes(samples["report.docx"].read_bytes())
    assert failure(source, tmp_path).code == "InvalidArgument"
    assert len(convert(source, tmp_path, "png", source_format="docx")) == 3
    spec = DocumentConvert(target_format="png")
    assert len(process_job(spec, source, {}, tmp_path / "w", source_name="a/b/Report.DOCX").files) == 3


@pytest.mark.parametrize("form", ["docx", "xlsx", "pptx", "pdf"])
@pytest.mark.parametrize("content", [b"", b"not that", b"PK\3\4 torn", b"%PDF-1.7 torn"])
def test_a_damaged_document(form: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / f"x.{form}"
    source.write_bytes(content)
    assert failure(source, tmp_path).code == "InvalidDocument"


def test_a_document_of_another_kind(samples: dict[str, Path], tmp_path: Path) -> None:
    assert failure(samples["report.docx"], tmp_path, source_format="xlsx").code == "InvalidDocument"


@pytest.mark.parametrize("form", ["doc", "ppt", "xls", "wps", "et"])
def test_what_needs_libreoffice_says_so(form: str, tmp_path: Path) -> None:
    (tmp_path / f"x.{form}").write_bytes(b"content")
    error = failure(tmp_path / f"x.{form}", tmp_path)
    assert error.code == "UnsupportedDocument"
    assert "LibreOffice" in error.message


def test_a_source_has_a_limit(tmp_path: Path) -> None:
    source = tmp_path / "x.pdf"
    with source.open("wb") as file:
        file.truncate(200 * 1024 * 1024 + 1)
    assert failure(source, tmp_path).code == "SourceTooLarge"


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "x.docx"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * 2000)
    with pytest.raises(JobFailed) as caught:
        office.to_pdf("docx", source, tmp_path, "x", max_unpacked=1000)
    assert caught.value.code == "SourceTooLarge"


def test_a_page_of_enormous_size_is_limited(tmp_path: Path) -> None:
    Image.new("RGB", (14_000, 20), "black").save(tmp_path / "x.pdf", resolution=72)
    (file,) = convert(tmp_path / "x.pdf", tmp_path, "png")
    with Image.open(file.path) as picture:
        assert picture.width == 8192


def program(folder: Path, script: str) -> None:
    path = folder / "soffice"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    path.chmod(0o755)


COPY = 'for last; do :; done; while [ "$1" != --outdir ]; do shift; done; mkdir -p "$2"; '


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for LibreOffice")
def test_libreoffice_is_used_where_it_is(
    no_libreoffice: Path, samples: dict[str, Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    program(no_libreoffice, f'echo "$@" > {log}; {COPY} cp {samples["report.pdf"]} "$2/document.pdf"')
    (tmp_path / "x.doc").write_bytes(b"old")
    assert len(convert(tmp_path / "x.doc", tmp_path, "png")) == 3
    arguments = log.read_text().split()
    assert "--headless" in arguments
    assert arguments[arguments.index("--convert-to") + 1] == "pdf"
    assert any(a.startswith("-env:UserInstallation=file://") for a in arguments)
    # A workbook is only brought into a form that can be read here, for its sheets.
    program(no_libreoffice, f'{COPY} cp {samples["figures.xlsx"]} "$2/document.xlsx"')
    (tmp_path / "x.xls").write_bytes(b"old")
    assert convert(tmp_path / "x.xls", tmp_path, "png")[-1].index_text == "2_1"


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for LibreOffice")
def test_libreoffice_can_fail_or_hang(no_libreoffice: Path, tmp_path: Path) -> None:
    (tmp_path / "x.doc").write_bytes(b"old")
    program(no_libreoffice, "exit 0")
    assert failure(tmp_path / "x.doc", tmp_path).code == "InvalidDocument"
    program(no_libreoffice, "sleep 30 & wait")
    with pytest.raises(JobFailed) as caught:
        documents.convert(
            DocumentConvert(target_format="png"), tmp_path / "x.doc", tmp_path, "x.doc", time_limit=0.2
        )
    assert caught.value.code == "Timeout"
