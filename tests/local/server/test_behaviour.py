"""Each switch makes the stand-in differ, as the official SDKs see it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_imm20200930 import models
from alibabacloud_tea_openapi.exceptions import ClientException, ThrottlingException

from airflow_provider_oss_async.local.server.behaviour import Behaviour
from tests.support.local_service import (
    admin,
    convert,
    get_task,
    imm_client,
    oss_client,
    put,
    submit,
    wait_for_end,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService


def one_job(service: LocalService) -> str:
    client = oss_client(service)
    put(client, "in.mov")
    return submit(client, convert("out/a.mp4"))


def listed(service: LocalService, **options: Any) -> list[Any]:
    request = models.ListTasksRequest(project_name="local-project", **options)
    return list(imm_client(service).list_tasks(request).body.tasks)


def test_tasks_that_are_listed_late(start: Callable[..., LocalService]) -> None:
    service = start(behaviour={"start_list_delay": 0.4})
    task_id = one_job(service)
    assert listed(service) == []
    assert get_task(imm_client(service), task_id).task_id == task_id
    time.sleep(0.5)
    assert [task.task_id for task in listed(service)] == [task_id]


def test_definitions_that_are_not_listed(start: Callable[..., LocalService]) -> None:
    service = start(behaviour={"definitions": False})
    one_job(service)
    assert [task.task_request_definition for task in listed(service, request_definition=True)] == [None]
    admin(service, "PUT", "behaviour", {})
    (task,) = listed(service, request_definition=True)
    assert "oss://media/in.mov" in task.task_request_definition


def test_the_end_time_cursor(start: Callable[..., LocalService]) -> None:
    service = start(behaviour={"end_time_cursor": "refused"})
    ids = [one_job(service), one_job(service)]
    for task_id in ids:
        wait_for_end(imm_client(service), task_id)
    with pytest.raises(ClientException, match="Sort"):
        listed(service, sort="EndTime")
    assert len(listed(service, sort="StartTime")) == 2
    admin(service, "PUT", "behaviour", {"end_time_cursor": "incomplete"})
    assert [task.task_id for task in listed(service, sort="EndTime")] == ids[:1]


def test_unknown_tasks_and_rate(start: Callable[..., LocalService]) -> None:
    service = start(behaviour={"unknown_task_code": "TaskGone", "unknown_task_message": "gone"})
    one_job(service)
    with pytest.raises(ClientException, match="TaskGone"):
        get_task(imm_client(service), "MediaConvert-none")
    admin(service, "PUT", "behaviour", {"requests_per_second": 2})
    listed(service)
    listed(service)
    with pytest.raises(ThrottlingException):
        listed(service)


@pytest.mark.parametrize(
    "data",
    [
        {"nothing": 1},
        {"definitions": "no"},
        {"end_time_cursor": "other"},
        {"start_list_delay": -1},
        {"index_digits": 0},
    ],
)
def test_wrong_switches_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(data))):
        Behaviour.read(data)


def test_a_fraction_of_a_second_is_read() -> None:
    assert Behaviour.read({"start_list_delay": 0.5}).start_list_delay == 0.5


def test_another_error_of_a_job_that_was_queued_for_too_long(start: Callable[..., LocalService]) -> None:
    behaviour = {
        "queue_timeout_code": "LimitExceeded",
        "queue_timeout_message": "too many tasks in the queue",
    }
    service = start(behaviour=behaviour, engine_concurrency=1, queue_seconds=0.2, job_seconds=1)
    one_job(service)
    late = submit(oss_client(service), convert("out/b.mp4"))
    task = wait_for_end(imm_client(service), late)
    assert (task.status, task.code, task.message) == (
        "Failed",
        "LimitExceeded",
        "too many tasks in the queue",
    )
