"""Getting hold of a task's one job: the one an earlier try submitted, or a new one. Never two."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.oss import ObjectState
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSSubmitError, OSSSubmitUncertainError
from airflow_provider_oss_async.jobs.reconciliation import find_job
from airflow_provider_oss_async.jobs.submission import Submission, submit
from airflow_provider_oss_async.jobs.waiting import (
    Following,
    look,
    predictable_output,
    settle_project,
    take_baseline,
)

if TYPE_CHECKING:
    from airflow_provider_oss_async.hooks.oss_async import Run
    from airflow_provider_oss_async.hooks.services import Services
    from airflow_provider_oss_async.jobs.job import Completion, OSSJob
    from airflow_provider_oss_async.operators.job_store import TaskRecord

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Once:
    """Obtains one job for one request.

    :param run: runs a step on the open clients.
    :param submission: the request.
    :param record: what is remembered across tries.
    :param completion: how the job will be followed.
    :param must_follow: whether it has to be possible to follow it.
    :param deadline: until when, in epoch seconds.
    :param poll_interval: seconds between two looks at most, ``None`` for the strategy's own.
    :param resubmit: submit again where it cannot be decided whether there is a job.
    """

    run: Run
    submission: Submission
    record: TaskRecord
    completion: Completion
    must_follow: bool
    deadline: float
    poll_interval: float | None
    resubmit: bool

    def obtain(self) -> Following:
        """Return the job and how to follow it.

        :raises OSSSubmitError: no job could be submitted, or it cannot be decided whether there is one.
        :raises OSSServiceError: the job could not be followed, so none was submitted.
        """
        found = self.record.read()
        if found is not None and "following" in found:
            following = self._reattach(Following.from_dict(found["following"]))
            if following is not None:
                return following
            found = None
        baseline = self._settle()
        if found is not None:
            # The try before was cut off somewhere between its intent and the answer.
            before = ObjectState(**found["baseline"]) if found.get("baseline") else None
            job = self._search(found["intent_at"], before, None)
            if job is not None:
                return self._remember(job, before)
        sent_at = time.time()
        try:
            job = self._submit(baseline)
        except OSSSubmitUncertainError as error:
            log.warning("%s Looking for it.", error)
            job = self._search(sent_at, baseline, error) or self._submit(baseline)
        return self._remember(job, baseline)

    def _submit(self, baseline: ObjectState | None) -> OSSJob:
        """Send one request. The intent is written anew each time, so that a search begins at the last one."""
        # What fails before a request must not leave an intent to send one.
        self.run(lambda clients: clients.ready())
        self.record.write_intent(asdict(baseline) if baseline else None)
        try:
            return self.run(self._send)
        except OSSSubmitUncertainError:
            raise
        except OSSSubmitError:
            self.record.clear()
            raise

    def _reattach(self, before: Following) -> Following | None:
        completion = self.completion
        if "object" in (completion, before.completion):
            # The state of the target before the job is only known where it was asked for then.
            completion = before.completion
        following = replace(
            before, completion=completion, deadline=self.deadline, poll_interval=self.poll_interval
        )
        job = following.job
        try:
            status = self.run(lambda clients: look(clients, following))
        except OSSServiceError as error:
            log.info("The look at job %s of an earlier try brought no answer: %s", job.task_id, error)
        else:
            if status.final and status.state != "succeeded":
                log.info(
                    "Job %s of an earlier try has failed (%s); submitting anew", job.task_id, status.code
                )
                self.record.clear()
                return None
        log.info("Following job %s, which an earlier try has submitted", job.task_id)
        return following

    def _settle(self) -> ObjectState | None:
        """Settle what following needs, before anything is submitted."""
        if self.completion == "object":
            if not self.must_follow:
                return None
            output = predictable_output(self.submission)
            return self.run(lambda clients: take_baseline(clients, output))
        bucket, project = self.submission.source.bucket, self.submission.imm_project
        try:
            project = self.run(lambda clients: settle_project(clients, bucket, project))
        except OSSServiceError as error:
            if self.must_follow:
                raise
            log.info("The job's IMM project stays unknown: %s", error)
        self.submission = replace(self.submission, imm_project=project)
        return None

    async def _send(self, clients: Services) -> OSSJob:
        await clients.ready()
        return await submit(clients.oss, self.submission)

    def _search(
        self, intent_at: float, baseline: ObjectState | None, cause: OSSSubmitUncertainError | None
    ) -> OSSJob | None:
        """Return the job of a request whose answer is missing, ``None`` where a new request may be sent."""
        found = self.run(lambda clients: find_job(clients, self.submission, intent_at, baseline))
        if found.job is not None:
            log.info("Found job %s of the earlier request: %s", found.job.task_id, found.reason)
            return found.job
        if found.certain or self.resubmit:
            log.info("Submitting anew: %s", found.reason)
            return None
        details: dict[str, Any] = {"service": "OSS", "action": "AsyncProcessObject"}
        if cause is not None:
            details |= {"status": cause.status, "code": cause.code, "request_id": cause.request_id}
        raise OSSSubmitUncertainError(
            f"It cannot be decided whether {self.submission.process.operation} on {self.submission.source} "
            f"was submitted: {found.reason}. "
            f"{cause or 'An earlier try got no answer to its request, or was cut off.'} "
            f"Look for the job in IMM project {self.submission.imm_project or '(unknown)'} and for "
            f"{self.submission.target or 'its result'}; clear the task to submit anew, or set "
            "on_uncertain_submit='resubmit' to have that done by itself.",
            **details,
        )

    def _remember(self, job: OSSJob, baseline: ObjectState | None) -> Following:
        following = Following(job, self.completion, self.deadline, self.poll_interval, baseline)
        self.record.write_job(following)
        return following
