"""The switches of the stand-in itself, below ``/_local/``. Unsigned: loopback only, never from a web page.

======================================  =====================================================================
request                                 effect
======================================  =====================================================================
``GET /_local/state``                   numbers of requests and errors by action, of jobs by status, faults;
                                        with ``?jobs=1`` every job
``GET, POST, DELETE /_local/faults``    show the faults; add one or a list of them; clear all
``PUT /_local/buckets/NAME``            create or change a bucket: ``imm_project``, ``region``, ``styles``
``PUT /_local/projects/NAME``           create an IMM project
``PUT /_local/topics/NAME``             create an SMQ topic with ``queues`` (list) and ``format``
``PUT /_local/keys/ID``                 accept a key: ``secret``, ``token``, ``expires_in`` (seconds)
======================================  =====================================================================
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.signatures import AccessKey

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.server.cloud import Cloud

_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class Admin:
    """Answers the requests below ``/_local/``.

    :param requests: number of requests by ``SERVICE:Action``.
    :param errors: number of errors by ``SERVICE:Action STATUS CODE``.
    """

    def __init__(self, cloud: Cloud, requests: Counter[str], errors: Counter[str]) -> None:
        self._cloud, self._requests, self._errors = cloud, requests, errors

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        # What a web page in the user's browser could send by itself.
        if request.host.rpartition(":")[0] not in _HOSTS or "Origin" in request.headers:
            return _problem(403, "only for programs on this machine")
        kind, _, name = request.path.removeprefix("/_local/").partition("/")
        try:
            data = await request.json() if request.can_read_body else {}
            if (request.method, kind) == ("GET", "state"):
                return web.json_response(self._state(with_jobs="jobs" in request.query))
            if kind == "faults":
                return self._change_faults(request.method, data)
            if request.method == "PUT" and name:
                self._put(kind, name, data)
                return web.json_response({})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return _problem(400, f"{type(error).__name__}: {error}")
        return _problem(404, "there is no such switch")

    def _state(self, *, with_jobs: bool) -> dict[str, Any]:
        jobs = self._cloud.table.all()
        state: dict[str, Any] = {
            "requests": dict(self._requests),
            "errors": dict(self._errors),
            "jobs": dict(Counter(job.status for job in jobs)),
            "faults": self._cloud.faults.describe(),
        }
        if with_jobs:
            state["job_list"] = [asdict(job) for job in jobs]
        return state

    def _change_faults(self, method: str, data: Any) -> web.Response:
        if method == "POST":
            self._cloud.faults.add(
                *(Fault.read(item) for item in (data if isinstance(data, list) else [data]))
            )
        elif method == "DELETE":
            self._cloud.faults.clear()
        return web.json_response(self._cloud.faults.describe())

    def _put(self, kind: str, name: str, data: dict[str, Any]) -> None:
        cloud = self._cloud
        if kind == "buckets":
            unknown = data.keys() - {"imm_project", "region", "styles"}
            if unknown:
                raise ValueError(f"a bucket has no {', '.join(sorted(unknown))}")
            cloud.store.create_bucket(name, cloud.region, cloud.owner)
            cloud.store.change_bucket(name, **data)
        elif kind == "projects":
            cloud.add_project(name)
        elif kind == "topics":
            for queue in data.get("queues", []):
                cloud.broker.subscribe(name, queue, data.get("format", "SIMPLIFIED"))
            cloud.broker.topics.setdefault(name, {})
        elif kind == "keys":
            life = data.get("expires_in")
            expires_at = None if life is None else time.time() + life
            cloud.verifier.add(AccessKey(name, data["secret"], data.get("token"), expires_at))
        else:
            raise ValueError(f"nothing to change in {kind!r}")


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
