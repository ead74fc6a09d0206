from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_imm20200930 import models

from airflow_provider_oss_async.local.__main__ import main
from airflow_provider_oss_async.local.processing.output_keys import output_of
from airflow_provider_oss_async.local.processing.result import JobFailed, Produced, ProducedFile
from airflow_provider_oss_async.local.server.app import LocalService
from airflow_provider_oss_async.local.server.job_table import RETENTION, JobRecord, JobTable, iso
from airflow_provider_oss_async.process import ObjectURI, parse_process
from tests.support.local_service import (
    Gate,
    admin,
    b64,
    convert,
    get_task,
    imm_client,
    oss_client,
    put,
    submit,
    wait_for_end,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification


def record(number: int, *, started: int | None = None, status: str = "Succeeded") -> JobRecord:
    return JobRecord(
        task_id=f"MediaConvert-{number:06}",
        task_type="MediaConvert",
        project="local-project",
        event_id="e",
        request_id="r",
        bucket="media",
        key="in.mov",
        process=convert(),
        definition="",
        topic="",
        started=started or time.time_ns() + number,
        status=status,
    )


def test_jobs_wait_for_a_free_worker(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(processor=gate, workers=2)
    client = oss_client(service)
    put(client, "in.mov")
    tasks = [submit(client, convert(f"{n}.mp4")) for n in range(5)]
    deadline = time.monotonic() + 5
    while gate.working < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [get_task(imm_client(service), task).status for task in tasks] == ["Running"] * 5
    gate.open.set()
    for task in tasks:
        wait_for_end(imm_client(service), task)
    assert gate.most == 2


def test_the_work_gets_its_files_and_its_results_are_saved(start: Callable[..., LocalService]) -> None:
    seen: dict[str, Any] = {}

    def work(spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path) -> Produced:
        seen.update(operation=spec.operation, source=source.read_bytes(), suffix=source.suffix)
        seen["segments"] = {key: path.read_bytes() for key, path in segments.items()}
        files = []
        for index in (1, 2):
            path = workdir / f"{index}"
            path.write_text(f"result {index}")
            files.append(ProducedFile(path, index=index, extension="mp4"))
        return Produced(files)

    service = start(processor=work)
    client = oss_client(service)
    put(client, "dir/in.MOV", b"source")
    put(client, "dir/a.mov", b"first")
    process = (
        f"video/concat,f_mp4,vcodec_h264,acodec_aac/pre,o_{b64('dir/a.mov')}"
        f"|sys/saveas,o_{b64('{dirname}/{barename}-{index}.{autoext}')},b_{b64('{bucket}')}"
    )
    assert wait_for_end(imm_client(service), submit(client, process, key="dir/in.MOV")).status == "Succeeded"
    assert seen == {
        "operation": "video/concat",
        "source": b"source",
        "suffix": ".MOV",
        "segments": {"dir/a.mov": b"first"},
    }
    got = client.get_object(oss.GetObjectRequest(bucket="media", key="dir/in-2.mp4"))
    assert (got.body.content, got.content_type) == (b"result 2", "video/mp4")
    assert admin(service, "GET", "state?jobs=1")[1]["job_list"][0]["outputs"] == [
        "oss://media/dir/in-1.mp4",
        "oss://media/dir/in-2.mp4",
    ]


def test_a_job_reads_what_is_there_when_it_starts(start: Callable[..., LocalService]) -> None:
    service = start(workers=1)
    service.add_fault("job_delay", seconds=0.2)
    client = oss_client(service)
    put(client, "in.mov")
    task_id = submit(client, convert())
    client.delete_object(oss.DeleteObjectRequest(bucket="media", key="in.mov"))
    task = wait_for_end(imm_client(service), task_id)
    assert (task.status, task.code) == ("Failed", "ResourceNotFound")
    assert "oss://media/in.mov" in task.message


@pytest.mark.parametrize("error", [JobFailed("InvalidArgument", "not a video"), RuntimeError("bug")])
def test_a_job_that_fails_says_why(start: Callable[..., LocalService], error: Exception) -> None:
    def work(spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path) -> Produced:
        raise error

    service = start(processor=work)
    client = oss_client(service)
    put(client, "in.mov")
    task = wait_for_end(imm_client(service), submit(client, convert()))
    expected = ("InvalidArgument", "not a video")
    if not isinstance(error, JobFailed):
        expected = ("InternalError", "Internal error of the stand-in: RuntimeError: bug")
    assert (task.status, task.code, task.message) == ("Failed", *expected)


@pytest.mark.parametrize(
    ("operation", "template", "file", "expected"),
    [
        ("video/snapshots,f_jpg", "f/frame", {"index": 3, "extension": "jpg"}, "f/frame_0_3.jpg"),
        ("video/snapshots,f_jpg", "f/one.jpg", {"index": 3, "extension": "jpg"}, "f/one.jpg"),
        (
            "video/snapshots,f_jpg",
            "f/{streamindex}-{index}.{autoext}",
            {"index": 3, "extension": "jpg"},
            "f/0-3.jpg",
        ),
        ("video/convert,f_mp4", "out", {"extension": "mp4"}, "out.mp4"),
        ("video/convert,f_mp4", "{{x}}-{ext}.mp4", {"extension": "mp4"}, "{x}-mov.mp4"),
        ("video/convert,f_mp4", "{year}{mon}/{t_year}.mp4", {"extension": "mp4"}, "197001/2001.mp4"),
        ("doc/convert,target_png", "p/{index}.png", {"index": 2, "extension": "png"}, "p/2.png"),
        (
            "doc/convert,target_png",
            "{sheetname}/{index}.png",
            {"index": 2, "part": 1, "sheet": "S 1"},
            "S 1/2_1.png",
        ),
    ],
)
def test_names_of_results(
    tmp_path: Path, operation: str, template: str, file: dict[str, Any], expected: str
) -> None:
    process = parse_process(f"{operation}|sys/saveas,o_{b64(template)}")
    produced = ProducedFile(tmp_path, **file)
    output = output_of(process, ObjectURI("media", "dir/in.mov"), produced, uploaded=0, created=10**9)
    assert output == ObjectURI("media", expected)


def test_a_variable_that_does_not_apply_fails_the_job(tmp_path: Path) -> None:
    process = parse_process(f"video/convert,f_mp4|sys/saveas,o_{b64('{sheetname}.mp4')}")
    with pytest.raises(JobFailed, match="sheetname"):
        output_of(process, ObjectURI("media", "in.mov"), ProducedFile(tmp_path), uploaded=0, created=0)


def test_records_outlive_the_server(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    first = start(processor=gate, workers=1)
    client = oss_client(first)
    put(client, "in.mov")
    first.add_fault("job_fail", code="Bad", message="bad")
    failed = submit(client, convert("1.mp4"))
    wait_for_end(imm_client(first), failed)
    at_work, waiting = submit(client, convert("2.mp4")), submit(client, convert("3.mp4"))
    first.stop()
    gate.open.set()
    again = start()
    imm = imm_client(again)
    assert [wait_for_end(imm, task).status for task in (failed, at_work, waiting)] == [
        "Failed",
        "Succeeded",
        "Succeeded",
    ]
    assert get_task(imm, failed).message == "bad"
    found = oss_client(again).list_objects_v2(oss.ListObjectsV2Request(bucket="media"))
    assert [entry.key for entry in found.contents or []] == ["2.mp4", "3.mp4", "in.mov"]


def test_a_half_written_record_is_passed_over(tmp_path: Path) -> None:
    table = JobTable(tmp_path)
    table.add(record(1))
    table.close()
    with (tmp_path / "jobs.jsonl").open("a") as file:
        file.write('{"task_id": "MediaCon')
    again = JobTable(tmp_path)
    assert [job.task_id for job in again.all()] == ["MediaConvert-000001"]
    assert len((tmp_path / "jobs.jsonl").read_text().splitlines()) == 1
    again.close()


def test_records_are_kept_for_seven_days(tmp_path: Path) -> None:
    table = JobTable(tmp_path)
    now = time.time_ns()
    table.add(record(1, started=now - (RETENTION - 60) * 10**9))
    table.add(record(2, started=now - (RETENTION + 60) * 10**9))
    for each in (table, JobTable(tmp_path)):
        assert each.get("MediaConvert-000001") is not None
        assert each.get("MediaConvert-000002") is None
        listed = [job.task_id for _, job in each.ordered("local-project", "StartTime", False, None)]
        assert listed == ["MediaConvert-000001"]
        each.close()


def test_moments_have_nine_digits() -> None:
    assert iso(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
    assert iso(0) == ""


def test_ten_thousand_jobs_are_listed_quickly(start: Callable[..., LocalService], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = JobTable(tmp_path / "data")
    for number in range(10_000):
        table.add(record(number))
    table.close()
    imm = imm_client(start())
    begin = time.monotonic()
    get_task(imm, "MediaConvert-009999")
    token: str | None = None
    for _ in range(20):
        request = models.ListTasksRequest(project_name="local-project", sort="StartTime", next_token=token)
        token = imm.list_tasks(request).body.next_token
    assert token
    assert time.monotonic() - begin < 3


def test_loopback_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("0.0.0.0", "192.168.0.1", "example.com", "::"):
        assert main(["--host", host, "--port", "0", "--data-dir", str(tmp_path)]) == 2
        assert "loopback only" in capsys.readouterr().err


def test_a_data_directory_given_as_text(tmp_path: Path) -> None:
    with LocalService(str(tmp_path / "data")) as service:
        service.put("a.txt", b"text")
    assert (tmp_path / "data").is_dir()


def test_one_server_per_data_directory(service: LocalService, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another stand-in"):
        LocalService(tmp_path / "data")


def test_a_taken_port_is_an_error_at_once(service: LocalService, tmp_path: Path) -> None:
    port = int(service.endpoint.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"), LocalService(tmp_path / "other", port=port):
        pass


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*options: str) -> subprocess.Popen[str]:
        arguments = ["--port", "0", "--data-dir", str(tmp_path / "data"), *options]
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_oss_async.local", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OSS_ASYNC_LOCAL_FAULTS": '[{"kind": "delay", "match": "NONE:*"}]'},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_what_it_is_and_stops_cleanly(
    command: Callable[..., subprocess.Popen[str]], number: int
) -> None:
    process = command("--bucket", "first-bucket", "--project", "p", "--topic", "jobs:done")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(7)]
    assert "a development tool, not the service" in lines[0]
    assert lines[2].split(maxsplit=1)[1].strip() == "local / local-secret"
    name, _, value = lines[6].removeprefix("export ").partition("=")
    assert name == "AIRFLOW_CONN_OSS_ASYNC_DEFAULT"
    connection = json.loads(value.strip().strip("'"))
    assert (connection["conn_type"], connection["schema"]) == ("oss_async", "first-bucket")
    assert connection["extra"]["imm_project"] == "p"
    process.send_signal(number)
    assert process.wait(5) == 0
    assert process.stdout.read().strip() == "Stopped."


def test_a_killed_server_finishes_its_jobs_after_the_restart(
    command: Callable[..., subprocess.Popen[str]],
) -> None:
    def endpoint(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        return lines[1].split()[1]

    killed = command("--job-seconds", "60-61")
    first = endpoint(killed)
    put(oss_client(endpoint=first), "in.mov", b"no video")
    task_id = submit(oss_client(endpoint=first), convert())
    assert get_task(imm_client(endpoint=first), task_id).status == "Running"
    killed.kill()
    killed.wait()
    task = wait_for_end(imm_client(endpoint=endpoint(command())), task_id)
    assert (task.status, task.task_id) == ("Failed", task_id)


def test_a_connection_is_the_same_as_json_and_as_uri(service: LocalService) -> None:
    from airflow.sdk import Connection

    one = Connection.from_json(service.connection_json(), conn_id="c")
    other = Connection.from_uri(service.connection_uri(), conn_id="c")
    for name in ("conn_type", "login", "password", "schema"):
        assert getattr(one, name) == getattr(other, name)
    assert one.extra_dejson == other.extra_dejson
    assert one.host == service.endpoint
