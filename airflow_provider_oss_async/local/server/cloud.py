"""The state that the services of the stand-in share."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.local.processing.run import process_job
from airflow_provider_oss_async.local.server.behaviour import Behaviour
from airflow_provider_oss_async.local.server.broker import Broker
from airflow_provider_oss_async.local.server.faults import Fault, Faults
from airflow_provider_oss_async.local.server.job_runner import (
    ENGINE_CONCURRENCY,
    QUEUE_SECONDS,
    Engine,
    JobRunner,
    Processor,
)
from airflow_provider_oss_async.local.server.job_table import JobRecord, JobTable
from airflow_provider_oss_async.local.server.notifications import completion_message
from airflow_provider_oss_async.local.server.object_events import EventRule, ObjectEvent, ObjectEvents
from airflow_provider_oss_async.local.server.signatures import AccessKey, Verifier
from airflow_provider_oss_async.local.server.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from airflow_provider_oss_async.local.server.store import StoredObject

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
    :param queues: SMQ queues to create, each with its options (``visibility``, ``retention``, in seconds).
    :param event_rules: event notification rules to create, by name; see :class:`.EventRule`.
    :param workers: how many jobs are processed at once on this machine, 1 or more; default 2.
    :param job_seconds: least run time of a job in seconds: a number, or a range to choose from at random;
        default 0.
    :param engine_concurrency: jobs that each IMM project runs at once (``EngineConcurrency``), 1 or more;
        default 100. The others are queued.
    :param queue_seconds: how long a job may be queued before it fails, in seconds; default 1800.
    :param list_delay: seconds after its end for which ``ListTasks`` shows a task as running; default 0.
    :param behaviour: switches for what is not documented; see :class:`.Behaviour`.
    :param faults: faults to begin with.
    :param processor: does the work of a job; default :func:`.process_job`, which really does it.
    :raises ValueError: a number is out of range, a name is not valid, or another server is using the data
        directory.
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
        queues: Mapping[str, Mapping[str, float]] | None = None,
        event_rules: Mapping[str, Mapping[str, Any]] | None = None,
        workers: int = 2,
        job_seconds: float | tuple[float, float] = 0,
        engine_concurrency: int = ENGINE_CONCURRENCY,
        queue_seconds: float = QUEUE_SECONDS,
        list_delay: float = 0,
        behaviour: Mapping[str, Any] | None = None,
        faults: Iterable[Fault] = (),
        processor: Processor = process_job,
    ) -> None:
        seconds = job_seconds if isinstance(job_seconds, tuple) else (job_seconds, job_seconds)
        if workers < 1 or engine_concurrency < 1:
            raise ValueError("workers and engine_concurrency must be 1 or more")
        if not (0 <= seconds[0] <= seconds[1] and queue_seconds >= 0 and list_delay >= 0):
            raise ValueError(
                "job_seconds (a number, or a low and a high one), queue_seconds and list_delay must be 0 or "
                "more"
            )
        self.region, self.owner = region, owner
        self.list_delay = list_delay
        self.behaviour = Behaviour.read(dict(behaviour or {}))
        self.endpoint = ""
        self.store = Store(data_dir)
        self.verifier = Verifier(keys)
        self.faults = Faults()
        self.faults.add(*faults)
        self.broker = Broker(owner)
        self.object_events = ObjectEvents(self.broker, self.faults, region=region, owner=owner)
        self.table = JobTable(data_dir)
        self.runner = JobRunner(
            self.table,
            self.store,
            self.faults,
            processor,
            workers=workers,
            seconds=seconds,
            queue_seconds=queue_seconds,
            behaviour=lambda: self.behaviour,
            written=self.raise_event,
            finished=self._publish,
        )
        self.runner.engines.default_factory = lambda: Engine(engine_concurrency)
        self._projects = set(projects)
        try:
            for name, project in (buckets or {}).items():
                bucket = self.store.create_bucket(name, region, owner, project)
                if bucket.imm_project != project:
                    self.store.change_bucket(name, imm_project=project)
            for topic, subscribers in (topics or {}).items():
                self.broker.create_topic(topic)
                for queue in subscribers:
                    self.broker.subscribe(topic, queue)
            for queue, options in (queues or {}).items():
                self.broker.create_queue(queue, **options)
            for name, rule in (event_rules or {}).items():
                self.object_events.add(EventRule.read(name, rule))
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Close what is stored; :class:`.JobRunner` is stopped before."""
        self.table.close()
        self.store.close()

    def projects(self) -> set[str]:
        """Return the IMM projects that exist."""
        attached = {bucket.imm_project for bucket in self.store.buckets() if bucket.imm_project}
        return self._projects | attached | self.table.projects()

    def add_project(self, name: str) -> None:
        """Create an IMM project."""
        self._projects.add(name)

    def raise_event(
        self,
        bucket: str,
        stored: StoredObject,
        name: str = "ObjectCreated:PutObject",
        *,
        before: int = 0,
        position: int | None = None,
        request_id: str = "",
        source_ip: str = "127.0.0.1",
    ) -> None:
        """Notify of what has happened to an object; on the loop of the server.

        :param stored: the object as it is now.
        :param name: event type.
        :param before: bytes that it had before.
        :param position: where an append began.
        :param request_id: of the request that has caused it; default a new one.
        """
        self.object_events.raise_event(
            ObjectEvent(
                name,
                bucket,
                stored,
                time.time_ns(),
                request_id or secrets.token_hex(12).upper(),
                source_ip,
                before,
                position,
            )
        )

    def _publish(self, job: JobRecord) -> None:
        if not job.topic or self.faults.take("notify_drop", *job.subjects):
            return
        message = completion_message(job, region=self.region, owner=self.owner)
        if self.behaviour.message_body == "foreign":
            message = json.dumps({"event": "done", "id": job.event_id})
        if self.faults.take("notify_base64", *job.subjects):
            message = base64.b64encode(message.encode()).decode()
        for _ in range(2 if self.faults.take("notify_twice", *job.subjects) else 1):
            # A missing topic is not an error, as with the service.
            self.broker.publish(job.topic, message)
