"""Faults on request: what a service does on its bad days, each behind a switch.

A fault is a JSON object, given to ``POST /_local/faults``, to ``--fault`` on the command line or, in a list,
in the environment variable ``OSS_ASYNC_LOCAL_FAULTS``:

===============  ==========================================================================================
``kind``         effect
===============  ==========================================================================================
``delay``        the answer comes ``seconds`` later
``refuse``       nothing is done; answers ``status``, ``code``, ``message`` (default 500 InternalError)
``throttle``     nothing is done; the service's throttling answer, to be retried after ``seconds`` (default 1)
``close``        nothing is done; the connection is closed without an answer
``lose``         the request is carried out, then the connection is closed without an answer
``cut``          the request is carried out, the answer breaks off in the middle
``hang``         the request is carried out, the answer never comes
``job_delay``    the job ends ``seconds`` later
``job_fail``     the job fails with ``code`` and ``message``
``job_forget``   the record of the job is gone ``seconds`` after the submission
``notify_drop``  the completion message is not published
``notify_twice`` the completion message is published twice
``notify_base64``  the completion message is published in base64
===============  ==========================================================================================

``match`` is a shell pattern. For requests it is held against ``SERVICE:Action``, such as ``IMM:GetTask`` or
``OSS:*``; for jobs and messages against the operation (``video/*``) and the source (``oss://media/*.mp4``).
Default ``*``. Faults of jobs are dealt out at the submission, those of messages at the end of the job.
``times``: how often it strikes, default 1, 0 for always. ``every``: it strikes at every n-th matching event
only, default 1. ``seconds`` is a number, or ``[low, high]`` to choose from at random.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

REQUEST_KINDS = ("delay", "refuse", "throttle", "close", "lose", "cut", "hang")
JOB_KINDS = ("job_delay", "job_fail", "job_forget", "notify_drop", "notify_twice", "notify_base64")


@dataclass(slots=True)
class Fault:
    """One fault; the fields are described in the module's docstring."""

    kind: str
    match: str = "*"
    times: int = 1
    every: int = 1
    seconds: float | list[float] = 0
    status: int = 500
    code: str = ""
    message: str = ""
    seen: int = 0
    struck: int = 0

    @classmethod
    def read(cls, data: Any) -> Fault:
        """Read a fault from JSON data.

        :raises ValueError: an unknown key or kind, or a value of the wrong type; says which.
        """
        try:
            fault = cls(**data)
            fault.duration()
            whole = (
                isinstance(fault.times, int)
                and isinstance(fault.every, int)
                and isinstance(fault.status, int)
            )
        except TypeError as error:
            raise ValueError(f"not a fault: {error}") from None
        if fault.kind not in REQUEST_KINDS + JOB_KINDS:
            raise ValueError(
                f"kind must be one of {', '.join(REQUEST_KINDS + JOB_KINDS)}, not {fault.kind!r}"
            )
        if not whole or fault.times < 0 or fault.every < 1 or fault.seen or fault.struck:
            raise ValueError(
                "times (0 or more), every (1 or more) and status are whole numbers; the rest is not set"
            )
        return fault

    def duration(self) -> float:
        """Return the time in seconds, chosen anew each time where it is a range."""
        if isinstance(self.seconds, list | tuple):
            low, high = self.seconds
            return random.uniform(low, high)  # noqa: S311
        return float(self.seconds)


class Faults:
    """The faults that are asked for at the moment."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        """Ask for more faults."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Ask for none any more."""
        self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return the faults as JSON data, with how often each was seen and struck."""
        return [asdict(fault) for fault in self._faults]

    def take(self, kind: str, *subjects: str) -> list[Fault]:
        """Return the faults of a kind that strike now, and count it.

        :param subjects: what the pattern is held against; one match is enough.
        """
        striking = []
        for fault in self._faults:
            if fault.kind != kind or (fault.times and fault.struck >= fault.times):
                continue
            if any(fnmatchcase(subject, fault.match) for subject in subjects):
                fault.seen += 1
                if fault.seen % fault.every == 0:
                    fault.struck += 1
                    striking.append(fault)
        return striking
