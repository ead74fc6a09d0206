"""Document conversion (https://www.alibabacloud.com/help/en/oss/user-guide/document-conversion)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Annotated, Any, Required

from pydantic import BeforeValidator, StringConstraints
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.specification import Param, Specification, Token
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Literal

    from airflow_provider_oss_async.process.grammar import Process
    from airflow_provider_oss_async.process.uri import ObjectURI

WORD = ("doc", "docx", "wps", "wpss", "docm", "dotm", "dot", "dotx", "html")
PRESENTATION = (
    "pptx", "ppt", "pot", "potx", "pps", "ppsx", "dps", "dpt", "pptm", "potm", "ppsm", "dpss",
)  # fmt: skip
SPREADSHEET = ("xls", "xlt", "et", "ett", "xlsx", "xltx", "csv", "xlsb", "xlsm", "xltm", "ets")
#: Named on the overview page only, not on the conversion page.
PLAIN = (
    "wpt", "txt", "rtf", "log", "xml", "htm", "lrc", "c", "cpp", "h", "asm", "s", "java", "asp", "bat", "bas",
    "prg", "cmd",
)  # fmt: skip
TARGETS = ("pdf", "png", "jpg", "txt")

_PAGES_FORM = "page numbers and ranges such as 1,2,4-10, as text, or one number, or a list of both"
_RANGE = r"[1-9][0-9]{0,5}(?:-[1-9][0-9]{0,5})?"
#: Characters of a page list. No maximum is documented.
MAX_PAGES_TEXT = 10_000


def _pages_text(value: Any) -> Any:
    """Let page numbers stand for their text: native templates make them of ``"3"`` and ``"1,2"``."""
    parts = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(part, str) or (type(part) is int and 0 < part < 10**6) for part in parts):
        return value
    return ",".join(map(str, parts))


Pages = Annotated[
    str,
    BeforeValidator(_pages_text),
    StringConstraints(max_length=MAX_PAGES_TEXT, pattern=rf"\A{_RANGE}(?:,{_RANGE})*\Z"),
]


class DocumentConvertParameters(TypedDict, total=False):
    """Arguments of ``doc/convert``."""

    target_format: Required[
        Annotated[
            Token,
            Param(
                "target",
                "Format of the result. txt is for text and presentation sources.",
                known=TARGETS,
                closed=True,
            ),
        ]
    ]
    source_format: Annotated[
        Token,
        Param(
            "source",
            "Format of the source; give it where the key has no extension or a wrong one.",
            default="the source's extension",
            known=(*WORD, *PRESENTATION, *SPREADSHEET, "pdf", *PLAIN),
        ),
    ]
    pages: Annotated[
        Pages,
        Param(
            "pages",
            "Pages to convert.",
            default="all pages",
            types="str | int | Sequence[int | str]",
            form=_PAGES_FORM,
        ),
    ]


class DocumentConvert(Specification):
    """Convert an office document or a PDF to page images, a PDF or plain text. Sources up to 200 MB.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/document-conversion

    :param target_format: Format of the result. txt is for text and presentation sources. One of pdf, png,
        jpg, txt. Required. Wire key ``target``.
    :param source_format: Format of the source; give it where the key has no extension or a wrong one. Text
        such as doc, docx, wps, wpss, docm, dotm, dot, dotx, html, pptx, ppt, pot, potx, pps, ppsx, dps, dpt,
        pptm, potm, ppsm, dpss, xls, xlt, et, ett, xlsx, xltx, csv, xlsb, xlsm, xltm, ets, pdf, wpt, txt, rtf,
        log, xml, htm, lrc, c, cpp, h, asm, s, java, asp, bat, bas, prg, cmd. Default: the source's extension.
        Wire key ``source``.
    :param pages: Pages to convert. Page numbers and ranges such as 1,2,4-10, as text, or one number, or a
        list of both. Default: all pages. Wire key ``pages``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "doc/convert"
    task_type = "OfficeConversion"
    parameters = DocumentConvertParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/document-conversion"
    outputs = "one object for pdf and txt; one per page for images: put {index} into the target"
    format_key = "target"
    appends_extension = False

    def __init__(  # made by python -m tests.generate
        self,
        *,
        target_format: Literal["pdf", "png", "jpg", "txt"] | str,
        source_format: str | str | None = None,
        pages: str | int | Sequence[int | str] | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            target_format=target_format,
            source_format=source_format,
            pages=pages,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    @classmethod
    def writes_many(cls, process: Process) -> bool:
        """Return whether the result is images of more than one page."""
        one_page = re.fullmatch(r"[0-9]+", process.param("pages") or "")
        return process.param("target") not in ("pdf", "txt") and not one_page

    def errors(self) -> Iterator[str]:
        """Yield page ranges that run backwards."""
        for part in self.get("pages", "").split(","):
            first, dash, last = part.partition("-")
            if dash and int(first) > int(last):
                yield f"pages={shown(self.get('pages'))} is not allowed: {part} runs backwards"

    def warnings(self, source: ObjectURI | None = None) -> Iterator[str]:
        """Yield combinations on which the documentation contradicts itself."""
        yield from super().warnings(source)
        extension = posixpath.splitext(source.key)[1].removeprefix(".").lower() if source else ""
        source_format = self.get("source_format", extension)
        if self.get("target_format") == "txt" and source_format in (*SPREADSHEET, "pdf"):
            yield (
                "target_format='txt' is documented for text and presentation sources, not for "
                f"{source_format}: the job may fail"
            )
