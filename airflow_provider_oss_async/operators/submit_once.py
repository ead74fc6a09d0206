"""Submitting a task's job, or reconnecting to the one that an earlier try submitted. Never two jobs."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.oss import ObjectState
from airflow_provider_oss_async.exceptions import (
    OSSServiceError,
    OSSSubmitCancelledError,
    OSSSubmitError,
    OSSSubmitUncertainError,
    OSSTargetExistsError,
    error_text,
)
from airflow_provider_oss_async.hooks.metrics import count
from airflow_provider_oss_async.jobs.completion import STRATEGIES, strategy_of
from airflow_provider_oss_async.jobs.existing_outputs import existing_outputs
from airflow_provider_oss_async.jobs.reconciliation import reconcile
from airflow_provider_oss_async.jobs.submission import submit
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.jobs.waiting import poll_once, settle_project
from airflow_provider_oss_async.operators.kill_flag import KillFlag

if TYPE_CHECKING:
    from airflow_provider_oss_async.hooks.oss_async import Run
    from airflow_provider_oss_async.jobs.existing_outputs import ExistingOutputs
    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.submission import JobRequest
    from airflow_provider_oss_async.operators.job_store import JobStateStore

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SubmitOrReconnect:
    """Gets one job for one request.

    :param run: runs a step on the open clients.
    :param request: the request.
    :param store: what is remembered across tries.
    :param completion: name of the strategy by which the job will be waited for.
    :param waits: whether it will be waited for at all.
    :param deadline: until when, in epoch seconds.
    :param max_poll_interval: seconds between two polls at most, ``None`` for the strategy's own.
    :param resubmit: submit again where it cannot be decided whether there is a job.
    :param if_target_exists: ``overwrite``, ``skip`` or ``fail``.
    :param killed: set when the task was killed: nothing is submitted any more.
    """

    run: Run
    request: JobRequest
    store: JobStateStore
    completion: str
    waits: bool
    deadline: float
    max_poll_interval: float | None
    resubmit: bool
    if_target_exists: str = "overwrite"
    killed: KillFlag = field(default_factory=KillFlag)

    def obtain(self) -> WaitSpecification | ExistingOutputs:
        """Return the job and how to wait for it; or the outputs that are there, where those are the result.

        :raises OSSSubmitError: no job could be submitted, or it cannot be decided whether there is one.
        :raises OSSServiceError: the job could not be waited for, so none was submitted.
        :raises OSSTargetExistsError: the target exists.
        """
        found = self.store.read()
        if found is not None and "wait_specification" in found:
            spec = self._reconnect(WaitSpecification.from_dict(found["wait_specification"]))
            if spec is not None:
                return spec
            found = None
        baseline = self._prepare()
        if found is not None:
            # The try before was cut off somewhere between its intent and the answer.
            before = ObjectState(**found["baseline"]) if found.get("baseline") else None
            job = self._reconcile(found["intent_at"], before, None)
            if job is not None:
                return self._remember(job, before)
        if self.if_target_exists != "overwrite" and (existing := self._existing()) is not None:
            return existing
        sent_at = time.time()
        try:
            job = self._submit(baseline)
        except OSSSubmitUncertainError as error:
            log.warning("%s Reconciling.", error)
            job = self._reconcile(sent_at, baseline, error) or self._submit(baseline)
        return self._remember(job, baseline)

    def _submit(self, baseline: ObjectState | None) -> OSSJob:
        """Submit. The intent is stored before each request, so that reconciling begins at the last one."""
        stored = False

        def stop_if_killed() -> None:
            if self.killed.is_set():
                raise OSSSubmitCancelledError(
                    error_text("Nothing was submitted: the task was killed", source=self.request.source),
                    source=str(self.request.source),
                    target=self.request.target,
                )

        def before_attempt() -> None:
            nonlocal stored
            stop_if_killed()
            # A try that was superseded gets a 404 here, so nothing is sent.
            self.store.write_intent(asdict(baseline) if baseline else None)
            stored = True
            stop_if_killed()

        try:
            job = self.run(
                lambda services: submit(
                    services.oss,
                    self.request,
                    backoff=services.timing.submit_backoff,
                    before_attempt=before_attempt,
                )
            )
        except OSSSubmitUncertainError:
            raise
        except OSSSubmitError:
            if stored:
                self.store.delete()
            raise
        count("jobs_submitted")
        return job

    def _reconnect(self, before: WaitSpecification) -> WaitSpecification | None:
        completion = self.completion
        if not (strategy_of(completion).needs_project and strategy_of(before.completion).needs_project):
            # The state of the target before the job is only known where it was asked for then.
            completion = before.completion
        spec = replace(
            before, completion=completion, deadline=self.deadline, max_poll_interval=self.max_poll_interval
        )
        job = spec.job
        try:
            status = self.run(lambda services: poll_once(services, spec))
        except OSSServiceError as error:
            log.info("The poll of job %s of an earlier try brought no answer: %s", job.task_id, error)
        else:
            if status.final and status.state != "succeeded":
                log.info(
                    "Job %s of an earlier try has failed (%s); submitting a new one", job.task_id, status.code
                )
                self.store.delete()
                return None
        log.info("Reconnected to job %s, which an earlier try has submitted", job.task_id)
        count("jobs_reconnected")
        return spec

    def _prepare(self) -> ObjectState | None:
        """Settle what waiting needs, before anything is submitted."""
        strategy = STRATEGIES[self.completion]
        if strategy.needs_project:
            bucket, project = self.request.source.bucket, self.request.imm_project
            try:
                project = self.run(lambda services: settle_project(services, bucket, project))
            except OSSServiceError as error:
                if self.waits:
                    raise error.replace(source=str(self.request.source), target=self.request.target) from None
                log.info("The job's IMM project is not known: %s", error)
            self.request = replace(self.request, imm_project=project)
        if not self.waits:
            return None
        return self.run(lambda services: strategy.baseline(services, self.request))

    def _existing(self) -> ExistingOutputs | None:
        """Return outputs that are the result already, ``None`` where the job has to be submitted."""
        existing = self.run(lambda services: existing_outputs(services, self.request))
        if existing is None or (self.if_target_exists == "skip" and not existing.newer_than_source):
            return None
        if self.if_target_exists == "fail":
            advice = "Delete it, choose another target, or set if_target_exists='overwrite' or 'skip'."
            raise OSSTargetExistsError(
                error_text(
                    f"Nothing was submitted: the target exists ({existing.outputs[0]})",
                    advice,
                    source=self.request.source,
                    target=self.request.target,
                ),
                advice=advice,
                source=str(self.request.source),
                target=self.request.target,
            )
        log.info(
            "Nothing is submitted: %d outputs exist and are newer than the source, such as %s",
            len(existing.outputs),
            existing.outputs[0],
        )
        return existing

    def _reconcile(
        self, intent_at: float, baseline: ObjectState | None, cause: OSSSubmitUncertainError | None
    ) -> OSSJob | None:
        """Return the job of a request whose answer is missing, ``None`` where a new request may be sent."""
        found = self.run(lambda services: reconcile(services, self.request, intent_at, baseline))
        if found.job is not None:
            log.info("Found job %s of the earlier request: %s", found.job.task_id, found.reason)
            count("jobs_reconciled")
            return found.job
        if found.certain or self.resubmit:
            log.info("Submitting again: %s", found.reason)
            return None
        advice = (
            f"Check IMM project {self.request.imm_project or '(unknown)'} and the target for the job; clear "
            "the task to submit it again, or set on_uncertain_submit='resubmit'."
        )
        fields: dict[str, Any] = {**cause.fields} if cause is not None else {"service": "OSS"}
        facts = {"source": self.request.source, "target": self.request.target}
        raise OSSSubmitUncertainError(
            error_text(
                f"It cannot be decided whether the job was submitted: {found.reason}. "
                f"{cause.detail if cause is not None else 'An earlier try was cut off before the answer'}",
                advice,
                **facts,
                intent_at=datetime.fromtimestamp(intent_at, UTC).isoformat(timespec="seconds"),
                request_id=fields.get("request_id"),
            ),
            **{**fields, "advice": advice, **{name: str(value) for name, value in facts.items()}},
        )

    def _remember(self, job: OSSJob, baseline: ObjectState | None) -> WaitSpecification:
        spec = WaitSpecification(job, self.completion, self.deadline, self.max_poll_interval, baseline)
        self.store.write_job(spec)
        return spec
