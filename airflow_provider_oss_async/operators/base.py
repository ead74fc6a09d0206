"""What all operators share: arguments, submitting once and only once, waiting, and the result."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from airflow.sdk import BaseOperator, conf

from airflow_provider_oss_async.exceptions import (
    OSSJobFailedError,
    OSSJobLostError,
    OSSServiceError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.job import COMPLETIONS, MAX_TIMEOUT
from airflow_provider_oss_async.links.oss_async import OSSAsyncTaskLink
from airflow_provider_oss_async.process import ObjectURI, Specification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.job import Completion, JobStatus, OSSJob
    from airflow_provider_oss_async.jobs.submission import JobRequest
    from airflow_provider_oss_async.jobs.waiting import Following

T = TypeVar("T")

#: Seconds that waiting may take where ``timeout`` is not given.
DEFAULT_TIMEOUT = 6 * 3600.0


class OSSAsyncBaseOperator(BaseOperator):
    """Submits one asynchronous OSS job and waits for it.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket
        (templated)
    :param target: where the result goes, in the same two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param notify_topic: SMQ topic that the service tells when the job has ended (templated)
    :param extra_params: wire keys and values, text or numbers, added to the process string as they are
        (templated)
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning instead of an error. Default ``False``
    :param completion: how the outcome is learned: ``"imm"`` asks IMM's ``GetTask``; ``"smq"`` does so, in
        deferrable mode, when a message comes to the queue of the connection, and adds the connection's topic
        to the request where ``notify_topic`` is not given; ``"object"`` waits for the target object to
        appear, for accounts without rights on IMM (templated)
    :param wait_for_completion: ``False`` returns the job as soon as it is submitted
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable``
    :param end_from_trigger: in deferrable mode, end the task in the triggerer when the job has succeeded,
        without waking a worker; where the task has outlets or a ``post_execute``, or results go to an XCom
        backend of your own, it ends on a worker all the same. Default ``False``
    :param poll_interval: seconds between two looks at the job at most, above 0, up to 3600. Default 30, for
        ``"smq"`` 300; looks begin 2 s apart (``[oss_async] min_poll_interval``), for ``"smq"`` 15 s
    :param timeout: seconds (or a ``timedelta``) to wait at most, from the submission or a retry's start; at
        most 6.5 days, because the service forgets jobs after 7. Default 6 hours
    :param on_uncertain_submit: what to do where it cannot be found out whether a request whose answer was
        lost has started a job: ``"fail"`` the task, or ``"resubmit"`` and perhaps pay twice (templated)
    :param durable: remember the job in the task state store (Airflow 3.3 and later), so that a retry
        follows it
    :param imm_project: IMM project the bucket is bound to; default the connection's, else looked up
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection (templated)
    """

    template_fields: Sequence[str] = (
        "source",
        "target",
        "notify_topic",
        "extra_params",
        "completion",
        "on_uncertain_submit",
        "imm_project",
        "region",
        "oss_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"extra_params": "json"}
    operator_extra_links = (OSSAsyncTaskLink(),)
    ui_color = "#ffe8cc"

    def __init__(
        self,
        *,
        source: str,
        target: str | None = None,
        notify_topic: str | None = None,
        extra_params: Mapping[str, str | float] | str | None = None,
        allow_ignored: bool = False,
        completion: str = "imm",
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        poll_interval: float | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        on_uncertain_submit: str = "fail",
        durable: bool = True,
        imm_project: str | None = None,
        region: str | None = None,
        oss_conn_id: str = "oss_async_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.target = target
        self.notify_topic = notify_topic
        self.extra_params = extra_params
        self.allow_ignored = allow_ignored
        self.completion = completion
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.on_uncertain_submit = on_uncertain_submit
        self.durable = durable
        self.imm_project = imm_project
        self.region = region
        self.oss_conn_id = oss_conn_id
        self._job: OSSJob | None = None

    @cached_property
    def hook(self) -> OSSAsyncHook:
        """The hook of the task's connection."""
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

        return OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)

    @abstractmethod
    def instruction(self, source: ObjectURI, target: ObjectURI | None) -> JobRequest:
        """Return what to ask for, without region and IMM project.

        :raises ProcessError: an argument is missing or not allowed.
        """

    def warnings(self) -> Iterator[str]:
        """Yield what the service would silently ignore."""
        return iter(())

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the job, or find the one that an earlier try submitted, and see it through.

        :return: the job as a dict; after a wait also ``status``, ``finished_at`` and ``outputs``.
        :raises ValueError: an argument or the connection is wrong; nothing was sent.
        :raises OSSSubmitError: the job could not be submitted.
        :raises OSSJobError: the job did not succeed.
        """
        # What only a running task needs is not imported while a DAG file is parsed.
        from airflow_provider_oss_async.jobs.waiting import look, see_through
        from airflow_provider_oss_async.operators.job_store import TaskRecord
        from airflow_provider_oss_async.operators.submit_once import Once

        submission = self.build_submission()
        record = TaskRecord(context, submission.fingerprint, enabled=self.durable)
        timeout = _seconds(self.timeout) or DEFAULT_TIMEOUT
        if self.execution_timeout is not None:
            # Airflow counts it anew after a deferral.
            timeout = min(timeout, self.execution_timeout.total_seconds())
        with self.hook.running() as run:
            following = Once(
                run=run,
                submission=submission,
                record=record,
                completion=cast("Completion", self.completion),
                must_follow=self.wait_for_completion,
                deadline=time.time() + timeout,
                poll_interval=_seconds(self.poll_interval),
                resubmit=self.on_uncertain_submit == "resubmit",
            ).obtain()
            job = self._job = following.job
            ti = context["ti"]
            for name in ("task_id", "event_id", "request_id"):
                ti.xcom_push(key=name, value=getattr(job, name))
            OSSAsyncTaskLink.push(ti, job)
            self.log.info("Job %s: %s on %s", job.task_id, job.process.partition(",")[0], job.source)
            if not self.wait_for_completion:
                return job.to_dict()
            status: JobStatus | None = None
            if self.deferrable:
                try:
                    status = run(lambda clients: look(clients, following))
                except OSSServiceError as error:
                    self.log.info("The first look at job %s brought no answer: %s", job.task_id, error)
                if status is None or not status.final:
                    self._defer(following)
            elif following.completion == "smq":
                # Each worker would be one more consumer, and take from the queue what others wait for.
                self.log.info("Without deferrable=True the queue is not read: IMM is asked at intervals")
                following = replace(following, completion="imm")
            try:
                result = run(lambda clients: see_through(clients, following, status))
            except (OSSJobFailedError, OSSJobLostError):
                # It has ended badly: the next try must submit a new one.
                record.clear()
                raise
        return self._succeed(context, result)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the outcome that the trigger has brought.

        :raises OSSJobError: the job did not succeed.
        :raises OSSAsyncError: waiting failed.
        """
        from airflow_provider_oss_async.jobs.result import result_from
        from airflow_provider_oss_async.operators.job_store import TaskRecord

        try:
            result = result_from(event)
        except (OSSJobFailedError, OSSJobLostError):
            TaskRecord(context, "", enabled=self.durable).clear()
            raise
        return self._succeed(context, result)

    def on_kill(self) -> None:
        """Say that the job goes on: OSS offers no way to cancel it."""
        from airflow_provider_oss_async.jobs.result import goes_on

        if self._job is not None:
            self.log.warning("%s", goes_on(self._job))
        else:
            self.log.warning(
                "No job was known yet. If one was just being submitted, it goes on, and a retry looks for it."
            )

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the source as input and the outputs as output datasets, for OpenLineage."""
        from airflow.providers.common.compat.openlineage.facet import Dataset
        from airflow.providers.openlineage.extractors import OperatorLineage

        result = task_instance.xcom_pull(task_ids=task_instance.task_id) or {}

        def dataset(uri: str) -> Any:
            bucket, _, key = uri.removeprefix("oss://").partition("/")
            return Dataset(namespace=f"oss://{bucket}", name=key)

        return OperatorLineage(
            inputs=[dataset(uri) for uri in [result.get("source", "")] if uri],
            outputs=[dataset(uri) for uri in result.get("outputs", ())],
        )

    def _defer(self, following: Following) -> None:
        from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger, may_end_in_trigger

        self.defer(
            trigger=OSSAsyncTaskTrigger(
                following=following.to_dict(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                end_from_trigger=self.end_from_trigger and may_end_in_trigger(self),
            ),
            method_name="execute_complete",
            # A safety net only: the trigger itself keeps the deadline, and says more.
            timeout=timedelta(seconds=max(0.0, following.deadline - time.time()) + 900),
        )

    def _succeed(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        outputs = result["outputs"]
        self.log.info("Job %s has succeeded; outputs: %s", result["task_id"], ", ".join(outputs) or "none")
        if not outputs and result["target"]:
            self.log.warning("No object like %s was found after the job", result["target"])
        for outlet in self.outlets:
            if (uri := getattr(outlet, "uri", None)) is not None and uri.startswith("oss://"):
                context["outlet_events"][outlet].extra.update(
                    {"task_id": result["task_id"], "outputs": outputs}
                )
        return result

    def build_submission(self) -> JobRequest:
        """Check everything and return the request.

        :raises ValueError: names every wrong argument, its value and what is allowed.
        """
        from airflow_provider_oss_async.jobs.waiting import predictable_output
        from airflow_provider_oss_async.process.naming import outputs_of

        settings = self.hook.settings
        problems: list[str] = []

        def parse(name: str) -> ObjectURI:
            text, variables = getattr(self, name), name == "target"
            return ObjectURI.parse(text, name=name, default_bucket=settings.bucket, variables=variables)

        source = _collect(problems, lambda: parse("source"))
        target = _collect(problems, lambda: parse("target")) if self.target is not None else None
        for name, allowed in (("completion", COMPLETIONS), ("on_uncertain_submit", ("fail", "resubmit"))):
            if (value := getattr(self, name)) not in allowed:
                problems.append(f"{name}={value!r} is not allowed: expected {' or '.join(allowed)}")
        for name, most in (("timeout", MAX_TIMEOUT), ("poll_interval", 3600.0)):
            value = getattr(self, name)
            if name == "poll_interval" and value is None:
                continue
            seconds = _seconds(value)
            if seconds is None or not 0 < seconds <= most:
                problems.append(f"{name}={value!r} is not allowed: expected above 0, up to {most:g} s")
        # With a wrong source or target the other arguments are still checked, against one that is all right.
        place_holder = ObjectURI("bucket", "target") if self.target is not None else None
        instruction = _collect(
            problems,
            # With an empty bucket, the merged objects are not compared with the source's bucket.
            lambda: self.instruction(source or ObjectURI("", "source"), target or place_holder),
        )
        if instruction is not None and self.completion == "smq":
            instruction = self._announced(instruction, settings, problems)
        if problems or instruction is None:
            raise ProcessError(
                f"Nothing was submitted. To correct in task {self.task_id}: {'; '.join(problems)}",
                problems=problems,
            )
        submission = replace(instruction, region=settings.region, imm_project=settings.imm_project)
        if self.completion == "object" and self.wait_for_completion:
            predictable_output(submission)
        for warning in self.warnings():
            self.log.warning("%s: %s", submission.process.operation, warning)
        outputs = outputs_of(submission.process, submission.source)
        if outputs is not None and outputs.overwrites:
            self.log.warning(
                "%s may write several objects, but target=%r gives them all one name, so that only the last "
                "survives: use {index}, or for frames a key without extension",
                submission.process.operation,
                self.target,
            )
        return submission

    def _announced(
        self, instruction: JobRequest, settings: ConnectionSettings, problems: list[str]
    ) -> JobRequest:
        """Return the instruction with the connection's topic, where it has none; note what is missing."""
        from airflow_provider_oss_async.process.naming import check_outputs

        on = f"on the connection {settings.conn_id!r}"
        if not instruction.process.topic and settings.smq_topic:
            process = replace(instruction.process, topic=settings.smq_topic)
            _collect(problems, lambda: check_outputs(process, instruction.source))
            instruction = replace(instruction, process=process)
        if self.wait_for_completion and self.deferrable:
            missing = [name for name in ("smq_endpoint", "smq_queue") if not getattr(settings, name)]
            problems += [f"completion='smq' needs {name} {on}" for name in missing]
            if not instruction.process.topic:
                problems.append(
                    "completion='smq' needs a topic that the queue subscribes to: notify_topic here, or "
                    f"smq_topic {on}"
                )
        return instruction


class OSSSpecificationOperator(OSSAsyncBaseOperator):
    """An operator for one operation; its arguments are those of the specification.

    A subclass names the specification; ``python -m tests.generate`` writes its ``__init__``.
    """

    specification: ClassVar[type[Specification]]
    _warnings: Sequence[str] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "specification" in cls.__dict__:
            names = (field.name for field in cls.specification.fields())
            cls.template_fields = (*OSSAsyncBaseOperator.template_fields, *names)

    def instruction(self, source: ObjectURI, target: ObjectURI | None) -> JobRequest:
        """Return what to ask for, from the task's arguments."""
        from airflow_provider_oss_async.jobs.submission import build_request

        arguments = {field.name: getattr(self, field.name) for field in self.specification.fields()}
        problems: list[str] = []
        topic = checked_topic(self.notify_topic, problems)
        specification = _collect(
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


def checked_topic(topic: object, problems: list[str]) -> str:
    """Return ``notify_topic`` as a text, empty where there is none; note what is wrong with it."""
    from airflow_provider_oss_async.process.naming import topic_errors

    wrong = [] if topic is None else topic_errors(topic, "notify_topic")
    problems += wrong
    return "" if topic is None or wrong else str(topic)


def _collect(problems: list[str], check: Callable[[], T]) -> T | None:
    try:
        return check()
    except ProcessError as error:
        problems.extend(error.problems or [str(error)])
        return None


def _seconds(value: Any) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
