"""Worksheets as tables of texts that fit a page."""

from __future__ import annotations

import csv
import io
import itertools
import unicodedata
from typing import TYPE_CHECKING, Any

import openpyxl

from airflow_provider_oss_async.local.processing.number_format import format_value
from airflow_provider_oss_async.local.processing.result import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: The most cells with a value, and the most cells of the table that is laid out, in a worksheet.
MAX_CELLS = 100_000
#: How many cells are laid out at a time: 80 MB of memory for 10,000.
CHUNK = 10_000
#: Widest column, its padding and the width of a character, in pt, at the size in which sheets are set.
_MAX_WIDTH, _PADDING, _CHARACTER = 250.0, 12.0, 4.8
#: Marks a text that is right-aligned.
NUMBER = "\x01"

#: Texts of the cells that have one, by row and column.
Cells = dict[tuple[int, int], str]
#: Widths of the columns in pt, and rows of texts.
Table = tuple[list[float], list[list[str]]]


def read_workbook(source: Path) -> Iterator[tuple[str, Cells]]:
    """Yield the visible worksheets of a workbook, with their names.

    :raises JobFailed: a worksheet has too many cells.
    """
    with source.open("rb") as file:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        for sheet in book.worksheets:
            if sheet.sheet_state == "visible":
                # The used range that the file states may be far larger than what it holds.
                sheet.reset_dimensions()
                yield sheet.title, _collect(sheet.iter_rows())


def read_csv(text: str) -> Cells:
    """Return the cells of a comma-separated text.

    :raises JobFailed: there are too many cells.
    """
    return _collect(csv.reader(io.StringIO(text)))


def tables(cells: Cells, page_width: float) -> Iterator[list[Table]]:
    """Yield lists of tables that fit the width of a page, each list of at most about :data:`CHUNK` cells.

    Empty rows and columns are kept, unless the table would become larger than :data:`MAX_CELLS` with them.

    :raises JobFailed: the table is too large even without them.
    """
    rows, columns = ({place[axis] for place in cells} for axis in (0, 1))
    shown_rows: Sequence[int] = range(max(rows, default=-1) + 1)
    shown_columns: Sequence[int] = range(max(columns, default=-1) + 1)
    if len(shown_rows) * len(shown_columns) > MAX_CELLS:
        shown_rows, shown_columns = sorted(rows), sorted(columns)
        if len(rows) * len(columns) > MAX_CELLS:
            raise _too_large()
    chunk: list[Table] = []
    size = 0
    for group, widths in _pages(cells, shown_columns, page_width):
        step = max(1, CHUNK // len(group))
        for first in range(0, len(shown_rows), step):
            texts = [
                [cells.get((row, column), "") for column in group] for row in shown_rows[first : first + step]
            ]
            if size and size + len(texts) * len(group) > CHUNK:
                yield chunk
                chunk, size = [], 0
            chunk.append((widths, texts))
            size += len(texts) * len(group)
    # An empty sheet has a page, too.
    if chunk or not cells:
        yield chunk


def _pages(
    cells: Cells, columns: Sequence[int], page_width: float
) -> Iterator[tuple[list[int], list[float]]]:
    """Yield the columns that fit a page, with their widths in pt."""
    longest = dict.fromkeys(columns, 0.0)
    for (_, column), text in cells.items():
        longest[column] = max(longest[column], _width(text))
    group: list[int] = []
    widths: list[float] = []
    for column, length in longest.items():
        width = min(page_width, _PADDING + min(_MAX_WIDTH, length))
        if group and sum(widths) + width > page_width:
            yield group, widths
            group, widths = [], []
        group.append(column)
        widths.append(width)
    if group:
        yield group, widths


def _collect(rows: Iterable[Iterable[Any]]) -> Cells:
    cells: Cells = {}
    for row, values in enumerate(rows):
        for column, cell in enumerate(values):
            value = getattr(cell, "value", cell)
            if value is None or value == "":
                continue
            text = format_value(value, getattr(cell, "number_format", None) or "General")
            text = "".join(char for char in text if char.isprintable() or char == "\n")
            right = not isinstance(value, str | bool)
            cells[row, column] = NUMBER + text if right else text
        if len(cells) > MAX_CELLS:
            raise _too_large()
    return cells


def _too_large() -> JobFailed:
    return JobFailed(
        "SourceTooLarge", f"A worksheet has more than {MAX_CELLS:,} cells, the most laid out here"
    )


def _width(text: str) -> float:
    widest = 0
    for line in itertools.islice(text.split("\n"), 100):
        widest = max(widest, sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line[:200]))
    return widest * _CHARACTER
