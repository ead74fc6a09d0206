"""Which outputs a period has left undone: what is expected of a listing of sources, against what exists."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_oss_async.batch.ledger import PREFIX
from airflow_provider_oss_async.batch.plan import GONE, RequestBuilder, compare_with_targets
from airflow_provider_oss_async.batch.sources import sources_to_dict
from airflow_provider_oss_async.batch.specification import BatchSpecification, process_to_dict
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.jobs.output_check import check_outputs
from airflow_provider_oss_async.process import ObjectURI
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from airflow_provider_oss_async.batch.state import Row
    from airflow_provider_oss_async.jobs.result import OutputObject
    from airflow_provider_oss_async.jobs.services import Services

log = logging.getLogger(__name__)

Level = Literal["exists", "media"]
LEVELS: tuple[Level, ...] = get_args(Level)
#: Jobs whose outputs are inspected at once.
_CONCURRENCY = 8
MAX_OBJECTS = 1_000_000
#: Objects whose outputs are inspected together.
SLICE = 256


def expectation(
    sources: Any,
    process: Any,
    target: str | None,
    *,
    verify_output: str = "exists",
    max_objects: int = 10_000,
    bucket: str = "",
) -> BatchSpecification:
    """Check what :func:`incomplete_outputs` is asked, and return it in the form of a batch.

    :param bucket: default bucket of the connection.
    :raises ProcessError: names every argument that is wrong.
    """
    problems: list[str] = []
    read: dict[str, Any] = {}
    for name, check in (
        ("sources", lambda: sources_to_dict(sources, bucket)),
        ("process", lambda: process_to_dict(process)),
        ("target", lambda: _target(target, bucket)),
    ):
        try:
            read[name] = check()
        except ProcessError as error:
            problems += error.problems or [str(error)]
    if verify_output not in LEVELS:
        problems.append(
            f"verify_output={shown(verify_output)} is not allowed: expected {' or '.join(LEVELS)}"
        )
    if type(max_objects) is not int or not 1 <= max_objects <= MAX_OBJECTS:
        problems.append(
            f"max_objects={shown(max_objects)} is not allowed: expected a whole number, 1 to {MAX_OBJECTS}"
        )
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)
    listed = read["sources"]
    first = listed["items"][0][0] if listed.get("items") else ""
    own = first or listed.get("bucket") or str(listed.get("uri", "")).removeprefix("oss://").partition("/")[0]
    spec = BatchSpecification(
        **read,
        # There is no ledger; this is where it would be.
        ledger=f"oss://{own or bucket or 'none'}/{PREFIX}none",
        bucket=own or bucket,
        deadline=time.time(),
        # Modification times are compared.
        if_target_exists="skip",
        max_objects=max_objects,
    )
    if not RequestBuilder(spec).writes_object:
        raise ProcessError("process writes no object, so there is nothing to look for")
    return spec


async def incomplete_outputs(
    services: Services, spec: BatchSpecification, *, verify_output: Level = "exists"
) -> list[dict[str, Any]]:
    """Return the objects whose outputs are not what they should be, in the form that a batch takes.

    :param spec: as :func:`expectation` made it.
    :param verify_output: ``exists``, or ``media`` to compare existing outputs with what was asked for.
    :return: dicts with ``source``, ``target``, arguments of its own, and ``reason``: ``missing``, ``empty``,
        ``older than its source``, or how an output differs from what was asked for.
        What has no source any more is left out.
    :raises ProcessError: two objects have one target, or there are more than ``max_objects``.
    :raises OSSServiceError: OSS refuses to list, or gives no answer.
    """
    plan, states = await compare_with_targets(services, spec, keep=verify_output == "media")
    builder = RequestBuilder(spec)
    limit = asyncio.Semaphore(_CONCURRENCY)

    async def difference(row: Row, outputs: list[OutputObject]) -> str:
        source = ObjectURI.parse(row.source, default_bucket=plan.bucket)
        request = builder.request(source, row.target, row.arguments)
        async with limit:
            report = await check_outputs(
                services, request.process, request.source, outputs, level="media", whole=True
            )
        if report.verdict == "not verified":
            log.warning("The outputs of %s could not be verified: %s", source, "; ".join(report.reasons))
        return "; ".join(map(str, report.differences))

    reasons = [state.reason for state in states]
    if verify_output == "media":
        sound = [index for index, state in enumerate(states) if not state.reason]
        for begin in range(0, len(sound), SLICE):
            part = sound[begin : begin + SLICE]
            found = await asyncio.gather(
                *(difference(plan.rows[index], states[index].outputs) for index in part)
            )
            for index, text in zip(part, found, strict=True):
                reasons[index] = text
    incomplete = [
        {
            "source": str(ObjectURI.parse(row.source, default_bucket=plan.bucket)),
            "target": row.target or spec.target,
            **(row.arguments or {}),
            "reason": reason,
        }
        for row, reason in zip(plan.rows, reasons, strict=True)
        if reason not in ("", GONE)
    ]
    kinds = Counter(
        state.reason or ("differs" if text else "") for state, text in zip(states, reasons, strict=True)
    )
    kinds.pop("", None)
    log.info(
        "Of %d objects %d have outputs to be made (%s); set aside: %s",
        plan.found,
        len(incomplete),
        ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none",
        dict(Counter(reason for _, reason in plan.set_aside)) or "none",
    )
    return incomplete


def _target(target: Any, bucket: str) -> str:
    if target is None:
        return ""
    return str(ObjectURI.parse(target, name="target", default_bucket=bucket, variables=True))
