"""Styles: instructions that are stored under a name in OSS ("Styles" in the OSS user guide)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import Process, SaveAs
from airflow_provider_oss_async.process.naming import check_outputs

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.uri import ObjectURI

#: IMM task types that a style can expand to.
TASK_TYPES = ("MediaConvert", "OfficeConversion", "DecodeBlindWatermark")


@dataclass(frozen=True, slots=True)
class Style:
    """A stored instruction. What it holds only the service knows, so the task type must be given.

    :param name: name of a style of the source's bucket, or with ``::`` in front of a built-in one, such as
        ``::h264-mp4-720p``.
    :param task_type: ``MediaConvert`` (video and audio, the default), ``OfficeConversion`` or
        ``DecodeBlindWatermark``.
    :raises ProcessError: the name or the type is not allowed.
    """

    name: str
    task_type: str = "MediaConvert"

    def __post_init__(self) -> None:
        Process(self.operation)
        if self.task_type not in TASK_TYPES:
            raise ProcessError(
                f"task_type={self.task_type!r} is not allowed: expected one of {', '.join(TASK_TYPES)}"
            )

    @property
    def operation(self) -> str:
        """The process string's beginning."""
        return f"style/{self.name}"

    def to_process(self, source: ObjectURI, target: ObjectURI | None = None, topic: str = "") -> Process:
        """Return the complete instruction; parameters as in a specification's ``to_process``.

        :raises ProcessError: no target, or one that cannot be written or is the source.
        """
        if target is None and self.task_type != "DecodeBlindWatermark":
            raise ProcessError(f"{self.operation} needs a target: the service saves the result nowhere else")
        saveas = SaveAs(target.key, target.bucket) if target is not None else None
        process = Process(self.operation, saveas=saveas, topic=topic)
        check_outputs(process, source)
        return process
