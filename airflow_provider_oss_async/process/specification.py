"""What the specifications of the operations are made of.

A specification is a ``TypedDict`` of ``Annotated`` fields: a field's name is what people write, and its
:class:`Param` carries the wire key, the documentation and the relations to other fields. Everything else
(validation, encoding, reading, the operators' arguments, the table in the README) is derived from it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.clip import Clips, from_segment, to_segment
from airflow_provider_oss_async.process.field import Field, Param, Seconds, Token, fields_of, plain_number
from airflow_provider_oss_async.process.grammar import RAW_RULE, Process, SaveAs
from airflow_provider_oss_async.process.naming import check_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.process.grammar import Segment
    from airflow_provider_oss_async.process.uri import ObjectURI

__all__ = ["Clips", "Field", "Param", "Seconds", "Specification", "Token"]


@functools.cache
def _adapter(parameters: type) -> TypeAdapter[dict[str, Any]]:
    # Built on first use: an import of the operators must not pay for it.
    config = ConfigDict(extra="forbid", allow_inf_nan=False, regex_engine="python-re")
    parameters.__pydantic_config__ = config  # type: ignore[attr-defined]
    return TypeAdapter(parameters)


class Specification:
    """One operation with checked arguments.

    :param extra_params: wire keys and values passed on as they are, for what this package does not know yet.
    :param parameters: see the ``TypedDict`` named by the subclass. Strings are understood (``"1280"``), since
        values that come out of a template are strings; ``None`` means not given.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    #: The process string's beginning, such as ``video/convert``.
    operation: ClassVar[str]
    #: The IMM task type behind the operation.
    task_type: ClassVar[str]
    #: The ``TypedDict`` of the arguments.
    parameters: ClassVar[type]
    #: Argument names of the objects merged before and after the source; empty where nothing is merged.
    segment_fields: ClassVar[tuple[tuple[str, Literal["pre", "sur"]], ...]] = ()
    #: Whether the result is an object (else it comes with the job's status).
    writes_object: ClassVar[bool] = True

    def __init__(self, *, extra_params: Mapping[str, str] | None = None, **parameters: Any) -> None:
        given = {name: value for name, value in parameters.items() if value is not None}
        problems: list[str] = []
        self.extra_params = _checked_extra(extra_params, self.wire_keys(), problems)
        self.values: dict[str, Any] = self._validated(given, problems)
        if not problems:
            problems.extend(self._relations())
            problems.extend(self.errors())
        if problems:
            raise ProcessError(f"{self.operation}: " + "; ".join(problems), problems=problems)

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Specification)
            and (self.values, self.extra_params) == (other.values, other.extra_params)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        arguments = {**self.values, **({"extra_params": self.extra_params} if self.extra_params else {})}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """Return the arguments with their wire keys and documentation, in wire order."""
        return fields_of(cls.parameters)

    @classmethod
    def wire_keys(cls) -> set[str]:
        """Return the wire keys that have an argument."""
        return {field.param.key for field in cls.fields()}

    def get(self, name: str, default: Any = None) -> Any:
        """Return a validated argument, ``default`` where it was not given."""
        return self.values.get(name, default)

    def errors(self) -> Iterator[str]:
        """Yield what the service refuses beyond single values and the relations of :class:`Param`."""
        return iter(())

    def warnings(self) -> Iterator[str]:
        """Yield what the service accepts but silently ignores, and values outside a documented list."""
        for field in self.fields():
            value = self.values.get(field.name)
            if value is not None and field.param.known and value not in field.param.known:
                yield (
                    f"{field.name}={value!r} is not among the documented values "
                    f"({', '.join(field.param.known)}); it is passed on as it is"
                )

    def to_process(self, source: ObjectURI, target: ObjectURI | None = None, topic: str = "") -> Process:
        """Return the complete instruction for one object.

        :param source: the object to process.
        :param target: where the result goes.
        :param topic: SMQ topic to notify; empty for none.
        :raises ProcessError: a missing or superfluous target, a target equal to its source, or a merged
            object outside the source's bucket.
        """
        problems = []
        if self.writes_object and target is None:
            problems.append(f"{self.operation} needs a target: the service saves the result nowhere else")
        if not self.writes_object and target is not None:
            problems.append(f"{self.operation} writes no object, so it takes no target")
        if self.segment_fields and not any(self.values.get(name) for name, _ in self.segment_fields):
            problems.append(f"{self.operation} needs at least one object in before or after")
        segments: list[Segment] = []
        for name, kind in self.segment_fields:
            for number, clip in enumerate(self.values.get(name, ())):
                try:
                    segments.append(to_segment(clip, kind, source, f"{name}[{number}]"))
                except ProcessError as error:
                    problems.append(str(error))
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        saveas = SaveAs(target.key, target.bucket) if target is not None else None
        process = Process(self.operation, self.wire_params(), tuple(segments), saveas, topic)
        check_outputs(process, source)
        return process

    def wire_params(self) -> tuple[tuple[str, str], ...]:
        """Return the ``(key, value)`` pairs in wire form."""
        wire: dict[str, str] = {}
        halves: dict[str, list[str]] = {}
        segment_names = {name for name, _ in self.segment_fields}
        for field in self.fields():
            if field.name not in self.values or field.name in segment_names:
                continue
            text = field.encode(self.values[field.name])
            if field.param.side is None:
                wire[field.param.key] = text
            else:
                pair = halves.setdefault(field.param.key, ["", ""])
                pair[field.param.side] = text
                wire[field.param.key] = "x".join(pair)
        return (*wire.items(), *self.extra_params.items())

    @classmethod
    def from_process(cls, process: Process) -> Specification:
        """Read the arguments back from an instruction, unknown keys as ``extra_params``.

        :raises ProcessError: a value is missing or not allowed.
        """
        arguments: dict[str, Any] = {}
        extra: dict[str, str] = {}
        problems: list[str] = []
        by_key: dict[str, list[Field]] = {}
        for field in cls.fields():
            by_key.setdefault(field.param.key, []).append(field)
        for key, text in process.params:
            fields = by_key.get(key)
            if fields is None:
                extra[key] = text
                continue
            try:
                arguments.update(_decode(fields, text))
            except ValueError:
                form = fields[0].wire_form if fields[0].param.side is None else "WxH, Wx or xH in pixels"
                problems.append(f"{f'{key}_{text}'!r} is not allowed: expected {form}")
        if problems:
            raise ProcessError(f"{cls.operation}: " + "; ".join(problems), problems=problems)
        for name, kind in cls.segment_fields:
            clips = [from_segment(segment) for segment in process.segments if segment.kind == kind]
            if clips:
                arguments[name] = clips
        return cls(extra_params=extra, **arguments)

    def _validated(self, given: dict[str, Any], problems: list[str]) -> dict[str, Any]:
        fields = {field.name: field for field in self.fields()}
        problems.extend(_unknown(name, fields) for name in given if name not in fields)
        wrong: dict[str, str] = {}
        readable = {name: _read_choice(fields[name], given[name]) for name in fields if name in given}
        for name, value in readable.items():
            if _has_wrong_type(fields[name], value):
                wrong[name] = _problem(fields[name], "type", given[name])
        values: dict[str, Any] = {}
        try:
            values = _adapter(self.parameters).validate_python(readable)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_context=False, include_input=False):
                name = str(item["loc"][0])
                kind = item["type"] if len(item["loc"]) == 1 else "nested"
                wrong.setdefault(name, _problem(fields[name], kind, given.get(name)))
        problems.extend(wrong.values())
        return {} if wrong else {name: values[name] for name in fields if name in values}

    def _relations(self) -> Iterator[str]:
        for field in self.fields():
            if field.name not in self.values:
                continue
            needs = field.param.needs
            if needs and not any(name in self.values for name in needs):
                yield f"{field.name} has no meaning without {' or '.join(needs)}"
            for other in field.param.excludes:
                if other in self.values:
                    yield f"{field.name} and {other} exclude each other"


def _decode(fields: list[Field], text: str) -> dict[str, Any]:
    """Return the arguments that one wire value stands for: one, or the given halves of a ``WxH``."""
    if fields[0].param.side is None:
        return {fields[0].name: fields[0].decode(text)}
    halves = text.split("x")
    if len(halves) != 2 or not any(halves):
        raise ValueError(f"{text!r} is not a size")
    pairs = [(field, halves[field.param.side or 0]) for field in fields]
    return {field.name: field.decode(half) for field, half in pairs if half}


def _read_choice(field: Field, value: Any) -> Any:
    """Let the wire's digits stand for a choice, as a number or as text."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        for name, wire in field.param.choices:
            if value in (wire, int(wire)):
                return name
    return value


def _has_wrong_type(field: Field, value: Any) -> bool:
    # pydantic would take b"mp4" for "mp4", a set for a list and True for 1: none is what somebody meant.
    if isinstance(value, bytes | bytearray | set | frozenset):
        return True
    if isinstance(value, bool) and field.kind is not bool:
        return True
    names = [name for name, _ in field.param.choices]
    return bool(names) and not (isinstance(value, str) and value in names)


def _problem(field: Field, kind: str, value: Any) -> str:
    if kind == "missing":
        return f"{field.name} is required: expected {field.allowed}"
    rule = f" ({RAW_RULE})" if kind == "string_pattern_mismatch" and field.param.known else ""
    return f"{field.name}={_shown(value)} is not allowed: expected {field.allowed}{rule}"


def _unknown(name: str, fields: Mapping[str, Field]) -> str:
    import difflib

    close = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {close[0]}?" if close else "a key unknown to this package goes into extra_params"
    return f"{name if name.isidentifier() else repr(name)} is not an argument; {hint}"


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= 100 else text[:100] + "..."


def _checked_extra(extra: Any, own: set[str], problems: list[str]) -> dict[str, str]:
    """Return the pairs of ``extra_params`` in wire form."""
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        problems.append(
            f"extra_params={_shown(extra)} is not allowed: expected a mapping of wire key to value"
        )
        return {}
    pairs: dict[str, str] = {}
    for key, value in extra.items():
        name = f"extra_params[{_shown(key)}]"
        try:
            text = _extra_text(value)
            Process("video/convert", ((key, text),))
        except (ValueError, OverflowError) as error:  # ProcessError is a ValueError
            problems.append(f"{name}={_shown(value)} is not allowed: {error}")
            continue
        if key in own:
            problems.append(f"{name} has an argument of its own; use that")
        pairs[key] = text
    return pairs


def _extra_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return plain_number(value)
    raise ValueError(f"expected a number, or text of {RAW_RULE}")
