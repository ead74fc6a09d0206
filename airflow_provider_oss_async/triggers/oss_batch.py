"""The trigger that runs a whole batch in the triggerer: listing, submitting and following."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from airflow.triggers.base import TriggerEvent

from airflow_provider_oss_async.clients.errors import refuses_credentials, traceback_of, unexpected
from airflow_provider_oss_async.exceptions import (
    LedgerError,
    LedgerFencedError,
    OSSAsyncError,
    OSSConnectionError,
    OSSServiceError,
)
from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.batch.specification import BatchSpecification

#: Seconds between two requests of a superseded copy that ask whether the other one is alive, and seconds
#: without a new entry after which the copy takes over. A writer adds an entry each minute.
WATCH_INTERVAL, TAKE_OVER_AFTER = 30.0, 300.0


class OSSAsyncBatchTrigger(OSSAsyncTaskTrigger):
    """Runs a batch to its end.

    It may be restarted at any time and run twice at once: the ledger lets only one copy submit. The other one
    watches the ledger, and takes over where nothing is added to it any more. Yields one event, see
    :func:`~airflow_provider_oss_async.jobs.result.event_of`.

    :param batch_specification: the batch (dict), as
        :meth:`~airflow_provider_oss_async.batch.specification.BatchSpecification.to_dict` gives it.
    :param oss_conn_id: Airflow connection.
    :param region: takes the place of the connection's region.
    :param deferred_at: when the task was deferred, epoch seconds (float).
    :param event_hold: seconds (float) after the deferral before the event; default 0.
    :param watch_interval: seconds (float) between two requests of a superseded copy; default 30.
    :param take_over_after: seconds (float) without a new entry after which it takes over; default 300.
    """

    def __init__(
        self,
        *,
        batch_specification: dict[str, Any],
        oss_conn_id: str = "oss_async_default",
        region: str | None = None,
        deferred_at: float = 0.0,
        event_hold: float = 0.0,
        watch_interval: float = WATCH_INTERVAL,
        take_over_after: float = TAKE_OVER_AFTER,
    ) -> None:
        super().__init__(
            wait_specification=batch_specification,
            oss_conn_id=oss_conn_id,
            region=region,
            deferred_at=deferred_at,
            event_hold=event_hold,
        )
        self.watch_interval = watch_interval
        self.take_over_after = take_over_after

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        return (
            "airflow_provider_oss_async.triggers.oss_batch.OSSAsyncBatchTrigger",
            {
                "batch_specification": self.wait_specification,
                "oss_conn_id": self.oss_conn_id,
                "region": self.region,
                "deferred_at": self.deferred_at,
                "event_hold": self.event_hold,
                "watch_interval": self.watch_interval,
                "take_over_after": self.take_over_after,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Run the batch, and yield its outcome."""
        from airflow_provider_oss_async.batch.specification import BatchSpecification
        from airflow_provider_oss_async.jobs.result import event_of

        outcome: dict[str, Any] | OSSAsyncError
        try:
            spec = BatchSpecification.from_dict(self.wait_specification)
            self.log.info("Running the batch; ledger %s", spec.ledger)
            outcome = await self._batch(spec)
        except OSSAsyncError as error:
            outcome = error
        except Exception as error:
            # Airflow would fail the task with a text that names neither the ledger nor the reason.
            self.log.error("The batch failed: %s", traceback_of(error))
            ledger = self.wait_specification.get("ledger")
            outcome = OSSAsyncError(f"{unexpected('The batch failed', error)}. (ledger {ledger})")
        await self._hold()
        self._fired = True
        yield TriggerEvent(event_of(outcome))  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Say that submitted jobs go on: OSS cannot cancel them."""
        if self._fired or await self._is_still_deferred():
            return
        await self.log.awarning(
            "Jobs of the batch that are submitted go on and will be billed, because OSS cannot cancel jobs; "
            "ledger %s",
            self.wait_specification.get("ledger"),
        )

    async def _batch(self, spec: BatchSpecification) -> dict[str, Any]:
        """Run the batch as often as it takes: this copy may have been superseded, or its keys be old."""
        from airflow_provider_oss_async.batch.progress_bar import run_with_progress_bar
        from airflow_provider_oss_async.batch.runner import BatchRunner
        from airflow_provider_oss_async.hooks.metrics import count
        from airflow_provider_oss_async.hooks.shared import forget_settings

        read_again = 0.0
        while True:
            async with self._services() as services:
                try:
                    return await run_with_progress_bar(BatchRunner(services, spec, count=count))
                except LedgerFencedError as error:
                    self.log.info("%s Watching it.", error)
                    await self._watch(spec)
                except (OSSServiceError, OSSConnectionError, LedgerError) as error:
                    # An error of the ledger has the fields of the service's error behind it.
                    refused = isinstance(error, OSSConnectionError) or refuses_credentials(
                        cast("OSSServiceError", error)
                    )
                    if not refused or time.monotonic() - read_again < 600:
                        raise
                    read_again = time.monotonic()
                    self.log.warning("Reading the connection again, since it may have changed: %s", error)
                    forget_settings(services)

    async def _watch(self, spec: BatchSpecification) -> None:
        """Return when nothing has been added to the ledger for long."""
        from airflow_provider_oss_async.process import ObjectURI

        uri = ObjectURI.parse(spec.ledger, name="ledger")
        size, changed = -1, time.monotonic()
        while time.monotonic() - changed < self.take_over_after:
            async with self._services() as services:
                try:
                    state = await services.oss.head(uri.bucket, uri.key)
                except OSSServiceError:
                    state = None
            now = state.size if state is not None else size
            if now != size:
                size, changed = now, time.monotonic()
            await asyncio.sleep(self.watch_interval)
