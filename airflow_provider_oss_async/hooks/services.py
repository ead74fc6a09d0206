"""The clients of one connection, on one event loop: OSS, IMM and SMQ over one HTTP session."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.hooks.credential_sources import credentials_source, sdk_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp
    import requests
    from alibabacloud_oss_v2 import Config
    from alibabacloud_oss_v2.aio import AsyncClient
    from alibabacloud_oss_v2.types import CredentialsProvider

    from airflow_provider_oss_async.clients.imm import IMMClient
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.hooks.credential_sources import CachedCredentials
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.poller import Watcher
    from airflow_provider_oss_async.jobs.queue_consumer import Mailbox

#: How many look for a job's outputs at once. The session has 100 connections, and IMM and SMQ need some too.
_GATE = 64


@dataclass(frozen=True, slots=True)
class Services:
    """Open clients. Only for the event loop they were opened on, and until their context ends.

    :param settings: what they were made from.
    :param credentials: their credentials; IMM and SMQ clients await them by themselves.
    :param http: the session they share.
    :param oss: asynchronous client of the OSS SDK. It cannot wait for credentials: await :meth:`ready` first.
    :param imm: client of IMM.
    :param smq: client of SMQ, ``None`` if the connection has no SMQ endpoint.
    :param watcher: waits for jobs through ``imm``.
    :param mailbox: completion messages, ``None`` if the connection names no queue.
    :param gate: to be held while the outputs of a job are looked for.
    """

    settings: ConnectionSettings
    credentials: CachedCredentials
    http: aiohttp.ClientSession
    oss: AsyncClient
    imm: IMMClient
    smq: SMQClient | None
    watcher: Watcher
    mailbox: Mailbox | None = None
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_GATE))

    async def ready(self) -> None:
        """See to it that ``oss`` has valid credentials. To be awaited before each of its calls; mostly free.

        :raises OSSConnectionError: the credentials were refused, or a setting is wrong.
        :raises OSSUnavailableError: whoever issues them could not be reached.
        """
        await self.credentials()


@asynccontextmanager
async def open_services(settings: ConnectionSettings) -> AsyncIterator[Services]:
    """Open the clients of a connection and close them at the end. Sends nothing by itself."""
    # The first import takes half a second.
    await asyncio.to_thread(import_module, "alibabacloud_oss_v2.aio")
    import aiohttp
    from alibabacloud_oss_v2.aio import AsyncClient
    from alibabacloud_oss_v2.aio.transport import AioHttpClient

    from airflow_provider_oss_async.clients.imm import IMMClient
    from airflow_provider_oss_async.clients.smq import SMQClient
    from airflow_provider_oss_async.jobs.job import FLOOR, RATE
    from airflow_provider_oss_async.jobs.poller import Watcher
    from airflow_provider_oss_async.jobs.queue_consumer import Mailbox

    source = credentials_source(settings)
    proxy = settings.proxy or None
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
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
        yield Services(
            settings=settings,
            credentials=source,
            http=http,
            oss=AsyncClient(config),
            imm=imm,
            smq=smq,
            watcher=Watcher(
                imm,
                # Nothing that would stop or flood.
                rate=max(0.1, conf.getfloat("oss_async", "max_requests_per_second", fallback=RATE)),
                floor=max(0.01, conf.getfloat("oss_async", "min_poll_interval", fallback=FLOOR)),
            ),
            mailbox=Mailbox(smq, settings.smq_queue) if smq is not None and settings.smq_queue else None,
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
