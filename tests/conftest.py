from __future__ import annotations

import json
import os
import socket
import tempfile
from typing import TYPE_CHECKING, Any

# Before anything imports Airflow.
_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ["AIRFLOW_HOME"] = _HOME.name
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "False"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{_HOME.name}/airflow.db"
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_CONN_", "OSS_", "ALIBABA_CLOUD_"))]:
    del os.environ[_name]

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.support.stand import Stand  # noqa: E402

# A busy machine is no failure. Failures are found again from their printed example: nothing is kept on disk.
settings.register_profile("all", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
# For Airflows and Pythons beside the one that all tests run on: pytest --hypothesis-profile=few.
settings.register_profile("few", settings.get_profile("all"), max_examples=10)
settings.load_profile("all")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A fresh Airflow database, made when the first test asks for it."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def start_stand(tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    started: list[Stand] = []

    def start(**options: Any) -> Stand:
        started.append(Stand(tmp_path / f"cloud{len(started)}", **options))
        return started[-1]

    yield start
    for stand in started:
        stand.service.stop()


@pytest.fixture
def stand(start_stand: Callable[..., Stand]) -> Stand:
    """A stand-in with the object ``in.mov`` in the bucket ``media``, which is bound to ``local-project``."""
    stand = start_stand()
    stand.put("in.mov")
    return stand


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every interval that Airflow's configuration can shorten."""
    for name, value in (
        ("MIN_POLL_INTERVAL", "0.05"),
        ("UNKNOWN_TASK_GRACE", "0.15"),
        ("TASK_LISTING_DELAY", "0.4"),
        ("RETRY_SECONDS", "1"),
        ("EVENT_HOLD", "0"),
    ):
        monkeypatch.setenv(f"AIRFLOW__OSS_ASYNC__{name}", value)


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def new_try() -> Callable[..., Any]:
    """Make the context of a try, with a new store or that of an earlier try."""
    from tests.support.tasks import new_context

    return new_context


@pytest.fixture
def connect(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Define the connection ``oss_async_default`` to the stand-in, again with every call."""

    def define(extra: dict[str, Any] | None = None, **fields: Any) -> None:
        data = json.dumps(stand.connection(extra, **fields))
        monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", data)

    define()
    return define


@pytest.fixture
def resume() -> Callable[[Any], dict[str, Any]]:
    """Run a deferred task's trigger as a triggerer does, and return its event."""
    from tests.support.tasks import resume_deferred

    return resume_deferred
