"""What the specifications of the operations are made of.

A specification is a ``TypedDict`` of ``Annotated`` fields: a field's name is what people write, and its
:class:`Param` carries the wire key, the documentation and the relations to other fields. Everything else
(validation, encoding, reading, the operators' arguments, the table in the README) is derived from it.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Required, get_args, get_origin

from annotated_types import Interval, Len, MultipleOf
from pydantic import BeforeValidator, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict, get_type_hints

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import Process, SaveAs, Segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.process.uri import ObjectURI


@dataclass(frozen=True, slots=True)
class Param:
    """What the service knows of one field.

    :param key: wire key.
    :param doc: what the value does.
    :param default: what happens where the field is left out, in words.
    :param unit: unit of the value as people write it.
    :param known: documented values; another one is passed on with a warning.
    :param choices: readable value to wire value, where the wire has bare digits.
    :param needs: fields of which one must be given too.
    :param excludes: fields that must not be given too.
    :param side: 0 or 1 for the two halves of a ``WxH`` value that share a key; ``None`` for all others.
    """

    key: str
    doc: str
    default: str = ""
    unit: str = ""
    known: tuple[str, ...] = ()
    choices: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    side: int | None = None


def _whole_milliseconds(value: Any) -> Any:
    """Round to the wire's resolution, but refuse what would become 0, which often means "to the end"."""
    number = float(value.total_seconds() if isinstance(value, timedelta) else value)
    if not math.isfinite(number) or (number and not round(number, 3)):
        raise ValueError("not a time in whole milliseconds")
    return round(number, 3)


def _scalar_text(value: Any) -> Any:
    """Let a number stand for a raw text, but no boolean (``True`` is not a wire value)."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


#: A position or length in the media: seconds (or a ``timedelta``) for people, whole milliseconds on the wire.
Seconds = Annotated[float, BeforeValidator(_whole_milliseconds), Interval(ge=0)]
#: A raw wire value: no separators of the language, so it cannot add anything to the process string.
Token = Annotated[str, BeforeValidator(_scalar_text), StringConstraints(pattern=r"^[^\s,/|=&{}]+$")]
_MILLISECONDS = 1000


class Clip(TypedDict, total=False):
    """One further object of a merge, with an optional cut."""

    object: Required[str]
    start: Seconds
    duration: Seconds


def _as_clip(value: Any) -> Any:
    return {"object": value} if isinstance(value, str) else value


Clips = Annotated[list[Annotated[Clip, BeforeValidator(_as_clip)]], Len(0, 10)]
ExtraParams = Annotated[dict[str, Token], BeforeValidator(lambda v: v or {})]


@dataclass(frozen=True, slots=True)
class Field:
    """One argument of an operation, as the README table, the operators and the checks see it.

    :param name: argument name.
    :param param: its :class:`Param`.
    :param required: whether the service insists on it.
    :param kind: the Python type after validation: ``int``, ``float``, ``bool``, ``str`` or ``list``.
    :param constraints: the ``annotated_types`` constraints of the type.
    """

    name: str
    param: Param
    required: bool
    kind: type
    constraints: tuple[Any, ...]

    @property
    def is_time(self) -> bool:
        """Whether people write seconds and the wire has milliseconds."""
        return self.kind is float and self.param.unit == "s"

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.param.choices:
            return "one of " + ", ".join(name for name, _ in self.param.choices)
        interval = next((c for c in self.constraints if isinstance(c, Interval)), None)
        even = "an even whole number" if any(isinstance(c, MultipleOf) for c in self.constraints) else ""
        noun = {int: even or "a whole number", float: "a number", bool: "true or false", list: "a list"}
        text = noun.get(self.kind, "text without white space or any of , / | = & { }")
        if self.param.known:
            text = "such as " + ", ".join(self.param.known)
        if self.param.key == "pages":
            text = "page numbers and ranges such as 1,2,4-10"
        if interval is not None:
            low = interval.ge if interval.ge is not None else interval.gt
            high = interval.le if interval.le is not None else interval.lt
            text += f" above {low}" if interval.gt is not None else f" from {low}"
            text += "" if high is None else f" to {high}"
        return f"{text} {self.param.unit}".rstrip()

    def encode(self, value: Any) -> str:
        """Return the wire form of a validated value."""
        if self.param.choices:
            return dict(self.param.choices)[value]
        if self.is_time:
            return str(round(value * _MILLISECONDS))
        if self.kind is bool:
            return str(int(value))
        if self.kind is float:
            return format(Decimal(repr(value)), "f").removesuffix(".0")
        return str(value)

    def decode(self, text: str) -> Any:
        """Return what people would have written for a wire value; validation comes later."""
        by_wire = {wire: name for name, wire in self.param.choices}
        if text in by_wire:
            return by_wire[text]
        if self.is_time and text.isascii() and text.isdigit():
            return int(text) / _MILLISECONDS
        return text


@functools.cache
def fields_of(parameters: type) -> tuple[Field, ...]:
    """Return the fields of a specification's ``TypedDict``, in wire order."""
    return tuple(_field(name, hint) for name, hint in get_type_hints(parameters, include_extras=True).items())


def _field(name: str, hint: Any) -> Field:
    required = get_origin(hint) is Required
    if required:
        (hint,) = get_args(hint)
    base, *metadata = get_args(hint)
    param = next(m for m in metadata if isinstance(m, Param))
    kind = get_origin(base) or base
    return Field(
        name, param, required, kind, tuple(m for m in metadata if isinstance(m, Interval | MultipleOf))
    )


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
    segment_fields: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: Whether the result is an object (else it comes with the job's status).
    writes_object: ClassVar[bool] = True

    def __init__(self, *, extra_params: Mapping[str, str] | None = None, **parameters: Any) -> None:
        given = {name: value for name, value in parameters.items() if value is not None}
        problems: list[str] = []
        self.extra_params = _check_extra(extra_params, self.wire_keys(), problems)
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
        segments = []
        if self.segment_fields and not any(self.values.get(name) for name, _ in self.segment_fields):
            problems.append(f"{self.operation} needs at least one object in before or after")
        for name, kind in self.segment_fields:
            for number, clip in enumerate(self.values.get(name, ())):
                key = _segment_key(clip["object"], source, f"{name}[{number}]", problems)
                cuts = tuple(
                    (wire, str(round(clip[field] * _MILLISECONDS)))
                    for field, wire in (("start", "ss"), ("duration", "t"))
                    if field in clip
                )
                segments.append((kind, key, cuts))
        if target is not None and target in (
            source,
            *[type(source)(source.bucket, key) for _, key, _ in segments],
        ):
            problems.append(f"target={str(target)!r} is one of the objects being read; it would overwrite it")
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        saveas = None
        if target is not None:
            saveas = SaveAs(target.key, target.bucket)
        return Process(
            self.operation,
            self.wire_params(),
            tuple(Segment("pre" if kind == "pre" else "sur", key, cuts) for kind, key, cuts in segments),
            saveas,
            topic,
        )

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
        by_key: dict[str, list[Field]] = {}
        for field in cls.fields():
            by_key.setdefault(field.param.key, []).append(field)
        for key, text in process.params:
            known = by_key.get(key)
            if known is None:
                extra[key] = text
            elif known[0].param.side is None:
                arguments[known[0].name] = known[0].decode(text)
            else:
                parts = text.split("x")
                if len(parts) != 2 or not any(parts):
                    raise ProcessError(
                        f"{process.operation}: {key}_{text} is not a size; write WxH, Wx or xH"
                    )
                arguments.update(
                    (f.name, parts[f.param.side or 0]) for f in known if parts[f.param.side or 0]
                )
        for name, kind in cls.segment_fields:
            clips = [_read_clip(segment) for segment in process.segments if segment.kind == kind]
            if clips:
                arguments[name] = clips
        return cls(extra_params=extra, **arguments)

    def _validated(self, given: dict[str, Any], problems: list[str]) -> dict[str, Any]:
        fields = {field.name: field for field in self.fields()}
        readable = {name: _read_choice(fields.get(name), value) for name, value in given.items()}
        try:
            values = _adapter(self.parameters).validate_python(readable)
        except ValidationError as error:
            wrong: dict[str, str] = {}
            for item in error.errors(include_url=False, include_context=False):
                name = str(item["loc"][0])
                wrong.setdefault(
                    name, _problem(name, fields.get(name), item["type"], given.get(name), fields)
                )
            problems.extend(wrong.values())
            return {}
        for name, value in values.items():
            choices = fields[name].param.choices
            if choices and value not in dict(choices):
                problems.append(_problem(name, fields[name], "choice", given[name], fields))
        return {name: values[name] for name in fields if name in values}

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


def _read_choice(field: Field | None, value: Any) -> Any:
    """Let the wire's digits stand for a choice, and an empty template for no value at all."""
    if field is not None and field.param.choices:
        return {wire: name for name, wire in field.param.choices}.get(str(value), value)
    return value


def _problem(name: str, field: Field | None, kind: str, value: Any, fields: Mapping[str, Field]) -> str:
    if field is None:
        close = difflib.get_close_matches(name, fields, n=1)
        hint = (
            f"; did you mean {close[0]}?"
            if close
            else "; a key unknown to this package goes into extra_params"
        )
        return f"{name} is not an argument{hint}"
    if kind == "missing":
        return f"{name} is required ({field.allowed})"
    shown = repr(value)
    return f"{name}={shown if len(shown) <= 100 else shown[:100] + '...'} is not allowed: expected {field.allowed}"


def _check_extra(extra: Any, own: set[str], problems: list[str]) -> dict[str, str]:
    if not extra:
        return {}
    if not isinstance(extra, Mapping):
        problems.append(f"extra_params={extra!r} is not allowed: expected a mapping of wire key to value")
        return {}
    pairs = {str(key): str(_scalar_text(value)) for key, value in extra.items()}
    for key in pairs.keys() & own:
        problems.append(f"extra_params[{key!r}] has an argument of its own; use that")
    try:
        Process("video/convert", tuple(pairs.items()))
    except ProcessError as error:
        problems.append(f"extra_params: {error}")
    return pairs


def _segment_key(text: str, source: ObjectURI, name: str, problems: list[str]) -> str:
    try:
        uri = type(source).parse(text, name=name, default_bucket=source.bucket)
    except ProcessError as error:
        problems.append(str(error))
        return text
    if uri.bucket != source.bucket:
        problems.append(
            f"{name}={text!r} is not in the source's bucket {source.bucket}; merging cannot read others"
        )
    return uri.key


def _read_clip(segment: Segment) -> dict[str, Any]:
    clip: dict[str, Any] = {"object": segment.object}
    for key, text in segment.params:
        name = {"ss": "start", "t": "duration"}.get(key)
        if name is None or not (text.isascii() and text.isdigit()):
            raise ProcessError(
                f"the segment /{segment.kind} takes ss and t in whole milliseconds, not {key}_{text}"
            )
        clip[name] = int(text) / _MILLISECONDS
    return clip
