"""A proxy on loopback in front of the stand-in and of Airflow's execution API, which interrupts workers.

It knows which task a request is about, and kills or suspends the worker of that task when a certain request
arrives, or when it has been carried out and before the answer is sent. It does so to the supervisor and the
process of the task together, as when a machine goes down. Nothing of the package is patched.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import aiohttp
import psutil
from aiohttp import web
from yarl import URL

from airflow_provider_oss_async.operators.job_store import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.interruption import Event, Interruption

_REQUEST_ID = "0123456789ABCDEF01234567"
_NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding"}


class Proxy:
    """The proxy, in a thread.

    :param port: where it listens.
    :param cloud: address of the stand-in.
    :param airflow: address of the API server.
    :param executors: gives the ids of what runs tasks; only what runs below them is ever killed.
    """

    def __init__(self, port: int, cloud: str, airflow: str, executors: Callable[[], list[int]]) -> None:
        self._port, self._cloud, self._airflow, self._executors = port, cloud, airflow, executors
        #: Interruptions to come, by the key of the object that the task processes.
        self.planned: dict[str, Interruption] = {}
        #: Interruptions that have happened.
        self.done: dict[str, Interruption] = {}
        #: The processes that are suspended, or were: supervisor and task.
        self.suspended: dict[str, tuple[psutil.Process, psutil.Process]] = {}
        #: Keys whose worker was told by Airflow that its task does not run any more.
        self.stopped: set[str] = set()
        #: How many requests there were, by event and key.
        self.seen: Counter[tuple[Event, str]] = Counter()
        #: Epoch seconds at which each of them came.
        self.times: dict[tuple[Event, str], list[float]] = defaultdict(list)
        self._keys: dict[str, str] = {}
        self._processes: dict[str, psutil.Process] = {}
        self._workers: dict[str, psutil.Process] = {}
        self._jobs: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run_loop, daemon=True)

    def start(self) -> None:
        self._thread.start()
        if not self._started.wait(30):
            raise RuntimeError("the proxy did not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()

    def resume(self, key: str) -> None:
        """Let a suspended worker go on."""
        for process in self.suspended[key]:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def is_running(self, key: str) -> bool:
        """Whether a worker that was suspended is still there."""
        process = self.suspended[key][1]
        with suppress(psutil.NoSuchProcess):
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        return False

    def working_on(self) -> list[str]:
        """The keys of the tasks that are in a worker now."""
        return [key for key, process in list(self._workers.items()) if process.is_running()]

    def process_of(self, key: str) -> psutil.Process | None:
        """The process of a task, if it is in a worker now."""
        found = self._worker(key)
        return found[1] if found else None

    def kill_worker(self, key: str, *, task_only: bool = False) -> bool:
        """Kill the worker of a task, if it has one; return whether it had.

        :param task_only: not its supervisor.
        """
        with suppress(psutil.NoSuchProcess):
            # In this order: the supervisor would report the end of the task.
            for process in (found := self._worker(key))[task_only:]:
                process.kill()
            return bool(found)
        return False

    def _run_loop(self) -> None:
        with closing(self._loop):
            self._loop.run_until_complete(self._run())

    def _suspend_worker(self, key: str) -> bool:
        with suppress(psutil.NoSuchProcess):
            supervisor, process = self._worker(key)
            supervisor.suspend()
            process.suspend()
            self.suspended[key] = supervisor, process
            return True
        return False

    def workers(self) -> list[tuple[psutil.Process, ...]]:
        """Supervisor and process of all tasks that are in a worker now, also of those without a key."""
        return [found for process in list(self._processes.values()) if (found := self._supervised(process))]

    def _worker(self, key: str) -> tuple[psutil.Process, ...]:
        """Return supervisor and process of a task, nothing if it is not in a worker."""
        return self._supervised(self._workers[key]) if key in self._workers else ()

    def _supervised(self, process: psutil.Process) -> tuple[psutil.Process, ...]:
        with suppress(psutil.NoSuchProcess):
            supervisor = process.parent()
            if supervisor is not None and {p.pid for p in supervisor.parents()} & {*self._executors()}:
                return supervisor, process
        return ()

    async def _run(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{rest:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A connection is not kept, since what is behind it may be gone by the next request.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
        )
        async with self._session:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._started.set()
            await self._stop.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        event, key = self._understand(request, body)
        due = self._due(event, key)
        if due and due.action == "refuse":
            self.done[key] = due
            return _refused(*due.error)
        if due and not due.answered and self._interrupt(due, key):
            return _hang_up(request)
        try:
            status, headers, answer, whole = await self._forward(request, body)
        except (aiohttp.ClientError, OSError):
            return _hang_up(request)
        if event == "submit" and status == 200 and whole:
            self._jobs[json.loads(answer)["TaskId"]] = key
        if status == 200 and request.method == "PATCH" and request.path.endswith("/run"):
            # One that is refused is of a message that was delivered again.
            with suppress(psutil.NoSuchProcess):
                self._processes[request.path.split("/")[3]] = psutil.Process(json.loads(body)["pid"])
        if status in (404, 409, 410) and request.path.endswith("/heartbeat"):
            self.stopped.add(self._keys.get(request.path.split("/")[3], ""))
        if due and due.answered and self._interrupt(due, key) and due.action != "suspend":
            return _hang_up(request)
        if whole:
            return web.Response(status=status, headers=headers, body=answer)
        cut = web.StreamResponse(status=status, headers=headers)
        await cut.prepare(request)
        await cut.write(answer)
        return _hang_up(request)

    def _understand(self, request: web.Request, body: bytes) -> tuple[Event, str]:
        """Return what a request is, and the key of the object that its task processes."""
        match request.method, request.path.split("/")[1:]:
            case "PUT", ["execution", "task-instances", ti, "rtif"]:
                source = json.loads(body).get("source") or ""
                if isinstance(source, dict):
                    # The result of another task.
                    source = (source.get("outputs") or [""])[0]
                _, _, path = source.partition("://")
                if key := path.partition("/")[2] or source:
                    self._keys[ti], self._workers[key] = key, self._processes[ti]
                    return "begin", key
            case "PATCH", ["execution", "task-instances", ti, "state"]:
                state = json.loads(body)["state"]
                if state in ("success", "deferred"):
                    return state, self._keys.get(ti, "")
            case "PUT", ["execution", "store", "ti", ti, name] if name == KEY:
                record = json.loads(body)["value"]
                return "record" if "wait_specification" in record else "intent", self._keys.get(ti, "")
            case "POST", [_, *parts] if "x-oss-async-process" in request.query:
                return "submit", "/".join(parts)
        if request.headers.get("x-acs-action") == "GetTask":
            return "poll", self._jobs.get(request.query["TaskId"], "")
        return "", ""

    def _due(self, event: Event, key: str) -> Interruption | None:
        if not event or not key:
            return None
        self.seen[event, key] += 1
        self.times[event, key].append(time.time())
        planned, number = self.planned.get(key), self.seen[event, key]
        if planned is None or planned.event != event:
            return None
        if planned.action == "refuse":
            until_stopped = planned.nth == 0 and key not in self.stopped
            return planned if until_stopped or number <= planned.nth else None
        return planned if planned.nth == number else None

    def _interrupt(self, due: Interruption, key: str) -> bool:
        """Carry out an interruption; return whether there was a worker."""
        if due.action in ("kill", "kill task"):
            there = self.kill_worker(key, task_only=due.action == "kill task")
        else:
            there = due.action != "suspend" or self._suspend_worker(key)
        if not there:
            return False
        self.done[key] = self.planned.pop(key)
        return True

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes, bool]:
        upstream = self._airflow if request.path.startswith("/execution/") else self._cloud
        # The signatures cover the host name and the address as they are.
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON
        }
        async with self._session.request(
            request.method,
            URL(upstream + request.raw_path, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        ) as answer:
            kept = {
                name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON
            }
            content, whole = bytearray(), True
            try:
                async for chunk in answer.content.iter_any():
                    content += chunk
            except aiohttp.ClientPayloadError:
                whole = False
            return answer.status, kept, bytes(content), whole


def _refused(status: int, code: str, message: str) -> web.Response:
    """Return an error as OSS sends it."""
    headers = {"Content-Type": "application/xml", "x-oss-request-id": _REQUEST_ID}
    if status in (429, 503):
        headers["Retry-After"] = "3"
    text = (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message>"
        f"<RequestId>{_REQUEST_ID}</RequestId></Error>"
    )
    return web.Response(status=status, headers=headers, text=text)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
