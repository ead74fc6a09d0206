"""What importing an operator module adds to ``import airflow.sdk``, beside other providers' operators.

Run ``python tests/benchmarks/import_cost.py``; install the providers to compare with first, such as
``apache-airflow-providers-alibaba`` and ``apache-airflow-providers-amazon``. Each figure is the median of
fresh processes, in milliseconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 7
OURS = [f"airflow_provider_oss_async.operators.{n}" for n in ("video", "audio", "document", "image", "process")]
OTHERS = [
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
print((time.perf_counter() - start) * 1000)
print(" ".join(m for m in ("alibabacloud_oss_v2", "aiohttp", "requests", "boto3") if m in sys.modules))
"""


def measure(module: str) -> tuple[list[float], str]:
    figures: list[float] = []
    loaded = ""
    for _ in range(RUNS + 1):
        done = subprocess.run([sys.executable, "-c", CODE, module], capture_output=True, text=True, check=False)
        if done.returncode:
            return [], done.stderr.strip().splitlines()[-1]
        elapsed, loaded = (*done.stdout.strip().splitlines()[-2:],) if "\n" in done.stdout.strip() else (done.stdout, "")
        figures.append(float(elapsed))
    return figures[1:], loaded  # The first run compiles.


def main() -> None:
    print(f"{'module':58} {'median ms':>9} {'min':>7} {'max':>7}  heavy modules loaded")
    for module in [*OURS, *OTHERS]:
        figures, note = measure(module)
        if figures:
            print(f"{module:58} {statistics.median(figures):9.1f} {min(figures):7.1f} {max(figures):7.1f}  {note}")
        else:
            print(f"{module:58} {'-':>9}  {note}")


if __name__ == "__main__":
    main()
