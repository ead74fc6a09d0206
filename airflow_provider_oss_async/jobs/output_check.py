"""Whether the outputs of a job are what was asked for: ``verify_output``.

``exists``: each output is there, not empty, and newer than the submission. ``media``: also, some of them are
inspected with OSS's ``video/info``, ``audio/info`` and ``image/info``, and a PDF with ranged reads. What the
service does not say is not known, and never a difference. A source is inspected only where an output cannot
be judged without it. What could not be inspected is not verified, and no failure of the job.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow_provider_oss_async.clients.errors import traceback_of
from airflow_provider_oss_async.clients.media_info import media_kind
from airflow_provider_oss_async.clients.retry import backoff_attempts, retry
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSOutputMismatchError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    ProcessError,
    error_text,
)
from airflow_provider_oss_async.jobs.result import OutputObject, find_outputs
from airflow_provider_oss_async.process import ObjectURI, parse_process
from airflow_provider_oss_async.process.expected_output import Part, expected_output, is_codec
from airflow_provider_oss_async.process.naming import expand, format_of, outputs_of, source_variables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from fractions import Fraction

    from airflow_provider_oss_async.clients.media_info import (
        AudioStream,
        MediaInfo,
        MediaKind,
        VideoStream,
    )
    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
    from airflow_provider_oss_async.process import Process
    from airflow_provider_oss_async.process.expected_output import ExpectedOutput, ExpectedSize

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Codes of outputs that differ, and of those that could not be verified.
MISMATCH, NOT_VERIFIED = "OutputMismatch", "OutputNotVerified"
Verdict = Literal["matches", "differs", "not verified"]

#: Outputs of one job that are inspected: the first, the last, and some in between.
SAMPLE = 5
#: Attempts of one request: an output may be visible a moment later, and the service may be busy.
ATTEMPTS = 3
#: Seconds for one request with its attempts, and for the check of one job.
REQUEST_SECONDS, CHECK_SECONDS = 120.0, 600.0
#: Seconds by which a duration may differ, for each object that is merged, and its share of the whole.
_SECONDS, _SECONDS_PER_PART, _SHARE = 0.5, 0.1, 0.0005
#: Containers whose duration is an estimate from the bit rate, and the share by which that may differ.
_ESTIMATED, _ESTIMATED_SHARE = frozenset({"aac", "ac3", "amr", "mp3"}), 0.1
#: Share by which an average frame rate may differ.
_RATE_SHARE = 0.01
#: Codecs of pictures: a cover counts as a video stream.
_PICTURES = frozenset({"mjpeg", "png", "bmp", "gif", "webp"})
#: Greatest image that ``image/info`` reads, in bytes.
_MAX_IMAGE = 20 * 1024 * 1024
#: Bytes of head and tail of a PDF in which its marks are.
_PDF_MARGIN = 1024
#: Seconds by which an object may seem older than a job: times of objects are whole seconds, and that of a job
#: that was found again is by the clock of IMM.
_CLOCKS = 3.0
#: Differences and reasons that a report names, and differences that a message names.
_NAMED, _IN_MESSAGE = 20, 5


@dataclass(frozen=True, slots=True)
class Difference:
    """What an output is, and what it was to be.

    :param uri: the output, or the target where none is there.
    :param what: such as ``duration`` or ``video codec``.
    """

    uri: str
    what: str
    asked: str
    found: str

    def __str__(self) -> str:
        return f"{self.what} is {self.found}, and {self.asked} was asked for ({self.uri})"


@dataclass(slots=True)
class OutputReport:
    """What a check has shown.

    :param level: ``exists`` or ``media``.
    :param inspected: URIs of the outputs that were inspected.
    :param reasons: why something could not be verified.
    """

    level: str
    differences: list[Difference] = field(default_factory=list)
    inspected: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """``differs`` where anything does, ``not verified`` where anything could not be told."""
        return "differs" if self.differences else "not verified" if self.reasons else "matches"

    @property
    def text(self) -> str:
        """The first differences in words."""
        more = len(self.differences) - _IN_MESSAGE
        shown = [*map(str, self.differences[:_IN_MESSAGE]), *([f"and {more} more"] if more > 0 else [])]
        return "; ".join(shown)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON natives: ``verification`` of a job's result. Of many differences the first 20."""
        short = replace(self, differences=self.differences[:_NAMED], reasons=self.reasons[:_NAMED])
        return {"verdict": self.verdict, **asdict(short)}


async def verify(
    services: Services,
    spec: WaitSpecification,
    result: dict[str, Any],
    outputs: Sequence[OutputObject],
) -> dict[str, Any]:
    """Check the outputs of a job that has succeeded, as its task asks for it.

    :param result: of the job.
    :param outputs: what was found of the job.
    :return: the result, with ``verification`` where there was a check.
    :raises OSSOutputMismatchError: an output is not what was asked for, and that is an error.
    """
    if not spec.verify_output or spec.job.task_type == "DecodeBlindWatermark":
        return result
    job, level = spec.job, spec.verify_output
    if not job.process:
        report = OutputReport(level, reasons=["the process of the job is not known"])
    else:
        report = await check_outputs(
            services,
            parse_process(job.process),
            ObjectURI.parse(job.source),
            outputs,
            level=level,
            since=job.submitted,
        )
    if report.reasons:
        log.warning("The output of job %s could not be verified: %s", job.task_id, "; ".join(report.reasons))
    if report.differences:
        error = mismatch_error(job, report)
        if spec.if_output_differs != "warn":
            raise error
        log.warning("%s", error)
    elif not report.reasons:
        log.info("The output of job %s is as asked for (%s)", job.task_id, level)
    return {**result, "verification": report.to_dict()}


async def check_job(services: Services, job: OSSJob, level: str) -> OutputReport:
    """Find the outputs of a job that has succeeded, and check them. Raises nothing about the services.

    :param level: ``exists`` or ``media``.
    """
    process, source = parse_process(job.process), ObjectURI.parse(job.source)

    async def find() -> list[OutputObject]:
        async with services.output_searches:
            return await find_outputs(services, job)

    timing = services.timing
    try:
        outputs = await retry(find, seconds=timing.retry_seconds, backoff=timing.call_backoff)
    except OSSAsyncError as error:
        return OutputReport(level, reasons=[str(error)])
    return await check_outputs(services, process, source, outputs, level=level, since=job.submitted)


def mismatch_error(job: OSSJob, report: OutputReport) -> OSSOutputMismatchError:
    """Return the error for outputs that differ."""
    detail = report.text
    advice = (
        "Check source and arguments; the same request will mostly give the same output. "
        "retry_failed_job=True has retries submit a new job."
    )
    return OSSOutputMismatchError(
        error_text(
            f"The job succeeded, but its output is not what was asked for: {detail}", advice, **job.facts
        ),
        job=job.to_dict(),
        code=MISMATCH,
        detail=detail[:800],
        advice=advice,
        differences=[asdict(difference) for difference in report.differences[:_NAMED]],
    )


async def check_outputs(
    services: Services,
    process: Process,
    source: ObjectURI,
    outputs: Sequence[OutputObject],
    *,
    level: str,
    since: float | None = None,
    whole: bool = False,
    request_seconds: float = REQUEST_SECONDS,
    check_seconds: float = CHECK_SECONDS,
) -> OutputReport:
    """Compare the outputs of a process with what was asked for. Raises nothing about the services.

    :param process: the complete process.
    :param source: the object it was applied to.
    :param outputs: what there is of its outputs.
    :param level: ``exists`` or ``media``.
    :param since: when the job was submitted, in epoch seconds; ``None`` where that does not matter.
    :param whole: compare the duration with that of the source also where nothing is cut or merged, at the
        price of one more request.
    :param request_seconds: for one request with its attempts.
    :param check_seconds: for all of it.
    """
    report = OutputReport(level)
    target = outputs_of(process, source)
    if target is None:
        return report
    if not outputs:
        name = f"oss://{target.bucket}/{target.key or (process.saveas.key if process.saveas else '')}"
        report.differences.append(Difference(name, "output", "an object", "none"))
        return report
    sound = [output for output in outputs if not _wrong_at_once(output, since, report)]
    if level == "media" and sound:
        expected = expected_output(process)
        if expected is None:
            report.reasons.append(f"what {process.operation} was to give is not known")
            return report
        if whole and not expected.parts and expected.kind in ("video", "audio"):
            expected = replace(expected, parts=(Part(),))
        try:
            async with asyncio.timeout(check_seconds):
                one = _Check(services, process, source, expected, report, since, request_seconds)
                await one.all(sound)
        except TimeoutError:
            report.reasons.append(f"the check took longer than {check_seconds:g} s")
        except Exception as error:
            # The job has succeeded, whatever is wrong here.
            log.warning("The check failed: %s", traceback_of(error))
            report.reasons.append(f"the check failed: {type(error).__name__}")
    return report


def _wrong_at_once(output: OutputObject, since: float | None, report: OutputReport) -> bool:
    """Note whether an output is empty or old."""
    uri = str(output.uri)
    if output.size == 0:
        report.differences.append(Difference(uri, "size", "more than 0 bytes", "0 bytes"))
        return True
    if since is not None and output.modified and output.modified < since - _CLOCKS:
        times = [
            datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
            for moment in (since, output.modified)
        ]
        report.differences.append(Difference(uri, "time", f"after {times[0]}", times[1]))
        return True
    return False


class _Check:
    """One check of media: what was asked for, the requests, and what they have shown."""

    def __init__(
        self,
        services: Services,
        process: Process,
        source: ObjectURI,
        expected: ExpectedOutput,
        report: OutputReport,
        since: float | None,
        request_seconds: float,
    ) -> None:
        self._services, self._process, self._source = services, process, source
        self._expected, self._report, self._since = expected, report, since
        self._request_seconds = request_seconds
        #: What is known of the sources, by their key; ``None`` where that could not be learned.
        self._sources: dict[str, asyncio.Task[MediaInfo | None]] = {}

    async def all(self, outputs: Sequence[OutputObject]) -> None:
        """Check how many outputs there are, and inspect some of them."""
        try:
            await self._compare_number(outputs)
            first, *others = sample(outputs)
            await self._one(first)
            if self._report.reasons:
                # Such as a missing right: the others would only cost.
                return
            async with asyncio.TaskGroup() as group:
                for output in others:
                    group.create_task(self._one(output))
        finally:
            for task in self._sources.values():
                task.cancel()
            await asyncio.gather(*self._sources.values(), return_exceptions=True)

    async def _one(self, output: OutputObject) -> None:
        uri, kind = output.uri, self._expected.kind
        if kind == "text":
            return
        if kind == "image" and output.size > _MAX_IMAGE:
            self._report.reasons.append(f"{uri} is larger than the 20 MB that image/info reads")
            return
        try:
            if kind == "pdf":
                await self._compare_pdf(output)
            else:
                info = await self._info(uri, kind)
                await self._compare(str(uri), info)
        except OSSAsyncError as error:
            self._report.reasons.append(str(error))
        else:
            self._report.inspected.append(str(uri))

    # Requests

    async def _request(self, call: Callable[[], Awaitable[T]], uri: ObjectURI) -> T:
        """Return what a request brings, after some attempts."""
        services, attempts = self._services, 0
        try:
            async with services.output_checks, asyncio.timeout(self._request_seconds):
                until = time.time() + services.timing.retry_seconds
                async for last in backoff_attempts(until, services.timing.call_backoff):
                    attempts += 1
                    try:
                        return await call()
                    except OSSServiceError as error:
                        passes = isinstance(error, OSSThrottledError | OSSUnavailableError)
                        if last or attempts == ATTEMPTS or not (passes or error.code == "NoSuchKey"):
                            raise
        except TimeoutError:
            raise OSSUnavailableError(
                f"No answer about {uri} within {self._request_seconds:g} s.", service="OSS"
            ) from None
        raise AssertionError("unreachable")  # pragma: no cover

    async def _info(self, uri: ObjectURI, kind: MediaKind) -> MediaInfo:
        return await self._request(lambda: self._services.oss.media_info(uri.bucket, uri.key, kind), uri)

    async def _source_info(self, key: str) -> MediaInfo | None:
        """Return what is known of a source, which is inspected once.

        :param key: of a merged object; empty for the source of the job.
        """
        if key not in self._sources:
            self._sources[key] = asyncio.create_task(self._inspect_source(key))
        return await self._sources[key]

    async def _inspect_source(self, key: str) -> MediaInfo | None:
        uri = ObjectURI(self._source.bucket, key) if key else self._source
        kind = media_kind(uri.key) or ("audio" if self._expected.kind == "audio" else "video")
        try:
            info = await self._info(uri, kind)
        except OSSAsyncError as error:
            self._report.reasons.append(f"the source could not be inspected: {error}")
            return None
        if self._since is not None and info.modified > self._since + _CLOCKS:
            self._report.reasons.append(f"{uri} was overwritten after the submission")
            return None
        return info

    # Comparisons

    def _differs(self, uri: str, what: str, asked: object, found: object) -> None:
        self._report.differences.append(Difference(uri, what, str(asked), str(found)))

    async def _compare(self, uri: str, info: MediaInfo) -> None:
        expected = self._expected
        if info.image is not None:
            image = info.image
            if image.format and image.format not in expected.formats:
                self._differs(uri, "format", expected.formats[0], image.format)
            self._compare_size(uri, expected.size, image.width, image.height)
            return
        if info.formats and not info.formats & set(expected.formats):
            self._differs(uri, "container", expected.formats[0], ",".join(sorted(info.formats)))
        video = _moving(info)
        if expected.video is None:
            if video:
                self._differs(uri, "video", "none", video[0].codec or "a stream")
        elif video:
            self._compare_video(uri, video[0])
        elif video is not None and await self._sources_have(_moving):
            self._differs(uri, "video", "a stream", "none")
        if expected.audio is None:
            if info.audio:
                self._differs(uri, "audio", "none", info.audio[0].codec or "a stream")
        elif info.audio:
            self._compare_audio(uri, info.audio[0])
        elif info.audio is not None and await self._sources_have(lambda found: found.audio):
            self._differs(uri, "audio", "a stream", "none")
        await self._compare_duration(uri, info)

    def _compare_video(self, uri: str, video: VideoStream) -> None:
        expected = self._expected.video
        assert expected is not None  # noqa: S101
        if expected.codecs and video.codec and not is_codec(video.codec, expected.codecs):
            self._differs(uri, "video codec", expected.codecs[0], video.codec)
        size = expected.size
        if size is not None and video.rotation % 180:
            size = replace(size, turned=True)
        self._compare_size(uri, size, video.width, video.height)
        asked, found = expected.frame_rate, video.frame_rate
        if asked is None or found is None:
            return
        # The average of a few frames is not exact.
        share = max(_RATE_SHARE, 2 / video.frames if video.frames else 0.0)
        if not math.isclose(found, asked, rel_tol=share) and not (expected.or_lower and found < asked):
            self._differs(uri, "frame rate", f"{asked:g} fps", f"{float(found):g} fps")

    def _compare_audio(self, uri: str, audio: AudioStream) -> None:
        expected = self._expected.audio
        assert expected is not None  # noqa: S101
        if expected.codecs and audio.codec and not is_codec(audio.codec, expected.codecs):
            self._differs(uri, "audio codec", " or ".join(expected.codecs), audio.codec)
        for what, asked, found, unit in (
            ("sample rate", expected.sample_rate, audio.sample_rate, " Hz"),
            ("number of channels", expected.channels, audio.channels, ""),
        ):
            if asked and found and asked != found:
                self._differs(uri, what, f"{asked}{unit}", f"{found}{unit}")

    def _compare_size(
        self, uri: str, size: ExpectedSize | None, width: int | None, height: int | None
    ) -> None:
        if size is not None and width and height and not size.fits(width, height):
            self._differs(uri, "size", f"{size} px", f"{width} x {height} px")

    async def _compare_duration(self, uri: str, info: MediaInfo) -> None:
        parts, found = self._expected.parts, info.duration
        if not parts or found is None:
            return
        video = _moving(info)
        rate = video[0].frame_rate if video else None
        # A part that names its length has that, unless its object ends before.
        for trusted in (True, False):
            asked, estimated = 0.0, bool(info.formats & _ESTIMATED)
            for part in parts:
                if trusted and part.duration:
                    asked += part.duration
                    continue
                source = await self._source_info(part.object)
                if source is None or source.duration is None:
                    # Where it could not be inspected, the reason has been noted.
                    return
                asked += part.length(source.duration)
                estimated |= bool(source.formats & _ESTIMATED)
            if abs(found - asked) <= _tolerance(asked, len(parts), rate, estimated=estimated):
                return
            if found > asked or not any(part.duration for part in parts):
                break
        if found > asked and self._expected.from_keyframe and parts[0].start:
            return
        self._differs(uri, "duration", f"{asked:.2f} s", f"{found:.2f} s")

    async def _sources_have(self, streams: Callable[[MediaInfo], object]) -> bool:
        """Whether one of the sources certainly has a stream of a kind."""
        for key in dict.fromkeys(part.object for part in self._expected.parts) or {"": None}:
            info = await self._source_info(key)
            if info is not None and streams(info):
                return True
        return False

    async def _compare_number(self, outputs: Sequence[OutputObject]) -> None:
        expected, found = self._expected, len(outputs)
        uri = str(outputs[0].uri)
        if expected.pages is not None and found > expected.pages:
            self._differs(uri, "number of pages", f"at most {expected.pages}", found)
        if expected.numbered and (missing := _missing_number(self._process, self._source, outputs)):
            self._differs(uri, "numbers", f"{missing} among them", "a gap")
        frames = expected.frames
        if frames is None:
            return
        if frames.most and found > frames.most:
            self._differs(uri, "number of frames", f"at most {frames.most}", found)
        elif (frames.spread or frames.interval) and found != frames.most:
            info = await self._source_info("")
            video = (_moving(info) if info is not None else None) or ()
            if not video or info is None:
                return
            length = (video[0].duration or info.duration or 0.0) - frames.start
            if frames.interval:
                # Whether the first frame is at 0 or after the first interval is not documented.
                there = math.floor(max(0.0, length) / frames.interval) - 1
            else:
                there = math.floor(max(0.0, length) * (video[0].frame_rate or 0))
            least = min(there, frames.most) if frames.most else there
            if found < least:
                self._differs(uri, "number of frames", f"at least {least}", found)

    async def _compare_pdf(self, output: OutputObject) -> None:
        uri, size = output.uri, output.size

        async def read(begin: int, end: int) -> bytes:
            return await self._request(lambda: self._services.oss.read(uri.bucket, uri.key, begin, end), uri)

        if size < 0:
            return
        margin = min(size, _PDF_MARGIN)
        head, tail = await read(0, margin), await read(size - margin, size)
        if b"%PDF-" not in head:
            self._differs(str(uri), "format", "a PDF", "something else")
        elif b"%%EOF" not in tail:
            self._differs(str(uri), "end", "the end of a PDF", "something else")


def sample(outputs: Sequence[T]) -> list[T]:
    """Return the first, the last, and some in between."""
    last = len(outputs) - 1
    if last < SAMPLE:
        return list(outputs)
    return [outputs[round(number * last / (SAMPLE - 1))] for number in range(SAMPLE)]


def _moving(info: MediaInfo) -> tuple[VideoStream, ...] | None:
    """Return the video streams without covers; ``None`` where they are not known."""
    if info.video is None:
        return None
    return tuple(stream for stream in info.video if stream.codec not in _PICTURES)


def _tolerance(asked: float, parts: int, rate: Fraction | None, *, estimated: bool) -> float:
    """Return by how many seconds a duration may differ."""
    frames = 2 / float(rate) if rate else 0.0
    share = _ESTIMATED_SHARE if estimated else _SHARE
    return _SECONDS + _SECONDS_PER_PART * parts + frames + share * asked


def _missing_number(process: Process, source: ObjectURI, outputs: Sequence[OutputObject]) -> int:
    """Return the first number that is missing among outputs that ``{index}`` counts; 0 where none is."""
    if process.saveas is None:
        return 0
    mark = "\0"
    try:
        known = {**source_variables(source), "autoext": format_of(process), "index": mark}
        name = expand(process.saveas.key, known.__getitem__)
    except ProcessError:
        # Other variables are only known to the service.
        return 0
    before, _, after = name.partition(mark)
    texts = [output.uri.key[len(before) : len(output.uri.key) - len(after)] for output in outputs]
    # Frames without {index}, and the pages of worksheets, have more than one number.
    if mark in after or not all(text.isascii() and text.isdigit() and len(text) < 10 for text in texts):
        return 0
    found = set(map(int, texts))
    return next((number for number in range(1, max(found)) if number not in found), 0)
