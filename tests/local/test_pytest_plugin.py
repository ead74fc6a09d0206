from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFTEST = 'pytest_plugins = ["airflow_provider_oss_async.local.pytest_plugin"]\n'
TEST = """
import json, os, urllib.request
import oss2, pytest
from airflow_provider_oss_async.local.pytest_plugin import copy_source

@pytest.fixture
def oss_local_options():
    return {"processor": copy_source, "topics": {"jobs": ["done"]}}

def test_one(oss_local):
    connection = json.loads(os.environ["AIRFLOW_CONN_OSS_ASYNC_DEFAULT"])
    assert connection["host"] == oss_local.endpoint
    assert connection["extra"]["smq_queue"] == "done"
    oss_local.put("in.mp3", b"sound")
    bucket = oss2.Bucket(oss2.Auth("local", "local-secret"), oss_local.endpoint, "media")
    bucket.async_process_object("in.mp3", "audio/convert,f_wav|sys/saveas,o_b3V0Lndhdg")
    while oss_local.jobs()[0]["status"] == "running":
        pass
    assert oss_local.objects() == ["in.mp3", "out.wav"]
    assert oss_local.get("out.wav") == b"sound"

def test_the_next_one_is_empty(oss_local):
    assert oss_local.objects() == [] and oss_local.jobs() == []

def test_the_connection_is_gone():
    assert "AIRFLOW_CONN_OSS_ASYNC_DEFAULT" not in os.environ
"""


def test_the_fixture_works_in_another_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_pytest_is_not_needed_by_the_stand_in() -> None:
    code = "import sys, airflow_provider_oss_async.local.server.app; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
