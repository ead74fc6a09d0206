"""The hook: an Airflow connection, and what can be done with it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow.sdk import BaseHook

from airflow_provider_oss_async.clients.errors import redact
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    ProcessError,
    error_text,
)
from airflow_provider_oss_async.hooks.credential_sources import credentials_source, sdk_provider
from airflow_provider_oss_async.hooks.metrics import count
from airflow_provider_oss_async.hooks.services import open_services, sdk_config, sync_session
from airflow_provider_oss_async.hooks.settings import read_settings
from airflow_provider_oss_async.jobs.reference import read_job
from airflow_provider_oss_async.jobs.submission import build_request, submit
from airflow_provider_oss_async.process import SPECIFICATIONS, ObjectURI, parse_process
from airflow_provider_oss_async.process.text import shown, unwrapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
    from typing import Literal

    import requests
    from airflow.sdk import Connection
    from alibabacloud_oss_v2 import Client
    from alibabacloud_oss_v2.aio import AsyncClient

    from airflow_provider_oss_async.batch.sources import Inventory, ListFile, ObjectListing
    from airflow_provider_oss_async.clients.media_info import MediaInfo, MediaKind
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.hooks.submit_many import SubmitOutcome
    from airflow_provider_oss_async.jobs.job import JobStatus, OSSJob
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.process import Process, Specification, Style

T = TypeVar("T")


class Run(Protocol):
    """Runs a step on open clients to its end: what :meth:`OSSAsyncHook.running` yields."""

    def __call__(self, step: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        """Run ``step(services)`` and return its result."""


class OSSAsyncHook(BaseHook):
    """Alibaba Cloud OSS, and IMM and SMQ beside it, through an Airflow connection.

    As a context manager it closes its synchronous client at the end.

    :param oss_conn_id: connection of type ``oss_async``, or one of the official Alibaba provider
        (``oss``, ``alibaba_cloud``).
    :param region: takes the place of the connection's region.
    :param imm_project: takes the place of the connection's IMM project.
    """

    conn_name_attr = "oss_conn_id"
    default_conn_name = "oss_async_default"
    conn_type = "oss_async"
    hook_name = "Alibaba Cloud OSS (async processing)"

    def __init__(
        self,
        oss_conn_id: str = default_conn_name,
        *,
        region: str | None = None,
        imm_project: str | None = None,
    ) -> None:
        super().__init__()
        self.oss_conn_id = oss_conn_id
        self.region = region
        self.imm_project = imm_project
        self._settings: ConnectionSettings | None = None
        self._client: Client | None = None
        self._session: requests.Session | None = None

    @property
    def settings(self) -> ConnectionSettings:
        """What the connection says, looked up once. A coroutine awaits :meth:`aget_settings` instead.

        :raises OSSConnectionError: there is no such connection, or it lacks a setting or holds a wrong one.
        """
        return self._settings or self._read(self._look_up())

    async def aget_settings(self) -> ConnectionSettings:
        """Return :attr:`settings` without blocking the event loop.

        :raises OSSConnectionError: there is no such connection, or it lacks a setting or holds a wrong one.
        """
        if self._settings is not None:
            return self._settings
        from airflow.sdk import Connection
        from airflow.sdk.exceptions import AirflowNotFoundException

        if hasattr(Connection, "aextra_dejson"):
            try:
                conn = await self.aget_connection(self.oss_conn_id)
                await conn.aextra_dejson()
            except AirflowNotFoundException:
                # `airflow dags test` and dag.test() have no asynchronous access to Airflow's database.
                conn = await asyncio.to_thread(self._look_up)
        else:
            # Before Airflow 3.3.2 aget_connection makes a blocking call, which can deadlock on a loop.
            conn = await asyncio.to_thread(self._look_up)
        return self._read(conn)

    def _look_up(self) -> Connection:
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            conn = self.get_connection(self.oss_conn_id)
        except AirflowNotFoundException:
            advice = "Create it with type oss_async, or set oss_conn_id."
            raise OSSConnectionError(
                error_text(f"There is no Airflow connection {self.oss_conn_id!r}", advice), advice=advice
            ) from None
        _ = conn.extra_dejson  # Only this tells the log masker which secrets are in the extra.
        return conn

    def _read(self, conn: Connection) -> ConnectionSettings:
        settings = read_settings(conn, region=self.region, imm_project=self.imm_project)
        for warning in settings.warnings:
            self.log.warning("Airflow connection %r: %s", self.oss_conn_id, warning)
        self._settings = settings
        return settings

    def get_conn(self) -> Client:
        """Return the synchronous client of the OSS SDK; the same one until :meth:`close`."""
        if self._client is None:
            from alibabacloud_oss_v2 import Client
            from alibabacloud_oss_v2.transport import RequestsHttpClient

            settings = self.settings
            config = sdk_config(settings, sdk_provider(credentials_source(settings), blocking=True))
            self._session = sync_session()
            config.http_client = RequestsHttpClient(
                session=self._session,
                connect_timeout=settings.connect_timeout,
                readwrite_timeout=settings.read_timeout,
                proxy_host={"http": settings.proxy, "https": settings.proxy} if settings.proxy else None,
            )
            self._client = Client(config)
        return self._client

    async def get_async_conn(self) -> AsyncClient:
        """Return a new asynchronous client of the OSS SDK, which the caller closes.

        Its temporary credentials are good for minutes, not for hours; for longer work use the client
        ``oss`` of :meth:`session`, which renews them.

        :raises OSSConnectionError: the connection or the credentials are no good.
        """
        settings = await self.aget_settings()
        source = credentials_source(settings)
        await source()
        await asyncio.to_thread(import_module, "alibabacloud_oss_v2.aio")
        from alibabacloud_oss_v2.aio import AsyncClient

        config = sdk_config(settings, sdk_provider(source, blocking=False))
        config.proxy_host = settings.proxy or None
        return AsyncClient(config)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Services]:
        """Open asynchronous clients of OSS, IMM and SMQ over one HTTP session, and close them at the end.

        :raises OSSConnectionError: the connection lacks a setting or holds a wrong one.
        """
        async with open_services(await self.aget_settings()) as services:
            yield services

    @contextmanager
    def running(self) -> Iterator[Run]:
        """Open the asynchronous clients for synchronous code.

        Yields a function that runs a coroutine on the clients and returns its result. Between two calls
        nothing of it is on an event loop, so Airflow's own blocking calls may stand there.

        :raises OSSConnectionError: the connection lacks a setting or holds a wrong one.
        """
        stack = AsyncExitStack()
        with asyncio.Runner() as runner:
            services = runner.run(stack.enter_async_context(open_services(self.settings)))

            def run(step: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
                return runner.run(step(services))

            try:
                yield run
            finally:
                runner.run(stack.aclose())

    async def asubmit(
        self,
        source: str,
        process: str | Process | Specification | Style,
        *,
        target: str | None = None,
        notify_topic: str = "",
        task_type: str = "",
    ) -> OSSJob:
        """Submit one job, without waiting for it.

        :param source: ``oss://bucket/key``, or a key in the connection's default bucket.
        :param process: a specification such as ``VideoConvert(container="mp4")``, or a process string.
        :param target: where the result goes, in the same two forms; only where ``process`` does not say it.
        :param notify_topic: SMQ topic to notify; only where ``process`` does not say it.
        :param task_type: IMM task type, needed for a style given as a string.
        :raises ProcessError: an argument is wrong; nothing was sent.
        :raises OSSSubmitError: the job could not be submitted; the subclass says whether it may be running.
        """
        settings = await self.aget_settings()
        bucket = settings.bucket
        request = build_request(
            process,
            ObjectURI.parse(source, default_bucket=bucket),
            None
            if target is None
            else ObjectURI.parse(target, name="target", default_bucket=bucket, variables=True),
            notify_topic,
            task_type,
        )
        async with open_services(settings) as services:
            project = settings.imm_project
            if not project:
                # Only needed to wait for the job, which its caller may not be allowed to.
                with suppress(OSSServiceError):
                    project = await services.imm.get_bucket_project(request.source.bucket)
            job = await submit(services.oss, replace(request, region=settings.region, imm_project=project))
        count("jobs_submitted")
        return job

    def submit(self, source: str, process: str | Process | Specification | Style, **options: Any) -> OSSJob:
        """Submit one job from synchronous code; arguments and errors as :meth:`asubmit`."""
        return _run(self.asubmit(source, process, **options), "asubmit")

    async def asubmit_many(
        self,
        jobs: Iterable[tuple[str, str | Process | Specification | Style, str | None]],
        *,
        max_in_flight: int = 32,
        max_submits_per_second: float = 50.0,
    ) -> AsyncIterator[SubmitOutcome]:
        """Submit many jobs over one session, and yield their outcomes in the order in which they come.

        One job that cannot be submitted does not stop the others. Nothing is remembered: a program that is
        cut off and started again submits all of them again, and pays for them; what survives that is
        ``OSSAsyncProcessBatchOperator``.

        :param jobs: any iterable of source, process and target, each as in :meth:`asubmit`; read as they are
            submitted.
        :param max_in_flight: submissions at once, 1 to 1000. Default 32. It is not about the jobs that run.
        :param max_submits_per_second: above 0, up to 10,000. Default 50.
        :raises ProcessError: a limit is not allowed; nothing was sent.
        :raises OSSConnectionError: the connection lacks a setting or holds a wrong one.
        """
        from airflow_provider_oss_async.hooks.submit_many import submit_each

        settings = await self.aget_settings()
        async with open_services(settings) as services:
            outcomes = submit_each(
                services,
                settings,
                jobs,
                max_in_flight=max_in_flight,
                max_submits_per_second=max_submits_per_second,
            )
            async with aclosing(outcomes) as each:  # type: ignore[type-var]
                async for outcome in each:
                    yield outcome

    def submit_many(
        self,
        jobs: Iterable[tuple[str, str | Process | Specification | Style, str | None]],
        **options: Any,
    ) -> list[SubmitOutcome]:
        """Submit many jobs from synchronous code; arguments and errors as :meth:`asubmit_many`.

        :return: the outcomes, in the order in which they came.
        """

        async def collect() -> list[SubmitOutcome]:
            return [outcome async for outcome in self.asubmit_many(jobs, **options)]

        return _run(collect(), "asubmit_many")

    async def aget_status(
        self, job: OSSJob | dict[str, Any] | str, *, imm_task_type: str | None = None
    ) -> JobStatus:
        """Poll IMM once for a job.

        :param job: what :meth:`submit` returned, the result of an operator, or a bare task id. Its IMM
            project is its own, or else that of the hook or the connection.
        :param imm_task_type: with a bare task id: ``MediaConvert``, ``OfficeConversion`` or
            ``DecodeBlindWatermark``.
        :return: see :class:`~airflow_provider_oss_async.jobs.job.JobStatus`.
        :raises ProcessError: an argument is wrong.
        :raises OSSServiceError: no answer, or a refusal.
        """
        settings = await self.aget_settings()
        handle = read_job(job, task_type=imm_task_type, imm_project=settings.imm_project)
        async with open_services(settings) as services:
            return await services.poller.poll_once(handle)

    def get_status(
        self, job: OSSJob | dict[str, Any] | str, *, imm_task_type: str | None = None
    ) -> JobStatus:
        """Poll IMM once from synchronous code; arguments and errors as :meth:`aget_status`."""
        return _run(self.aget_status(job, imm_task_type=imm_task_type), "aget_status")

    @property
    def default_bucket(self) -> str:
        """The connection's default bucket; empty if it names none."""
        return self.settings.bucket

    async def alist_keys(
        self,
        prefix: str = "",
        *,
        pattern: str | None = None,
        since: datetime | None = None,
        limit: int = 10_000,
    ) -> list[str]:
        """Return the objects below a prefix, as ``oss://bucket/key``, in the order of their keys.

        :param prefix: ``oss://bucket/prefix``, or a prefix in the default bucket. Folders (keys that end in
            ``/``) are left out.
        :param pattern: shell pattern that the last part of the key matches, such as ``*.mp4``.
        :param since: only objects that were written at this time or later; with a time zone.
        :param limit: most objects, 1 to 100,000, default 10,000.
        :raises ProcessError: an argument is wrong, or there are more objects.
        :raises OSSServiceError: the listing was refused, or got no answer.
        """
        since = unwrapped(since)
        problems = [
            f"{name}={shown(value)} is not allowed: expected {expected}"
            for name, value, right, expected in (
                ("prefix", prefix, isinstance(prefix, str), "text"),
                ("pattern", pattern, pattern is None or isinstance(pattern, str), "text"),
                ("since", since, since is None or _is_aware(since), "a datetime with a time zone"),
                ("limit", limit, type(limit) is int and 1 <= limit <= 100_000, "1 to 100000"),
            )
            if not right
        ]
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        settings = await self.aget_settings()
        bucket, key_prefix = _split_prefix(prefix, settings.bucket)
        earliest = since.timestamp() if since is not None else 0.0
        keys: list[str] = []
        async with open_services(settings) as services:
            async for item in services.oss.list_objects(bucket, key_prefix):
                if item.key.endswith("/") or (item.modified and item.modified < earliest):
                    continue
                if pattern is not None and not fnmatchcase(item.key.rpartition("/")[2], pattern):
                    continue
                if len(keys) >= limit:
                    raise ProcessError(
                        f"oss://{bucket}/{key_prefix} holds more than {limit} such objects: narrow the "
                        "prefix, or raise limit"
                    )
                keys.append(f"oss://{bucket}/{item.key}")
        return keys

    def list_keys(self, prefix: str = "", **options: Any) -> list[str]:
        """Return the objects below a prefix; arguments and errors as :meth:`alist_keys`."""
        return _run(self.alist_keys(prefix, **options), "alist_keys")

    async def aexists(self, key: str) -> bool:
        """Whether an object exists.

        :param key: ``oss://bucket/key``, or a key in the default bucket.
        :raises OSSServiceError: the request was refused, or got no answer.
        """
        settings = await self.aget_settings()
        uri = ObjectURI.parse(key, name="key", default_bucket=settings.bucket)
        async with open_services(settings) as services:
            return await services.oss.head(uri.bucket, uri.key) is not None

    def exists(self, key: str) -> bool:
        """Whether an object exists; arguments and errors as :meth:`aexists`."""
        return _run(self.aexists(key), "aexists")

    async def amedia_info(self, uri: str, *, kind: MediaKind | None = None) -> MediaInfo:
        """Return what OSS says of a media file: container, streams, sizes, duration. Each call is billed.

        It needs the rights ``oss:GetObject``, and for video and audio ``oss:ProcessImm`` and
        ``imm:DetectMediaMeta`` too.
        https://www.alibabacloud.com/help/en/oss/user-guide/video-information-extraction

        :param uri: ``oss://bucket/key``, or a key in the default bucket.
        :param kind: ``video``, ``audio`` or ``image``; default by the extension.
        :return: see :class:`~airflow_provider_oss_async.clients.media_info.MediaInfo`.
        :raises ProcessError: an argument is wrong, or the extension does not tell the kind; nothing was sent.
        :raises OSSServiceError: the request was refused, or got no answer.
        """
        from airflow_provider_oss_async.clients.media_info import MEDIA_KINDS, media_kind

        settings = await self.aget_settings()
        if kind is not None and kind not in MEDIA_KINDS:
            raise ProcessError(f"kind={shown(kind)} is not allowed: expected {' or '.join(MEDIA_KINDS)}")
        found = ObjectURI.parse(uri, name="uri", default_bucket=settings.bucket)
        kind = kind or media_kind(found.key)
        if kind is None:
            raise ProcessError(
                f"uri={shown(uri)}: the extension does not tell what it is: set kind to "
                f"{' or '.join(MEDIA_KINDS)}"
            )
        async with open_services(settings) as services:
            return await services.oss.media_info(found.bucket, found.key, kind)

    def media_info(self, uri: str, *, kind: MediaKind | None = None) -> MediaInfo:
        """Return what OSS says of a media file; arguments and errors as :meth:`amedia_info`."""
        return _run(self.amedia_info(uri, kind=kind), "amedia_info")

    async def aincomplete_outputs(
        self,
        sources: Sequence[str | Mapping[str, Any]] | ObjectListing | ListFile | Inventory,
        process: str | Specification | Style,
        target: str | None = None,
        *,
        verify_output: Literal["exists", "media"] = "exists",
        max_objects: int = 10_000,
    ) -> list[dict[str, Any]]:
        """Return the objects whose outputs are missing, empty, older than their source, or not as asked for.

        The result is what ``OSSAsyncProcessBatchOperator`` takes as ``sources``, with the same process. In a
        ``@task`` it is what is to be made again; in a ``@task.sensor`` its being empty is what is waited for.
        The batch must not skip existing targets then, since a damaged output is newer than its source.

        :param sources: as those of the batch operator.
        :param process: as that of the batch operator; of a style only OSS knows what it is to give.
        :param target: as that of the batch operator.
        :param verify_output: ``"exists"``; or ``"media"`` to compare also each output with what was asked
            for, and its duration with that of the source (``video/info`` and so on: billed requests that need
            the right ``imm:DetectMediaMeta``).
        :param max_objects: objects at most, 1 to 1,000,000. Default 10,000.
        :return: dicts with ``source``, ``target``, and ``reason``, which the batch ignores. Of several
            outputs of an object it cannot be told beforehand how many there are to be: one counts.
        :raises ProcessError: an argument is wrong, two objects have one target, or there are more objects.
        :raises OSSServiceError: OSS refuses, or gives no answer.
        """
        from airflow_provider_oss_async.batch.outputs import expectation, incomplete_outputs

        settings = await self.aget_settings()
        spec = expectation(
            sources,
            process,
            target,
            verify_output=verify_output,
            max_objects=max_objects,
            bucket=settings.bucket,
        )
        async with open_services(settings) as services:
            return await incomplete_outputs(services, spec, verify_output=verify_output)

    def incomplete_outputs(
        self,
        sources: Sequence[str | Mapping[str, Any]] | ObjectListing | ListFile | Inventory,
        process: str | Specification | Style,
        target: str | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Return what is to be made again; arguments and errors as :meth:`aincomplete_outputs`."""
        return _run(self.aincomplete_outputs(sources, process, target, **options), "aincomplete_outputs")

    async def aestimate(
        self,
        source: str,
        process: str | Process | Specification,
        *,
        prices: Mapping[str, Any] | None = None,
        probe: bool = True,
    ) -> dict[str, Any]:
        """Return what one job will come to before it is submitted: bytes, minutes of the result, and cost.

        :param source: ``oss://bucket/key``, or a key in the connection's default bucket.
        :param process: a specification such as ``VideoConvert(container="mp4")``, or a process string.
        :param prices: your prices, as :mod:`airflow_provider_oss_async.batch.budget` describes them.
        :param probe: ask OSS about a media file (a billed request that needs the right
            ``imm:DetectMediaMeta``). Default ``True``.
        :return: as ``estimate`` in the summary of a batch, and ``objects`` and ``bytes``.
        :raises ProcessError: an argument is wrong, or there is no such object.
        :raises OSSServiceError: a request was refused, or got no answer.
        """
        from airflow_provider_oss_async.batch.budget import Job, Prices, estimate

        settings = await self.aget_settings()
        uri = ObjectURI.parse(source, default_bucket=settings.bucket)
        table = None if prices is None else Prices.read(prices)
        # Where the result goes does not matter here.
        target = None if _writes_nothing(process) else ObjectURI(uri.bucket, f"{uri.key}.result/{{index}}")
        request = build_request(process, uri, target)
        async with open_services(settings) as services:
            state = await services.oss.head(uri.bucket, uri.key)
            if state is None:
                raise ProcessError(f"source={shown(source)} does not exist")
            job = Job(request.process.operation, state.size, lambda: request)
            found = await estimate(services, [job], probe=probe, prices=table)
        return {"objects": 1, "bytes": state.size, **found}

    def estimate(self, source: str, process: str | Process | Specification, **options: Any) -> dict[str, Any]:
        """Return what one job will come to; arguments and errors as :meth:`aestimate`."""
        return _run(self.aestimate(source, process, **options), "aestimate")

    def resolve_uri(self, value: str, *, name: str = "key") -> tuple[str, str]:
        """Return bucket and key of ``oss://bucket/key`` or of a key in the connection's default bucket.

        :param value: what the user wrote.
        :param name: the argument it was written for; errors name it.
        :raises ProcessError: not an object name that OSS would take (a :class:`ValueError`).
        """
        default_bucket = "" if value.startswith("oss://") else self.settings.bucket
        uri = ObjectURI.parse(value, name=name, default_bucket=default_bucket)
        return uri.bucket, uri.key

    def test_connection(self) -> tuple[bool, str]:
        """Try OSS, IMM and SMQ, and say in a sentence each what works and what is missing. Never raises."""
        from airflow_provider_oss_async.hooks.connection_test import check_services, without_connection_id

        try:
            settings = self.settings
            # In a thread, because there may be an event loop in this one.
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(lambda: asyncio.run(check_services(settings))).result()
        except Exception as error:
            return False, without_connection_id(redact(str(error)) or type(error).__name__, self.oss_conn_id)

    def close(self) -> None:
        """Close the synchronous client, if one was made."""
        if self._session is not None:
            self._session.close()
        self._client = self._session = None

    def __enter__(self) -> OSSAsyncHook:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _run(coroutine: Coroutine[Any, Any, T], name: str) -> T:
    """Run a coroutine to its end; inside of an event loop that cannot be done."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    coroutine.close()
    raise RuntimeError(f"This is a coroutine already: await hook.{name}(...) instead")


def _writes_nothing(process: object) -> bool:
    """Whether the result of a process is no object."""
    if isinstance(process, str):
        process = parse_process(process)
    operation = getattr(process, "operation", "")
    return operation in SPECIFICATIONS and not SPECIFICATIONS[operation].writes_object


def _is_aware(moment: Any) -> bool:
    """Whether this is a time with a time zone."""
    return isinstance(moment, datetime) and moment.tzinfo is not None


def _split_prefix(prefix: str, default_bucket: str) -> tuple[str, str]:
    """Return bucket and key prefix; the prefix may be empty."""
    if prefix.startswith("oss://"):
        bucket, _, key = prefix.removeprefix("oss://").partition("/")
    else:
        bucket, key = default_bucket, prefix
    if not bucket:
        raise ProcessError(f"prefix={prefix!r}: names no bucket, and the connection has no default bucket")
    return bucket, ObjectURI.parse(f"oss://{bucket}/{key}", name="prefix").key if key.strip("/") else key
