"""What jobs will come to before any is submitted: minutes of results by codec and size, and their cost.

No price is known here. A user gives a table of prices::

    {
        "currency": "CNY",
        "per_minute": {
            # Codec -> a price for results of at most this size, or one price for all sizes.
            "h264": {"1280x720": 0.03, "1920x1080": 0.06, "3840x2160": 0.25},
            "copy": 0.01,
            # Any audio codec that has no price of its own.
            "audio": 0.004,
        },
        # Operation -> a price for each job, in addition; "*" for any other.
        "per_job": {"doc/convert": 0.02, "*": 0.0001},
        # Each result is rounded up to a multiple of this. Default 60.
        "round_up_seconds": 60,
    }

A codec is that of the result (``h264``, ``h265``, ``vp9``, ``aac``, ...), ``copy`` where the video is kept,
and ``narrowband_h264`` or ``narrowband_h265`` with ``narrowband_hd``. A size is that of the result: the
smallest entry whose longer and shorter side hold it.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_oss_async.clients.retry import retry
from airflow_provider_oss_async.exceptions import (
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
)
from airflow_provider_oss_async.process import ObjectURI, read_specification
from airflow_provider_oss_async.process.media import AUDIO_CONTAINERS
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from airflow_provider_oss_async.clients.media_info import MediaInfo, MediaKind
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.submission import JobRequest
    from airflow_provider_oss_async.process import Specification

#: Size classes where no table of prices names its own.
SIZES = ("640x480", "1280x720", "1920x1080", "2560x1440", "3840x2160")
#: Results beyond every size class.
LARGER = "larger"
#: Requests at once, and the largest ``probe_sample``.
_CONCURRENCY, MAX_SAMPLE = 16, 100_000
#: Objects that are probed together.
SLICE = 256
#: Seconds to which results are rounded up where the table does not say it: a careful guess.
ROUND_UP_SECONDS = 60
#: Operations whose results are counted in minutes.
_TIMED: dict[str, MediaKind] = {
    "video/convert": "video",
    "video/concat": "video",
    "audio/convert": "audio",
    "audio/concat": "audio",
}
_KEYS = {"currency", "per_minute", "per_job", "round_up_seconds"}


@dataclass(frozen=True, slots=True)
class Prices:
    """A user's table of prices, checked.

    :param per_minute: codec -> size class -> price; ``""`` stands for every size.
    :param per_job: operation -> price.
    """

    currency: str = ""
    per_minute: dict[str, dict[str, float]] = field(default_factory=dict)
    per_job: dict[str, float] = field(default_factory=dict)
    round_up_seconds: float = ROUND_UP_SECONDS

    @classmethod
    def read(cls, table: Any) -> Prices:
        """Read a table, in the form that this module's documentation shows.

        :raises ProcessError: names everything that is wrong with it.
        """
        if not isinstance(table, Mapping):
            raise ProcessError(
                f"prices={shown(table)} is not allowed: expected a mapping with currency, per_minute and "
                "per_job (one that a template makes needs render_template_as_native_obj=True)"
            )
        problems = [
            f"prices[{shown(key)}] is not known: expected {', '.join(sorted(_KEYS))}"
            for key in table
            if key not in _KEYS
        ]
        currency = table.get("currency")
        if not isinstance(currency, str) or not re.fullmatch(r"\S{1,16}", currency):
            problems.append(f"prices['currency']={shown(currency)} is not allowed: expected text such as CNY")
        seconds = _price(table.get("round_up_seconds", ROUND_UP_SECONDS))
        if seconds is None or not 0 < seconds <= 3600:
            problems.append(
                f"prices['round_up_seconds']={shown(table.get('round_up_seconds'))} is not allowed: expected "
                "seconds above 0, up to 3600"
            )
        per_minute: dict[str, dict[str, float]] = {}
        for codec, entry in _entries(table, "per_minute", problems):
            name = f"prices['per_minute'][{shown(codec)}]"
            sizes = entry if isinstance(entry, Mapping) else {"": entry}
            if not sizes:
                problems.append(f"{name} has no price")
            for size, value in sizes.items():
                price = _price(value)
                if size and _sides(size) is None:
                    problems.append(f"{name}: {shown(size)} is not a size: expected text such as 1280x720")
                elif price is None:
                    problems.append(f"{name}: {shown(value)} is not a price: expected a number from 0")
                else:
                    per_minute.setdefault(codec, {})[size] = price
        per_job: dict[str, float] = {}
        for operation, value in _entries(table, "per_job", problems):
            if (price := _price(value)) is None:
                problems.append(
                    f"prices['per_job'][{shown(operation)}]: {shown(value)} is not a price: expected a "
                    "number from 0"
                )
            else:
                per_job[operation] = price
        if not problems and not per_minute and not per_job:
            problems.append("prices has neither per_minute nor per_job")
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        return cls(str(currency), per_minute, per_job, seconds or ROUND_UP_SECONDS)

    def sizes(self, codec: str) -> tuple[str, ...]:
        """Return the size classes of a codec, from the smallest; empty where size does not matter."""
        known = self.per_minute.get(codec)
        if known is None:
            return SIZES
        return tuple(sorted((size for size in known if size), key=lambda size: _sides(size) or (0, 0)))

    def minute(self, codec: str, size: str, audio: bool) -> float | None:
        """Return the price of a minute; ``None`` where there is none."""
        known = self.per_minute.get(codec)
        if known is None:
            known = self.per_minute.get("audio", {}) if audio else {}
        return known.get(size, known.get(""))

    def job(self, operation: str) -> float | None:
        """Return the price of a job; ``None`` where there is none."""
        return self.per_job.get(operation, self.per_job.get("*"))


class Result(NamedTuple):
    """The result of one job, in what is counted.

    :param codec: codec of the result.
    :param size: width and height in px; ``None`` for audio, and where it is not known.
    :param seconds: how long it plays.
    :param audio: whether it is audio alone.
    """

    codec: str
    size: tuple[int, int] | None
    seconds: float
    audio: bool


def result_of(
    specification: Specification, info: MediaInfo, others: Mapping[str, MediaInfo] | None = None
) -> Result | None:
    """Tell what a job will write; ``None`` where that does not follow from the source.

    :param specification: of an operation whose results are counted in minutes.
    :param info: what is known of its source.
    :param others: what is known of the further objects of a merge, by their key.
    """
    seconds = _seconds(specification, info, others or {})
    if seconds is None:
        return None
    get = specification.get
    container = get("container")
    if container in AUDIO_CONTAINERS or get("no_video") or not specification.operation.startswith("video/"):
        codec = get("audio_codec", "copy")
        if codec == "copy":
            codec = container if container in AUDIO_CONTAINERS else "copy"
        return Result(codec, None, seconds, audio=True)
    codec = get("video_codec", "copy")
    picture = next((stream for stream in info.video or () if stream.width and stream.height), None)
    source = (picture.width or 0, picture.height or 0) if picture else None
    if get("narrowband_hd") and codec != "copy":
        codec = f"narrowband_{codec}"
    return Result(codec, source if codec == "copy" else _size(specification, source), seconds, audio=False)


def _seconds(specification: Specification, info: MediaInfo, others: Mapping[str, MediaInfo]) -> float | None:
    """Return how long the result plays."""
    parts = [(info, specification.get("start"), specification.get("duration"))]
    for name, _ in specification.segment_fields:
        for clip in specification.get(name, ()):
            # The bucket of a further object is the source's.
            other = others.get(ObjectURI.parse(clip["object"], default_bucket="any").key)
            if other is None:
                return None
            parts.append((other, clip.get("start"), clip.get("duration")))
    total = 0.0
    for part, start, duration in parts:
        if part.duration is None:
            return None
        left = max(0.0, part.duration - (start or 0))
        total += min(left, duration) if duration else left
    return total


def _size(specification: Specification, source: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the size of the result in px: exact but for a pixel of rounding."""
    width, height = specification.get("width"), specification.get("height")
    if width is None and height is None:
        return source
    if source is None:
        exact = width and height and specification.get("size_if_smaller", "convert") != "keep_source"
        return (width, height) if exact else None
    across, down = source
    if specification.get("adapt_orientation") and down > across:
        # Width and height are then the long and the short side.
        width, height = height, width
    if width is None or height is None:
        scale = height / down if width is None else width / across
        size = (round(across * scale), round(down * scale))
    elif specification.get("fit") == "fit":
        scale = min(width / across, height / down)
        size = (round(across * scale), round(down * scale))
    else:
        size = (width, height)
    if specification.get("size_if_smaller") == "keep_source" and across * down < size[0] * size[1]:
        return source
    return size


def size_class(size: tuple[int, int] | None, classes: Sequence[str]) -> str:
    """Return the smallest class that holds a size, :data:`LARGER` beyond them, ``""`` without classes."""
    if not classes:
        return ""
    if size is None:
        return "unknown size"
    for name in classes:
        long, short = _sides(name) or (0, 0)
        if max(size) <= long and min(size) <= short:
            return name
    return LARGER


class Job(NamedTuple):
    """A job to be counted.

    :param operation: such as ``video/convert``.
    :param size: bytes of its source; below 0 where not known.
    :param request: makes the request, which is needed only for jobs that are probed.
    """

    operation: str
    size: int
    request: Callable[[], JobRequest]


async def estimate(
    services: Services,
    jobs: Sequence[Job],
    *,
    probe: bool = True,
    probe_sample: int | None = None,
    prices: Prices | None = None,
) -> dict[str, Any]:
    """Return what jobs will come to, as JSON natives.

    ``jobs`` by operation; ``minutes`` of results by codec and size class; with prices ``cost``, which is
    ``None`` where a part of it is not known, and ``currency``; ``probed`` and ``unreadable`` objects;
    ``rounding``; and ``not_known``: what the figures leave out, in sentences.

    :param probe: ask OSS about the sources. Each answer is billed.
    :param probe_sample: ask about so many, evenly spread, and take the others to be like them. Default: all.
    :param prices: default: no cost.
    :raises OSSServiceError: the right is missing, or there is no answer.
    """
    table = prices or Prices()
    operations = Counter(job.operation for job in jobs)
    notes: list[str] = []
    if any(operation.startswith("style/") for operation in operations):
        notes.append("what a style makes is known to OSS alone")
    if pages := sum(n for name, n in operations.items() if name not in _TIMED and "style/" not in name):
        notes.append(f"pages, frames and sheets that {pages} jobs write are not counted, only the jobs")
    timed = [job for job in jobs if job.operation in _TIMED]
    if timed and not probe:
        notes.append(f"minutes: {len(timed)} media jobs were not probed (probe=True)")
    totals: dict[tuple[str, str, bool], float] = {}
    probed = unreadable = 0
    if timed and probe:
        sample = _spread(timed, probe_sample)
        found = await _probe(services, sample)
        good = [(job, result) for job, result in zip(sample, found, strict=True) if result is not None]
        probed, unreadable = len(sample), len(sample) - len(good)
        totals = _minutes(good, timed, table, notes)
        if unreadable:
            notes.append(
                f"minutes: {unreadable} of {probed} probed objects could not be read"
                + ("; they are taken to be like the others" if good else "")
            )
    minutes: dict[str, dict[str, float]] = defaultdict(dict)
    for (codec, size, _), value in totals.items():
        minutes[codec][size or "any size"] = round(value, 3)
    summary: dict[str, Any] = {
        "jobs": dict(operations),
        "minutes": dict(minutes),
        "probed": probed,
        "unreadable": unreadable,
        "rounding": f"each result is rounded up to {table.round_up_seconds:g} seconds",
        "not_known": notes,
    }
    if prices is not None:
        summary["cost"] = _cost(operations, totals, bool(timed) and not totals, prices, notes)
        summary["currency"] = prices.currency
    return summary


def _spread(jobs: Sequence[Job], count: int | None) -> list[Job]:
    """Return so many jobs, evenly spread; all where there are not more."""
    if count is None or count >= len(jobs):
        return list(jobs)
    return [jobs[number * len(jobs) // count] for number in range(count)]


async def _probe(services: Services, jobs: Sequence[Job]) -> list[Result | None]:
    """Return what each job will write; ``None`` where its source could not be read."""
    limit = asyncio.Semaphore(_CONCURRENCY)
    #: What is known of the further objects of merges, which many jobs may share.
    shared: dict[str, MediaInfo | None] = {}

    async def ask(uri: ObjectURI, kind: MediaKind) -> MediaInfo | None:
        async with limit:
            try:
                return await retry(
                    lambda: services.oss.media_info(uri.bucket, uri.key, kind),
                    seconds=services.timing.retry_seconds,
                )
            except OSSServiceError as error:
                passing = isinstance(error, OSSThrottledError | OSSUnavailableError)
                if passing or error.status in (401, 403):
                    # It is not about this object.
                    raise
                return None

    async def measure(job: Job) -> Result | None:
        request = job.request()
        kind, source = _TIMED[job.operation], request.source
        info = await ask(source, kind)
        others: dict[str, MediaInfo] = {}
        for key in {segment.object for segment in request.process.segments}:
            if key not in shared:
                shared[key] = await ask(ObjectURI(source.bucket, key), kind)
            if (other := shared[key]) is not None:
                others[key] = other
        return None if info is None else result_of(read_specification(request.process), info, others)

    results: list[Result | None] = []
    for begin in range(0, len(jobs), SLICE):
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(measure(job)) for job in jobs[begin : begin + SLICE]]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        results += [task.result() for task in tasks]
    return results


def _minutes(
    probed: Sequence[tuple[Job, Result]], jobs: Sequence[Job], prices: Prices, notes: list[str]
) -> dict[tuple[str, str, bool], float]:
    """Return the minutes of all jobs by codec, size class and kind, from those that were probed."""
    totals: dict[tuple[str, str, bool], float] = defaultdict(float)
    for _, result in probed:
        classes = () if result.audio else prices.sizes(result.codec)
        steps = math.ceil(round(result.seconds / prices.round_up_seconds, 6))
        name = (result.codec, size_class(result.size, classes), result.audio)
        totals[name] += steps * prices.round_up_seconds / 60
    if not probed or len(probed) == len(jobs):
        return totals
    if min(job.size for job in jobs) >= 0 and (known := sum(job.size for job, _ in probed)):
        factor, measure = sum(job.size for job in jobs) / known, "bytes"
    else:
        factor, measure = len(jobs) / len(probed), "number"
    notes.append(f"minutes: projected by {measure} from {len(probed)} of {len(jobs)} objects")
    return {name: value * factor for name, value in totals.items()}


def _cost(
    operations: Mapping[str, int],
    totals: Mapping[tuple[str, str, bool], float],
    unmeasured: bool,
    prices: Prices,
    notes: list[str],
) -> float | None:
    """Return the cost, ``None`` where a part of it is not known; note why."""
    whole = not unmeasured
    cost = 0.0
    for (codec, size, audio), minutes in totals.items():
        price = prices.minute(codec, size, audio)
        if price is None:
            whole = False
            notes.append(f"cost: there is no price for a minute of {codec} {size}".rstrip())
        else:
            cost += minutes * price
    for operation, count in operations.items():
        price = prices.job(operation)
        if price is not None:
            cost += count * price
        elif operation not in _TIMED:
            whole = False
            notes.append(f"cost: there is no price for a job of {operation}")
    notes.append("cost: requests, storage, traffic, and whether failed jobs are billed, are not part of it")
    return round(cost, 6) if whole else None


def check_cost(summary: Mapping[str, Any], max_cost: float) -> None:
    """Compare an estimate with what it may come to.

    :raises ProcessError: it is more, or cannot be told.
    """
    cost, currency = summary["cost"], summary["currency"]
    if cost is None:
        raise ProcessError(
            f"Nothing was submitted: whether the cost is below max_cost={max_cost:g} {currency} cannot be "
            f"told. {'; '.join(summary['not_known'])}. Complete prices, or leave out max_cost."
        )
    if cost > max_cost:
        raise ProcessError(
            f"Nothing was submitted: the cost is estimated at {cost:g} {currency}, and "
            f"max_cost={max_cost:g}. Narrow the sources, or raise max_cost if that is meant. "
            f"Minutes: {summary['minutes']}"
        )


def _price(value: Any) -> float | None:
    """Return a number from 0; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < math.inf else None


def _sides(size: Any) -> tuple[int, int] | None:
    """Return the longer and the shorter side of a size such as ``1280x720``."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", size) if isinstance(size, str) else None
    if match is None:
        return None
    sides = sorted((int(match[1]), int(match[2])), reverse=True)
    return sides[0], sides[1]


def _entries(table: Mapping[str, Any], name: str, problems: list[str]) -> list[tuple[str, Any]]:
    """Return the entries of a part of the table; note what is none."""
    part = table.get(name, {})
    if not isinstance(part, Mapping) or not all(isinstance(key, str) and key for key in part):
        problems.append(
            f"prices[{name!r}]={shown(part)} is not allowed: expected a mapping of names to prices"
        )
        return []
    return list(part.items())
