"""The sensor that follows a job submitted elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

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
from airflow_provider_oss_async.process.style import TASK_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_oss_async.hooks.services import Services
    from airflow_provider_oss_async.jobs.following import Following


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
    """

    template_fields: Sequence[str] = ("job", "imm_task_type", "imm_project", "region", "oss_conn_id")
    ui_color = "#ffe8cc"

    def __init__(
        self,
        *,
        job: dict[str, Any] | str,
        imm_task_type: str | None = None,
        imm_project: str | None = None,
        region: str | None = None,
        oss_conn_id: str = "oss_async_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.imm_task_type = imm_task_type
        self.imm_project = imm_project
        self.region = region
        self.oss_conn_id = oss_conn_id
        self.deferrable = deferrable

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once.

        :raises OSSSensedJobFailedError: the job has failed.
        :raises OSSServiceError: the service refuses to tell.
        """
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.jobs.following import look
        from airflow_provider_oss_async.jobs.outcome import result_of

        hook = OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)
        following = self._following(hook.settings.imm_project)

        async def ask(services: Services) -> dict[str, Any] | None:
            status = await look(services, following)
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
        from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger

        hook = OSSAsyncHook(self.oss_conn_id, region=self.region, imm_project=self.imm_project)
        self.defer(
            trigger=OSSAsyncTaskTrigger(
                following=self._following(hook.settings.imm_project).to_dict(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout + 900),
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the outcome that the trigger has brought."""
        from airflow_provider_oss_async.jobs.outcome import result_from

        try:
            return result_from(event)
        except (OSSJobFailedError, OSSJobLostError) as error:
            raise _final(error) from None
        except OSSJobTimeoutError as error:
            raise AirflowSensorTimeout(str(error)) from None

    def _following(self, project: str) -> Following:
        from airflow_provider_oss_async.jobs.following import Following

        if isinstance(self.job, dict):
            job = OSSJob.from_dict({**self.job, "imm_project": self.job.get("imm_project") or project})
        else:
            problems = []
            if not self.job or "{{" in self.job:
                problems.append(
                    f"job={self.job!r} is not allowed: expected an operator's result or a task id"
                )
            if self.imm_task_type not in TASK_TYPES:
                problems.append(
                    f"imm_task_type={self.imm_task_type!r} is not allowed: "
                    f"a bare task id needs {' or '.join(TASK_TYPES)}"
                )
            if problems:
                raise ProcessError("; ".join(problems), problems=problems)
            job = OSSJob(self.job, self.imm_task_type or "", source="", imm_project=project)
        if not job.imm_project:
            raise ProcessError(
                f"job {job.task_id}: its IMM project is not known; set imm_project here or on the connection"
            )
        return Following(job, "imm", time.time() + self.timeout, max(self.poke_interval, CEILING))


def _final(error: OSSJobFailedError | OSSJobLostError) -> Exception:
    kind = OSSSensedJobLostError if isinstance(error, OSSJobLostError) else OSSSensedJobFailedError
    return kind(error.message, job=error.job, code=error.code, detail=error.detail)
