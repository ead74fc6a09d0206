"""The plan of a batch: which objects, with which targets, and which are set aside. Nothing is paid for it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from array import array
from collections import Counter, defaultdict
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.budget import Job, Prices, check_cost, estimate
from airflow_provider_oss_async.batch.ledger import PREFIX
from airflow_provider_oss_async.batch.sources import candidates, selects
from airflow_provider_oss_async.batch.specification import BatchSpecification, read_process
from airflow_provider_oss_async.batch.state import Row
from airflow_provider_oss_async.clients.retry import retry
from airflow_provider_oss_async.events.target_check import TargetCheck
from airflow_provider_oss_async.exceptions import OSSServiceError, ProcessError
from airflow_provider_oss_async.jobs.result import OutputObject
from airflow_provider_oss_async.jobs.submission import JobRequest
from airflow_provider_oss_async.process import SPECIFICATIONS, ObjectURI, Process, SaveAs, Specification
from airflow_provider_oss_async.process.naming import check_outputs, outputs_of, source_variables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from airflow_provider_oss_async.batch.sources import Candidate
    from airflow_provider_oss_async.clients.oss import ListedObject
    from airflow_provider_oss_async.jobs.services import Services
    from airflow_provider_oss_async.process.naming import Outputs

#: Problems that one error names.
MAX_PROBLEMS = 10
#: Objects beyond ``max_objects`` that are still counted, as a multiple of it.
COUNTED = 10
#: Objects after which other tasks of the event loop get their turn.
TURN = 32
#: Why outputs cannot be made again.
GONE = "source is gone"
#: Requests at once that ask for single objects.
_CONCURRENCY = 16


class RequestBuilder:
    """Makes the requests of a batch.

    :param spec: the batch.
    :raises ProcessError: its process is not allowed.
    """

    def __init__(self, spec: BatchSpecification) -> None:
        self._spec = spec
        self._process = read_process(spec.process, {})
        known: Any = self._process
        #: Such as ``video/convert``.
        self.operation: str = known.operation
        if isinstance(known, Process):
            known = SPECIFICATIONS[known.operation]
        #: IMM task type of all jobs.
        self.task_type: str = known.task_type
        #: Whether a job writes an object.
        self.writes_object: bool = getattr(known, "writes_object", known.task_type != "DecodeBlindWatermark")

    @property
    def warnings(self) -> list[str]:
        """What the service may not do as asked."""
        return list(self._process.warnings()) if isinstance(self._process, Specification) else []

    def request(
        self, source: ObjectURI, target: str | None, arguments: dict[str, Any] | None, project: str = ""
    ) -> JobRequest:
        """Return the request for one object. Variables that follow from the source are filled in.

        :param target: its own target template; ``None`` for that of the batch.
        :param arguments: its own arguments.
        :raises ProcessError: an argument or the target is not allowed.
        """
        process = read_process(self._spec.process, arguments) if arguments else self._process
        template = self._spec.target if target is None else target
        goal = fill(template, source, _format(process)) if template and self.writes_object else None
        if isinstance(process, Process):
            if goal is None and self.writes_object:
                raise ProcessError(f"{process.operation} needs a target")
            whole = replace(process, saveas=SaveAs(goal.key, goal.bucket) if goal else None)
            check_outputs(whole, source, allow_overwriting=bool(self._spec.process.get("allow_ignored")))
        else:
            whole = process.to_process(source, goal)
        return JobRequest(source, whole, self.task_type, region=self._spec.region, imm_project=project)


def _format(process: Any) -> str:
    """Return the extension of the result; empty where it is not known."""
    if isinstance(process, Specification):
        return dict(process.wire_params()).get(process.format_key, "")
    if isinstance(process, Process):
        return process.param(SPECIFICATIONS[process.operation].format_key) or ""
    return ""


def fill(template: str, source: ObjectURI, extension: str) -> ObjectURI:
    """Fill in the variables that follow from the source; those that only the service knows stay.

    :param template: ``oss://bucket/key`` with variables.
    :param extension: what ``{autoext}`` stands for; empty if not known.
    :raises ProcessError: what comes out is not the name of an object.
    """
    known = {name: _escaped(value) for name, value in source_variables(source).items()}
    if extension:
        known["autoext"] = extension

    def value(match: re.Match[str]) -> str:
        return known.get(match[1], match[0]) if match[1] else match[0]

    bucket, _, key = template.removeprefix("oss://").partition("/")
    filled = [re.sub(r"\{\{|\}\}|\{([a-z_]+)\}", value, part) for part in (bucket, key)]
    # {dirname} of an object at the top is empty.
    return ObjectURI.parse(f"oss://{filled[0]}/{filled[1].lstrip('/')}", name="target", variables=True)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(slots=True)
class Plan:
    """What a batch will do.

    :param bucket: bucket of sources that are named by their key alone.
    :param found: objects that the sources name.
    :param size: bytes of the objects to process, as far as that is known.
    :param first: the first objects, with their targets.
    :param estimate: minutes of results, and their cost, where that was asked for.
    """

    bucket: str
    rows: list[Row] = field(default_factory=list)
    set_aside: list[tuple[str, str]] = field(default_factory=list)
    found: int = 0
    size: int = 0
    first: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    estimate: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Return counts, bytes, reasons and first objects as JSON natives."""
        return {
            "found": self.found,
            "to_submit": len(self.rows),
            "bytes": self.size,
            "set_aside": dict(Counter(reason for _, reason in self.set_aside)),
            "first": self.first,
            "warnings": self.warnings,
            **({"estimate": self.estimate} if self.estimate else {}),
        }

    def entries(self) -> Iterable[list[Any]]:
        """Yield the plan as entries of a ledger."""
        for row in self.rows:
            entry: list[Any] = ["r", row.source, row.size, row.target, row.arguments]
            while len(entry) > 2 and entry[-1] in (None, -1):
                entry.pop()
            yield entry
        for source, reason in self.set_aside:
            yield ["z", source, reason]


def short_name(bucket: str, source: ObjectURI | Candidate) -> str:
    """Return a source as the ledger names it."""
    return source.key if source.bucket == bucket else f"oss://{source.bucket}/{source.key}"


async def make_plan(services: Services, spec: BatchSpecification) -> Plan:
    """Enumerate the sources, set aside what is not to be processed, and check all targets.

    :raises ProcessError: two objects have one target, a target is not allowed, or there are more objects
        than ``max_objects``, or the cost is above ``max_cost``.
    :raises OSSServiceError: OSS refuses to list, or gives no answer.
    """
    planner = await _enumerated(services, spec)
    plan = await planner.finish(skip_existing=spec.if_target_exists == "skip")
    if spec.probe or spec.prices:
        plan.estimate = await planner.estimate()
    if spec.max_cost is not None and plan.rows:
        check_cost(plan.estimate, spec.max_cost)
    return plan


@dataclass(slots=True)
class TargetState:
    """What there is of the outputs of an object.

    :param reason: why they have to be made; empty where they are newer than the source, and not empty.
    :param outputs: the outputs that exist, where they were asked for.
    """

    reason: str = "missing"
    outputs: list[OutputObject] = field(default_factory=list)


async def compare_with_targets(
    services: Services, spec: BatchSpecification, *, keep: bool
) -> tuple[Plan, list[TargetState]]:
    """Return the plan of a batch with all its objects, and for each what there is of its outputs.

    :param spec: with ``if_target_exists="skip"``, which compares times.
    :param keep: whether the outputs themselves are asked for.
    :raises ProcessError: as :func:`make_plan`.
    :raises OSSServiceError: OSS refuses to list, or gives no answer.
    """
    planner = await _enumerated(services, spec)
    plan = await planner.finish(skip_existing=False)
    return plan, await planner.target_states(keep=keep)


async def _enumerated(services: Services, spec: BatchSpecification) -> _Planner:
    """Return a planner that has read the sources."""
    planner = _Planner(services, spec)
    async with aclosing(candidates(services, spec.sources)) as found:  # type: ignore[type-var]
        async for candidate in found:
            planner.add(candidate)
            if planner.plan.found % TURN == 0:
                await asyncio.sleep(0)
            if planner.eligible > COUNTED * spec.max_objects or len(planner.problems) >= MAX_PROBLEMS:
                break
    return planner


class _Planner:
    def __init__(self, services: Services, spec: BatchSpecification) -> None:
        self._services = services
        self._spec = spec
        self._builder = RequestBuilder(spec)
        self.plan = Plan(spec.bucket, warnings=self._builder.warnings)
        self.problems: list[str] = []
        #: Objects that are not set aside, including those that were not kept.
        self.eligible = 0
        self._streamed = selects(spec.sources)
        self._loops = TargetCheck(spec.watches)
        self._loop_found = False
        #: Digest of what an object writes -> its index.
        self._targets: dict[bytes, int] = {}
        self._modified = array("d")
        self._ledger = ObjectURI.parse(spec.ledger, name="ledger")
        # The ledgers of other tasks and runs are beside it.
        parts = self._ledger.key.split("/")
        self._ledger_folder = "/".join(parts[: -6 if len(parts) > 6 else -1]) + "/"
        self._target_prefix = self._own_prefix()

    def _own_prefix(self) -> str:
        """Return ``bucket/prefix`` of the targets, where nothing below it can be meant as a source."""
        bucket, _, key = self._spec.target.removeprefix("oss://").partition("/")
        prefix = key.partition("{")[0]
        listed = self._spec.sources.get("prefix", "")
        # Where the sources are listed below the same prefix, single objects are compared instead.
        inside = bucket == self._spec.sources.get("bucket", bucket) and listed.startswith(prefix)
        return f"{bucket}/{prefix}" if prefix and not inside else ""

    def add(self, candidate: Candidate) -> None:
        self.plan.found += 1
        if reason := self._reason(candidate):
            self._set_aside(short_name(self._spec.bucket, candidate), reason)
            return
        try:
            source = ObjectURI.parse(f"oss://{candidate.bucket}/{candidate.key}")
        except ProcessError:
            self._set_aside(short_name(self._spec.bucket, candidate), "name that cannot be sent")
            return
        try:
            request = self._builder.request(source, candidate.target, candidate.arguments)
        except ProcessError as error:
            self.problems.append(f"{source}: {error}")
            return
        expected = outputs_of(request.process, request.source)
        if self._loops and not self._loop_found and (loop := self._loops.problem(expected)):
            # One is enough: the others would say the same.
            self._loop_found = True
            where = self.problems if self._spec.if_target_triggers == "fail" else self.plan.warnings
            where.append(f"{source}: {loop}")
        digest = _digest(_identity(request, expected))
        other = self._targets.get(digest)
        if other is not None and other < len(self.plan.rows):
            self._same_target(candidate, request, self.plan.rows[other])
            return
        self.eligible += 1
        if self.eligible > self._spec.max_objects:
            return
        row = Row(
            short_name(self._spec.bucket, source), candidate.size, candidate.target, candidate.arguments
        )
        self._targets[digest] = len(self.plan.rows)
        self.plan.rows.append(row)
        if self._spec.if_target_exists == "skip":
            self._modified.append(candidate.modified)

    def _set_aside(self, source: str, reason: str) -> None:
        # One text per reason, however many objects there are.
        self.plan.set_aside.append((source, reason))

    def _reason(self, candidate: Candidate) -> str:
        key = candidate.key
        if key.endswith("/"):
            return "folder"
        if key.startswith((PREFIX, ".dlsdata/")):
            return "internal object"
        if candidate.bucket == self._ledger.bucket and key.startswith(self._ledger_folder):
            return "internal object"
        if candidate.reason == "symlink" and self._spec.symlinks:
            return ""
        if candidate.reason:
            return candidate.reason
        if (
            self._streamed
            and self._target_prefix
            and f"{candidate.bucket}/{key}".startswith(self._target_prefix)
        ):
            return "below the target prefix"
        return ""

    def _same_target(self, candidate: Candidate, request: JobRequest, row: Row) -> None:
        name = short_name(self._spec.bucket, candidate)
        if row.source == name and (row.target, row.arguments) == (candidate.target, candidate.arguments):
            self._set_aside(name, "duplicate")
        else:
            self.problems.append(
                f"{row.source} and {name} would write the same target {request.target}: use a variable such "
                "as {dirname}, {barename} or {ext} in target"
            )

    async def finish(self, *, skip_existing: bool) -> Plan:
        spec, plan = self._spec, self.plan
        if not self.problems:
            await self._compare_sources_with_targets()
        if self.problems:
            raise ProcessError(
                f"Nothing was submitted. To correct in the batch: {'; '.join(self.problems)}",
                problems=self.problems,
            )
        if self.eligible > spec.max_objects:
            more = "more than " if self.eligible > COUNTED * spec.max_objects else ""
            raise ProcessError(
                f"Nothing was submitted: the sources hold {more}{self.eligible} objects, and "
                f"max_objects={spec.max_objects}. Narrow the sources, or raise max_objects if that is meant."
            )
        if skip_existing and plan.rows:
            states = await self.target_states(keep=False)
            self._drop(
                (index for index, state in enumerate(states) if not state.reason),
                "target exists and is newer",
            )
        for row in plan.rows:
            plan.size += max(0, row.size)
        for row in plan.rows[:5]:
            source = ObjectURI.parse(row.source, default_bucket=plan.bucket)
            request = self._builder.request(source, row.target, row.arguments)
            plan.first.append({"source": str(source), "target": request.target})
        return plan

    async def estimate(self) -> dict[str, Any]:
        """Return what the jobs will come to."""
        spec = self._spec

        def request_of(row: Row) -> Callable[[], JobRequest]:
            return lambda: self._builder.request(
                ObjectURI.parse(row.source, default_bucket=self.plan.bucket), row.target, row.arguments
            )

        jobs = []
        for index, row in enumerate(self.plan.rows):
            jobs.append(Job(self._builder.operation, row.size, request_of(row)))
            if index % TURN == 0:
                await asyncio.sleep(0)
        prices = Prices.read(spec.prices) if spec.prices else None
        return await estimate(
            self._services, jobs, probe=spec.probe, probe_sample=spec.probe_sample, prices=prices
        )

    async def _compare_sources_with_targets(self) -> None:
        """Set aside what this batch writes itself; in an explicit list it is an error."""
        written: dict[int, int] = {}
        for index, row in enumerate(self.plan.rows):
            if index % (TURN * 32) == 0:
                await asyncio.sleep(0)
            source = ObjectURI.parse(row.source, default_bucket=self.plan.bucket)
            digest = _digest(f"{source.bucket}/{source.key}")
            writer = self._targets.get(digest)
            if writer is not None and writer != index:
                written[index] = writer
        rows = self.plan.rows
        if written and not self._streamed:
            for index, writer in list(written.items())[:MAX_PROBLEMS]:
                self.problems.append(
                    f"{rows[index].source} is a source, and the target of {rows[writer].source}"
                )
            return
        self._drop(written, "written by this batch")
        self._targets.clear()

    def _drop(self, indexes: Iterable[int], reason: str) -> None:
        dropped = set(indexes)
        if not dropped:
            return
        rows = self.plan.rows
        for index in sorted(dropped):
            self._set_aside(rows[index].source, reason)
        kept = [index for index in range(len(rows)) if index not in dropped]
        self.plan.rows = [rows[index] for index in kept]
        if self._modified:
            self._modified = array("d", (self._modified[index] for index in kept))

    async def target_states(self, *, keep: bool) -> list[TargetState]:
        """Return what there is of the outputs of each object.

        :param keep: whether the outputs themselves are asked for.
        """
        outputs = OutputSearch()
        for index, row in enumerate(self.plan.rows):
            source = ObjectURI.parse(row.source, default_bucket=self.plan.bucket)
            outputs.add(index, self._builder.request(source, row.target, row.arguments))
            if index % TURN == 0:
                await asyncio.sleep(0)
        states = [TargetState() for _ in self.plan.rows]
        oldest: dict[int, float] = {}
        async with aclosing(outputs.found(self._services)) as found:  # type: ignore[type-var]
            async for index, item, bucket in found:
                oldest[index] = min(oldest.get(index, item.modified), item.modified)
                if not item.size:
                    states[index].reason = "empty"
                elif states[index].reason != "empty":
                    states[index].reason = ""
                if keep:
                    uri = ObjectURI(bucket, item.key)
                    states[index].outputs.append(OutputObject(uri, item.size, item.modified))
        limit = asyncio.Semaphore(_CONCURRENCY)

        async def compare(index: int) -> None:
            modified = self._modified[index]
            if not modified:
                source = ObjectURI.parse(self.plan.rows[index].source, default_bucket=self.plan.bucket)
                async with limit:
                    state = await retry(
                        lambda: self._services.oss.head(source.bucket, source.key),
                        seconds=self._services.timing.retry_seconds,
                    )
                if state is None:
                    states[index].reason = GONE
                    return
                modified = state.modified
            if not oldest[index] >= modified > 0:
                states[index].reason = "older than its source"

        await asyncio.gather(*(compare(index) for index in oldest if not states[index].reason))
        return states


class OutputSearch:
    """Finds the outputs of many requests by listing, not one by one."""

    def __init__(self) -> None:
        #: Bucket -> prefix of outputs -> numbers of their requests.
        self._prefixes: dict[str, dict[str, list[int]]] = defaultdict(dict)
        self._patterns: dict[int, Any] = {}

    def add(self, number: int, request: JobRequest) -> None:
        """Add a request under a number."""
        expected = outputs_of(request.process, request.source)
        if expected is not None:
            self._prefixes[expected.bucket].setdefault(expected.prefix, []).append(number)
            if not expected.key:
                self._patterns[number] = expected.pattern

    async def found(self, services: Services) -> AsyncIterator[tuple[int, ListedObject, str]]:
        """Yield the number of a request, an object that it may have written, and the object's bucket."""
        for bucket, prefixes in self._prefixes.items():
            for group in _groups(sorted(prefixes)):
                async with aclosing(self._in_group(services, bucket, prefixes, group)) as found:  # type: ignore[type-var]
                    async for item in found:
                        yield item

    async def _in_group(
        self, services: Services, bucket: str, prefixes: dict[str, list[int]], group: Sequence[str]
    ) -> AsyncIterator[tuple[int, ListedObject, str]]:
        lengths = sorted({len(prefix) for prefix in group})
        common = _common_prefix(group[0], group[-1])
        # Begin just before the first one.
        first = group[0][:-1] if len(group[0]) > len(common) else ""
        last = max(f"{prefix}\U0010ffff" for prefix in group)
        at, done = first, False
        while not done:
            done = True
            try:
                listing = services.oss.list_objects(bucket, common, start_after=at, max_pages=10**6)
                async with aclosing(listing) as items:  # type: ignore[type-var]
                    async for item in items:
                        at = item.key
                        if item.key > last:
                            return
                        for length in lengths:
                            if length > len(item.key):
                                break
                            for number in prefixes.get(item.key[:length], ()):
                                pattern = self._patterns.get(number)
                                if pattern.fullmatch(item.key) if pattern else length == len(item.key):
                                    yield number, item, bucket
            except OSSServiceError:
                if at == first:
                    raise
                await retry(
                    lambda: services.oss.head(bucket, at),  # noqa: B023
                    seconds=services.timing.retry_seconds,
                )
                done = False


def _groups(prefixes: Sequence[str]) -> Iterable[Sequence[str]]:
    """Divide sorted prefixes by folder, if that makes few listings; else they are one group."""
    folders: dict[str, list[str]] = defaultdict(list)
    for prefix in prefixes:
        folders[prefix.rpartition("/")[0]].append(prefix)
    if len(folders) <= max(16, len(prefixes) // 100):
        return folders.values()
    return [prefixes]


def _common_prefix(first: str, last: str) -> str:
    length = next(
        (at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last))
    )
    return first[:length]


def _identity(request: JobRequest, expected: Outputs | None) -> str:
    """Return what an object writes: two objects with the same would overwrite each other's results."""
    if expected is None:
        return f"source {request.source}"
    if expected.key:
        return f"{expected.bucket}/{expected.key}"
    return f"{expected.bucket}/{request.target.removeprefix('oss://').partition('/')[2]}"


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
