from __future__ import annotations

import os
import tempfile

# Before anything imports Airflow.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_HOME.name}/airflow.db"
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "OSS_", "ALIBABA_CLOUD_"))]:
    del os.environ[_name]

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A fresh Airflow database, made when the first test asks for it."""
    from airflow.utils.db import initdb

    initdb()
