"""Word and PowerPoint files, rewritten so that pandoc reads what it would leave out.

pandoc 3.9 drops text boxes, simple fields, page breaks, headers and footers of Word files, and the groups and
the sizes of pictures of slides.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Element = ElementTree.Element

#: Stands for a page break in a paragraph's text (a private-use character).
PAGE_BREAK = "\U000f0000"
#: Begins the title of a picture that tells its size.
SIZE = "size: "
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
# pandoc knows elements by these prefixes.
for _prefix, _uri in {
    "w": _WORD, "p": _SLIDE, "mc": _COMPATIBILITY, "a": f"{_DRAWING}/main", "pic": f"{_DRAWING}/picture",
    "wp": f"{_DRAWING}/wordprocessingDrawing", "c": f"{_DRAWING}/chart", "dgm": f"{_DRAWING}/diagram",
    "r": "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
    "v": "urn:schemas-microsoft-com:vml", "o": "urn:schemas-microsoft-com:office:office",
    "wps": "http://schemas.microsoft.com/office/word/2010/wordprocessingShape",
}.items():  # fmt: skip
    ElementTree.register_namespace(_prefix, _uri)
_EMU = 12_700  # in a point


@dataclass(frozen=True, slots=True)
class Page:
    """What belongs to the pages of a document.

    :param size: width and height in pt, ``None`` where the file does not say.
    :param header: text at the top of each page.
    :param footer: text at the bottom.
    """

    size: tuple[float, float] | None = None
    header: str = ""
    footer: str = ""


def rewrite(source: Path, target: Path) -> Page:
    """Copy a ``docx`` or ``pptx`` file, with all of its text where pandoc finds it.

    :raises zipfile.BadZipFile: it is not such a file.
    :raises xml.etree.ElementTree.ParseError: a part of it is damaged.
    """
    size: tuple[float, float] | None = None
    margins: dict[str, str] = {}
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in dict.fromkeys(old.namelist()):
            data = old.read(name)
            kind = re.fullmatch(
                r"/?(?:word/(document|header|footer)|ppt/(presentation|slides/slide))\d*\.xml", name
            )
            if kind:
                root = ElementTree.fromstring(data)  # noqa: S314  (expat limits the expansion of entities)
                match kind[1] or kind[2]:
                    case "document":
                        _rewrite_word(root)
                        data = ElementTree.tostring(root, "utf-8", xml_declaration=True)
                    case "slides/slide":
                        _rewrite_slide(root)
                        data = ElementTree.tostring(root, "utf-8", xml_declaration=True)
                    case "presentation":
                        side = root.find(f"{{{_SLIDE}}}sldSz")
                        if side is not None:
                            size = int(side.get("cx", 0)) / _EMU, int(side.get("cy", 0)) / _EMU
                    case margin:
                        margins[margin] = margins.get(margin) or _text(root)
            new.writestr(name, data)
    return Page(
        size if size and min(size) > 0 else None, margins.get("header", ""), margins.get("footer", "")
    )


def _text(root: Element) -> str:
    paragraphs = ("".join(t.text or "" for t in p.iter(_w("t"))) for p in root.iter(_w("p")))
    return " ".join(text for text in map(str.strip, paragraphs) if text)


def _w(name: str) -> str:
    return f"{{{_WORD}}}{name}"


def _unwrap(parent: Element, tags: set[str]) -> None:
    """Put the children of some elements in the place of these elements, at any depth."""
    for child in list(parent):
        _unwrap(child, tags)
        if child.tag in tags:
            place = list(parent).index(child)
            parent[place : place + 1] = list(child)


def _choose_alternatives(root: Element) -> None:
    """Keep the first of each set of alternatives; the others hold the same once more."""
    for parent in list(root.iter(f"{{{_COMPATIBILITY}}}AlternateContent")):
        del parent[1:]
    _unwrap(root, {f"{{{_COMPATIBILITY}}}{name}" for name in ("AlternateContent", "Choice", "Fallback")})


def _rewrite_word(root: Element) -> None:
    _choose_alternatives(root)
    _unwrap(root, {_w("fldSimple"), _w("customXml")})
    _move_text_boxes(root)
    for body in root.iter(_w("body")):
        for paragraph in body.findall(_w("p")):
            _mark_page_breaks(paragraph)


def _move_text_boxes(parent: Element) -> None:
    """Put the content of text boxes behind the paragraphs that they are anchored to."""
    for child in list(parent):
        _move_text_boxes(child)
        if child.tag == _w("p"):
            place = list(parent).index(child) + 1
            for box in list(child.iter(_w("txbxContent"))):
                blocks = list(box)
                box.clear()
                parent[place:place] = blocks
                place += len(blocks)


def _mark_page_breaks(paragraph: Element) -> None:
    properties = paragraph.find(_w("pPr"))
    before = properties is not None and properties.find(_w("pageBreakBefore")) is not None
    section = properties.find(_w("sectPr")) if properties is not None else None
    for parent in list(paragraph.iter()):
        for child in list(parent):
            if child.tag == _w("r") and any(b.get(_w("type")) == "page" for b in child.findall(_w("br"))):
                parent[list(parent).index(child) : list(parent).index(child) + 1] = _split_run(child)
    if before:
        paragraph.insert(1, _page_break())
    if section is not None:
        kind = section.find(_w("type"))
        if kind is None or kind.get(_w("val")) != "continuous":
            paragraph.append(_page_break())


def _split_run(run: Element) -> Iterator[Element]:
    """Yield a run in pieces, with marks in the place of its page breaks."""
    properties = run.find(_w("rPr"))
    piece = ElementTree.Element(run.tag)
    for child in run:
        if child.tag == _w("br") and child.get(_w("type")) == "page":
            yield piece
            yield _page_break()
            piece = ElementTree.Element(run.tag)
            if properties is not None:
                piece.append(properties)
        else:
            piece.append(child)
    yield piece


def _page_break() -> Element:
    run = ElementTree.Element(_w("r"))
    ElementTree.SubElement(run, _w("t")).text = PAGE_BREAK
    return run


def _rewrite_slide(root: Element) -> None:
    _choose_alternatives(root)
    for group in root.iter(f"{{{_SLIDE}}}grpSp"):
        for name in ("nvGrpSpPr", "grpSpPr"):
            for child in group.findall(f"{{{_SLIDE}}}{name}"):
                group.remove(child)
    _unwrap(root, {f"{{{_SLIDE}}}grpSp"})
    for picture in root.iter(f"{{{_SLIDE}}}pic"):
        extent = picture.find(f"{{{_SLIDE}}}spPr/{{{_DRAWING}/main}}xfrm/{{{_DRAWING}/main}}ext")
        properties = picture.find(f"{{{_SLIDE}}}nvPicPr/{{{_SLIDE}}}cNvPr")
        if extent is not None and properties is not None:
            # pandoc keeps the name, as the title.
            sides = (int(extent.get(side, 0)) / _EMU / 72 for side in ("cx", "cy"))
            properties.set("name", SIZE + " ".join(f"{side:.3f}in" for side in sides))
