"""The processing language: process strings to values and back.

The grammar is in "Asynchronous processing", "sys/saveas" and "Message notification" of the OSS user guide
(https://www.alibabacloud.com/help/en/oss/user-guide/asynchronous-processing)::

    OPERATION[,key_value]...[/pre,o_NAME[,key_value]...]...[/sur,...]...[|sys/saveas,o_NAME[,b_NAME]][/notify,topic_NAME]

Names of objects, buckets and topics, and the page list of a document, are base64: URL-safe and unpadded when
written, any common form when read. Every other value is raw and matches :data:`RAW`, so it can never become
a second parameter, a segment, a saveas or a notify.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.operations import SPECIFICATIONS
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

Params = tuple[tuple[str, str], ...]

#: Parameters of an operation whose value is base64 on the wire; :class:`Process` holds them decoded. The
#: parameters of a segment are all raw.
BASE64_KEYS = frozenset({"pages"})

#: Pattern of a raw value: printable ASCII, but none of the separators of the language, of ``% +``, which a
#: server that decodes the body as a form would change, or of the braces of an unrendered template.
RAW = r"[!-$'-*\-.0-<>-z~]+"
RAW_RULE = "printable ASCII without white space or any of , / | = & % + { }"

# Patterns are strings, which re compiles and caches on first use: DAG files import this module all the time.
_KEY = r"[A-Za-z][A-Za-z0-9]*"
_ACTION = r"[a-z][a-z0-9]*/[a-z0-9]+"
# https://www.alibabacloud.com/help/en/oss/user-guide/image-styles, and :: for the built-in ones
_STYLE_NAME = r"(?:::)?[A-Za-z0-9._-]{1,63}"
_STYLE_HINT = (
    "a style is written style/NAME, or style/::NAME for a built-in one; "
    "a name has 1 to 63 letters, digits, underscores, hyphens and periods"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One further object of a merge.

    :param kind: ``"pre"`` plays before the request's own object, ``"sur"`` after it.
    :param object: key of the object, in the bucket of the request's object.
    :param params: ``(key, value)`` pairs such as ``("ss", "1000")``.
    """

    kind: Literal["pre", "sur"]
    object: str
    params: Params = ()

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in ("pre", "sur"):
            raise ProcessError(f"a segment is pre or sur, not {shown(self.kind)}")
        _check_name("the object of a segment", self.object)
        _check_params(self.params, base64_keys=frozenset())
        if any(key == "o" for key, _ in self.params):
            raise ProcessError("a segment names its object once")


@dataclass(frozen=True, slots=True)
class SaveAs:
    """Where the result goes.

    :param key: object key, may hold ``{variables}``.
    :param bucket: bucket, ``None`` for the bucket of the source.
    :param bucket_first: whether ``b_`` is written before ``o_``; both occur in the documentation.
    """

    key: str
    bucket: str | None = None
    bucket_first: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        _check_name("the key of saveas", self.key)
        if self.bucket is not None:
            _check_name("the bucket of saveas", self.bucket)


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Valid by construction.

    :param operation: ``"video/convert"`` and so on, ``"style/NAME"`` or ``"style/::NAME"``.
    :param params: ``(key, value)`` pairs in wire form and order, base64 values decoded.
    :param segments: further objects of a merge, in play order within each kind.
    :param saveas: where the result goes.
    :param topic: SMQ topic that is told when the job has ended; empty for none.
    :raises ProcessError: anything the grammar cannot carry, or an operation that is not asynchronous.
    """

    operation: str
    params: Params = ()
    segments: tuple[Segment, ...] = ()
    saveas: SaveAs | None = None
    topic: str = ""

    def __post_init__(self) -> None:
        _check_operation(self.operation)
        _check_params(self.params, base64_keys=BASE64_KEYS)
        if self.is_style and self.params:
            raise ProcessError(f"a style takes no parameters; {_STYLE_HINT}")
        if self.segments and (self.is_style or not SPECIFICATIONS[self.operation].segment_fields):
            raise ProcessError(f"{self.operation} takes no /pre or /sur segments; only merging does")
        if not isinstance(self.topic, str) or self.topic:
            _check_name("the topic of notify", self.topic)

    @property
    def is_style(self) -> bool:
        """Whether this names a style, which the service expands."""
        return self.operation.startswith("style/")

    def param(self, key: str) -> str | None:
        """Return the value of a wire key, ``None`` if absent."""
        return dict(self.params).get(key)

    def encode(self) -> str:
        """Return the process string."""
        params = ((key, _b64(value) if key in BASE64_KEYS else value) for key, value in self.params)
        head = ",".join([self.operation, *_joined(params)])
        for segment in self.segments:
            head += "/" + ",".join([segment.kind, f"o_{_b64(segment.object)}", *_joined(segment.params)])
        items = []
        if self.saveas is not None:
            names = [f"o_{_b64(self.saveas.key)}"]
            if self.saveas.bucket is not None:
                names.insert(0 if self.saveas.bucket_first else 1, f"b_{_b64(self.saveas.bucket)}")
            items.append(",".join(["saveas", *names]))
        if self.topic:
            items.append(f"notify,topic_{_b64(self.topic)}")
        return f"{head}|sys/{'/'.join(items)}" if items else head


def parse_process(text: str) -> Process:
    """Read a process string.

    :param text: such as ``video/convert,f_mp4|sys/saveas,o_ZGVzdC5tcDQ``; base64 in the standard or the
        URL-safe alphabet, padded or not.
    :raises ProcessError: the text is not a process string, or its operation is not asynchronous; says why.
    """
    _check_name("the process string", text)
    head, bar, tail = text.partition("|")
    if "|" in tail:
        raise ProcessError(
            "a process string has at most one |, before sys/; asynchronous operations cannot be chained"
        )
    # A name in the standard alphabet may hold a slash, and a style may be called "pre": split only where a
    # segment can begin.
    body, *segments = [head] if head.startswith("style/") else re.split(r"/(?=(?:pre|sur)(?:,|\Z))", head)
    operation, *params = body.split(",")
    _check_operation(operation)
    saveas, topic = _parse_sys(tail) if bar else (None, "")
    return Process(
        operation,
        params=tuple(_parse_param(p) for p in params),
        segments=tuple(_parse_segment(s) for s in segments),
        saveas=saveas,
        topic=topic,
    )


def _parse_sys(tail: str) -> tuple[SaveAs | None, str]:
    prefix, slash, chain = tail.partition("/")
    if prefix != "sys" or not slash:
        raise ProcessError(f"after | comes sys/saveas or sys/notify, not {shown(tail)}")
    saveas: SaveAs | None = None
    topic = ""
    for item in re.split(r"/(?=(?:saveas|notify)(?:,|\Z))", chain):
        name, *parts = item.split(",")
        pairs = dict(_split_param(p) for p in parts)
        if len(pairs) != len(parts):
            raise ProcessError(f"sys/{shown(name)[1:-1]} names a key twice")
        if name == "saveas" and saveas is None and not topic:
            unknown = pairs.keys() - {"o", "b"}
            if "o" not in pairs or unknown:
                raise ProcessError(
                    "sys/saveas takes o_ (the target key, required) and b_ (the target bucket)"
                )
            bucket = _unb64("b", pairs["b"]) if "b" in pairs else None
            saveas = SaveAs(_unb64("o", pairs["o"]), bucket, bucket_first=next(iter(pairs)) == "b")
        elif name == "notify" and not topic:
            if pairs.keys() != {"topic"}:
                raise ProcessError("notify takes topic_ (a topic name in base64) and nothing else")
            topic = _unb64("topic", pairs["topic"])
        else:
            raise ProcessError(
                f"after sys/ come saveas, then notify, each at most once; {shown(item)} is neither"
            )
    return saveas, topic


def _parse_segment(text: str) -> Segment:
    kind, *params = text.split(",")
    pairs = [_split_param(p) for p in params]
    names = [value for key, value in pairs if key == "o"]
    if len(names) != 1:
        raise ProcessError(f"the segment /{kind} must name one object as o_ (base64)")
    rest = tuple((key, value) for key, value in pairs if key != "o")
    return Segment("pre" if kind == "pre" else "sur", _unb64("o", names[0]), rest)


def _parse_param(text: str) -> tuple[str, str]:
    key, value = _split_param(text)
    return key, _unb64(key, value) if key in BASE64_KEYS else value


def _split_param(text: str) -> tuple[str, str]:
    key, underscore, value = text.partition("_")
    if not underscore or not key or not value:
        raise ProcessError(f"{shown(text)} is not a parameter; one is written key_value")
    return key, value


def _joined(params: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{key}_{value}" for key, value in params]


def _b64(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def _unb64(key: str, text: str) -> str:
    body = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode()
    except ValueError:  # binascii.Error and UnicodeError are kinds of it
        raise ProcessError(f"{shown(f'{key}_{text}')}: the value is not base64 of UTF-8 text") from None


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str):
        raise ProcessError(f"{what} is {shown(name)}: expected text")
    if not name:
        raise ProcessError(f"{what} is empty")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ProcessError(f"{what} is not valid Unicode") from None


def _check_params(params: Iterable[tuple[str, str]], base64_keys: frozenset[str]) -> None:
    seen: set[str] = set()
    for key, value in params:
        if not isinstance(key, str) or not re.fullmatch(_KEY, key):
            raise ProcessError(f"{shown(key)} is not a parameter key; one is made of letters and digits")
        if key in seen:
            raise ProcessError(f"the parameter {shown(key)[1:-1]} is given twice")
        seen.add(key)
        _check_name(f"the value of {key}", value)
        if key not in base64_keys and not re.fullmatch(RAW, value):
            raise ProcessError(f"{shown(f'{key}_{value}')} is not allowed: a value is {RAW_RULE}")


def _check_operation(operation: object) -> None:
    if not isinstance(operation, str):
        raise ProcessError(f"the operation is {shown(operation)}: expected text such as video/convert")
    if operation in SPECIFICATIONS:
        return
    category, _, action = operation.partition("/")
    if category == "style":
        if not re.fullmatch(_STYLE_NAME, action):
            raise ProcessError(f"{shown(operation)} is not allowed: {_STYLE_HINT}")
        return
    known = ", ".join(sorted(SPECIFICATIONS))
    if category in ("image", "video", "audio", "doc", "hls") and re.fullmatch(_ACTION, operation):
        hint = " Did you mean video/snapshots?" if operation == "video/snapshot" else ""
        raise ProcessError(
            f"{shown(operation)[1:-1]} cannot run asynchronously: it is not among {known} and style/NAME."
            f"{hint} What OSS offers synchronously is asked for with x-oss-process instead."
        )
    raise ProcessError(
        f"{shown(operation)} is not an operation; the asynchronous ones are {known} and style/NAME"
    )
