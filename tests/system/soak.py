"""Many jobs under faults of every kind, for a given time: is any of them lost or submitted twice?

``python -m tests.system.soak --minutes 30 --jobs 500 --seed 1``, by hand. A real Airflow runs the jobs in
every way of waiting, while the service answers with errors and delays, and it, the triggerer and workers are
killed. At the end every job is accounted for; the exit status is 1 if one is not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.system.interruption import Interruption
from tests.system.live_airflow import LiveAirflow, running, wait_until

DAG_ID = "soak"
ACTIVE = ["queued", "running"]
JOB_SECONDS = (5.0, 60.0)
#: How the jobs of a run are waited for, and how many of ten in each way. ``sensed`` follows ``submitted``.
KINDS = {"deferrable": 4, "ended_by_trigger": 2, "by_message": 1, "in_worker": 1, "submitted": 2}
#: Where workers are killed, one job in ten, besides those that are killed anywhere.
INTERRUPTIONS = [
    Interruption("intent", answered=True),
    Interruption("submit"),
    Interruption("submit", answered=True),
    Interruption("record"),
    Interruption("record", answered=True),
    Interruption("deferred"),
    Interruption("success"),
]
#: Seconds between two faults, on average.
PAUSE = 4.0
#: What may happen, and how often of a hundred times; the rest are faults of the service.
KILLS = {"worker": 8, "stand-in": 6, "triggerer": 6}
FAULTS: list[dict[str, Any]] = [
    {"kind": "delay", "match": "*", "seconds": [0.5, 3]},
    {"kind": "throttle", "match": "*", "seconds": [0.5, 2]},
    {"kind": "throttle", "match": "OSS:AsyncProcessObject"},
    {"kind": "refuse", "match": "*", "status": 500},
    {"kind": "refuse", "match": "*", "status": 503, "code": "ServiceUnavailable"},
    {"kind": "refuse", "match": "OSS:AsyncProcessObject", "status": 502},
    {"kind": "close", "match": "*"},
    {"kind": "close", "match": "OSS:AsyncProcessObject"},
    {"kind": "lose", "match": "OSS:AsyncProcessObject"},
    {"kind": "lose", "match": "IMM:*"},
    {"kind": "cut", "match": "OSS:AsyncProcessObject"},
    {"kind": "cut", "match": "IMM:*"},
]


class Soak:
    """One run of the test.

    :param live: the Airflow.
    :param jobs: how many.
    :param seconds: how long there are faults; the jobs are spread over most of that.
    :param rng: chooses what happens when.
    """

    def __init__(self, live: LiveAirflow, jobs: int, seconds: float, rng: random.Random) -> None:
        self.live, self.seconds, self.rng = live, seconds, rng
        self.plans = plan_runs(jobs)
        self.triggered = 0
        self.killed: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def run(self) -> None:
        keys = [key for plan in self.plans for keys in plan.values() for key in keys]
        self.live.put(*keys)
        for key in self.rng.sample(keys, len(keys) // 10):
            self.live.proxy.planned[key] = self.rng.choice(INTERRUPTIONS)
        began, shown = time.monotonic(), 0.0
        while (now := time.monotonic() - began) < self.seconds:
            self._trigger(now / self.seconds)
            self._fault()
            if now > shown:
                shown = now + 30
                self._show(now)
            time.sleep(self.rng.expovariate(1 / PAUSE))
        self._note_faults()
        self.live.faults("DELETE")
        self._trigger(1.0)
        print("No more faults; the rest has to end by itself.", flush=True)
        wait_until(self._over, "all DAG runs to end")
        self._show(time.monotonic() - began)

    def _trigger(self, part: float) -> None:
        """Start the DAG runs that are due after a part of the time; all are by four fifths."""
        while self.triggered < len(self.plans) and part >= 0.8 * self.triggered / len(self.plans):
            self.live.trigger(DAG_ID, f"run{self.triggered}", self.plans[self.triggered])
            self.triggered += 1

    def _fault(self) -> None:
        """Kill something, or add a fault of the service."""
        number = self.rng.uniform(0, 100)
        for name, often in KILLS.items():
            number -= often
            if number < 0:
                self._kill(name)
                return
        self.live.faults("POST", {**self.rng.choice(FAULTS), "times": self.rng.randint(1, 5)})

    def _kill(self, name: str) -> None:
        if name == "worker":
            working = sorted(self.live.proxy.working_on())
            if working and self.live.proxy.kill_worker(self.rng.choice(working)):
                self.killed[name] += 1
            return
        if name == "stand-in":
            self._note_faults()
        self.live.parts[name].kill()
        self.killed[name] += 1
        time.sleep(self.rng.uniform(0, 8))
        self.live.parts[name].start()
        self.live.wait_for_stand_in()

    def _note_faults(self) -> None:
        for fault in self.live.faults():
            self.faults[fault["kind"]] += fault["applied"]

    def _over(self) -> bool:
        runs = self.live.call("GET", f"/dags/{DAG_ID}/dagRuns", params={"limit": 100, "state": ACTIVE})
        return runs["total_entries"] == 0  # type: ignore[no-any-return]

    def _show(self, now: float) -> None:
        states = Counter(str(instance["state"]) for instance in self._instances())
        accepted = len(self.live.accepted())
        print(f"{now:6.0f} s  {accepted} jobs accepted; tasks: {counted(states)}", flush=True)

    def _instances(self) -> list[dict[str, Any]]:
        return self.live.instances(DAG_ID, "~")

    def report(self) -> bool:
        """Print what has happened; return whether every job is accounted for."""
        jobs: dict[str, list[str]] = {
            key: [] for plan in self.plans for keys in plan.values() for key in keys
        }
        for job in self.live.accepted():
            jobs[job["source"].removeprefix("oss://media/")].append(job["task_id"])
        ways: dict[str, Counter[str]] = {}
        tries: Counter[int] = Counter()
        returned: dict[str, list[str]] = {key: [] for key in jobs}
        for instance in self._instances():
            kind = instance["task_id"]
            if kind.startswith("plan_"):
                continue
            ways.setdefault(kind, Counter())[str(instance["state"])] += 1
            tries[instance["try_number"]] += 1
            if instance["state"] == "success":
                plan = self.plans[int(instance["dag_run_id"].removeprefix("run"))]
                key = plan["submitted" if kind == "sensed" else kind][instance["map_index"]]
                returned[key].append(self.live.result(instance).get("task_id", ""))
        lost = [key for key, ids in jobs.items() if not ids]
        doubled = [key for key, ids in jobs.items() if len(ids) > 1]
        followed = {key for plan in self.plans for key in plan["submitted"]}
        unmatched = [
            key
            for key, ids in jobs.items()
            if len(ids) == 1 and returned[key] != ids * (2 if key in followed else 1)
        ]
        print(
            f"jobs      {len(jobs)} asked for, {sum(map(len, jobs.values()))} accepted",
            *(f"tasks     {kind}: {counted(states)}" for kind, states in ways.items()),
            f"tries     {counted(tries)}",
            f"faults    {counted(self.faults)}",
            f"killed    {counted(self.killed)}",
            f"workers   {counted(Counter(map(str, self.live.proxy.done.values())))}",
            f"lost      {' '.join(lost) or 'none'}",
            f"doubled   {' '.join(doubled) or 'none'}",
            f"unmatched {' '.join(unmatched) or 'none'}",
            sep="\n",
        )
        return not (lost or doubled or unmatched)


def plan_runs(jobs: int) -> list[dict[str, list[str]]]:
    """Distribute the jobs over DAG runs and tasks."""
    runs = max(3, jobs // 25)
    kinds = [kind for kind, often in KINDS.items() for _ in range(often)]
    plans: list[dict[str, list[str]]] = [{kind: [] for kind in KINDS} for _ in range(runs)]
    for number in range(jobs):
        plans[number % runs][kinds[number // runs % len(kinds)]].append(f"{number:05}.mov")
    return plans


def counted(counter: Counter[Any]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counter.items())) or "none"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="oss-async-soak-"))
    dags = Path(__file__).parent / "live_dags"
    with running(root, dags, job_seconds=JOB_SECONDS) as live:
        soak = Soak(live, options.jobs, options.minutes * 60, random.Random(options.seed))
        try:
            soak.run()
        finally:
            fine = soak.report()
    if not fine:
        print(f"Everything is in {root}")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
