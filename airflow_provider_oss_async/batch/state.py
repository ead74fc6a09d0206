"""What is known of the objects of a batch: made from the entries of its ledger, live and when it is replayed.

====================================================  ====================================================
entry                                                 meaning
====================================================  ====================================================
``{"oss_async_ledger": 1, ...}``                      header: fingerprint, time of creation, default bucket
``["o", writer, time]``                               a writer takes over
``["p", phase, time, {...}]``                         phase: ``planning``, ``running``, ``finished``
``["r", source, size, target, arguments]``            an object; its index is the number of those before
``["z", source, reason]``                             an object that is set aside
``["i", index, attempt, time]``                       about to be submitted
``["x", index]``                                      certainly not submitted
``["t", index, task id, time]``                       submitted
``["e", index, state, time, code, message, ...]``     ended
``["h", time]``                                       the writer is alive
====================================================  ====================================================

Times in entries about objects are seconds since the creation of the ledger.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_oss_async.batch.ledger import Entry

#: Version of the ledger, in its header.
VERSION = 1

#: States of an object by their letter in the ledger. ``again``: failed, and will be tried again.
STATES = {
    "": "pending",
    "i": "submitting",
    "t": "running",
    "a": "again",
    "s": "succeeded",
    "f": "failed",
    "r": "refused",
    "l": "lost",
    "u": "unknown",
    "o": "timed_out",
    "g": "gone",
}
#: States after which nothing more is done about an object in this try.
FINAL = frozenset("sfrluog")
#: Final states that count against ``max_failed``.
FAILED = frozenset("frluo")


class _Details:
    """What few objects of a batch have."""

    __slots__ = ("arguments", "budget", "code", "content", "earlier", "message", "target")

    def __init__(self) -> None:
        self.target: str | None = None
        self.arguments: dict[str, Any] | None = None
        self.budget = 0
        self.earlier: tuple[str, ...] = ()
        self.code = ""
        self.message = ""
        self.content: str | None = None


#: Of those that have nothing of it.
_NO_DETAILS = _Details()


class _Detail:
    """An attribute of :class:`Row` that is stored in its details, where it is not as in all others."""

    def __set_name__(self, owner: type[Row], name: str) -> None:
        self._name = name

    def __get__(self, row: Row, owner: type[Row]) -> Any:
        return getattr(row._details, self._name)

    def __set__(self, row: Row, value: Any) -> None:
        if row._details is _NO_DETAILS:
            if value == getattr(_NO_DETAILS, self._name):
                return
            row._details = _Details()
        setattr(row._details, self._name, value)


class Row:
    """One object of a batch. There may be a hundred thousand of them."""

    __slots__ = (
        "_details", "attempt", "finished", "intent", "size", "source", "state", "submitted", "task_id",
    )  # fmt: skip

    target = _Detail()
    arguments = _Detail()
    #: Attempts before the present try of the task.
    budget = _Detail()
    #: Ids of the jobs of earlier attempts.
    earlier = _Detail()
    code = _Detail()
    message = _Detail()
    content = _Detail()

    def __init__(
        self,
        source: str,
        size: int = -1,
        target: str | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        self._details = _NO_DETAILS
        self.source = source
        self.size = size
        self.target = target
        self.arguments = arguments
        self.state = ""
        self.attempt = 0
        self.task_id = ""
        #: When it was about to be submitted; 0 once that has been settled.
        self.intent = 0.0
        self.submitted = 0.0
        self.finished = 0.0


class BatchState:
    """All objects of a batch, and how far it is."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.rows: list[Row] = []
        self.set_aside: list[tuple[str, str]] = []
        self.phase = ""
        self.detail: dict[str, Any] = {}
        self.writer = ""
        self._texts: dict[str, str] = {}

    @property
    def created(self) -> float:
        """When the ledger was made, in epoch seconds."""
        return float(self.header.get("created", 0.0))

    def apply_all(self, entries: Iterable[Any]) -> None:
        """Apply entries in order.

        :raises LedgerError: one of them cannot be read.
        """
        for entry in entries:
            try:
                self.apply(entry)
            except (LookupError, TypeError, ValueError) as error:
                raise LedgerError(f"The ledger holds an entry that cannot be read: {error!r}") from None

    def apply(self, entry: Any) -> None:
        """Apply one entry."""
        if isinstance(entry, dict):
            if entry.get("oss_async_ledger") != VERSION:
                raise LedgerError(
                    f"The ledger has version {entry.get('oss_async_ledger')!r}, and this release reads "
                    f"version {VERSION}: install the release that has written it, or clear the task to start "
                    "anew."
                )
            self.header = entry
            return
        kind = entry[0]
        if kind in _OF_ROWS:
            _OF_ROWS[kind](self, self.rows[entry[1]], entry)
        elif kind == "r":
            self.rows.append(Row(*entry[1:]))
        elif kind == "z":
            self.set_aside.append((entry[1], self._texts.setdefault(entry[2], entry[2])))
        elif kind == "p":
            self.phase, self.detail = entry[1], entry[3] if len(entry) > 3 else {}
            if self.phase == "planning":
                # The plan of a writer that was cut off while it wrote it.
                self.rows.clear()
                self.set_aside.clear()
            elif self.phase == "running":
                self._begin_try()
        elif kind == "o":
            self.writer = entry[1]

    def _begin_try(self) -> None:
        """Take what may be tried again; ``detail`` names those with jobs that are still to be waited for."""
        for index in self.detail.get("again", ()):
            row = self.rows[index]
            if row.state in "ou" and row.task_id:
                row.state = "t"
            else:
                row.state, row.budget = "a", row.attempt

    def _intent(self, row: Row, entry: Entry) -> None:
        if row.task_id:
            row.earlier, row.task_id = (*row.earlier, row.task_id), ""
        row.state, row.attempt, row.intent = "i", entry[2], self.created + entry[3]

    def _not_sent(self, row: Row, entry: Entry) -> None:
        row.state, row.attempt = "a" if row.attempt > 1 else "", row.attempt - 1

    def _submitted(self, row: Row, entry: Entry) -> None:
        row.state, row.task_id, row.submitted = "t", entry[2], self.created + entry[3]
        row.intent = 0.0

    def _ended(self, row: Row, entry: Entry) -> None:
        row.state, row.finished = entry[2], self.created + entry[3]
        code, message = (*entry[4:6], "", "")[:2]
        row.code, row.message = self._texts.setdefault(code, code), self._texts.setdefault(message, message)
        if len(entry) > 6:
            row.content = entry[6]

    def uri(self, name: str) -> str:
        """Return the full address of a source."""
        return name if name.startswith("oss://") else f"oss://{self.header['bucket']}/{name}"

    def counts(self) -> Counter[str]:
        """Return how many objects are in each state, by its letter."""
        return Counter(row.state for row in self.rows)


_OF_ROWS = {
    "i": BatchState._intent,
    "x": BatchState._not_sent,
    "t": BatchState._submitted,
    "e": BatchState._ended,
}
