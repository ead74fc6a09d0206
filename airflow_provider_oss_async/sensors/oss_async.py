"""The sensor that waits for a job submitted elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Unpack

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
    from airflow_provider_oss_async.operators.arguments import SensorArguments


class OSSAsyncTaskSensor(BaseSensorOperator):
    """Waits for a job that another task, DAG or program has submitted.

    Succeeds with the job's result as XCom, as the operators return it; after a failure, or when its time is
    over, the XComs ``code``, ``detail`` and ``job`` are those of the operators. With ``mode="reschedule"``
    two pokes are at least ``[workers] min_heartbeat_interval`` plus 5 seconds apart (``[oss_async]
    event_hold``), because Airflow 3.3 may fail a task that is queued again sooner.

    :param job: the result of an operator, as ``job=submit.output``, or a bare task id (templated)
    :param imm_task_type: with a bare task id: ``MediaConvert``, ``OfficeConversion`` or
        ``DecodeBlindWatermark`` (templated)
    :param imm_project: IMM project of the job, where the dict does not say it; default the connection's
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection (templated)
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable``
    :param end_from_trigger: in deferrable mode, end the task in the triggerer, as with the operators. Default
        ``False``
    :param completion: in deferrable mode: ``"imm"`` polls IMM, ``"smq"`` when a message comes to the
        queue of the connection, for jobs that were submitted with a topic (templated)
    :param verify_output: check the output of the job, as with the operators: ``"exists"`` or ``"media"``; a
        bare task id does not say what was asked for. Default ``None``, no check (templated)
    :param if_output_differs: where the output is not what was asked for, ``"fail"`` the task, or ``"warn"``.
        Default ``"fail"`` (templated)
    """

    template_fields: Sequence[str] = (
        "job",
        "imm_task_type",
        "imm_project",
        "region",
        "oss_conn_id",
        "completion",
        "verify_output",
        "if_output_differs",
    )
    ui_color = "#ffe8cc"

    def __init__(
        self,
        *,
        job: dict[str, Any] | str | XComArg,
        imm_task_type: Literal["MediaConvert", "OfficeConversion", "DecodeBlindWatermark"]
        | str
        | XComArg
        | None = None,
        imm_project: str | XComArg | None = None,
        region: str | XComArg | None = None,
        oss_conn_id: str | XComArg = "oss_async_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        completion: Literal["imm", "smq"] | str | XComArg = "imm",
        verify_output: Literal["exists", "media"] | str | XComArg | None = None,
        if_output_differs: Literal["fail", "warn"] | str | XComArg = "fail",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        # As they are once rendered.
        self.job = cast("dict[str, Any] | str", job)
        self.imm_task_type = cast("str | None", imm_task_type)
        self.imm_project = cast("str | None", imm_project)
        self.region = cast("str | None", region)
        self.oss_conn_id = cast("str", oss_conn_id)
        self.deferrable = deferrable
        # Not public: Airflow refuses DAGs with an attribute of that name where plugins have listeners.
        self._end_from_trigger = end_from_trigger
        self.completion = cast("str", completion)
        self.verify_output = cast("str | None", verify_output)
        self.if_output_differs = cast("str", if_output_differs)
        #: What was polled last on this worker.
        self._job: OSSJob | None = None

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once.

        :raises FinalJobFailedError: the job has failed.
        :raises FinalJobLostError: the service does not know the job, a minute after it must have.
        :raises OSSServiceError: the service refuses to tell.
        """
        try:
            return self._poke(context)
        except OSSAsyncError as error:
            raise self._failed(context, error) from None

    def _poke(self, context: Context) -> PokeReturnValue:
        from airflow_provider_oss_async.jobs.output_check import verify
        from airflow_provider_oss_async.jobs.result import result_and_outputs
        from airflow_provider_oss_async.jobs.waiting import poll_once

        self._check_names()
        hook = self._hook()
        spec = self._wait_specification(hook.settings)
        self._job = spec.job
        known_since = spec.job.submitted or self._started(context)

        async def ask(services: Services) -> dict[str, Any] | None:
            status = await poll_once(services, spec, known_since)
            if not status.final:
                return None
            return await verify(services, spec, *await result_and_outputs(services, spec.job, status))

        try:
            with hook.running() as run:
                result = run(ask)
        except (OSSThrottledError, OSSUnavailableError) as error:
            self.log.warning("Polling again later: %s", error)
            return PokeReturnValue(is_done=False)
        if result is not None:
            self._push(context, result)
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute(self, context: Context) -> Any:
        """Poke; in deferrable mode poke once, and then wait in the triggerer."""
        from airflow_provider_oss_async.jobs.job_errors import timeout_error
        from airflow_provider_oss_async.triggers.oss_async import deferral, event_hold

        if not self.deferrable:
            if self.reschedule:
                # The race after a deferral: Airflow may fail a task that is queued again so soon.
                self.poke_interval = max(self.poke_interval, event_hold())
            try:
                return super().execute(context)
            except (AirflowSensorTimeout, AirflowSkipException) as error:
                # Airflow's own timeout, which soft_fail turns into a skip; what a poke raised has a cause.
                if self._job is None or error.__cause__ is not None:
                    raise
                late = self._failed(context, timeout_error(self._job))
                raise type(error)(str(late)) from None
        try:
            first = self._poke(context)
        except OSSServiceError as error:
            self.log.info("The first poll brought no answer: %s", error)
            first = PokeReturnValue(is_done=False)
        except OSSAsyncError as error:
            raise self._failed(context, error) from None
        if first:
            return first.xcom_value
        spec = self._wait_specification(self._hook().settings)
        self.defer(**deferral(self, spec, OSSAsyncTaskSensor))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the result that the trigger has brought."""
        from airflow_provider_oss_async.jobs.result import result_from

        try:
            result = result_from(event)
        except OSSJobTimeoutError as error:
            raise AirflowSensorTimeout(str(self._failed(context, error))) from None
        except OSSAsyncError as error:
            raise self._failed(context, error) from None
        self._push(context, result)
        return result

    def _push(self, context: Context, result: dict[str, Any]) -> None:
        """Push what comes of a job beside its result, and record how long it took."""
        from airflow_provider_oss_async.hooks.metrics import observe_result
        from airflow_provider_oss_async.jobs.job import OSSJob

        context["ti"].xcom_push(key="outputs", value=result["outputs"])
        observe_result(OSSJob.from_dict(result), result)

    def _failed(self, context: Context, error: OSSAsyncError) -> OSSAsyncError:
        from airflow_provider_oss_async.operators.final_errors import failed

        return failed(context, error, submits=False)

    def _hook(self) -> OSSAsyncHook:
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

        return OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)

    def _check_names(self) -> None:
        """Refuse names without which the connection cannot be read.

        :raises ProcessError: names every wrong one.
        """
        from airflow_provider_oss_async.operators.argument_checks import wrong_names, wrong_switches

        if names := wrong_names(self):
            raise self._refusal([*names, *wrong_switches(self)])

    def _refusal(self, problems: list[str]) -> ProcessError:
        return ProcessError(f"To correct in task {self.task_id}: {'; '.join(problems)}", problems=problems)

    def _started(self, context: Context) -> float:
        """Return when the first poke was, in epoch seconds."""
        ti = context["ti"]
        first = ti.get_first_reschedule_date(context) if self.reschedule else None
        return (first or ti.start_date).timestamp()

    def _wait_specification(self, settings: ConnectionSettings) -> WaitSpecification:
        from airflow_provider_oss_async.jobs.completion import STRATEGIES
        from airflow_provider_oss_async.jobs.reference import read_job
        from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
        from airflow_provider_oss_async.operators.argument_checks import (
            circumstances_of,
            wrong_output_choices,
            wrong_switches,
        )

        problems = wrong_switches(self) + wrong_output_choices(self, waits=True)
        names = [name for name, strategy in STRATEGIES.items() if strategy.for_sensor]
        if isinstance(self.completion, str) and self.completion in names:
            circumstances = circumstances_of(self, settings, waits=True)
            problems += STRATEGIES[self.completion].check(circumstances)
        else:
            problems.append(f"completion={self.completion!r} is not allowed: expected {' or '.join(names)}")
        job = None
        try:
            job = read_job(self.job, task_type=self.imm_task_type, imm_project=settings.imm_project)
        except ProcessError as error:
            problems += error.problems
        if problems or job is None:
            raise self._refusal(problems)
        strategy = STRATEGIES[self.completion]
        # Only a strategy that polls on its own takes the sensor's interval.
        longest = max(self.poke_interval, strategy.max_poll_interval) if strategy.name == "imm" else None
        return WaitSpecification(
            job,
            self.completion,
            time.time() + self.timeout,
            longest,
            verify_output=self.verify_output or "",
            if_output_differs=self.if_output_differs,
        )
