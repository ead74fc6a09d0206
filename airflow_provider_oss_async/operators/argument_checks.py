"""Checks of the arguments that operators and sensor share, once their templates are rendered.

Each function returns what is wrong, a sentence per argument, so that one error names all of them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.text import NATIVE_HINT, is_missing, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.completion import Circumstances

T = TypeVar("T")

#: What to do where it cannot be decided whether a request has started a job.
OnUncertainSubmit = Literal["fail", "resubmit"]
#: What to do where the target exists before the submission.
IfTargetExists = Literal["overwrite", "skip", "fail"]
#: What to do where the target would start the DAG again.
IfTargetTriggers = Literal["fail", "warn"]
#: What is checked of the output of a job; ``None`` for nothing.
VerifyOutput = Literal["exists", "media"]
#: What to do where the output is not what was asked for.
IfOutputDiffers = Literal["fail", "warn"]
#: Choices of the common arguments, besides ``completion``, whose choices are the registered strategies.
CHOICES: dict[str, Sequence[str]] = {
    "on_uncertain_submit": get_args(OnUncertainSubmit),
    "if_target_exists": get_args(IfTargetExists),
    "if_target_triggers": get_args(IfTargetTriggers),
}
#: Those of tasks that wait for their jobs.
OUTPUT_CHOICES: dict[str, Sequence[str]] = {
    "verify_output": get_args(VerifyOutput),
    "if_output_differs": get_args(IfOutputDiffers),
}
#: Arguments that are ``True`` or ``False``.
SWITCHES = (
    "allow_ignored",
    "wait_for_completion",
    "deferrable",
    "_end_from_trigger",
    "retry_failed_job",
    "durable",
    "missing_ok",
    "symlinks",
)


def wrong_names(task: Any) -> list[str]:
    """Return what is wrong with the arguments of a task that name its connection and its project."""
    wrong = []
    for name in ("oss_conn_id", "region", "imm_project"):
        value = getattr(task, name)
        if value is None and name != "oss_conn_id":
            continue
        if not isinstance(value, str):
            wrong.append(f"{name}={shown(value)} is not allowed: expected text ({NATIVE_HINT})")
        elif is_missing(value):
            wrong.append(f"{name}={value!r} is not allowed: the template has no value; expected a name")
        elif value != value.strip():
            wrong.append(f"{name}={shown(value)} is not allowed: remove the blanks around it")
    return wrong


def wrong_switches(task: Any) -> list[str]:
    """Return which arguments of a task should be ``True`` or ``False`` and are not: any text is true."""
    return [
        f"{name.lstrip('_')}={shown(value)} is not allowed: expected True or False"
        for name in SWITCHES
        if not isinstance(value := getattr(task, name, False), bool)
    ]


def wrong_choices(task: Any, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """Return which arguments of a task are none of their choices.

    :param choices: names of arguments, each with its choices.
    """
    return [
        f"{name}={shown(value)} is not allowed: expected {' or '.join(allowed)}"
        for name, allowed in choices.items()
        if not isinstance(value := getattr(task, name), str) or value not in allowed
    ]


def wrong_output_choices(task: Any, *, waits: bool) -> list[str]:
    """Return what is wrong with the arguments about the check of the output.

    :param waits: whether the task waits for its job.
    """
    checks = task.verify_output is not None
    names = OUTPUT_CHOICES if checks else OUTPUT_CHOICES.keys() - {"verify_output"}
    wrong = wrong_choices(task, {name: OUTPUT_CHOICES[name] for name in names})
    if checks and not waits:
        wrong.append("verify_output is not allowed with wait_for_completion=False: there is no output yet")
    return wrong


def wrong_durations(task: Any, limits: Mapping[str, float]) -> list[str]:
    """Return which arguments of a task are no durations above 0.

    :param limits: names of arguments, each with the most seconds that are allowed.
    """
    return [
        f"{name}={shown(value)} is not allowed: expected above 0, up to {most:g} s"
        for name, most in limits.items()
        if (seconds := seconds_of(value := getattr(task, name))) is None or not 0 < seconds <= most
    ]


def seconds_of(value: Any) -> float | None:
    """Return a number, text or ``timedelta`` as seconds; ``None`` if it is none of them."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def checked_topic(topic: object, problems: list[str]) -> str:
    """Return ``notify_topic`` as a text, empty where there is none; note what is wrong with it."""
    from airflow_provider_oss_async.process.naming import topic_errors

    wrong = [] if topic is None else topic_errors(topic, "notify_topic")
    problems += wrong
    return "" if topic is None or wrong else str(topic)


def collect(problems: list[str], check: Callable[[], T]) -> T | None:
    """Return what a check returns; ``None`` where it refuses, and note why."""
    try:
        return check()
    except ProcessError as error:
        problems.extend(error.problems or [str(error)])
        return None


def refusal(task_id: str, problems: Sequence[str]) -> ProcessError:
    """Return the error that names everything that is wrong with a task's arguments."""
    return ProcessError(
        f"Nothing was submitted. To correct in task {task_id}: {'; '.join(problems)}", problems=problems
    )


def circumstances_of(task: Any, settings: ConnectionSettings, *, waits: bool) -> Circumstances:
    """Return what a completion strategy has to know of a task and its connection.

    :param waits: whether the task waits for the job at all.
    """
    from airflow_provider_oss_async.jobs.completion import Circumstances

    return Circumstances(
        conn_id=settings.conn_id,
        waits=waits,
        deferrable=task.deferrable,
        smq_endpoint=settings.smq_endpoint,
        smq_queue=settings.smq_queue,
        smq_topic=settings.smq_topic,
    )
