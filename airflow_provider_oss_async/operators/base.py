"""What all operators share: arguments, submitting exactly once, waiting, and the result."""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk import conf

from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSJobFailedError,
    OSSJobLostError,
    OSSOutputMismatchError,
    OSSServiceError,
    error_text,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT
from airflow_provider_oss_async.links.oss_async import OSSAsyncTaskLink
from airflow_provider_oss_async.operators.argument_checks import (
    CHOICES,
    circumstances_of,
    collect,
    refusal,
    seconds_of,
    wrong_choices,
    wrong_durations,
    wrong_names,
    wrong_output_choices,
    wrong_switches,
)
from airflow_provider_oss_async.operators.kill_flag import KillFlag
from airflow_provider_oss_async.operators.lineage import lineage
from airflow_provider_oss_async.operators.results import ResultReference, object_of
from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY, OSSRetryPolicy
from airflow_provider_oss_async.operators.task import OSSAsyncTask
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
    from airflow_provider_oss_async.jobs.submission import JobRequest

#: Seconds that waiting may take where ``timeout`` is not given.
DEFAULT_TIMEOUT = 6 * 3600.0
#: Seconds between two polls at most.
MAX_POLL_INTERVAL = 3600.0


class OSSAsyncBaseOperator(OSSAsyncTask):
    """Submits one asynchronous OSS job and waits for it.

    XCom: ``task_id``, ``event_id`` and ``request_id`` as soon as the job is submitted; after success the
    result (a dict) as ``return_value``, and ``outputs`` by itself; after a failure ``code``, ``detail`` and
    ``job``.

    :param source: the object to process: ``oss://bucket/key``, or a key in the connection's default bucket;
        or the result of a task with exactly one output, as ``source=convert.output`` (templated)
    :param target: where the result goes, in the first two forms; the key may hold OSS's variables such as
        ``{index}`` and ``{autoext}`` (templated)
    :param if_target_exists: ``"overwrite"`` it; ``"skip"`` the job if the target is newer than the source and
        not empty, and return it as the result, so that nothing is paid (of several outputs one is enough;
        outlets get their event all the same, with the status ``skipped`` in its extra); or ``"fail"``.
        Default ``"overwrite"`` (templated)
    :param if_target_triggers: where the run was started by events of an ``OSSEventTrigger``, and the target
        lies under what that watches, so that the DAG would start itself again and again: ``"fail"`` before
        anything is paid, or ``"warn"`` in the log. Default ``"fail"`` (templated)
    :param notify_topic: SMQ topic that the service tells when the job has ended (templated)
    :param extra_params: wire keys and values, text or numbers, added to the process string as they are
        (templated)
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning instead of an error. Default ``False``
    :param completion: how the end of the job is learned: ``"imm"`` polls IMM; ``"smq"`` does so, in
        deferrable mode, when a message comes to the queue of the connection, and adds the connection's topic
        to the request where ``notify_topic`` is not given; ``"object"`` waits for the target object to
        appear, for accounts without rights on IMM. Default ``"imm"`` (templated)
    :param wait_for_completion: ``False`` returns the job as soon as it is submitted; not with ``outlets``,
        whose events would be sent before there is an object. Default ``True``
    :param verify_output: check the output once the job has succeeded: ``"exists"``, that it is there, not
        empty, and newer than the submission; ``"media"``, also that container, codecs, sizes, rates and
        durations are as asked for, by OSS's own information about media, which is billed and needs the right
        ``imm:DetectMediaMeta``. What could not be checked is a warning. Default ``None``, no check
        (templated)
    :param if_output_differs: where the output is not what was asked for, ``"fail"`` the task with
        ``OSSOutputMismatchError``, or ``"warn"``. Default ``"fail"`` (templated)
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable``
    :param end_from_trigger: in deferrable mode, end the task in the triggerer when the job has succeeded,
        without waking a worker. A task with outlets, ``post_execute``, ``on_success_callback``, an
        ``execute_complete`` of its own or ``multiple_outputs`` ends on a worker all the same, and so does
        every task where a plugin listens to task events (OpenLineage). Default ``False``
    :param poll_interval: seconds between two polls of the job at most, above 0, up to 3600. Default 30, for
        ``"smq"`` 300; polls begin 2 s apart (``[oss_async] min_poll_interval``), for ``"smq"`` 15 s
    :param timeout: seconds (or a ``timedelta``) to wait at most, from the submission or a retry's start; at
        most 6.5 days, because the service forgets jobs after 7. Default 6 hours
    :param on_uncertain_submit: what to do where it cannot be decided whether a request whose answer was lost
        has started a job: ``"fail"`` the task, or ``"resubmit"`` and perhaps pay twice. Default ``"fail"``
        (templated)
    :param retry_failed_job: let ``retries`` submit a new job after any failure of a job. By default (Airflow
        3.3 and later) failures that no retry can mend are final; ``retry_policy`` replaces that. Default
        ``False``
    :param durable: remember the job in the task state store (Airflow 3.3 and later), so that a retry
        reconnects to it. Default ``True``
    :param imm_project: IMM project the bucket is bound to; default the connection's, else looked up
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection. Default ``"oss_async_default"`` (templated)
    """

    template_fields: Sequence[str] = (
        "source",
        "target",
        "if_target_exists",
        "if_target_triggers",
        "notify_topic",
        "extra_params",
        "completion",
        "verify_output",
        "if_output_differs",
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
        source: str | Mapping[str, Any],
        target: str | None = None,
        if_target_exists: Literal["overwrite", "skip", "fail"] | str = "overwrite",
        if_target_triggers: Literal["fail", "warn"] | str = "fail",
        notify_topic: str | None = None,
        extra_params: Mapping[str, str | float] | str | None = None,
        allow_ignored: bool = False,
        completion: Literal["imm", "smq", "object"] | str = "imm",
        wait_for_completion: bool = True,
        verify_output: Literal["exists", "media"] | str | None = None,
        if_output_differs: Literal["fail", "warn"] | str = "fail",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        poll_interval: float | timedelta | None = None,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        on_uncertain_submit: Literal["fail", "resubmit"] | str = "fail",
        retry_failed_job: bool = False,
        durable: bool = True,
        imm_project: str | None = None,
        region: str | None = None,
        oss_conn_id: str = "oss_async_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Only now, so that the default_args of a DAG count.
        if HAS_RETRY_POLICY and self.retry_policy is None:
            self.retry_policy = OSSRetryPolicy(retry_failed_job)
        self.source = source
        self.target = target
        self.if_target_exists = if_target_exists
        self.if_target_triggers = if_target_triggers
        self.notify_topic = notify_topic
        self.extra_params = extra_params
        self.allow_ignored = allow_ignored
        self.completion = completion
        self.wait_for_completion = wait_for_completion
        self.verify_output = verify_output
        self.if_output_differs = if_output_differs
        self.deferrable = deferrable
        # Not public: Airflow refuses DAGs with an attribute of that name where plugins have listeners.
        self._end_from_trigger = end_from_trigger
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.on_uncertain_submit = on_uncertain_submit
        self.retry_failed_job = retry_failed_job
        self.durable = durable
        self.imm_project = imm_project
        self.region = region
        self.oss_conn_id = oss_conn_id
        self._job: OSSJob | None = None
        self._killed = KillFlag()
        #: Whether a worker goes on with this task instance after a deferral.
        self._resumed = False
        #: Source and outputs of this task instance, for OpenLineage.
        self._lineage: dict[str, Any] = {}

    @abstractmethod
    def job_request(self, source: ObjectURI, target: ObjectURI | None) -> JobRequest:
        """Return the request, without region and IMM project.

        :raises ProcessError: an argument is missing or not allowed.
        """

    @property
    def output(self) -> XComArg:
        """A reference to the task's result, for other tasks."""
        return ResultReference(self)

    def warnings(self) -> Iterator[str]:
        """Yield what the service may not do as asked."""
        return iter(())

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the job, or reconnect to the one that an earlier try submitted, and wait for it.

        :return: the job as a dict; after a wait also ``status``, ``finished_at`` and ``outputs``.
        :raises ValueError: an argument or the connection is wrong; nothing was sent.
        :raises OSSSubmitError: the job could not be submitted.
        :raises OSSJobError: the job did not succeed.
        """
        try:
            return self._execute(context)
        except OSSAsyncError as error:
            raise self._failed(context, error) from None

    def _execute(self, context: Context) -> dict[str, Any]:
        # What only a running task needs is not imported while a DAG file is parsed.
        from airflow_provider_oss_async.events.target_check import watches_of
        from airflow_provider_oss_async.jobs.completion import strategy_of
        from airflow_provider_oss_async.jobs.existing_outputs import ExistingOutputs
        from airflow_provider_oss_async.jobs.waiting import poll_before_deferral, wait_for_result
        from airflow_provider_oss_async.operators.job_store import JobStateStore
        from airflow_provider_oss_async.operators.submit_once import SubmitOrReconnect
        from airflow_provider_oss_async.triggers.oss_async import deferral

        request = self.build_request(watches_of(context))
        self._lineage = {"source": str(request.source)}
        store = JobStateStore(context, request.fingerprint, enabled=self.durable)
        timeout = seconds_of(self.timeout) or DEFAULT_TIMEOUT
        if self.execution_timeout is not None:
            # Airflow counts it anew after a deferral.
            timeout = min(timeout, self.execution_timeout.total_seconds())
        with self.hook.running() as run:
            obtained = SubmitOrReconnect(
                run=run,
                request=request,
                store=store,
                completion=self.completion,
                waits=self.wait_for_completion,
                deadline=time.time() + timeout,
                max_poll_interval=seconds_of(self.poll_interval),
                resubmit=self.on_uncertain_submit == "resubmit",
                if_target_exists=self.if_target_exists,
                killed=self._killed,
            ).obtain()
            if isinstance(obtained, ExistingOutputs):
                return self._succeed(context, obtained.result())
            spec = replace(
                obtained, verify_output=self.verify_output or "", if_output_differs=self.if_output_differs
            )
            job = self._job = spec.job
            # Logged before anything else can fail, because it has been billed or will be.
            self.log.info(
                "Submitted %s: target %s, IMM project %s, deadline %s, source %s, job %s",
                job.process.partition(",")[0],
                job.target or "none",
                job.imm_project or "not known",
                datetime.fromtimestamp(spec.deadline, UTC).isoformat(timespec="seconds"),
                job.source,
                job.task_id,
            )
            ti = context["ti"]
            for name in ("task_id", "event_id", "request_id"):
                ti.xcom_push(key=name, value=getattr(job, name))
            OSSAsyncTaskLink.push(ti, job)
            if not self.wait_for_completion:
                return job.to_dict()
            status: JobStatus | None = None
            if self.deferrable:
                try:
                    status = run(lambda services: poll_before_deferral(services, spec))
                except OSSServiceError as error:
                    self.log.info("The first poll of job %s brought no answer: %s", job.task_id, error)
                if status is None or not status.final:
                    self.defer(**deferral(self, spec, OSSAsyncBaseOperator))
            else:
                spec = replace(spec, completion=strategy_of(spec.completion).on_worker().name)
            try:
                result = run(lambda services: wait_for_result(services, spec, status))
            except (OSSJobFailedError, OSSJobLostError) as error:
                # The next try must submit a new job.
                store.delete()
                result = self._result_in_place_of(error)
            except OSSOutputMismatchError:
                if self.retry_failed_job:
                    store.delete()
                raise
        return self._succeed(context, result)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral; called by Airflow.

        :raises OSSAsyncError: the wait ended without an event, because no triggerer ran it; names the job.
        """
        from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

        self._resumed = True
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout) as error:
            job = self._job_of_this_try(context)
            if job is None:
                raise
            failure = self._deferral_failure(error, job)
        raise self._failed(context, failure)

    def _job_of_this_try(self, context: Context) -> OSSJob | None:
        """Return the job that the task state store knows, ``None`` where there is none or no store."""
        from airflow_provider_oss_async.operators.job_store import JobStateStore

        return JobStateStore(context, "", enabled=self.durable).job()

    @staticmethod
    def _deferral_failure(error: Exception, job: OSSJob) -> OSSAsyncError:
        """Return the error for a wait that ended without an event of the trigger."""
        from airflow_provider_oss_async.clients.errors import redact
        from airflow_provider_oss_async.jobs.job_errors import with_job

        advice = "Check that a triggerer runs, with the same release of this package as the workers."
        reason = f"Airflow ended the wait in the triggerer without a result: {redact(str(error))}"
        return with_job(OSSAsyncError(error_text(reason, advice), advice=advice), job)

    @property
    def console_link(self) -> str | None:
        """Address of the job in the console; empty where there is no job, ``None`` where that is not known.

        After a deferral that ended without any event, only XCom knows it.
        """
        if self._job is not None:
            return OSSAsyncTaskLink.address(self._job)
        return None if self._resumed else ""

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the result that the trigger has brought.

        :raises OSSJobError: the job did not succeed.
        :raises OSSAsyncError: waiting failed.
        """
        from airflow_provider_oss_async.jobs.result import result_from
        from airflow_provider_oss_async.operators.job_store import JobStateStore

        try:
            try:
                result = result_from(event)
            except (OSSJobFailedError, OSSJobLostError) as error:
                JobStateStore(context, "", enabled=self.durable).delete()
                result = self._result_in_place_of(error)
            except OSSOutputMismatchError:
                if self.retry_failed_job:
                    JobStateStore(context, "", enabled=self.durable).delete()
                raise
            return self._succeed(context, result)
        except OSSAsyncError as error:
            raise self._failed(context, error) from None

    def _result_in_place_of(self, error: OSSAsyncError) -> dict[str, Any]:
        """Return the result where a failed job is none for this task; raise the error everywhere else."""
        raise error

    def on_kill(self) -> None:
        """Submit nothing any more, and say that a submitted job goes on: OSS cannot cancel it."""
        from airflow_provider_oss_async.jobs.job_errors import still_running_text

        self._killed.set()
        if self._job is not None:
            self.log.warning("%s", still_running_text(self._job))
        else:
            self.log.warning(
                "No job was known yet. If a request was just being sent, its job goes on, and a retry finds "
                "it."
            )

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the source as input and the outputs as output datasets, for OpenLineage."""
        return lineage(self._lineage.get("source", ""), self._lineage.get("outputs", ()))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the source as input dataset, for OpenLineage."""
        return lineage(self._lineage.get("source", ""), ())

    def _failed(self, context: Context, error: OSSAsyncError) -> OSSAsyncError:
        """Push what is known of a failure, and return the error to raise."""
        from airflow_provider_oss_async.jobs.job import OSSJob
        from airflow_provider_oss_async.jobs.job_errors import with_job
        from airflow_provider_oss_async.operators.final_errors import failed

        self._lineage.setdefault("source", error.source)
        if error.job:
            self._job = OSSJob.from_dict(error.job)
        elif self._job is not None:
            error = with_job(error, self._job)
        # A retry inspects the output of the same job; without a store to know it, it would pay for another.
        same = isinstance(error, OSSOutputMismatchError) and not (self.retry_failed_job or HAS_RETRY_POLICY)
        return failed(context, error, submits=not same)

    def _succeed(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        from airflow_provider_oss_async.hooks.metrics import observe_result
        from airflow_provider_oss_async.jobs.job import OSSJob

        outputs = result["outputs"]
        self._lineage = {"source": result["source"], "outputs": outputs}
        if result["task_id"]:
            job = self._job = OSSJob.from_dict(result)
            written = ", ".join(outputs) or "none"
            self.log.info("Succeeded with outputs %s; job %s", written, result["task_id"])
            if not outputs and result["target"]:
                self.log.warning("No object like %s was found after the job", result["target"])
            observe_result(job, result)
        context["ti"].xcom_push(key="outputs", value=outputs)
        for outlet in self.outlets:
            if (uri := getattr(outlet, "uri", None)) is not None and uri.startswith("oss://"):
                # Airflow sends the event of a successful task in any case; the status tells a skipped job.
                context["outlet_events"][outlet].extra.update(
                    {"task_id": result["task_id"], "outputs": outputs, "status": result["status"]}
                )
        return result

    def build_request(self, watches: Sequence[Mapping[str, Any]] = ()) -> JobRequest:
        """Check everything and return the request.

        :param watches: what the events watch that have started the run, as
            :func:`~airflow_provider_oss_async.events.target_check.watches_of` returns it.
        :raises ValueError: names every wrong argument, its value and what is allowed.
        """
        from airflow_provider_oss_async.events.target_check import TargetCheck
        from airflow_provider_oss_async.jobs.completion import STRATEGIES
        from airflow_provider_oss_async.process.naming import outputs_of

        problems = wrong_switches(self)
        if names := wrong_names(self):
            # Without the connection's own region and bucket nothing else can be checked.
            raise refusal(self.task_id, [*names, *problems])
        settings = self.hook.settings

        def parse(name: str, text: Any) -> ObjectURI:
            return ObjectURI.parse(
                text, name=name, default_bucket=settings.bucket, variables=name == "target"
            )

        source = collect(problems, lambda: parse("source", object_of(self.source)))
        target = collect(problems, lambda: parse("target", self.target)) if self.target is not None else None
        problems += wrong_choices(self, {"completion": tuple(STRATEGIES), **CHOICES})
        problems += wrong_output_choices(self, waits=self.wait_for_completion)
        limits = {"timeout": MAX_TIMEOUT}
        if self.poll_interval is not None:
            limits["poll_interval"] = MAX_POLL_INTERVAL
        problems += wrong_durations(self, limits)
        if self.outlets and not self.wait_for_completion:
            problems.append(
                "outlets are not allowed with wait_for_completion=False: their event would be sent before "
                "there is an object"
            )
        # With a wrong source or target the other arguments are still checked, against one that is all right.
        place_holder = ObjectURI("bucket", "target") if self.target is not None else None
        request = collect(
            problems,
            # With an empty bucket, the merged objects are not compared with the source's bucket.
            lambda: self.job_request(source or ObjectURI("", "source"), target or place_holder),
        )
        if request is not None and not problems:
            strategy = STRATEGIES[self.completion]
            circumstances = circumstances_of(self, settings, waits=self.wait_for_completion)
            unprepared = request
            request = collect(problems, lambda: strategy.prepare_request(unprepared, circumstances))
            problems += strategy.check(circumstances, request=request or unprepared)
        outputs = outputs_of(request.process, request.source) if request is not None and source else None
        loop = TargetCheck(watches).problem(outputs)
        if loop and self.if_target_triggers != "warn":
            problems.append(loop)
        if problems or request is None:
            raise refusal(self.task_id, problems)
        if loop:
            self.log.warning("%s", loop)
        for warning in self.warnings():
            self.log.warning("%s: %s", request.process.operation, warning)
        if outputs is not None and outputs.overwrites:
            self.log.warning(
                "%s may write several objects, but target=%r gives them all one name, so that only the last "
                "survives: use {index}, or for frames a key without extension",
                request.process.operation,
                self.target,
            )
        return replace(request, region=settings.region, imm_project=settings.imm_project)
