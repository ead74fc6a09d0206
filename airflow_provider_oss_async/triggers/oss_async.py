"""The trigger that waits for a job in the triggerer."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_oss_async.clients.errors import refuses_credentials, traceback_of, unexpected
from airflow_provider_oss_async.clients.retry import warn_rate_limited
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSJobFailedError,
    OSSServiceError,
)
from airflow_provider_oss_async.jobs.job_errors import still_running_text, with_job
from airflow_provider_oss_async.jobs.result import event_of
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.jobs.waiting import acknowledge, wait_for_result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from airflow.sdk import BaseOperator

    from airflow_provider_oss_async.jobs.services import Services

#: Not the trigger's own: that one takes a kilobyte for each trigger that has logged something, and both go to
#: the log of the task in whose context they are called.
log = logging.getLogger(__name__)

#: Seconds beyond ``[workers] min_heartbeat_interval`` by which a worker may report its end late.
HOLD_MARGIN = 5.0


def event_hold() -> float:
    """Return for how many seconds after the deferral a trigger holds the event that wakes a worker.

    Airflow 3.3 may fail a task whose trigger fires before the scheduler has seen the end of the part that
    deferred (apache/airflow#67287, #68741, #71580), which the worker reports up to
    ``[workers] min_heartbeat_interval`` seconds late. ``[oss_async] event_hold`` overrides it; 0 is none.
    There is none in ``dag.test()``, which has no scheduler.
    """
    from airflow.sdk import conf

    try:
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

        if isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), InProcessSupervisorComms):
            return 0.0
    except ImportError:  # pragma: no cover
        pass
    margin = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + HOLD_MARGIN
    return max(0.0, conf.getfloat("oss_async", "event_hold", fallback=margin))


def may_end_in_trigger(task: BaseOperator, base: type[BaseOperator]) -> bool:
    """Whether nothing is left for a worker to do once a task's job has succeeded.

    What the triggerer does at the end of a task is less than what a worker does: it sends no asset events,
    calls no callback, ``post_execute``, ``execute_complete`` or listener, and counts nothing for tasks that
    are mapped over the result.

    :param task: the operator or sensor that waits.
    :param base: the class of this package that it derives from, whose ``execute_complete`` may be left out.
    """
    from airflow.sdk import BaseOperator
    from airflow.sdk.listener import get_listener_manager

    return (
        task.do_xcom_push
        and not task.multiple_outputs
        and not task.outlets
        and not task.has_on_success_callback
        and task._post_execute_hook is None
        and type(task).post_execute is BaseOperator.post_execute
        and getattr(type(task), "execute_complete", None) is getattr(base, "execute_complete", None)
        and not get_listener_manager().has_listeners
        and not any(task.iter_mapped_dependants() if task.has_dag() else ())  # type: ignore[no-untyped-call]
    )


class OSSAsyncTaskTrigger(BaseTrigger):
    """Waits until a job has ended, together with all other triggers of the connection in this triggerer.

    Only reads, so that it may be restarted at any time and run twice at once. Yields one event, see
    :func:`~airflow_provider_oss_async.jobs.result.event_of`.

    :param wait_specification: the job and how to wait for it (dict), as
        :meth:`~airflow_provider_oss_async.jobs.wait_specification.WaitSpecification.to_dict` gives it.
    :param oss_conn_id: Airflow connection.
    :param region: takes the place of the connection's region.
    :param end_from_trigger: end the task here when the job has succeeded, without waking a worker.
    :param deferred_at: when the task was deferred, epoch seconds (float).
    :param event_hold: seconds (float) after the deferral before an event that wakes a worker; default 0.
    """

    def __init__(
        self,
        *,
        wait_specification: dict[str, Any],
        oss_conn_id: str = "oss_async_default",
        region: str | None = None,
        end_from_trigger: bool = False,
        deferred_at: float = 0.0,
        event_hold: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._given: dict[str, Any] = wait_specification
        #: Made from ``_given``, and kept in its place while the trigger waits.
        self._spec: WaitSpecification | None = None
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.end_from_trigger = end_from_trigger
        self.deferred_at = deferred_at
        self.event_hold = event_hold
        self._fired = False

    @property
    def wait_specification(self) -> dict[str, Any]:
        """The job and how to wait for it."""
        return self._given if self._spec is None else self._spec.to_dict()

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        return (
            "airflow_provider_oss_async.triggers.oss_async.OSSAsyncTaskTrigger",
            {
                "wait_specification": self.wait_specification,
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "end_from_trigger": self.end_from_trigger,
                "deferred_at": self.deferred_at,
                "event_hold": self.event_hold,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the result."""
        spec: WaitSpecification | None = None
        try:
            spec = WaitSpecification.from_dict(self.wait_specification)
            self._spec, self._given = spec, {}
            log.info(
                "Waiting for the job: target %s, IMM project %s, job %s",
                spec.job.target or "none",
                spec.job.imm_project or "not known",
                spec.job.task_id,
            )
            outcome: dict[str, Any] | OSSAsyncError = await self._outcome(spec)
        except OSSAsyncError as error:
            outcome = error if spec is None else with_job(error, spec.job)
        except Exception as error:
            # Airflow would fail the task with a text that names neither the job nor the reason.
            self.log.error("Waiting failed: %s", traceback_of(error))
            failure = OSSAsyncError(unexpected("Waiting for the job failed", error))
            outcome = failure if spec is None else with_job(failure, spec.job)
        event = TriggerEvent(event_of(outcome))  # type: ignore[no-untyped-call]
        if self.end_from_trigger and isinstance(outcome, dict) and await self._push(outcome):
            from airflow_provider_oss_async.hooks.metrics import observe_result

            if spec is not None:
                observe_result(spec.job, outcome)
            success = TaskSuccessEvent()
            # Where the triggerer is not Airflow's own, as in dag.test(), a worker goes on with the payload.
            success.payload = event.payload
            event = success
        else:
            await self._hold()
        self._fired = True
        yield event
        # Only now is the event stored, so that the message about the job is not needed any more.
        if spec is not None and isinstance(outcome, dict | OSSJobFailedError):
            async with self._services() as services:
                await acknowledge(services, spec)

    async def on_kill(self) -> None:
        """Say that the job goes on: OSS cannot cancel it."""
        # Airflow also calls this after the event, and where another triggerer takes over.
        if self._fired or await self._is_still_deferred():
            return
        job = WaitSpecification.from_dict(self.wait_specification).job
        await self.log.awarning("%s", still_running_text(job))

    async def _hold(self) -> None:
        """Wait until the scheduler has certainly seen the end of the part of the task that deferred."""
        left = min(self.deferred_at + self.event_hold - time.time(), self.event_hold)
        if left > 0:
            await asyncio.sleep(left)

    async def _push(self, result: dict[str, Any]) -> bool:
        """Push the XComs of a task that ends here, as a worker does; return whether that was possible."""
        ti = getattr(self, "task_instance", None)
        if ti is None:
            return False
        from airflow.sdk.execution_time.xcom import XCom

        try:
            for key, value in (("outputs", result["outputs"]), ("return_value", result)):
                await asyncio.to_thread(
                    XCom.set,
                    key=key,
                    value=value,
                    dag_id=ti.dag_id,
                    task_id=ti.task_id,
                    run_id=ti.run_id,
                    map_index=ti.map_index,
                )
        except Exception as error:
            await self.log.awarning(
                "The task ends on a worker, because its result could not be stored here: %s",
                traceback_of(error),
            )
            return False
        return True

    async def _is_still_deferred(self) -> bool:
        """Whether the task is deferred as before: then nobody has cancelled it."""
        ti = getattr(self, "task_instance", None)
        if ti is None:
            return False
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        try:
            states = await asyncio.to_thread(
                RuntimeTaskInstance.get_task_states,
                dag_id=ti.dag_id,
                task_ids=[ti.task_id],
                run_ids=[ti.run_id],
                map_index=ti.map_index,
            )
        except Exception:
            return False
        state = states.get(ti.run_id, {}).get(
            ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        )
        return str(getattr(state, "value", state)) == "deferred"

    async def _outcome(self, spec: WaitSpecification) -> dict[str, Any]:
        from airflow_provider_oss_async.hooks.shared import forget_settings

        async with self._services() as services:
            try:
                return await wait_for_result(services, spec)
            except (OSSServiceError, OSSConnectionError) as error:
                if isinstance(error, OSSServiceError) and not refuses_credentials(error):
                    raise
                warn_rate_limited("Reading the connection again, since it may have changed: %s", error)
                forget_settings(services)
        async with self._services() as services:
            return await wait_for_result(services, spec)

    def _services(self) -> AbstractAsyncContextManager[Services]:
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.hooks.shared import shared_services

        return shared_services(OSSAsyncHook(self.oss_conn_id, region=self.region))


def deferral(task: Any, spec: WaitSpecification, base: type[BaseOperator]) -> dict[str, Any]:
    """Return the arguments of ``defer`` for a task that waits for a job.

    :param task: an operator or sensor with the arguments of a wait.
    :param base: see :func:`may_end_in_trigger`.
    """
    # Not public there: Airflow refuses DAGs with an attribute of that name where plugins have listeners.
    end_from_trigger = task._end_from_trigger and may_end_in_trigger(task, base)
    trigger = OSSAsyncTaskTrigger(
        wait_specification=spec.to_dict(),
        oss_conn_id=task.oss_conn_id,
        region=task.region,
        end_from_trigger=end_from_trigger,
        deferred_at=time.time(),
        event_hold=event_hold(),
    )
    # The timeout is a safety net only: the trigger itself keeps the deadline, and says more.
    timeout = timedelta(seconds=max(0.0, spec.deadline - time.time()) + 900)
    return {"trigger": trigger, "method_name": "execute_complete", "timeout": timeout}
