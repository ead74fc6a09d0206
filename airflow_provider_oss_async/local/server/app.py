"""The HTTP server: one port for OSS, IMM, SMQ and the admin interface of the stand-in.

A request with ``x-acs-action`` is for IMM, one with ``x-mns-version`` or ``Authorization: MNS ...`` for SMQ,
one below ``/_local/`` for the admin interface (no bucket can have that name), any other for OSS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import quote, urlencode

from aiohttp import web

from airflow_provider_oss_async.local.server.admin import Admin
from airflow_provider_oss_async.local.server.cloud import DEFAULT_KEY, Cloud
from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.imm_service import IMMService
from airflow_provider_oss_async.local.server.oss_service import OSSService
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.rights import needed
from airflow_provider_oss_async.local.server.smq_service import SMQService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_BUCKET_HOST = re.compile(r"[a-z0-9-]+\.localhost")
#: Greatest body of a request that is kept in memory, in bytes; objects are not.
_MAX_BODY = 4 << 20


class _Service(Protocol):
    name: str

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]: ...

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response: ...

    def throttled(self, seconds: float) -> Refusal: ...

    def denied(self, right: str) -> Refusal: ...

    def too_large(self) -> Refusal: ...


class _Dispatcher:
    """Passes each request to its service, counts it, and applies faults."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.requests: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._oss, self._imm, self._smq = OSSService(cloud), IMMService(cloud), SMQService(cloud)
        self._admin = Admin(cloud, self.requests, self.errors)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        problem = _foreign(request)
        if request.raw_path.startswith("/_local/"):
            return await self._admin.handle(request, problem)
        service: _Service = self._oss
        if "x-acs-action" in request.headers:
            service = self._imm
        elif "x-mns-version" in request.headers or request.headers.get("Authorization", "").startswith(
            "MNS "
        ):
            service = self._smq
        if problem:
            self.errors[f"{service.name}: {problem.status} {problem.code}"] += 1
            return service.refuse(request, problem)
        action, handler = service.route(request)
        subject = f"{service.name}:{action}"
        self.requests[subject] += 1
        faults = self._cloud.faults
        try:
            for fault in faults.take("delay", subject):
                await self._sleep(fault.duration())
            if faults.take("close", subject):
                return _abort(request)
            for fault in faults.take("refuse", subject):
                raise Refusal(
                    fault.status, fault.code or "InternalError", fault.message or "A fault was configured."
                )
            for fault in faults.take("throttle", subject):
                raise service.throttled(fault.duration() or 1)
            for right in needed(subject):
                if faults.take("deny", right):
                    raise service.denied(right)
            if service is self._imm and not self._cloud.behaviour.admits():
                raise service.throttled(1)
            response = await handler(request)
        except Refusal as refusal:
            self.errors[f"{subject} {refusal.status} {refusal.code}"] += 1
            response = service.refuse(request, refusal)
        except web.HTTPRequestEntityTooLarge:
            too_large = service.too_large()
            self.errors[f"{subject} {too_large.status} {too_large.code}"] += 1
            response = service.refuse(request, too_large)
        except ConnectionError:
            raise
        except Exception as error:
            log.exception("internal error of the stand-in in %s", subject)
            self.errors[f"{subject} 500 InternalError"] += 1
            text = f"Internal error of the stand-in: {type(error).__name__}: {error}"
            response = service.refuse(request, Refusal(500, "InternalError", text))
        if faults.take("hang", subject):
            await self._sleep(24 * 3600)
            return _abort(request)
        if faults.take("lose", subject):
            return _abort(request)
        if faults.take("cut", subject):
            return await _cut(request, response)
        return response

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than the server runs."""
        try:
            await asyncio.wait_for(self._cloud.broker.closing.wait(), seconds)
        except TimeoutError:
            return


def _foreign(request: web.Request) -> Refusal | None:
    """Return why a request is not accepted, whatever it is for: a web page, or bytes that are not UTF-8.

    The access key of the stand-in is public, so a web page in the browser of the user could sign requests. It
    cannot set Host or Origin: the first has another name with DNS rebinding, the second is in each
    request across sites that has an effect or whose answer could be read.
    """
    try:
        "".join([request.raw_path, *request.headers, *request.headers.values()]).encode()
    except UnicodeEncodeError:
        return Refusal(400, "InvalidArgument", "The request target and the headers must be UTF-8.")
    host = re.sub(r":[0-9]*\Z", "", request.host).lower()
    if host not in _HOSTS and not _BUCKET_HOST.fullmatch(host):
        return Refusal(
            403,
            "AccessDenied",
            "The stand-in has the host names 127.0.0.1, localhost, BUCKET.localhost and [::1] only.",
        )
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return Refusal(403, "AccessDenied", "The stand-in does not accept requests of web pages.")
    return None


def create_app(cloud: Cloud) -> web.Application:
    """Return the application; it starts and stops the job runner of the cloud."""
    dispatcher = _Dispatcher(cloud)

    async def lifespan(app: web.Application) -> Any:
        await cloud.runner.start()
        yield
        await cloud.runner.stop()
        cloud.close()

    async def close(app: web.Application) -> None:
        cloud.broker.close()

    app = web.Application(client_max_size=_MAX_BODY)
    app.router.add_route("*", r"/{rest:[\s\S]*}", dispatcher.handle)
    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(close)
    app.on_response_prepare.append(_set_server)
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
    # An object with a Content-Encoding is stored unchanged.
    runner = web.AppRunner(create_app(cloud), access_log=None, shutdown_timeout=1, auto_decompress=False)
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
    """Refuse every address but loopback: the access key of the stand-in is public.

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

    :param data_dir: where objects and jobs are kept (path, also as text); created if missing.
    :param port: 0 to 65535; 0 for any free one.
    :param options: see :class:`.cloud.Cloud`. Default of ``buckets``: ``{"media": "local-project"}``.
    :raises ValueError: an option is not valid, or another server is using the data directory.
    """

    def __init__(self, data_dir: Path | str, *, port: int = 0, **options: Any) -> None:
        self._port = port
        self.cloud = Cloud(Path(data_dir), **{"buckets": {"media": "local-project"}, **options})
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

    def put(self, key: str, body: bytes, bucket: str = "media") -> None:
        """Store an object, without a request. While the server runs, the event ``PutObject`` is raised.

        :param bucket: an existing bucket.
        :raises KeyError: there is no such bucket.
        """
        path = self.cloud.store.temporary()
        path.write_bytes(body)
        stored = self.cloud.store.save(bucket, key, path)
        if self._thread.is_alive():
            self._call(self.cloud.raise_event, bucket, stored)

    def get(self, key: str, bucket: str = "media") -> bytes:
        """Return the bytes of an object, without a request.

        :raises KeyError: there is no such object.
        """
        if self.cloud.store.find(bucket, key) is None:
            raise KeyError(f"oss://{bucket}/{key}")
        return self.cloud.store.path(bucket, key).read_bytes()

    def objects(self, prefix: str = "", bucket: str = "media") -> list[str]:
        """Return the keys of a bucket, sorted."""
        return [key for key in self.cloud.store.keys(bucket) if key.startswith(prefix)]

    def jobs(self) -> list[dict[str, Any]]:
        """Return the accepted jobs, in the order of acceptance.

        :return: for each job ``source``, ``target``, ``process``, ``status`` (``running``, ``succeeded`` or
            ``failed``), ``code``, ``message``, ``outputs``, ``content``, times and ids. Names and values are
            those of the XCom of an operator.
        """
        return [job.describe() for job in self.cloud.table.all()]

    def messages(self, queue: str) -> dict[str, int]:
        """Return how many messages of a queue are ``visible``, and how many are ``hidden`` after a receipt.

        :raises KeyError: there is no such queue.
        """
        return self._call(self.cloud.broker.queues[queue].count)

    def add_fault(self, kind: str, **fields: Any) -> None:
        """Configure a fault; see :mod:`airflow_provider_oss_async.local.server.faults`.

        :raises ValueError: an argument is not valid; says which.
        """
        self._call(self.cloud.faults.add, Fault.read({"kind": kind, **fields}))

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._call(self.cloud.faults.clear)

    def _call(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call a function on the loop of the server, in whose thread the state of the services is used."""

        async def call() -> _Result:
            return function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

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

    The first bucket is the default one; where there is a topic, the first one is named with its first queue,
    otherwise the first queue.
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
    if not cloud.broker.topics and cloud.broker.queues:
        data["extra"]["smq_queue"] = next(iter(cloud.broker.queues))
    return json.dumps(data)


async def _set_server(request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "oss-async-local"


def _abort(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or not body:
        return _abort(request)
    cut = web.StreamResponse(status=response.status, headers=response.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut
