"""What one argument of an operation is: its Python type, its wire form, its documentation.

A field is declared as ``Annotated[TYPE, constraints, Param(...)]`` in a ``TypedDict``. :func:`fields_of`
reads those declarations; everything else is derived from the result.
"""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from typing import Annotated, Any, NamedTuple, Required, get_args, get_origin

from annotated_types import Interval, MultipleOf
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from typing_extensions import get_type_hints

from airflow_provider_oss_async.process.grammar import RAW
from airflow_provider_oss_async.process.text import is_missing, plain_number, shown

_MILLISECONDS = 1000


class Param(NamedTuple):
    """What the service knows of one field.

    :param key: wire key.
    :param doc: what the value does.
    :param default: what happens where the field is left out, in words.
    :param unit: unit of the value as people write it.
    :param types: annotation of the argument, where the Python type does not tell it.
    :param form: what a value looks like, where the type does not say it.
    :param known: documented values; another one is passed on with a warning.
    :param closed: whether the service has no other value than ``known``: another one is refused, unless
        ``extra_params`` holds it too.
    :param choices: readable value to wire value, where the wire has bare digits.
    :param needs: fields of which one must be given too.
    :param excludes: fields that must not be given too.
    :param side: 0 or 1 for the two halves of a ``WxH`` value that share a key; ``None`` for all others.
    """

    key: str
    doc: str
    default: str = ""
    unit: str = ""
    types: str = ""
    form: str = ""
    known: tuple[str, ...] = ()
    closed: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    side: int | None = None


def _as_seconds(value: Any) -> Any:
    # Clips are validated as a whole, so the guard against booleans and bytes must be here as well.
    if isinstance(value, bool | bytes | bytearray):
        raise ValueError("not a time")
    return value.total_seconds() if isinstance(value, timedelta) else value


def _whole_milliseconds(value: float) -> float:
    """Round to the wire's resolution, but refuse what would become 0, which often means "to the end"."""
    if value and not round(value, 3):
        raise ValueError("less than a millisecond")
    return round(value, 3)


#: A position or length in the media: seconds (or a ``timedelta``) for people, whole milliseconds on the wire.
#: No maximum is documented; this one keeps the wire value exact.
Seconds = Annotated[
    float, BeforeValidator(_as_seconds), Interval(ge=0, le=1_000_000_000), AfterValidator(_whole_milliseconds)
]


def _no_missing_value(text: str) -> str:
    if is_missing(text):
        raise ValueError("a template of a missing value")
    return text


#: A raw wire value: no separators of the language, so it cannot add anything to the process string.
Token = Annotated[
    str, StringConstraints(pattern=rf"\A{RAW}\Z", max_length=255), AfterValidator(_no_missing_value)
]


def milliseconds(seconds: float) -> str:
    """Return the wire form of a validated time."""
    return str(round(seconds * _MILLISECONDS))


def seconds(text: str) -> float:
    """Return the seconds that a wire time stands for.

    :raises ValueError: the text is not a number of whole milliseconds.
    """
    return _digits(text) / _MILLISECONDS


def _digits(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError(f"{shown(text)} is not a whole number")
    return int(text)


class Field(NamedTuple):
    """One argument of an operation, as the reference, the signatures and the checks see it.

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
        if self.param.form:
            return self.param.form
        if self.is_time:
            interval = next(c for c in self.constraints if isinstance(c, Interval))
            return f"seconds or a timedelta from {interval.ge} to {interval.le} s"
        if self.kind is str:
            return ("one of " if self.param.closed else "text such as ") + ", ".join(self.param.known)
        even = any(isinstance(c, MultipleOf) for c in self.constraints)
        text = {int: "an even whole number" if even else "a whole number", float: "a number"}.get(
            self.kind, "true or false"
        )
        for interval in (c for c in self.constraints if isinstance(c, Interval)):
            text += f" from {interval.ge}" if interval.gt is None else f" above {interval.gt}"
            text += f" to {interval.le}"
        return f"{text} {self.param.unit}".rstrip()

    @property
    def wire_form(self) -> str:
        """The wire values in words."""
        if self.param.choices:
            return "one of " + ", ".join(wire for _, wire in self.param.choices)
        words = {int: "a whole number", float: "a number", bool: "0 or 1"}
        return "whole milliseconds" if self.is_time else words.get(self.kind, "text")

    def encode(self, value: Any) -> str:
        """Return the wire form of a validated value."""
        if self.param.choices:
            return dict(self.param.choices)[value]
        if self.is_time:
            return milliseconds(value)
        if self.kind is bool:
            return str(int(value))
        return plain_number(value) if self.kind is float else str(value)

    def decode(self, text: str) -> Any:
        """Return what people would have written for a wire value; whether it is allowed is checked later.

        :raises ValueError: the text is not in wire form, which is narrower than what people may write.
        """
        if self.param.choices:
            by_wire = {wire: name for name, wire in self.param.choices}
            if text not in by_wire:
                raise ValueError(f"{shown(text)} is not a choice")
            return by_wire[text]
        if self.is_time:
            return seconds(text)
        if self.kind is bool:
            if text not in ("0", "1"):
                raise ValueError(f"{shown(text)} is neither 0 nor 1")
            return text == "1"
        if self.kind is int:
            return _digits(text)
        if self.kind is float and not re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text):
            raise ValueError(f"{shown(text)} is not a number")
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
    constraints = tuple(m for m in metadata if isinstance(m, Interval | MultipleOf))
    return Field(name, param, required, get_origin(base) or base, constraints)
