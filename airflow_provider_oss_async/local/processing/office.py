"""Office documents to PDF with packages alone: text, tables and pictures in a plain layout of our own."""

from __future__ import annotations

import csv
import html.parser
import io
import itertools
import zipfile
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import docx
import openpyxl
import pptx
from docx.table import Table as DocxTable
from pptx.util import Emu
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    Flowable,
    Image,
    KeepInFrame,
    PageBreak,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

from airflow_provider_oss_async.local.processing.fonts import BODY, markup, register
from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.process.document import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from docx.text.paragraph import Paragraph as DocxParagraph

_DOCX = ("docx", "docm", "dotx", "dotm")
_XLSX = ("xlsx", "xlsm", "xltx", "xltm")
_PPTX = ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm")
_HTML = ("html", "htm")
_TEXT = tuple(name for name in PLAIN if name not in ("wpt", "rtf", *_HTML))
#: What can be read without LibreOffice.
FORMATS = frozenset({*_DOCX, *_XLSX, *_PPTX, *_HTML, *_TEXT, "csv"})
#: Against zip bombs, in bytes; and the largest sheet that is laid out.
_MOST_UNPACKED = 1024**3
_MOST_CELLS = 200_000
_MARGIN = 18 * mm
_GRID = TableStyle(
    [
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
)
_TITLES = (1, 3)  # TITLE, CENTER_TITLE
_HEADINGS = (24, 18, 15, 13, 12, 11, 11, 11, 11, 11)


def to_pdf(form: str, source: Path, workdir: Path, title: str) -> list[tuple[str | None, Path]]:
    """Lay a document out as PDF.

    :param form: one of :data:`FORMATS`.
    :param title: name of the one sheet of a csv file.
    :return: PDF files, of a workbook one for each worksheet with its name.
    :raises JobFailed: the document is damaged or too large.
    """
    register()
    try:
        if form in (*_DOCX, *_XLSX, *_PPTX):
            with zipfile.ZipFile(source) as archive:
                if sum(item.file_size for item in archive.infolist()) > _MOST_UNPACKED:
                    raise JobFailed("SourceTooLarge", "The document holds more than 1 GB when unpacked")
        if form in (*_XLSX, "csv"):
            sheets = _csv(source, title) if form == "csv" else _workbook(source)
            return [
                (name, _sheet(rows, workdir / f"sheet{n}.pdf")) for n, (name, rows) in enumerate(sheets, 1)
            ]
        target = workdir / "document.pdf"
        if form in _PPTX:
            _slides(source, target)
        elif form in _DOCX:
            with source.open("rb") as file:
                _build(list(_word(docx.Document(file))), target, A4)
        else:
            text = _decode(source.read_bytes())
            _build(list(_html(text) if form in _HTML else _lines(text)), target, A4)
    except JobFailed:
        raise
    except Exception as error:
        # The readers raise whatever a damaged file makes them stumble over.
        raise JobFailed(
            "InvalidDocument", f"The object cannot be read as {form}: {type(error).__name__}"
        ) from error
    return [(None, target)]


def _build(story: list[Flowable], target: Path, size: tuple[float, float]) -> None:
    margins: dict[str, Any] = dict.fromkeys(
        ("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN
    )
    SimpleDocTemplate(str(target), pagesize=size, **margins).build(story or [Spacer(1, 1)])


def _style(size: float = 10.5, **more: Any) -> ParagraphStyle:
    more = {"spaceAfter": size * 0.5, "splitLongWords": 1, **more}
    return ParagraphStyle("text", fontName=BODY, fontSize=size, leading=size * 1.35, **more)


def _heading(text: str, level: int) -> Paragraph:
    return Paragraph(f"<b>{text}</b>", _style(_HEADINGS[level], spaceBefore=8, keepWithNext=1))


def _table(rows: list[list[str]], width: float, size: float = 9) -> Flowable:
    columns = max(map(len, rows), default=0)
    if not columns:
        return Spacer(1, 1)
    cell = _style(size, spaceAfter=0)
    data = [[Paragraph(text, cell) for text in row + [""] * (columns - len(row))] for row in rows]
    return Table(data, colWidths=[width / columns] * columns, style=_GRID, splitInRow=1, spaceAfter=8)


def _decode(data: bytes) -> str:
    for encoding in ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _lines(text: str) -> Iterator[Flowable]:
    style = _style(9.5, spaceAfter=0)
    for line in text.expandtabs(4).splitlines():
        bare = line.lstrip()
        yield Paragraph("&nbsp;" * (len(line) - len(bare)) + markup(bare) or "&nbsp;", style)


def _word(document: Any) -> Iterator[Flowable]:
    alignment = {0: TA_LEFT, 1: TA_CENTER, 2: TA_RIGHT, 3: TA_JUSTIFY}
    number = 0
    for block in document.iter_inner_content():
        if isinstance(block, DocxTable):
            yield _table(
                [[markup(cell.text) for cell in row.cells] for row in block.rows], A4[0] - 2 * _MARGIN
            )
            continue
        name = (block.style.name if block.style is not None else "") or ""
        text = "".join(_runs(block))
        number = number + 1 if name.startswith("List Number") else 0
        if block.paragraph_format.page_break_before:
            yield PageBreak()
        if name == "Title" or name.startswith("Heading"):
            yield _heading(text, int(name[-1]) if name[-1].isdigit() else 0)
        elif text:
            bullet = f"{number}." if number else "\N{BULLET}" if name.startswith("List") else None
            how = alignment.get(int(block.alignment or 0), TA_LEFT)
            yield Paragraph(text, _style(alignment=how, leftIndent=18 if bullet else 0), bulletText=bullet)
        else:
            yield Spacer(1, 8)
        for relation in block._p.xpath(".//a:blip/@r:embed"):
            yield from _picture(document.part.related_parts[relation].blob)
        if block._p.xpath('.//w:br[@w:type="page"]'):
            yield PageBreak()


def _runs(paragraph: DocxParagraph) -> Iterator[str]:
    for item in paragraph.iter_inner_content():
        for run in getattr(item, "runs", [item]):
            text = markup(run.text)
            for tag, wanted in (("b", run.bold), ("i", run.italic), ("u", run.underline)):
                text = f"<{tag}>{text}</{tag}>" if wanted and text else text
            yield text


def _picture(blob: bytes) -> Iterator[Flowable]:
    try:
        width, height = ImageReader(io.BytesIO(blob)).getSize()
    except Exception:  # a drawing in a format of Windows, say
        return
    scale = min(0.75, (A4[0] - 2 * _MARGIN - 12) / width, (A4[1] / 2) / height)
    yield Image(io.BytesIO(blob), width * scale, height * scale)


def _workbook(source: Path) -> Iterator[tuple[str, Iterable[Iterable[Any]]]]:
    with source.open("rb") as file:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        for sheet in book.worksheets:
            if sheet.sheet_state == "visible":
                sheet.reset_dimensions()
                yield sheet.title, sheet.iter_rows()


def _csv(source: Path, title: str) -> Iterator[tuple[str, Iterable[Iterable[Any]]]]:
    yield title, csv.reader(io.StringIO(_decode(source.read_bytes())))


def _cell(cell: Any) -> str:
    value = getattr(cell, "value", cell)
    if value is None:
        return ""
    if isinstance(value, datetime):
        return str(value.date() if not (value.hour or value.minute or value.second) else value)
    if isinstance(value, bool | date):
        return str(value)
    if isinstance(value, int | float):
        form = getattr(cell, "number_format", "") or ""
        if "%" in form:
            return f"{value:.1%}".replace(".0%", "%")
        places = len(form.partition(".")[2].rstrip('"_) ')) if "." in form else 0
        return f"{value:,.{places}f}" if "#,##" in form else f"{value:.10g}"
    return str(value)


def _sheet(rows: Iterable[Iterable[Any]], target: Path) -> Path:
    """Lay a worksheet out; columns that do not fit the page go on further pages, as when it is printed."""
    table: list[list[str]] = []
    cells = 0
    for row in rows:
        texts = [_cell(cell) for cell in row]
        while texts and not texts[-1]:
            texts.pop()
        cells += len(texts)
        if cells > _MOST_CELLS:
            raise JobFailed("SourceTooLarge", f"A worksheet has more than {_MOST_CELLS} cells")
        table.append(texts)
    while table and not table[-1]:
        table.pop()
    columns = max(map(len, table), default=0)
    table = [row + [""] * (columns - len(row)) for row in table]
    size, page = 8, landscape(A4)
    room = page[0] - 2 * _MARGIN - 12
    widths = [
        min(room, 14 + min(240, max(stringWidth(text, BODY, size) for text in column)))
        for column in zip(*table, strict=True)
    ]
    style = _style(size, spaceAfter=0)
    story: list[Flowable] = []
    start = 0
    while start < columns:
        totals = itertools.accumulate(widths[start:])
        end = start + max(1, sum(total <= room for total in totals))
        data = [[Paragraph(markup(text), style) for text in row[start:end]] for row in table]
        story += [PageBreak()] if story else []
        story.append(Table(data, colWidths=widths[start:end], style=_GRID, splitInRow=1, hAlign="LEFT"))
        start = end
    _build(story, target, page)
    return target


def _slides(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        show = pptx.Presentation(file)
    width, height = (Emu(side or 0).pt for side in (show.slide_width, show.slide_height))
    canvas = Canvas(str(target), pagesize=(width, height))
    for slide in show.slides:
        for shape in _shapes(slide.shapes):
            _draw_shape(canvas, shape, height)
        canvas.showPage()
    if not len(show.slides):
        canvas.showPage()
    canvas.save()


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        elif shape.width and shape.height and shape.left is not None:
            yield shape


def _draw_shape(canvas: Canvas, shape: Any, page_height: float) -> None:
    left, top, width, height = (Emu(n).pt for n in (shape.left, shape.top, shape.width, shape.height))
    story: list[Flowable] = []
    if shape.shape_type is not None and hasattr(shape, "image"):
        try:
            picture = ImageReader(io.BytesIO(shape.image.blob))
            canvas.drawImage(picture, left, page_height - top - height, width, height, mask="auto")
        except Exception:  # a drawing in a format of Windows, say
            canvas.rect(left, page_height - top - height, width, height)
        return
    if getattr(shape, "has_table", False):
        story.append(
            _table([[markup(cell.text) for cell in row.cells] for row in shape.table.rows], width, 12)
        )
    elif shape.has_text_frame:
        title = shape.is_placeholder and shape.placeholder_format.type in _TITLES
        for paragraph in shape.text_frame.paragraphs:
            points = next((run.font.size.pt for run in paragraph.runs if run.font.size), 32 if title else 18)
            how = TA_CENTER if title or paragraph.alignment == 2 else TA_LEFT
            listed = shape.is_placeholder and shape.placeholder_format.type not in (*_TITLES, 4)  # SUBTITLE
            bullet = "\N{BULLET}" if listed and paragraph.text else None
            indent = 18 * (paragraph.level + 1) if bullet else 0
            style = _style(points, alignment=how, leftIndent=indent, bulletIndent=indent and indent - 14)
            story.append(Paragraph(markup(paragraph.text) or "&nbsp;", style, bulletText=bullet))
    if story:
        frame = KeepInFrame(width, height, story, mode="shrink")
        _, used = frame.wrapOn(canvas, width, height)
        frame.drawOn(canvas, left, page_height - top - min(used, height))


class _HTML_Reader(html.parser.HTMLParser):
    """Collects headings, paragraphs, list items and table rows; nothing is fetched, scripts are dropped."""

    _BLOCKS = frozenset(
        (
            "p", "div", "li", "br", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "ul", "ol", "table",
            "section", "article", "blockquote", "body",
        )
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.story: list[Flowable] = []
        self._text = ""
        self._tag = "p"
        self._silent = 0
        self._rows: list[list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "head"):
            self._silent += 1
        if tag in self._BLOCKS:
            self.flush()
            self._tag = tag
        if tag == "table":
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style", "head"):
            self._silent = max(0, self._silent - 1)
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append(markup(" ".join(self._text.split())))
            self._text = ""
        elif tag == "table" and self._rows is not None:
            self.story.append(_table(self._rows, A4[0] - 2 * _MARGIN))
            self._rows = None
        elif tag in self._BLOCKS:
            self.flush()
            self._tag = "p"

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text += data

    def flush(self) -> None:
        """Close the block that is being read."""
        # Blocks within a cell are part of the cell.
        if self._rows is not None:
            self._text += " "
            return
        text = self._text if self._tag == "pre" else " ".join(self._text.split())
        self._text = ""
        if self._tag == "pre":
            self.story.extend(_lines(text))
        elif text and self._tag[0] == "h" and self._tag[1:].isdigit():
            self.story.append(_heading(markup(text), int(self._tag[1:])))
        elif text:
            bullet = "\N{BULLET}" if self._tag == "li" else None
            self.story.append(
                Paragraph(markup(text), _style(leftIndent=18 if bullet else 0), bulletText=bullet)
            )


def _html(text: str) -> list[Flowable]:
    reader = _HTML_Reader()
    reader.feed(text)
    reader.close()
    reader.flush()
    return reader.story
