from __future__ import annotations

import asyncio
import json
import os
import tempfile
import urllib.request
from collections import defaultdict
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from types import SimpleNamespace
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """A fresh Airflow database, made when the first test asks for it."""
    from airflow.utils.db import initdb

    initdb()


class Stand:
    """A stand-in for the cloud on loopback that does no real work, and what tests ask of it."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self._data_dir = data_dir
        self._options = options
        self.service = self._start(0)

    def _start(self, port: int) -> LocalService:
        from airflow_provider_oss_async.local.processing.result import Produced, ProducedFile
        from airflow_provider_oss_async.local.server.app import LocalService

        def no_work(spec: Any, source: Path, segments: Any, workdir: Path) -> Produced:
            if not spec.writes_object:
                return Produced(content="hidden text")
            extension = str(spec.get("container") or spec.get("target_format") or spec.get("format") or "bin")
            pages = 3 if spec.operation == "doc/convert" else 1
            results = [workdir / f"result{number}" for number in range(pages)]
            for result in results:
                result.write_bytes(source.read_bytes())
            return Produced([ProducedFile(r, index=n, extension=extension) for n, r in enumerate(results, 1)])

        return LocalService(
            self._data_dir, port=port, **{"processor": no_work, "workers": 8, **self._options}
        ).__enter__()

    def restart(self) -> None:
        """Start again on the same port, after ``service.stop()``."""
        self.service = self._start(int(self.service.endpoint.rpartition(":")[2]))

    def connection(self, extra: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """The Airflow connection, with changes."""
        data = json.loads(self.service.connection_json())
        return {**data, **fields, "extra": {**data["extra"], **(extra or {})}}

    def settings(self, extra: dict[str, Any] | None = None, **fields: Any) -> Any:
        """What that connection says."""
        from airflow_provider_oss_async.hooks.settings import read_settings

        data = self.connection(extra, **fields)
        data["extra"] = json.dumps(data["extra"])
        return read_settings(SimpleNamespace(**{"conn_id": "c", "port": None, "schema": "", **data}))

    @cached_property
    def _client(self) -> Any:
        import alibabacloud_oss_v2 as oss

        config = oss.config.Config(
            endpoint=self.service.endpoint,
            region="cn-hangzhou",
            credentials_provider=oss.credentials.StaticCredentialsProvider("local", "local-secret"),
        )
        return oss.Client(config)

    def put(self, key: str, body: bytes = b"data", bucket: str = "media") -> None:
        from alibabacloud_oss_v2 import PutObjectRequest

        self._client.put_object(PutObjectRequest(bucket=bucket, key=key, body=body))

    def accepted(self) -> list[dict[str, Any]]:
        """The submissions that the service has accepted, in order."""
        lines = (self._data_dir / "accepted.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def requests(self, subject: str) -> int:
        """How many requests of a kind have come, such as ``IMM:GetTask``."""
        with urllib.request.urlopen(f"{self.service.endpoint}/_local/state", timeout=5) as answer:
            return int(json.load(answer)["requests"].get(subject, 0))


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
    """Shorten every pause between two looks or attempts."""
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__MIN_POLL_INTERVAL", "0.05")
    for name, value in (
        ("jobs.poller.TICK", 0.02),
        ("jobs.poller.GRACE", 0.15),
        ("jobs.poller.REFUSED_FOR", 0.0),
        ("clients.retry.FLOOR", 0.05),
        ("clients.retry.PATIENCE", 1.0),
        ("jobs.queue_consumer.PAUSE", 0.05),
        ("jobs.submission.BACK_OFF", 0.01),
        ("jobs.reconciliation.SETTLING", 0.4),
        ("jobs.reconciliation.INTERVAL", 0.1),
    ):
        monkeypatch.setattr(f"airflow_provider_oss_async.{name}", value)


class Store(dict[str, Any]):
    """Airflow's task state store: keeps JSON."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.pop(key, None)


class TaskInstance:
    """What a task instance is to an operator."""

    def __init__(self, max_tries: int = 2) -> None:
        self.max_tries = max_tries
        self.try_number = 1
        self.start_date = datetime.now(UTC)
        self.first_reschedule_date: datetime | None = None
        self.xcoms: dict[str, Any] = {}

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        return self.first_reschedule_date

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))


@pytest.fixture
def new_try() -> Callable[..., dict[str, Any]]:
    """Make the context of a try, with a new store or that of an earlier try."""

    def make(before: dict[str, Any] | None = None, max_tries: int = 2) -> dict[str, Any]:
        return {
            "ti": TaskInstance(max_tries),
            "task_state_store": before["task_state_store"] if before else Store(),
            "outlet_events": defaultdict(lambda: SimpleNamespace(extra={})),
        }

    return make


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

    def run(deferred: Any) -> dict[str, Any]:
        path, arguments = deferred.trigger.serialize()
        module, _, name = path.rpartition(".")
        trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

        async def collect() -> list[Any]:
            return [event async for event in trigger.run()]

        (event,) = asyncio.run(collect())
        return json.loads(json.dumps(event.payload))  # type: ignore[no-any-return]

    return run
