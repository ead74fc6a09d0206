"""The tiny inputs that ``verify`` uploads: a carried clip of two seconds, and files made on the spot."""

from __future__ import annotations

import io
import struct
import wave
import zipfile
import zlib
from pathlib import Path

_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org"


def samples() -> dict[str, bytes]:
    """Return the inputs by name, about 60 KB.

    ``clip.mp4`` (160x120, 2 s, with sound), ``tone.wav`` (1 s), ``pages.docx`` (two pages), ``picture.png``
    (160x160) and ``broken.mp4``, which no program can read.
    """
    return {
        "clip.mp4": (Path(__file__).parent / "sample.mp4").read_bytes(),
        "tone.wav": _tone(),
        "pages.docx": _document("first page", "second page"),
        "picture.png": _picture(160),
        "broken.mp4": b"This is no video. " * 50,
    }


def _tone() -> bytes:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(b"".join(struct.pack("<h", 8000 if n // 20 % 2 else -8000) for n in range(16_000)))
    return stream.getvalue()


def _document(*pages: str) -> bytes:
    pause = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'
    text = pause.join(f"<w:p><w:r><w:t>{page}</w:t></w:r></w:p>" for page in pages)
    part = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{part}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships"><Relationship Id="r1" '
        f'Type="{_OFFICE}/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
        "</Relationships>",
        "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{text}</w:body></w:document>',
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{content}')
    return stream.getvalue()


def _picture(side: int) -> bytes:
    rows = b"".join(
        b"\0" + b"".join(bytes((x // 8 * 8, y // 8 * 8, 128)) for x in range(side)) for y in range(side)
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
