"""Reading XML that services answer with."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat


def parse_xml(data: bytes) -> Element:
    """Return the root; a nameless element if the data is not XML or holds a document type declaration.

    The services never send one, and everything that makes XML dangerous (entities that grow or fetch) begins
    with it.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ParseError, ValueError, LookupError):  # the latter two: strange encodings
        return Element("")
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise ParseError("a document type declaration")
