"""The admin interface of the stand-in, below ``/_local/``. Unsigned.

======================================  =====================================================================
request                                 effect
======================================  =====================================================================
``GET /_local/state``                   numbers of requests and errors by action, of jobs by status, of
                                        messages by queue, faults; with ``?jobs=1`` also ``job_list``, every
                                        job with its source, target, process, status, outputs and ids
``GET, POST, DELETE /_local/faults``    show the faults; add one or a list of them; clear all
``PUT /_local/buckets/NAME``            create or change a bucket: ``imm_project``, ``region``, ``styles``
``PUT /_local/projects/NAME``           create or change an IMM project: ``engine_concurrency``
``PUT /_local/settings``                change ``queue_seconds``, ``list_delay``
``PUT /_local/behaviour``               set the switches of what is not documented
``PUT /_local/topics/NAME``             create an SMQ topic with ``queues`` (list) and ``format``
``PUT /_local/queues/NAME``             create or change an SMQ queue: ``visibility``, ``retention`` (seconds)
``GET /_local/event-rules``             show the event notification rules
``PUT /_local/event-rules/NAME``        create a rule, as :class:`.EventRule` describes it
``DELETE /_local/event-rules/NAME``     delete a rule; it cannot be changed
``PUT /_local/keys/ID``                 accept a key: ``secret``, ``token``, ``expires_in`` (seconds)
======================================  =====================================================================
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_oss_async.local.server.behaviour import Behaviour
from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.object_events import EventRule
from airflow_provider_oss_async.local.server.signatures import AccessKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.cloud import Cloud
    from airflow_provider_oss_async.local.server.refusal import Refusal

#: Longest time that a setting may have, in seconds.
_LONGEST = 10 * 365 * 24 * 3600


class Admin:
    """Answers the requests below ``/_local/``.

    :param requests: number of requests by ``SERVICE:Action``.
    :param errors: number of errors by ``SERVICE:Action STATUS CODE``.
    """

    def __init__(self, cloud: Cloud, requests: Counter[str], errors: Counter[str]) -> None:
        self._cloud, self._requests, self._errors = cloud, requests, errors

    async def handle(self, request: web.Request, refusal: Refusal | None) -> web.Response:
        """Answer one request.

        :param refusal: why the request is refused, whatever it is.
        """
        if refusal:
            return _problem(refusal.status, refusal.message)
        kind, _, name = request.path.removeprefix("/_local/").partition("/")
        try:
            data = await request.json() if request.can_read_body else {}
            if (request.method, kind) == ("GET", "state"):
                return web.json_response(self._state(with_jobs="jobs" in request.query))
            if kind == "faults":
                return self._change_faults(request.method, data)
            if (request.method, kind) == ("GET", "event-rules"):
                return web.json_response(self._cloud.object_events.describe())
            if (request.method, kind) == ("DELETE", "event-rules"):
                self._cloud.object_events.remove(name)
                return web.json_response({})
            if request.method == "PUT" and self._put(kind, name, _object(data)):
                return web.json_response({})
        except web.HTTPRequestEntityTooLarge:
            return _problem(413, "the body is too large")
        except (ValueError, RecursionError, LookupError) as error:
            return _problem(400, str(error))
        return _problem(404, "there is no such resource, or not with this method")

    def _state(self, *, with_jobs: bool) -> dict[str, Any]:
        jobs = self._cloud.table.all()
        state: dict[str, Any] = {
            "requests": dict(self._requests),
            "errors": dict(self._errors),
            "jobs": dict(Counter(job.status for job in jobs)),
            "queues": {name: queue.count() for name, queue in self._cloud.broker.queues.items()},
            "faults": self._cloud.faults.describe(),
        }
        if with_jobs:
            state["job_list"] = [job.describe() for job in jobs]
        return state

    def _change_faults(self, method: str, data: Any) -> web.Response:
        if method == "POST":
            self._cloud.faults.add(
                *(Fault.read(item) for item in (data if isinstance(data, list) else [data]))
            )
        elif method == "DELETE":
            self._cloud.faults.clear()
        return web.json_response(self._cloud.faults.describe())

    def _put(self, kind: str, name: str, data: dict[str, Any]) -> bool:
        """Create or change a resource; false where there is none of that kind.

        :raises ValueError: a name or a field is not valid.
        """
        cloud = self._cloud
        if kind == "settings" and not name:
            _check(data, queue_seconds=_is_seconds, list_delay=_is_seconds)
            cloud.runner.queue_seconds = data.get("queue_seconds", cloud.runner.queue_seconds)
            cloud.list_delay = data.get("list_delay", cloud.list_delay)
        elif kind == "behaviour" and not name:
            cloud.behaviour = Behaviour.read(data)
        elif kind == "buckets" and name:
            _check(data, imm_project=_is_text_or_none, region=_is_text, styles=_is_styles)
            cloud.store.create_bucket(name, cloud.region, cloud.owner)
            cloud.store.change_bucket(name, **data)
        elif kind == "projects" and name:
            _check(data, engine_concurrency=_is_count)
            cloud.add_project(name)
            if "engine_concurrency" in data:
                cloud.runner.engines[name].resize(data["engine_concurrency"])
        elif kind == "topics" and name:
            _check(data, queues=_is_names, format=_is_text)
            cloud.broker.create_topic(name)
            for queue in data.get("queues", []):
                cloud.broker.subscribe(name, queue, data.get("format", "SIMPLIFIED"))
        elif kind == "queues" and name:
            _check(data, visibility=_is_seconds, retention=_is_seconds)
            cloud.broker.create_queue(name, **data)
        elif kind == "event-rules" and name:
            cloud.object_events.add(EventRule.read(name, data))
        elif kind == "keys" and name:
            _check(data, secret=_is_text, token=_is_text_or_none, expires_in=_is_number_or_none)
            if "secret" not in data:
                raise ValueError("secret is required")
            life = data.get("expires_in")
            expires_at = None if life is None else time.time() + life
            cloud.verifier.add(AccessKey(name, data["secret"], data.get("token"), expires_at))
        else:
            return False
        return True


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("the body must be a JSON object")
    return data


def _check(data: dict[str, Any], **fields: Callable[[Any], bool]) -> None:
    """Check the fields of a request.

    :raises ValueError: names every field that is unknown or has a wrong value.
    """
    wrong = [f"there is no field {name!r}" for name in data if name not in fields]
    wrong += [
        f"the value of {name} is not valid"
        for name in data
        if name in fields and not fields[name](data[name])
    ]
    if wrong:
        raise ValueError("; ".join(wrong))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_text_or_none(value: Any) -> bool:
    return value is None or _is_text(value)


def _is_number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) <= _LONGEST)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= _LONGEST


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_styles(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
