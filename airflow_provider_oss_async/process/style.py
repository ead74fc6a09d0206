"""Styles: processes that are stored under a name in OSS ("Styles" in the OSS user guide)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.grammar import Process, SaveAs
from airflow_provider_oss_async.process.naming import check_outputs
from airflow_provider_oss_async.process.operations import task_types
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.uri import ObjectURI


@dataclass(frozen=True, slots=True)
class Style:
    """A stored process. Only the service knows what it holds, so the task type must be given.

    :param name: name of a style of the source's bucket, or with ``::`` in front of a built-in one, such as
        ``::h264-mp4-720p``.
    :param task_type: ``MediaConvert`` (video and audio, the default), ``OfficeConversion`` or
        ``DecodeBlindWatermark``.
    :raises ProcessError: the name or the type is not allowed.
    """

    name: str
    task_type: Literal["MediaConvert", "OfficeConversion", "DecodeBlindWatermark"] | str = "MediaConvert"

    def __post_init__(self) -> None:
        Process(self.operation)
        if not isinstance(self.task_type, str) or self.task_type not in task_types():
            raise ProcessError(
                f"task_type={shown(self.task_type)} is not allowed: expected one of {', '.join(task_types())}"
            )

    @property
    def operation(self) -> str:
        """The process string's beginning."""
        return f"style/{self.name if isinstance(self.name, str) else shown(self.name)}"

    def to_process(self, source: ObjectURI, target: ObjectURI | None = None, topic: str = "") -> Process:
        """Return the complete process; parameters as in a specification's ``to_process``.

        :raises ProcessError: no target, or one that cannot be written or is the source.
        """
        if target is None and self.task_type != "DecodeBlindWatermark":
            raise ProcessError(f"{self.operation} needs a target: the service saves the result nowhere else")
        saveas = SaveAs(target.key, target.bucket) if target is not None else None
        process = Process(self.operation, saveas=saveas, topic=topic)
        check_outputs(process, source)
        return process
