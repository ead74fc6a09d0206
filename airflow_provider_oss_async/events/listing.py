"""Finding objects that no event has announced: events are sent without a guarantee.

A bucket is listed at intervals. What has been written since the last listing, and was announced by no event,
is reported. Listings overlap by more than two clocks may differ, so that nothing falls between them.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.object_events import ObjectEvent, stable_id
from airflow_provider_oss_async.events.payload import LISTING
from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.process.text import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from airflow_provider_oss_async.clients.oss import OSSClient
    from airflow_provider_oss_async.events.filter import EventFilter

#: Version of the stored state.
VERSION = 1
#: Seconds that an event may take; younger objects are left to the next listing.
GRACE = 300.0
#: Seconds that two listings have in common. Requests are refused if the clock is wrong by 15 minutes.
OVERLAP = 900.0
#: Objects that are stored: the value of a key has 65,535 bytes at most.
_MAX_STORED = 1500


class Listing:
    """The listings of one watcher.

    :param bucket: what is listed.
    :param prefix: beginning of the keys.
    :param wanted: which objects are wanted.
    :param state: as :meth:`state` returned it; ``None`` for the first listing, which reports nothing.
    :param grace: seconds that an event may take; default 300.
    :param overlap: seconds that two listings have in common; default 900.
    :raises OSSConnectionError: the state was stored by another release.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        wanted: EventFilter,
        state: Mapping[str, Any] | None = None,
        *,
        grace: float = GRACE,
        overlap: float = OVERLAP,
    ) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._wanted = wanted
        self._grace = grace
        self._overlap = overlap
        #: Objects that are announced or reported, and when that was.
        self._known: dict[str, float] = {}
        self._until: float | None = None
        if state is not None:
            if state.get("version") != VERSION:
                raise OSSConnectionError(
                    "Use the release that has stored the state of the listing, or delete that state of the "
                    f"asset: it has version {shown(state.get('version'))}, and this release reads version "
                    f"{VERSION}."
                )
            self._until = float(state["until"])
            self._known = {str(name): float(moment) for name, moment in state["known"]}

    @property
    def first(self) -> bool:
        """Whether there was no listing yet."""
        return self._until is None

    def announced(self, events: Iterable[tuple[str, str, str]]) -> None:
        """Note objects that events have announced.

        :param events: bucket, key and entity tag of each.
        """
        now = time.time()
        for bucket, key, etag in events:
            self._known[_name(bucket, key, etag)] = now

    def state(self) -> dict[str, Any]:
        """Return what to store, as JSON natives."""
        known = sorted(self._known.items(), key=lambda item: item[1])[-_MAX_STORED:]
        return {
            "version": VERSION,
            "until": int(self._until or 0),
            "known": [[name, int(moment)] for name, moment in known],
        }

    async def unannounced(self, oss: OSSClient) -> AsyncIterator[ObjectEvent]:
        """List the bucket and yield what no event has announced.

        What was yielded counts as reported; :meth:`state` changes when the listing has come to its end.

        :raises OSSServiceError: OSS refuses, or gives no answer.
        """
        now = time.time()
        until = now - self._grace
        first = self._until is None
        since = (now if self._until is None else self._until) - self._overlap
        async for item in oss.list_objects(self._bucket, self._prefix, max_pages=10**6):
            if item.modified < since or not self._wanted.matches(self._bucket, item.key):
                continue
            if item.modified > until and not first:
                continue
            name = _name(self._bucket, item.key, item.etag)
            # An event may not have said the entity tag.
            if name in self._known or _name(self._bucket, item.key, "") in self._known:
                continue
            self._known[name] = now
            if not first:
                yield ObjectEvent(
                    bucket=self._bucket,
                    key=item.key,
                    event=LISTING,
                    id=stable_id(LISTING, self._bucket, item.key, item.etag, f"{item.modified:.0f}"),
                    size=item.size,
                    etag=item.etag,
                    time=datetime.fromtimestamp(item.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                )
        self._until = until
        # Older objects are not listed again.
        oldest = until - self._overlap
        self._known = {name: moment for name, moment in self._known.items() if moment >= oldest}


def _name(bucket: str, key: str, etag: str) -> str:
    return stable_id(bucket, key, etag.strip('"').upper())[:16]
