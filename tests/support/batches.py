"""Batches on the stand-in: specifications, runners, ledgers and manifests."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.runner import BatchRunner, RunnerTiming
from airflow_provider_oss_async.batch.sources import sources_to_dict
from airflow_provider_oss_async.batch.specification import BatchSpecification, process_to_dict
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.process import ObjectURI, VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.jobs.services import Services

LEDGER = "oss://media/.oss-async/d/r/t/-1/2/ledger.jsonl"
#: Intervals of a runner in tests.
QUICK = RunnerTiming(
    linger=0.02, progress=0.5, retry_delay=0.05, ledger_retry=5.0, submit_timeout=5.0, stop=0.3
)


def specification(sources: Any, **options: Any) -> BatchSpecification:
    """Return a batch that converts videos to ``out/{barename}.mp4``."""
    process = options.pop("process", VideoConvert(container="mp4", video_codec="h264"))
    values = {
        "process": process_to_dict(process, task_type=options.pop("task_type", "")),
        "target": "oss://media/out/{barename}.mp4",
        "sources": sources_to_dict(sources, "media"),
        "ledger": LEDGER,
        "bucket": "media",
        "deadline": time.time() + 60,
        "region": "cn-hangzhou",
        "max_submits_per_second": 1000.0,
        **options,
    }
    return BatchSpecification(**values)


def runner(services: Services, spec: BatchSpecification, **options: Any) -> BatchRunner:
    return BatchRunner(services, spec, **{"timing": QUICK, **options})


async def run(spec: BatchSpecification, **options: Any) -> dict[str, Any]:
    """Run a batch to its end, with clients of its own."""
    async with OSSAsyncHook().session() as services:
        return await runner(services, spec, **options).run()


async def read_object(uri: str) -> bytes:
    parsed = ObjectURI.parse(uri)
    async with OSSAsyncHook().session() as services:
        return await services.oss.read(parsed.bucket, parsed.key)


async def manifest(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows of a manifest by their source."""
    rows = [json.loads(line) for line in (await read_object(summary["manifest"])).splitlines() if line]
    return {row["source"]: row for row in rows}


async def ledger_entries(uri: str = LEDGER) -> list[Any]:
    return [json.loads(line) for line in (await read_object(uri)).splitlines()]


def put_many(stand: Any, count: int, prefix: str = "in/", suffix: str = ".mov") -> list[str]:
    """Put small objects, directly into the store of the stand-in, and return their keys."""
    store = stand.service.cloud.store
    keys = []
    for number in range(count):
        path = store.temporary()
        path.write_bytes(b"data")
        keys.append(f"{prefix}{number:05}{suffix}")
        store.save("media", keys[-1], path)
    return keys
