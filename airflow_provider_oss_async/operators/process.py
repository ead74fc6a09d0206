"""Operator for any asynchronous process: a string, a style or a specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.process import Specification, read_specification

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_oss_async.jobs.submission import Submission
    from airflow_provider_oss_async.process import ObjectURI, Style


class OSSAsyncProcessOperator(OSSAsyncBaseOperator):
    """Run any asynchronous process on an object.

    :param process: a process string such as ``video/convert,f_mp4`` or ``style/::h264-mp4-720p``, with or
        without its saveas and notify; or a specification such as ``VideoConvert(container="mp4")``; or a
        ``Style`` (templated)
    :param imm_task_type: IMM task type, only for a style given as a string: ``MediaConvert``,
        ``OfficeConversion`` or ``DecodeBlindWatermark`` (templated)

    The other arguments are those of
    :class:`~airflow_provider_oss_async.operators.base.OSSAsyncBaseOperator`, except ``extra_params``: what a
    process string holds beyond the known keys is passed on as it is.
    """

    template_fields: Sequence[str] = (*OSSAsyncBaseOperator.template_fields, "process", "imm_task_type")

    def __init__(
        self, *, process: str | Specification | Style, imm_task_type: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.process = process
        self.imm_task_type = imm_task_type
        self._instruction: Submission | None = None

    def instruction(self, source: ObjectURI, target: ObjectURI | None) -> Submission:
        """Return what to ask for, from the process in whatever form it was given."""
        from airflow_provider_oss_async.jobs.submission import instruct

        if self.extra_params:
            raise ProcessError("extra_params is not allowed here: write the parameters into process")
        self._instruction = instruct(
            self.process, source, target, self.notify_topic or "", self.imm_task_type or ""
        )
        return self._instruction

    def warnings(self) -> Iterator[str]:
        """Yield what the service would silently ignore."""
        if isinstance(self.process, Specification):
            yield from self.process.warnings()
        elif self._instruction is not None and not self._instruction.process.is_style:
            yield from read_specification(self._instruction.process).warnings()
