"""``airflow dags test`` with a deferred task and a connection that only Airflow's database knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

DAG = """
from airflow.sdk import DAG
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator

with DAG("deferred_task"):
    OSSVideoConvertOperator(
        task_id="convert",
        oss_conn_id="oss_in_the_database",
        source="in.mov",
        target="out.mp4",
        container="mp4",
        deferrable=True,
    )
"""


@pytest.fixture
def slow_stand(start_stand: Callable[..., Any]) -> Any:
    """A stand-in whose jobs take so long that a task is deferred."""

    def work(spec: Any, source: Path, segments: Any, workdir: Path) -> Any:
        from airflow_provider_oss_async.local.processing.result import Produced, ProducedFile

        time.sleep(8)
        return Produced([ProducedFile(source, extension="mp4")])

    stand = start_stand(processor=work)
    stand.put("in.mov")
    return stand


def test_connection_in_the_database(airflow_db: None, slow_stand: Any, tmp_path: Path) -> None:
    (tmp_path / "deferred_task.py").write_text(DAG)
    env = {
        **os.environ,
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "AIRFLOW__OSS_ASYNC__MIN_POLL_INTERVAL": "0.2",
    }

    def airflow(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return done.stdout + done.stderr

    airflow("connections", "add", "oss_in_the_database", "--conn-json", json.dumps(slow_stand.connection()))
    output = airflow("dags", "test", "deferred_task")
    assert "state=success" in output, output[-5000:]
    # The wait went on in a trigger.
    assert "Trigger completed" in output
