from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.local.__main__ import main, missing_packages
from airflow_provider_oss_async.local.demo.contact_sheet import write_contact_sheet
from airflow_provider_oss_async.local.demo.run import (
    EVENT_RULES,
    TOPICS,
    Health,
    _choose_port,
    _download,
    run_demo,
)
from airflow_provider_oss_async.local.demo.upload import upload_samples
from tests.support.local_service import convert, imm_client, oss_client, put, submit, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.local.server.app import LocalService

METADATA = """Metadata-Version: 2.4
Name: airflow-provider-oss-async
Version: 0
Requires-Dist: pip>=1 ; extra == 'local'
Requires-Dist: no-such-package>=1.0 ; extra == "local"
Requires-Dist: nor-this-one ; extra == 'credentials'
"""


@pytest.mark.parametrize("arguments", [["demo"], ["serve", "--samples"]])
def test_a_missing_extra_is_named(tmp_path: Path, arguments: list[str]) -> None:
    info = tmp_path / "airflow_provider_oss_async-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    done = subprocess.run(
        [sys.executable, "-m", "airflow_provider_oss_async.local", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=60,
    )
    assert done.returncode == 2
    assert "Install the extra local: " in done.stderr
    assert "-m pip install 'airflow-provider-oss-async[local]'" in done.stderr
    assert done.stderr.strip().endswith("Missing: no-such-package")
    assert "Traceback" not in done.stderr


def test_no_package_is_missing_here() -> None:
    assert missing_packages() == []


def test_a_folder_without_the_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--dags"):
        run_demo(tmp_path / "demo", tmp_path)


def test_uploads_to_the_inbox_and_ended_jobs_are_announced(start: Callable[..., LocalService]) -> None:
    service = start(topics=TOPICS, event_rules=EVENT_RULES)
    oss = oss_client(service)
    for key in ("inbox/in.mov", "elsewhere/in.mov"):
        put(oss, key)
    wait_for_end(imm_client(service), submit(oss, convert("out.mp4", "jobs"), "inbox/in.mov"))
    messages = {name: service.messages(name)["visible"] for name in service.cloud.broker.queues}
    assert messages == {"airflow": 1, "ended-jobs": 1, "inbox": 1}
    extra = json.loads(service.connection_json())["extra"]
    assert (extra["smq_topic"], extra["smq_queue"]) == ("jobs", "airflow")


def test_a_taken_port_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        chosen = _choose_port(taken, "Airflow")
    assert chosen != taken
    assert (
        f"Port {taken} is taken or not allowed; Airflow has port {chosen} instead." in capsys.readouterr().out
    )
    assert _choose_port(chosen, "Airflow") == chosen
    assert capsys.readouterr().out == ""


class Monitor(BaseHTTPRequestHandler):
    status = "healthy"

    def do_GET(self) -> None:
        body = json.dumps(
            {"scheduler": {"status": self.status}, "triggerer": {"status": None}, "metadatabase": None}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def monitor() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), type("OwnMonitor", (Monitor,), {}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_health_is_said_when_it_changes(monitor: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    health = Health(f"http://127.0.0.1:{monitor.server_port}", Path("logs"))

    def watch(status: str) -> str:
        monitor.RequestHandlerClass.status = status  # type: ignore[attr-defined]
        health.watch()
        return capsys.readouterr().out

    assert watch("healthy") == ""
    assert "Not healthy: the scheduler, without which no task starts" in watch("unhealthy")
    assert watch("unhealthy") == ""
    assert "Healthy again: the scheduler" in watch("healthy")
    monitor.shutdown()
    monitor.server_close()
    health.watch()
    assert "Airflow does not answer. Its logs: logs" in capsys.readouterr().out


def test_the_samples_are_stored(service: LocalService, tmp_path: Path) -> None:
    keys = upload_samples(service.cloud.store, "media", tmp_path / "samples")
    assert "samples/harbour.mp4" in keys
    assert service.objects() == sorted(keys)


def test_options_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--data-dir", str(tmp_path), "--engine-concurrency", "0"]) == 2
    assert "must be 1 or more" in capsys.readouterr().err


def test_results_are_shown(service: LocalService, tmp_path: Path) -> None:
    service.put("in.mov", b"data")
    task_id = submit(oss_client(service), convert("a/out.mp4"))
    wait_for_end(imm_client(service), task_id)
    folder = tmp_path / "outputs"
    page = write_contact_sheet(folder, _download(service, service.cloud.table.all(), folder))
    assert (folder / "a/out.mp4").read_bytes() == b"data"
    assert "video/convert" in page.read_text()
