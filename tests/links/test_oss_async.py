from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.links.oss_async import OSSAsyncTaskLink
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from tests.support.supervisor import Supervisor
from tests.support.tasks import TaskInstance, new_context

JOB = OSSJob("T", "MediaConvert", "oss://media/a/b.mov", region="ap-southeast-1")
ADDRESS = "https://oss.console.aliyun.com/bucket/oss-ap-southeast-1/media/overview"
TI_KEY: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


def video() -> OSSVideoConvertOperator:
    return OSSVideoConvertOperator(task_id="t", source="a.mov", target="b.mp4", container="mp4")


def test_the_page_of_the_bucket() -> None:
    ti: Any = TaskInstance()
    OSSAsyncTaskLink.push(ti, JOB)
    assert ti.xcoms == {OSSAsyncTaskLink.xcom_key: ADDRESS}


@pytest.mark.parametrize(
    "job",
    [
        OSSJob("T", "MediaConvert", "oss://media/a"),
        OSSJob("T", "MediaConvert", "", region="cn-hangzhou"),
        OSSJob("T", "MediaConvert", "a.mov", region="cn-hangzhou"),
    ],
)
def test_without_region_or_bucket_there_is_no_link(job: OSSJob) -> None:
    ti: Any = TaskInstance()
    OSSAsyncTaskLink.push(ti, job)
    assert ti.xcoms == {}
    assert OSSAsyncTaskLink.address(job) == ""


def test_a_task_knows_its_own_link_without_xcom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow asks at the end of every task, and logs an error for each XCom that is not there."""
    supervisor = Supervisor().install(monkeypatch)
    task = video()
    assert OSSAsyncTaskLink().get_link(task, ti_key=TI_KEY) == ""
    task._job = JOB
    assert OSSAsyncTaskLink().get_link(task, ti_key=TI_KEY) == ADDRESS
    assert supervisor.sent == []


def test_after_a_deferral_that_ended_without_an_event_the_link_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Airflow stores what it is told then in place of what the first part has pushed."""
    supervisor = Supervisor().install(monkeypatch)
    supervisor.stored[OSSAsyncTaskLink.xcom_key] = ADDRESS
    task = video()
    with pytest.raises(Exception, match="Trigger"):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, new_context())
    assert OSSAsyncTaskLink().get_link(task, ti_key=TI_KEY) == ADDRESS
