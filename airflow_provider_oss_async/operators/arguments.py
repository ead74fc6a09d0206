"""The arguments that operators and sensor pass on to Airflow; for type checkers and editors.

Made by ``python -m tests.generate``. Where an argument needs a newer Airflow than 3.2, a comment says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import collections.abc
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta
    from typing import Any, Required

    from airflow.sdk import DAG, Context, TaskGroup, XComArg
    from airflow.sdk.definitions.retry_policy import RetryPolicy
    from airflow.sdk.types import WeightRuleParam

    TaskStateChangeCallback = Callable[[Context], Any]
    TaskPreExecuteHook = Callable[[Context], Any]
    TaskPostExecuteHook = Callable[[Context, Any], Any]


class Clip(TypedDict, total=False):
    """One further object of a merge, with an optional cut.

    ``object`` is a key, or ``oss://bucket/key`` in the source's bucket. ``start`` and ``duration`` are
    seconds or a ``timedelta``; a ``duration`` of 0 means to the end.
    """

    object: Required[str | XComArg]
    start: float | timedelta | str | XComArg | None
    duration: float | timedelta | str | XComArg | None


class TaskArguments(TypedDict, total=False):
    """Arguments of Airflow's ``BaseOperator``."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: RetryPolicy | None  # Airflow 3.3 and later
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: collections.abc.MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: WeightRuleParam
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: TaskStateChangeCallback | Collection[TaskStateChangeCallback] | None
    on_failure_callback: TaskStateChangeCallback | list[TaskStateChangeCallback] | None
    on_success_callback: TaskStateChangeCallback | Collection[TaskStateChangeCallback] | None
    on_retry_callback: TaskStateChangeCallback | list[TaskStateChangeCallback] | None
    on_skipped_callback: TaskStateChangeCallback | Collection[TaskStateChangeCallback] | None
    pre_execute: TaskPreExecuteHook | None
    post_execute: TaskPostExecuteHook | None
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any | None
    outlets: Any | None
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class SensorArguments(TaskArguments, total=False):
    """Arguments of Airflow's ``BaseSensorOperator``."""

    poke_interval: timedelta | float
    timeout: timedelta | float | None
    soft_fail: bool
    mode: str
    exponential_backoff: bool
    max_wait: timedelta | float | None
    silent_fail: bool
    never_fail: bool
