"""One set of clients for all triggers of a connection on one event loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_oss_async.hooks.services import open_services

if TYPE_CHECKING:
    from types import TracebackType

    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.services import Services

#: Seconds for which the settings of a connection are reused. Later triggers see a rotated secret.
SETTINGS_MAX_AGE = 60.0


@dataclass(slots=True)
class _Shared:
    account: ConnectionSettings
    services: Services
    stack: AsyncExitStack
    users: int = 0


@dataclass(slots=True)
class _Loop:
    """What is open on one event loop."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    settings: dict[tuple[str, str | None], tuple[float, ConnectionSettings]] = field(default_factory=dict)
    open: dict[ConnectionSettings, _Shared] = field(default_factory=dict)


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Loop] = WeakKeyDictionary()


def shared_services(hook: OSSAsyncHook) -> AbstractAsyncContextManager[Services]:
    """Use the clients of a connection together with everyone else on this event loop.

    They are opened by the first user and closed after the last one. All connections to the same endpoints
    with the same credentials share; those that have come to differ (a rotated secret) do not.

    :raises OSSConnectionError: on entering: the connection lacks a setting or holds a wrong one.
    """
    return _Use(hook)


class _Use(AbstractAsyncContextManager["Services"]):
    """One user. Thousands of triggers hold one each while they wait, so it holds next to nothing."""

    __slots__ = ("_hook", "_shared")

    def __init__(self, hook: OSSAsyncHook) -> None:
        self._hook: OSSAsyncHook | None = hook
        self._shared: _Shared | None = None

    async def __aenter__(self) -> Services:
        hook, self._hook = self._hook, None
        if hook is None:
            raise RuntimeError("these services are in use already, or were")
        here = _loops.setdefault(asyncio.get_running_loop(), _Loop())
        key = (hook.oss_conn_id, hook.region)
        async with here.lock:
            read_at, settings = here.settings.get(key, (0.0, None))
            if settings is None or time.monotonic() - read_at > SETTINGS_MAX_AGE:
                settings = await hook.aget_settings()
                here.settings[key] = (time.monotonic(), settings)
            account = _account(settings)
            shared = here.open.get(account)
            if shared is None:
                stack = AsyncExitStack()
                services = await stack.enter_async_context(open_services(settings))
                shared = here.open[account] = _Shared(account, services, stack)
            shared.users += 1
        self._shared = shared
        return shared.services

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.users -= 1
        if shared.users == 0:
            _loops[asyncio.get_running_loop()].open.pop(shared.account, None)
            await shared.stack.aclose()


def forget_settings(refused: Services) -> None:
    """Have connections read again by their next users, because a service refused their credentials.

    Those that have been read again meanwhile, and have come to differ, stay as they are.
    """
    here = _loops[asyncio.get_running_loop()]
    account = next((key for key, shared in here.open.items() if shared.services is refused), None)
    if account is None:
        return
    here.settings = {key: read for key, read in here.settings.items() if _account(read[1]) != account}


def _account(settings: ConnectionSettings) -> ConnectionSettings:
    """Return the settings without those that do not say who is asked, and how."""
    return replace(settings, conn_id="", bucket="", imm_project="", smq_topic="", warnings=())
