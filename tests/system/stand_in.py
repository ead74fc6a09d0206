"""The stand-in as a process of its own, so that it can be killed: its jobs end on request.

``python stand_in.py DIRECTORY PORT LOW HIGH``: a job lasts between LOW and HIGH seconds. An object holds the
name of a gate: its job ends once there is a file of that name in ``DIRECTORY/gates``. If it is empty there is
no gate. Such a job does no work; one on any longer object does.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.result import Produced, ProducedFile
from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.server.app import serve
from airflow_provider_oss_async.local.server.cloud import Cloud

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.server.job_runner import Processor

#: Buckets, and the IMM projects they are bound to.
BUCKETS = {"media": "local-project", "papers": "papers-project"}
#: Topics, and the queues that subscribe to them. Messages are gone when the stand-in is killed.
TOPICS = {"done": ["waiting"]}
#: Queues of object events, and the prefixes whose uploads are announced there.
EVENTS = {
    "arrivals": ["events/arrivals/"],
    "shared": ["events/left/", "events/right/"],
    "paused": ["events/paused/"],
}
#: Bytes of the name of a gate, at most.
LONGEST_NAME = 500


def waiting_at(gates: Path) -> Processor:
    def process(spec: Any, source: Path, segments: Any, workdir: Path) -> Produced:
        if source.stat().st_size > LONGEST_NAME:
            return process_job(spec, source, segments, workdir)
        gate = source.read_text()
        while gate and not (gates / gate).exists():
            time.sleep(0.1)
        result = workdir / "result"
        result.write_text("done")
        extension = str(spec.get("container") or spec.get("target_format") or spec.get("format") or "bin")
        return Produced([ProducedFile(result, index=1, extension=extension)])

    return process


def main() -> None:
    directory, port, low, high = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    cloud = Cloud(
        directory,
        buckets=BUCKETS,
        topics=TOPICS,
        queues={name: {"visibility": 15} for name in EVENTS},
        event_rules={
            name: {
                "bucket": "media",
                "events": ["ObjectCreated:PutObject"],
                "objects": [{"prefix": prefix} for prefix in prefixes],
                "queue": name,
            }
            for name, prefixes in EVENTS.items()
        },
        workers=64,
        # These tests are not about the queue of a project.
        engine_concurrency=10_000,
        job_seconds=(low, high),
        processor=waiting_at(directory / "gates"),
    )

    async def run() -> None:
        await serve(cloud, "127.0.0.1", port, lambda: None, asyncio.Event())

    asyncio.run(run())


if __name__ == "__main__":
    main()
