"""Specifications and arguments that the tests derive from the fields themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from annotated_types import Interval, MultipleOf

if TYPE_CHECKING:
    from airflow_provider_oss_async.process import Specification
    from airflow_provider_oss_async.process.field import Field


def interval(field: Field) -> Any:
    """The range of a number, ``None`` where it has none."""
    return next((c for c in field.constraints if isinstance(c, Interval)), None)


def step(field: Field) -> Any:
    """What a whole number is a multiple of."""
    return next((c.multiple_of for c in field.constraints if isinstance(c, MultipleOf)), 1)


def example(field: Field) -> Any:
    """A value that a field takes by itself."""
    if field.param.choices:
        return field.param.choices[0][0]
    if field.param.known:
        return field.param.known[0]
    if field.kind in (int, float):
        limits = interval(field)
        assert limits is not None, (
            f"the argument {field.name} has no range: add Interval(...) to its type in process/, with a "
            "maximum that the wire can hold where the service documents none"
        )
        return limits.le if limits.gt is not None else -(-limits.ge // step(field)) * step(field)
    return {bool: True, list: ["clips/first"]}.get(field.kind, "1")


def required(spec: type[Specification]) -> dict[str, Any]:
    """The arguments that the signature insists on."""
    return {field.name: example(field) for field in spec.fields() if field.required}


def minimal(spec: type[Specification]) -> dict[str, Any]:
    """The fewest arguments that a complete process string needs."""
    arguments = required(spec)
    arguments.update({name: ["clips/first"] for name, _ in spec.segment_fields[:1]})
    return arguments | ({"video_codec": "h264"} if "video_codec" in arguments else {})
