"""What importing an operator module adds to ``import airflow.sdk``, beside other providers' operators.

Run ``python -m tests.benchmarks.import_cost``; install the providers to compare with first, such as
``apache-airflow-providers-alibaba`` and ``apache-airflow-providers-amazon``. Each figure is the median of
fresh processes, in milliseconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

RUNS = 7
# Compiled modules are kept, as in any installation.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
MODULES = [
    *(
        f"airflow_provider_oss_async.operators.{name}"
        for name in ("video", "audio", "document", "image", "process")
    ),
    "airflow_provider_oss_async.sensors.oss_async",
    "airflow.providers.alibaba.cloud.operators.oss",
    "airflow.providers.amazon.aws.operators.batch",
    "airflow.providers.amazon.aws.operators.s3",
    "airflow.providers.amazon.aws.operators.glue",
]
CODE = """
import sys, time
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, BaseSensorOperator, BaseHook, conf
start = time.perf_counter()
__import__(sys.argv[1])
elapsed = (time.perf_counter() - start) * 1000
heavy = [m for m in ("alibabacloud_oss_v2", "aiohttp", "requests", "boto3") if m in sys.modules]
print(f"{elapsed}:{' '.join(heavy)}")
"""


def measure(module: str) -> tuple[list[float], str]:
    figures: list[float] = []
    loaded = ""
    for _ in range(RUNS + 1):
        command = [sys.executable, "-c", CODE, module]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
        if done.returncode:
            return [], done.stderr.strip().splitlines()[-1]
        figure, loaded = done.stdout.rstrip("\n").split(":")
        figures.append(float(figure))
    return figures[1:], loaded  # The first run compiles.


def main() -> None:
    print(f"{'module':58} {'median ms':>9} {'min':>7} {'max':>7}  heavy modules loaded")
    for module in MODULES:
        figures, note = measure(module)
        if figures:
            middle, low, high = statistics.median(figures), min(figures), max(figures)
            print(f"{module:58} {middle:9.1f} {low:7.1f} {high:7.1f}  {note}")
        else:
            print(f"{module:58} {'-':>9}  {note}")


if __name__ == "__main__":
    main()
