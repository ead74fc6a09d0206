"""Metrics of the provider, in Airflow's own statistics (StatsD, OpenTelemetry or Datadog, as configured)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_oss_async.jobs.job import OSSJob

#: Name (below ``oss_async.``) and meaning of every metric; ``wait_seconds`` is a timer, the others are
#: counters.
METRICS: dict[str, str] = {
    "jobs_submitted": "jobs that OSS accepted",
    "jobs_reconnected": "jobs of an earlier try that a retry waits for",
    "jobs_reconciled": "jobs found after the answer to their submission was lost",
    "jobs_failed": "jobs that ended as failed or lost",
    "outputs_mismatched": "outputs that are not what was asked for (`verify_output`)",
    "wait_seconds": "time from the submission of a job until its task had the result",
    "imm_requests": "requests to IMM: polls and look-ups of jobs",
    "imm_throttled": "requests to IMM that were throttled",
}


def count(name: str, value: int = 1) -> None:
    """Increase a counter.

    :param name: one of :data:`METRICS`.
    """
    if name not in METRICS:
        raise KeyError(name)
    from airflow.providers.common.compat.sdk import Stats

    Stats.incr(f"oss_async.{name}", value)


def observe_seconds(name: str, seconds: float) -> None:
    """Record a duration.

    :param name: one of :data:`METRICS`.
    """
    if name not in METRICS:
        raise KeyError(name)
    from airflow.providers.common.compat.sdk import Stats

    Stats.timing(f"oss_async.{name}", seconds * 1000)


def observe_result(job: OSSJob, result: Mapping[str, Any]) -> None:
    """Record for how long a task has waited for a job whose result it has now, and whether that differs."""
    if result.get("verification", {}).get("verdict") == "differs":
        count("outputs_mismatched")
    if job.submitted is not None:
        observe_seconds("wait_seconds", max(0.0, time.time() - job.submitted))
