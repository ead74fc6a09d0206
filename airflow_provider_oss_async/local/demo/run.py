"""The demonstration: a real Airflow runs the example DAGs against the stand-in, on this machine alone.

Airflow is run by its command line in processes of its own; this module imports nothing of it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from airflow_provider_oss_async.local.demo.contact_sheet import write_contact_sheet
from airflow_provider_oss_async.local.demo.upload import upload_samples
from airflow_provider_oss_async.local.server.app import LocalService
from airflow_provider_oss_async.local.server.cloud import DEFAULT_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_oss_async.local.server.job_table import JobRecord

BUCKET = "media"
PIPELINE = "example_media_pipeline"
CONNECTION = "oss_async_default"
#: SMQ topic, and the queues that subscribe to it: of the connection, and of the DAG that ended jobs start.
TOPICS = {"jobs": ["airflow", "ended-jobs"]}
#: Uploads below this prefix are announced in the queue of this name, and start a DAG.
INBOX_PREFIX, INBOX_QUEUE = "inbox/", "inbox"
EVENT_RULES = {
    "inbox": {
        "bucket": BUCKET,
        "events": [
            "ObjectCreated:PutObject",
            "ObjectCreated:CopyObject",
            "ObjectCreated:CompleteMultipartUpload",
        ],
        "objects": [{"prefix": INBOX_PREFIX}],
        "queue": INBOX_QUEUE,
    }
}
#: Ports of the stand-in and of Airflow, unless they are taken.
PORT, AIRFLOW_PORT = 9000, 8080
#: How many lines are shown of a task's traceback, and of the log of an Airflow that did not run at all.
_TRACEBACK, _TAIL = 12, 40
#: Seconds between two checks of Airflow's health.
_HEALTH_INTERVAL = 5.0
#: Components of Airflow whose health is watched, and what they are for.
_COMPONENTS = {
    "metadatabase": "the database",
    "scheduler": "the scheduler, without which no task starts",
    "triggerer": "the triggerer, without which no deferred task ends",
    "dag_processor": "the DAG processor, without which no DAG is read",
}
#: Processes of Airflow.
_PROCESSES = ("api-server", "scheduler", "dag-processor", "triggerer")
_SETTINGS = {
    "CORE__LOAD_EXAMPLES": "False",
    # SQLite has one writer at a time; with Airflow's default of 32 the scheduler fails on a locked database.
    "CORE__PARALLELISM": "4",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "TRIGGERER__CAPACITY": "100",
    # On a busy machine the first requests to a new API server take longer than the default of 5 s.
    "WORKERS__EXECUTION_API_TIMEOUT": "60",
    # A deferred task is resumed at once, and does not fail if that is soon after its deferral.
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


class DemoFailed(Exception):
    """The demonstration did not come to its end; the text says why."""


def run_demo(
    directory: Path,
    dags: Path,
    *,
    airflow_ui: bool = False,
    port: int = PORT,
    airflow_port: int = AIRFLOW_PORT,
) -> int:
    """Run the demonstration and return the exit status.

    :param directory: where everything is kept; created if missing.
    :param dags: folder of the example DAGs.
    :param airflow_ui: run a full Airflow until Ctrl-C instead of running the pipeline once.
    :param port: port of the stand-in, 0 to 65535; another one is chosen, and named, where it is taken.
    :param airflow_port: port of the web page of Airflow; likewise.
    :return: 0 after success and after Ctrl-C with ``airflow_ui``, 1 after a failure, 130 after Ctrl-C.
    :raises ValueError: the folder has no pipeline example, or another demonstration uses the directory.
    """
    root, dags = directory.resolve(), dags.resolve()
    if not (dags / f"{PIPELINE}.py").is_file():
        raise ValueError(
            f"there is no {PIPELINE}.py in {dags}: name the folder of the example DAGs with --dags"
        )
    root.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    # SIGTERM ends the demonstration as Ctrl-C does, so that no process is left.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with LocalService(
            root / "data",
            port=_choose_port(port, "the stand-in"),
            buckets={BUCKET: "local-project"},
            topics=TOPICS,
            event_rules=EVENT_RULES,
        ) as service:
            print(
                f"Stand-in for OSS, IMM and SMQ  {service.endpoint}\n"
                f"AccessKey id and secret        {DEFAULT_KEY.id} / {DEFAULT_KEY.secret}\n"
                f"Region, bucket                 {service.cloud.region}, {BUCKET}\n"
                "Samples are made and stored ...",
                flush=True,
            )
            upload_samples(service.cloud.store, BUCKET, root / "samples")
            airflow = Airflow(root / "airflow", dags, service)
            if airflow_ui:
                airflow.serve(_choose_port(airflow_port, "Airflow"))
                print(f"Stopped. What was made is in {root}.", flush=True)
                return 0
            known = {job.task_id for job in service.cloud.table.all()}
            failure = airflow.run_pipeline(known)
            jobs = [job for job in service.cloud.table.all() if job.task_id not in known]
            print(f"\n{_table(jobs)}\n")
            if failure:
                raise DemoFailed(failure)
            sheet = write_contact_sheet(root / "outputs", _download(service, jobs, root / "outputs"))
    except DemoFailed as error:
        print(f"The demonstration has failed.\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(f"Outputs in {sheet.parent}\nOpen {sheet}\n{time.monotonic() - began:.0f} s")
    return 0


@dataclass
class Airflow:
    """An Airflow of its own below the work directory.

    :param home: its ``AIRFLOW_HOME``.
    :param dags: folder of the example DAGs.
    :param service: the stand-in that its default connection leads to.
    """

    home: Path
    dags: Path
    service: LocalService

    def run_pipeline(self, known: set[str]) -> str:
        """Run the pipeline example, with a line for every job that begins or ends.

        :param known: ids of the jobs there were before.
        :return: why the run has failed, empty where it has not.
        """
        print("Airflow makes its database ...", flush=True)
        self._call("db", "migrate")
        print(f"Airflow runs {PIPELINE} ...", flush=True)
        log = self.home / "pipeline.log"
        progress = Progress(self.service, known)
        with log.open("wb") as output:
            environment = {f"AIRFLOW_CONN_{CONNECTION.upper()}": json.dumps(self._connection())}
            process = self._start("dags", "test", PIPELINE, output=output, environment=environment)
            try:
                while process.poll() is None:
                    progress.show()
                    time.sleep(0.2)
            finally:
                _stop(process)
        progress.show()
        if process.returncode == 0:
            return ""
        shown = _failures(log) or _tail(log)
        return f"{shown}\nAirflow ended with status {process.returncode}. Its whole log: {log}"

    def serve(self, port: int) -> None:
        """Run Airflow with web page, scheduler and triggerer until Ctrl-C.

        :param port: free port for the web page.
        :raises DemoFailed: a process of Airflow ended by itself.
        """
        address = f"http://localhost:{port}"
        environment = {
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_choose_port(0)),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_choose_port(0)),
        }
        began = time.monotonic()
        print(
            f"Airflow starts; this takes half a minute, on a busy machine two. Logs: {self.home}", flush=True
        )
        components: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._call("db", "migrate")
            for name in _PROCESSES:
                components[name] = self._start_component(name, environment)
            health = Health(address, self.home)
            while health.read() is None:
                self._check(components)
                time.sleep(0.5)
            self._add_connection(address)
            print(
                f"Airflow is up after {time.monotonic() - began:.0f} s.\n"
                f"Address     {address}\n"
                f"Login       {' / '.join(self._login())}\n"
                f"Connection  {CONNECTION} leads to the stand-in\n"
                f"Trigger {PIPELINE} or any other DAG there. Videos (.mp4) that are uploaded to "
                f"oss://{BUCKET}/{INBOX_PREFIX} start example_inbox. Ctrl-C stops everything.",
                flush=True,
            )
            while True:
                self._check(components)
                health.watch()
                time.sleep(_HEALTH_INTERVAL)
        except KeyboardInterrupt:
            print("\nStopping Airflow ...", flush=True)
        finally:
            _stop(*components.values())

    def _start_component(self, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("wb") as output:
            return self._start(name, output=output, environment=environment)

    def _check(self, components: Mapping[str, subprocess.Popen[bytes]]) -> None:
        for name, process in components.items():
            if process.poll() is not None:
                log = self.home / f"{name}.log"
                raise DemoFailed(f"Airflow's {name} ended by itself; the end of its log {log}:\n{_tail(log)}")

    def _add_connection(self, address: str) -> None:
        """Store the connection in Airflow's database, where the web page shows and tests it."""
        username, password = self._login()
        token = _request(f"{address}/auth/token", {"username": username, "password": password})
        data = self._connection()
        entity = {**data, "connection_id": CONNECTION, "extra": json.dumps(data["extra"])}
        action = {"action": "create", "entities": [entity], "action_on_existence": "overwrite"}
        _request(
            f"{address}/api/v2/connections",
            {"actions": [action]},
            method="PATCH",
            token=token["access_token"],
        )

    def _connection(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.service.connection_json())
        # Airflow 3.3 refuses to test a connection without a port.
        host = urlsplit(data["host"])
        return {**data, "host": f"{host.scheme}://{host.hostname}", "port": host.port}

    def _login(self) -> tuple[str, str]:
        """Return name and password of the user that Airflow has made.

        :raises DemoFailed: it has made none.
        """
        passwords = self.home / "simple_auth_manager_passwords.json.generated"
        users = json.loads(passwords.read_text()) if passwords.exists() else {}
        for name, password in users.items():
            return str(name), str(password)
        raise DemoFailed(f"Airflow has made no user: {passwords} has none")

    def _call(self, *arguments: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / f"{'-'.join(arguments)}.log"
        with log.open("wb") as output:
            process = self._start(*arguments, output=output)
            try:
                process.wait()
            finally:
                _stop(process)
        if process.returncode:
            raise DemoFailed(f"airflow {' '.join(arguments)} has failed; the end of {log}:\n{_tail(log)}")

    def _start(
        self, *arguments: str, output: IO[bytes], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        bundle = {
            "name": "oss-async-examples",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(self.dags)},
        }
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        # Airflow's components start further ones by the name of the command.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "airflow", *arguments],
            env={
                **clean,
                "PATH": path,
                "AIRFLOW_HOME": str(self.home),
                **{f"AIRFLOW__{name}": value for name, value in _SETTINGS.items()},
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
                # A writer waits for the others, up to this many seconds.
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=20",
                **(environment or {}),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            # A process group of its own, which ends as a whole.
            start_new_session=True,
        )


@dataclass
class Health:
    """Watches the components of a running Airflow and prints what changes.

    :param address: address of its web page.
    :param logs: folder of its logs, which is named in the messages.
    """

    address: str
    logs: Path
    unhealthy: set[str] = field(default_factory=set)

    def read(self) -> dict[str, str] | None:
        """Return the status of each component, ``None`` where Airflow does not answer."""
        try:
            answer = _request(f"{self.address}/api/v2/monitor/health")
        except (OSError, ValueError):
            return None
        return {name: str((answer.get(name) or {}).get("status")) for name in _COMPONENTS}

    def watch(self) -> None:
        """Print which components have become unhealthy or healthy since the last call."""
        found = self.read()
        status = found or dict.fromkeys(_COMPONENTS, "unhealthy")
        # A component that has not started yet has no status.
        now = {name for name, value in status.items() if value == "unhealthy"}
        at = time.strftime("%H:%M:%S")
        if now - self.unhealthy and found is None:
            print(f"{at}  Airflow does not answer. Its logs: {self.logs}", flush=True)
        elif now - self.unhealthy:
            names = "; ".join(_COMPONENTS[name] for name in sorted(now - self.unhealthy))
            print(
                f"{at}  Not healthy: {names}. If this stays, press Ctrl-C and start again. Logs: {self.logs}",
                flush=True,
            )
        if self.unhealthy - now:
            names = "; ".join(_COMPONENTS[name] for name in sorted(self.unhealthy - now))
            print(f"{at}  Healthy again: {names}.", flush=True)
        self.unhealthy = now


class Progress:
    """Prints the changes of the jobs of the stand-in.

    :param known: ids of jobs to leave out.
    """

    def __init__(self, service: LocalService, known: set[str]) -> None:
        self._service = service
        self._shown = dict.fromkeys(known, "")
        self._began = time.monotonic()

    def show(self) -> None:
        """Print the jobs that are new or have ended since the last call."""
        for job in list(self._service.cloud.table.all()):
            if self._shown.get(job.task_id) in ("", job.status):
                continue
            self._shown[job.task_id] = job.status
            seconds = time.monotonic() - self._began
            print(f"{seconds:6.1f} s  {job.status:<10} {job.operation:<18} {job.task_id}", flush=True)


def _download(
    service: LocalService, jobs: list[JobRecord], folder: Path
) -> list[tuple[str, str, list[Path]]]:
    """Fetch all outputs; return them with the operation and the source of each job."""
    sections: list[tuple[str, str, list[Path]]] = []
    for job in jobs:
        files = []
        for uri in job.outputs:
            bucket, _, key = uri.removeprefix("oss://").partition("/")
            path = (folder / key).resolve()
            if not path.is_relative_to(folder):
                raise DemoFailed(f"{uri} would be written outside {folder}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(service.get(key, bucket))
            files.append(path)
        sections.append((job.operation, job.key, files))
    return sections


def _table(jobs: list[JobRecord]) -> str:
    head = ("operation", "task id", "state", "seconds", "outputs")
    rows = [head, *(row for job in jobs for row in _rows(job))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rows(job: JobRecord) -> Iterator[tuple[str, str, str, str, str]]:
    seconds = f"{(job.ended - job.started) / 1e9:.1f}" if job.ended else ""
    first, *others = job.outputs or [job.content or job.message]
    yield job.operation, job.task_id, job.status, seconds, first
    for uri in others:
        yield "", "", "", "", uri


def _failures(log: Path) -> str:
    """Return the ends of the tracebacks in the log of ``airflow dags test``, with their tasks."""
    found: list[str] = []
    traceback: deque[str] | None = None
    task = ""
    with log.open(errors="replace") as lines:
        for line in lines:
            if traceback is not None and re.match(r"\d{4}-\d\d-\d\dT", line):
                found.append(f"Task {task} has failed; the end of what it logged:\n{''.join(traceback)}")
                traceback = None
            if started := re.search(r"\[DAG TEST\] starting task_id=(\S+)", line):
                task = started[1]
            elif "Task failed with exception" in line:
                traceback = deque(maxlen=_TRACEBACK)
            elif traceback is not None:
                traceback.append(line)
    return "\n".join(found)


def _tail(log: Path) -> str:
    with log.open(errors="replace") as lines:
        return "".join(deque(lines, _TAIL))


def _stop(*processes: subprocess.Popen[bytes]) -> None:
    """End processes and all that they have started, within seconds; a second Ctrl-C ends them at once."""
    for number, seconds in ((signal.SIGTERM, 2.5), (signal.SIGKILL, 0.5)):
        end = time.monotonic() + seconds
        alive = [process for process in processes if _signal_group(process, number)]
        try:
            while alive and time.monotonic() < end:
                time.sleep(0.1)
                alive = [process for process in alive if _signal_group(process, 0)]
        except KeyboardInterrupt:
            continue
        if not alive:
            return


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal, 0 for none, and return whether there was a process to receive it."""
    process.poll()
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _choose_port(wanted: int, user: str = "") -> int:
    """Return a port that is free, the wanted one if possible; print a line where it is not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    if wanted not in (0, port):
        print(f"Port {wanted} is taken or not allowed; {user} has port {port} instead.", flush=True)
    return port


def _request(url: str, data: Any = None, *, method: str | None = None, token: str = "") -> Any:
    """Return the JSON answer to a request.

    :raises OSError: there is no answer, or an error.
    :raises ValueError: the answer is not JSON.
    """
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    body = None if data is None else json.dumps(data).encode()
    request = Request(url, body, headers, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=5) as answer:  # noqa: S310
            return json.load(answer)
    except HTTPError as error:
        raise OSError(f"{url} answered {error.code}: {error.read(500).decode(errors='replace')}") from None
