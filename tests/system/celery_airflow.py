"""An Airflow as platforms run it: CeleryExecutor with two workers, Redis, PostgreSQL, two triggerers.

The servers are those of the system's packages; they listen on loopback and keep everything in directories of
their own. What ends by itself is started again, as a supervisor of services does.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from tests.system.celery_cases import QUEUES
from tests.system.live_airflow import LiveAirflow, Part, free_ports, started, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKERS = ("worker-one", "worker-two")
TRIGGERERS = ("triggerer", "second-triggerer")
#: Seconds after which Redis delivers the message of a task again that a worker has not acknowledged: tasks
#: that last longer are delivered twice. Airflow's default is a day.
VISIBILITY_TIMEOUT = 45
#: How many tasks a worker runs at once.
SLOTS = 8
SETTINGS = {
    "CORE__EXECUTOR": "CeleryExecutor",
    "CELERY__WORKER_CONCURRENCY": str(SLOTS),
    # A worker that is alive must never be taken for dead, however busy the machine.
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": str(VISIBILITY_TIMEOUT),
    "CELERY_BROKER_TRANSPORT_OPTIONS__UNACKED_RESTORE_INTERVAL": "5",
    "CELERY_BROKER_TRANSPORT_OPTIONS__UNACKED_RESTORE_THROTTLE": "1",
    # A message that a dead worker was just taking from Redis is lost, and its task queued again.
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
}


def _program(name: str) -> Path | None:
    """Find a program of the system's packages; Debian keeps those of PostgreSQL out of the path."""
    if found := shutil.which(name):
        return Path(found)
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), default=None)


def missing() -> str:
    """Return why this cannot run here; empty if it can."""
    modules = ("airflow.providers.celery", "psycopg2", "asyncpg", "redis")
    lacking = [name for name in modules if not _is_installed(name)]
    lacking += [name for name in ("redis-server", "postgres") if _program(name) is None]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


class CeleryAirflow(LiveAirflow):
    """Airflow with a Celery cluster, and the stand-in, with the proxy in front of both.

    :param root: everything is kept there, but the database.
    :param dags: folder of the DAGs.
    :param guard: told the id of everything that is started.
    """

    executed_by = WORKERS
    more_parts: ClassVar[dict[str, tuple[str, ...]]] = {
        name: (
            *("-m", "airflow", "celery", "worker", "--skip-serve-logs"),
            *("--celery-hostname", name, "--queues", f"default,{queue}"),
        )
        for name, queue in zip(WORKERS, QUEUES, strict=True)
    }

    def __init__(self, root: Path, dags: Path, guard: IO[bytes]) -> None:
        #: How often each part was started again after it had ended by itself.
        self.restarted: Counter[str] = Counter()
        self._redis_port, self._postgres_port = free_ports(2)
        super().__init__(root, dags, (0, 0), SLOTS * len(WORKERS), {}, guard)
        self.parts["second-triggerer"] = self.second_triggerer
        # PostgreSQL refuses to run as root, and another user cannot read what is below ``root``.
        self._user = _other_user() if os.getuid() == 0 else None
        self._database = Path(tempfile.mkdtemp(prefix="oss-async-postgres-"))
        if self._user:
            shutil.chown(self._database, self._user)
        self.parts["redis"] = self._server(
            "redis-server",
            *("--bind", "127.0.0.1", "--port", str(self._redis_port), "--dir", str(root)),
            # What was written survives the process.
            *("--appendonly", "yes", "--save", ""),
        )
        self.parts["postgres"] = self._server(
            "postgres",
            *("-D", str(self._database / "data"), "-p", str(self._postgres_port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", "max_connections=200", "-c", "fsync=off"),
            user=self._user,
        )

    def _server(self, name: str, *arguments: str, user: str | None = None) -> Part:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        return Part(
            [str(_program(name)), *arguments], environment, self.root / f"{name}.log", self.guard, user
        )

    def platform(self) -> dict[str, str]:
        address = f"127.0.0.1:{self._postgres_port}/postgres"
        return {
            **SETTINGS,
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{address}",
            "CELERY__BROKER_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://airflow@{address}",
        }

    def start_platform(self) -> None:
        data = self._database / "data"
        initdb = [str(_program("initdb")), "-D", str(data), "-U", "airflow", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(
            [*initdb, "--locale=C", "--no-sync"],
            user=self._user,
            cwd=self._database,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(f"initdb has failed: {made.stderr[-4000:]}")
        self.start_server("redis")
        self.start_server("postgres")

    def start_server(self, name: str) -> None:
        """Start Redis or PostgreSQL, and wait until it takes connections."""
        self.parts[name].start()
        port = self._redis_port if name == "redis" else self._postgres_port
        wait_until(lambda: _listens(port), f"{name}, see {self.parts[name].log}", limit=60)

    def check_parts(self) -> None:
        """Start again what has ended by itself."""
        for name, part in self.parts.items():
            if part.ended_by_itself:
                self.restarted[name] += 1
                if self.restarted[name] > 5:
                    raise RuntimeError(f"{name} ends again and again: {part.log.read_text()[-4000:]}")
                part.start()

    def worker_of(self, key: str) -> str:
        """Return the name of the Celery worker that has the task of an object, empty if none has."""
        process = self.proxy.process_of(key)
        above = {parent.pid for parent in process.parents()} if process else set()
        return next((name for name in WORKERS if self.parts[name].process.pid in above), "")

    def worker_logs(self) -> str:
        """What both workers have logged."""
        return "".join(self.parts[name].log.read_text(errors="replace") for name in WORKERS)

    def stopped(self) -> None:
        try:
            super().stopped()
        finally:
            shutil.rmtree(self._database, ignore_errors=True)


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(root: Path, dags: Path) -> Iterator[CeleryAirflow]:
    """Run it. At the end, or when this process dies, everything is killed that it has started."""
    with started(lambda guard: CeleryAirflow(root, dags, guard)) as live:
        yield live
