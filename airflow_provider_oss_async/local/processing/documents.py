"""Document conversion: everything becomes PDF first, then pages, images or text.

PDF is read by PDFium. Office formats are read by LibreOffice where it is installed; without it docx, xlsx,
pptx and their kin, csv, html and plain text are laid out anew by
``office``: all of the text, tables and pictures, little of the look. The
old binary formats then fail. Worksheets are always laid out anew, for the pages of a workbook must be told
apart by sheet.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pypdfium2

from airflow_provider_oss_async.local.processing import office
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


def convert(spec: Specification, source: Path, workdir: Path, name: str) -> list[ProducedFile]:
    """Convert one document.

    :param name: the object's key; its extension is the format where ``source_format`` is not given.
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
    parts = _as_pdf(form, source, workdir, PurePosixPath(name).stem)
    with _pdfium, contextlib.ExitStack() as stack:
        documents = []
        for _, path in parts:
            try:
                documents.append(stack.enter_context(contextlib.closing(pypdfium2.PdfDocument(path))))
            except pypdfium2.PdfiumError as error:
                raise JobFailed("InvalidDocument", f"The object cannot be read as PDF: {error}") from error
        pages = [(part, page) for part, document in enumerate(documents) for page in range(len(document))]
        chosen = [pages[number - 1] for number in _numbers(spec.get("pages", ""), len(pages))]
        if not chosen:
            raise JobFailed(
                "InvalidArgument", f"pages={spec.get('pages')!r} is not in the document ({len(pages)} pages)"
            )
        result = workdir / f"result.{target}"
        if target == "pdf":
            merged = stack.enter_context(contextlib.closing(pypdfium2.PdfDocument.new()))
            for part, page in chosen:
                merged.import_pages(documents[part], [page])
            merged.save(result)
        elif target == "txt":
            texts = (documents[part][page].get_textpage().get_text_bounded() for part, page in chosen)
            result.write_text("\n".join(text.replace("\r\n", "\n") for text in texts), encoding="utf-8")
        else:
            return list(_images(documents, [sheet for sheet, _ in parts], chosen, workdir, target))
    return [ProducedFile(result, extension=target)]


def _images(
    documents: list[Any], sheets: list[str | None], chosen: list[tuple[int, int]], workdir: Path, target: str
) -> Iterator[ProducedFile]:
    for part, number in chosen:
        page = documents[part][number]
        scale = min(_DPI / 72, _LONGEST_SIDE / max(page.get_size()))
        path = workdir / f"page-{part + 1}-{number + 1}.{target}"
        # PDFium's background is white unless told otherwise.
        page.render(scale=scale).to_pil().convert("RGB").save(path, quality=90)
        page.close()
        if sheets[part] is None:
            yield ProducedFile(path, number + 1, extension=target)
        else:
            yield ProducedFile(path, part + 1, sheet=sheets[part], extension=target, part=number + 1)


def _as_pdf(form: str, source: Path, workdir: Path, title: str) -> list[tuple[str | None, Path]]:
    """Return PDF files with the names of their worksheets, ``None`` for other documents."""
    if form == "pdf":
        return [(None, source)]
    soffice = _soffice()
    is_sheet = form in SPREADSHEET
    if soffice and form in _OFFICE and not (is_sheet and form in office.FORMATS):
        better = "xlsx" if is_sheet else "pdf"
        source = _run_office(soffice, form, source, workdir, better)
        if not is_sheet:
            return [(None, source)]
        form = better
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


def _run_office(soffice: str, form: str, source: Path, workdir: Path, to: str) -> Path:
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
        process.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # soffice is only the parent of what works
        process.wait()
        raise JobFailed("Timeout", f"LibreOffice did not finish within {TIME_LIMIT:g} s") from None
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
