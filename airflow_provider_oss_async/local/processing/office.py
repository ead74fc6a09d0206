"""Office documents to PDF without LibreOffice: pandoc or openpyxl reads, typst lays out.

All of the text, tables and pictures, in a plain layout. Fonts come from the installed ``justmytype`` packs
only, so that a document looks the same on every machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pypandoc

from airflow_provider_oss_async.local.processing import office_xml, spreadsheet
from airflow_provider_oss_async.local.processing.pandoc_blocks import read_blocks
from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.text_encoding import decode
from airflow_provider_oss_async.local.processing.typesetting import typeset
from airflow_provider_oss_async.process.document import PLAIN

_DOCX = ("docx", "docm", "dotx", "dotm")
_PPTX = ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm")
_XLSX = ("xlsx", "xlsm", "xltx", "xltm")
_HTML = ("html", "htm")
_TEXT = tuple(name for name in PLAIN if name not in ("wpt", "rtf", *_HTML))
_READERS = dict.fromkeys(_DOCX, "docx") | dict.fromkeys(_PPTX, "pptx") | dict.fromkeys(_HTML, "html")
_READERS["rtf"] = "rtf"
#: What can be read without LibreOffice.
FORMATS = frozenset({*_READERS, *_XLSX, *_TEXT, "csv"})
#: Against zip bombs: the most that a document may hold when unpacked, in bytes.
MAX_UNPACKED = 1024**3
#: The most characters of a text that are laid out.
MAX_CHARACTERS = 5_000_000
#: How long pandoc may take, in seconds, and how much memory.
_TIME_LIMIT, _MEMORY_LIMIT = 120.0, "1g"
ENCRYPTED = "The document is protected by a password: store it without one"
#: First bytes of the container of Office's old formats and of encrypted files.
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_A4 = (595.28, 841.89)
_MARGIN = 51.0


def to_pdf(
    form: str, source: Path, workdir: Path, title: str, *, max_unpacked: int = MAX_UNPACKED
) -> list[tuple[str | None, list[Path]]]:
    """Lay a document out as PDF.

    :param form: one of :data:`FORMATS`.
    :param title: name of the one sheet of a csv file.
    :param max_unpacked: the most that a document may hold when unpacked, in bytes.
    :return: the parts of the document, each with its PDF files in order: of a workbook the worksheets with
        their names, else one part without a name.
    :raises JobFailed: the document is damaged, encrypted or too large.
    """
    try:
        if form in (*_DOCX, *_XLSX, *_PPTX):
            _check_size(source, max_unpacked)
        if form == "csv":
            return [(title, _sheet(spreadsheet.read_csv(decode(source.read_bytes())), workdir, 1))]
        if form in _XLSX:
            sheets = spreadsheet.read_workbook(source)
            return [(name, _sheet(cells, workdir, number)) for number, (name, cells) in enumerate(sheets, 1)]
        if form in _TEXT:
            return [(None, [_text(decode(source.read_bytes()), workdir)])]
        return [(None, [_document(form, source, workdir)])]
    except JobFailed:
        raise
    except (zipfile.BadZipFile, ParseError) as error:
        raise _damaged(form, str(error)) from error
    except Exception as error:
        # The readers raise many kinds of errors for a damaged file.
        raise _damaged(form, type(error).__name__) from error


def _damaged(form: str, reason: str) -> JobFailed:
    return JobFailed("InvalidDocument", f"The object is damaged or not of the format {form}: {reason}")


def check_encryption(source: Path) -> None:
    """Refuse Office files that are protected by a password.

    :raises JobFailed: it is one.
    """
    with source.open("rb") as file:
        # Office wraps an encrypted file of the new formats into one of the old container.
        if file.read(8) == _COMPOUND_FILE and "EncryptedPackage".encode("utf-16-le") in file.read():
            raise JobFailed("EncryptedDocument", ENCRYPTED)


def _check_size(source: Path, max_unpacked: int) -> None:
    with zipfile.ZipFile(source) as archive:
        if sum(item.file_size for item in archive.infolist()) > max_unpacked:
            raise JobFailed(
                "SourceTooLarge", f"The document holds more than {max_unpacked} bytes when unpacked"
            )


def _document(form: str, source: Path, workdir: Path) -> Path:
    reader = _READERS[form]
    page = office_xml.Page()
    given = workdir / f"rewritten.{reader}"
    if reader == "html":
        given.write_text(decode(source.read_bytes()), encoding="utf-8")
    elif reader == "rtf":
        shutil.copyfile(source, given)
        with source.open("rb") as file:
            if file.read(5) != b"{\\rtf":
                raise _damaged(form, "it does not begin with {\\rtf")
    else:
        page = office_xml.rewrite(source, given)
    media = workdir / "media"
    arguments = ["-f", reader, "-t", "json", f"--extract-media={media.name}", given.name]
    document = json.loads(run_pandoc(form, workdir, arguments))
    width, height = page.size or _A4
    room = width - 2 * _MARGIN, height - 2 * _MARGIN
    blocks = read_blocks(document, workdir, room, slides=reader == "pptx", with_title=reader == "docx")
    content = json.dumps({**document, "meta": {}, "blocks": blocks}).encode()
    body = run_pandoc(form, workdir, ["-f", "json", "-t", "typst", "--wrap=none"], content).decode()
    settings = {"width": f"{width}pt", "height": f"{height}pt", "margin": f"{_MARGIN}pt"}
    if reader == "pptx":
        settings["size"] = "18pt"
    settings |= {name: _string(text) for name in ("header", "footer") if (text := getattr(page, name))}
    return typeset(body, workdir, "document", **settings)


def _sheet(cells: spreadsheet.Cells, workdir: Path, number: int) -> list[Path]:
    height, width = _A4
    settings = {"width": f"{width}pt", "height": f"{height}pt", "margin": f"{_MARGIN}pt", "size": "8pt"}
    results = []
    for part, tables in enumerate(spreadsheet.tables(cells, width - 2 * _MARGIN), 1):
        name = f"sheet{number}-{part}"
        (workdir / f"{name}.json").write_text(json.dumps(tables), encoding="utf-8")
        results.append(typeset(f'#sheet(json("{name}.json"))', workdir, name, **settings))
    return results


def _text(text: str, workdir: Path) -> Path:
    if len(text) > MAX_CHARACTERS:
        raise JobFailed("SourceTooLarge", f"The text has more than {MAX_CHARACTERS:,} characters")
    lines = ("".join(c for c in line if c.isprintable() or c == "\t") for line in text.splitlines())
    (workdir / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return typeset('#raw(read("text.txt"), block: true)', workdir, "text", size="11pt")


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def run_pandoc(form: str, workdir: Path, arguments: list[str], given: bytes = b"") -> bytes:
    """Run pandoc, without access to other files than the named ones and to the network.

    :param form: what is read, for the message.
    :param workdir: its working directory.
    :param given: standard input.
    :return: standard output.
    :raises JobFailed: pandoc cannot read it, or takes too long.
    """
    program = str(Path(pypandoc.get_pandoc_path()).resolve())
    command = [program, "+RTS", f"-M{_MEMORY_LIMIT}", "-RTS", "--sandbox", "--quiet", *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_TIME_LIMIT, cwd=workdir)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise JobFailed("Timeout", f"pandoc did not finish within {_TIME_LIMIT:g} s") from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise _damaged(form, reason[0][:300])
    return done.stdout
