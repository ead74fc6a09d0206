"""Reading what users give to name a job: the result of an operator, a handle, or a bare task id."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.process import TASK_TYPES

#: What a task id looks like: no blanks, brackets or quotes. Its form is not documented further.
_TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")


def read_job(job: Any, *, task_type: str | None = None, imm_project: str = "", name: str = "job") -> OSSJob:
    """Return the job that a user names.

    :param job: an :class:`OSSJob`, the dict that an operator returns, or a task id.
    :param task_type: IMM task type (str), needed with a bare task id.
    :param imm_project: IMM project (str) of a job that does not name its own.
    :param name: the argument's name, for the message.
    :raises ProcessError: names every wrong argument.
    """
    problems: list[str] = []
    data: dict[str, Any] = {}
    if isinstance(job, OSSJob):
        data = job.to_dict()
    elif isinstance(job, dict):
        data = dict(job)
        problems += [
            f"{name} has no {key}: pass the result of an operator, such as {name}=submit.output"
            for key in ("task_id", "task_type")
            if not isinstance(data.get(key), str) or not data[key]
        ]
    elif isinstance(job, str):
        data = {"task_id": job, "task_type": task_type}
        problems += _id_problems(job, name)
        if task_type not in TASK_TYPES:
            problems.append(
                f"imm_task_type={task_type!r} is not allowed: a bare task id needs {' or '.join(TASK_TYPES)}"
            )
    else:
        shown = repr(job)[:200] if isinstance(job, list | tuple | int | float | None) else type(job).__name__
        hint = (
            ": of several results, pass one, or map the task over them with expand"
            if isinstance(job, list | tuple)
            else ""
        )
        problems.append(
            f"{name}={shown} is not allowed{hint or ': expected the result of an operator, or a task id'}"
        )
    problems += _type_problems(data, name)
    project = str(data.get("imm_project") or "") or imm_project
    if not problems and not project:
        problems.append(f"{name}: its IMM project is not known; set imm_project here or on the connection")
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)
    return OSSJob.from_dict({**data, "imm_project": project})


def _id_problems(text: str, name: str) -> list[str]:
    if _TASK_ID.fullmatch(text) and text != "None":
        return []
    shown = repr(text[:200])
    if text.lstrip()[:1] in ("{", "["):
        return [
            f"{name}={shown} is the text of a whole result, not a task id: pass {name}=submit.output, or "
            "render_template_as_native_obj=True on the DAG"
        ]
    return [f"{name}={shown} is not allowed: expected the result of an operator, or a task id"]


def _type_problems(data: dict[str, Any], name: str) -> list[str]:
    """Return that the type which an id begins with is another than the one given."""
    task_id, task_type = data.get("task_id"), data.get("task_type")
    if not isinstance(task_id, str) or task_type not in TASK_TYPES:
        return []
    visible = task_id.partition("-")[0]
    if visible in TASK_TYPES and visible != task_type:
        return [f"{name}: the task id {task_id} is one of {visible}, not of {task_type}"]
    return []
