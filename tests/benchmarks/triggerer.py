"""A thousand deferred tasks in a real ``airflow triggerer``: what it costs, and whether every event arrives.

Run ``python -m tests.benchmarks.triggerer [--jobs 1000] [--seconds S] [--interval I]``; about seven minutes.
It makes a temporary Airflow with SQLite, a DAG with one mapped task, and a run of it whose task instances
are deferred, with their rows in the table of triggers, as a worker would have left them. Then it starts
``airflow triggerer`` against the server of ``counting_server.py``, lets it load the triggers, has all jobs
end evenly over a while, and reads the states of the task instances. This is done three times:

- events: our trigger's event has the task instance scheduled again, to be resumed on a worker;
- ended: our trigger ends the task by itself (``end_from_trigger``);
- control: a trigger that sleeps until the same moments and sends no request: the cost of Airflow itself.

- CPU: of each of the triggerer's two processes while the jobs end, as a share of one core. The runner holds
  the triggers' event loop, the supervisor the database.
- RSS: the largest resident set of each in that time.
- Blocked: Airflow's own warnings that a sleep of 0.1 s on the event loop took more than 0.2 s.
- Delay: from the planned end of a job to the time that stands in the database.

Not measured: a scheduler, workers and an API server, for none is there; a production database; a real
network. The figures are printed, not judged.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.benchmarks.counting_server import asked, counting_server, make_jobs
from tests.benchmarks.waiting import IMM, LATENCY

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("events", "ended", "control")
# Time for the triggerer to start and for the intervals to grow, and for each trigger to be loaded.
LEAD, LOADING = 35.0, 0.02
DAG_FILE = """
from airflow.sdk import DAG
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

with DAG("waiting", schedule=None):
    OSSVideoConvertOperator.partial(task_id="convert", oss_conn_id="bench", container="mp4").expand(
        source=[f"oss://media/uploads/2026/{{number:06}}.mov" for number in range({count})]
    )
"""
# Airflow puts the folder of plugins on the path.
CONTROL_FILE = """
import asyncio, time
from airflow.triggers.base import BaseTrigger, TriggerEvent

class Control(BaseTrigger):
    def __init__(self, until):
        super().__init__()
        self.until = until

    def serialize(self):
        return "control.Control", {"until": self.until}

    async def run(self):
        await asyncio.sleep(max(0.0, self.until - time.time()))
        yield TriggerEvent({})
"""


def set_up(home: Path, count: int) -> None:
    """Make a fresh Airflow, in this process and in those it starts, with the DAG in its database."""
    for name in [n for n in os.environ if n.startswith(("AIRFLOW", "OSS_", "ALIBABA_"))]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": str(max(1024, count)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    for file, text in (
        ("dags/waiting.py", DAG_FILE.format(count=count)),
        ("plugins/control.py", CONTROL_FILE),
    ):
        (home / file).parent.mkdir()
        (home / file).write_text(text)
    for command in ("db migrate", "dags reserialize"):
        airflow = [sys.executable, "-m", "airflow", *command.split()]
        done = subprocess.run(airflow, capture_output=True, text=True, timeout=180, check=False, cwd=home)
        if done.returncode:
            raise RuntimeError(f"airflow {command}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def defer(kind: str, jobs: list[Any], ends: list[float], interval: float) -> None:
    """Make a run of the DAG whose task instances wait for these jobs."""
    from airflow.api.common.trigger_dag import trigger_dag
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session
    from airflow.utils.state import TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType
    from sqlalchemy import select

    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
    from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger

    def trigger(number: int) -> Trigger:
        if kind == "control":
            return Trigger("control.Control", {"until": ends[number]})
        spec = WaitSpecification(jobs[number], "imm", time.time() + 86400, interval)
        return Trigger.from_object(
            OSSAsyncTaskTrigger(
                wait_specification=spec.to_dict(), oss_conn_id="bench", end_from_trigger=kind == "ended"
            )
        )

    with create_session() as session:
        trigger_dag("waiting", triggered_by=DagRunTriggeredByType.TEST, run_id=kind, session=session)
        session.flush()
        instances = session.scalars(select(TaskInstance).where(TaskInstance.run_id == kind)).all()
        if len(instances) != len(jobs):
            raise RuntimeError(f"the run has {len(instances)} task instances instead of {len(jobs)}")
        for instance in instances:
            row = trigger(instance.map_index)
            session.add(row)
            session.flush()
            instance.trigger_id = row.id
            instance.state = TaskInstanceState.DEFERRED
            instance.start_date = datetime.now(UTC)
            instance.try_number = 1
            instance.next_method = "execute_complete"
            instance.next_kwargs = {}


@contextmanager
def triggerer(log: Path, capacity: int, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """Run a triggerer, and stop it with its children."""
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs", "--capacity", str(capacity)]
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=log.parent,
        )
    process = psutil.Process(started.pid)
    children: list[psutil.Process] = []
    try:
        yield process
        children = process.children(recursive=True)
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            children = process.children(recursive=True)
            started.kill()
            started.wait()
        for child in children:
            if child.is_running():
                child.kill()


class Watched:
    """Adds up what a process has used."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._busy = self._cpu()
        self.rss = 0

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def sample(self) -> None:
        self.rss = max(self.rss, self._process.memory_info().rss)

    def used(self) -> float:
        return self._cpu() - self._busy


def query(database: Path, text: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(text, values).fetchall()


def run(kind: str, home: Path, options: argparse.Namespace) -> dict[str, str]:
    """Have the tasks wait with one kind of trigger, and return what to print."""
    epoch = time.time()
    jobs = list(make_jobs(options.jobs, epoch))
    log, database = home / f"{kind}.log", home / "airflow.db"
    begin = epoch + LEAD + options.jobs * LOADING
    until = begin + options.seconds
    life = until - epoch + options.interval + 120
    with counting_server(home, options.jobs, epoch, latency=LATENCY, life=life) as server:
        server.go(begin, until, 1.0)
        planned = server.report()["ends"]
        ends = [planned[job.task_id] for job in jobs]
        # Airflow logs to where the table is to go.
        with redirect_stdout(StringIO()):
            defer(kind, jobs, ends, options.interval)
        with triggerer(log, options.jobs + 1, server.environment) as process:
            count_deferred = "select count(*) from task_instance where run_id = ? and state = 'deferred'"
            time.sleep(max(0.0, begin - time.time()))
            taken = query(database, "select count(*) from trigger where triggerer_id is not null")[0][0]
            loading = log.read_text()
            runner = max(process.children(), key=lambda child: child.memory_info().rss)
            both = {"supervisor": Watched(process), "runner": Watched(runner)}
            began = time.time()
            while time.time() < until:
                time.sleep(1)
                for watched in both.values():
                    watched.sample()
            elapsed = time.time() - began
            used = {name: watched.used() / elapsed for name, watched in both.items()}
            while time.time() < until + options.interval + 30:
                if not query(database, count_deferred, kind)[0][0]:
                    break
                time.sleep(1)
        report = server.report()
    # An ended task has an end, a task to be resumed has a time at which it was scheduled.
    rows = query(
        database,
        "select map_index, state, coalesce(end_date, scheduled_dttm) from task_instance where run_id = ?",
        kind,
    )
    states = {state: sum(row[1] == state for row in rows) for state in sorted({row[1] for row in rows})}
    delays = sorted(
        datetime.fromisoformat(when).replace(tzinfo=UTC).timestamp() - ends[number]
        for number, state, when in rows
        if state != "deferred" and when
    )
    delays = delays or [float("nan")]
    text = log.read_text()
    minutes = (until - begin) / 60
    return {
        "task instances afterwards": ", ".join(f"{number} {state}" for state, number in states.items()),
        "triggers loaded when the first job ended": str(taken),
        "CPU of the runner": f"{used['runner']:.1%}",
        "CPU of the supervisor": f"{used['supervisor']:.1%}",
        "RSS of the runner": f"{both['runner'].rss / 2**20:.0f} MiB",
        "RSS of the supervisor": f"{both['supervisor'].rss / 2**20:.0f} MiB",
        "IMM requests a minute": f"{sum(asked(report, a, begin, until) for a in IMM) / minutes:.0f}",
        "of these ListTasks": f"{asked(report, 'ListTasks', begin, until) / minutes:.0f}",
        "blocked while loading": blocked(loading),
        "blocked afterwards": blocked(text[len(loading) :]),
        "errors in the log": str(len(re.findall(r"\[error|\bERROR\b|Traceback", text))),
        "delay, median": f"{statistics.median(delays):.1f} s",
        "delay, 95th percentile": f"{delays[int(len(delays) * 0.95)]:.1f} s",
        "delay, longest": f"{delays[-1]:.1f} s",
    }


def blocked(log: str) -> str:
    """Return how often Airflow found its event loop blocked, and for how long at most."""
    found = [float(seconds) for seconds in re.findall(r"was blocked for ([0-9.]+) seconds", log)]
    return f"{len(found)} (up to {max(found):.2f} s)" if found else "0"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000, help="number of deferred tasks")
    parser.add_argument("--seconds", type=float, default=60.0, help="time over which the jobs end")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two polls of a job")
    parser.add_argument("--kinds", default=",".join(KINDS), help="what to run")
    parser.add_argument("--keep-logs", type=Path, help="folder to copy the triggerer's logs to")
    options = parser.parse_args()
    began = time.monotonic()
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-airflow-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        set_up(home, options.jobs)
        for kind in options.kinds.split(","):
            found[kind] = run(kind, home, options)
            if options.keep_logs:
                options.keep_logs.mkdir(parents=True, exist_ok=True)
                (options.keep_logs / f"{kind}.log").write_bytes((home / f"{kind}.log").read_bytes())
    print(f"\n## {options.jobs:,} deferred tasks, interval {options.interval:g} s, ", end="")
    print(f"all ending over {options.seconds:g} s\n")
    print(f"| | {' | '.join(found)} |")
    print(f"|---|{'---|' * len(found)}")
    for title in next(iter(found.values())):
        print(f"| {title} | {' | '.join(column[title] for column in found.values())} |")
    print(f"\n{time.monotonic() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
