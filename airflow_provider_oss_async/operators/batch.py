"""Operator for many objects: one task submits, follows and reports them all."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_oss_async.batch.sources import Inventory, ListFile, ObjectListing
from airflow_provider_oss_async.clients.errors import traceback_of
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSBatchFailedError, ProcessError
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT
from airflow_provider_oss_async.operators.argument_checks import (
    IfOutputDiffers,
    IfTargetTriggers,
    OnUncertainSubmit,
    VerifyOutput,
    collect,
    refusal,
    seconds_of,
    wrong_choices,
    wrong_durations,
    wrong_names,
    wrong_output_choices,
    wrong_switches,
)
from airflow_provider_oss_async.operators.kill_flag import KillFlag
from airflow_provider_oss_async.operators.lineage import lineage
from airflow_provider_oss_async.operators.task import OSSAsyncTask
from airflow_provider_oss_async.process import ObjectURI
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.batch.specification import BatchSpecification
    from airflow_provider_oss_async.operators.arguments import TaskArguments
    from airflow_provider_oss_async.process import Specification, SpecificationTemplate, Style

__all__ = ["Inventory", "ListFile", "OSSAsyncProcessBatchOperator", "ObjectListing"]

log = logging.getLogger(__name__)

#: Seconds that a batch may take where ``timeout`` is not given, and at most.
DEFAULT_TIMEOUT, MAX_BATCH_TIMEOUT = 24 * 3600.0, 30 * 24 * 3600.0
#: Seconds that one job may take where ``object_timeout`` is not given.
DEFAULT_OBJECT_TIMEOUT = 6 * 3600.0
#: Most jobs under way, most submissions a second, most attempts, most objects.
MAX_IN_FLIGHT, MAX_SUBMITS, MAX_ATTEMPTS, MAX_OBJECTS = 10_000, 1000.0, 10, 10_000_000
#: Choices of the arguments that have some.
_CHOICES = {
    "if_target_exists": ("overwrite", "skip"),
    "if_target_triggers": get_args(IfTargetTriggers),
    "manifest_format": ("jsonl", "csv"),
    "on_uncertain_submit": get_args(OnUncertainSubmit),
}
#: Key of what the task state store keeps of a batch.
KEY = "oss_async_batch"


class FinalBatchFailedError(OSSBatchFailedError, AirflowFailException):
    """Too many objects failed, and no retry can mend any of them. Final."""


class OSSAsyncProcessBatchOperator(OSSAsyncTask):
    """Run one asynchronous process on many objects: each is submitted once, followed, and reported.

    A ledger in OSS says what has been submitted, so that a retry, another worker or another triggerer goes on
    where the one before was cut off, without paying twice. A retry takes only what is unfinished or may be
    tried again; a Clear starts anew. The result is a manifest in OSS with a row per object.

    XCom: a summary (dict) with counts by state, bytes, the addresses of manifest and ledger, and the first 20
    failures; after a failure it is ``summary``.

    :param process: a specification such as ``VideoConvert(container="mp4")``; ``VideoConvert.template(...)``,
        whose arguments may be templates; a ``Style``; or a process string without saveas and notify
        (templated)
    :param sources: the objects: a list of keys, ``oss://`` addresses, or dicts with ``source`` and optionally
        ``target`` and arguments that override those of ``process`` (and ``reason``, which is for people); the
        results of other tasks, as ``task.output``; what ``new_objects(context)`` of
        ``airflow_provider_oss_async.events`` returns; or an ``ObjectListing``, a ``ListFile`` or an
        ``Inventory``, which are read when the task runs (templated)
    :param target: where a result goes: ``oss://bucket/key`` or a key in the connection's default bucket, with
        OSS's variables such as ``{dirname}``, ``{barename}`` and ``{autoext}``. Two objects with one target
        are refused. ``None`` where each source names its own, or nothing is written (templated)
    :param if_target_exists: ``"overwrite"`` it; or ``"skip"`` the objects whose target is newer than they are
        and not empty. Default ``"overwrite"`` (templated)
    :param if_target_triggers: where the run was started by events of an ``OSSEventTrigger``, and a target or
        the ledger's folder lies under what that watches, so that the DAG would start itself again and again:
        ``"fail"`` before anything is paid, or ``"warn"`` in the log. Default ``"fail"`` (templated)
    :param symlinks: process symbolic links too; they are set aside by default
    :param dry_run: submit nothing, and return counts, bytes, what would be set aside, the first objects with
        their targets, and warnings. Default ``False`` (templated)
    :param probe: ask OSS about the sources of video and audio (``video/info``, ``audio/info``: billed
        requests that need the right ``imm:DetectMediaMeta``), so that the plan says how many minutes the
        results have, by codec and size. Default ``False`` (templated)
    :param probe_sample: ask about so many objects only, evenly spread, 1 to 100,000, and take the others to
        be like them. Default: all (templated)
    :param prices: your prices, from which the plan tells the cost: a mapping that
        ``airflow_provider_oss_async.batch.budget`` describes (templated)
    :param max_cost: what all jobs may cost by ``prices``, above 0: nothing is submitted where it is more, or
        cannot be told. Probes, whatever ``probe`` says (templated)
    :param max_objects: objects at most, 1 to 10,000,000: a guard against a wrong prefix. Default 10,000
        (templated)
    :param max_in_flight: jobs under way at most, 1 to 10,000. Fewer where the project works off fewer within
        ten minutes, since IMM fails what waits for tens of minutes. Default 200
    :param max_submits_per_second: above 0, up to 1000. Default 50
    :param attempts: jobs per object at most, 1 to 10, for failures that pass by themselves (queue time-outs,
        throttling, trouble of the service). Default 3
    :param max_failed: failed objects that are tolerated: a number from 0, or a share below 1 such as 0.01.
        The task fails after all have ended. Default 0 (templated)
    :param timeout: seconds (or a ``timedelta``) for the whole batch, in one try; above 0, up to 30 days.
        Default 24 hours
    :param object_timeout: seconds (or a ``timedelta``) for one job; above 0, up to 6.5 days. Default 6 hours
    :param ledger: folder of the ledger and the manifest, ``oss://bucket/folder/``; below it comes a folder
        per DAG, run, task, map index and run of tries. It must allow appends. Default ``.oss-async/``
        in the target's bucket (templated)
    :param manifest_format: ``"jsonl"`` or ``"csv"``. Default ``"jsonl"``
    :param on_uncertain_submit: what to do with an object where it cannot be decided whether a request whose
        answer was lost has started a job: ``"fail"`` it, or ``"resubmit"`` and perhaps pay twice. Default
        ``"fail"`` (templated)
    :param verify_output: check the outputs of each job, as with the operators for one object: ``"exists"``,
        one more request for each object; ``"media"``, at least two, of which one is billed. Default
        ``None``, no check (templated)
    :param if_output_differs: ``"fail"`` an object whose output is not what was asked for, with the code
        ``OutputMismatch``; no retry submits it again. Or ``"warn"``, so that it has succeeded, with that
        code in the manifest. One that could not be verified has succeeded, with the code
        ``OutputNotVerified``. Default ``"fail"`` (templated)
    :param completion: only ``"imm"``, which polls IMM. It is there so that a ``completion`` in
        ``default_args`` is not ignored: ``"smq"`` is refused, because a batch learns of a hundred ended jobs
        by one request, and messages would take two requests for each job and be no sooner; ``"object"``,
        because without IMM nothing says that a job has failed. Default ``"imm"`` (templated)
    :param deferrable: run the whole batch in the triggerer, without a worker; default ``[operators]
        default_deferrable``
    :param imm_project: IMM project the buckets are bound to; default the connection's, else looked up
        (templated)
    :param region: takes the place of the connection's region (templated)
    :param oss_conn_id: Airflow connection. Default ``"oss_async_default"`` (templated)
    """

    template_fields: Sequence[str] = (
        "process",
        "sources",
        "target",
        "if_target_exists",
        "if_target_triggers",
        "plan_only",
        "probe",
        "probe_sample",
        "prices",
        "max_cost",
        "max_objects",
        "max_failed",
        "ledger",
        "on_uncertain_submit",
        "verify_output",
        "if_output_differs",
        "completion",
        "imm_project",
        "region",
        "oss_conn_id",
    )
    ui_color = "#ffe8cc"

    def __init__(
        self,
        *,
        process: str | Specification | SpecificationTemplate | Style | XComArg,
        sources: Sequence[str | Mapping[str, Any]] | ObjectListing | ListFile | Inventory | XComArg,
        target: str | XComArg | None = None,
        if_target_exists: Literal["overwrite", "skip"] | str | XComArg = "overwrite",
        if_target_triggers: IfTargetTriggers | str | XComArg = "fail",
        symlinks: bool = False,
        dry_run: bool | str | XComArg = False,
        probe: bool | str | XComArg = False,
        probe_sample: int | str | XComArg | None = None,
        prices: Mapping[str, Any] | XComArg | None = None,
        max_cost: float | str | XComArg | None = None,
        max_objects: int | str | XComArg = 10_000,
        max_in_flight: int = 200,
        max_submits_per_second: float = 50.0,
        attempts: int = 3,
        max_failed: float | str | XComArg = 0,
        timeout: float | timedelta = DEFAULT_TIMEOUT,
        object_timeout: float | timedelta = DEFAULT_OBJECT_TIMEOUT,
        ledger: str | XComArg | None = None,
        manifest_format: Literal["jsonl", "csv"] | str = "jsonl",
        on_uncertain_submit: OnUncertainSubmit | str | XComArg = "fail",
        verify_output: VerifyOutput | str | XComArg | None = None,
        if_output_differs: IfOutputDiffers | str | XComArg = "fail",
        completion: Literal["imm"] | str | XComArg = "imm",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        imm_project: str | XComArg | None = None,
        region: str | XComArg | None = None,
        oss_conn_id: str | XComArg = "oss_async_default",
        **kwargs: Unpack[TaskArguments],
    ) -> None:
        super().__init__(**cast("dict[str, Any]", kwargs))
        self.process = process
        self.sources = sources
        self.target = target
        self.if_target_exists = if_target_exists
        self.if_target_triggers = if_target_triggers
        self.symlinks = symlinks
        # BaseOperator has a method dry_run.
        self.plan_only = dry_run
        self.probe = probe
        self.probe_sample = probe_sample
        self.prices = prices
        self.max_cost = max_cost
        self.max_objects = max_objects
        self.max_in_flight = max_in_flight
        self.max_submits_per_second = max_submits_per_second
        self.attempts = attempts
        self.max_failed = max_failed
        self.timeout = timeout
        self.object_timeout = object_timeout
        self.ledger = ledger
        self.manifest_format = manifest_format
        self.on_uncertain_submit = on_uncertain_submit
        self.verify_output = verify_output
        self.if_output_differs = if_output_differs
        self.completion = completion
        self.deferrable = deferrable
        self.imm_project = cast("str | None", imm_project)
        self.region = cast("str | None", region)
        self.oss_conn_id = cast("str", oss_conn_id)
        self._killed = KillFlag()
        self._lineage: tuple[str, str] = ("", "")

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the batch, or go on with the one that an earlier try began.

        :return: the summary.
        :raises ValueError: an argument or the connection is wrong; nothing was sent.
        :raises OSSBatchFailedError: more objects failed than ``max_failed`` allows.
        :raises OSSAsyncError: the batch could not go on; a retry goes on where it was.
        """
        try:
            return self._execute(context)
        except OSSAsyncError as error:
            raise self._failed(context, error) from None

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_oss_async.batch.plan import make_plan
        from airflow_provider_oss_async.batch.progress_bar import run_with_progress_bar
        from airflow_provider_oss_async.batch.runner import BatchRunner
        from airflow_provider_oss_async.hooks.metrics import count

        spec = self.batch_specification(context)
        self._lineage = (_source_address(spec.sources), spec.target.partition("{")[0])
        if _is_true(self.plan_only):
            with self.hook.running() as run:
                plan = run(lambda services: make_plan(services, spec)).summary()
            self.log.info("Dry run, nothing is submitted: %s", plan)
            return {"dry_run": True, **plan}
        self._remember(context, spec, "running")
        self.log.info("The ledger of the batch is %s", spec.ledger)
        if self.deferrable:
            if spec.sources["kind"] == "list":
                # A long list does not fit into the arguments of a trigger: the plan is in the ledger.
                with self.hook.running() as run:
                    run(lambda services: BatchRunner(services, spec, killed=self._killed.is_set).prepare())
            self._defer(spec)
        with self.hook.running() as run:
            summary = run(
                lambda services: run_with_progress_bar(
                    BatchRunner(services, spec, killed=self._killed.is_set, count=count)
                )
            )
        return self._succeed(context, summary)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Take the summary that the trigger has brought.

        :raises OSSBatchFailedError: more objects failed than ``max_failed`` allows.
        :raises OSSAsyncError: the batch could not go on.
        """
        from airflow_provider_oss_async.jobs.result import result_from

        try:
            return self._succeed(context, result_from(event))
        except OSSAsyncError as error:
            raise self._failed(context, error) from None

    def on_kill(self) -> None:
        """Submit nothing any more, and say that submitted jobs go on: OSS cannot cancel them."""
        self._killed.set()
        self.log.warning(
            "Jobs of the batch that are submitted go on and will be billed, because OSS cannot cancel jobs; "
            "a retry follows them."
        )

    def batch_specification(self, context: Context) -> BatchSpecification:
        """Check everything and return what the batch is to do.

        :raises ProcessError: names every wrong argument, its value and what is allowed.
        """
        from airflow_provider_oss_async.batch.budget import MAX_SAMPLE
        from airflow_provider_oss_async.batch.ledger import PREFIX, ledger_uri
        from airflow_provider_oss_async.batch.plan import RequestBuilder
        from airflow_provider_oss_async.batch.sources import sources_to_dict
        from airflow_provider_oss_async.batch.specification import BatchSpecification, process_to_dict
        from airflow_provider_oss_async.events.target_check import TargetCheck, watches_of

        problems = wrong_switches(self)
        if wrong := wrong_names(self):
            # Without the connection's own region and bucket nothing else can be checked.
            raise refusal(self.task_id, [*wrong, *problems])
        settings = self.hook.settings
        process = collect(problems, lambda: process_to_dict(self.process)) or {}
        sources = collect(problems, lambda: sources_to_dict(self.sources, settings.bucket)) or {}
        target = ""
        if self.target is not None:
            parsed = collect(
                problems,
                lambda: ObjectURI.parse(
                    cast("str", self.target), name="target", default_bucket=settings.bucket, variables=True
                ),
            )
            target = str(parsed or "")
        numbers = {
            "max_objects": self._whole("max_objects", 1, MAX_OBJECTS, problems),
            "max_in_flight": self._whole("max_in_flight", 1, MAX_IN_FLIGHT, problems),
            "attempts": self._whole("attempts", 1, MAX_ATTEMPTS, problems),
        }
        problems += wrong_durations(self, {"timeout": MAX_BATCH_TIMEOUT, "object_timeout": MAX_TIMEOUT})
        submits = seconds_of(self.max_submits_per_second)
        if submits is None or not 0 < submits <= MAX_SUBMITS:
            problems.append(
                f"max_submits_per_second={shown(self.max_submits_per_second)} is not allowed: expected "
                f"above 0, up to {MAX_SUBMITS:g}"
            )
        max_failed = _tolerated(self.max_failed)
        if max_failed is None:
            problems.append(
                f"max_failed={shown(self.max_failed)} is not allowed: expected a number from 0, or a share "
                "between 0 and 1"
            )
        problems += wrong_choices(self, _CHOICES)
        problems += wrong_output_choices(self, waits=True)
        if self.completion != "imm":
            problems.append(
                f"completion={shown(self.completion)} is not allowed: a batch polls all its jobs together, "
                "so expected imm"
            )
        if _is_true(self.plan_only) is None:
            problems.append(f"dry_run={shown(self.plan_only)} is not allowed: expected true or false")
        if _is_true(self.probe) is None:
            problems.append(f"probe={shown(self.probe)} is not allowed: expected true or false")
        sample = None
        if self.probe_sample is not None:
            sample = self._whole("probe_sample", 1, MAX_SAMPLE, problems)
        max_cost = self._max_cost(problems)
        bucket = _first_bucket(sources) or settings.bucket
        base = self._ledger_base(target, bucket, PREFIX, problems)
        watches = watches_of(context)
        if base is not None:
            # The ledger itself is appended to; its manifests are put.
            loop = TargetCheck(watches).ledger_problem(
                base.bucket, f"{base.key}/", f".{self.manifest_format}"
            )
            if loop and self.if_target_triggers == "warn":
                self.log.warning("%s", loop)
            elif loop:
                problems.append(loop)
        if problems or base is None:
            raise refusal(self.task_id, problems)
        ti = cast("Any", context["ti"])
        names = (ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index), str(ti.max_tries))
        timeout = seconds_of(self.timeout) or DEFAULT_TIMEOUT
        if self.execution_timeout is not None:
            timeout = min(timeout, self.execution_timeout.total_seconds())
        spec = BatchSpecification(
            process=process,
            target=target,
            sources=sources,
            ledger=str(ledger_uri(base, *names)),
            bucket=bucket,
            deadline=time.time() + timeout,
            try_number=ti.try_number,
            if_target_exists=cast("str", self.if_target_exists),
            if_target_triggers=cast("str", self.if_target_triggers),
            watches=watches,
            symlinks=self.symlinks,
            max_objects=numbers["max_objects"],
            max_in_flight=numbers["max_in_flight"],
            max_submits_per_second=submits or 0.0,
            attempts=numbers["attempts"],
            max_failed=max_failed or 0,
            object_timeout=seconds_of(self.object_timeout) or DEFAULT_OBJECT_TIMEOUT,
            manifest_format=self.manifest_format,
            on_uncertain_submit=cast("str", self.on_uncertain_submit),
            verify_output=cast("str", self.verify_output or ""),
            if_output_differs=cast("str", self.if_output_differs),
            region=settings.region,
            imm_project=settings.imm_project,
            probe=bool(_is_true(self.probe)) or max_cost is not None,
            probe_sample=sample,
            prices=dict(cast("Any", self.prices) or {}),
            # A dry run says what it is, and is not stopped by it.
            max_cost=None if _is_true(self.plan_only) else max_cost,
        )
        builder = RequestBuilder(spec)
        needs_target = builder.writes_object and not target and sources["kind"] in ("listing", "inventory")
        if needs_target or (target and not builder.writes_object):
            raise refusal(
                self.task_id,
                ["target is missing: the service saves the results nowhere else"]
                if needs_target
                else ["target is not allowed: this process writes no object"],
            )
        return spec

    def _ledger_base(self, target: str, bucket: str, prefix: str, problems: list[str]) -> ObjectURI | None:
        if self.ledger is not None:
            text = self.ledger
            if isinstance(text, str):
                text = text.rstrip("/")
                if text.startswith("oss://") and "/" not in text.removeprefix("oss://"):
                    text = f"{text}/{prefix.rstrip('/')}"
            try:
                return ObjectURI.parse(cast("str", text), name="ledger", default_bucket=bucket)
            except ProcessError as error:
                problems.append(str(error))
                return None
        chosen = target.removeprefix("oss://").partition("/")[0]
        if not chosen or "{" in chosen:
            chosen = bucket
        if not chosen:
            if not problems:
                problems.append(
                    "ledger is needed, because no bucket is known: set it to oss://bucket/folder/"
                )
            return None
        return ObjectURI(chosen, prefix.rstrip("/"))

    def _max_cost(self, problems: list[str]) -> float | None:
        """Check ``prices`` and ``max_cost``, and return the latter."""
        from airflow_provider_oss_async.batch.budget import Prices

        if self.prices is not None:
            collect(problems, lambda: Prices.read(self.prices))
        if self.max_cost is None:
            return None
        number = seconds_of(self.max_cost)
        if number is None or not 0 < number < float("inf"):
            problems.append(f"max_cost={shown(self.max_cost)} is not allowed: expected a number above 0")
            return None
        if self.prices is None:
            problems.append("max_cost has no meaning without prices")
        return number

    def _whole(self, name: str, low: int, high: int, problems: list[str]) -> int:
        value = getattr(self, name)
        try:
            number = int(value)
            if isinstance(value, bool) or number != float(value) or not low <= number <= high:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            problems.append(f"{name}={shown(value)} is not allowed: expected a whole number, {low} to {high}")
            return low
        return number

    def _remember(
        self, context: Context, spec: BatchSpecification, phase: str, summary: Mapping[str, Any] | None = None
    ) -> None:
        """Keep a pointer to the ledger in the task state store (Airflow 3.3 and later).

        A try that was superseded gets an error here, so it does not begin.
        """
        store: Any = context.get("task_state_store")
        if store is not None:
            counters = {name: value for name, value in (summary or {}).items() if isinstance(value, int)}
            store.set(
                KEY,
                {
                    "version": 1,
                    "ledger": spec.ledger,
                    "fingerprint": spec.request_fingerprint,
                    "max_tries": cast("Any", context["ti"]).max_tries,
                    "phase": phase,
                    "counts": counters,
                },
            )

    def _defer(self, spec: BatchSpecification) -> None:
        from dataclasses import replace

        from airflow_provider_oss_async.triggers.oss_async import event_hold
        from airflow_provider_oss_async.triggers.oss_batch import OSSAsyncBatchTrigger

        if spec.sources["kind"] == "list":
            rest = {name: value for name, value in spec.sources.items() if name != "items"}
            spec = replace(spec, sources=rest, fingerprint=spec.request_fingerprint)
        self.defer(
            trigger=OSSAsyncBatchTrigger(
                batch_specification=spec.to_dict(),
                oss_conn_id=self.oss_conn_id,
                region=self.region,
                deferred_at=time.time(),
                event_hold=event_hold(),
            ),
            method_name="execute_complete",
            # A safety net only: the trigger itself keeps the deadline, and then writes the manifest.
            timeout=timedelta(seconds=max(0.0, spec.deadline - time.time()) + 3600),
        )

    def _succeed(self, context: Context, summary: dict[str, Any]) -> dict[str, Any]:
        self._note(context, "finished", summary)
        self.log.info(
            "The batch has succeeded: %d of %d objects, %d failed; manifest %s",
            summary["succeeded"],
            summary["objects"],
            len(summary["failures"]),
            summary["manifest"],
        )
        for outlet in self.outlets:
            if (uri := getattr(outlet, "uri", None)) is not None and uri.startswith("oss://"):
                extra = {name: summary[name] for name in ("manifest", "objects", "succeeded", "bytes")}
                context["outlet_events"][outlet].extra.update(extra)
        return summary

    def _failed(self, context: Context, error: OSSAsyncError) -> OSSAsyncError:
        from airflow_provider_oss_async.operators.final_errors import failed

        if isinstance(error, OSSBatchFailedError):
            self._note(context, "failed", error.summary)
            try:
                context["ti"].xcom_push(key="summary", value=error.summary)
            except Exception as reason:
                # The error itself is what matters.
                log.warning("The summary of the batch could not be pushed: %s", traceback_of(reason))
            if not error.summary.get("again"):
                error = FinalBatchFailedError(error.message, **error.fields)
        return failed(context, error, submits=True)

    def _note(self, context: Context, phase: str, summary: Mapping[str, Any]) -> None:
        """Update what the task state store keeps; that is for people, so a failure is only logged."""
        store: Any = context.get("task_state_store")
        if store is None:
            return
        try:
            counters = {name: value for name, value in summary.items() if isinstance(value, int)}
            store.set(KEY, {**(store.get(KEY) or {}), "phase": phase, "counts": counters})
        except Exception as error:
            log.warning("The task state store could not keep the end of the batch: %s", traceback_of(error))

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the prefixes of sources and targets as datasets, for OpenLineage."""
        source, target = self._lineage
        return lineage(source, [target] if target else [])


def _is_true(value: Any) -> bool | None:
    """Return a switch that may come out of a template; ``None`` if it is none."""
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    return {"true": True, "false": False, "1": True, "0": False}.get(text)


def _tolerated(value: Any) -> float | None:
    """Return a number (int) or a share (float) of failures; ``None`` if it is neither."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if isinstance(value, bool) or not 0 <= number < float("inf") or (number >= 1 and number != int(number)):
        return None
    return number if 0 < number < 1 else int(number)


def _first_bucket(sources: Mapping[str, Any]) -> str:
    if sources.get("items"):
        return str(sources["items"][0][0])
    return str(sources.get("bucket") or str(sources.get("uri", "")).removeprefix("oss://").partition("/")[0])


def _source_address(sources: Mapping[str, Any]) -> str:
    """Return what stands for all sources in a lineage: their prefix, or the file that lists them."""
    if sources["kind"] == "listing":
        return f"oss://{sources['bucket']}/{sources['prefix']}"
    return str(sources.get("uri") or "")
