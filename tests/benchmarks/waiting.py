"""What waiting for many jobs costs: requests, CPU, stalls of the event loop, memory, and delay.

Run ``python -m tests.benchmarks.waiting [--jobs 100,1000,10000] [--seconds S] [--interval I]``. By default it
takes about ten minutes. Compared are, at the same interval and with the same growth and jitter:

- ours: ``OSSAsyncTaskTrigger.run()`` for each job;
- ours, shared: the same in a project that holds as many tasks of others;
- one by one: each job asks ``GetTask`` for itself, with our client on one session;
- official: the same with the official SDK's asynchronous client. Left out above 100 jobs: it makes a session
  and a TLS context for each request, some 0.1 s of work, so that it cannot ask for more in time.

Each measurement has a fresh client process and a fresh counting server (see ``counting_server.py``). All jobs
begin to wait at once, are left alone until their interval has grown to its full length, and are then measured
over a window in which half of them end, evenly spread, the last of them one interval before its end.

- Requests: those to IMM within the window. Ours asks OSS for each result too (``HEAD``), the others do not.
- CPU: of the client process within the window, as a share of one core.
- Stall: by how much a sleep of 5 ms on the same loop came too late. The idle loop shows the machine's part.
  The first job has the clients imported and opened.
  Garbage collections of Python are stalls too: full ones come while the number of objects grows, that is
  while triggers start, and take the longer the more there are.
- Memory: growth of the resident set from one waiting job, clients open, to all of them, divided by their
  number. It holds the trigger, the task that runs it, what we keep of the
  job, and whatever the requests up to the window have left behind. It holds nothing of Airflow's triggerer.
- Delay: from the planned end of a job to its trigger's event, or to the answer that says so.

Not measured: a real network (each answer comes after 20 ms), limits of the service, and Airflow's own part,
for which see ``triggerer.py``. Client and server share the machine. The figures are printed, not judged.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.counting_server import PROJECT, TASK_TYPE, asked, counting_server, make_jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    #: Waits for the job of a trigger's arguments and says how it ended.
    Follow = Callable[[dict[str, Any]], Awaitable[str]]

LATENCY = 0.02
SHARE = 0.5
OFFICIAL_UP_TO = 100
NAP = 0.005
IMM = ("GetTask", "ListTasks")
GOALS = {
    "requests": "1/200 of one by one",
    "stall": "50 ms",
    "memory": "6 KiB",
    "median": "half an interval",
}


# The client process.


class Stalls:
    """Samples how late the event loop is, and how long garbage collections take, in phases."""

    def __init__(self) -> None:
        self._late: dict[str, array[float]] = {}
        self._own: dict[str, float] = {}
        self._collecting = self._collected = 0.0
        self.collection: dict[str, float] = {}
        self.phase = ""
        gc.callbacks.append(self._collect)

    def _collect(self, step: str, info: dict[str, int]) -> None:
        now = time.perf_counter()
        if step == "start":
            self._collecting = now
        else:
            self._collected += now - self._collecting
            longest = self.collection.get(self.phase, 0.0)
            self.collection[self.phase] = max(longest, now - self._collecting)

    async def run(self) -> None:
        while True:
            phase, before, collected = self.phase, time.perf_counter(), self._collected
            await asyncio.sleep(NAP)
            if phase == self.phase:
                late = time.perf_counter() - before - NAP
                self._late.setdefault(phase, array("d")).append(late)
                own = late - (self._collected - collected)
                self._own[phase] = max(self._own.get(phase, 0.0), own)

    def longest(self, phase: str) -> float:
        return max(self._late[phase])

    def longest_own(self, phase: str) -> float:
        """Return the longest stall without the garbage collections in it."""
        return self._own[phase]

    def percentile99(self, phase: str) -> float:
        return sorted(self._late[phase])[int(len(self._late[phase]) * 0.99)]


class Warnings(logging.Handler):
    """Keeps what the client has to complain about off the screen, and counts it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0
        self.first = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        self.first = self.first or record.getMessage()


@asynccontextmanager
async def ours(interval: float) -> AsyncIterator[Follow]:
    from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger

    async def first_event(trigger: OSSAsyncTaskTrigger) -> str:
        async for event in trigger.run():
            return str(event.payload["status"])
        return "no event"

    # As in a triggerer, nothing is left of the arguments but what the trigger keeps.
    yield lambda arguments: first_event(
        OSSAsyncTaskTrigger(wait_specification=arguments, oss_conn_id="bench")
    )


async def one_by_one(ask: Callable[[str], Awaitable[str]], job: dict[str, Any], interval: float) -> str:
    """Ask until the job has ended. ``ask`` may fail, which has the question asked again."""
    from airflow_provider_oss_async.clients.retry import Backoff

    backoff = Backoff(max_interval=interval)
    pause = backoff.after(0.0)
    while True:
        try:
            status = (await ask(job["task_id"])).lower()
            if status != "running":
                return status
        except Exception as error:
            logging.warning("asking failed: %s", error)
        await asyncio.sleep(pause * random.uniform(0.8, 1.0))
        pause = backoff.after(pause)


@asynccontextmanager
async def alone(interval: float) -> AsyncIterator[Follow]:
    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.hooks.services import open_services

    async with open_services(await OSSAsyncHook("bench").aget_settings()) as services:

        async def ask(task_id: str) -> str:
            return (await services.imm.get_task(PROJECT, TASK_TYPE, task_id)).status

        yield lambda arguments: one_by_one(ask, arguments["job"], interval)


@asynccontextmanager
async def official(interval: float) -> AsyncIterator[Follow]:
    from alibabacloud_imm20200930.client import Client
    from alibabacloud_imm20200930.models import GetTaskRequest
    from alibabacloud_tea_openapi.utils_models import Config

    host = json.loads(os.environ["AIRFLOW_CONN_BENCH"])["host"].removeprefix("https://")
    client = Client(Config(access_key_id="bench", access_key_secret="secret", endpoint=host))

    async def ask(task_id: str) -> str:
        request = GetTaskRequest(project_name=PROJECT, task_type=TASK_TYPE, task_id=task_id)
        return str((await client.get_task_async(request)).body.status)

    yield lambda arguments: one_by_one(ask, arguments["job"], interval)


KINDS = {"ours": ours, "shared": ours, "alone": alone, "official": official}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    # A triggerer has these already. They also set up logging, which is to be quiet here.
    import airflow.sdk
    import airflow.triggers.base  # noqa: F401
    import psutil

    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

    arguments = [
        WaitSpecification(job, "imm", time.time() + 86400, options.interval).to_dict()
        for job in make_jobs(options.count, options.epoch)
    ]
    warnings = Warnings()
    logging.basicConfig(handlers=[warnings], force=True)
    process, stalls = psutil.Process(), Stalls()
    seen: dict[str, float] = {}
    states: set[str] = set()
    all_seen = asyncio.Event()
    sampling = asyncio.create_task(stalls.run())

    def resident() -> int:
        stalls.phase = ""
        gc.collect()
        return int(process.memory_info().rss)

    async with KINDS[options.kind](options.interval) as follow:

        async def wait(task_id: str, following: Awaitable[str]) -> None:
            states.add(await following)
            seen[task_id] = time.time()
            if len(seen) >= round(options.count * SHARE):
                all_seen.set()

        def start(given: dict[str, Any]) -> asyncio.Task[None]:
            # A triggerer makes its triggers from JSON: they share no texts.
            own = json.loads(json.dumps(given))
            return asyncio.create_task(wait(own["job"]["task_id"], follow(own)))

        stalls.phase = "first"
        waiting = [start(arguments[0])]
        await asyncio.sleep(3)
        idle = resident()
        stalls.phase = "idle"
        await asyncio.sleep(2)
        stalls.phase = "start"
        for given in arguments[1:]:
            waiting.append(start(given))
            # So does the triggerer.
            await asyncio.sleep(0)
        print(time.time(), flush=True)
        await asyncio.sleep(warm_up(options.interval))
        memory = (resident() - idle) / (len(arguments) - 1)
        stalls.phase = "window"
        begin, busy = time.time(), time.process_time()
        await asyncio.sleep(options.seconds)
        end, busy = time.time(), time.process_time() - busy
        stalls.phase = ""
        with suppress(TimeoutError):
            await asyncio.wait_for(all_seen.wait(), options.interval + 5)
        for task in (sampling, *waiting):
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [r for r in results if isinstance(r, Exception)]
    return {
        "window": (begin, end),
        "cpu": busy / (end - begin),
        "idle stall": stalls.longest("idle"),
        "first stall": stalls.longest("first"),
        "start stall": stalls.longest("start"),
        "stall": stalls.longest("window"),
        "own stall": stalls.longest_own("window"),
        "start collection": stalls.collection.get("start", 0.0),
        "collection": stalls.collection.get("window", 0.0),
        "stall 99%": stalls.percentile99("window"),
        "memory": memory,
        "seen": seen,
        "states": sorted(states),
        "warnings": warnings.count + len(errors),
        "first warning": warnings.first or (repr(errors[0]) if errors else ""),
    }


# The process that has it measured.


def warm_up(interval: float) -> float:
    """Return how long it takes until the pause between two polls has grown to the interval."""
    from airflow_provider_oss_async.clients.retry import Backoff

    backoff, total = Backoff(max_interval=interval), 0.0
    pause = backoff.after(0.0)
    while pause < interval:
        total += pause
        pause = backoff.after(pause)
    return total + 1


def run(kind: str, count: int, seconds: float, interval: float) -> dict[str, Any]:
    """Make one measurement and return its figures."""
    epoch = time.time()
    life = warm_up(interval) + seconds + interval + 120
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        foreign = count if kind == "shared" else 0
        with counting_server(
            folder, count, epoch, foreign=foreign, latency=LATENCY, life=life + 30
        ) as server:
            command = [
                sys.executable,
                "-m",
                "tests.benchmarks.waiting",
                "--client",
                kind,
                "--count",
                str(count),
            ]
            command += ["--epoch", str(epoch), "--seconds", str(seconds), "--interval", str(interval)]
            environment = {
                **{k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "OSS_", "ALIBABA_"))},
                **server.environment,
                "AIRFLOW_HOME": name,
                # The log of a trigger goes to standard output, like the figures.
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            }
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            guard = threading.Timer(life, process.kill)
            guard.start()
            try:
                assert process.stdout is not None
                started = float(process.stdout.readline())
                begin = started + warm_up(interval)
                server.go(begin, begin + seconds - interval, SHARE)
                output, _ = process.communicate()
            finally:
                guard.cancel()
                process.kill()
                process.wait()
            report = server.report()
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    begin, end = figures["window"]
    requests = {action: asked(report, action, begin, end) for action in IMM}
    ends, seen = report["ends"], figures["seen"]
    own = {job.task_id for job in make_jobs(count, epoch)}
    ended = [task_id for task_id in ends if task_id in own]
    delays = sorted(seen[task_id] - ends[task_id] for task_id in ended if task_id in seen)
    return {
        **figures,
        "lists": requests["ListTasks"] * 60 / (end - begin),
        "requests": sum(requests.values()) * 60 / (end - begin),
        "warming": sum(asked(report, action, started, begin) for action in IMM),
        "ended": len(ended),
        "delays": delays,
        "early": sum(delay < 0 for delay in delays) + len(set(seen) - set(ended)),
    }


def rows(figures: dict[str, Any]) -> dict[str, str]:
    delays = figures["delays"] or [float("nan")]
    return {
        "IMM requests a minute": f"{figures['requests']:.0f} ({figures['lists']:.0f} ListTasks)",
        "IMM requests before the window": f"{figures['warming']}",
        "CPU, share of a core": f"{figures['cpu']:.1%}",
        "longest stall, idle loop": f"{figures['idle stall'] * 1000:.0f} ms",
        "longest stall, first job": f"{figures['first stall'] * 1000:.0f} ms",
        "longest stall, start and growth": f"{figures['start stall'] * 1000:.0f} ms",
        "longest garbage collection, start and growth": f"{figures['start collection'] * 1000:.0f} ms",
        "longest stall, window": f"{figures['stall'] * 1000:.0f} ms",
        "the same without garbage collections": f"{figures['own stall'] * 1000:.0f} ms",
        "longest garbage collection, window": f"{figures['collection'] * 1000:.0f} ms",
        "stall, 99th percentile": f"{figures['stall 99%'] * 1000:.1f} ms",
        "memory a waiting job": f"{figures['memory'] / 1024:.1f} KiB",
        "delay, median": f"{statistics.median(delays):.1f} s",
        "delay, 95th percentile": f"{delays[int(len(delays) * 0.95)]:.1f} s",
        "delay, longest": f"{delays[-1]:.1f} s",
        "jobs ended, noticed": f"{figures['ended']}, {len(figures['delays'])}",
        "outcomes": " ".join(figures["states"]),
        "warnings": str(figures["warnings"]),
    }


def table(count: int, seconds: float, interval: float, found: dict[str, dict[str, Any]]) -> None:
    """Print what was found, with ratios and goals."""
    print(f"\n## {count:,} jobs, interval {interval:g} s, window {seconds:g} s\n")
    names = {"ours": "ours", "shared": "ours, shared", "alone": "one by one", "official": "official"}
    print(f"| | {' | '.join(names[kind] for kind in found)} | goal at 10,000 |")
    print(f"|---|{'---|' * len(found)}---|")
    columns = [rows(figures) for figures in found.values()]
    goals = {
        "IMM requests a minute": f"at most {GOALS['requests']}",
        "longest stall, window": f"under {GOALS['stall']}",
        "memory a waiting job": f"under {GOALS['memory']}",
        "delay, median": f"within {GOALS['median']}",
    }
    for title in columns[0]:
        print(f"| {title} | {' | '.join(column[title] for column in columns)} | {goals.get(title, '')} |")
    for title, name in (("requests", "requests"), ("cpu", "CPU")):
        base = found["ours"][title]
        ratios = [f"{figures[title] / base:.3g}" if base else "-" for figures in found.values()]
        print(f"| {name}, ours = 1 | {' | '.join(ratios)} | {'at least 200' * (title == 'requests')} |")
    for kind, figures in found.items():
        if figures["first warning"]:
            print(f"\nFirst warning of {names[kind]}: {figures['first warning'][:300]}")
        if figures["early"]:
            print(f"\n{names[kind]} said {figures['early']} times that a job had ended before it had.")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", default="100,1000,10000", help="numbers of waiting jobs")
    parser.add_argument("--seconds", type=float, help="length of the window")
    parser.add_argument("--interval", type=float, help="seconds between two polls of a job")
    parser.add_argument("--kinds", default=",".join(KINDS), help="what to measure")
    parser.add_argument("--client", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--epoch", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        options.kind = options.client
        print(json.dumps(asyncio.run(measure(options))))
        return
    began = time.monotonic()
    for count in map(int, options.jobs.split(",")):
        # At full length where it matters; the smaller ones are there for comparison.
        interval = options.interval or (5.0 if count <= 1000 else 30.0)
        seconds = options.seconds or (10.0 if count <= 1000 else 60.0)
        found = {
            kind: run(kind, count, seconds, interval)
            for kind in options.kinds.split(",")
            if (kind != "official" or count <= OFFICIAL_UP_TO) and (kind != "shared" or count > 100)
        }
        table(count, seconds, interval, found)
    load = os.getloadavg()[0]
    print(f"\n{time.monotonic() - began:.0f} s in all; load of the machine at the end {load:.1f}.")


if __name__ == "__main__":
    main()
