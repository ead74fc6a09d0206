"""A whole Airflow and the stand-in, each part a process of its own that can be killed and started again.

Everything is on loopback and below one directory, with the SQLite database that ``airflow standalone`` uses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, TypeVar

import httpx
import psutil

from tests.system.guard import kill_tree
from tests.system.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
Live = TypeVar("Live", bound="LiveAirflow")
#: Seconds to wait for anything at all: only what hangs takes so long.
LIMIT = 600.0
#: How often Airflow's API is asked, twice a second, until it answers.
ATTEMPTS = 40
#: How fast things are noticed here. The rest is Airflow's default.
SETTINGS = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    # A worker that is alive must never be taken for dead, however busy the machine.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
}


@dataclass
class Part:
    """One process with all that it starts.

    :param command: what to run.
    :param environment: all of it.
    :param log: where its output is appended.
    :param guard: told the id of everything that is started.
    :param user: whose process it is, where it is not that of the tests.
    """

    command: list[str]
    environment: dict[str, str]
    log: Path
    guard: IO[bytes]
    user: str | None = None
    process: subprocess.Popen[bytes] = field(init=False)
    starts: int = 0
    killed: bool = False

    @property
    def ended_by_itself(self) -> bool:
        """Whether it was started, not killed, and does not run any more."""
        return self.starts > 0 and not self.killed and self.process.poll() is not None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                # What the terminal sends is not for it.
                start_new_session=True,
                user=self.user,
            )
        self.starts += 1
        self.killed = False
        self.guard.write(f"{self.process.pid}\n".encode())
        self.guard.flush()

    def suspend(self) -> None:
        """SIGSTOP, as when the machine is frozen."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """SIGCONT."""
        for process in self.tree():
            # One that goes on may end another that is still to be told.
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def tree(self) -> list[psutil.Process]:
        """Its process, and all below."""
        process = psutil.Process(self.process.pid)
        return [process, *process.children(recursive=True)]

    def kill(self) -> None:
        """SIGKILL, as when the machine goes down."""
        self.killed = True
        kill_tree(psutil.Process(self.process.pid))
        self.process.wait()


class Finished:
    """The task instances of a run that has ended.

    :param live: the Airflow.
    :param instances: the task instances, as Airflow's public API gives them.
    """

    def __init__(self, live: LiveAirflow, instances: list[dict[str, Any]]) -> None:
        self._live = live
        self.instances = {(found["task_id"], found["map_index"]): found for found in instances}
        self.states = Counter(str(found["state"]) for found in instances)

    def __getitem__(self, task_id: str) -> dict[str, Any]:
        return self.instances[task_id, -1]

    def returned(self, task_id: str, map_index: int = -1) -> Any:
        """What a task returned; the test fails if it did not succeed."""
        instance = self.instances[task_id, map_index]
        assert instance["state"] == "success", f"{task_id} is {instance['state']}; logs in {self._live.home}"
        return self._live.xcom(instance, "return_value")


class LiveAirflow:
    """Airflow and the stand-in, with the proxy in front of both.

    A subclass may run it on another platform.

    :param root: everything is kept there.
    :param dags: folder of the DAGs.
    :param job_seconds: how long a job of the stand-in takes, at least and at most.
    :param workers: how many tasks run at once.
    :param changes: to Airflow's settings here.
    :param guard: see :func:`running`.
    """

    #: The parts below which tasks run.
    executed_by: tuple[str, ...] = ("scheduler",)
    #: Further parts by name: what is run with this Python.
    more_parts: ClassVar[dict[str, tuple[str, ...]]] = {}

    def __init__(
        self,
        root: Path,
        dags: Path,
        job_seconds: tuple[float, float],
        workers: int,
        changes: dict[str, str],
        guard: IO[bytes],
    ) -> None:
        self.guard = guard
        self.root, self.cloud, self.home = root, root / "cloud", root / "airflow"
        self._gates = self.cloud / "gates"
        for folder in (self._gates, self.home):
            folder.mkdir(parents=True)
        ports = iter(free_ports(5))
        stand_in, api, proxy, worker_logs, trigger_logs = (str(port) for port in ports)
        self._stand_in_url, self._api_url = f"http://127.0.0.1:{stand_in}", f"http://127.0.0.1:{api}"
        self.proxy = Proxy(
            int(proxy),
            self._stand_in_url,
            self._api_url,
            lambda: [self.parts[name].process.pid for name in self.executed_by],
        )
        bundle = {
            "name": "live",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(dags)},
        }
        proxy_url = f"http://127.0.0.1:{proxy}"
        connection = {
            "conn_type": "oss_async",
            "login": "local",
            "password": "local-secret",
            "host": proxy_url,
            "schema": "media",
            "extra": {
                "region": "cn-hangzhou",
                "imm_endpoint": proxy_url,
                "smq_endpoint": proxy_url,
                "smq_queue": "waiting",
                "smq_topic": "done",
            },
        }
        settings = {
            **SETTINGS,
            "CORE__PARALLELISM": str(workers),
            "CORE__EXECUTION_API_SERVER_URL": f"{proxy_url}/execution/",
            **self.platform(),
            "API__HOST": "127.0.0.1",
            "API__PORT": api,
            "API__BASE_URL": self._api_url,
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "LOGGING__WORKER_LOG_SERVER_PORT": worker_logs,
            "LOGGING__TRIGGER_LOG_SERVER_PORT": trigger_logs,
            **changes,
        }
        ours = ("AIRFLOW", "OSS_", "ALIBABA_CLOUD_")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "NO_PROXY": "127.0.0.1",
            # For what the DAGs and the tests have in common.
            "PYTHONPATH": str(HERE.parents[1]),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_OSS_ASYNC_DEFAULT": json.dumps(connection),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        }

        def part(name: str, *command: str) -> Part:
            return Part([sys.executable, *command], environment, root / f"{name}.log", guard)

        low, high = job_seconds
        self._migration = part("migration", "-m", "airflow", "db", "migrate")
        self.parts = {
            "stand-in": part(
                "stand-in", str(HERE / "stand_in.py"), str(self.cloud), stand_in, str(low), str(high)
            ),
            **{
                name: part(name, "-m", "airflow", name)
                for name in ("api-server", "scheduler", "dag-processor", "triggerer")
            },
            **{name: part(name, *command) for name, command in self.more_parts.items()},
        }
        #: Not started by itself.
        self.second_triggerer = part("second-triggerer", "-m", "airflow", "triggerer", "--skip-serve-logs")
        self._http = httpx.Client(base_url=f"{self._api_url}/api/v2", timeout=60, trust_env=False)

    def platform(self) -> dict[str, str]:
        """The settings of what Airflow runs on: its database and, with another executor, a broker."""
        # SQLite gives up after five seconds by default, and then the scheduler ends.
        return {"DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=120"}

    def start_platform(self) -> None:
        """Start the servers that the database needs."""

    def start(self) -> None:
        self.proxy.start()
        self.start_platform()
        self.parts["stand-in"].start()
        self._migration.start()
        if self._migration.process.wait(LIMIT):
            raise RuntimeError(f"airflow db migrate has failed: {self._migration.log.read_text()[-4000:]}")
        for part in self.parts.values():
            if not part.starts:
                part.start()
        self.wait_for_stand_in()
        wait_until(lambda: self._answers(f"{self._api_url}/api/v2/version"), "the API server to answer")
        token = httpx.get(f"{self._api_url}/auth/token", trust_env=False).json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def wait_for_stand_in(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: self._answers(self._stand_in_url), "the stand-in to answer")

    def stopped(self) -> None:
        """Tidy up after all processes have been killed."""
        for part in (self._migration, *self.parts.values(), self.second_triggerer):
            if part.starts:
                part.process.wait(60)
        self._http.close()
        self.proxy.stop()

    def _answers(self, url: str) -> bool:
        self.check_parts()
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code < 500
        except httpx.TransportError:
            return False

    def check_parts(self) -> None:
        """See that all parts are there.

        :raises RuntimeError: one has ended by itself.
        """
        for name, part in self.parts.items():
            if part.ended_by_itself:
                raise RuntimeError(f"{name} has ended by itself: {part.log.read_text()[-4000:]}")

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Ask Airflow's public API; return what it answers, ``None`` where there is no such thing."""
        self.check_parts()
        for left in reversed(range(ATTEMPTS)):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError:
                if not left:
                    raise
            else:
                if answer.status_code < 500:
                    break
            # SQLite is locked when others write, another database is down; a user would try again, too.
            time.sleep(0.5)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Start a run of a DAG, as soon as it is known."""
        wait_until(lambda: self._knows(dag_id), f"the DAG {dag_id}")
        self.call(
            "POST",
            f"/dags/{dag_id}/dagRuns",
            json={"dag_run_id": run_id, "logical_date": None, "conf": conf or {}},
        )

    def _knows(self, dag_id: str) -> bool:
        for error in self.call("GET", "/importErrors")["import_errors"]:
            raise RuntimeError(f"{error['filename']} cannot be loaded: {error['stack_trace']}")
        return self.call("GET", f"/dags/{dag_id}") is not None

    def instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET",
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
                params={"limit": 100, "offset": len(found), "order_by": "id"},
            )
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """The state of a task that is not mapped, ``None`` where it has none yet."""
        found = self.instances(dag_id, run_id)
        return next((i["state"] for i in found if i["task_id"] == task_id), None)

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, as a user does."""
        self.call(
            "POST",
            f"/dags/{dag_id}/clearTaskInstances",
            json={"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [task_id]},
        )

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task, as a user does."""
        self.call(
            "PATCH",
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}",
            json={"new_state": state},
        )

    def result(self, instance: dict[str, Any]) -> Any:
        """What a task returned, an empty dict if it returned nothing."""
        return self.xcom(instance, "return_value") or {}

    def xcom(self, instance: dict[str, Any], key: str) -> Any:
        """A task's XCom as it is stored, ``None`` if there is none."""
        path = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/".format_map(instance)
        entry = self.call("GET", path + key, params={"map_index": instance["map_index"]})
        return entry["value"] if entry else None

    def run(self, dag_id: str, run_id: str = "run", conf: dict[str, Any] | None = None) -> Finished:
        """Start a run of a DAG, and wait for its end."""
        self.trigger(dag_id, run_id, conf)
        return self.finished(dag_id, run_id)

    def finished(self, dag_id: str, run_id: str = "run", limit: float = LIMIT) -> Finished:
        """Wait for the end of a run, and return its task instances."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        wait_until(
            lambda: self.call("GET", path)["state"] in ("success", "failed"),
            f"the end of the DAG {dag_id}",
            limit,
        )
        return Finished(self, self.instances(dag_id, run_id))

    def log(self, task_id: str) -> str:
        """What all tries of a task have logged."""
        logs = sorted(self.home.glob(f"logs/dag_id=*/run_id=*/task_id={task_id}/**/attempt=*.log"))
        return "".join(log.read_text() for log in logs)

    def put(self, *names: str, bucket: str = "media", gate: bool = False, body: bytes = b"") -> None:
        """Upload objects, each with a gate of its own, or with none; or all with a body."""
        import alibabacloud_oss_v2 as oss

        config = oss.config.Config(
            endpoint=self._stand_in_url,
            region="cn-hangzhou",
            credentials_provider=oss.credentials.StaticCredentialsProvider("local", "local-secret"),
        )
        client = oss.Client(config)
        for name in names:
            content = _gate(name).encode() if gate else body
            client.put_object(oss.PutObjectRequest(bucket=bucket, key=name, body=content))

    def open_gate(self, name: str) -> None:
        """Let the job on an object end."""
        (self._gates / _gate(name)).touch()

    def faults(self, method: str = "GET", *faults: dict[str, Any]) -> list[dict[str, Any]]:
        """Show the stand-in's faults, ``POST`` more, or ``DELETE`` all. When it is killed it forgets them."""
        answer = httpx.request(
            method, f"{self._stand_in_url}/_local/faults", json=list(faults), timeout=30, trust_env=False
        )
        answer.raise_for_status()
        return answer.json()  # type: ignore[no-any-return]

    def accepted(self) -> list[dict[str, Any]]:
        """The submissions that the stand-in has accepted, in order."""
        path = self.cloud / "accepted.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _gate(key: str) -> str:
    return key.replace("/", "_")


@contextmanager
def running(
    root: Path,
    dags: Path,
    *,
    job_seconds: tuple[float, float] = (0, 0),
    workers: int = 8,
    settings: dict[str, str] | None = None,
) -> Iterator[LiveAirflow]:
    """Run an Airflow with the executor and the database of ``airflow standalone``, see :func:`started`."""
    with started(lambda guard: LiveAirflow(root, dags, job_seconds, workers, settings or {}, guard)) as live:
        yield live


@contextmanager
def started(make: Callable[[IO[bytes]], Live]) -> Iterator[Live]:
    """Run an Airflow. At the end, or when this process dies, everything is killed that it has started.

    :param make: makes it, given what has to be told the id of every process.
    """
    guard = subprocess.Popen(
        [sys.executable, str(HERE / "guard.py")], stdin=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None
    live = make(guard.stdin)
    try:
        live.start()
        yield live
    finally:
        guard.stdin.close()
        guard.wait(60)
        live.stopped()


def wait_until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Wait until a condition holds and return its value."""
    end = time.monotonic() + limit
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit:.0f} s for {what}")
        time.sleep(0.3)
    return value


def free_ports(number: int) -> list[int]:
    import socket

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports
