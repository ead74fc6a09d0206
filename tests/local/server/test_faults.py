from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from darabonba.exceptions import UnretryableException

from airflow_provider_oss_async.local.server.faults import Fault, Faults
from tests.support.local_service import (
    Gate,
    admin,
    convert,
    get_task,
    imm_client,
    oss_client,
    put,
    refusal,
    submit,
    wait_for_end,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService


@pytest.fixture
def client(service: LocalService) -> oss.Client:
    client = oss_client(service)
    put(client, "in.mov")
    return client


def jobs(service: LocalService) -> dict[str, Any]:
    return dict(admin(service, "GET", "state")[1]["jobs"])


def test_how_often_a_fault_is_applied() -> None:
    faults = Faults()
    faults.add(Fault("delay", "IMM:*", times=2, every=3))
    applied = [bool(faults.take("delay", "IMM:GetTask")) for _ in range(12)]
    assert applied == [False, False, True, False, False, True] + [False] * 6
    faults.clear()
    faults.add(Fault("delay", "*", times=0))
    assert all(faults.take("delay", "OSS:PutObject") for _ in range(5))
    assert not faults.take("refuse", "OSS:PutObject")


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "explode"},
        {"match": "*"},
        {"kind": "delay", "second": 1},
        {"kind": "delay", "seconds": "soon"},
        {"kind": "delay", "times": -1},
        {"kind": "delay", "every": 0},
        {"kind": "delay", "applied": 1},
        [],
    ],
)
def test_a_wrong_fault_is_refused(service: LocalService, data: Any) -> None:
    status, answer = admin(service, "POST", "faults", [data])
    assert status == 400
    assert answer["error"]
    assert admin(service, "GET", "faults") == (200, [])


def test_faults_are_set_and_cleared_over_http(service: LocalService, client: oss.Client) -> None:
    admin(service, "POST", "faults", {"kind": "refuse", "match": "OSS:PutObject", "times": 0, "status": 500})
    for _ in range(2):
        with pytest.raises(oss.exceptions.OperationError) as caught:
            put(client, "k")
        assert (refusal(caught.value).status_code, refusal(caught.value).code) == (500, "InternalError")
    state = admin(service, "GET", "state")[1]
    assert [fault["applied"] for fault in state["faults"]] == [2]
    assert state["requests"]["OSS:PutObject"] == 3
    assert state["errors"] == {"OSS:PutObject 500 InternalError": 2}
    admin(service, "DELETE", "faults")
    put(client, "k")


def test_delay(service: LocalService, client: oss.Client) -> None:
    service.add_fault("delay", match="OSS:HeadObject", seconds=0.3)
    begin = time.monotonic()
    client.head_object(oss.HeadObjectRequest(bucket="media", key="in.mov"))
    assert 0.3 <= time.monotonic() - begin < 2


def test_refuse_does_nothing(service: LocalService, client: oss.Client) -> None:
    service.add_fault(
        "refuse", match="OSS:AsyncProcessObject", status=403, code="AccessDenied", message="No."
    )
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert())
    error = refusal(caught.value)
    assert (error.status_code, error.code, error.message) == (403, "AccessDenied", "No.")
    assert jobs(service) == {}
    submit(client, convert())


def test_throttle(service: LocalService, client: oss.Client) -> None:
    imm = imm_client(service)
    task_id = submit(client, convert())
    service.add_fault("throttle", match="IMM:GetTask", seconds=1.5)
    with pytest.raises(ThrottlingException) as caught:
        get_task(imm, task_id)
    assert caught.value.code == "Throttling.User"
    assert caught.value.retry_after == 1500
    get_task(imm, task_id)
    service.add_fault("throttle", match="OSS:*")
    with pytest.raises(oss.exceptions.OperationError) as slow:
        put(client, "k")
    assert (refusal(slow.value).status_code, refusal(slow.value).code) == (503, "SlowDown")


def test_an_imm_error_on_request(service: LocalService) -> None:
    imm = imm_client(service)
    service.add_fault("refuse", match="IMM:*", status=503, code="ServiceUnavailable")
    with pytest.raises(ServerException):
        get_task(imm, "x")
    service.add_fault("refuse", match="IMM:*", status=403, code="NoPermission")
    with pytest.raises(ClientException) as caught:
        get_task(imm, "x")
    assert (caught.value.status_code, caught.value.code) == (403, "NoPermission")
    service.add_fault("close", match="IMM:*")
    with pytest.raises(UnretryableException):
        get_task(imm, "x")


@pytest.mark.parametrize(
    ("kind", "accepted"), [("close", {}), ("lose", {"Running": 1}), ("cut", {"Running": 1})]
)
def test_a_lost_answer(start: Callable[..., LocalService], kind: str, accepted: dict[str, int]) -> None:
    service = start(processor=Gate())
    client = oss_client(service)
    put(client, "in.mov")
    service.add_fault(kind, match="OSS:AsyncProcessObject")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert())
    assert not isinstance(caught.value.unwrap(), oss.exceptions.ServiceError)
    assert jobs(service) == accepted
    submit(client, convert())


def test_hang(start: Callable[..., LocalService]) -> None:
    service = start(processor=Gate())
    client = oss_client(service, readwrite_timeout=0.3)
    put(client, "in.mov")
    service.add_fault("hang", match="OSS:AsyncProcessObject")
    with pytest.raises(oss.exceptions.OperationError):
        submit(client, convert())
    assert jobs(service) == {"Running": 1}
    begin = time.monotonic()
    service.stop()
    assert time.monotonic() - begin < 2


def test_a_job_can_be_slow(service: LocalService, client: oss.Client) -> None:
    service.add_fault("job_delay", match="video/*", seconds=[0.3, 0.4])
    imm = imm_client(service)
    slow = submit(client, convert("slow.mp4"))
    quick = submit(client, convert("quick.mp4"))
    begin = time.monotonic()
    assert wait_for_end(imm, quick).status == "Succeeded"
    assert get_task(imm, slow).status == "Running"
    assert wait_for_end(imm, slow).status == "Succeeded"
    assert time.monotonic() - begin > 0.2


def test_a_job_can_fail(service: LocalService, client: oss.Client) -> None:
    put(client, "bad.mov")
    service.add_fault("job_fail", match="oss://media/bad*", code="ResourceNotFound", message="Gone.", times=0)
    imm = imm_client(service)
    failed = wait_for_end(imm, submit(client, convert("bad.mp4"), key="bad.mov"))
    assert (failed.status, failed.code, failed.message) == ("Failed", "ResourceNotFound", "Gone.")
    assert wait_for_end(imm, submit(client, convert("good.mp4"))).status == "Succeeded"
    assert not client.is_object_exist("media", "bad.mp4")


def test_a_job_can_be_forgotten(service: LocalService, client: oss.Client) -> None:
    service.add_fault("job_forget")
    task_id = submit(client, convert())
    with pytest.raises(ClientException) as caught:
        wait_for_end(imm_client(service), task_id)
    assert caught.value.code == "ResourceNotFound"


def test_outputs_that_are_wrong(service: LocalService, client: oss.Client) -> None:
    for kind, size in (("output_missing", None), ("output_empty", 0), ("output_cut", 2)):
        admin(service, "POST", "faults", {"kind": kind, "match": "video/*"})
        task = wait_for_end(imm_client(service), submit(client, convert(f"{kind}.mp4")))
        assert task.status == "Succeeded"
        key = f"{kind}.mp4"
        assert (len(service.get(key)) if key in service.objects() else None) == size
