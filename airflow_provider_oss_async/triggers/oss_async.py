"""The trigger that waits for a job in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSServiceError
from airflow_provider_oss_async.jobs.following import Following, follow
from airflow_provider_oss_async.jobs.http import refuses_credentials
from airflow_provider_oss_async.jobs.outcome import event_of, result_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.hooks.services import Services


class OSSAsyncTaskTrigger(BaseTrigger):
    """Waits until a job has ended, together with all other triggers of the connection in this triggerer.

    Only reads, so that it may be restarted at any time and run twice at once. Yields one event, see
    :func:`~airflow_provider_oss_async.jobs.outcome.event_of`.

    :param following: the job and how to follow it, as
        :meth:`~airflow_provider_oss_async.jobs.following.Following.to_dict` gives it.
    :param oss_conn_id: Airflow connection.
    :param region: takes the place of the connection's region.
    :param end_task: end the task here when the job has succeeded, without waking a worker.
    """

    def __init__(
        self,
        *,
        following: dict[str, Any],
        oss_conn_id: str = "oss_async_default",
        region: str | None = None,
        end_task: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.following = following
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.end_task = end_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        return (
            "airflow_provider_oss_async.triggers.oss_async.OSSAsyncTaskTrigger",
            {
                "following": self.following,
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "end_task": self.end_task,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the outcome."""
        following = Following.from_dict(self.following)
        try:
            outcome: dict[str, Any] | OSSAsyncError = await self._outcome(following)
        except OSSAsyncError as error:
            outcome = error
        if self.end_task and isinstance(outcome, dict):
            yield TaskSuccessEvent(xcoms={"return_value": outcome})
        else:
            yield TriggerEvent(event_of(following.job, outcome))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Say that the job goes on: OSS offers no way to cancel it."""
        job = Following.from_dict(self.following).job
        self.log.warning(
            "Job %s on %s cannot be cancelled and goes on; it will write %s.",
            job.task_id,
            job.source,
            job.target or "nothing",
        )

    async def _outcome(self, following: Following) -> dict[str, Any]:
        from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
        from airflow_provider_oss_async.hooks.shared import forget_settings, shared_services

        async def wait(services: Services) -> dict[str, Any]:
            return await result_of(services, following.job, await follow(services, following))

        hook = OSSAsyncHook(self.oss_conn_id, region=self.region)
        try:
            async with shared_services(hook) as services:
                return await wait(services)
        except OSSServiceError as error:
            if not refuses_credentials(error):
                raise
            self.log.info(
                "Trying again with the connection as it is now, since it may have changed: %s", error
            )
        forget_settings(hook)
        async with shared_services(OSSAsyncHook(self.oss_conn_id, region=self.region)) as services:
            return await wait(services)
