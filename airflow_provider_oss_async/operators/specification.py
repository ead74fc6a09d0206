"""Operators of one operation each: their arguments are those of the operation's specification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.argument_checks import checked_topic, collect
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.results import clips_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_oss_async.jobs.submission import JobRequest
    from airflow_provider_oss_async.process import ObjectURI, Specification


class OSSSpecificationOperator(OSSAsyncBaseOperator):
    """An operator for one operation; its arguments are those of the specification.

    A subclass names the specification; ``python -m tests.generate`` writes its ``__init__``.
    """

    specification: ClassVar[type[Specification]]
    #: Arguments of a subclass that are not those of its specification; the generator keeps them.
    own_arguments: ClassVar[tuple[str, ...]] = ()
    _warnings: Sequence[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "specification" in cls.__dict__:
            names = (field.name for field in cls.specification.fields())
            cls.template_fields = (*OSSAsyncBaseOperator.template_fields, *names)

    def job_request(self, source: ObjectURI, target: ObjectURI | None) -> JobRequest:
        """Return the request, from the task's arguments."""
        from airflow_provider_oss_async.jobs.submission import build_request

        arguments = {field.name: getattr(self, field.name) for field in self.specification.fields()}
        problems: list[str] = []
        for name, _ in self.specification.segment_fields:
            arguments[name] = clips_of(arguments[name], name, problems)
        topic = checked_topic(self.notify_topic, problems)
        specification = collect(
            problems,
            lambda: self.specification(
                extra_params=cast("Any", self.extra_params), allow_ignored=self.allow_ignored, **arguments
            ),
        )
        if specification is None or problems:
            problems += self.specification.name_errors(arguments, source, target, topic)
            raise ProcessError("; ".join(problems), problems=problems)
        self._warnings = list(specification.warnings(source))
        return build_request(specification, source, target, topic)

    def warnings(self) -> Iterator[str]:
        """Yield what the service may not do."""
        return iter(self._warnings)
