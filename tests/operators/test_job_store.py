from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.operators.job_store import KEY, JobStateStore

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = WaitSpecification(OSSJob("T", "MediaConvert", "oss://media/a"), "imm", 5.0)


def test_an_intent_and_then_a_job_are_remembered(new_try: Callable[..., Any]) -> None:
    context = new_try()
    record = JobStateStore(context, "f")
    assert record.read() is None
    record.write_intent({"etag": "e", "modified": 1.0, "version": ""})
    found = JobStateStore(new_try(context), "f").read()
    assert found is not None
    assert "wait_specification" not in found
    assert found["baseline"]["etag"] == "e"
    assert abs(found["intent_at"] - time.time()) < 5
    record.write_job(SPEC)
    found = JobStateStore(new_try(context), "f").read()
    assert found is not None
    assert WaitSpecification.from_dict(found["wait_specification"]) == SPEC
    record.delete()
    assert JobStateStore(new_try(context), "f").read() is None
    record.delete()


def test_another_request_or_another_run_of_tries_starts_anew(new_try: Callable[..., Any]) -> None:
    context = new_try()
    JobStateStore(context, "f").write_job(SPEC)
    assert JobStateStore(new_try(context), "g").read() is None
    assert JobStateStore(new_try(context, max_tries=3), "f").read() is None
    assert JobStateStore(new_try(context), "f").read() is not None
    # Whatever its request, the job is that of this run of tries.
    assert JobStateStore(new_try(context), "g").job() == SPEC.job
    assert JobStateStore(new_try(context, max_tries=3), "f").job() is None
    context["task_state_store"][KEY]["version"] = 0
    assert JobStateStore(new_try(context), "f").job() is None


@pytest.mark.parametrize("value", ["text", None, 3, [], {}])
def test_what_is_not_a_record_is_left_aside(new_try: Callable[..., Any], value: Any) -> None:
    context = new_try()
    context["task_state_store"][KEY] = value
    assert JobStateStore(context, "f").read() is None


@pytest.mark.parametrize("disabled", [True, False])
def test_without_a_store_nothing_is_remembered(new_try: Callable[..., Any], disabled: bool) -> None:
    context = new_try()
    if not disabled:
        del context["task_state_store"]
    record = JobStateStore(context, "f", enabled=not disabled)
    record.write_intent(None)
    record.write_job(SPEC)
    assert record.read() is None
    record.delete()
    assert not context.get("task_state_store")


def test_only_a_failure_before_the_request_is_raised(new_try: Callable[..., Any]) -> None:
    class Broken(dict[str, Any]):
        def set(self, key: str, value: Any) -> None:
            raise RuntimeError("no database")

        def delete(self, key: str) -> None:
            raise RuntimeError("no database")

    context = {**new_try(), "task_state_store": Broken()}
    record = JobStateStore(context, "f")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="no database"):
        record.write_intent(None)
    record.write_job(SPEC)
    record.delete()
