"""What outputs a job will have, told from its process alone.

Sources: "Variables" and "sys/saveas" of the OSS user guide
(https://www.alibabacloud.com/help/en/oss/user-guide/variables, .../sys-or-saveas), "Frame capture" for the
suffix of frames, and IMM's CreateMediaConvertTask for the rule on keys without an extension.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import RAW, RAW_RULE
from airflow_provider_oss_async.process.operations import SPECIFICATIONS
from airflow_provider_oss_async.process.pattern import (
    ALPHANUMERIC,
    ANY,
    DIGITS,
    NO_SLASH,
    KeyPattern,
    Maybe,
    Part,
    Some,
    Text,
)
from airflow_provider_oss_async.process.text import NATIVE_HINT, is_missing, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.process.grammar import Process
    from airflow_provider_oss_async.process.uri import ObjectURI

T = TypeVar("T")

#: https://www.alibabacloud.com/help/en/smq/developer-reference/createtopic
MAX_TOPIC = 255
_SOURCE_VARIABLES = ("bucket", "key", "dirname", "basename", "barename", "ext")
_TIMES = ("year", "mon", "day", "hour", "min", "sec")
#: What the service fills in while it works.
_PATTERNS: dict[str, Part] = {
    "index": Some(DIGITS) + Maybe(Text("_") + Some(DIGITS)),
    "streamindex": Some(DIGITS),
    "sheetname": Some(NO_SLASH),
    "resolution": Some(NO_SLASH),
    "autoext": Some(ALPHANUMERIC),
    **{prefix + name: Some(DIGITS, 2, 4) for name in _TIMES for prefix in ("", "t_")},
}
#: Names of all variables, those of the source first.
VARIABLES = (*_SOURCE_VARIABLES, *_PATTERNS)
_TOKEN = r"\{\{|\}\}|\{([a-z_]+)\}|[{}]"  # noqa: S105


class Outputs(NamedTuple):
    """The objects a job will write.

    :param bucket: their bucket.
    :param key: the key, where there is exactly one and it can be told beforehand; else empty.
    :param prefix: what every key begins with.
    :param pattern: what every key looks like; ``pattern.fullmatch(key)`` takes time in proportion to the key.
    :param overwrites: whether several results share one key, so that only the last survives.
    """

    bucket: str
    key: str
    prefix: str
    pattern: KeyPattern
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
    specification = SPECIFICATIONS.get(process.operation)
    return (specification and process.param(specification.format_key)) or ""


def many_outputs(process: Process) -> bool:
    """Return whether a process may write several objects (``False`` for a style)."""
    specification = SPECIFICATIONS.get(process.operation)
    return specification is not None and specification.writes_many(process)


def outputs_of(process: Process, source: ObjectURI) -> Outputs | None:
    """Tell what a job will write.

    :param process: the complete process.
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
    prefix, shown_key = "", ""
    parts: list[Part] = []
    for text, is_variable in _parts(template):
        if is_variable and text not in known:
            parts.append(_value(template, text, _PATTERNS.__getitem__))
            shown_key += text
            opened.add(text)
            continue
        literal = known[text] if is_variable else text
        if not shown_key:
            literal = literal.lstrip("/")  # {dirname} of an object at the top is empty
        parts.append(Text(literal))
        shown_key += literal
        prefix += "" if opened else literal

    specification = SPECIFICATIONS.get(process.operation)
    many = many_outputs(process)
    bare = "." not in posixpath.basename(template)
    numbers = specification.appended_numbers if specification else 0
    numbered = bare and numbers != 0 and not opened & {"index", "streamindex"}
    # The rule on extensions may be meant for the template or, with {basename}, for what becomes of it.
    unsure = bare and "." in posixpath.basename(shown_key)
    suffix: Part | None = None
    if specification is None:
        suffix = Maybe(Some("._", 1, 1) + Maybe(Some(ANY)))
    elif bare:
        appended: Part = Text(f".{ext}") if ext else Text(".") + Some(ALPHANUMERIC)
        if numbered and numbers is None:
            appended = Maybe(Text("_") + Some(DIGITS + "_")) + appended
        elif numbered:
            appended = Text("_") + Some(DIGITS) + Text("_") + Some(DIGITS) + appended
        if unsure or not specification.appends_extension or (many and not numbered):
            suffix = Maybe(appended)
        elif ext and not numbered:
            parts.append(appended)
            prefix += "" if opened else f".{ext}"
        else:
            suffix = appended
    return Outputs(
        bucket=bucket,
        key="" if opened or suffix else prefix,
        prefix=prefix,
        pattern=KeyPattern(tuple([*parts, suffix] if suffix else parts)),
        overwrites=many and not opened & {"index", "sheetname"} and (unsure or not numbered),
    )


def check_outputs(process: Process, source: ObjectURI, *, allow_overwriting: bool = False) -> None:
    """Check what was made for one object against that object.

    :param process: the complete process.
    :param source: the object it is applied to; with an empty bucket where it is not known.
    :param allow_overwriting: whether several results may share one key.
    :raises ProcessError: the target cannot be written, or is an object being read, or the topic is no name.
    """
    problems = []
    outputs = None
    try:
        outputs = outputs_of(process, source)
    except ProcessError as error:
        problems.append(str(error))
    if process.saveas is not None and process.saveas.key.endswith("/"):
        problems.append(
            f"target={shown(process.saveas.key)} is not allowed: the service writes no key that ends in /"
        )
    if outputs is not None and outputs.bucket == source.bucket:
        read = {source.key, *(segment.object for segment in process.segments)}
        if outputs.prefix in read and outputs.pattern.fullmatch(outputs.prefix):
            problems.append(
                f"target: oss://{source.bucket}/{outputs.prefix} is being read; it would be overwritten"
            )
    if outputs is not None and process.saveas is not None and outputs.overwrites and not allow_overwriting:
        problems.append(
            f"target={shown(process.saveas.key)}: {process.operation} may write several objects, and all "
            "would have this one name, so that only the last survives; use {index}, or for frames a key "
            "without extension, or limit their number (allow_ignored=True takes it as it is)"
        )
    if process.topic:
        problems.extend(topic_errors(process.topic))
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)


def topic_errors(topic: object, name: str = "topic") -> list[str]:
    """Return what is wrong with the name of an SMQ topic.

    :param topic: the name; ``None`` is wrong too.
    :param name: the argument's name, for the message.
    """
    given = f"{name}={shown(topic)}"
    if isinstance(topic, int | float) and not isinstance(topic, bool):
        return [f"{given} is not allowed: expected text; {NATIVE_HINT}"]
    if not isinstance(topic, str) or is_missing(topic):
        return [f"{given} is not allowed: expected the name of a topic"]
    if len(topic) > MAX_TOPIC or not re.fullmatch(RAW, topic):
        return [f"{given} is not allowed: a topic's name is {RAW_RULE}, at most {MAX_TOPIC} characters"]
    return []


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
            raise ProcessError(
                f"{shown(template)}: a brace stands alone; write {{variable}}, or {{{{ for a brace"
            )
    yield template[end:], False


def _value(template: str, name: str, value_of: Callable[[str], T]) -> T:
    try:
        return value_of(name)
    except KeyError:
        known = ", ".join(VARIABLES)
        raise ProcessError(
            f"{shown(template)}: {shown(name)[1:-1]} is not a variable that can be used here; there are "
            f"{known}, in a bucket only the first {len(_SOURCE_VARIABLES)}"
        ) from None
