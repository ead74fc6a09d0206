"""A document that pandoc has read, prepared for layout.

Pictures are converted and limited to the page, paragraphs of right-to-left scripts get their direction, page
breaks and slides become Typst markup; links, identifiers and classes go, for Typst refuses broken ones.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from PIL import Image

from airflow_provider_oss_async.local.processing.office_xml import PAGE_BREAK, SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_INCHES = {"in": 1.0, "inch": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72, "pc": 1 / 6, "px": 1 / 96}
#: What Typst reads.
_PICTURES = {"PNG", "JPEG", "GIF", "WEBP"}
_DATA_URI = re.compile(r"data:image/[\w.+-]+;base64,(.*)", re.S)

Node = dict[str, Any]


def read_blocks(
    document: Node, workdir: Path, room: tuple[float, float], *, slides: bool, with_title: bool
) -> list[Node]:
    """Return the blocks of a document in pandoc's JSON format, ready to be written as Typst.

    :param workdir: what pictures are relative to.
    :param room: width and height between the margins, in pt.
    :param slides: every slide becomes a page.
    :param with_title: title, authors and so on are paragraphs of the document.
    """
    cleaner = _Cleaner(workdir, room)
    blocks: list[Node] = cleaner.clean(document["blocks"])
    if slides:
        return list(_slides(document["blocks"], blocks))
    titles = cleaner.clean(list(_titles(document["meta"]))) if with_title else []
    return list(_page_breaks([*titles, *blocks]))


def _typst(text: str) -> Node:
    return {"t": "RawBlock", "c": ["typst", text]}


def _text(node: Any) -> str:
    if isinstance(node, list):
        return "".join(map(_text, node))
    if isinstance(node, dict):
        return node["c"] if node.get("t") == "Str" else _text(node.get("c"))
    return ""


def _is_right_to_left(text: str) -> bool:
    directions = (unicodedata.bidirectional(char) for char in text)
    return next((found for found in directions if found in ("L", "R", "AL")), "L") != "L"


def _full_width(columns: list[Any]) -> list[Any]:
    """Widen the columns of a table to all of the width: those of a nested one are parts of the page's."""
    widths = [width.get("c", 0) for _, width in columns]
    if not all(widths):
        return columns
    return [
        [alignment, {"t": "ColWidth", "c": width / sum(widths)}]
        for (alignment, _), width in zip(columns, widths, strict=True)
    ]


def _titles(meta: Node) -> Iterator[Node]:
    """Yield what pandoc takes out of the text for its position at the beginning."""
    for name in ("title", "subtitle", "author", "date", "abstract"):
        value = meta.get(name, {"t": "MetaList", "c": []})
        for item in value["c"] if value["t"] == "MetaList" else [value]:
            if item["t"] == "MetaBlocks":
                yield from item["c"]
            elif item["t"] == "MetaInlines":
                attributes = ["", [], []]
                heading = {"t": "Header", "c": [1, attributes, item["c"]]}
                yield heading if name == "title" else {"t": "Para", "c": item["c"]}


def _slides(given: list[Node], blocks: list[Node]) -> Iterator[Node]:
    started = 0
    # Both lists have the same blocks; identifiers are gone from the second.
    headings = {block["c"][1][0]: block for block in given if block["t"] == "Header"}
    for block in blocks:
        identifier = f"slide-{started + 1}"
        if (
            block["t"] == "Header"
            and identifier in headings
            and block["c"][2] == headings[identifier]["c"][2]
        ):
            started += 1
            yield _typst("]\n#slide[" if started > 1 else "#slide[")
            # A slide without a title gets one from pandoc.
            if _text(block) == f"Slide {started}":
                continue
        yield block
    yield _typst("]" if started else "")


def _page_breaks(blocks: list[Node]) -> Iterator[Node]:
    for block in blocks:
        if block["t"] not in ("Para", "Header") or PAGE_BREAK not in _text(block):
            yield _without_marks(block)
            continue
        pieces: list[list[Node]] = [[]]
        inlines = block["c"] if block["t"] == "Para" else block["c"][2]
        for inline in inlines:
            first, *rest = inline["c"].split(PAGE_BREAK) if inline["t"] == "Str" else [""]
            if not rest:
                pieces[-1].append(_without_marks(inline))
                continue
            pieces[-1].append({"t": "Str", "c": first})
            pieces += [[{"t": "Str", "c": text}] for text in rest]
        for number, piece in enumerate(pieces):
            if number:
                yield _typst("#pagebreak()")
            if _text(piece) or any(inline["t"] not in ("Str", "Space", "LineBreak") for inline in piece):
                yield (
                    {"t": "Para", "c": piece}
                    if block["t"] == "Para"
                    else {
                        "t": "Header",
                        "c": [*block["c"][:2], piece],
                    }
                )


def _without_marks(node: Any) -> Any:
    if isinstance(node, str):
        return node.replace(PAGE_BREAK, "")
    if isinstance(node, list):
        return [_without_marks(item) for item in node]
    return {key: _without_marks(value) for key, value in node.items()} if isinstance(node, dict) else node


class _Cleaner:
    def __init__(self, workdir: Path, room: tuple[float, float]) -> None:
        self._workdir, self._room = workdir, room
        self._pictures = 0

    def clean(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self.clean(value) for key, value in node.items()}
        if not isinstance(node, list):
            return node
        if len(node) == 3 and isinstance(node[0], str) and all(isinstance(part, list) for part in node[1:]):
            return ["", [], []]
        cleaned: list[Any] = []
        for item in node:
            match item.get("t") if isinstance(item, dict) else None:
                case "Link":
                    cleaned += self.clean(item["c"][1])
                case "Image":
                    cleaned += self._picture(*item["c"])
                case "RawBlock" | "RawInline":
                    pass
                case "Table":
                    table = self.clean(item)
                    table["c"][2] = _full_width(table["c"][2])
                    cleaned.append(table)
                case "Para" | "Plain" | "Header" if _is_right_to_left(_text(item)):
                    cleaned += [_typst("#[#set text(dir: rtl)"), self.clean(item), _typst("]")]
                case _:
                    cleaned.append(self.clean(item))
        return cleaned

    def _picture(self, attributes: list[Any], alternative: list[Node], target: list[str]) -> list[Node]:
        found = self._file(target[0])
        if found is None:
            name = self.clean(alternative) or [{"t": "Str", "c": "picture"}]
            return [{"t": "Str", "c": "["}, *name, {"t": "Str", "c": "]"}]
        path, natural = found
        given = dict(attributes[2])
        if target[1].startswith(SIZE):
            given = dict(zip(("width", "height"), target[1].removeprefix(SIZE).split(), strict=True))
        width, height = (_inches(given.get(side, "")) for side in ("width", "height"))
        if not (width and height):
            ratio = natural[0] / natural[1]
            width = width or (height * ratio if height else natural[0] / 96)
            height = height or width / ratio
        scale = min(1, self._room[0] / 72 / width, self._room[1] / 72 / height)
        sides = [["width", f"{width * scale:.3f}in"], ["height", f"{height * scale:.3f}in"]]
        return [{"t": "Image", "c": [["", [], sides], [], [path, ""]]}]

    def _file(self, name: str) -> tuple[str, tuple[int, int]] | None:
        """Return a picture that Typst can read, relative to the working directory, with its size in px."""
        path = (self._workdir / name).resolve()
        if data := _DATA_URI.match(name):
            path = self._workdir / f"data{self._pictures}"
            self._pictures += 1
            try:
                path.write_bytes(base64.b64decode(data[1]))
            except (binascii.Error, ValueError):
                return None
        elif not path.is_relative_to(self._workdir.resolve()):
            return None
        try:
            with Image.open(path) as picture:
                if picture.format in _PICTURES and path.suffix.lower()[1:] in (
                    "png",
                    "jpg",
                    "jpeg",
                    "gif",
                    "webp",
                ):
                    picture.verify()
                    return path.relative_to(self._workdir.resolve()).as_posix(), picture.size
                new = self._workdir / f"picture{self._pictures}.png"
                self._pictures += 1
                picture.convert("RGBA").save(new)
                return new.name, picture.size
        except Exception:
            # Not a picture that Pillow can read, such as the drawing formats of Windows, or a damaged one.
            return None


def _inches(length: str) -> float:
    found = re.fullmatch(r"([\d.]+)(\w+)", length)
    return float(found[1]) * _INCHES.get(found[2], 0) if found else 0.0
