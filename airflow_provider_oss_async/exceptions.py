"""Everything this package raises on its own account.

All classes hold plain fields and survive pickling, because Airflow carries exceptions across processes (the
exceptions of the OSS SDK do not). This module imports nothing of the package: every layer may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OSSAsyncError(Exception):
    """Base class. Every field is there on every error, and empty where it is not known.

    :param message: reason and remedy first, then the object, then ids.
    :param code: error code of the service (str), such as ``"AccessDenied"``; of a failed job its failure
        code.
    :param detail: the service's own message (str), at most 800 characters.
    :param advice: what to do about it (str).
    :param source: the object that was to be processed (str), ``oss://bucket/key``.
    :param target: where the result was to go (str), ``oss://bucket/key``.
    :param job: the submitted job (dict), as :meth:`~airflow_provider_oss_async.jobs.job.OSSJob.to_dict` gives
        it; empty where none was submitted. A job that is named here has been billed or will be.
    :param request_id: request id of the service (str), for its support.
    :param service: ``"OSS"``, ``"IMM"``, ``"SMQ"``, ``"STS"`` or empty.
    :param action: API action that was called (str), such as ``"GetTask"``.
    :param status: HTTP status (int), ``None`` if there was no answer.
    :param ec: the OSS error detail code (str), such as ``"0015-00000101"``
        (https://www.alibabacloud.com/help/en/oss/user-guide/error-response-2326715).
    :param retry_after: seconds (float) the service asks to wait, ``None`` if it did not.
    :param access_denied: what the service says of a missing right (dict), with its own names: ``AuthAction``
        (such as ``"oss:PutObject"``), ``NoPermissionType`` (``"ImplicitDeny"`` or ``"ExplicitDeny"``),
        ``PolicyType`` and ``EncodedDiagnosticMessage``, which ``ram:DecodeDiagnosticMessage`` explains.
    """

    #: Class name to class, to build an error again from :meth:`to_dict`.
    _classes: ClassVar[dict[str, type[OSSAsyncError]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        OSSAsyncError._classes[cls.__name__] = cls

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        detail: str = "",
        advice: str = "",
        source: str = "",
        target: str = "",
        job: Mapping[str, Any] | None = None,
        request_id: str = "",
        service: str = "",
        action: str = "",
        status: int | None = None,
        ec: str = "",
        retry_after: float | None = None,
        access_denied: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail
        self.advice = advice
        self.job = dict(job or {})
        self.source = source or str(self.job.get("source") or "")
        self.target = target or str(self.job.get("target") or "")
        self.request_id = request_id or str(self.job.get("request_id") or "")
        self.service = service
        self.action = action
        self.status = status
        self.ec = ec
        self.retry_after = retry_after
        self.access_denied = dict(access_denied or {})

    @property
    def fields(self) -> dict[str, Any]:
        """Everything but the message, as JSON natives: what the constructor takes."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name != "message" and name[0] != "_"
        }

    def replace(self, **changes: Any) -> OSSAsyncError:
        """Return the same error with other fields; ``message`` is one of them."""
        message = changes.pop("message", self.message)
        return _rebuild(type(self), message, {**self.fields, **changes})

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON natives: the form in which a trigger hands it on."""
        return {"class": type(self).__name__, "message": self.message, **self.fields}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OSSAsyncError:
        """Build again what :meth:`to_dict` wrote; an unknown class becomes :class:`OSSAsyncError`."""
        fields = dict(data)
        kind = cls._classes.get(str(fields.pop("class", "")), OSSAsyncError)
        message = str(fields.pop("message", ""))
        try:
            return _rebuild(kind, message, fields)
        except TypeError:  # written by a version with other fields
            return OSSAsyncError(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.fields)

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[OSSAsyncError], message: str, fields: dict[str, Any]) -> OSSAsyncError:
    return cls(message, **fields)


def error_text(reason: str, advice: str = "", **facts: object) -> str:
    """Return the text of an error: the reason, the remedy, and in brackets the facts that are known.

    :param reason: what went wrong.
    :param advice: what to do about it; may be empty.
    :param facts: name to value, in the order to be shown; empty values are left out, and underscores in names
        become blanks.
    """
    known = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value not in ("", None)
    )
    sentences = [f"{part.strip().rstrip('.')}." for part in (reason, advice) if part.strip().rstrip(".")]
    return " ".join([*sentences, f"({known})" if known else ""]).rstrip()


class ProcessError(OSSAsyncError, ValueError):
    """An argument, a process string or its parameters are not acceptable; nothing was sent.

    :param problems: one sentence per wrong argument.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.problems = tuple(problems)


class OSSConnectionError(OSSAsyncError, ValueError):
    """An Airflow connection lacks a setting or holds a wrong one; nothing was sent."""


class OSSTargetExistsError(OSSAsyncError):
    """The target exists, and ``if_target_exists="fail"`` was asked for; nothing was submitted."""


class OSSServiceError(OSSAsyncError):
    """A service (OSS, IMM, SMQ or STS) answered with an error."""


class OSSThrottledError(OSSServiceError):
    """The service asked to slow down (``Throttling*``, ``SlowDown``, HTTP 429)."""


class OSSUnavailableError(OSSServiceError):
    """No usable answer: connection trouble, a timeout, HTTP 5xx, or a body that is not the service's."""


class OSSSubmitError(OSSServiceError):
    """A job could not be submitted. The subclass says whether it may be running all the same."""


class OSSSubmitRefusedError(OSSSubmitError):
    """The service refused the request (4xx, or a redirection): no job exists."""


class OSSSubmitNotSentError(OSSSubmitError):
    """The request never left this machine: no job exists, and trying again is safe."""


class OSSSubmitCancelledError(OSSSubmitError):
    """The task was killed before a request was sent: no job exists, and none is submitted any more."""


class OSSSubmitUncertainError(OSSSubmitError):
    """The request may have been accepted and its answer lost: a job may be running, and be billed."""


class OSSJobError(OSSAsyncError):
    """A submitted job did not end well; ``job`` is its handle."""


class OSSJobFailedError(OSSJobError):
    """The service ran the job and reports that it failed; ``code`` and ``detail`` are the service's."""


class OSSJobLostError(OSSJobError):
    """The service no longer knows the job."""


class OSSJobTimeoutError(OSSJobError):
    """The job had not ended at the deadline. It may still be running: OSS jobs cannot be cancelled."""


class OSSOutputMismatchError(OSSJobError):
    """The job succeeded, and what it wrote is not what was asked for (``verify_output``).

    :param differences: at least one (list of dict), each with ``uri``, ``what`` (such as ``"duration"``),
        ``asked`` and ``found``, all of them str.
    """

    def __init__(self, message: str, *, differences: Sequence[Mapping[str, str]] = (), **fields: Any) -> None:
        super().__init__(message, **fields)
        self.differences = [dict(difference) for difference in differences]


class OSSBatchFailedError(OSSAsyncError):
    """More objects of a batch failed than ``max_failed`` allows, or it had not ended at its deadline.

    :param summary: what the batch came to (dict): counts, URIs of manifest and ledger, first failures.
    """

    def __init__(self, message: str, *, summary: Mapping[str, Any] | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.summary = dict(summary or {})


class LedgerError(OSSAsyncError):
    """The ledger of a batch cannot be written or read. Nothing is submitted without it."""


class LedgerFencedError(LedgerError):
    """Another writer has taken over the ledger of a batch: this one must not submit anything any more."""
