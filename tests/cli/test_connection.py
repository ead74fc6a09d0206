"""Connections are found by every route, in a fresh process as the command line is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_oss_async.cli.connection import find_connection
from airflow_provider_oss_async.exceptions import OSSConnectionError

ROOT = Path(__file__).parents[2]
CONNECTION = {
    "conn_type": "oss_async",
    "login": "LTAI5tKeyOfSomebody",
    "password": "the-secret-of-somebody",
    "extra": {"region": "cn-hangzhou"},
}
CODE = """
import os
from airflow_provider_oss_async.cli.connection import find_connection
settings, where = find_connection("c1")
print(settings.access_key_id, where, os.environ.get("_AIRFLOW_PROCESS_CONTEXT"), sep="|")
"""
BACKEND = "airflow.secrets.local_filesystem.LocalFilesystemBackend"


def found(home: Path, code: str = CODE, **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "AIRFLOW_HOME": str(home), **env},
        timeout=200,
    )
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()[-1].split("|")


@pytest.fixture
def backend(tmp_path: Path) -> dict[str, str]:
    """A secrets backend that knows the connection: its class and arguments."""
    path = tmp_path / "connections.json"
    path.write_text(json.dumps({"c1": {**CONNECTION, "extra": json.dumps(CONNECTION["extra"])}}))
    return {"BACKEND": BACKEND, "BACKEND_KWARGS": json.dumps({"connections_file_path": str(path)})}


def test_the_environment(tmp_path: Path) -> None:
    key, where, context = found(tmp_path, AIRFLOW_CONN_C1=json.dumps(CONNECTION))
    assert (key, where) == ("LTAI5tKeyOfSomebody", "environment or secrets backend")
    assert context == "None"


def test_the_secrets_backend_of_the_servers(tmp_path: Path, backend: dict[str, str]) -> None:
    settings = {f"AIRFLOW__SECRETS__{name}": value for name, value in backend.items()}
    assert found(tmp_path, **settings)[0] == "LTAI5tKeyOfSomebody"


def test_the_secrets_backend_of_the_workers(tmp_path: Path, backend: dict[str, str]) -> None:
    settings = {f"AIRFLOW__WORKERS__SECRETS_{name}": value for name, value in backend.items()}
    key, where, _ = found(tmp_path, **settings)
    assert (key, where) == ("LTAI5tKeyOfSomebody", "environment or secrets backend")


def test_the_metadata_database(tmp_path: Path) -> None:
    connection = json.dumps({**CONNECTION, "extra": json.dumps(CONNECTION["extra"])})
    add = (
        "import json, os\n"
        "from airflow.utils.db import initdb; initdb()\n"
        "from airflow.models import Connection; from airflow.utils.session import create_session\n"
        "with create_session() as session:\n"
        f"    session.add(Connection(conn_id='c1', **json.loads({connection!r})))\n"
        "os.environ['_AIRFLOW_PROCESS_CONTEXT'] = 'client'\n"
    )
    database = f"sqlite:///{tmp_path}/airflow.db"
    key, where, context = found(tmp_path, add + CODE, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database)
    assert key == "LTAI5tKeyOfSomebody"
    assert where == "metadata database or secrets backend of the servers"
    assert context == "client"


def test_no_connection_and_no_database(tmp_path: Path) -> None:
    code = (
        "from airflow_provider_oss_async.cli.connection import find_connection\n"
        "from airflow_provider_oss_async.exceptions import OSSConnectionError\n"
        "try:\n    find_connection('c1')\nexcept OSSConnectionError as error:\n    print(error)"
    )
    (text,) = found(tmp_path, code, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:////no/such/folder/a.db")
    assert text.startswith("There is no Airflow connection 'c1' here. Create it with type oss_async")


def test_a_connection_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": "oss_async"}))
    with pytest.raises(OSSConnectionError, match="region"):
        find_connection("c1")
