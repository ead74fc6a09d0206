"""The open clients of one connection, and what is shared by all jobs that use them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_oss_async.jobs.timing import Timing

if TYPE_CHECKING:
    from airflow_provider_oss_async.clients.imm import IMMClient
    from airflow_provider_oss_async.clients.oss import OSSClient
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.poller import JobPoller
    from airflow_provider_oss_async.jobs.queue_consumer import QueueConsumer

#: Jobs whose outputs are searched at once. The session has 100 connections, and IMM and SMQ need some too.
OUTPUT_SEARCHES = 64
#: Outputs that are inspected at once. These requests can take minutes, and must not hold up the searches.
OUTPUT_CHECKS = 32


@dataclass(frozen=True, slots=True)
class Services:
    """Open clients. Only for the event loop they were opened on, and until their context ends.

    :param oss: client of OSS.
    :param imm: client of IMM.
    :param smq: client of SMQ, ``None`` if the connection has no SMQ endpoint.
    :param poller: polls IMM for jobs.
    :param queue_consumer: receives completion messages, ``None`` if the connection names no queue.
    :param timing: configured intervals.
    :param output_searches: to be held while the outputs of a job are searched.
    :param output_checks: to be held while an output is inspected.
    """

    oss: OSSClient
    imm: IMMClient
    smq: SMQClient | None
    poller: JobPoller
    queue_consumer: QueueConsumer | None = None
    timing: Timing = field(default_factory=Timing)
    output_searches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OUTPUT_SEARCHES))
    output_checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OUTPUT_CHECKS))
