from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.reference import read_job

JOB = OSSJob("MediaConvert-1", "MediaConvert", "oss://media/in.mov", imm_project="p")


@pytest.mark.parametrize(
    "given", [JOB, JOB.to_dict(), {**JOB.to_dict(), "outputs": [], "status": "succeeded"}]
)
def test_a_job_in_every_form(given: Any) -> None:
    assert read_job(given) == JOB


def test_a_bare_id() -> None:
    found = read_job("MediaConvert-1", task_type="MediaConvert", imm_project="p")
    assert found == OSSJob("MediaConvert-1", "MediaConvert", "", imm_project="p")


@pytest.mark.parametrize("task_id", ["a", "Z-1", "zz.9", "0123"])
def test_ids_of_any_form_are_taken(task_id: str) -> None:
    assert read_job(task_id, task_type="MediaConvert", imm_project="p").task_id == task_id


@pytest.mark.parametrize("task_type", ["MediaConvert", "OfficeConversion"])
def test_a_type_that_the_id_contradicts_is_refused(task_type: str) -> None:
    other = {"MediaConvert": "OfficeConversion", "OfficeConversion": "MediaConvert"}[task_type]
    with pytest.raises(ProcessError, match=f"one of {other}, not of {task_type}"):
        read_job(f"{other}-1", task_type=task_type, imm_project="p")


def test_the_project_of_the_job_comes_first() -> None:
    assert read_job(JOB, imm_project="other").imm_project == "p"
    assert read_job(OSSJob("T", "MediaConvert", ""), imm_project="other").imm_project == "other"


@pytest.mark.parametrize(
    ("given", "options", "parts"),
    [
        # Text of a whole result, as Jinja makes it.
        (str(JOB.to_dict()), {"task_type": "MediaConvert"}, ["text of a whole result", "job=submit.output"]),
        ("[{'task_id': 'T'}]", {"task_type": "MediaConvert"}, ["text of a whole result", "native_obj"]),
        ("None", {"task_type": "MediaConvert"}, ["job='None' is not allowed"]),
        ("", {"task_type": "MediaConvert"}, ["job='' is not allowed"]),
        ("two words", {"task_type": "MediaConvert"}, ["job='two words' is not allowed"]),
        ("x" * 300, {"task_type": "MediaConvert"}, ["is not allowed"]),
        # All that is wrong at once.
        ("a b", {}, ["job='a b' is not allowed", "imm_task_type=None is not allowed"]),
        ("MediaConvert-1", {"task_type": "Nonsense"}, ["imm_task_type='Nonsense'", "OfficeConversion"]),
        ("MediaConvert-1", {"task_type": "OfficeConversion"}, ["MediaConvert-1 is one of MediaConvert"]),
        ([JOB.to_dict()], {}, ["job=[{", "expand"]),
        ((), {}, ["job=() is not allowed", "expand"]),
        (None, {}, ["job=None is not allowed", "the result of an operator"]),
        (7, {}, ["job=7 is not allowed"]),
        (object(), {}, ["job=object is not allowed"]),
        ({}, {}, ["job has no task_id", "job has no task_type", "job=submit.output"]),
        ({"task_id": 7, "task_type": "MediaConvert"}, {}, ["job has no task_id"]),
        (OSSJob("T", "MediaConvert", ""), {"imm_project": ""}, ["IMM project is not known"]),
    ],
)
def test_what_names_no_job(given: Any, options: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(ProcessError) as caught:
        read_job(given, **{"imm_project": "p", **options})
    for part in parts:
        assert part in str(caught.value)
    assert caught.value.problems


def test_the_name_of_the_argument_is_told() -> None:
    with pytest.raises(ProcessError, match=r"task_id=7 is not allowed"):
        read_job(7, name="task_id")


@pytest.mark.parametrize("given", ["{" * 1_000_000, "x" * 1_000_000, ["x" * 1000] * 1000])
def test_long_values_are_cut(given: Any) -> None:
    with pytest.raises(ProcessError) as caught:
        read_job(given, task_type="MediaConvert")
    assert len(str(caught.value)) < 1000
