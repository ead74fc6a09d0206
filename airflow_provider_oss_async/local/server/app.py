"""The HTTP server: one port for OSS, IMM, SMQ and the switches of the stand-in itself.

A request with ``x-acs-action`` is for IMM, one with ``x-mns-version`` or ``Authorization: MNS ...`` for SMQ,
one below ``/_local/`` for the stand-in itself (no bucket can have that name), any other for OSS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote, urlencode

from aiohttp import web

from airflow_provider_oss_async.local.server.admin import Admin
from airflow_provider_oss_async.local.server.cloud import DEFAULT_KEY, Cloud
from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.imm_service import IMMService
from airflow_provider_oss_async.local.server.oss_service import OSSService
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.smq_service import SMQService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

log = logging.getLogger(__name__)


class _Service(Protocol):
    name: str

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]: ...

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response: ...

    def throttled(self, seconds: float) -> Refusal: ...


class _Front:
    """Tells the services apart, counts, and lets faults strike."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.requests: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._oss, self._imm, self._smq = OSSService(cloud), IMMService(cloud), SMQService(cloud)
        self._admin = Admin(cloud, self.requests, self.errors)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/_local/"):
            return await self._admin.handle(request)
        service: _Service = self._oss
        if "x-acs-action" in request.headers:
            service = self._imm
        elif "x-mns-version" in request.headers or request.headers.get("Authorization", "").startswith(
            "MNS "
        ):
            service = self._smq
        action, handler = service.route(request)
        subject = f"{service.name}:{action}"
        self.requests[subject] += 1
        faults = self._cloud.faults
        try:
            for fault in faults.take("delay", subject):
                await self._pause(fault.duration())
            if faults.take("close", subject):
                return _hang_up(request)
            for fault in faults.take("refuse", subject):
                raise Refusal(
                    fault.status, fault.code or "InternalError", fault.message or "Asked for by a fault."
                )
            for fault in faults.take("throttle", subject):
                raise service.throttled(fault.duration() or 1)
            response = await handler(request)
        except Refusal as refusal:
            self.errors[f"{subject} {refusal.status} {refusal.code}"] += 1
            response = service.refuse(request, refusal)
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("%s broke the stand-in", subject)
            self.errors[f"{subject} 500 InternalError"] += 1
            text = f"The stand-in broke: {type(error).__name__}: {error}"
            response = service.refuse(request, Refusal(500, "InternalError", text))
        if faults.take("hang", subject):
            await self._pause(24 * 3600)
            return _hang_up(request)
        if faults.take("lose", subject):
            return _hang_up(request)
        if faults.take("cut", subject):
            return await _cut(request, response)
        return response

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the server lives."""
        try:
            await asyncio.wait_for(self._cloud.broker.closing.wait(), seconds)
        except TimeoutError:
            return


def create_app(cloud: Cloud) -> web.Application:
    """Return the application; it starts and stops the cloud's workers."""
    front = _Front(cloud)

    async def life(app: web.Application) -> Any:
        await cloud.runner.start()
        yield
        await cloud.runner.stop()
        cloud.table.close()
        cloud.store.close()

    async def close(app: web.Application) -> None:
        cloud.broker.close()

    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{rest:.*}", front.handle)
    app.cleanup_ctx.append(life)
    app.on_shutdown.append(close)
    app.on_response_prepare.append(_name_server)
    return app


async def serve(cloud: Cloud, host: str, port: int, started: Callable[[], None], stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set.

    :param host: a loopback address.
    :param port: 0 for any free one; ``cloud.endpoint`` holds the address afterwards.
    :param started: called when the server listens.
    :raises ValueError: the host is not a loopback address.
    :raises OSError: the port is taken.
    """
    check_loopback(host)
    runner = web.AppRunner(create_app(cloud), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        cloud.endpoint = f"http://{name}:{address[1]}"
        started()
        await stop.wait()
    finally:
        await runner.cleanup()


def check_loopback(host: str) -> None:
    """Refuse every address but loopback: the stand-in has no access control worth the name.

    :raises ValueError: another address or a name.
    """
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"the stand-in binds to loopback only (127.0.0.1 or ::1), not to {host!r}")


class LocalService:
    """The stand-in in a thread of this process, for tests.

    ::

        with LocalService(tmp_path, buckets={"media": "local-project"}) as service:
            service.endpoint, service.connection_uri()

    :param data_dir: see :class:`.cloud.Cloud`, as all further arguments.
    :param port: 0 for any free one.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, **options: Any) -> None:
        self._port = port
        self.cloud = Cloud(data_dir, **{"buckets": {"media": "local-project"}, **options})
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="oss-local", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server; a second call does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    @property
    def endpoint(self) -> str:
        """The address of all services, such as ``http://127.0.0.1:49152``."""
        return self.cloud.endpoint

    def connection_json(self) -> str:
        """Return an Airflow connection to the stand-in, as JSON."""
        return connection_json(self.cloud)

    def connection_uri(self) -> str:
        """Return an Airflow connection to the stand-in, as a URI."""
        data = json.loads(connection_json(self.cloud))
        login = f"{quote(data['login'], '')}:{quote(data['password'], '')}"
        extra = urlencode({"__extra__": json.dumps(data["extra"])})
        return f"oss-async://{login}@{quote(data['host'], '')}/{data.get('schema', '')}?{extra}"

    def add_fault(self, kind: str, **fields: Any) -> None:
        """Ask for a fault; see :mod:`airflow_provider_oss_async.local.server.faults`."""
        self._call(self.cloud.faults.add, Fault.read({"kind": kind, **fields}))

    def clear_faults(self) -> None:
        """Ask for no fault any more."""
        self._call(self.cloud.faults.clear)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        async def call() -> None:
            function(*arguments)

        asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(
                serve(self.cloud, "127.0.0.1", self._port, self._started.set, self._stop)
            )
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()
            self._loop.close()


def connection_json(cloud: Cloud) -> str:
    """Return an Airflow connection to a running stand-in.

    The first bucket is the default one; where there is a topic, the first one is named with its first queue.
    """
    buckets = [bucket for bucket in cloud.store.buckets() if bucket.imm_project] or cloud.store.buckets()
    data: dict[str, Any] = {
        "conn_type": "oss_async",
        "login": DEFAULT_KEY.id,
        "password": DEFAULT_KEY.secret,
        "host": cloud.endpoint,
        "extra": {"region": cloud.region, "imm_endpoint": cloud.endpoint, "smq_endpoint": cloud.endpoint},
    }
    if buckets:
        data["schema"] = buckets[0].name
        data["extra"]["imm_project"] = buckets[0].imm_project or ""
    for topic, subscriptions in list(cloud.broker.topics.items())[:1]:
        data["extra"]["smq_topic"] = topic
        data["extra"]["smq_queue"] = next(iter(subscriptions), "")
    return json.dumps(data)


async def _name_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "oss-async-local"


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _hang_up(request)
    cut = web.StreamResponse(status=response.status, headers=response.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut
