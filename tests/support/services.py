"""Clients of a connection with short intervals, for tests of jobs."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.rate_limiter import DEFAULT_RATE
from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.hooks.settings import read_settings
from airflow_provider_oss_async.jobs.poller import JobPoller
from airflow_provider_oss_async.jobs.queue_consumer import QueueConsumer
from airflow_provider_oss_async.jobs.timing import Timing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.wire import Wire

#: Intervals that make tests short.
QUICK = Timing(min_poll_interval=0.05, unknown_task_grace=0.15, task_listing_delay=0.4, retry_seconds=1.0)


@asynccontextmanager
async def quick_services(
    settings: ConnectionSettings,
    *,
    timing: Timing = QUICK,
    rate: float = DEFAULT_RATE,
    poller: dict[str, Any] | None = None,
    consumer: dict[str, Any] | None = None,
) -> AsyncIterator[Services]:
    """Open the clients of a connection.

    :param rate: requests to IMM a second at most.
    :param poller: further options of the poller.
    :param consumer: options of the queue consumer.
    """
    async with open_services(settings) as opened:
        queue_consumer = opened.queue_consumer
        if opened.smq is not None and settings.smq_queue:
            options: dict[str, Any] = {"backoff": Backoff(0.05, 1.0), **(consumer or {})}
            queue_consumer = QueueConsumer(opened.smq, settings.smq_queue, **options)
        yield replace(
            opened,
            timing=timing,
            poller=JobPoller(opened.imm, rate=rate, timing=timing, **(poller or {})),
            queue_consumer=queue_consumer,
        )


def wire_settings(wire: Wire, extra: dict[str, Any] | None = None, **fields: Any) -> ConnectionSettings:
    """The settings of a connection to a server on the wire, for OSS and IMM."""
    options = {"region": "cn-hangzhou", "path_style": True, "imm_endpoint": wire.url, **(extra or {})}
    values: dict[str, Any] = {
        "conn_id": "c",
        "conn_type": "oss_async",
        "host": wire.url,
        "login": "AK",
        "password": "SK",
    }
    values |= {"port": None, "schema": ""}
    return read_settings(SimpleNamespace(**{**values, **fields, "extra": json.dumps(options)}))
