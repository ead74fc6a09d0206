"""Objects lost by a trigger whose process is killed: OSSEventTrigger, and one that deletes before it yields.

``python -m tests.system.event_loss --kills 100``

A process runs the trigger with Airflow's own manager of shared streams and with what Airflow's triggerer does
then: once a second it takes the events that were yielded, stores them, and tells the manager in the round
after that. The process is killed at a point or at any time, and the next one begins at once. The queue is
that of the stand-in.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_oss_async.clients.messages import parse_message
from airflow_provider_oss_async.clients.object_events import ObjectMessage
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.hooks.shared import shared_services
from tests.system.interrupted_trigger import KILL_AT, POINTS, InterruptedProducer, InterruptedTrigger, reach

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_oss_async.triggers.event_producer import EventProducer

QUEUE = "loss"
#: Objects that are uploaded before each kill.
OBJECTS = 3
#: Seconds between two rounds of a triggerer, in which it stores events; those of Airflow.
ROUND = 1.0
#: Seconds within which a process is killed that is not killed at a point.
LONGEST = 2.5
#: Seconds after which received messages come again.
VISIBILITY = 10
#: Seconds until nothing is left.
LIMIT = 60


class QuickTrigger(InterruptedTrigger):
    """Ours, without the times that only Airflow's scheduler needs."""

    def _producer(self) -> EventProducer:
        return InterruptedProducer(**self._stream_arguments(), join_delay=0.0, batch_interval=0.0)


class DeletingTrigger(BaseEventTrigger):
    """Deletes before it yields, as the trigger for SQS of Airflow's provider for Amazon does."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.{type(self).__qualname__}", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with shared_services(OSSAsyncHook()) as services:
            assert services.smq is not None
            while True:
                messages = await services.smq.receive(QUEUE)
                if not messages:
                    continue
                reach("before delete")
                await services.smq.delete(QUEUE, [message.handle for message in messages])
                reach("after delete")
                contents = [parse_message(message.body) for message in messages]
                objects = [
                    event.to_dict()
                    for content in contents
                    if isinstance(content, ObjectMessage)
                    for event in content.events
                ]
                reach("before yield")
                yield TriggerEvent({"objects": objects})  # type: ignore[no-untyped-call]
                reach("after yield")


WAYS: dict[str, Any] = {
    "OSSEventTrigger": lambda: QuickTrigger(queue=QUEUE, collect_for=0.2),
    "delete before yield": DeletingTrigger,
}


async def _run(trigger: BaseEventTrigger, stored: Path) -> None:
    """Run a trigger as the triggerer does."""
    from airflow.triggers.shared_stream import SharedStreamManager

    manager = SharedStreamManager()
    key = trigger.shared_stream_key()
    yielded: deque[tuple[TriggerEvent, int | None]] = deque()

    async def store() -> None:
        with stored.open("a") as file:
            confirmed: list[int] = []
            while True:
                await asyncio.sleep(ROUND)
                manager.confirm_persisted(confirmed)
                confirmed.clear()
                while yielded:
                    event, seq = yielded.popleft()
                    file.write("".join(f"{item['key']}\n" for item in event.payload["objects"]))
                    file.flush()
                    if seq is not None:
                        confirmed.append(seq)

    storing = asyncio.create_task(store())
    events = (
        trigger.run()
        if key is None
        else trigger.filter_shared_stream(manager.subscribe(trigger_id=1, trigger=trigger, key=key))
    )
    async for event in events:
        seq = None if key is None else manager.bind_pending_event(trigger_id=1, key=key)
        yielded.append((event, seq))
    await storing


def _serve_kills(way: str, stored: Path) -> None:
    """Run processes one after the other: each until the point, or for the seconds, that a line names."""
    for line in sys.stdin:
        text = line.strip()
        pid = os.fork()
        if not pid:
            if text in POINTS:
                os.environ[KILL_AT] = text
            # Airflow logs there.
            os.dup2(2, 1)
            try:
                asyncio.run(_run(WAYS[way](), stored))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        deadline = time.monotonic() + (LIMIT if text in POINTS else float(text))
        while time.monotonic() < deadline and not os.waitpid(pid, os.WNOHANG)[0]:
            time.sleep(0.01)
        reached = time.monotonic() < deadline
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        print("killed" if reached == (text in POINTS) else "not as told", flush=True)


@dataclass
class Outcome:
    """What a trigger has lost.

    :param at_points: number of kills at a point.
    :param at_any_time: number of other kills.
    :param uploaded: number of objects.
    :param lost: number of those that are in no event that was stored.
    :param repeated: number of times that an object was in a further event.
    :param problems: kills that did not happen as told.
    """

    way: str
    at_points: int
    at_any_time: int
    uploaded: int
    lost: int
    repeated: int
    problems: list[str]


def measure(folder: Path, way: str, kills: Sequence[str]) -> Outcome:
    """Run a trigger whose process is killed.

    :param way: one of :data:`WAYS`.
    :param kills: where to kill, in order: a point, or a number of seconds.
    """
    from airflow_provider_oss_async.local.server.app import LocalService

    stored = folder / "stored.txt"
    folder.mkdir(parents=True)
    stored.touch()
    rule = {"bucket": "media", "events": ["ObjectCreated:PutObject"], "queue": QUEUE}
    with LocalService(
        folder / "cloud", queues={QUEUE: {"visibility": VISIBILITY}}, event_rules={"all": rule}
    ) as service:
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.system.event_loss", "--serve", way, "--stored", str(stored)],
                env={
                    **os.environ,
                    "AIRFLOW_HOME": str(folder),
                    "AIRFLOW_CONN_OSS_ASYNC_DEFAULT": service.connection_json(),
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                },
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        uploaded: set[str] = set()
        problems = []
        try:
            for number, kill in enumerate(kills):
                for index in range(OBJECTS):
                    key = f"{number:04}-{index}"
                    uploaded.add(key)
                    service.put(key, b"")
                process.stdin.write(f"{kill}\n")
                process.stdin.flush()
                if (answer := process.stdout.readline().strip()) != "killed":
                    problems.append(f"{kill}: {answer or (folder / 'log').read_text()[-2000:]}")
            # The last one runs until nothing is left.
            process.stdin.write(f"{LIMIT}\n")
            process.stdin.flush()
            end = time.monotonic() + LIMIT
            while any(service.messages(QUEUE).values()) and time.monotonic() < end:
                time.sleep(0.1)
            # What was received must be stored, too.
            time.sleep(2 * ROUND)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdin.close()
            process.stdout.close()
    seen = Counter(stored.read_text().split())
    at_points = sum(kill in POINTS for kill in kills)
    return Outcome(
        way,
        at_points,
        len(kills) - at_points,
        len(uploaded),
        lost=len(uploaded - seen.keys()),
        repeated=seen.total() - len(seen),
        problems=problems,
    )


def compare(folder: Path, kills: int, seed: int = 1) -> list[Outcome]:
    """Kill both ways at the same places: half of the kills at points, the others at any time."""
    chosen = random.Random(seed)
    where: list[str] = [*POINTS] * (kills // 8)
    where += [f"{chosen.uniform(0, LONGEST):.2f}" for _ in range(kills - len(where))]
    chosen.shuffle(where)
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda way: measure(folder / way.replace(" ", "-"), way, where), WAYS))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the outcomes in rows."""
    rows: list[tuple[str, ...]] = [
        ("trigger", "kills at points", "at any time", "objects", "lost", "lost per 100 kills", "repeated")
    ]
    for outcome in outcomes:
        numbers = (outcome.at_points, outcome.at_any_time, outcome.uploaded, outcome.lost)
        share = f"{100 * outcome.lost / (outcome.at_points + outcome.at_any_time):.0f}"
        rows.append((outcome.way, *map(str, numbers), share, str(outcome.repeated)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="for each trigger; default 100")
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--stored", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve_kills(options.serve, options.stored)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        outcomes = compare(Path(folder), options.kills)
    print(table(outcomes))
    for problem in (problem for outcome in outcomes for problem in outcome.problems):
        print(problem)
    return int(any(outcome.problems for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
