"""Styles: instructions that are stored under a name in OSS ("Styles" in the OSS user guide)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import Process, SaveAs

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.uri import ObjectURI

#: IMM task types that a style can expand to.
TASK_TYPES = ("MediaConvert", "OfficeConversion", "DecodeBlindWatermark")


class Style:
    """A stored instruction. What it holds only the service knows, so the task type must be given.

    :param name: name of a style of the source's bucket, or with ``::`` in front of a built-in one, such as
        ``::h264-mp4-720p``.
    :param task_type: ``MediaConvert`` (video and audio, the default), ``OfficeConversion`` or
        ``DecodeBlindWatermark``.
    :raises ProcessError: the name or the type is not allowed.
    """

    def __init__(self, name: str, *, task_type: str = "MediaConvert") -> None:
        Process(f"style/{name}")
        if task_type not in TASK_TYPES:
            raise ProcessError(
                f"task_type={task_type!r} is not allowed: expected one of {', '.join(TASK_TYPES)}"
            )
        self.name = name
        self.task_type = task_type

    @property
    def operation(self) -> str:
        """The process string's beginning."""
        return f"style/{self.name}"

    def to_process(self, source: ObjectURI, target: ObjectURI | None = None, topic: str = "") -> Process:
        """Return the complete instruction; parameters as in a specification's ``to_process``.

        :raises ProcessError: no target, or the target is the source.
        """
        if target is None:
            raise ProcessError(f"{self.operation} needs a target: the service saves the result nowhere else")
        if target == source:
            raise ProcessError(f"target={str(target)!r} is the object being read; it would overwrite it")
        return Process(self.operation, saveas=SaveAs(target.key, target.bucket), topic=topic)
