"""Faults on request: errors, delays and lost answers that a service can produce.

A fault is a JSON object, given to ``POST /_local/faults``, to ``--fault`` on the command line or, in a list,
in the environment variable ``OSS_ASYNC_LOCAL_FAULTS``:

=======================  ===================================================================================
``kind``                 effect
=======================  ===================================================================================
``delay``                the answer is sent ``seconds`` later
``refuse``               nothing is done; answers ``status``, ``code``, ``message``; default 500 InternalError
``throttle``             nothing is done; the service's throttling answer: retry after ``seconds``, default 1
``deny``                 nothing is done; the service's answer to a missing right
``close``                nothing is done; the connection is closed without an answer
``lose``                 the request is carried out, then the connection is closed without an answer
``cut``                  the request is carried out, half of the answer is sent, then the connection is closed
``hang``                 the request is carried out, no answer is sent
``job_delay``            the job ends ``seconds`` later
``job_fail``             the job fails with ``code`` and ``message``
``job_forget``           the record of the job is gone ``seconds`` after the submission
``output_missing``       the job succeeds and writes nothing
``output_last_missing``  the job succeeds and does not write its last page or frame
``output_empty``         the job succeeds, and what it writes is empty
``output_cut``           the job succeeds and writes half of the bytes
``output_first_clip``    the merge succeeds and holds its first object only
``output_no_audio``      the job succeeds, and its audio is missing
``output_half_size``     the job succeeds, and its pictures are half as wide and high
``notify_drop``          the completion message is not published
``notify_twice``         the completion message is published twice
``notify_base64``        the completion message is published in base64
``event_drop``           the message of an object event is not sent
``event_twice``          the message of an object event is sent twice
``event_delay``          the message of an object event is sent ``seconds`` later
``event_swap``           the message of an object event is sent after the next one of its rule, or after
                         ``seconds`` at the latest (default 1)
=======================  ===================================================================================

``match`` is a shell pattern. For requests it is compared with ``SERVICE:Action``, such as ``IMM:GetTask`` or
``OSS:*``; for ``deny`` with each right that the request needs (``oss:PutObject``); for jobs and messages
with the operation (``video/*``) and the source (``oss://media/*.mp4``); for object events with the event type
(``ObjectCreated:*``) and the object (``oss://media/*.mp4``). Default ``*``.

Faults of jobs are assigned at the submission, those of messages at the end of the job.
``times``: how often the fault is applied, default 1, 0 for no limit. ``every``: it is applied to every n-th
matching event only, default 1. ``seconds`` is a number, or ``[low, high]`` to choose from at random; with
``seed``, a whole number, the choices are the same each time.
``matched`` and ``applied`` count the matching events and those that the fault was applied to.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

REQUEST_KINDS = ("delay", "refuse", "throttle", "deny", "close", "lose", "cut", "hang")
OUTPUT_KINDS = (
    "output_missing", "output_last_missing", "output_empty", "output_cut", "output_first_clip",
    "output_no_audio", "output_half_size",
)  # fmt: skip
JOB_KINDS = (
    "job_delay", "job_fail", "job_forget", *OUTPUT_KINDS, "notify_drop", "notify_twice", "notify_base64",
)  # fmt: skip
EVENT_KINDS = ("event_drop", "event_twice", "event_delay", "event_swap")
KINDS = REQUEST_KINDS + JOB_KINDS + EVENT_KINDS
#: Longest time of a fault, in seconds.
_LONGEST = 7 * 24 * 3600


@dataclass(slots=True)
class Fault:
    """One fault; the fields are described in the docstring of the module."""

    kind: str
    match: str = "*"
    times: int = 1
    every: int = 1
    seconds: float | list[float] = 0
    status: int = 500
    code: str = ""
    message: str = ""
    seed: int | None = None
    matched: int = 0
    applied: int = 0

    @classmethod
    def read(cls, data: Any) -> Fault:
        """Read a fault from JSON data.

        :raises ValueError: an unknown key or kind, or a value of the wrong type; says which.
        """
        try:
            fault = cls(**data)
            fault.duration()
            whole = all(
                type(value) is int for value in (fault.times, fault.every, fault.status, fault.seed or 0)
            )
            text = all(isinstance(value, str) for value in (fault.match, fault.code, fault.message))
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a fault: {error}") from None
        if fault.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {fault.kind!r}")
        valid = whole and text and fault.times >= 0 and fault.every >= 1 and 200 <= fault.status <= 599
        if not valid or fault.matched or fault.applied:
            raise ValueError(
                "times (0 or more), every (1 or more), status (200 to 599) and seed are whole numbers; "
                "match, code and message are texts; matched and applied are not set"
            )
        return fault

    def duration(self) -> float:
        """Return the time in seconds, chosen at random each time where it is a range."""
        low, high = self.seconds if isinstance(self.seconds, list | tuple) else (self.seconds, self.seconds)
        choice = random if self.seed is None else random.Random(f"{self.seed} {self.applied}")  # noqa: S311
        seconds = choice.uniform(low, high)
        if not 0 <= seconds <= _LONGEST:
            raise ValueError(f"seconds must be 0 to {_LONGEST}")
        return seconds


class Faults:
    """The faults that are configured at the moment."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        """Add faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults as JSON data, with their counters."""
        return [asdict(fault) for fault in self._faults]

    def take(self, kind: str, *subjects: str) -> list[Fault]:
        """Return the faults of a kind that apply to this event, and count it.

        :param subjects: what the pattern is compared with; one match is enough.
        """
        chosen = []
        for fault in self._faults:
            if fault.kind != kind or (fault.times and fault.applied >= fault.times):
                continue
            if any(fnmatchcase(subject, fault.match) for subject in subjects):
                fault.matched += 1
                if fault.matched % fault.every == 0:
                    fault.applied += 1
                    chosen.append(fault)
        return chosen
