"""A fan-out of mapped tasks on a real Airflow, against a project with few slots and a short queue limit.

Run ``python -m tests.benchmarks.fan_out [--tasks 300] [--ways none,pool,tis,batch]`` on an idle machine;
about ten minutes each. The stand-in runs 20 jobs at once (``EngineConcurrency``), each for 30 s, and fails a
job that was queued for more than 15 s; IMM itself has 100 slots, and its limit is tens of minutes. Nothing
is retried.

- none: mapped deferrable tasks without a limit;
- pool: the same in a pool of 20 slots with ``include_deferred``;
- tis: the same with ``max_active_tis_per_dag=20``;
- batch: one batch task over the same objects, with ``max_in_flight=20``.

Printed are the tasks (objects) that failed, for whatever reason, what became of the jobs, and the time from
the start of the run to its end. How many fail without a limit depends on how fast this machine starts tasks:
only what runs faster than the project can follow fails. A loaded one needs longer jobs, such as ``--tasks 60
--slots 4 --seconds 40 --queue-seconds 30``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.system.live_airflow import LiveAirflow, started

DAG_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import VideoConvert

SOURCES = [f"in/{{number:04}}.mov" for number in range({tasks})]
LIMITS = {{"none": {{}}, "pool": {{"pool": "imm"}}, "tis": {{"max_active_tis_per_dag": {slots}}}}}

for way, limit in LIMITS.items():
    with DAG(f"fan_out_{{way}}", schedule=None, max_active_tasks=1000):
        OSSVideoConvertOperator.partial(
            task_id="convert", container="mp4", target=f"{{way}}/{{{{barename}}}}.mp4", deferrable=True,
            end_from_trigger=True, poll_interval=10, **limit
        ).expand(source=SOURCES)
with DAG("fan_out_warm_up", schedule=None, default_args={{"retries": 9, "retry_delay": 1}}):
    @task
    def nothing():
        pass

    nothing()
with DAG("fan_out_batch", schedule=None):
    OSSAsyncProcessBatchOperator(
        task_id="convert", process=VideoConvert(container="mp4"), sources=SOURCES, deferrable=True,
        target="batch/{{barename}}.mp4", max_in_flight={slots}, attempts=1,
    )
"""


class FewSlots(LiveAirflow):
    """An Airflow whose IMM project has few slots, and a pool of that size."""

    def limit(self, slots: int, queue_seconds: float) -> None:
        for path, data in (
            ("projects/local-project", {"engine_concurrency": slots}),
            ("settings", {"queue_seconds": queue_seconds}),
        ):
            url = f"{self._stand_in_url}/_local/{path}"
            httpx.put(url, json=data, timeout=30, trust_env=False).raise_for_status()
        self.call("POST", "/pools", json={"name": "imm", "slots": slots, "include_deferred": True})

    def jobs(self, prefix: str) -> list[dict[str, Any]]:
        """What became of the jobs whose targets have a prefix."""
        url = f"{self._stand_in_url}/_local/state"
        answer = httpx.get(url, params={"jobs": 1}, timeout=60, trust_env=False)
        answer.raise_for_status()
        return [job for job in answer.json()["job_list"] if f"/{prefix}/" in job["target"]]


def measure(live: FewSlots, way: str, tasks: int) -> dict[str, str]:
    """Run one DAG, and return what to print."""
    began = time.monotonic()
    live.trigger(f"fan_out_{way}", "run")
    finished = live.finished(f"fan_out_{way}", "run", 3600)
    jobs = live.jobs(way)
    codes = Counter(job["code"] for job in jobs if job["status"] == "failed")
    failed = finished.states["failed"]
    if way == "batch":
        (instance,) = finished.instances.values()
        key = "return_value" if instance["state"] == "success" else "summary"
        failed = (live.xcom(instance, key) or {}).get("failed", tasks)
    return {
        "failed": f"{failed} of {tasks}",
        "jobs submitted": str(len(jobs)),
        "of these failed": ", ".join(f"{count} {code}" for code, count in codes.items()) or "0",
        "time": f"{time.monotonic() - began:.0f} s",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=int, default=300, help="mapped tasks, or objects of the batch")
    parser.add_argument("--slots", type=int, default=20, help="EngineConcurrency of the project")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long a job takes")
    parser.add_argument("--queue-seconds", type=float, default=15.0, help="how long a job may be queued")
    parser.add_argument("--ways", default="none,pool,tis,batch", help="what to run")
    options = parser.parse_args()
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-fan-out-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        (dags := root / "dags").mkdir()
        (dags / "fan_out.py").write_text(DAG_FILE.format(tasks=options.tasks, slots=options.slots))
        seconds = (options.seconds, options.seconds)
        settings = {"TRIGGERER__CAPACITY": "1000"}
        with started(lambda guard: FewSlots(root / "live", dags, seconds, 8, settings, guard)) as live:
            live.limit(options.slots, options.queue_seconds)
            live.put(*(f"in/{number:04}.mov" for number in range(options.tasks)))
            # On a loaded machine the first workers may not reach Airflow's API in time.
            live.run("fan_out_warm_up")
            for way in options.ways.split(","):
                found[way] = measure(live, way, options.tasks)
                print(way, found[way], flush=True)
    print(f"\n## {options.tasks} tasks, {options.slots} slots, jobs of {options.seconds:g} s, ", end="")
    print(f"queue limit {options.queue_seconds:g} s\n")
    print(f"| | {' | '.join(found)} |")
    print(f"|---|{'---|' * len(found)}")
    for title in next(iter(found.values())):
        print(f"| {title} | {' | '.join(column[title] for column in found.values())} |")


if __name__ == "__main__":
    main()
