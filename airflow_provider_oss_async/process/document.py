"""Document conversion (https://www.alibabacloud.com/help/en/oss/user-guide/document-conversion)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Required

from pydantic import BeforeValidator, StringConstraints
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.specification import Param, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

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

_PAGES_FORM = "page numbers and ranges such as 1,2,4-10"
_RANGE = r"[1-9][0-9]{0,5}(?:-[1-9][0-9]{0,5})?"
Pages = Annotated[
    str,
    # One page may come as a number.
    BeforeValidator(lambda value: str(value) if type(value) is int and value < 10**6 else value),
    StringConstraints(pattern=rf"\A{_RANGE}(?:,{_RANGE})*\Z"),
]


class DocumentConvertParameters(TypedDict, total=False):
    """Arguments of ``doc/convert``."""

    target_format: Required[
        Annotated[
            Token,
            Param("target", "Format of the result. txt is for text and presentation sources.", known=TARGETS),
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
    pages: Annotated[Pages, Param("pages", "Pages to convert.", default="all pages", form=_PAGES_FORM)]


class DocumentConvert(Specification):
    """Convert an office document or a PDF to page images, a PDF or plain text. Sources up to 200 MB."""

    operation = "doc/convert"
    task_type = "OfficeConversion"
    parameters = DocumentConvertParameters

    def errors(self) -> Iterator[str]:
        """Yield page ranges that run backwards."""
        for part in self.get("pages", "").split(","):
            first, dash, last = part.partition("-")
            if dash and int(first) > int(last):
                yield f"pages={self.get('pages')!r} is not allowed: {part} runs backwards"

    def warnings(self) -> Iterator[str]:
        """Yield combinations on which the documentation contradicts itself."""
        yield from super().warnings()
        source = self.get("source_format")
        if self.get("target_format") == "txt" and source in (*SPREADSHEET, "pdf"):
            yield f"target_format='txt' is documented for text and presentation sources, not for {source}"
