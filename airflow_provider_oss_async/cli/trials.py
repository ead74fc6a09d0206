"""The jobs that ``verify`` runs, one of each operation at least, and what is seen of them."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from airflow_provider_oss_async.cli.samples import samples
from airflow_provider_oss_async.clients.errors import is_task_not_found
from airflow_provider_oss_async.clients.messages import CompletionMessage, parse_message
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSServiceError,
    OSSSubmitError,
    OSSThrottledError,
    OSSUnavailableError,
)
from airflow_provider_oss_async.jobs.end_time_cursor import epoch
from airflow_provider_oss_async.jobs.job import JobStatus
from airflow_provider_oss_async.jobs.result import result_of
from airflow_provider_oss_async.jobs.submission import build_request, submit_attempt
from airflow_provider_oss_async.process import (
    AudioConcat,
    AudioConvert,
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_oss_async.clients.imm import TaskInfo
    from airflow_provider_oss_async.clients.media_info import MediaInfo
    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.process import Specification

log = logging.getLogger(__name__)

#: Layout of the sprite sheet: columns, rows, padding and margin, width and height of a tile.
SPRITE = (2, 1, 4, 2, 40, 32)


class Trial(NamedTuple):
    """One job.

    :param make: makes the process, given the folder of the run.
    :param source: name of the sample.
    :param target: key below the folder; empty where nothing is written.
    """

    name: str
    make: Callable[[str], Specification]
    source: str
    target: str


_MERGED: dict[str, Any] = {"sample_rate": 16_000, "channels": 1}
TRIALS: tuple[Trial, ...] = (
    Trial("convert", lambda f: VideoConvert(container="mp4", video_codec="h264", audio_codec="aac",
                                            width=128), "clip.mp4", "convert/out.mp4"),
    Trial("merge", lambda f: VideoConcat(container="mp4", video_codec="h264", audio_codec="aac", width=128,
                                         height=96, frame_rate=10, after=[f"{f}clip.mp4"], **_MERGED),
          "clip.mp4", "merge/out.mp4"),
    Trial("frames", lambda f: VideoSnapshots(format="jpg", interval=1), "clip.mp4", "frames/f"),
    Trial("numbered frames", lambda f: VideoSnapshots(format="jpg", interval=1), "clip.mp4",
          "numbered/{index}.jpg"),
    Trial("sprite", lambda f: VideoSprite(format="png", interval=1, columns=SPRITE[0], rows=SPRITE[1],
                                          padding=SPRITE[2], margin=SPRITE[3], tile_width=SPRITE[4],
                                          tile_height=SPRITE[5]),
          "clip.mp4", "sprite/{index}.png"),
    Trial("animation", lambda f: VideoAnimation(format="gif", frame_rate=5, width=64), "clip.mp4",
          "animation/out.gif"),
    Trial("audio", lambda f: AudioConvert(container="mp3"), "tone.wav", "audio/out.mp3"),
    Trial("audio merge", lambda f: AudioConcat(container="mp3", after=[f"{f}tone.wav"], **_MERGED),
          "tone.wav", "audio-merge/out.mp3"),
    Trial("document", lambda f: DocumentConvert(target_format="png"), "pages.docx", "pages/{index}.png"),
    Trial("watermark", lambda f: DecodeBlindWatermark(), "picture.png", ""),
    Trial("unreadable source", lambda f: VideoConvert(container="mp4", video_codec="h264"), "broken.mp4",
          "broken/out.mp4"),
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """What was seen of one job.

    :param refused: why it was not accepted; empty if it was.
    :param lookup_error: what ``GetTask`` said when it did not know the job; empty if it did.
    :param state: ``running``, ``succeeded`` or ``failed``; empty while nothing is known.
    :param listed_after: seconds from the submission until it was listed; ``None`` if it never was.
    :param end_listed_after: seconds from its end until it was listed by its end; ``None`` if it never was.
    :param written: keys that it has written, below the folder of the run.
    :param found: those of them that the package finds as its outputs.
    """

    trial: Trial
    job: OSSJob | None = None
    refused: str = ""
    submitted_at: float = 0.0
    known: bool = False
    lookup_error: str = ""
    state: str = ""
    code: str = ""
    detail: str = ""
    started: float | None = None
    ended_at: float = 0.0
    listed_after: float | None = None
    end_listed_after: float | None = None
    definition: str = ""
    written: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    found_at_once: bool = True
    message: CompletionMessage | None = None


@dataclass(slots=True)
class Observations:
    """What was seen in a run.

    :param foreign_messages: messages in the queue that nobody understands.
    :param cursor_error: why ``ListTasks`` cannot sort by the end; empty if it can.
    :param unknown_task: code and message for a task that there is none of.
    :param unknown_task_understood: whether the package reads that as such.
    :param burst: requests sent at once, and answered.
    :param listing_delay: seconds within which tasks must be listed.
    :param media_info: what ``video/info`` says of the result of a conversion; ``None`` if nothing.
    :param media_info_error: why; ``None`` where it was not asked.
    """

    jobs: list[Seen]
    with_messages: bool
    listing_delay: float
    foreign_messages: int = 0
    cursor_error: str = ""
    unknown_task: str = ""
    unknown_task_understood: bool = False
    burst: tuple[int, int] = (0, 0)
    sprite_size: tuple[int, int] | None = None
    media_info: MediaInfo | None = None
    media_info_error: OSSServiceError | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """How a run is done.

    :param folder: key prefix of everything it writes, with a slash at the end.
    :param timeout: seconds for all jobs.
    :param interval: seconds between two polls.
    :param grace: seconds for which ended jobs are waited for in listings, and messages in the queue.
    :param burst: requests that are sent within a second; 0 for none.
    """

    bucket: str
    project: str
    region: str
    folder: str
    topic: str = ""
    queue: str = ""
    keep: bool = False
    timeout: float = 1200.0
    interval: float = 1.0
    grace: float = 90.0
    burst: int = 20


async def observe(services: Services, trials: Sequence[Trial], run: Run) -> Observations:
    """Upload the samples, run the jobs, inspect them, and remove everything again.

    :raises OSSServiceError: the samples cannot be uploaded, or IMM refuses to tell.
    """
    seen = Observations(
        [Seen(trial) for trial in trials], bool(run.topic and run.queue), services.timing.task_listing_delay
    )
    try:
        for name, data in samples().items():
            await services.oss.put(run.bucket, run.folder + name, data)
        begin = time.time()
        for one in seen.jobs:
            await _submit(services, one, run)
        receiving = asyncio.create_task(_receive(services, seen, run)) if seen.with_messages else None
        try:
            await _watch(services, seen, run, begin - 60)
        finally:
            if receiving is not None:
                receiving.cancel()
                with suppress(asyncio.CancelledError, OSSAsyncError):
                    await receiving
        await _look_at_outputs(services, seen, run)
        await _unknown_task(services, seen, run)
        await _burst(services, seen, run)
    finally:
        if not run.keep:
            await _remove(services, run)
    return seen


async def _submit(services: Services, one: Seen, run: Run) -> None:
    target = ObjectURI(run.bucket, run.folder + one.trial.target) if one.trial.target else None
    request = build_request(
        one.trial.make(run.folder),
        ObjectURI(run.bucket, run.folder + one.trial.source),
        target,
        run.topic,
    )
    one.submitted_at = time.time()
    try:
        job = await submit_attempt(services.oss, request)
    except OSSSubmitError as error:
        one.refused = f"{error.code} {error.detail}".strip() or str(error)
        return
    one.job = type(job).from_dict({**job.to_dict(), "imm_project": run.project, "region": run.region})


async def _watch(services: Services, seen: Observations, run: Run, since: float) -> None:
    jobs = {one.job.task_id: one for one in seen.jobs if one.job is not None}
    deadline = time.time() + run.timeout
    all_ended = 0.0
    while time.time() < deadline:
        for one in jobs.values():
            if one.state not in ("succeeded", "failed"):
                await _look_up(services, one)
        await _list(services, seen, jobs, run, since)
        if all(one.state in ("succeeded", "failed") for one in jobs.values()):
            all_ended = all_ended or time.time()
            complete = all(
                one.listed_after is not None
                and (seen.cursor_error or one.end_listed_after is not None)
                and (not seen.with_messages or one.message)
                for one in jobs.values()
            )
            if complete or time.time() > all_ended + run.grace:
                return
        await asyncio.sleep(run.interval)


async def _look_up(services: Services, one: Seen) -> None:
    job = one.job
    assert job is not None  # noqa: S101
    with suppress(OSSThrottledError, OSSUnavailableError):
        try:
            info = await services.poller.limiter.run(
                lambda: services.imm.get_task(job.imm_project, job.task_type, job.task_id)
            )
        except (OSSThrottledError, OSSUnavailableError):
            raise
        except OSSServiceError as error:
            if error.status == 403:
                raise
            one.lookup_error = f"{error.code} {error.detail}".strip()
            return
        one.known, one.lookup_error = True, ""
        await _note(services, one, info)


async def _note(services: Services, one: Seen, info: TaskInfo) -> None:
    one.started = epoch(info.start_time) or one.started
    state = info.status.lower()
    if state == one.state:
        return
    one.state, one.code, one.detail = state, info.code, info.message
    if state not in ("succeeded", "failed") or one.job is None:
        return
    one.ended_at = time.time()
    if state == "succeeded" and one.trial.target:
        # At once, to see whether the outputs are there when the job is said to have succeeded.
        result = await result_of(services, one.job, JobStatus("succeeded"))
        one.found_at_once = bool(result["outputs"])


async def _list(
    services: Services, seen: Observations, jobs: dict[str, Seen], run: Run, since: float
) -> None:
    moment = datetime.fromtimestamp(since, UTC)
    orders: list[tuple[str, dict[str, Any]]] = [("start", {"start": moment, "definition": True})]
    if not seen.cursor_error:
        orders.append(("end", {"ended_from": moment}))
    for order, options in orders:
        token: str | None = None
        for _ in range(20):
            try:
                tasks, token = await services.poller.limiter.run(
                    lambda options=options, token=token: services.imm.list_tasks(  # type: ignore[misc]
                        run.project, next_token=token, **options
                    )
                )
            except (OSSThrottledError, OSSUnavailableError):
                break
            except OSSServiceError as error:
                if order == "start":
                    raise
                seen.cursor_error = f"{error.code} {error.detail}".strip()
                break
            for info in tasks:
                one = jobs.get(info.task_id)
                if one is None:
                    continue
                if order == "start":
                    if one.listed_after is None:
                        one.listed_after = time.time() - one.submitted_at
                    one.definition = info.definition or one.definition
                    if not one.known:
                        await _note(services, one, info)
                elif one.end_listed_after is None and info.end_time:
                    one.end_listed_after = max(0.0, time.time() - (one.ended_at or time.time()))
            if not token:
                break


async def _receive(services: Services, seen: Observations, run: Run) -> None:
    """Take the messages about our jobs out of the queue, and leave the others."""
    if services.smq is None:
        return
    jobs = {one.job.task_id: one for one in seen.jobs if one.job is not None}
    left: set[str] = set()
    while True:
        for message in await services.smq.receive(run.queue, wait=5):
            content = parse_message(message.body)
            if isinstance(content, CompletionMessage) and content.task_id in jobs:
                jobs[content.task_id].message = content
                await services.smq.delete(run.queue, [message.handle])
                continue
            if content is None and message.id not in left:
                seen.foreign_messages += 1
            left.add(message.id)
            await services.smq.change_visibility(run.queue, message.handle, 5)


async def _look_at_outputs(services: Services, seen: Observations, run: Run) -> None:
    for one in seen.jobs:
        if one.state != "succeeded" or one.job is None or not one.trial.target:
            continue
        prefix = f"{run.folder}{one.trial.target.partition('/')[0]}/"
        one.written = [
            item.key.removeprefix(run.folder) async for item in services.oss.list_objects(run.bucket, prefix)
        ]
        result = await result_of(services, one.job, JobStatus("succeeded"))
        one.found = [uri.removeprefix(f"oss://{run.bucket}/{run.folder}") for uri in result["outputs"]]
        if one.trial.name == "convert" and one.found:
            try:
                seen.media_info = await services.oss.media_info(
                    run.bucket, run.folder + one.found[0], "video"
                )
            except OSSServiceError as error:
                seen.media_info_error = error
        if one.trial.name == "sprite" and one.written:
            head = await services.oss.read(run.bucket, run.folder + one.written[0], 0, 24)
            if head[1:4] == b"PNG":
                seen.sprite_size = (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))


async def _unknown_task(services: Services, seen: Observations, run: Run) -> None:
    try:
        await services.imm.get_task(run.project, "MediaConvert", f"MediaConvert-{uuid4()}")
    except OSSServiceError as error:
        seen.unknown_task = f"{error.code}: {error.detail}"
        seen.unknown_task_understood = is_task_not_found(error)


async def _burst(services: Services, seen: Observations, run: Run) -> None:
    """Send as many requests within a second as the package does at most."""

    async def one(number: int) -> bool:
        await asyncio.sleep(number / run.burst)
        try:
            await services.imm.list_tasks(run.project, max_results=1)
        except OSSThrottledError:
            return False
        except OSSUnavailableError:
            return True
        return True

    if not run.burst:
        return
    await asyncio.sleep(1)
    answered = await asyncio.gather(*(one(number) for number in range(run.burst)))
    seen.burst = (run.burst, sum(answered))


async def _remove(services: Services, run: Run) -> None:
    try:
        keys = [item.key async for item in services.oss.list_objects(run.bucket, run.folder)]
        for key in keys:
            await services.oss.delete(run.bucket, key)
    except OSSAsyncError as error:
        log.warning("What was written below oss://%s/%s is not removed: %s", run.bucket, run.folder, error)
