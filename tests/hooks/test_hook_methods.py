"""What tasks do with the hook: submitting, asking for a status, and objects."""

from __future__ import annotations

import copy
import json
import pickle
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from lazy_object_proxy import Proxy

from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError, ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process import VideoConvert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick", "connect")


def submit() -> OSSJob:
    return OSSAsyncHook().submit("in.mov", VideoConvert(container="mp4"), target="out.mp4")


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda hook: hook.submit("in.mov", "video/convert,f_mp4", target="out.mp4"), "asubmit"),
        (lambda hook: hook.get_status("T", imm_task_type="MediaConvert"), "aget_status"),
        (lambda hook: hook.list_keys(), "alist_keys"),
        (lambda hook: hook.exists("in.mov"), "aexists"),
        (lambda hook: hook.media_info("in.mov"), "amedia_info"),
    ],
)
async def test_inside_an_event_loop_the_coroutine_is_named(
    stand: Stand, call: Callable[[OSSAsyncHook], Any], name: str
) -> None:
    with pytest.raises(RuntimeError, match=rf"await hook\.{name}"):
        call(OSSAsyncHook())
    assert stand.accepted() == []


def test_a_missing_connection_is_one_kind_of_error() -> None:
    hook = OSSAsyncHook("nowhere")
    for call in (lambda: hook.settings, lambda: hook.exists("a"), lambda: hook.get_conn()):
        with pytest.raises(OSSConnectionError, match="There is no Airflow connection 'nowhere'") as caught:
            call()
        assert caught.value.advice
    works, message = hook.test_connection()
    assert not works
    assert "There is no Airflow connection" in message


# A job that a task returns


def test_a_job_that_a_task_returns_comes_back_as_what_operators_return() -> None:
    from airflow.sdk.bases.xcom import BaseXCom

    job = submit()
    stored = json.loads(json.dumps(BaseXCom.serialize_value(job)))
    again = BaseXCom.deserialize_value(SimpleNamespace(value=stored))
    assert type(again) is dict
    assert again == job.to_dict()
    assert OSSAsyncHook().get_status(again).state in ("running", "succeeded")


def test_a_job_is_a_dict_of_its_fields() -> None:
    job = OSSJob("T", "MediaConvert", "oss://media/a")
    assert job["task_id"] == job.task_id == "T"
    assert json.loads(json.dumps(job)) == job.to_dict() == dict(job)
    for again in (pickle.loads(pickle.dumps(job)), copy.deepcopy(job), OSSJob.from_dict(job)):
        assert again == job
        assert dict(again) == dict(job)
        assert hash(again) == hash(job)


# Status


def test_the_status_of_a_job_in_every_form(stand: Stand) -> None:
    stand.service.add_fault("job_fail", code="InvalidFile", message="not a video")
    job = submit()
    hook = OSSAsyncHook()
    while not hook.get_status(job).final:
        time.sleep(0.05)
    for status in (
        hook.get_status(job),
        hook.get_status(job.to_dict()),
        hook.get_status(job.task_id, imm_task_type="MediaConvert"),
    ):
        assert (status.state, status.code, status.detail) == ("failed", "InvalidFile", "not a video")
        assert status.finished_at
        assert status.final


def test_a_bare_id_has_the_project_of_the_hook_or_of_the_connection(connect: Callable[..., None]) -> None:
    task_id = submit().task_id
    connect({"imm_project": ""})
    with pytest.raises(ProcessError, match="imm_project"):
        OSSAsyncHook().get_status(task_id, imm_task_type="MediaConvert")
    hook = OSSAsyncHook(imm_project="local-project")
    assert hook.get_status(task_id, imm_task_type="MediaConvert").state in ("running", "succeeded")


@pytest.mark.parametrize(
    ("job", "task_type", "words"),
    [
        ("T", None, "imm_task_type=None"),
        ("T", "Nonsense", "Nonsense"),
        ("MediaConvert-1", "OfficeConversion", "one of MediaConvert"),
        ("{'task_id': 'T'}", "MediaConvert", "text of a whole result"),
        ([], "MediaConvert", "job="),
    ],
)
def test_what_is_no_job_is_refused(stand: Stand, job: Any, task_type: str | None, words: str) -> None:
    with pytest.raises(ProcessError, match=words):
        OSSAsyncHook().get_status(job, imm_task_type=task_type)
    assert stand.requests("IMM:GetTask") == 0


# Objects


def test_objects_below_a_prefix(stand: Stand) -> None:
    for key in ("a/1.mp4", "a/2.mov", "a/b/3.mp4", "a/folder/", "b/4.mp4"):
        stand.put(key)
    hook = OSSAsyncHook()
    assert hook.list_keys("a/") == [f"oss://media/a/{name}" for name in ("1.mp4", "2.mov", "b/3.mp4")]
    assert hook.list_keys("oss://media/a/", pattern="*.mp4") == [
        "oss://media/a/1.mp4",
        "oss://media/a/b/3.mp4",
    ]
    assert hook.list_keys("nothing/") == []
    assert len(hook.list_keys()) == 5
    with pytest.raises(ProcessError, match="more than 2"):
        hook.list_keys("a/", limit=2)
    assert len(hook.list_keys("a/", limit=3)) == 3


def test_only_objects_that_are_new_enough(stand: Stand) -> None:
    stand.put("a/old")
    time.sleep(1.1)
    moment = datetime.now(UTC).replace(microsecond=0)
    stand.put("a/new")
    assert OSSAsyncHook().list_keys("a/", since=moment) == ["oss://media/a/new"]
    # As Airflow's context gives prev_start_date_success.
    assert OSSAsyncHook().list_keys("a/", since=cast("Any", Proxy(lambda: moment))) == ["oss://media/a/new"]
    assert len(OSSAsyncHook().list_keys("a/", since=cast("Any", Proxy(lambda: None)))) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"since": datetime(2026, 1, 1)}, "time zone"),
        ({"limit": 0}, "limit=0"),
        ({"limit": 100_001}, "limit=100001"),
        ({"limit": True}, "limit=True"),
        ({"limit": "5"}, "limit='5'"),
        ({"since": "2026-01-01"}, "since='2026-01-01'"),
        ({"pattern": 5}, "pattern=5"),
        ({"prefix": 5}, "prefix=5"),
        ({"prefix": None}, "prefix=None"),
        ({"prefix": "oss://-b/x"}, "prefix"),
    ],
)
def test_wrong_arguments_of_a_listing(stand: Stand, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ProcessError, match=words):
        OSSAsyncHook().list_keys(**arguments)
    assert stand.requests("OSS:ListObjectsV2") == 0


def test_whether_an_object_exists(stand: Stand) -> None:
    hook = OSSAsyncHook()
    assert hook.exists("in.mov")
    assert hook.exists("oss://media/in.mov")
    assert not hook.exists("none.mov")
    with pytest.raises(OSSServiceError, match="nowhere"):
        hook.exists("oss://nowhere/in.mov")


def test_the_default_bucket(connect: Callable[..., None]) -> None:
    assert OSSAsyncHook().default_bucket == "media"
    connect(schema="")
    assert OSSAsyncHook().default_bucket == ""
    with pytest.raises(ProcessError, match="names no bucket"):
        OSSAsyncHook().list_keys("a/")


# Media


def test_wrong_arguments_of_media_info(stand: Stand) -> None:
    hook = OSSAsyncHook()
    for arguments, words in (
        ({"uri": "in.bin"}, "the extension does not tell"),
        ({"uri": "in.mov", "kind": "text"}, "kind='text' is not allowed: expected video or audio or image"),
        ({"uri": "", "kind": "video"}, "uri=''"),
    ):
        with pytest.raises(ProcessError, match=words):
            hook.media_info(**arguments)  # type: ignore[arg-type]
    assert stand.requests("OSS:GetObject") == 0
