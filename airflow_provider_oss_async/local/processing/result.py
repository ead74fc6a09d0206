"""What a job produces: files, a text, or a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class JobFailed(Exception):
    """A job cannot be done with this input.

    :param code: short code such as ``InvalidArgument``. The service's own codes for
        failed jobs are not documented.
    :param message: what is wrong, without local paths.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class ProducedFile:
    """One result file.

    :param path: the file.
    :param index: number of the page, frame or sprite sheet, from 1; in a workbook that of the worksheet.
    :param stream_index: number of the stream among the source's video streams, from 0.
    :param sheet: name of the worksheet; ``None`` for anything but a page of a workbook.
    :param extension: what ``{autoext}`` stands for, without the dot.
    :param part: number of the page within the worksheet, from 1; 0 for anything but a page of a workbook.
    """

    path: Path
    index: int = 1
    stream_index: int = 0
    sheet: str | None = None
    extension: str = ""
    part: int = 0

    @property
    def index_text(self) -> str:
        """What ``{index}`` stands for: ``3``, or for a workbook ``<sheet>_<part>``."""
        return f"{self.index}_{self.part}" if self.part else str(self.index)


@dataclass(frozen=True, slots=True)
class Produced:
    """The result of a job.

    :param files: the files, in order.
    :param content: decoded text of a watermark; ``None`` for any other job.
    """

    files: list[ProducedFile] = field(default_factory=list)
    content: str | None = None
