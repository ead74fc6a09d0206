"""What a batch is to do: JSON natives only, so that it can travel in the arguments of a trigger."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import OSSAsyncError, ProcessError
from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    Specification,
    SpecificationTemplate,
    Style,
    parse_process,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_oss_async.process import Process

#: Version of the stored form.
VERSION = 1
#: What is not part of the request: it may differ from one try to the next.
_NOT_IN_FINGERPRINT = (
    "ledger", "deadline", "try_number", "max_objects", "max_in_flight", "max_submits_per_second", "attempts",
    "max_failed", "object_timeout", "manifest_format", "on_uncertain_submit", "imm_project", "fingerprint",
    "if_target_triggers", "watches", "verify_output", "if_output_differs",
    "probe", "probe_sample", "prices", "max_cost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BatchSpecification:
    """Everything that a runner has to know. Holds no secret.

    :param process: ``{"operation", "arguments", "extra_params", "allow_ignored"}``, ``{"text",
        "allow_ignored"}`` or ``{"style", "task_type"}``.
    :param target: ``oss://bucket/key`` with variables; empty where each source has its own, or none is
        written.
    :param sources: as :func:`.sources.sources_to_dict` made it; without items where the ledger holds the
        plan.
    :param ledger: ``oss://bucket/key`` of the ledger.
    :param bucket: bucket of sources that the ledger names by their key alone.
    :param deadline: when the batch must have ended, in epoch seconds (float).
    :param try_number: of the task; a later try takes again what may be tried again.
    :param if_target_exists: ``overwrite`` or ``skip``.
    :param if_target_triggers: ``fail`` or ``warn`` where a target would start the DAG again.
    :param watches: what the events watch that have started the run, as
        :func:`~airflow_provider_oss_async.events.target_check.watches_of` returned it.
    :param symlinks: whether symbolic links are processed.
    :param max_objects: objects at most.
    :param max_in_flight: submitted jobs that have not ended, at most.
    :param max_submits_per_second: submissions at most.
    :param attempts: jobs per object at most, for failures that pass by themselves.
    :param max_failed: failed objects that are tolerated: a number (int), or a share (float below 1).
    :param object_timeout: seconds for one job.
    :param manifest_format: ``jsonl`` or ``csv``.
    :param on_uncertain_submit: ``fail`` the object or ``resubmit`` it where it cannot be decided whether a
        request has started a job.
    :param region: of the connection.
    :param imm_project: IMM project; empty to look it up.
    :param probe: whether OSS is asked about the sources of media, to count the minutes of their results.
    :param probe_sample: about how many; ``None`` for all.
    :param prices: table of prices, as :mod:`.budget` describes it; empty for none.
    :param max_cost: what all jobs may cost by these prices; ``None`` for any sum.
    :param verify_output: ``exists`` or ``media`` to check the outputs of each job; empty for no check.
    :param if_output_differs: ``fail`` or ``warn``.
    :param fingerprint: of the request, where it was made from other sources than ``sources``.
    """

    process: dict[str, Any]
    target: str
    sources: dict[str, Any]
    ledger: str
    bucket: str
    deadline: float
    try_number: int = 1
    if_target_exists: str = "overwrite"
    symlinks: bool = False
    max_objects: int = 10_000
    max_in_flight: int = 200
    max_submits_per_second: float = 50.0
    attempts: int = 3
    max_failed: float = 0
    object_timeout: float = 6 * 3600.0
    manifest_format: str = "jsonl"
    on_uncertain_submit: str = "fail"
    region: str = ""
    imm_project: str = ""
    fingerprint: str = ""
    if_target_triggers: str = "fail"
    watches: list[dict[str, Any]] = field(default_factory=list)
    verify_output: str = ""
    if_output_differs: str = "fail"
    probe: bool = False
    probe_sample: int | None = None
    prices: dict[str, Any] = field(default_factory=dict)
    max_cost: float | None = None

    @property
    def request_fingerprint(self) -> str:
        """A digest of what is asked for: equal requests, equal digests."""
        if self.fingerprint:
            return self.fingerprint
        asked = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_FINGERPRINT}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        """Return a form of JSON natives."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BatchSpecification:
        """Read what :meth:`to_dict` wrote.

        :raises OSSAsyncError: it was written in a form that this version does not know.
        """
        known = {field.name for field in fields(cls)}
        if data.get("version") != VERSION or not data.keys() - {"version"} <= known:
            raise OSSAsyncError(
                f"What was stored of the batch has version {data.get('version')!r}, and this release of the "
                f"provider reads version {VERSION}: install the same release on workers and triggerers. The "
                "ledger is not lost: a retry goes on with it."
            )
        return cls(**{name: value for name, value in data.items() if name in known})


def process_to_dict(process: Any, *, task_type: str = "", allow_ignored: bool = False) -> dict[str, Any]:
    """Return a process in its stored form.

    :param process: a specification, a style, or a process string without saveas.
    :param task_type: IMM task type of a style that is given as a string.
    :param allow_ignored: whether a process string may hold parameters that are certain to have no effect.
    :raises ProcessError: it is none of these, or not allowed.
    """
    if isinstance(process, SpecificationTemplate):
        process = process.build()
    if isinstance(process, Specification):
        return {
            "operation": process.operation,
            # Through text, so that what is checked later is what was stored.
            "arguments": json.loads(json.dumps(process.values, default=_plain)),
            "extra_params": dict(process.extra_params),
            "allow_ignored": process.allow_ignored,
        }
    if isinstance(process, Style):
        return {"style": process.name, "task_type": process.task_type}
    if not isinstance(process, str):
        raise ProcessError(
            f"process={process!r:.100} is not allowed: expected a process string, a specification or a Style"
        )
    given = parse_process(process)
    if given.saveas is not None or given.topic:
        raise ProcessError("process names a target or a topic itself: leave them out, and set target")
    if given.is_style:
        if not task_type:
            raise ProcessError(
                f"{given.operation}: only OSS knows what a style does: give Style(name, task_type=...)"
            )
        return process_to_dict(Style(given.operation.removeprefix("style/"), task_type=task_type))
    # Checked here, once for all objects.
    SPECIFICATIONS[given.operation].from_process(given, allow_ignored=allow_ignored)
    return {"text": process, "allow_ignored": allow_ignored}


def read_process(data: Mapping[str, Any], arguments: Mapping[str, Any]) -> Specification | Style | Process:
    """Return a stored process, with an object's own arguments.

    :raises ProcessError: an argument is not allowed.
    """
    if "style" in data or "text" in data:
        if arguments:
            names = ", ".join(map(str, arguments))
            raise ProcessError(
                f"arguments of single objects ({names}) need a specification as process, such as "
                "VideoConvert(...)"
            )
        if "style" in data:
            return Style(data["style"], task_type=data["task_type"])
        return parse_process(data["text"])
    specification = SPECIFICATIONS.get(data["operation"])
    if specification is None:
        raise ProcessError(f"{data['operation']!r} is not an operation that this release knows")
    given = {**data["arguments"], **arguments}
    known = {field.name for field in specification.fields()}
    if unknown := given.keys() - known:
        raise ProcessError(
            f"{specification.operation}: {', '.join(sorted(map(str, unknown)))} is not among its arguments "
            f"({', '.join(sorted(known))})"
        )
    return specification(extra_params=data["extra_params"], allow_ignored=data["allow_ignored"], **given)


def _plain(value: Any) -> Any:
    seconds = getattr(value, "total_seconds", None)
    if seconds is None:
        raise TypeError(f"{type(value).__name__} cannot be stored")
    return seconds()
