"""The sensor that follows a job submitted elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from airflow_provider_oss_async.exceptions import (
    OSSJobFailedError,
    OSSJobLostError,
    OSSJobTimeoutError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.jobs.job import CEILING, OSSJob
from airflow_provider_oss_async.process import TASK_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, Unpack

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.hooks.services import Services
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.job import Completion
    from airflow_provider_oss_async.jobs.waiting import Following
    from airflow_provider_oss_async.operators.arguments import SensorArguments


class OSSSensedJobFailedError(OSSJobFailedError, AirflowFailException):
    """The job has failed. Final: another poke cannot revive it."""


class OSSSensedJobLostError(OSSJobLostError, AirflowFailException):
    """The service no longer knows the job. Final."""


class OSSAsyncTaskSensor(BaseSensorOperator):
    """Waits for a job that another task, DAG or program has submitted.

    Succeeds with the job's result as XCom, as the operators return it.

    :param job: the dict an operator returned, or a bare task id (templated)
    :param imm_task_type: with a bare task id: ``MediaConvert``, ``OfficeConversion`` or
        ``DecodeBlindWatermark`` (templated)
    :param imm_project: IMM project of the job, where the dict does not say it; default the connection's
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection (templated)
    :param deferrable: wait in the triggerer; default ``[operators] default_deferrable``
    :param end_from_trigger: in deferrable mode, end the task in the triggerer, as with the operators. Default
        ``False``
    :param completion: in deferrable mode: ``"imm"`` asks IMM at intervals, ``"smq"`` when a message comes to
        the queue of the connection, for jobs that were submitted with a topic (templated)
    """

    template_fields: Sequence[str] = (
        "job",
        "imm_task_type",
        "imm_project",
        "region",
        "oss_conn_id",
        "completion",
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
        self.end_from_trigger = end_from_trigger
        self.completion = cast("str", completion)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once.

        :raises OSSSensedJobFailedError: the job has failed.
        :raises OSSSensedJobLostError: the service does not know the job, a minute after it must have.
        :raises OSSServiceError: the service refuses to tell.
        """
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.jobs.result import result_of
        from airflow_provider_oss_async.jobs.waiting import look

        hook = OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)
        following = self._following(hook.settings)
        known_since = following.job.submitted or self._started(context)

        async def ask(services: Services) -> dict[str, Any] | None:
            status = await look(services, following, known_since)
            return await result_of(services, following.job, status) if status.final else None

        try:
            with hook.running() as run:
                result = run(ask)
        except (OSSJobFailedError, OSSJobLostError) as error:
            raise _final(error) from None
        except (OSSThrottledError, OSSUnavailableError) as error:
            self.log.warning("Asking again later: %s", error)
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute(self, context: Context) -> Any:
        """Poke; in deferrable mode poke once, and then wait in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        try:
            first = self.poke(context)
        except AirflowFailException:
            raise
        except OSSServiceError as error:
            self.log.info("The first look brought no answer: %s", error)
            first = PokeReturnValue(is_done=False)
        if first:
            return first.xcom_value
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger, may_end_in_trigger

        hook = OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)
        self.defer(
            trigger=OSSAsyncTaskTrigger(
                following=self._following(hook.settings).to_dict(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                end_from_trigger=self.end_from_trigger and may_end_in_trigger(self),
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + 900),
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the outcome that the trigger has brought."""
        from airflow_provider_oss_async.jobs.result import result_from

        try:
            return result_from(event)
        except (OSSJobFailedError, OSSJobLostError) as error:
            raise _final(error) from None
        except OSSJobTimeoutError as error:
            raise AirflowSensorTimeout(str(error)) from None

    def _started(self, context: Context) -> float:
        """Return when the first poke was, in epoch seconds."""
        ti = context["ti"]
        first = ti.get_first_reschedule_date(context) if self.reschedule else None
        return (first or ti.start_date).timestamp()

    def _following(self, settings: ConnectionSettings) -> Following:
        from airflow_provider_oss_async.jobs.waiting import Following

        problems = []
        if self.completion not in ("imm", "smq"):
            problems.append(f"completion={self.completion!r} is not allowed: expected imm or smq")
        elif self.completion == "smq" and not (
            self.deferrable and settings.smq_endpoint and settings.smq_queue
        ):
            problems.append(
                "completion='smq' needs deferrable=True, and smq_endpoint and smq_queue on the connection "
                f"{settings.conn_id!r}"
            )
        if isinstance(self.job, dict):
            data = self.job
        else:
            if not self.job or "{{" in self.job:
                problems.append(
                    f"job={self.job!r} is not allowed: expected an operator's result or a task id"
                )
            if self.imm_task_type not in TASK_TYPES:
                problems.append(
                    f"imm_task_type={self.imm_task_type!r} is not allowed: "
                    f"a bare task id needs {' or '.join(TASK_TYPES)}"
                )
            data = {"task_id": self.job, "task_type": self.imm_task_type}
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        project = data.get("imm_project") or settings.imm_project
        job = OSSJob.from_dict({**data, "imm_project": project})
        if not project:
            raise ProcessError(
                f"job {job.task_id}: its IMM project is not known; set imm_project here or on the connection"
            )
        # Where messages come, looks only cover their silence.
        ceiling = max(self.poke_interval, CEILING) if self.completion == "imm" else None
        return Following(job, cast("Completion", self.completion), time.time() + self.timeout, ceiling)


def _final(error: OSSJobFailedError | OSSJobLostError) -> Exception:
    kind = OSSSensedJobLostError if isinstance(error, OSSJobLostError) else OSSSensedJobFailedError
    return kind(error.message, job=error.job, code=error.code, detail=error.detail)
