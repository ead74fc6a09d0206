from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from jinja2 import UndefinedError

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from tests.support.tasks import video


def batch(**arguments: Any) -> OSSAsyncProcessBatchOperator:
    return OSSAsyncProcessBatchOperator(
        task_id="many", process="video/convert,f_mp4", sources=["a"], **arguments
    )


@pytest.mark.parametrize("make", [video, batch])
def test_variables_of_oss_in_double_braces_are_named(make: Any, new_try: Any) -> None:
    with DAG("d", schedule=None):
        task = make(target="out/{{ barename }}.mp4")
    with pytest.raises(ProcessError, match=r"write \{barename\} in single braces") as caught:
        task.render_template_fields(new_try())
    assert isinstance(caught.value, AirflowFailException)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("make", [video, batch])
def test_other_names_are_jinjas_own_business(make: Any, new_try: Any) -> None:
    with DAG("d", schedule=None):
        task = make(target="out/{{ nonsense }}.mp4")
    with pytest.raises(UndefinedError, match="nonsense"):
        task.render_template_fields(new_try())


@pytest.mark.parametrize("make", [video, batch])
def test_the_hook_is_that_of_the_tasks_connection(make: Any) -> None:
    hook = make(target="o", oss_conn_id="mine", region="cn-beijing", imm_project="p").hook
    assert (hook.oss_conn_id, hook.region, hook.imm_project) == ("mine", "cn-beijing", "p")
