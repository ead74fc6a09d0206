"""XML for OSS and SMQ."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

Content = str | list[tuple[str, "Content"]]


def to_xml(tag: str, content: Content, namespace: str = "") -> bytes:
    """Return a document: nested ``(tag, content)`` pairs, text escaped."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}{attribute}>{_inner(content)}</{tag}>'.encode()


def _inner(content: Content) -> str:
    if isinstance(content, str):
        return escape(content)
    return "".join(f"<{tag}>{_inner(inner)}</{tag}>" for tag, inner in content)


def read_xml(body: bytes) -> ET.Element:
    """Read a document without a type declaration, namespaces removed.

    :raises ValueError: not XML, or with a type declaration (which could define entities).
    """
    if b"<!DOCTYPE" in body:
        raise ValueError("a document type declaration is not accepted")
    try:
        root = ET.fromstring(body)  # noqa: S314
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def texts(elements: Iterable[ET.Element]) -> dict[str, str]:
    """Return tag and text of elements."""
    return {element.tag: (element.text or "").strip() for element in elements}
