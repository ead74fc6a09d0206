from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docx
import openpyxl
import pptx
import pytest
from docx.enum.text import WD_BREAK
from PIL import Image, ImageChops
from pptx.util import Inches

from airflow_provider_oss_async.local.processing import documents, office, spreadsheet
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.processing.typesetting import typeset
from airflow_provider_oss_async.process import DocumentConvert

if TYPE_CHECKING:
    from collections.abc import Callable


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


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy a zip archive with changed parts."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


TYPES = {
    "docm": ("docx", "application/vnd.ms-word.document.macroEnabled.main+xml"),
    "dotx": ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml"),
    "dotm": ("docx", "application/vnd.ms-word.template.macroEnabledTemplate.main+xml"),
    "pptm": ("pptx", "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"),
    "ppsx": ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml"),
    "ppsm": ("pptx", "application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml"),
    "potx": ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.template.main+xml"),
    "potm": ("pptx", "application/vnd.ms-powerpoint.template.macroEnabled.main+xml"),
    "xlsm": ("xlsx", "application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
    "xltx": ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml"),
    "xltm": ("xlsx", "application/vnd.ms-excel.template.macroEnabled.main+xml"),
}


@pytest.mark.parametrize("form", TYPES)
def test_templates_and_documents_with_macros(form: str, samples: dict[str, Path], tmp_path: Path) -> None:
    plain, content_type = TYPES[form]
    source = next(path for path in samples.values() if path.suffix == f".{plain}")

    def change(name: str, data: bytes) -> bytes:
        if name != "[Content_Types].xml":
            return data
        main = rb"application/vnd.openxmlformats-officedocument.\w+.(?:document|presentation|sheet).main\+xml"
        changed, count = re.subn(main, content_type.encode(), data)
        assert count == 1
        return changed

    text = text_of(rewritten(source, tmp_path / f"x.{form}", change), tmp_path)
    assert {"docx": "Ferry terminal", "pptx": "Night market", "xlsx": "Old market"}[plain] in text


BODY = """
<w:p><w:pPr><w:jc w:val="start"/></w:pPr><w:r><w:t xml:space="preserve">plain </w:t></w:r>
  <w:ins w:id="1" w:author="a"><w:r><w:t>inserted</w:t></w:r></w:ins>
  <w:del w:id="2" w:author="a"><w:r><w:delText>deleted</w:delText></w:r></w:del>
  <w:sdt><w:sdtContent><w:r><w:t>inlinecontrol</w:t></w:r></w:sdtContent></w:sdt>
  <w:fldSimple w:instr="PAGE"><w:r><w:t>field</w:t></w:r></w:fldSimple></w:p>
<w:sdt><w:sdtContent><w:p><w:r><w:t>blockcontrol</w:t></w:r></w:p></w:sdtContent></w:sdt>
<w:p><w:r><w:t>before</w:t></w:r><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox>
  <w:txbxContent><w:p><w:r><w:t>oldbox</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>
<w:p><w:r><mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">
  <mc:Choice Requires="wps"><w:drawing><wps:wsp
    xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"><wps:txbx><w:txbxContent>
    <w:p><w:r><w:t>newbox</w:t></w:r></w:p></w:txbxContent></wps:txbx></wps:wsp></w:drawing></mc:Choice>
  <mc:Fallback><w:pict><w:txbxContent><w:p><w:r><w:t>newbox</w:t></w:r></w:p></w:txbxContent></w:pict>
  </mc:Fallback></mc:AlternateContent></w:r></w:p>
<w:tbl><w:tblPr/><w:tblGrid><w:gridCol w:w="2880"/><w:gridCol w:w="2880"/></w:tblGrid>
  <w:tr><w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>
    <w:p><w:r><w:t>mergedcell</w:t></w:r></w:p></w:tc></w:tr>
  <w:tr><w:tc><w:p><w:r><w:t>left</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>right</w:t></w:r></w:p>
    <w:tbl><w:tblPr/><w:tblGrid><w:gridCol w:w="2880"/></w:tblGrid><w:tr><w:tc>
    <w:p><w:r><w:t>nestedtable</w:t></w:r></w:p></w:tc></w:tr></w:tbl><w:p/></w:tc></w:tr></w:tbl>
<w:p><w:hyperlink w:anchor="nowhere"><w:r><w:t>link</w:t></w:r></w:hyperlink></w:p>
<w:p><w:r><w:t>endofpage</w:t></w:r><w:r><w:br w:type="page"/></w:r>
  <w:r><w:rPr><w:b/></w:rPr><w:t>secondpage</w:t></w:r></w:p>
<w:p><w:pPr><w:pageBreakBefore/></w:pPr><w:r><w:t>thirdpage</w:t></w:r></w:p>
<w:p><w:pPr><w:sectPr><w:type w:val="nextPage"/></w:sectPr></w:pPr><w:r><w:t>sectionend</w:t></w:r></w:p>
<w:p><w:r><w:t>fourthpage</w:t></w:r></w:p>
"""


def test_everything_in_a_word_document_is_visible(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("Title of it", style="Title")
    document.sections[0].header.paragraphs[0].text = "headertext"
    document.sections[0].footer.paragraphs[0].text = "footertext"
    document.save(str(tmp_path / "plain.docx"))

    def change(name: str, data: bytes) -> bytes:
        return (
            data.replace(b"<w:sectPr", BODY.encode() + b"<w:sectPr", 1)
            if name.endswith("document.xml")
            else data
        )

    source = rewritten(tmp_path / "plain.docx", tmp_path / "x.docx", change)
    pages = [" ".join(text_of(source, tmp_path, pages=str(n)).split()) for n in range(1, 5)]
    words = (
        "Title of it", "plain inserted", "inlinecontrol", "field", "blockcontrol", "before", "oldbox",
        "newbox", "mergedcell", "left", "right", "nestedtable", "link", "endofpage",
    )  # fmt: skip
    places = [pages[0].index(word) for word in words]
    assert places == sorted(places)
    assert pages[0].count("newbox") == 1
    assert "deleted" not in pages[0]
    assert [("secondpage" in page, "thirdpage" in page, "fourthpage" in page) for page in pages] == [
        (False, False, False), (True, False, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert all("headertext" in page and "footertext" in page for page in pages)


SCRIPTS = {
    "Chinese": "中文港",
    "Japanese": "語テス",
    "Korean": "한국어",
    "Arabic": "ملع",
    "Hebrew": "שםל",
    "Greek": "λμψ",
    "Cyrillic": "гжю",
    "Thai": "สดก",
    "Devanagari": "नमत",
    "Bold": "文לш",
    "missing": "\u0378\u0379\u0380",
}


def test_every_script_is_visible_without_fonts_of_the_machine(tmp_path: Path) -> None:
    # A character on each page: what has no glyph would be the same box for all.
    characters = [(script, c) for script, text in SCRIPTS.items() for c in text if c != "*"]
    document = docx.Document()
    for script, character in characters:
        paragraph = document.add_paragraph()
        paragraph.add_run(character).bold = script == "Bold"
        paragraph.add_run().add_break(WD_BREAK.PAGE)
    document.save(str(tmp_path / "d.docx"))
    files = convert(tmp_path / "d.docx", tmp_path, "png")
    assert len(files) >= len(characters)
    shapes: dict[str, list[bytes]] = {}
    for (script, _), file in zip(characters, files, strict=False):
        with Image.open(file.path) as picture:
            ink = ImageChops.invert(picture.convert("L")).getbbox()
            assert ink
            shapes.setdefault(script, []).append(picture.convert("L").crop(ink).tobytes())
    missing = shapes.pop("missing")
    assert len(set(missing)) == 1
    for script, found in shapes.items():
        assert len({*found, *missing}) == len(found) + 1, script


def test_the_text_of_all_scripts_can_be_extracted(tmp_path: Path) -> None:
    words = ["你好世界", "日本語テスト", "한국어 시험", "مرحبا بالعالم", "שלום עולם", "Ελληνικά", "гавань"]
    document = docx.Document()
    for word in words:
        document.add_paragraph(word)
    document.save(str(tmp_path / "d.docx"))
    assert text_of(tmp_path / "d.docx", tmp_path).split("\n") == words
    # Right-to-left paragraphs begin at the right.
    (page,) = convert(tmp_path / "d.docx", tmp_path / "png", "png")
    with Image.open(page.path) as picture:
        right = picture.convert("L").crop((picture.width // 2, 0, picture.width, picture.height))
        assert ImageChops.invert(right).getbbox()


def test_a_slide_is_a_page_however_much_it_holds(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (10, 10), "black").save(picture, format="BMP")
    picture.seek(0)
    show = pptx.Presentation()
    for number in range(3):
        slide = show.slides.add_slide(show.slide_layouts[5 if number != 1 else 6])
        if number == 1:
            slide.shapes.add_picture(picture, Inches(1), Inches(1), Inches(4), Inches(5))
        else:
            slide.shapes.title.text = f"Slide number {number}"
            box = slide.shapes.add_textbox(Inches(1), Inches(1), Inches(2), Inches(1)).text_frame
            box.text = "中文 words \n" * (100 if number else 1)
    show.save(str(tmp_path / "s.pptx"))
    files = convert(tmp_path / "s.pptx", tmp_path, "png")
    assert [file.index_text for file in files] == ["1", "2", "3"]
    assert dark(files[1].path) > 0.15
    text = text_of(tmp_path / "s.pptx", tmp_path)
    assert "Slide 2" not in text
    assert text.count("中文 words") == 101


def test_pictures_of_all_kinds(tmp_path: Path) -> None:
    document = docx.Document()
    for form in ("PNG", "JPEG", "BMP", "TIFF", "GIF"):
        picture = io.BytesIO()
        Image.new("RGB", (3000 if form == "PNG" else 60, 60), "black").save(picture, format=form)
        picture.seek(0)
        document.add_picture(picture)
    document.save(str(tmp_path / "d.docx"))
    pages = convert(tmp_path / "d.docx", tmp_path, "png")
    with Image.open(pages[0].path) as page:
        box = ImageChops.invert(page.convert("L")).getbbox()
        assert box
        # The wide one is reduced to the margins, the others are below it.
        assert page.width - box[2] == pytest.approx(box[0], abs=4)

    def damage(name: str, data: bytes) -> bytes:
        return data[:30] if "media/" in name else data

    source = rewritten(tmp_path / "d.docx", tmp_path / "damaged.docx", damage)
    assert text_of(source, tmp_path / "damaged").count("[") == 5


CORNER = """
import pathlib, resource, sys
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.processing.typesetting import typeset
from airflow_provider_oss_async.process import DocumentConvert
source, workdir = map(pathlib.Path, sys.argv[1:])
(file,) = process_job(DocumentConvert(target_format="txt"), source, {}, workdir).files
print(file.path.read_text().split())
# The peak of RUSAGE_SELF is that of the process that has started this one, where that is larger.
(own,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units elsewhere")
def test_a_workbook_of_two_cells_in_a_range_of_all_cells(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "first"
    book.worksheets[0]["XFD1048576"] = "corner"
    book.save(tmp_path / "x.xlsx")
    done = subprocess.run(
        [sys.executable, "-c", CORNER, str(tmp_path / "x.xlsx"), str(tmp_path / "work")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    cells, peaks = done.stdout.splitlines()
    assert cells == "['first', 'corner']"
    assert max(map(int, peaks.split())) < 500_000  # KiB


def test_a_sheet_of_many_pages_stays_in_order(tmp_path: Path) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("long")
    for row in range(3000):
        sheet.append([f"row{row}end", *range(4)])
    book.save(tmp_path / "x.xlsx")
    text = text_of(tmp_path / "x.xlsx", tmp_path)
    assert re.findall(r"row(\d+)end", text) == [str(row) for row in range(3000)]
    assert spreadsheet.CHUNK < 3000 * 5


def test_a_sheet_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1\n" * (spreadsheet.MAX_CELLS + 1))
    assert failure(tmp_path / "x.csv", tmp_path).code == "SourceTooLarge"
    diagonal = {(n * 2000, n): "x" for n in range(400)}
    with pytest.raises(JobFailed):
        list(spreadsheet.tables(diagonal, 500))


@pytest.mark.parametrize("form", ["docx", "xlsx", "pptx", "doc", "xls"])
def test_a_password_is_named(form: str, tmp_path: Path) -> None:
    # The directory of the container that holds an encrypted package.
    magic = bytes.fromhex("d0cf11e0a1b11ae1")
    (tmp_path / f"x.{form}").write_bytes(
        magic + bytes(512) + "EncryptedPackage".encode("utf-16-le") + bytes(64)
    )
    error = failure(tmp_path / f"x.{form}", tmp_path)
    assert error.code == "EncryptedDocument"
    assert "password" in error.message


def test_a_password_of_a_pdf_is_named(tmp_path: Path) -> None:
    error = failure(Path(__file__).with_name("inputs") / "password.pdf", tmp_path)
    assert error.code == "EncryptedDocument"
    assert "password" in error.message


@pytest.mark.parametrize("part", ["word/document.xml", "_rels/.rels"])
def test_a_document_with_a_damaged_part(part: str, samples: dict[str, Path], tmp_path: Path) -> None:
    source = rewritten(
        samples["report.docx"], tmp_path / "x.docx", lambda name, data: data[:50] if name == part else data
    )
    error = failure(source, tmp_path)
    assert error.code == "InvalidDocument"
    assert "damaged or not of the format docx" in error.message


@pytest.mark.parametrize("form", ["txt", "csv", "html"])
@pytest.mark.parametrize("content", ["Café crème".encode("latin-1"), bytes(range(256)) * 4, b"\xff\xfea"])
def test_an_unknown_encoding_is_refused(content: bytes, form: str, tmp_path: Path) -> None:
    (tmp_path / f"x.{form}").write_bytes(content)
    error = failure(tmp_path / f"x.{form}", tmp_path)
    assert error.code == "UnsupportedEncoding"
    assert "UTF-8" in error.message


@pytest.mark.parametrize("encoding", ["gb2312", "big5", "shift_jis", "utf-16"])
def test_a_declared_encoding_is_used(encoding: str, tmp_path: Path) -> None:
    text = f'<html><head><meta charset="{encoding}"></head><body><p>中文</p></body></html>'
    (tmp_path / "x.html").write_text(text, encoding=encoding)
    assert text_of(tmp_path / "x.html", tmp_path).strip() == "中文"


def test_html_without_end_tags_and_with_pictures_inside(tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 300), "black").save(picture, format="PNG")
    data = base64.b64encode(picture.getvalue()).decode()
    (tmp_path / "x.html").write_text(
        "<html><head><title>x</title><body><p>bodytext<p>second"
        f'<img src="data:image/png;base64,{data}"><img src="data:image/png;base64,AAAA" alt="broken">'
        '<img src="/etc/passwd"><img src="http://127.0.0.1:9/x.png"><a href="">empty link</a>'
    )
    (page,) = convert(tmp_path / "x.html", tmp_path, "png")
    assert dark(page.path) > 0.05
    text = text_of(tmp_path / "x.html", tmp_path)
    for part in ("bodytext", "second", "[broken]", "[picture]", "empty link"):
        assert part in text


def test_rtf(tmp_path: Path) -> None:
    (tmp_path / "x.rtf").write_text("{\\rtf1\\ansi Hello {\\b bold} \\u20013?\\par next}")
    assert "Hello bold 中" in text_of(tmp_path / "x.rtf", tmp_path)
    (tmp_path / "y.rtf").write_bytes(b"content")
    assert failure(tmp_path / "y.rtf", tmp_path).code == "InvalidDocument"


def test_markup_that_cannot_be_laid_out(tmp_path: Path) -> None:
    with pytest.raises(JobFailed) as caught:
        typeset("#nothing", tmp_path, "x")
    assert caught.value.code == "ProcessingFailed"
    assert "unknown variable: nothing" in caught.value.message
    with pytest.raises(JobFailed):
        typeset('#read("/etc/passwd")', tmp_path, "x")
