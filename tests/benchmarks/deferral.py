"""Whether it pays to poll a new job for some seconds before its task is deferred, in a real Airflow.

Run ``python -m tests.benchmarks.deferral [--tasks 16] [--seconds 0 5 10] [--jobs 1 4 8 30]``. For each number
of seconds in ``[oss_async] poll_before_deferral`` it starts an Airflow with its own heartbeat intervals and
eight workers, and for each duration of jobs it runs a DAG of so many deferrable tasks. It prints medians:

- whole: seconds from the first worker's start to the success;
- in workers: seconds between start and end of a task's worker processes, without what they take to start;
- deferred: how many tasks were deferred. Each of these needs a second worker process.

The figures are printed, not judged. The first number of seconds is what the others are compared with.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.live_airflow import running

if TYPE_CHECKING:
    from tests.system.live_airflow import LiveAirflow

SETTINGS = {"WORKERS__MIN_HEARTBEAT_INTERVAL": "5", "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120"}
DAG_FILE = """
from datetime import timedelta
from airflow.sdk import DAG
from airflow_provider_oss_async.operators.audio import OSSAudioConvertOperator

RETRIES = {{"retries": 2, "retry_delay": timedelta(seconds=1)}}
for seconds in {jobs}:
    with DAG(f"jobs_{{seconds}}", schedule=None, default_args=RETRIES):
        for number in range({tasks}):
            OSSAudioConvertOperator(
                task_id=f"task_{{number}}",
                source=f"{{seconds}}/{{number}}.wav",
                target=f"{{seconds}}/{{number}}.mp3",
                container="mp3",
                deferrable=True,
            )
"""


def measure(live: LiveAirflow, seconds: int, tasks: int) -> tuple[float, float, int]:
    """Run the DAG for jobs of a duration; return the medians and how many tasks were deferred."""
    keys = [f"{seconds}/{number}.wav" for number in range(tasks)]
    live.put(*keys)
    live.faults(
        "POST", {"kind": "job_delay", "match": f"oss://media/{seconds}/*", "times": 0, "seconds": seconds}
    )
    finished = live.run(f"jobs_{seconds}")
    if set(finished.states) != {"success"}:
        raise RuntimeError(f"not all tasks succeeded: {dict(finished.states)}; logs in {live.home}")
    whole, held, deferred = [], [], 0
    for key in keys:
        begins, ends, deferrals = (live.proxy.times[event, key] for event in ("begin", "success", "deferred"))
        whole.append(ends[-1] - begins[0])
        held.append(sum(ends) + sum(deferrals) - sum(begins))
        deferred += bool(deferrals)
    return statistics.median(whole), statistics.median(held), deferred


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=16, help="for each duration; default 16")
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[0, 5, 10], help="of polling; default 0 5 10"
    )
    parser.add_argument(
        "--jobs", type=int, nargs="+", default=[1, 4, 8, 30], help="seconds; default 1 4 8 30"
    )
    options = parser.parse_args()
    print("jobs of  polled for  whole  in workers  deferred")
    for polled in options.seconds:
        with tempfile.TemporaryDirectory() as folder:
            dags = Path(folder) / "dags"
            dags.mkdir()
            (dags / "deferral.py").write_text(DAG_FILE.format(jobs=options.jobs, tasks=options.tasks))
            settings = {**SETTINGS, "OSS_ASYNC__POLL_BEFORE_DEFERRAL": str(polled)}
            with running(Path(folder) / "live", dags, settings=settings) as live:
                for seconds in options.jobs:
                    whole, held, deferred = measure(live, seconds, options.tasks)
                    row = f"{seconds:5} s  {polled:8g} s  {whole:3.0f} s  {held:8.1f} s"
                    print(f"{row}  {deferred:3} of {options.tasks}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
