"""What a batch costs: submissions a second, requests, bytes of the ledger, memory, stalls, and resuming.

``python -m tests.benchmarks.batch [OBJECTS ...]``; default 1000 10000 100000. Beside it, in the same run, the
bare asynchronous client of the SDK submits with the same concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.batch_server import BUCKET, PREFIX, batch_server

#: Seconds before each answer, and of a job.
LATENCY, JOB_SECONDS = 0.02, 5.0
#: Seconds between two polls: an eighth of a job, but two at least.
INTERVAL = max(2.0, JOB_SECONDS / 8)
#: Jobs under way, so that the rate of submissions is not limited by the jobs.
IN_FLIGHT = 2000
PROCESS = "video/convert,f_mp4,vcodec_h264,s_1280x720"
#: Submissions of the SDK that its rate is measured with.
SAMPLE = 2000
GOALS = {
    "submit rate / bare SDK": "0.9",
    "IMM requests / goal": "1",
    "ledger bytes per object": "300",
    "growth of memory": "60 MB",
    "longest stall": "100 ms",
    "replay": "10 s",
}


async def bare_sdk(count: int) -> float:
    """Return the submissions a second of the SDK's own client."""
    from alibabacloud_oss_v2.models import AsyncProcessObjectRequest

    from airflow_provider_oss_async.batch.runner import SUBMIT_CONCURRENCY
    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.process import ObjectURI, VideoConvert

    convert = VideoConvert(container="mp4", video_codec="h264", width=1280, height=720)
    source = ObjectURI(BUCKET, f"{PREFIX}000000.mov")
    text = convert.to_process(source, ObjectURI(BUCKET, "results/000000.mp4")).encode()
    client = await OSSAsyncHook("bench").get_async_conn()
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            request = AsyncProcessObjectRequest(bucket=BUCKET, key=source.key, process=text)
            await client.async_process_object(request, retry_max_attempts=1)

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(SUBMIT_CONCURRENCY)))
    seconds = time.perf_counter() - begun
    await client.close()
    return count / seconds


def specification(objects: int, number: int) -> Any:
    from airflow_provider_oss_async.batch.sources import ObjectListing, sources_to_dict
    from airflow_provider_oss_async.batch.specification import BatchSpecification, process_to_dict
    from airflow_provider_oss_async.process import VideoConvert

    convert = VideoConvert(container="mp4", video_codec="h264", width=1280, height=720)
    return BatchSpecification(
        process=process_to_dict(convert),
        target=f"oss://{BUCKET}/results/{{barename}}.mp4",
        sources=sources_to_dict(ObjectListing(PREFIX), BUCKET),
        ledger=f"oss://{BUCKET}/.oss-async/dag/run/task/-1/{number}/ledger.jsonl",
        bucket=BUCKET,
        deadline=time.time() + 6 * 3600,
        max_objects=objects,
        max_in_flight=IN_FLIGHT,
        max_submits_per_second=10_000.0,
        region="cn-hangzhou",
    )


async def measure(objects: int) -> dict[str, Any]:
    """Run a batch, then replay its ledger."""
    import psutil

    from airflow_provider_oss_async.batch.runner import BatchRunner
    from airflow_provider_oss_async.batch.show import read_state
    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.process import ObjectURI
    from tests.benchmarks.waiting import Stalls

    process, stalls = psutil.Process(), Stalls()
    sampling = asyncio.create_task(stalls.run())
    sdk = await bare_sdk(min(objects, SAMPLE))
    async with OSSAsyncHook("bench").session() as services:
        await services.oss.head(BUCKET, f"{PREFIX}000000.mov")
        before = process.memory_info().rss
        most = before
        spec = specification(objects, 1)
        runner = BatchRunner(services, spec)
        submitted: list[float] = []
        accepted = runner._accepted

        def note(index: int, job: Any) -> None:
            submitted.append(time.perf_counter())
            accepted(index, job)

        runner._accepted = note  # type: ignore[method-assign]
        stalls.phase = "batch"
        begun = time.perf_counter()

        async def sample() -> None:
            nonlocal most
            while True:
                most = max(most, process.memory_info().rss)
                await asyncio.sleep(0.25)

        sampler = asyncio.create_task(sample())
        summary = await runner.run()
        seconds = time.perf_counter() - begun
        stalls.phase = ""
        sampler.cancel()
        # The first jobs under way are submitted without waiting for others.
        first = submitted[: min(objects, IN_FLIGHT)]
        rate = (len(first) - 1) / (first[-1] - first[0])
        again = time.perf_counter()
        resident = process.memory_info().rss
        stalls.phase = "replay"
        state = await read_state(services.oss, ObjectURI.parse(spec.ledger))
        replay = time.perf_counter() - again
        assert len(state.rows) == objects
        replayed = process.memory_info().rss - resident
    sampling.cancel()
    return {
        "ok": summary["ok"],
        "sdk": sdk,
        "rate": rate,
        "planning": submitted[0] - begun,
        "seconds": seconds,
        "memory": most - before,
        "stall": stalls.longest("batch"),
        "stall 99%": stalls.percentile99("batch"),
        "own stall": stalls.longest_own("batch"),
        "collection": stalls.collection.get("batch", 0.0),
        "replay": replay,
        "replay memory": replayed,
        "appends": runner._writer.appends,
    }


def report(objects: int, measured: dict[str, Any], counts: dict[str, Any]) -> None:
    asked = counts["counts"]
    imm = sum(asked.get(name, 0) for name in ("GetTask", "ListTasks", "GetProject", "GetOSSBucketAttachment"))
    goal = 1.3 * objects / 100 + max(1.0, measured["seconds"] / INTERVAL)
    other = {name: asked.get(name, 0) for name in ("List", "HEAD", "GET", "AppendObject")}
    ledger = sum(size for key, size in counts["bytes"].items() if key.endswith("ledger.jsonl"))
    jobs = asked.get("AsyncProcess", 0)
    print(f"\n{objects} objects, {measured['seconds']:.0f} s, {jobs} submissions, ok: {measured['ok']}")
    for name, value in (
        ("submit rate", f"{measured['rate']:.0f}/s"),
        ("submit rate / bare SDK", f"{measured['rate'] / measured['sdk']:.2f} (SDK {measured['sdk']:.0f}/s)"),
        (
            "IMM requests",
            f"{imm} ({', '.join(f'{n} {asked[n]}' for n in ('GetTask', 'ListTasks') if n in asked)})",
        ),
        ("IMM requests / goal", f"{imm / goal:.2f}"),
        ("OSS requests", ", ".join(f"{name} {count}" for name, count in other.items())),
        ("ledger bytes per object", f"{ledger / objects:.0f}"),
        ("growth of memory", f"{measured['memory'] / 2**20:.0f} MB"),
        ("longest stall", f"{measured['stall'] * 1000:.0f} ms (99%: {measured['stall 99%'] * 1000:.0f} ms)"),
        ("the same without GC", f"{measured['own stall'] * 1000:.0f} ms"),
        ("longest collection", f"{measured['collection'] * 1000:.0f} ms"),
        ("planning", f"{measured['planning']:.1f} s"),
        ("replay", f"{measured['replay']:.1f} s, {measured['replay memory'] / 2**20:.0f} MB"),
    ):
        goal_text = f"   goal {GOALS[name]}" if name in GOALS else ""
        print(f"  {name:<26}{value}{goal_text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asyncio.run(measure(options.measure))))
        return
    for objects in options.objects:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with batch_server(folder, objects, LATENCY, JOB_SECONDS) as server:
                environment = {**os.environ, **server.environment, "AIRFLOW_HOME": str(folder / "airflow")}
                done = subprocess.run(
                    [sys.executable, "-m", "tests.benchmarks.batch", "--measure", str(objects)],
                    env=environment, stdout=subprocess.PIPE, text=True, check=True,
                )  # fmt: skip
                counts = server.call("report")
                # Those of the bare SDK are not the batch's.
                counts["counts"]["AsyncProcess"] -= min(objects, SAMPLE)
                report(objects, json.loads(done.stdout.splitlines()[-1]), counts)


if __name__ == "__main__":
    main()
