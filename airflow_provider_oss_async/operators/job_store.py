"""What a task remembers of its job across tries, in Airflow's task state store (Airflow 3.3 and later)."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.errors import traceback_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_oss_async.jobs.job import OSSJob
    from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

log = logging.getLogger(__name__)

KEY = "oss_async_job"
#: Version of the stored form.
VERSION = 1


class JobStateStore:
    """The intent to submit, and then the job: written around the request, read by a later try.

    It holds for one request (its fingerprint) and one run of tries: an automatic retry keeps
    ``ti.max_tries``, while a user's Clear raises it, and means starting anew. So it may stay after success;
    deleted then, a worker that dies before Airflow knows of the success would leave a retry that submits the
    job again. It goes with the run, at the latest when the store's retention ends.

    :param context: of the running task.
    :param fingerprint: of the request; empty where the record is only to be deleted.
    :param enabled: ``False`` remembers nothing.
    """

    def __init__(self, context: Context, fingerprint: str, *, enabled: bool = True) -> None:
        store: Any = context.get("task_state_store") if enabled else None
        if enabled and store is None and fingerprint:
            log.info(
                "This Airflow has no task state store (3.3 and later have one): a retry after a crash cannot "
                "find the job of the try before and submits a new one, and so may a worker that was "
                "suspended for longer than the heartbeat timeout."
            )
        self._store = store
        self._identity = {
            "version": VERSION,
            "fingerprint": fingerprint,
            "max_tries": context["ti"].max_tries,
        }

    def read(self) -> dict[str, Any] | None:
        """Return what an earlier try left: ``intent_at``, and ``wait_specification`` where a job is known."""
        found = self._store.get(KEY) if self._store is not None else None
        if not isinstance(found, dict):
            return None
        if found.get("version") != VERSION:
            log.warning(
                "The record of an earlier job is not used: it has version %r, and this release reads "
                "version %r.",
                found.get("version"),
                VERSION,
            )
            return None
        if any(found.get(name) != value for name, value in self._identity.items()):
            log.info(
                "The record of an earlier job is not used: the task was cleared, or its request changed."
            )
            return None
        return found

    def job(self) -> OSSJob | None:
        """Return the job of this run of tries, whatever its request; ``None`` if none is known."""
        found = self._store.get(KEY) if self._store is not None else None
        if not isinstance(found, dict) or "wait_specification" not in found:
            return None
        if any(found.get(name) != self._identity[name] for name in ("version", "max_tries")):
            return None
        from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification

        return WaitSpecification.from_dict(found["wait_specification"]).job

    def write_intent(self, baseline: dict[str, Any] | None) -> None:
        """Remember that a request is about to be sent.

        What the store raises is passed on, since nothing was sent yet: a superseded try gets a 404.

        :param baseline: state of the target object before.
        """
        if self._store is not None:
            self._store.set(KEY, {**self._identity, "intent_at": time.time(), "baseline": baseline})

    def write_job(self, spec: WaitSpecification) -> None:
        """Remember the job. A failure is only logged: the job is running and has to be waited for."""
        record = {**self._identity, "intent_at": time.time(), "wait_specification": spec.to_dict()}
        self._quietly("set", record)

    def delete(self) -> None:
        """Forget everything: no job came of it, or one that has failed."""
        self._quietly("delete")

    def _quietly(self, verb: str, *value: Any) -> None:
        if self._store is None:
            return
        try:
            getattr(self._store, verb)(KEY, *value)
        except Exception as error:
            log.warning(
                "The task state store could not %s the record of the job: %s", verb, traceback_of(error)
            )
