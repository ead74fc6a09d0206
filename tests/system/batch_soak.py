"""Two batches whose every part is killed at random: is each object paid for once per attempt that is known?

``python -m tests.system.batch_soak --objects 2000 --seed 1``, by hand; some minutes. A real Airflow runs one
batch on a worker and one in the triggerer, half of the objects each. The service answers with errors, delays
and lost answers, jobs fail for a full queue, and workers, triggerer, API server, scheduler and stand-in are
killed, or stopped for longer than Airflow waits for a heartbeat and continued. At the end the manifests are
compared with the stand-in's own list of what it has accepted; the exit status is 1 if they differ.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from tests.system.live_airflow import LiveAirflow, running
from tests.system.soak import counted
from tests.system.test_batch import accepted, manifest

WAYS = ("worker", "triggerer")
PARTS = ("triggerer", "scheduler", "api-server", "stand-in")
JOB_SECONDS = (0.2, 3.0)
#: Seconds between two interruptions, and for which something is stopped: a heartbeat is waited for for 15.
PAUSE, FROZEN = (3.0, 12.0), 20.0
ENDED = {"success", "failed"}
#: Seconds until both batches must have ended.
LIMIT = 1800.0
FAULTS = (
    {"kind": "lose", "match": "OSS:AsyncProcessObject", "times": 2},
    {"kind": "cut", "match": "OSS:AsyncProcessObject", "times": 2},
    {"kind": "lose", "match": "OSS:AppendObject", "times": 3},
    {"kind": "throttle", "match": "OSS:*", "seconds": 0.5, "times": 5},
    {"kind": "throttle", "match": "IMM:*", "seconds": 0.5, "times": 5},
    {"kind": "refuse", "match": "*", "status": 503, "times": 5},
    {"kind": "delay", "match": "*", "seconds": [0.5, 3], "times": 5},
    {"kind": "job_fail", "match": "oss://media/batch/*", "code": "QueueTimeout", "message": "queued for too "
     "long", "times": 5},
)  # fmt: skip


class BatchSoak:
    """One run.

    :param live: the Airflow.
    :param objects: how many.
    :param rng: chooses what happens when.
    """

    def __init__(self, live: LiveAirflow, objects: int, rng: random.Random) -> None:
        self.live, self.each, self.rng = live, objects // len(WAYS), rng
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        """Run both batches, and interrupt them until each object was submitted."""
        for way in WAYS:
            self.live.put(*(f"batch/{way}/{number:05}.mov" for number in range(self.each)))
        began = time.monotonic()
        self.live.trigger("batches", "run")
        while time.monotonic() - began < LIMIT:
            counts = {way: len(accepted(self.live, way)) for way in WAYS}
            states = {instance["task_id"]: instance["state"] for instance in self._instances()}
            print(f"{time.monotonic() - began:6.0f} s  {counts}  {states}", flush=True)
            if min(counts.values()) == self.each or (states and set(states.values()) <= ENDED):
                break
            self._interrupt(*self.rng.choices(("kill", "freeze", "fault"), (5, 1, 4)))
            time.sleep(self.rng.uniform(*PAUSE))
        self.live.faults("DELETE")
        print("Nothing more is interrupted.", flush=True)
        while time.monotonic() - began < LIMIT:
            if {instance["state"] for instance in self._instances()} <= ENDED:
                return
            time.sleep(2)

    def _instances(self) -> list[dict[str, str]]:
        return self.live.instances("batches", "run")

    def _interrupt(self, what: str) -> None:
        if what == "fault":
            fault = self.rng.choice(FAULTS)
            self.live.faults("POST", dict(fault))
            self.done[f"{fault['kind']} {fault['match']}"] += 1
            return
        name = self.rng.choice((*PARTS, "worker") if what == "kill" else ("triggerer", "worker"))
        if name == "worker":
            self._interrupt_worker(what)
        elif what == "kill":
            self.live.parts[name].kill()
            time.sleep(self.rng.uniform(0, 4))
            self.live.parts[name].start()
            self.live.wait_for_stand_in()
            self.done[f"kill {name}"] += 1
        else:
            self.live.parts[name].suspend()
            # Another one takes its triggers.
            second = self.live.second_triggerer
            second.start()
            time.sleep(FROZEN)
            self.live.parts[name].resume()
            time.sleep(3)
            second.kill()
            self.done[f"freeze {name}"] += 1

    def _interrupt_worker(self, what: str) -> None:
        workers = self.live.proxy.workers()
        if not workers:
            return
        processes = self.rng.choice(workers)
        with suppress(psutil.NoSuchProcess):
            for process in processes:
                process.kill() if what == "kill" else process.suspend()
            self.done[f"{what} worker"] += 1
        if what == "freeze":
            time.sleep(FROZEN)
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def report(self) -> bool:
        """Print what has happened; return whether all objects are accounted for."""
        fine = True
        print(f"interrupted  {counted(self.done)}")
        for instance in self._instances():
            way = instance["task_id"]
            paid = accepted(self.live, way)
            again = sum(count - 1 for count in paid.values())
            print(
                f"{way}: {instance['state']}, try {instance['try_number']}, {len(paid)} objects of", end=" "
            )
            print(f"{self.each} accepted, {again} more than once")
            if instance["state"] != "success":
                fine = False
                continue
            summary = self.live.result(instance)
            told = {row["source"]: row["attempts"] for row in manifest(self.live, summary)}
            differing = sorted(key for key in told.keys() | paid.keys() if told.get(key) != paid.get(key))
            print(
                f"  manifest: {len(told)} objects, {summary['jobs']} jobs; differing from the service's list:"
            )
            print("  " + (", ".join(f"{k}: {told.get(k)}, {paid.get(k)}" for k in differing[:20]) or "none"))
            fine = fine and not differing and summary["succeeded"] == self.each == len(paid)
            fine = fine and summary["jobs"] == sum(paid.values())
        print("FINE" if fine else "NOT FINE")
        return fine


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.batch_soak", description=__doc__)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="oss-async-batch-soak-"))
    with running(root, Path(__file__).parent / "live_dags", job_seconds=JOB_SECONDS) as live:
        soak = BatchSoak(live, options.objects, random.Random(options.seed))
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
