"""Opening the clients of a connection on an event loop: OSS, IMM and SMQ over one HTTP session."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.hooks.config_options import SECTION
from airflow_provider_oss_async.hooks.credential_sources import credentials_source, sdk_provider
from airflow_provider_oss_async.hooks.metrics import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import requests
    from alibabacloud_oss_v2 import Config
    from alibabacloud_oss_v2.types import CredentialsProvider

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.timing import Timing


def configured_timing() -> Timing:
    """Return the intervals of the section ``[oss_async]`` of Airflow's configuration."""
    from dataclasses import fields

    from airflow_provider_oss_async.jobs.timing import Timing

    # Nothing that would stop or flood.
    values = {
        field.name: max(
            0.01 if field.default else 0.0, conf.getfloat(SECTION, field.name, fallback=field.default)
        )
        for field in fields(Timing)
    }
    return Timing(**values)


@asynccontextmanager
async def open_services(settings: ConnectionSettings) -> AsyncIterator[Services]:
    """Open the clients of a connection and close them at the end. Sends nothing by itself."""
    # The first import takes half a second.
    await asyncio.to_thread(import_module, "alibabacloud_oss_v2.aio")
    from alibabacloud_oss_v2.aio import AsyncClient
    from alibabacloud_oss_v2.aio.transport import AioHttpClient

    from airflow_provider_oss_async.clients.http import open_session
    from airflow_provider_oss_async.clients.imm import IMMClient
    from airflow_provider_oss_async.clients.oss import OSSClient
    from airflow_provider_oss_async.clients.rate_limiter import DEFAULT_RATE
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.poller import JobPoller
    from airflow_provider_oss_async.jobs.queue_consumer import QueueConsumer
    from airflow_provider_oss_async.jobs.services import Services

    source = credentials_source(settings)
    proxy = settings.proxy or None
    timing = configured_timing()
    async with open_session() as http:
        config = sdk_config(settings, sdk_provider(source, blocking=False))
        config.http_client = AioHttpClient(
            session=http,
            connect_timeout=settings.connect_timeout,
            readwrite_timeout=settings.read_timeout,
            proxy_host=proxy,
        )
        options: dict[str, Any] = {"timeout": settings.read_timeout, "proxy": proxy}
        imm = IMMClient(http, settings.imm_endpoint, source, **options)
        smq = SMQClient(http, settings.smq_endpoint, source, **options) if settings.smq_endpoint else None
        rate = max(0.1, conf.getfloat(SECTION, "max_requests_per_second", fallback=DEFAULT_RATE))
        yield Services(
            oss=OSSClient(AsyncClient(config), source),
            imm=imm,
            smq=smq,
            poller=JobPoller(imm, rate=rate, timing=timing, count=count),
            queue_consumer=(
                QueueConsumer(smq, settings.smq_queue) if smq is not None and settings.smq_queue else None
            ),
            timing=timing,
        )


def sdk_config(settings: ConnectionSettings, provider: CredentialsProvider) -> Config:
    """Return the SDK configuration of a connection, without a transport and without a proxy."""
    from alibabacloud_oss_v2 import config as sdk

    config = sdk.load_default()
    config.credentials_provider = provider
    config.region = settings.region
    config.endpoint = settings.oss_endpoint
    config.use_path_style = settings.path_style
    config.use_cname = settings.cname
    config.connect_timeout = settings.connect_timeout
    config.readwrite_timeout = settings.read_timeout
    config.user_agent = f"airflow-provider-oss-async/{__version__}"
    return config


def sync_session() -> requests.Session:
    """Return a session for the synchronous client: no surprises from the environment, room for 64 threads."""
    import requests
    from requests.adapters import HTTPAdapter

    session = requests.Session()
    # Otherwise an entry of ~/.netrc for the host replaces the signature.
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=64))
    return session
