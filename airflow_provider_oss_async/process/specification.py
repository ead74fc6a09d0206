"""What the specifications of the operations are made of.

A specification is a ``TypedDict`` of ``Annotated`` fields: a field's name is what people write, and its
:class:`Param` carries the wire key, the documentation and the relations to other fields. Everything else
(validation, encoding, X
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.clip import Clips, from_segment, to_segment
from airflow_provider_oss_async.process.field import Field, Param, Seconds, Token, fields_of
from airflow_provider_oss_async.process.grammar import RAW_RULE, Process, SaveAs
from airflow_provider_oss_async.process.naming import check_outputs
from airflow_provider_oss_async.process.operations import SPECIFICATIONS
from airflow_provider_oss_async.process.text import plain, plain_number, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.process.grammar import Segment
    from airflow_provider_oss_async.process.uri import ObjectURI

__all__ = ["Clips", "Field", "Param", "Seconds", "Specification", "Token"]


@functools.cache
def _adapter(parameters: type) -> TypeAdapter[dict[str, Any]]:
    # Built on first use, so that importing the operators stays quick.
    config = ConfigDict(extra="forbid", allow_inf_nan=False, regex_engine="python-re")
    parameters.__pydantic_config__ = config  # type: ignore[attr-defined]
    return TypeAdapter(parameters)


class Specification:
    """One operation with checked arguments.

    A subclass names its operation; the signature and the documentation of its arguments are written from
    :meth:`fields` by ``python -m tests.generate``. Text is understood (``"1280"``), since values that come
    out of a template are text; ``None`` means not given.

    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    #: The process string's beginning, such as ``video/convert``.
    operation: ClassVar[str]
    #: The IMM task type behind the operation.
    task_type: ClassVar[str]
    #: The ``TypedDict`` of the arguments.
    parameters: ClassVar[type]
    #: The service's page on the operation.
    page: ClassVar[str]
    #: What a job writes, in words.
    outputs: ClassVar[str]
    #: Argument names of the objects merged before and after the source; empty where nothing is merged.
    segment_fields: ClassVar[tuple[tuple[str, Literal["pre", "sur"]], ...]] = ()
    #: Whether the result is an object (else it comes with the job's status).
    writes_object: ClassVar[bool] = True
    #: Wire key of the format, which is the extension of the result.
    format_key: ClassVar[str] = "f"
    #: Whether the service appends the extension to a target without one.
    appends_extension: ClassVar[bool] = True
    #: Groups of digits, each after an underscore, that the service appends to such a target before the
    #: extension; ``None`` for any number of them.
    appended_numbers: ClassVar[int | None] = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "operation" in cls.__dict__:
            SPECIFICATIONS[cls.operation] = cls

    def __init__(
        self,
        *,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
        **parameters: Any,
    ) -> None:
        given = {name: plain(value) for name, value in parameters.items() if value is not None}
        given = {**self.implied(given), **given}
        problems: list[str] = []
        self.allow_ignored = bool(allow_ignored)
        self.extra_params = _checked_extra(extra_params, self.fields(), given, problems)
        self.values: dict[str, Any] = self._validated(given, problems)
        if not problems:
            problems.extend(self._relations())
            problems.extend(self.errors())
            if not self.allow_ignored:
                problems.extend(self.ignored())
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
        arguments = {**self.values}
        if self.extra_params:
            arguments["extra_params"] = self.extra_params
        if self.allow_ignored:
            arguments["allow_ignored"] = True
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"

    @classmethod
    def template(
        cls,
        *,
        extra_params: Mapping[str, Any] | None = None,
        allow_ignored: bool = False,
        **arguments: Any,
    ) -> SpecificationTemplate:
        """Return a specification whose arguments may be Jinja templates; they are checked when rendered.

        :param arguments: as in the constructor.
        :raises ProcessError: there is no argument of that name.
        """
        return SpecificationTemplate(cls, arguments, extra_params, allow_ignored)

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

    @classmethod
    def implied(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return arguments that are sent although they were not given."""
        return {}

    @classmethod
    def writes_many(cls, process: Process) -> bool:
        """Return whether a process of this operation can write more than one object."""
        return False

    def errors(self) -> Iterator[str]:
        """Yield what the service refuses beyond single values and the relations of :class:`Param`."""
        return iter(())

    def ignored(self) -> Iterator[str]:
        """Yield arguments that are certain to have no effect: errors without ``allow_ignored``."""
        return iter(())

    def warnings(self, source: ObjectURI | None = None) -> Iterator[str]:
        """Yield what the service accepts but may not do, and values outside a documented list.

        :param source: the object to process, whose extension may tell its format.
        """
        for field in self.fields():
            value = self.values.get(field.name)
            if value is not None and field.param.known and value not in field.param.known:
                yield (
                    f"{field.name}={value!r} is not among the documented values "
                    f"({', '.join(field.param.known)}); it is passed on as it is"
                )
        yield from self.ignored()

    def to_process(self, source: ObjectURI, target: ObjectURI | None = None, topic: str = "") -> Process:
        """Return the complete process for one object.

        :param source: the object to process.
        :param target: where the result goes.
        :param topic: SMQ topic to notify; empty for none.
        :raises ProcessError: a missing or superfluous target, a target equal to its source or shared by
            several results, or a merged object outside the source's bucket.
        """
        problems: list[str] = []
        process = self._with_names(
            self.wire_params(), self.values, source, target, topic, self.allow_ignored, problems
        )
        if problems or process is None:
            raise ProcessError("; ".join(problems), problems=problems)
        return process

    @classmethod
    def name_errors(
        cls,
        arguments: Mapping[str, Any],
        source: ObjectURI,
        target: ObjectURI | None = None,
        topic: str = "",
    ) -> list[str]:
        """Return what is wrong with the names of objects and topic, where other arguments are wrong too.

        :param arguments: arguments of a specification, checked or not.
        :param source: the object to process; with an empty bucket where it is not known.
        :param target: where the result goes.
        :param topic: SMQ topic to notify; empty for none.
        """
        problems: list[str] = []
        clips: dict[str, list[dict[str, Any]]] = {}
        for name, _ in cls.segment_fields:
            given = arguments.get(name)
            texts = [
                clip.get("object") if isinstance(clip, Mapping) else clip
                for clip in (given if isinstance(given, list | tuple) else ())
            ]
            # What is no text is a wrong argument, which the specification names.
            clips[name] = [{"object": plain(text)} if isinstance(text, str) else {} for text in texts]
        # Whether results overwrite each other depends on the other arguments.
        cls._with_names((), clips, source, target, topic, True, problems)
        return problems

    @classmethod
    def _with_names(
        cls,
        params: tuple[tuple[str, str], ...],
        arguments: Mapping[str, Any],
        source: ObjectURI,
        target: ObjectURI | None,
        topic: str,
        allow_overwriting: bool,
        problems: list[str],
    ) -> Process | None:
        if cls.writes_object and target is None:
            problems.append(f"{cls.operation} needs a target: the service saves the result nowhere else")
        if not cls.writes_object and target is not None:
            problems.append(f"{cls.operation} writes no object, so it takes no target")
            target = None
        if params and cls.segment_fields and not any(arguments.get(name) for name, _ in cls.segment_fields):
            problems.append(f"{cls.operation} needs at least one object in before or after")
        segments: list[Segment] = []
        for name, kind in cls.segment_fields:
            for number, clip in enumerate(arguments.get(name, ())):
                try:
                    if clip:
                        segments.append(to_segment(clip, kind, source, f"{name}[{number}]"))
                except ProcessError as error:
                    problems.append(str(error))
        try:
            saveas = SaveAs(target.key, target.bucket) if target is not None else None
            process = Process(cls.operation, params, tuple(segments), saveas, topic)
            check_outputs(process, source, allow_overwriting=allow_overwriting)
        except ProcessError as error:
            problems.extend(error.problems or [str(error)])
            return None
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
        return tuple({**wire, **self.extra_params}.items())

    @classmethod
    def from_process(cls, process: Process, *, allow_ignored: bool = True) -> Specification:
        """Read the arguments back from a process, unknown keys as ``extra_params``.

        :param allow_ignored: as in the constructor; the service allows it.
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
                if fields[0].param.closed and text not in fields[0].param.known:
                    extra[key] = text
            except ValueError:
                form = fields[0].wire_form if fields[0].param.side is None else "WxH, Wx or xH in pixels"
                problems.append(f"{shown(f'{key}_{text}')} is not allowed: expected {form}")
        if problems:
            raise ProcessError(f"{cls.operation}: " + "; ".join(problems), problems=problems)
        for name, kind in cls.segment_fields:
            clips = [from_segment(segment) for segment in process.segments if segment.kind == kind]
            if clips:
                arguments[name] = clips
        # What is missing is None, so that it is named like every other wrong argument.
        complete = {field.name: arguments.get(field.name) for field in cls.fields()}
        return cls(extra_params=extra, allow_ignored=allow_ignored, **complete)

    def _validated(self, given: dict[str, Any], problems: list[str]) -> dict[str, Any]:
        fields = {field.name: field for field in self.fields()}
        wrong: dict[str, str] = {}
        readable = {name: _read_choice(fields[name], given[name]) for name in fields if name in given}
        for name, value in readable.items():
            if _has_wrong_type(fields[name], value):
                wrong[name] = _problem(fields[name], "type", given[name])
            elif _is_refused(fields[name], value) and self.extra_params.get(fields[name].param.key) != value:
                wrong[name] = (
                    f"{_problem(fields[name], 'closed', value)}; if the service has it, repeat it in "
                    f"extra_params={{{fields[name].param.key!r}: {shown(value)}}}"
                )
        values: dict[str, Any] = {}
        try:
            values = _adapter(self.parameters).validate_python(
                {name: value for name, value in readable.items() if name not in wrong}
            )
        except ValidationError as error:
            for item in error.errors(include_url=False, include_context=False, include_input=False):
                name = str(item["loc"][0])
                kind = item["type"] if len(item["loc"]) == 1 else "nested"
                if name not in wrong:
                    wrong[name] = _problem(fields[name], kind, given.get(name))
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
    # pydantic would take b"mp4" for "mp4", a set for a list and True for 1: none of them is meant.
    if isinstance(value, bytes | bytearray | set | frozenset):
        return True
    if isinstance(value, bool) and field.kind is not bool:
        return True
    names = [name for name, _ in field.param.choices]
    return bool(names) and not (isinstance(value, str) and value in names)


def _is_refused(field: Field, value: Any) -> bool:
    """Whether a value is none of those that the service has, where all of them are known."""
    return field.param.closed and isinstance(value, str) and value not in field.param.known


def _problem(field: Field, kind: str, value: Any) -> str:
    if kind == "missing":
        return f"{field.name} is required: expected {field.allowed}"
    rule = f" ({RAW_RULE})" if kind == "string_pattern_mismatch" and field.param.known else ""
    return f"{field.name}={shown(value)} is not allowed: expected {field.allowed}{rule}"


def _checked_extra(
    extra: Any, fields: tuple[Field, ...], given: Mapping[str, Any], problems: list[str]
) -> dict[str, str]:
    """Return the pairs of ``extra_params`` in wire form."""
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        problems.append(
            f"extra_params={shown(extra)} is not allowed: expected a mapping of wire key to value "
            "(one that a template makes needs render_template_as_native_obj=True)"
        )
        return {}
    own = {field.param.key: field for field in fields}
    pairs: dict[str, str] = {}
    for key, value in extra.items():
        name = f"extra_params[{shown(key)}]"
        try:
            text = _extra_text(plain(value))
            Process("video/convert", ((plain(key), text),))
        except (ValueError, OverflowError) as error:  # ProcessError is a ValueError
            problems.append(f"{name}={shown(value)} is not allowed: {error}")
            continue
        field = own.get(key)
        if field is not None and not (_is_refused(field, text) and given.get(field.name) == text):
            problems.append(f"{name} has an argument of its own, {field.name}; use that")
        pairs[plain(key)] = text
    return pairs


def _extra_text(value: Any) -> str:
    if isinstance(value, str) and value != "None":
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return plain_number(value)
    raise ValueError(f"expected a number, or text of {RAW_RULE}")


class SpecificationTemplate:
    """A specification that is checked when its arguments have been rendered.

    :param specification: its class.
    :param arguments: its arguments, which may be templates.
    :param extra_params: as in the constructor of the specification; may be templates.
    :param allow_ignored: as in the constructor of the specification.
    :raises ProcessError: there is no argument of that name.
    """

    template_fields = ("arguments", "extra_params")

    def __init__(
        self,
        specification: type[Specification],
        arguments: Mapping[str, Any],
        extra_params: Mapping[str, Any] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        known = {field.name for field in specification.fields()}
        problems = [
            f"{name} is not an argument of {specification.__name__}; it has {', '.join(sorted(known))}"
            for name in arguments
            if name not in known
        ]
        if problems:
            raise ProcessError(f"{specification.operation}: {'; '.join(problems)}", problems=problems)
        self.specification = specification
        self.arguments = dict(arguments)
        self.extra_params = dict(extra_params) if extra_params is not None else None
        self.allow_ignored = allow_ignored

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.specification.__name__}.template({arguments})"

    def build(self) -> Specification:
        """Return the specification.

        :raises ProcessError: names every wrong argument, its value and what is allowed.
        """
        return self.specification(
            extra_params=self.extra_params, allow_ignored=self.allow_ignored, **self.arguments
        )
