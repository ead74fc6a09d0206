"""What the services of the stand-in share."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.server.broker import Broker
from airflow_provider_oss_async.local.server.faults import Fault, Faults
from airflow_provider_oss_async.local.server.job_runner import JobRecord, JobRunner, JobTable, Processor
from airflow_provider_oss_async.local.server.process_request import completion_message
from airflow_provider_oss_async.local.server.signatures import AccessKey, Verifier
from airflow_provider_oss_async.local.server.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DEFAULT_KEY = AccessKey("local", "local-secret")


class Cloud:
    """One account in one region: buckets, jobs, queues, access keys and faults.

    :param data_dir: where objects and jobs are kept; created if missing. One server at a time.
    :param region: region of everything.
    :param owner: account id.
    :param keys: accepted access keys.
    :param buckets: buckets to create if missing, with the IMM project each is attached to, ``None`` for none.
    :param projects: IMM projects that exist, besides those of buckets.
    :param topics: SMQ topics to create, with the queues that subscribe to each.
    :param workers: how many jobs are worked on at once.
    :param job_seconds: least time of a job in seconds: a number, or a range to choose from at random.
    :param faults: faults to begin with.
    :param processor: does the work; by default really.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        region: str = "cn-hangzhou",
        owner: str = "1000000000000001",
        keys: Iterable[AccessKey] = (DEFAULT_KEY,),
        buckets: Mapping[str, str | None] | None = None,
        projects: Iterable[str] = (),
        topics: Mapping[str, Iterable[str]] | None = None,
        workers: int = 2,
        job_seconds: float | tuple[float, float] = 0,
        faults: Iterable[Fault] = (),
        processor: Processor = process_job,
    ) -> None:
        self.region, self.owner = region, owner
        self.endpoint = ""
        self.store = Store(data_dir)
        self.verifier = Verifier(keys)
        self.faults = Faults()
        self.faults.add(*faults)
        self.broker = Broker(owner)
        self.table = JobTable(data_dir)
        self.runner = JobRunner(
            self.table,
            self.store,
            self.faults,
            processor,
            workers=workers,
            seconds=job_seconds if isinstance(job_seconds, tuple) else (job_seconds, job_seconds),
            finished=self._announce,
        )
        self._projects = set(projects)
        for name, project in (buckets or {}).items():
            bucket = self.store.create_bucket(name, region, owner, project)
            if bucket.imm_project != project:
                self.store.change_bucket(name, imm_project=project)
        for topic, queues in (topics or {}).items():
            for queue in queues:
                self.broker.subscribe(topic, queue)

    def projects(self) -> set[str]:
        """Return the IMM projects that exist."""
        attached = {bucket.imm_project for bucket in self.store.buckets() if bucket.imm_project}
        return self._projects | attached | self.table.projects()

    def add_project(self, name: str) -> None:
        """Create an IMM project."""
        self._projects.add(name)

    def _announce(self, job: JobRecord) -> None:
        if not job.topic or self.faults.take("notify_drop", *job.subjects):
            return
        message = completion_message(job, region=self.region, owner=self.owner)
        if self.faults.take("notify_base64", *job.subjects):
            message = base64.b64encode(message.encode()).decode()
        for _ in range(2 if self.faults.take("notify_twice", *job.subjects) else 1):
            # A topic that does not exist is silence, as with the service.
            self.broker.publish(job.topic, message)
