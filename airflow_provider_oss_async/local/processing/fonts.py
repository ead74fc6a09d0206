"""Fonts for documents that are laid out here: those of the machine, else those of the packages."""

from __future__ import annotations

import functools
import itertools
import os
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont

_ROOTS = {
    "darwin": ["/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"],
    "win32": ["C:/Windows/Fonts"],
}.get(sys.platform, ["/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts"])
#: Regular, bold, italic and both; the last family comes with reportlab.
_FAMILIES = (
    ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSans-BoldOblique.ttf"),
    ("Arial.ttf", "Arial Bold.ttf", "Arial Italic.ttf", "Arial Bold Italic.ttf"),
    ("arial.ttf", "arialbd.ttf", "ariali.ttf", "arialbi.ttf"),
    ("Vera.ttf", "VeraBd.ttf", "VeraIt.ttf", "VeraBI.ttf"),
)  # fmt: skip
#: Fonts with Chinese, Japanese and Korean glyphs and TrueType outlines (reportlab reads no others).
_WIDE = (
    "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf", "DroidSansFallback.ttf",
    "NotoSansSC-Regular.ttf", "NotoSansTC-Regular.ttf", "NotoSansSC[wght].ttf", "NotoSansTC[wght].ttf",
    "Arial Unicode.ttf", "msyh.ttc", "msjh.ttc", "simsun.ttc", "malgun.ttf",
)  # fmt: skip
#: Not embedded: viewers bring their own glyphs for it.
_CID = "STSong-Light"
BODY = "Body"


@functools.cache
def register() -> TTFont | None:
    """Make the font ``Body`` known to reportlab.

    :return: a font with wide glyphs; ``None`` if there is none.
    """
    files: dict[str, Path] = {}
    for root in _ROOTS:
        for folder, _, names in os.walk(os.path.expanduser(root)):
            for name in names:
                files.setdefault(name, Path(folder, name))
    family = next((f for f in _FAMILIES if all(name in files for name in f)), _FAMILIES[-1])
    kinds = (BODY, f"{BODY}-Bold", f"{BODY}-Italic", f"{BODY}-BoldItalic")
    for kind, name in zip(kinds, family, strict=True):
        pdfmetrics.registerFont(TTFont(kind, str(files.get(name, name))))
    pdfmetrics.registerFontFamily(BODY, *kinds)
    pdfmetrics.registerFont(UnicodeCIDFont(_CID))
    for name in _WIDE:
        if name in files:
            try:
                wide = TTFont("Wide", str(files[name]))
            except (TTFError, OSError):
                continue
            pdfmetrics.registerFont(wide)
            return wide
    return None


def markup(text: str) -> str:
    """Escape a text for reportlab's paragraphs, with another font where ``Body`` has no glyph."""
    wide = register()
    body = _glyphs(pdfmetrics.getFont(BODY))

    def font_of(char: str) -> str:
        if ord(char) in body or char.isspace():
            return ""
        if wide is not None and ord(char) in _glyphs(wide):
            return "Wide"
        # Chinese, Japanese and Korean; anything else becomes the box for a missing glyph.
        return _CID if 0x2E80 <= ord(char) <= 0xFFEF else ""

    pieces = []
    text = "".join(c for c in text if c.isprintable() or c in "\n\t")
    for font, chars in itertools.groupby(text, font_of):
        piece = escape("".join(chars)).replace("\n", "<br/>").replace("\t", "&nbsp;" * 4)
        pieces.append(f'<font name="{font}">{piece}</font>' if font else piece)
    return "".join(pieces)


def _glyphs(font: Any) -> dict[int, int]:
    glyphs: dict[int, int] = font.face.charToGlyph
    return glyphs
