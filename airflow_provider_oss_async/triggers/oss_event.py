"""The trigger that starts DAGs when objects have arrived in OSS, or when jobs have ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_oss_async.clients.object_events import EVENT_NAMES, FINISHED
from airflow_provider_oss_async.events.collector import BATCH_INTERVAL, COLLECT_FOR, KINDS, MAX_BATCH
from airflow_provider_oss_async.events.filter import EventFilter
from airflow_provider_oss_async.events.payload import make_payload
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.text import is_missing, shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence

    from airflow.triggers.shared_stream import SharedStreamProducer

    from airflow_provider_oss_async.events.collector import EventBatch
    from airflow_provider_oss_async.triggers.event_listing import PeriodicListing
    from airflow_provider_oss_async.triggers.event_producer import EventProducer

#: Events that are remembered, to drop those that come twice.
_REMEMBERED = 10_000
_CLASSPATH = "airflow_provider_oss_async.triggers.oss_event.OSSEventTrigger"


class OSSEventTrigger(BaseEventTrigger):
    """Fires when objects have arrived in OSS, or when jobs have ended; for an ``AssetWatcher``.

    **A DAG that writes under the prefix it watches starts itself**: give its output prefix in ``exclude``, or
    write elsewhere. Ledgers of batches (``.oss-async/``) are always excluded.

    OSS sends events of objects, and IMM those of jobs, to an SMQ queue. What arrives within ``collect_for``
    seconds becomes one event, whose payload is described in
    :mod:`airflow_provider_oss_async.events.payload`; in a task,
    :func:`airflow_provider_oss_async.events.new_objects` returns the objects of all events of the run. A
    message is deleted when its event is stored (Airflow 3.3 and later; on 3.2 ten seconds after the event).

    All arguments must be literal values, the same in every DAG file that names the asset.

    :param oss_conn_id: Airflow connection. Default ``"oss_async_default"``.
    :param queue: SMQ queue; default that of the connection (``smq_queue``). With ``"job"`` in ``kinds`` it
        must be given, and be another one.
    :param events: names of events (``PutObject`` or ``ObjectCreated:PutObject``) after which an object is
        wanted; default those that say that an object is finished: ``PutObject``, ``PostObject``,
        ``CompleteMultipartUpload``, ``CopyObject``.
    :param prefix: ``oss://bucket/prefix/``, or a prefix in any bucket whose events come to the queue.
        Default: all objects.
    :param suffix: end of the key, such as ``.mov``. Default: all objects.
    :param pattern: shell pattern that the last part of the key matches, such as ``*.mov``. Default: all.
    :param exclude: prefixes, in the form of ``prefix``, of objects that are not wanted.
    :param kinds: ``("object",)``, ``("job",)`` or both. Default ``("object",)``.
    :param collect_for: seconds from the first message of an event to its end, 0 to 60; default 5.
    :param max_batch: objects and jobs of an event at most, 1 to 5,000; default 500. Airflow sends all of them
        to each task of the run.
    :param list_every: seconds between two listings of ``prefix``, 60 to 86,400, which find objects that no
        event has announced; their event is ``Listing``. Needs Airflow 3.3, in whose asset state store it is
        kept how far they have come. The first one only notes what is there. Default: none.
    :raises ProcessError: names every argument that is wrong, and what is allowed.
    """

    #: Seconds after an event until its messages are deleted, where Airflow does not say when it is stored.
    delete_after: ClassVar[float] = 10.0
    #: Seconds before the first reception, for triggers that start together: a trigger never gets what came
    #: before it had joined.
    join_delay: ClassVar[float] = 2.0
    #: Seconds between two events at least: a scheduler loop must see one before the next is stored.
    batch_interval: ClassVar[float] = BATCH_INTERVAL
    #: Options of :class:`~airflow_provider_oss_async.events.listing.Listing`.
    listing_options: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        oss_conn_id: str = "oss_async_default",
        queue: str | None = None,
        events: Sequence[str] = FINISHED,
        prefix: str | None = None,
        suffix: str | None = None,
        pattern: str | None = None,
        exclude: Sequence[str] = (),
        kinds: Sequence[str] = ("object",),
        collect_for: float = COLLECT_FOR,
        max_batch: int = MAX_BATCH,
        list_every: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        problems: list[str] = []
        for name, value in (("oss_conn_id", oss_conn_id), ("queue", queue)):
            given = isinstance(value, str) and not is_missing(value)
            if not given and not (name == "queue" and value is None):
                problems.append(f"{name}={shown(value)} is not allowed: expected a name")
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list | tuple) or not kinds or any(kind not in KINDS for kind in kinds):
            problems.append(f"kinds={shown(kinds)} is not allowed: expected a list of {' and '.join(KINDS)}")
            kinds = ["object"]
        self._events = _event_names(events, problems)
        try:
            self._filter = EventFilter.checked(prefix=prefix, suffix=suffix, pattern=pattern, exclude=exclude)
        except ProcessError as error:
            problems += error.problems
        for name, number, low, high in (
            ("collect_for", collect_for, 0, 60),
            ("max_batch", max_batch, 1, 5000),
            ("list_every", 60 if list_every is None else list_every, 60, 86_400),
        ):
            kind = int if name == "max_batch" else int | float
            if not isinstance(number, kind) or isinstance(number, bool) or not low <= number <= high:
                what = "a whole number" if name == "max_batch" else "seconds"
                problems.append(
                    f"{name}={shown(number)} is not allowed: expected {what} from {low} to {high}"
                )
        if list_every is not None and not hasattr(BaseEventTrigger, "shared_stream_key"):
            problems.append(
                "list_every is not allowed: it needs Airflow 3.3 or later, whose asset state store keeps how "
                "far listings have come"
            )
        if "object" not in kinds:
            ignored: dict[str, Any] = {"prefix": prefix, "suffix": suffix, "pattern": pattern}
            ignored |= {"exclude": exclude or None, "list_every": list_every}
            problems += [
                f"{name}={shown(value)} is not allowed: it is about objects, and kinds has none"
                for name, value in ignored.items()
                if value is not None
            ]
        if "job" in kinds and queue is None:
            problems.append(
                "queue is missing: with 'job' in kinds it must be a queue of its own, because tasks with "
                "completion='smq' delete the messages about their jobs in the queue of the connection"
            )
        if problems:
            raise ProcessError("; ".join(problems), problems=problems)
        self.oss_conn_id = oss_conn_id
        self.queue = queue
        self.kinds = [kind for kind in KINDS if kind in kinds]
        self.collect_for = collect_for
        self.max_batch = max_batch
        self.list_every = list_every
        self._listing: PeriodicListing | None = None
        #: Events of batches that are not known to be stored, and ids of those that are.
        self._unstored: list[tuple[EventBatch, list[str]]] = []
        self._stored: deque[str] = deque(maxlen=_REMEMBERED)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again: JSON natives, no secret."""
        return (
            _CLASSPATH,
            {
                "oss_conn_id": self.oss_conn_id,
                "queue": self.queue,
                "events": list(self._events),
                **self._filter.to_dict(),
                "kinds": self.kinds,
                "collect_for": self.collect_for,
                "max_batch": self.max_batch,
                "list_every": self.list_every,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Return what triggers must have in common to share a consumer of a queue (Airflow 3.3 and later)."""
        return ("oss_async.event", *sorted(self._stream_arguments().items(), key=str))

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Return what receives for all triggers with an equal key, and deletes what is stored."""
        # It has the methods of a SharedStreamProducer.
        return cast("SharedStreamProducer", cls(**kwargs)._producer())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each batch in which something is wanted, and for what listings find."""
        payloads = self._of_batches(shared_stream)
        if self.list_every is not None:
            from airflow_provider_oss_async.triggers.event_listing import PeriodicListing, merged

            self._listing = PeriodicListing(
                oss_conn_id=self.oss_conn_id,
                wanted=self._filter,
                list_every=self.list_every,
                max_batch=self.max_batch,
                store=self.asset_state_store,
                batch_interval=self.batch_interval,
                **self.listing_options,
            )
            payloads = merged(payloads, self._of_listing(self._listing))
        async for payload in payloads:
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each batch in which something is wanted: the way of Airflow 3.2.

        It does not tell when an event is stored, so messages are deleted ten seconds later. They are lost
        only if storing takes longer than that and the triggerer dies.
        """
        producer = self._producer()
        try:
            async for batch in producer.batches():
                payload = self._payload(batch)
                if payload is not None:
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                producer.settle_later(batch, self.delete_after)
        finally:
            await producer.aclose()

    async def _of_batches(self, batches: AsyncIterator[EventBatch]) -> AsyncGenerator[dict[str, Any], None]:
        async for batch in batches:
            payload = self._payload(batch)
            if payload is not None:
                yield payload

    async def _of_listing(self, listing: PeriodicListing) -> AsyncGenerator[dict[str, Any], None]:
        async for events in listing.batches():
            found = [event.to_dict() for event in events]
            self.log.info("A listing has found %d objects that no event had announced", len(found))
            yield make_payload(self.queue or "", self._filter.to_dict(), found)

    def _producer(self) -> EventProducer:
        from airflow_provider_oss_async.triggers.event_producer import EventProducer

        return EventProducer(
            **self._stream_arguments(), join_delay=self.join_delay, batch_interval=self.batch_interval
        )

    def _stream_arguments(self) -> dict[str, Any]:
        """Return what the consumer of the queue depends on."""
        return {
            "oss_conn_id": self.oss_conn_id,
            "queue": self.queue,
            "kinds": tuple(self.kinds),
            "collect_for": self.collect_for,
            "max_batch": self.max_batch,
        }

    def _payload(self, batch: EventBatch) -> dict[str, Any] | None:
        """Return the payload of the event of a batch; ``None`` if nothing in it is wanted that is new."""
        self._note_stored()
        known = set(self._stored)
        objects: list[dict[str, Any]] = []
        jobs: list[dict[str, Any]] = []
        if "object" in self.kinds:
            for message, event in batch.objects():
                if event.event in self._events and self._filter.matches(event.bucket, event.key):
                    batch.wanted.add(message.id)
                    objects.append(event.to_dict())
        if "job" in self.kinds:
            for message, job in batch.jobs():
                batch.wanted.add(message.id)
                jobs.append(job.to_dict())
        payload = make_payload(
            batch.queue,
            self._filter.to_dict(),
            (item for item in objects if item["id"] not in known),
            (item for item in jobs if item["id"] not in known),
        )
        if self._listing is not None:
            self._listing.announced(payload["objects"])
        ids = [item["id"] for name in ("objects", "jobs") for item in payload[name]]
        if not ids:
            return None
        self._unstored.append((batch, ids))
        return payload

    def _note_stored(self) -> None:
        """Remember the events that are stored by now: they may come again."""
        for batch, ids in self._unstored:
            if batch.stored:
                self._stored.extend(ids)
        # What is never said to be stored comes again.
        self._unstored = [pair for pair in self._unstored if not pair[0].stored][-100:]


def _event_names(events: Any, problems: list[str]) -> tuple[str, ...]:
    """Return the full names of events; note what is wrong with them."""
    names = [events] if isinstance(events, str) else events
    if not isinstance(names, list | tuple) or not names:
        problems.append(f"events={shown(events)} is not allowed: expected a list of names such as PutObject")
        return ()
    found: list[str] = []
    for name in names:
        full = EVENT_NAMES.get(name, name) if isinstance(name, str) else ""
        if full.removeprefix("oss:") in EVENT_NAMES.values():
            found.append(full.removeprefix("oss:"))
        else:
            problems.append(
                f"events: {shown(name)} is not allowed: expected names of events after which there is an "
                f"object: {', '.join(EVENT_NAMES)} (ObjectCreated:* would fire for each part of an upload)"
            )
    return tuple(dict.fromkeys(found))
