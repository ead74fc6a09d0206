"""Outputs that exist before a job is submitted, for ``if_target_exists``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.retry import retry
from airflow_provider_oss_async.process.naming import outputs_of

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.submission import JobRequest


@dataclass(frozen=True, slots=True)
class ExistingOutputs:
    """What stands at the target of a request.

    :param outputs: URIs, in the order of their keys; at least one.
    :param oldest: when the oldest of them was written, in epoch seconds.
    :param newer_than_source: whether all of them were written after the source, and none is empty.
    """

    request: JobRequest
    outputs: tuple[str, ...]
    oldest: float
    newer_than_source: bool

    def result(self) -> dict[str, Any]:
        """Return what an operator returns in place of a job's result: the same keys, without ids."""
        request = self.request
        return {
            "task_id": "",
            "task_type": request.task_type,
            "source": str(request.source),
            "target": request.target,
            "process": request.process.encode(),
            "region": request.region,
            "imm_project": request.imm_project,
            "event_id": "",
            "request_id": "",
            "submitted_at": "",
            "status": "skipped",
            "finished_at": datetime.fromtimestamp(self.oldest, UTC).isoformat(),
            "outputs": list(self.outputs),
        }


async def existing_outputs(services: Services, request: JobRequest) -> ExistingOutputs | None:
    """Return what stands at the target of a request, ``None`` if nothing does.

    Of a request with several outputs it cannot be told beforehand how many there will be: one counts.

    :raises OSSServiceError: source or target could not be read.
    """

    async def search() -> ExistingOutputs | None:
        expected = outputs_of(request.process, request.source)
        if expected is None:
            return None
        found: list[tuple[str, float, int]] = []
        if expected.key:
            state = await services.oss.head(expected.bucket, expected.key)
            if state is not None:
                found.append((expected.key, state.modified, state.size))
        else:
            listed = services.oss.list_objects(expected.bucket, expected.prefix)
            found = [
                (item.key, item.modified, item.size)
                async for item in listed
                if expected.pattern.fullmatch(item.key)
            ]
        if not found:
            return None
        source = await services.oss.head(request.source.bucket, request.source.key)
        oldest = min(modified for _, modified, _ in found)
        return ExistingOutputs(
            request=request,
            outputs=tuple(f"oss://{expected.bucket}/{key}" for key, _, _ in found),
            oldest=oldest,
            newer_than_source=source is not None
            and oldest > source.modified
            and all(size != 0 for _, _, size in found),
        )

    return await retry(search, seconds=services.timing.retry_seconds, backoff=services.timing.call_backoff)
