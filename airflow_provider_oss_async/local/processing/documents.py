"""Document conversion: everything becomes PDF first, then pages, images or text.

PDF is read by PDFium. Office formats are read by LibreOffice where it is installed; without it docx, xlsx,
pptx and their variants, rtf, csv, html and plain text are laid out by :mod:`.office`: all of the text, tables
and pictures, in a plain layout. The old binary formats then fail. Worksheets are always laid out by
:mod:`.office`, because the pages of a workbook must be told apart by sheet.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import pypdfium2

from airflow_provider_oss_async.local.processing import office
from airflow_provider_oss_async.local.processing.office import ENCRYPTED, check_encryption
from airflow_provider_oss_async.local.processing.result import JobFailed, ProducedFile
from airflow_provider_oss_async.process.document import PRESENTATION, SPREADSHEET, TARGETS, WORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.process import Specification

#: Documented limit of a source, in bytes.
SIZE_LIMIT = 200 * 1024 * 1024
#: How long LibreOffice may take, in seconds.
TIME_LIMIT = 120.0
#: Resolution of page images, in dots per inch, and their longest side in px.
_DPI = 144
_LONGEST_SIDE = 8192
_OFFICE = {*WORD, *PRESENTATION, *SPREADSHEET, "rtf", "wpt"}
_MACOS = "/Applications/LibreOffice.app/Contents/MacOS/soffice"
#: PDFium is not thread-safe, and jobs run in threads.
_pdfium = threading.Lock()


def convert(
    spec: Specification, source: Path, workdir: Path, name: str, *, time_limit: float = TIME_LIMIT
) -> list[ProducedFile]:
    """Convert one document.

    :param name: the object's key; its extension is the format where ``source_format`` is not given.
    :param time_limit: how long LibreOffice may take, in seconds.
    :raises JobFailed: the document is too large, damaged or of a kind that cannot be read here.
    """
    if source.stat().st_size > SIZE_LIMIT:
        raise JobFailed("SourceTooLarge", "The object is larger than 200 MB, the most the service converts")
    target = spec.get("target_format")
    if target not in TARGETS:
        raise JobFailed(
            "InvalidArgument", f"target_format={target!r} is not known: expected {', '.join(TARGETS)}"
        )
    form = spec.get("source_format", PurePosixPath(name).suffix[1:]).lower()
    parts = _as_pdf(form, source, workdir, PurePosixPath(name).stem, time_limit)
    with _pdfium, contextlib.ExitStack() as stack:
        pages = []
        for number, (sheet, paths) in enumerate(parts, 1):
            documents = [stack.enter_context(contextlib.closing(_open(path))) for path in paths]
            found = ((document, page) for document in documents for page in range(len(document)))
            pages += [_Page(*place, number, part, sheet) for part, place in enumerate(found, 1)]
        chosen = [pages[number - 1] for number in _numbers(spec.get("pages", ""), len(pages))]
        if not chosen:
            raise JobFailed(
                "InvalidArgument", f"pages={spec.get('pages')!r} is not in the document ({len(pages)} pages)"
            )
        result = workdir / f"result.{target}"
        if target == "pdf":
            merged = stack.enter_context(contextlib.closing(pypdfium2.PdfDocument.new()))
            for page in chosen:
                merged.import_pages(page.document, [page.number])
            merged.save(result)
        elif target == "txt":
            texts = (page.document[page.number].get_textpage().get_text_bounded() for page in chosen)
            result.write_text("\n".join(text.replace("\r\n", "\n") for text in texts), encoding="utf-8")
        else:
            return [_image(page, workdir, target) for page in chosen]
    return [ProducedFile(result, extension=target)]


class _Page(NamedTuple):
    """A page: its place in a PDF file, and in a part of the document (a worksheet, else the document)."""

    document: Any
    number: int
    part_number: int
    number_in_part: int
    sheet: str | None


def _open(path: Path) -> Any:
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise JobFailed("EncryptedDocument", ENCRYPTED) from error
        raise JobFailed("InvalidDocument", f"The object is damaged or not a PDF: {error}") from error


def _image(page: _Page, workdir: Path, target: str) -> ProducedFile:
    opened = page.document[page.number]
    scale = min(_DPI / 72, _LONGEST_SIDE / max(opened.get_size()))
    path = workdir / f"page-{page.part_number}-{page.number_in_part}.{target}"
    # PDFium's background is white unless told otherwise.
    opened.render(scale=scale).to_pil().convert("RGB").save(path, quality=90)
    opened.close()
    if page.sheet is None:
        return ProducedFile(path, page.number_in_part, extension=target)
    return ProducedFile(path, page.part_number, sheet=page.sheet, extension=target, part=page.number_in_part)


def _as_pdf(
    form: str, source: Path, workdir: Path, title: str, time_limit: float
) -> list[tuple[str | None, list[Path]]]:
    """Return the parts of a document as :func:`.office.to_pdf` does."""
    if form == "pdf":
        return [(None, [source])]
    if form in _OFFICE:
        check_encryption(source)
    soffice = _soffice()
    is_sheet = form in SPREADSHEET
    if soffice and form in _OFFICE and not (is_sheet and form in office.FORMATS):
        target = "xlsx" if is_sheet else "pdf"
        source = _run_office(soffice, form, source, workdir, target, time_limit)
        if not is_sheet:
            return [(None, [source])]
        form = target
    if form not in office.FORMATS:
        if form in _OFFICE:
            raise JobFailed(
                "UnsupportedDocument",
                f"The local stand-in can only read {form} where LibreOffice is installed",
            )
        raise JobFailed(
            "InvalidArgument",
            f"{form!r} is not a known document format; give source_format where the extension is wrong",
        )
    return office.to_pdf(form, source, workdir, title)


def _soffice() -> str | None:
    found = shutil.which("soffice") or shutil.which("libreoffice")
    return found or (_MACOS if Path(_MACOS).exists() else None)


def _run_office(soffice: str, form: str, source: Path, workdir: Path, to: str, time_limit: float) -> Path:
    given = workdir / f"document.{form}"
    shutil.copyfile(source, given)
    outdir = workdir / "converted"
    # A profile of its own: another instance, of the user or of another job, would take the command over.
    profile = f"-env:UserInstallation={(workdir / 'profile').resolve().as_uri()}"
    options = ["--headless", "--norestore", "--nodefault", "--nolockcheck"]
    command = [soffice, profile, *options, "--convert-to", to, "--outdir", str(outdir), str(given)]
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(time_limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # soffice is only the parent of the process that works
        process.wait()
        raise JobFailed("Timeout", f"LibreOffice did not finish within {time_limit:g} s") from None
    result = outdir / f"document.{to}"
    # It returns 0 when it could not read the document, too.
    if not result.exists():
        raise JobFailed("InvalidDocument", f"LibreOffice cannot read the object as {form}")
    return result


def _numbers(pages: str, count: int) -> Iterator[int]:
    """Yield the chosen page numbers, each once, in the document's order; all for an empty text."""
    ranges = [part.partition("-") for part in pages.split(",") if part]
    for number in range(1, count + 1):
        if not ranges or any(int(first) <= number <= int(last or first) for first, _, last in ranges):
            yield number
