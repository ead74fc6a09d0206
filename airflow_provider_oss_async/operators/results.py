"""The results of other tasks as arguments of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.xcom_arg import PlainXComArg

from airflow_provider_oss_async.exceptions import ProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import XComArg

_MAP = (
    ".partial(...).expand(source=outputs({task}.output)), where outputs is a @task that returns "
    "result['outputs']"
)
#: How the text of a list begins that a template has made of a result's outputs.
_LIST_TEXT = ("['oss://", '["oss://')


class ResultReference(PlainXComArg):
    """What ``output`` of an operator is: a reference to its result, or to one of its other XComs."""

    def __getitem__(self, item: str) -> XComArg:
        """Return the reference to the XCom with another key."""
        plain = super().__getitem__(item)
        return _OutputsReference(self.operator, item) if item == "outputs" else plain


class _OutputsReference(PlainXComArg):
    """The XCom ``outputs``. Airflow refuses to map over it; its message then says how to do it."""

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        yield self.operator, _Unmappable(self.operator.task_id)


class _Unmappable(str):
    """A key whose representation, which Airflow puts into its message, holds the remedy.

    It is never stored or sent.
    """

    _task_id: str

    def __new__(cls, task_id: str) -> _Unmappable:
        key = super().__new__(cls, "outputs")
        key._task_id = task_id
        return key

    def __repr__(self) -> str:
        return f"'outputs': write {_MAP.format(task=self._task_id)};"


def object_of(value: Any, name: str = "source") -> Any:
    """Return the one output where this is the result of a task; anything else as it is.

    :param value: an argument that names an object, or a result (dict), or its outputs (list).
    :param name: how the argument is called in a message.
    :raises ProcessError: a result without an output or with several, or a part of one.
    """
    several = f"map the task over them with {_MAP.format(task='task')}"
    if isinstance(value, str):
        if value.lstrip().startswith("{") and "'task_id'" in value:
            raise ProcessError(
                f"{name} is the text of a whole result: pass {name}=task.output, or "
                f"{name}=\"{{{{ ti.xcom_pull(task_ids='...')['outputs'][0] }}}}\""
            )
        if value.lstrip().startswith(_LIST_TEXT):
            raise ProcessError(f"{name} is the text of a list of objects: {several}")
        return value
    if isinstance(value, Mapping) and "task_id" in value:
        value, kind = value.get("outputs") or [], "a result"
    else:
        kind = "a list"
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return value
    if len(value) == 2 and value[0] in _result_keys():
        raise ProcessError(f"{name} is one entry ({value[0]}) of a result: of its outputs, {several}")
    if len(value) == 1:
        return object_of(value[0], name) if kind == "a list" else value[0]
    if value:
        raise ProcessError(f"{name} is {kind} with {len(value)} objects: {several}")
    raise ProcessError(f"{name} is {kind} without outputs: the task before must write exactly one object")


def clips_of(value: Any, name: str, problems: list[str]) -> Any:
    """Return the further objects of a merge, with one output in place of each result.

    :param value: the argument; what is no list is returned as it is.
    :param name: how the argument is called in a message.
    :param problems: takes what is wrong.
    """
    if isinstance(value, Mapping) and "task_id" in value:
        value = [value]
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return value
    clips: list[Any] = []
    for number, clip in enumerate(value):
        try:
            if isinstance(clip, Mapping) and not isinstance(given := clip.get("object"), str | None):
                clips.append({**clip, "object": object_of(given, f"{name}[{number}]")})
            else:
                clips.append(object_of(clip, f"{name}[{number}]") if isinstance(clip, Mapping) else clip)
        except ProcessError as error:
            problems.append(str(error))
            # So that the other arguments are checked as well.
            clips.append("object")
    return clips


def _result_keys() -> Sequence[str]:
    from dataclasses import fields

    from airflow_provider_oss_async.jobs.job import OSSJob

    return [*(field.name for field in fields(OSSJob)), "status", "finished_at", "outputs", "content"]
