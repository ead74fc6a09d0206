"""A server that stands for IMM and OSS, ends jobs by a plan, and counts what it is asked.

It answers ``GetTask``, ``ListTasks`` and ``HEAD`` of the jobs' results, on loopback, each after a fixed
latency. It verifies no signature, accepts no job and does no work: all jobs exist from the start, submitted
over the hour before. A parameter it does not know is refused, so that no question is answered wrongly.

The plan is made from the number of jobs and a seed, in this process and in the one that is measured, so that
nothing has to be carried over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import subprocess
import sys
import time
import urllib.request
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web

from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process import ObjectURI, VideoConvert

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT, TASK_TYPE, BUCKET = "bench", "MediaConvert", "media"
_SUBMITTED_OVER = 3600.0
_PARAMETERS = {
    "GetTask": {"ProjectName", "TaskType", "TaskId", "RequestDefinition"},
    "ListTasks": {
        "ProjectName",
        "TaskTypes",
        "Sort",
        "Order",
        "MaxResults",
        "NextToken",
        "StartTimeRange",
        "EndTimeRange",
        "Status",
    },
}


def make_jobs(count: int, epoch: float, seed: int = 0) -> Iterator[OSSJob]:
    """Make the jobs that a server with the same arguments knows, in no particular order."""
    chance = random.Random(seed)
    convert = VideoConvert(container="mp4", video_codec="h264", width=1280, height=720)
    for number in range(count):
        submitted = datetime.fromtimestamp(epoch - chance.random() * _SUBMITTED_OVER, UTC)
        source = ObjectURI(BUCKET, f"uploads/2026/{number:06}.mov")
        target = ObjectURI(BUCKET, f"results/2026/{number:06}.mp4")
        yield OSSJob(
            task_id=f"{TASK_TYPE}-{UUID(int=chance.getrandbits(128), version=4)}",
            task_type=TASK_TYPE,
            source=str(source),
            target=str(target),
            process=convert.to_process(source, target).encode(),
            region="cn-hangzhou",
            imm_project=PROJECT,
            event_id=f"{chance.getrandbits(60):015X}",
            request_id=f"{chance.getrandbits(96):024X}",
            submitted_at=submitted.isoformat(timespec="seconds"),
        )


class Tasks:
    """All tasks of the project, by start time, and when each of them ends.

    :param jobs: those that someone waits for.
    :param foreign: how many others there are beside them, all ended long ago.
    """

    def __init__(self, jobs: list[OSSJob], foreign: int, epoch: float) -> None:
        self._jobs = jobs
        chance = random.Random("foreign")
        # IMM starts a task a moment after OSS has accepted it.
        starts = [(datetime.fromisoformat(j.submitted_at).timestamp() + 0.3, j.task_id) for j in jobs]
        ids = (f"{TASK_TYPE}-{UUID(int=chance.getrandbits(128), version=4)}" for _ in range(foreign))
        others = [(epoch - chance.random() * _SUBMITTED_OVER, i) for i in ids]
        self.ends = {task_id: start + 1 for start, task_id in others}
        self.ends.update((job.task_id, float("inf")) for job in jobs)
        ordered = sorted(starts + others)
        self.starts = [start for start, _ in ordered]
        self.ids = [task_id for _, task_id in ordered]
        self._start_of = {task_id: start for start, task_id in ordered}

    def go(self, begin: float, until: float, share: float) -> None:
        """Plan the ends: this share of the jobs ends, evenly spread from one time to the other."""
        ending = random.Random("ends").sample(self._jobs, round(len(self._jobs) * share))
        for number, job in enumerate(ending):
            self.ends[job.task_id] = begin + (until - begin) * number / len(ending)

    def describe(self, task_id: str, now: float) -> dict[str, Any]:
        end = self.ends[task_id]
        ended = end <= now
        return {
            "TaskType": TASK_TYPE,
            "TaskId": task_id,
            "Status": "Succeeded" if ended else "Running",
            "Code": "",
            "Message": "",
            "StartTime": iso(self._start_of[task_id]),
            "EndTime": iso(end) if ended else "",
            "UserData": "",
            "Tags": {},
        }

    def page(self, given: dict[str, str], now: float) -> dict[str, Any]:
        """Answer ``ListTasks``. The token is the place of the next task, counted from the oldest."""
        if given.get("Sort") == "EndTime":
            return self._ended_page(given, now)
        if given.get("Sort") != "StartTime" or not 1 <= int(given.get("MaxResults", 100)) <= 100:
            raise ValueError("Sort or MaxResults")
        limit, newest_first = int(given.get("MaxResults", 100)), given.get("Order") == "desc"
        status = given.get("Status")
        period = json.loads(given.get("StartTimeRange", "{}"))
        low, high = 0, len(self.ids)
        if "Start" in period:
            low = bisect_left(self.starts, datetime.fromisoformat(period["Start"]).timestamp())
        if "End" in period:
            high = bisect_right(self.starts, datetime.fromisoformat(period["End"]).timestamp())
        if TASK_TYPE not in json.loads(given.get("TaskTypes", f'["{TASK_TYPE}"]')):
            high = low
        token = given.get("NextToken")
        places = range(low if token is None else max(low, int(token)), high)
        if newest_first:
            places = range(min(high, len(self.ids) if token is None else int(token) + 1) - 1, low - 1, -1)
        tasks: list[dict[str, Any]] = []
        for place in places:
            if len(tasks) == limit:
                return {"Tasks": tasks, "NextToken": str(place)}
            task = self.describe(self.ids[place], now)
            if status in (None, "", task["Status"]):
                tasks.append({**task, "Progress": 100 if task["Status"] == "Succeeded" else 0})
        return {"Tasks": tasks}

    def _ended_page(self, given: dict[str, str], now: float) -> dict[str, Any]:
        """Answer ``ListTasks`` by end time, the earliest first. The token is the place of the next task."""
        if given.get("Order", "asc") != "asc" or TASK_TYPE not in json.loads(given["TaskTypes"]):
            raise ValueError("Order or TaskTypes")
        start = datetime.fromisoformat(json.loads(given["EndTimeRange"])["Start"]).timestamp()
        ended = sorted((end, task_id) for task_id, end in self.ends.items() if start <= end <= now)
        first, limit = int(given.get("NextToken", 0)), int(given.get("MaxResults", 100))
        tasks = [self.describe(task_id, now) for _, task_id in ended[first : first + limit]]
        more = first + limit < len(ended)
        return {"Tasks": tasks, **({"NextToken": str(first + limit)} if more else {})}


class Server:
    """Answers and counts.

    :param latency: seconds before each answer.
    """

    def __init__(self, jobs: list[OSSJob], tasks: Tasks, latency: float) -> None:
        self._tasks = tasks
        self._latency = latency
        self._by_target = {job.target.removeprefix("oss:/"): job.task_id for job in jobs}
        self._counts: dict[str, Counter[int]] = {}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        if request.path.startswith("/_bench/"):
            return self._control(request)
        now = time.time()
        action = request.headers.get("x-acs-action", "") if request.method == "POST" else request.method
        self._counts.setdefault(action, Counter())[int(now)] += 1
        await asyncio.sleep(self._latency)
        if action == "HEAD":
            return self._head(request.path, now)
        try:
            return web.json_response({"RequestId": "R", **self._imm(action, dict(request.query), now)})
        except (ValueError, LookupError) as error:
            code = "ResourceNotFound" if isinstance(error, LookupError) else "InvalidArgument"
            body = {"RequestId": "R", "Code": code, "Message": f"The specified resource Task: {error}"}
            return web.json_response(body, status=400)

    def _imm(self, action: str, given: dict[str, str], now: float) -> dict[str, Any]:
        # The official client sends some parameters of its own.
        if unknown := set(given) - _PARAMETERS.get(action, set()):
            raise ValueError(f"{action} with {sorted(unknown)}")
        if action == "ListTasks":
            return self._tasks.page(given, now)
        return {"ProjectName": PROJECT, "EventId": "E", **self._tasks.describe(given["TaskId"], now)}

    def _head(self, path: str, now: float) -> web.Response:
        end = self._tasks.ends.get(self._by_target.get(path, ""), float("inf"))
        headers = {"x-oss-request-id": "R", "Date": formatdate(usegmt=True)}
        if end > now:
            return web.Response(status=404, headers=headers)
        headers |= {"ETag": '"E"', "Last-Modified": formatdate(end, usegmt=True), "Content-Length": "1000"}
        return web.Response(headers=headers)

    def _control(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/_bench/go":
            self._tasks.go(*(float(request.query[name]) for name in ("begin", "until", "share")))
        ends = {task_id: end for task_id, end in self._tasks.ends.items() if end != float("inf")}
        return web.json_response({"counts": self._counts, "ends": ends})


class Counting:
    """A server in a process of its own, as seen from outside."""

    def __init__(self, url: str, bundle: Path) -> None:
        self.url = url
        self.bundle = bundle

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a process that is to use the server: a connection ``bench``, and whom to trust."""
        connection = {
            "conn_type": "oss_async",
            "login": "bench",
            "password": "bench-secret",
            "host": self.url,
            "extra": {"region": "cn-hangzhou", "imm_project": PROJECT, "imm_endpoint": self.url},
        }
        return {"AIRFLOW_CONN_BENCH": json.dumps(connection), "SSL_CERT_FILE": str(self.bundle)}

    def go(self, begin: float, until: float, share: float) -> None:
        self._call(f"go?begin={begin}&until={until}&share={share}")

    def report(self) -> dict[str, Any]:
        """What was asked, by action and second, and when each job ends, as far as that is planned."""
        return self._call("report")

    def _call(self, path: str) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.bundle))
        with urllib.request.urlopen(f"{self.url}/_bench/{path}", timeout=10, context=context) as answer:
            return json.load(answer)  # type: ignore[no-any-return]


def asked(report: dict[str, Any], action: str, begin: float, until: float) -> int:
    """Return how often an action was asked for in a period."""
    seconds = report["counts"].get(action, {})
    return sum(count for second, count in seconds.items() if begin <= int(second) < until)


@contextmanager
def counting_server(
    folder: Path, jobs: int, epoch: float, *, foreign: int = 0, latency: float, life: float
) -> Iterator[Counting]:
    """Run a server until the context ends, and for ``life`` seconds at most."""
    certificate, bundle = make_certificate(folder)
    with started(__name__, jobs, epoch, foreign, latency, life, certificate) as url:
        yield Counting(url, bundle)


@contextmanager
def started(module: str, *arguments: object) -> Iterator[str]:
    """Run a server in a process of its own until the context ends; give its URL.

    :param module: its full name; it prints its URL.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the counting server did not start")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate with its key, and a file with it and all usual authorities.

    TLS is a good part of what a request costs, and loading the authorities of what a client costs that does
    it for every request.
    """
    import certifi
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    public = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate, bundle = folder / "server.pem", folder / "authorities.pem"
    certificate.write_bytes(private + public)
    bundle.write_bytes(Path(certifi.where()).read_bytes() + public)
    return certificate, bundle


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _serve(options: argparse.Namespace) -> None:
    jobs = list(make_jobs(options.jobs, options.epoch))
    server = Server(jobs, Tasks(jobs, options.foreign, options.epoch), options.latency)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    runner = web.ServerRunner(web.Server(server.handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    print(f"https://127.0.0.1:{port}", flush=True)
    await asyncio.sleep(options.life)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("jobs", type=int)
    parser.add_argument("epoch", type=float)
    parser.add_argument("foreign", type=int)
    parser.add_argument("latency", type=float)
    parser.add_argument("life", type=float)
    parser.add_argument("certificate")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
