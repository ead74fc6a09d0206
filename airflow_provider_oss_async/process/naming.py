"""What outputs a job will have, told from its instruction alone.

Sources: "Variables" and "sys/saveas" of the OSS user guide
(https://www.alibabacloud.com/help/en/oss/user-guide/variables, .../sys-or-saveas), "Frame capture" for the
suffix of frames, and IMM's CreateMediaConvertTask for the rule on keys without an extension.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.uri import ObjectURI

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.grammar import Process

_TIMES = ("year", "mon", "day", "hour", "min", "sec")
#: What the service fills in while it works, as the pattern of what it can be.
_PATTERNS = {
    "index": r"\d+(?:_\d+)?",
    "streamindex": r"\d+",
    "sheetname": r"[^/]+",
    "resolution": r"[^/]+",
    "autoext": r"[A-Za-z0-9]+",
    **{prefix + name: r"\d{2,4}" for name in _TIMES for prefix in ("", "t_")},
}
_TOKEN = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}|[{}]")
#: Operations that write several objects, and those that add ``_STREAM_INDEX.EXT`` to a key without extension.
_MANY = {"video/snapshots", "video/sprite"}


@dataclass(frozen=True, slots=True)
class Outputs:
    """The objects a job will write.

    :param bucket: their bucket; empty where a job writes nothing.
    :param key: the key, where there is exactly one and it can be told beforehand; else empty.
    :param prefix: what every key begins with.
    :param pattern: what every key looks like.
    :param overwrites: whether several results share one key, so that only the last survives.
    """

    bucket: str
    key: str
    prefix: str
    pattern: re.Pattern[str]
    overwrites: bool = False


def expand(template: str, value_of: Callable[[str], str]) -> str:
    """Fill in the ``{variables}`` of a key template; ``{{`` and ``}}`` stand for the braces themselves.

    :param template: the key or bucket of a saveas.
    :param value_of: returns the value of a variable; raises :class:`KeyError` for an unknown one.
    :raises ProcessError: a brace stands alone, or a variable is unknown.
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if not match[1]:
            raise ProcessError(f"{template!r}: a brace stands alone; write {{variable}}, or {{{{ for a brace")
        try:
            return value_of(match[1])
        except KeyError:
            known = ", ".join([*source_variables(ObjectURI("b", "k")), *_PATTERNS])
            raise ProcessError(f"{template!r}: {match[1]} is not a variable; there are {known}") from None

    return _TOKEN.sub(replace, template)


def source_variables(source: ObjectURI) -> dict[str, str]:
    """Return the variables that follow from the source's name."""
    dirname, basename = posixpath.split(source.key)
    barename, dot, ext = basename.rpartition(".")
    return {
        "bucket": source.bucket,
        "key": source.key,
        "dirname": dirname,
        "basename": basename,
        "barename": barename if dot else basename,
        "ext": ext if dot else "",
    }


def format_of(process: Process) -> str:
    """Return the extension that ``{autoext}`` stands for; empty for a style, whose content is not known here."""
    return process.param("target" if process.operation.startswith("doc/") else "f") or ""


def many_outputs(process: Process) -> bool:
    """Return whether the operation writes one object per page, frame or sheet (``False`` for a style)."""
    if process.operation == "doc/convert":
        return process.param("target") not in ("pdf", "txt")
    return process.operation in _MANY


def outputs_of(process: Process, source: ObjectURI) -> Outputs | None:
    """Tell what a job will write.

    :param process: the complete instruction.
    :param source: the object it is applied to.
    :return: ``None`` where the job writes no object.
    :raises ProcessError: the key template is not well formed.
    """
    if process.saveas is None:
        return None
    known = source_variables(source)
    if ext := format_of(process):
        known["autoext"] = ext
    template = process.saveas.key
    variable = False

    def literal(name: str) -> str:
        nonlocal variable
        if name in known:
            return known[name]
        variable = True
        return f"\0{_PATTERNS[name]}\0"

    bucket = expand(process.saveas.bucket or source.bucket, lambda name: known[name])
    pieces = expand(template, literal).lstrip("/").split("\0")
    # Odd pieces are patterns. A key without an extension gets one, frames also their stream and index.
    suffix = ""
    if "." not in posixpath.basename(template) and not process.is_style:
        dot_ext = rf"\.{re.escape(ext)}" if ext else r"\.[A-Za-z0-9]+"
        if process.operation == "video/snapshots" and not variable:
            suffix = rf"_\d+_\d+{dot_ext}"
        elif process.operation == "video/sprite" and not variable:
            suffix = rf"(?:_\d+)*{dot_ext}"
        elif process.operation.startswith("doc/"):
            suffix = f"(?:{dot_ext})?"
        elif not many_outputs(process):
            pieces[-1] += f".{ext}"
        else:
            suffix = f"(?:{dot_ext})?"
    pattern = "".join(p if n % 2 else re.escape(p) for n, p in enumerate(pieces)) + suffix
    single = len(pieces) == 1 and not suffix and not process.is_style
    return Outputs(
        bucket=bucket,
        key=pieces[0] if single else "",
        prefix=pieces[0],
        pattern=re.compile(pattern if not process.is_style else pattern + r"(?:[._].*)?"),
        overwrites=single and many_outputs(process),
    )
