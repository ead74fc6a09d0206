"""Whether what a task writes would start its own DAG again.

A DAG that writes where its own events come from starts itself, and pays for a job each time. What is compared
are the targets of a task and what the events that have started its run watch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.events.filter import EventFilter
from airflow_provider_oss_async.events.payload import triggering

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_oss_async.process.naming import Outputs

_ADVICE = (
    "write elsewhere, name its prefix in exclude of the OSSEventTrigger, or set if_target_triggers='warn'"
)


def watches_of(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the events that have started this run watch, each once, as JSON natives.

    :param context: the task's context.
    :return: dicts as the ``watch`` of a payload; empty for a run that no event has started.
    :raises ProcessError: an event was written by another release.
    """
    watches: list[dict[str, Any]] = []
    for payload in triggering(context):
        watch = EventFilter.from_dict(payload["watch"])
        # A trigger for jobs alone filters nothing, and no object starts it.
        of_jobs = payload["jobs"] and not payload["objects"] and watch == EventFilter()
        if not of_jobs and watch.to_dict() not in watches:
            watches.append(watch.to_dict())
    return watches


class TargetCheck:
    """Compares targets with what is watched.

    A target of which only the service knows parts is compared by its constant beginning and end.

    :param watches: as :func:`watches_of` returned them.
    """

    def __init__(self, watches: Iterable[Mapping[str, Any]]) -> None:
        self._filters = [EventFilter.from_dict(watch) for watch in watches]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def problem(self, outputs: Outputs | None) -> str:
        """Return in a sentence that outputs would start the DAG again; empty where they would not.

        :param outputs: what a job will write; ``None`` for nothing.
        """
        if outputs is None:
            return ""
        if outputs.key:
            found = (one for one in self._filters if one.matches(outputs.bucket, outputs.key))
            return _sentence("target", outputs.bucket, outputs.key, next(found, None))
        head, tail = outputs.prefix, outputs.pattern.tail
        return self._maybe("target", outputs.bucket, head, tail)

    def ledger_problem(self, bucket: str, folder: str, suffix: str) -> str:
        """Return the same of the manifests that a batch writes beside its ledger.

        :param folder: beginning of their keys.
        :param suffix: end of their keys.
        """
        return self._maybe("ledger", bucket, folder, suffix)

    def _maybe(self, name: str, bucket: str, head: str, tail: str) -> str:
        found = (one for one in self._filters if one.may_match(bucket, head, tail))
        return _sentence(name, bucket, f"{head}*{tail}", next(found, None))


def _sentence(name: str, bucket: str, key: str, watch: EventFilter | None) -> str:
    if watch is None:
        return ""
    given = {name: value for name, value in watch.to_dict().items() if value}
    what = ", ".join(f"{name} {value}" for name, value in given.items()) or "all objects"
    return (
        f"{name}: oss://{bucket}/{key} would start this DAG again, because the events that have started this "
        f"run watch {what}: {_ADVICE}"
    )
