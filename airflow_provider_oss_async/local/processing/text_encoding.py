"""The encoding of text files."""

from __future__ import annotations

import codecs
import re

from airflow_provider_oss_async.local.processing.result import JobFailed

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: In the beginning of an HTML or XML file.
_DECLARED = re.compile(rb"""<[?!a-z][^>]*?(?:charset|encoding)\s*=\s*["']?([\w.:-]+)""", re.I)


def decode(data: bytes) -> str:
    """Return a text: with a byte order mark, in the encoding that HTML or XML declares, UTF-8 or GB 2312.

    No other encoding is guessed, for a wrong guess would go unnoticed.

    :raises JobFailed: it is in another encoding, or it is no text.
    """
    marked = [encoding for mark, encoding in _MARKS.items() if data.startswith(mark)]
    declared = _DECLARED.search(data[:1024])
    for encoding in marked[:1] or [*([declared[1].decode()] if declared else []), "utf-8", "gb2312"]:
        try:
            text = data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
        if "\0" not in text:
            return text
    raise JobFailed(
        "UnsupportedEncoding",
        "The text cannot be decoded: it is not UTF-8, UTF-16 with a byte order mark, GB 2312 or the encoding "
        "that it declares; store it as UTF-8",
    )
