"""XML for OSS and SMQ."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

Content = str | list[tuple[str, "Content"]]

#: Characters that XML 1.0 cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(tag: str, content: Content, namespace: str = "") -> bytes:
    """Return a document: nested ``(tag, content)`` pairs, text escaped.

    Characters that XML cannot hold become U+FFFD.
    """
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}{attribute}>{_inner(content)}</{tag}>'.encode()


def _inner(content: Content | Sequence[tuple[str, str]]) -> str:
    if isinstance(content, str):
        return escape(_NOT_XML.sub("\ufffd", content), {"\r": "&#13;"})
    return "".join(f"<{tag}>{_inner(inner)}</{tag}>" for tag, inner in content)


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type declaration in any encoding, before the entities in it are read."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type declaration is not accepted")


def read_xml(body: bytes) -> ET.Element:
    """Read a document without a type declaration, namespaces removed.

    :raises ValueError: not XML, of an unknown encoding, or with a type declaration (which could define
        entities).
    """
    try:
        root = ET.fromstring(body, ET.XMLParser(target=_NoDoctype()))  # noqa: S314
    except (ET.ParseError, LookupError) as error:
        raise ValueError(str(error)) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
