"""What outputs a job will have, told from its instruction alone.

Sources: "Variables" and "sys/saveas" of the OSS user guide
(https://www.alibabacloud.com/help/en/oss/user-guide/variables, .../sys-or-saveas), "Frame capture" for the
suffix of frames, and IMM's CreateMediaConvertTask for the rule on keys without an extension.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import RAW, RAW_RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.process.grammar import Process
    from airflow_provider_oss_async.process.uri import ObjectURI

_SOURCE_VARIABLES = ("bucket", "key", "dirname", "basename", "barename", "ext")
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
_TOKEN = r"\{\{|\}\}|\{([a-z_]+)\}|[{}]"  # noqa: S105
_ANY_EXTENSION = r"\.[A-Za-z0-9]+"
#: What is appended to a key without an extension, before the extension, by operations that write frames.
_NUMBERS = {"video/snapshots": r"_\d+_\d+", "video/sprite": r"(?:_\d+)*"}
#: Wire keys and defaults of the number of frames on a sprite sheet, its columns and its rows.
_SHEET = (("num", 0), ("tw", 6), ("th", 6))


class Outputs(NamedTuple):
    """The objects a job will write.

    :param bucket: their bucket.
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
    return "".join(_value(template, text, value_of) if named else text for text, named in _parts(template))


def source_variables(source: ObjectURI) -> dict[str, str]:
    """Return the variables that follow from the source's name."""
    dirname, basename = posixpath.split(source.key)
    barename, dot, ext = basename.rpartition(".")
    values = (source.bucket, source.key, dirname, basename, barename if dot else basename, ext if dot else "")
    return dict(zip(_SOURCE_VARIABLES, values, strict=True))


def format_of(process: Process) -> str:
    """Return the extension that ``{autoext}`` stands for; empty for a style, which does not say."""
    return process.param("target" if process.operation.startswith("doc/") else "f") or ""


def many_outputs(process: Process) -> bool:
    """Return whether the operation writes one object per page, frame or sheet (``False`` for a style)."""
    if process.operation == "doc/convert":
        return process.param("target") not in ("pdf", "txt")
    if process.operation == "video/sprite":
        # All tiles are sure to fit on one sheet only where their number is limited.
        texts = [(process.param(key) or "", default) for key, default in _SHEET]
        frames, columns, rows = (
            int(text) if re.fullmatch(r"\d{1,9}", text) else default for text, default in texts
        )
        return not 0 < frames <= columns * rows
    return process.operation == "video/snapshots"


def outputs_of(process: Process, source: ObjectURI) -> Outputs | None:
    """Tell what a job will write.

    :param process: the complete instruction.
    :param source: the object it is applied to.
    :return: ``None`` where the job writes no object.
    :raises ProcessError: the key template is not well formed, or the bucket depends on more than the source.
    """
    if process.saveas is None:
        return None
    template = process.saveas.key
    known = source_variables(source)
    bucket = expand(process.saveas.bucket or source.bucket, known.__getitem__)
    ext = format_of(process)
    if ext:
        known["autoext"] = ext

    opened: set[str] = set()  # variables that only the service can fill in
    prefix, shown, regex = "", "", ""
    for text, is_variable in _parts(template):
        if is_variable and text not in known:
            regex += _value(template, text, _PATTERNS.__getitem__)
            shown += text
            opened.add(text)
            continue
        literal = known[text] if is_variable else text
        if not regex:
            literal = literal.lstrip("/")  # {dirname} of an object at the top is empty
        regex += re.escape(literal)
        shown += literal
        prefix += "" if opened else literal

    many = many_outputs(process)
    bare = "." not in posixpath.basename(template)
    numbered = bare and process.operation in _NUMBERS and not opened & {"index", "streamindex"}
    # The rule on extensions may be meant for the template or, with {basename}, for what becomes of it.
    unsure = bare and "." in posixpath.basename(shown)
    suffix = ""
    if process.is_style:
        suffix = "(?:[._].*)?"
    elif bare:
        suffix = (_NUMBERS[process.operation] if numbered else "") + (
            re.escape(f".{ext}") if ext else _ANY_EXTENSION
        )
        if unsure or process.operation == "doc/convert" or (many and not numbered):
            suffix = f"(?:{suffix})?"
        elif ext and not numbered:
            regex, suffix = regex + suffix, ""
            prefix += "" if opened else f".{ext}"
    return Outputs(
        bucket=bucket,
        key="" if opened or suffix else prefix,
        prefix=prefix,
        pattern=re.compile(regex + suffix),
        overwrites=many and not opened & {"index", "sheetname"} and (unsure or not numbered),
    )


def check_outputs(process: Process, source: ObjectURI) -> None:
    """Check what was made for one object against that object.

    :param process: the complete instruction.
    :param source: the object it is applied to.
    :raises ProcessError: the target cannot be written, or is an object being read, or the topic is no name.
    """
    problems = []
    outputs = outputs_of(process, source)
    if process.saveas is not None and process.saveas.key.endswith("/"):
        problems.append(
            f"target={process.saveas.key!r} is not allowed: the service writes no key that ends in /"
        )
    if outputs is not None and outputs.bucket == source.bucket:
        read = {source.key, *(segment.object for segment in process.segments)}
        if outputs.prefix in read and outputs.pattern.fullmatch(outputs.prefix):
            problems.append(
                f"target: oss://{source.bucket}/{outputs.prefix} is being read; it would be overwritten"
            )
    if process.topic and not re.fullmatch(RAW, process.topic):
        problems.append(f"topic={process.topic!r} is not allowed: a topic's name is {RAW_RULE}")
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)


def _parts(template: str) -> Iterator[tuple[str, bool]]:
    """Yield literal texts, and the names of variables with ``True``."""
    end = 0
    for match in re.finditer(_TOKEN, template):
        yield template[end : match.start()], False
        end = match.end()
        if match[1]:
            yield match[1], True
        elif match[0] in ("{{", "}}"):
            yield match[0][0], False
        else:
            raise ProcessError(f"{template!r}: a brace stands alone; write {{variable}}, or {{{{ for a brace")
    yield template[end:], False


def _value(template: str, name: str, value_of: Callable[[str], str]) -> str:
    try:
        return value_of(name)
    except KeyError:
        known = ", ".join((*_SOURCE_VARIABLES, *_PATTERNS))
        raise ProcessError(
            f"{template!r}: {name} is not a variable that can be used here; there are {known}, "
            f"in a bucket only the first {len(_SOURCE_VARIABLES)}"
        ) from None
