"""The demonstration: a real Airflow runs the pipeline example against the stand-in, on this machine alone.

Airflow is run by its command line in processes of its own; this module knows nothing of its inside.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.request import urlopen

import alibabacloud_oss_v2 as oss

from airflow_provider_oss_async.local.demo.contact_sheet import write_contact_sheet
from airflow_provider_oss_async.local.demo.samples import make_samples
from airflow_provider_oss_async.local.server.app import LocalService
from airflow_provider_oss_async.local.server.cloud import DEFAULT_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_oss_async.local.server.job_runner import JobRecord

BUCKET = "media"
PIPELINE = "example_media_pipeline"
#: How many lines are shown of a task's traceback, and of the log of an Airflow that did not run at all.
_TRACEBACK, _TAIL = 12, 40


class DemoFailed(Exception):
    """The demonstration did not come to its end; the text says why."""


def run_demo(directory: Path, dags: Path, *, airflow_ui: bool = False) -> int:
    """Run the demonstration and return the exit status.

    :param directory: where everything is kept; made if it does not exist.
    :param dags: folder of the example DAGs.
    :param airflow_ui: keep a full Airflow until Ctrl-C in place of running the pipeline once.
    :raises ValueError: the folder has no pipeline example.
    """
    root, dags = directory.resolve(), dags.resolve()
    if not (dags / f"{PIPELINE}.py").is_file():
        raise ValueError(
            f"there is no {PIPELINE}.py in {dags}: name the folder of the example DAGs with --dags"
        )
    root.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    # SIGTERM ends it as Ctrl-C does, so that nothing is left running.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with LocalService(root / "data", buckets={BUCKET: "local-project"}) as service:
            print(f"Stand-in for OSS, IMM and SMQ  {service.endpoint}", flush=True)
            _upload(service, root / "samples")
            airflow = Airflow(root / "airflow", dags, service)
            if airflow_ui:
                airflow.serve()
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
        print("\nStopped.")
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
            process = self._start("dags", "test", PIPELINE, output=output)
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

    def serve(self) -> None:
        """Run Airflow with web page, scheduler and triggerer until Ctrl-C.

        :raises DemoFailed: Airflow ended by itself.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        log, port = self.home / "standalone.log", _free_port()
        address = f"http://localhost:{port}"
        environment = {
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__BASE_URL": address,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
        }
        with log.open("wb") as output:
            process = self._start("standalone", output=output, environment=environment)
            try:
                print("Airflow starts; this takes up to a minute ...", flush=True)
                while process.poll() is None and not _answers(f"{address}/api/v2/version"):
                    time.sleep(0.5)
                if process.poll() is None:
                    print(
                        f"Airflow   {address}\nLogin     {self._login()}\nLog       {log}\n"
                        f"Trigger {PIPELINE} there. Ctrl-C stops everything.",
                        flush=True,
                    )
                process.wait()
            except KeyboardInterrupt:
                print("\nStopping ...", flush=True)
                return
            finally:
                _stop(process)
        raise DemoFailed(f"Airflow ended by itself; the end of its log {log}:\n{_tail(log)}")

    def _login(self) -> str:
        passwords = self.home / "simple_auth_manager_passwords.json.generated"
        users = json.loads(passwords.read_text()) if passwords.exists() else {}
        return ", ".join(f"{name} / {password}" for name, password in users.items()) or f"see {passwords}"

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
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
                "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "100",
                "AIRFLOW_CONN_OSS_ASYNC_DEFAULT": self.service.connection_json(),
                **(environment or {}),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own, which ends as a whole.
            start_new_session=True,
        )


class Progress:
    """Prints what happens in the stand-in's job table.

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
            print(f"{seconds:6.1f} s  {job.status:<10} {job.subjects[0]:<18} {job.task_id}", flush=True)


def _upload(service: LocalService, folder: Path) -> None:
    print("Samples are made and uploaded ...", flush=True)
    client = _client(service)
    for name, path in make_samples(folder).items():
        client.put_object_from_file(oss.PutObjectRequest(bucket=BUCKET, key=f"samples/{name}"), str(path))


def _download(service: LocalService, jobs: list[JobRecord], folder: Path) -> list[tuple[str, list[Path]]]:
    """Fetch all outputs; return them by heading, which is the job's operation."""
    client = _client(service)
    sections: list[tuple[str, list[Path]]] = []
    for job in jobs:
        files = []
        for uri in job.outputs:
            bucket, _, key = uri.removeprefix("oss://").partition("/")
            path = (folder / key).resolve()
            if not path.is_relative_to(folder):
                raise DemoFailed(f"{uri} would be written outside {folder}")
            path.parent.mkdir(parents=True, exist_ok=True)
            client.get_object_to_file(oss.GetObjectRequest(bucket=bucket, key=key), str(path))
            files.append(path)
        sections.append((f"{job.subjects[0]} of {job.key}", files))
    return sections


def _client(service: LocalService) -> oss.Client:
    return oss.Client(
        oss.config.Config(
            region=service.cloud.region,
            endpoint=service.endpoint,
            credentials_provider=oss.credentials.StaticCredentialsProvider(
                DEFAULT_KEY.id, DEFAULT_KEY.secret
            ),
            use_path_style=True,
        )
    )


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
    yield job.subjects[0], job.task_id, job.status, seconds, first
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


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    for number, seconds in ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + seconds
        alive = _signal_group(process, number)
        while alive and time.monotonic() < end:
            time.sleep(0.1)
            alive = _signal_group(process, 0)
        if not alive:
            return


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal, 0 for none, and return whether anything was there to receive it."""
    process.poll()
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _free_port() -> int:
    async def find() -> int:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            return int(server.sockets[0].getsockname()[1])

    return asyncio.run(find())


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
