"""A server that stands for OSS and IMM and counts what a batch asks of it: jobs are accepted and end in time.

TLS on loopback, an answer after a fixed latency, no signature verified, no work done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import time
import urllib.request
from bisect import bisect_left, insort
from collections import Counter
from contextlib import contextmanager
from datetime import datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote
from uuid import uuid4

from aiohttp import web

from tests.benchmarks.counting_server import iso, make_certificate, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET, PREFIX, TASK_TYPE = "media", "uploads/2026/11/25/", "MediaConvert"


class Server:
    """Answers and counts.

    :param objects: how many objects there are below the prefix.
    :param latency: seconds before each answer.
    :param job_seconds: how long a job takes.
    """

    def __init__(self, objects: int, latency: float, job_seconds: float) -> None:
        self._keys = [f"{PREFIX}{number:06}.mov" for number in range(objects)]
        self._latency, self._job_seconds = latency, job_seconds
        self.counts: Counter[str] = Counter()
        self._started: dict[str, float] = {}
        self._ends: list[tuple[float, str]] = []
        self._written: dict[str, bytearray] = {}
        self.paid: Counter[str] = Counter()
        self.first, self.last = 0.0, 0.0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/_bench/report":
            most = max(self.paid.values(), default=0)
            return web.json_response(
                {"counts": self.counts, "jobs": len(self._started), "most": most,
                 "first": self.first, "last": self.last,
                 "bytes": {key: len(value) for key, value in self._written.items()}}
            )  # fmt: skip
        if request.path == "/_bench/reset":
            self.counts.clear()
            self.first = self.last = 0.0
            return web.json_response({})
        body = await request.content.read()
        action = request.headers.get("x-acs-action", "")
        if not action:
            kinds = {"append": "AppendObject", "x-oss-async-process": "AsyncProcess", "list-type": "List"}
            action = next((kinds[name] for name in request.query if name in kinds), request.method)
        self.counts[action] += 1
        await asyncio.sleep(self._latency)
        if "x-acs-action" in request.headers:
            return web.json_response({"RequestId": "R", **self._imm(action, dict(request.query))})
        headers = {"x-oss-request-id": "R", "Date": formatdate(usegmt=True)}
        key = unquote(request.path).removeprefix(f"/{BUCKET}").lstrip("/")
        if action == "AsyncProcess":
            return self._submit(key, headers)
        if action == "List":
            return self._list(dict(request.query), headers)
        if action == "AppendObject":
            written = self._written.setdefault(key, bytearray())
            if len(written) != int(request.query["position"]):
                text = "<Error><Code>PositionNotEqualToLength</Code><Message>no</Message></Error>"
                return web.Response(status=409, text=text, headers=headers)
            written += body
            return web.Response(headers={**headers, "x-oss-next-append-position": str(len(written))})
        found = self._written.get(key)
        if found is None and not key.startswith(PREFIX):
            return web.Response(status=404, headers=headers)
        headers |= {"ETag": '"E"', "Last-Modified": formatdate(usegmt=True)}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(found or b""))})
        begin, _, end = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        data = bytes(found or b"")[int(begin) : int(end) + 1 if end else None]
        return web.Response(status=206, body=data, headers=headers)

    def _submit(self, key: str, headers: dict[str, str]) -> web.Response:
        now = time.time()
        self.first, self.last = self.first or now, now
        task_id = f"{TASK_TYPE}-{uuid4()}"
        self.paid[key] += 1
        self._started[task_id] = now
        insort(self._ends, (now + self._job_seconds, task_id))
        answer = {"EventId": "E", "RequestId": "R", "TaskId": task_id}
        return web.json_response(answer, headers=headers)

    def _list(self, query: dict[str, str], headers: dict[str, str]) -> web.Response:
        place = int(query.get("continuation-token") or 0)
        if not PREFIX.startswith(query.get("prefix", "")):
            place = len(self._keys)
        page = self._keys[place : place + 1000]
        more = place + 1000 < len(self._keys)
        items = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<Type>Normal</Type><Size>1000</Size><StorageClass>Standard</StorageClass></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{place + 1000}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{items}</ListBucketResult>"
        )
        return web.Response(text=text, content_type="application/xml", headers=headers)

    def _imm(self, action: str, given: dict[str, str]) -> dict[str, Any]:
        now = time.time()
        if action == "GetProject":
            return {"Project": {"EngineConcurrency": 100_000}}
        if action == "GetOSSBucketAttachment":
            return {"ProjectName": "bench"}
        if action == "GetTask":
            return self._describe(given["TaskId"], now)
        if given.get("Sort") != "EndTime":
            return {"Tasks": []}
        start = datetime.fromisoformat(json.loads(given["EndTimeRange"])["Start"]).timestamp()
        place = int(given.get("NextToken") or bisect_left(self._ends, (start, "")))
        ended = bisect_left(self._ends, (now, ""))
        page = [self._describe(task_id, now) for _, task_id in self._ends[place : min(place + 100, ended)]]
        return {"Tasks": page, **({"NextToken": str(place + 100)} if place + 100 < ended else {})}

    def _describe(self, task_id: str, now: float) -> dict[str, Any]:
        start = self._started[task_id]
        end = start + self._job_seconds
        state = {"Status": "Succeeded", "EndTime": iso(end)} if end <= now else {"Status": "Running"}
        return {"TaskType": TASK_TYPE, "TaskId": task_id, "StartTime": iso(start), **state}


class Counting:
    """A server in a process of its own, as seen from outside."""

    def __init__(self, url: str, bundle: Path) -> None:
        self.url, self.bundle = url, bundle

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that is to use the server: a connection ``bench``, and whom to trust."""
        connection = {
            "conn_type": "oss_async",
            "login": "bench",
            "password": "bench-secret",
            "host": self.url,
            "schema": BUCKET,
            "extra": {"region": "cn-hangzhou", "imm_project": "bench", "imm_endpoint": self.url},
        }
        return {"AIRFLOW_CONN_BENCH": json.dumps(connection), "SSL_CERT_FILE": str(self.bundle)}

    def call(self, name: str) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.bundle))
        with urllib.request.urlopen(f"{self.url}/_bench/{name}", timeout=30, context=context) as answer:
            return json.load(answer)  # type: ignore[no-any-return]


@contextmanager
def batch_server(folder: Path, objects: int, latency: float, job_seconds: float) -> Iterator[Counting]:
    """Run a server until the context ends."""
    certificate, bundle = make_certificate(folder)
    with started(__name__, objects, latency, job_seconds, certificate) as url:
        yield Counting(url, bundle)


async def _serve(options: argparse.Namespace) -> None:
    server = Server(options.objects, options.latency, options.job_seconds)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    runner = web.ServerRunner(web.Server(server.handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(f"https://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("objects", type=int)
    parser.add_argument("latency", type=float)
    parser.add_argument("job_seconds", type=float)
    parser.add_argument("certificate")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
