"""The handle of a submitted job: what travels through XCom, triggers and the task state store.

Light enough for the operators to import while a DAG file is parsed.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal

#: What a job may be found to be. ``lost``: the service no longer knows it.
JobState = Literal["running", "succeeded", "failed", "lost"]
#: IMM keeps what it knows of a task for 7 days; no wait may come near that. Seconds.
MAX_TIMEOUT = 6.5 * 24 * 3600


@dataclass(frozen=True, slots=True)
class OSSJob(dict[str, str]):
    """One accepted job. Holds no secret; every field is a text (str) and a JSON native.

    It is also a dict of its fields, so that a task may return it: Airflow stores it in XCom as a plain dict,
    which is what operators return too.

    :param task_id: the id that OSS answered with; the same id that IMM's ``GetTask`` takes.
    :param task_type: IMM task type, which follows from the operation and never from the id:
        ``MediaConvert``, ``OfficeConversion`` or ``DecodeBlindWatermark``.
    :param source: the processed object, ``oss://bucket/key``.
    :param target: the key template of the result, ``oss://bucket/key``; empty where nothing is written.
    :param process: the process string as sent.
    :param region: region of the bucket, such as ``cn-hangzhou``.
    :param imm_project: IMM project the bucket was bound to at submission; empty if not known.
    :param event_id: event id that OSS answered with.
    :param request_id: request id of the submission (the ``x-oss-request-id`` header).
    :param submitted_at: when OSS accepted the job, by OSS's own clock; ISO 8601, UTC.
    """

    task_id: str
    task_type: str
    source: str
    target: str = ""
    process: str = ""
    region: str = ""
    imm_project: str = ""
    event_id: str = ""
    request_id: str = ""
    submitted_at: str = ""

    def __post_init__(self) -> None:
        dict.update(self, {name: getattr(self, name) for name in _FIELDS})

    @property
    def submitted(self) -> float | None:
        """When OSS accepted the job, in epoch seconds; ``None`` where only the id is known."""
        try:
            moment = datetime.fromisoformat(self.submitted_at)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None

    @property
    def facts(self) -> dict[str, str]:
        """What an error or a log line about the job says of it, the ids last."""
        return {
            "source": self.source,
            "target": self.target,
            "IMM_project": self.imm_project,
            "task_id": self.task_id,
            "request_id": self.request_id,
        }

    def to_dict(self) -> dict[str, str]:
        """Return the job as a plain dict, the form in which it travels."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> OSSJob:
        """Read what :meth:`to_dict` wrote; other keys (``status``, ``outputs``) are ignored.

        :raises ValueError: ``task_id`` or ``task_type`` is missing.
        """
        known = {f.name: str(data.get(f.name) or "") for f in fields(cls)}
        # The same for thousands of jobs that wait in one process.
        for name in ("task_type", "region", "imm_project"):
            known[name] = sys.intern(known[name])
        missing = [name for name in ("task_id", "task_type") if not known[name]]
        if missing:
            raise ValueError(
                f"a job needs {' and '.join(missing)}; got the keys {sorted(map(str, data))[:20]}"
            )
        return cls(**known)


_FIELDS = tuple(field.name for field in fields(OSSJob))


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What the service says of a job at one moment.

    :param state: ``running``, ``succeeded``, ``failed`` or ``lost`` (the service does not know the job, a
        minute after it must have).
    :param code: failure code of the service (str); empty unless failed.
    :param detail: failure message of the service (str); empty unless failed.
    :param finished_at: end time by the service's clock, ISO 8601 (str); empty while running or if not known.
    """

    state: JobState
    code: str = ""
    detail: str = ""
    finished_at: str = ""

    @property
    def final(self) -> bool:
        """Whether the job will not change any more."""
        return self.state != "running"
