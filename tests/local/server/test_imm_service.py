from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_imm20200930 import models
from alibabacloud_tea_openapi.exceptions import ClientException

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
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService


@pytest.fixture
def client(service: LocalService) -> Any:
    put(oss_client(service), "in.mov")
    return imm_client(service)


def list_tasks(client: Any, **arguments: Any) -> Any:
    return client.list_tasks(models.ListTasksRequest(project_name="local-project", **arguments)).body


def test_a_task_runs_and_succeeds(start: Callable[..., LocalService]) -> None:
    gate = Gate()
    service = start(processor=gate)
    put(oss_client(service), "in.mov")
    client = imm_client(service)
    task_id = submit(oss_client(service), convert())
    running = get_task(client, task_id)
    assert (running.status, running.code, running.end_time, running.progress) == ("Running", "", "", None)
    gate.open.set()
    done = wait_for_end(client, task_id)
    assert (done.status, done.task_type, done.project_name) == ("Succeeded", "MediaConvert", "local-project")
    begin, end = (datetime.fromisoformat(text) for text in (done.start_time, done.end_time))
    assert begin < end < datetime.now(UTC)
    assert done.event_id


@pytest.mark.parametrize(
    ("arguments", "resource"),
    [
        ({"task_id": "MediaConvert-none"}, "Task"),
        ({"task_type": "OfficeConversion"}, "Task"),
        ({"project": "another-project"}, "Project"),
    ],
)
def test_what_is_not_found_is_an_error_400(
    service: LocalService, client: Any, arguments: dict[str, str], resource: str
) -> None:
    task_id = submit(oss_client(service), convert())
    with pytest.raises(ClientException) as caught:
        get_task(client, **{"task_id": task_id, **arguments})
    error = caught.value
    assert (error.status_code, error.code) == (400, "ResourceNotFound")
    assert f"The specified resource {resource} is not found." in str(error.message)


def test_a_missing_parameter_is_named(client: Any) -> None:
    with pytest.raises(ClientException) as caught:
        get_task(client, "")
    assert (caught.value.status_code, caught.value.code) == (400, "MissingTaskId")


def test_the_definition_is_told_for_media_only(service: LocalService, client: Any) -> None:
    oss = oss_client(service)
    merged = f"/pre,o_{b64('a.mov')}/sur,o_{b64('z.mov')}"
    concat = f"video/concat,f_mp4,vcodec_h264,acodec_aac{merged}|sys/saveas,o_{b64('o.mp4')}"
    frames = f"video/snapshots,f_jpg,inter_1000|sys/saveas,o_{b64('frames/f')}"
    document = f"doc/convert,target_pdf|sys/saveas,o_{b64('o.pdf')}"
    definition = json.loads(
        get_task(client, submit(oss, concat), request_definition=True).task_request_definition
    )
    assert [source["URI"] for source in definition["Sources"]] == [
        "oss://media/a.mov",
        "oss://media/in.mov",
        "oss://media/z.mov",
    ]
    assert definition["Targets"] == [{"URI": "oss://media/o.mp4"}]
    definition = json.loads(
        get_task(client, submit(oss, frames), request_definition=True).task_request_definition
    )
    assert definition["Targets"] == [{"URI": "", "Image": {"Snapshots": [{"URI": "oss://media/frames/f"}]}}]
    task_id = submit(oss, document)
    assert (
        get_task(client, task_id, "OfficeConversion", request_definition=True).task_request_definition is None
    )
    assert get_task(client, submit(oss, concat)).task_request_definition is None


@pytest.mark.parametrize("sort", [None, "TaskId", "StartTime", "EndTime"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_listing_pages_through_everything_once(
    service: LocalService, client: Any, sort: str | None, order: str
) -> None:
    oss = oss_client(service)
    submitted = [submit(oss, convert(f"{n}.mp4")) for n in range(7)]
    for task_id in submitted:
        wait_for_end(client, task_id)
    found: list[Any] = []
    token = None
    pages = 0
    while pages == 0 or token:
        page = list_tasks(client, sort=sort, order=order, max_results=3, next_token=token)
        found += page.tasks
        token, pages = page.next_token, pages + 1
    assert pages == 3
    assert sorted(task.task_id for task in found) == sorted(submitted)
    keys = {"StartTime": "start_time", "EndTime": "end_time"}
    values = [getattr(task, keys.get(sort or "", "task_id")) for task in found]
    assert values == sorted(values, reverse=order == "desc")
    assert {task.progress for task in found} == {100}


def test_listing_filters(service: LocalService, client: Any) -> None:
    oss = oss_client(service)
    video = submit(oss, convert())
    document = submit(oss, f"doc/convert,target_pdf|sys/saveas,o_{b64('o.pdf')}")
    service.add_fault("job_fail", code="InvalidArgument", message="broken")
    failed = submit(oss, convert("second.mp4"))
    wait_for_end(client, failed)
    tasks = {task.task_id: task for task in list_tasks(client).tasks}
    assert tasks.keys() == {video, document, failed}
    assert (tasks[failed].code, tasks[failed].message) == ("InvalidArgument", "broken")

    def ids(**arguments: Any) -> set[str]:
        return {task.task_id for task in list_tasks(client, **arguments).tasks or []}

    assert ids(task_types=["OfficeConversion"]) == {document}
    assert ids(task_types=["OfficeConversion", "MediaConvert"]) == set(tasks)
    assert ids(status="Failed") == {failed}
    at = datetime.fromisoformat(tasks[document].start_time)
    after = (at + timedelta(microseconds=2)).isoformat().replace("+00:00", "Z")
    for sort in ("TaskId", "StartTime"):
        for order in ("asc", "desc"):
            arguments = {"sort": sort, "order": order}
            assert ids(start_time_range=models.TimeRange(start=after), **arguments) == {failed}
            assert ids(start_time_range=models.TimeRange(end=after), **arguments) == {video, document}
    assert ids(end_time_range=models.TimeRange(start="2100-01-01T00:00:00Z")) == set()
    definition = list_tasks(client, task_types=["MediaConvert"], request_definition=True).tasks[0]
    assert json.loads(definition.task_request_definition)["Sources"] == [{"URI": "oss://media/in.mov"}]


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_results": 101},
        {"max_results": 0},
        {"sort": "Status"},
        {"next_token": "?"},
        {"start_time_range": models.TimeRange(start="yesterday")},
        {"start_time_range": models.TimeRange(start="2026-01-01T00:00:00")},
    ],
)
def test_wrong_listing_arguments_are_refused(client: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ClientException) as caught:
        list_tasks(client, **arguments)
    assert (caught.value.status_code, caught.value.code) == (400, "InvalidArgument")


def test_bucket_attachment(service: LocalService, client: Any) -> None:
    def attachment(bucket: str) -> Any:
        return client.get_ossbucket_attachment(models.GetOSSBucketAttachmentRequest(ossbucket=bucket)).body

    assert attachment("media").project_name == "local-project"
    admin(service, "PUT", "buckets/second-bucket", {})
    with pytest.raises(ClientException) as caught:
        attachment("second-bucket")
    assert (caught.value.status_code, caught.value.code) == (400, "ResourceNotFound")
    request = models.AttachOSSBucketRequest(ossbucket="second-bucket", project_name="new-project")
    with pytest.raises(ClientException, match="Project is not found"):
        client.attach_ossbucket(request)
    admin(service, "PUT", "projects/new-project", {})
    client.attach_ossbucket(request)
    assert attachment("second-bucket").project_name == "new-project"


def test_buckets_of_a_project(service: LocalService, client: Any) -> None:
    for name in ("second-bucket", "third-bucket"):
        admin(service, "PUT", f"buckets/{name}", {})
        client.attach_ossbucket(models.AttachOSSBucketRequest(ossbucket=name, project_name="local-project"))

    def listed(**arguments: Any) -> Any:
        request = models.ListAttachedOSSBucketsRequest(project_name="local-project", **arguments)
        return client.list_attached_ossbuckets(request).body

    page = listed(max_results=2)
    assert [one.ossbucket for one in page.attached_ossbuckets] == ["media", "second-bucket"]
    page = listed(max_results=2, next_token=page.next_token)
    assert [one.ossbucket for one in page.attached_ossbuckets] == ["third-bucket"]
    assert page.next_token is None
    with pytest.raises(ClientException) as caught:
        listed(max_results=201)
    assert caught.value.code == "InvalidArgument"


def test_watermark_content(service: LocalService, client: Any) -> None:
    oss = oss_client(service)
    task_id = submit(oss, f"image/deblindwatermark,s_low,t_text|sys/notify,topic_{b64('t')}")
    assert wait_for_end(client, task_id, "DecodeBlindWatermark").status == "Succeeded"
    request = models.GetDecodeBlindWatermarkResultRequest(
        project_name="local-project", task_type="DecodeBlindWatermark", task_id=task_id
    )
    result = client.get_decode_blind_watermark_result(request).body
    assert (result.content, result.status, result.task_id) == ("hidden text", "Succeeded", task_id)


def test_an_unknown_action_is_refused(client: Any) -> None:
    with pytest.raises(ClientException) as caught:
        client.get_dataset(models.GetDatasetRequest(project_name="local-project", dataset_name="d"))
    assert (caught.value.status_code, caught.value.code) == (404, "InvalidAction.NotFound")
