"""The options of the section ``[oss_async]``: the one table that provider info, hooks and README read.

Pure data: Airflow reads it while it starts.
"""

from __future__ import annotations

from typing import NamedTuple

SECTION = "oss_async"


class ConfigOption(NamedTuple):
    """One option; all of them are numbers.

    :param name: in the section; those of ``jobs.timing.Timing`` have the names of its fields.
    :param default: as text; ``None`` where the default depends on other options.
    :param doc: what it is, with its unit.
    """

    name: str
    default: str | None
    doc: str


OPTIONS: tuple[ConfigOption, ...] = (
    ConfigOption(
        "min_poll_interval",
        "2",
        "Seconds between the first two polls of a waiting job. The interval then grows up to the task's "
        "poll_interval.",
    ),
    ConfigOption(
        "max_requests_per_second",
        "20",
        "Requests per second that one process sends at most to IMM for one account. A project takes 100 for "
        "all APIs, which it shares with all other tools. Requests to OSS and SMQ are not counted, because "
        "they have other limits: a listing reads one page after another, and max_submits_per_second of a "
        "batch limits its submissions.",
    ),
    ConfigOption(
        "event_hold",
        None,
        "Seconds after the deferral before a trigger wakes a worker, so that the scheduler of Airflow 3.3 "
        "does not fail the task; 0 for none. Default: [workers] min_heartbeat_interval + 5.",
    ),
    ConfigOption(
        "poll_before_deferral",
        "0",
        "Seconds for which the worker polls a new job before it defers the task; 0 is one poll.",
    ),
    ConfigOption(
        "unknown_task_grace",
        "60",
        "Seconds for which IMM may not know an accepted task before the job counts as lost. How long that "
        "can take is not documented.",
    ),
    ConfigOption(
        "task_listing_delay",
        "15",
        "Seconds after which an accepted task is certain to be listed, for reconciling a lost answer. How "
        "long that can take is not documented.",
    ),
    ConfigOption(
        "retry_seconds",
        "60",
        "Seconds for which calls other than polls and submissions are repeated while there is no answer.",
    ),
)
