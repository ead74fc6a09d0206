"""The trigger that waits for a job in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_oss_async.clients.http import refuses_credentials
from airflow_provider_oss_async.clients.retry import seldom
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSConnectionError,
    OSSJobFailedError,
    OSSServiceError,
)
from airflow_provider_oss_async.jobs.result import event_of, goes_on
from airflow_provider_oss_async.jobs.waiting import Following, acknowledge, see_through

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from airflow.sdk import BaseOperator

    from airflow_provider_oss_async.hooks.services import Services


def may_end_in_trigger(task: BaseOperator) -> bool:
    """Whether nothing is left for a worker to do once a task's job has succeeded.

    What the triggerer does at the end of a task is less than what a worker does: it stores XComs in Airflow's
    database and calls ``on_success_callback``, but it sends no asset events, calls no ``post_execute``, knows
    no XCom backend, and counts nothing for tasks that are mapped over the result.
    """
    from airflow.sdk import BaseOperator
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    return (
        task.do_xcom_push
        and not task.multiple_outputs
        and not task.outlets
        and task._post_execute_hook is None
        and type(task).post_execute is BaseOperator.post_execute
        and XCom is BaseXCom
        and not any(task.iter_mapped_dependants() if task.has_dag() else ())  # type: ignore[no-untyped-call]
    )


class OSSAsyncTaskTrigger(BaseTrigger):
    """Waits until a job has ended, together with all other triggers of the connection in this triggerer.

    Only reads, so that it may be restarted at any time and run twice at once. Yields one event, see
    :func:`~airflow_provider_oss_async.jobs.result.event_of`.

    :param following: the job and how to follow it, as
        :meth:`~airflow_provider_oss_async.jobs.waiting.Following.to_dict` gives it.
    :param oss_conn_id: Airflow connection.
    :param region: takes the place of the connection's region.
    :param end_from_trigger: end the task here when the job has succeeded, without waking a worker.
    """

    def __init__(
        self,
        *,
        following: dict[str, Any],
        oss_conn_id: str = "oss_async_default",
        region: str | None = None,
        end_from_trigger: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.following = following
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.end_from_trigger = end_from_trigger
        self._over = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        return (
            "airflow_provider_oss_async.triggers.oss_async.OSSAsyncTaskTrigger",
            {
                "following": self.following,
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "end_from_trigger": self.end_from_trigger,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the outcome."""
        following = Following.from_dict(self.following)
        try:
            outcome: dict[str, Any] | OSSAsyncError = await self._outcome(following)
        except OSSAsyncError as error:
            outcome = error
        event = TriggerEvent(event_of(following.job, outcome))  # type: ignore[no-untyped-call]
        if self.end_from_trigger and isinstance(outcome, dict):
            success = TaskSuccessEvent(xcoms={"return_value": outcome})
            # Where the triggerer is not Airflow's own, as in dag.test(), a worker goes on with the payload.
            success.payload = event.payload
            event = success
        self._over = True
        yield event
        # Only now has the triggerer taken the event, and the message about the job done its duty.
        if following.completion == "smq" and isinstance(outcome, dict | OSSJobFailedError):
            async with self._services() as services:
                await acknowledge(services, following)

    async def on_kill(self) -> None:
        """Say that the job goes on: OSS offers no way to cancel it."""
        # Airflow also ends thus what is still busy after its event.
        if not self._over:
            await self.log.awarning("%s", goes_on(Following.from_dict(self.following).job))

    async def _outcome(self, following: Following) -> dict[str, Any]:
        from airflow_provider_oss_async.hooks.shared import forget_settings

        async with self._services() as services:
            try:
                return await see_through(services, following)
            except (OSSServiceError, OSSConnectionError) as error:
                if isinstance(error, OSSServiceError) and not refuses_credentials(error):
                    raise
                seldom("Trying again with the connection as it is now, since it may have changed: %s", error)
                forget_settings(services)
        async with self._services() as services:
            return await see_through(services, following)

    def _services(self) -> AbstractAsyncContextManager[Services]:
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.hooks.shared import shared_services

        return shared_services(OSSAsyncHook(self.oss_conn_id, region=self.region))
