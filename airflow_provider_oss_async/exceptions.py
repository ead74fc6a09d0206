"""Everything this package raises on its own account.

All classes hold plain fields and survive pickling, because Airflow carries exceptions across processes
(the exceptions of the OSS SDK do not). This module imports nothing of the package: every storey may use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class OSSAsyncError(Exception):
    """Base class.

    :param message: what failed, on which object or job, and what to do about it.
    """

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self._fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self._fields)

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[OSSAsyncError], message: str, fields: dict[str, Any]) -> OSSAsyncError:
    return cls(message, **fields)


class ProcessError(OSSAsyncError, ValueError):
    """A process string or its parameters are not acceptable; nothing was sent.

    :param problems: one sentence per wrong argument.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message, problems=tuple(problems))
        self.problems = tuple(problems)


class OSSConnectionError(OSSAsyncError, ValueError):
    """An Airflow connection lacks a setting or holds a wrong one; nothing was sent."""


class OSSServiceError(OSSAsyncError):
    """A service (OSS, IMM or SMQ) answered with an error.

    :param service: ``"OSS"``, ``"IMM"``, ``"SMQ"`` or ``"STS"``.
    :param action: what was asked, such as ``"GetTask"``.
    :param status: HTTP status, ``None`` if there was no answer.
    :param code: the service's error code, such as ``"AccessDenied"``.
    :param detail: the service's own message.
    :param request_id: the service's request id, for support.
    :param ec: the OSS error detail code (``EC``), such as ``"0015-00000101"``.
    :param retry_after: seconds the service asks to wait, if it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        action: str,
        status: int | None = None,
        code: str = "",
        detail: str = "",
        request_id: str = "",
        ec: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            message,
            service=service,
            action=action,
            status=status,
            code=code,
            detail=detail,
            request_id=request_id,
            ec=ec,
            retry_after=retry_after,
        )
        self.service = service
        self.action = action
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.ec = ec
        self.retry_after = retry_after


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


class OSSSubmitUncertainError(OSSSubmitError):
    """The request may have been accepted and its answer lost: a job may be running, and be billed."""


class OSSJobError(OSSAsyncError):
    """A submitted job did not end well.

    :param job: the job's handle, as :meth:`~airflow_provider_oss_async.jobs.job.OSSJob.to_dict` gives it.
    :param code: the service's failure code, where there is one.
    :param detail: the service's failure message, where there is one.
    """

    def __init__(self, message: str, *, job: dict[str, Any], code: str = "", detail: str = "") -> None:
        super().__init__(message, job=job, code=code, detail=detail)
        self.job = job
        self.code = code
        self.detail = detail


class OSSJobFailedError(OSSJobError):
    """The service ran the job and reports that it failed."""


class OSSJobLostError(OSSJobError):
    """The service no longer knows the job."""


class OSSJobTimeoutError(OSSJobError):
    """The job had not ended at the deadline. It may still be running: OSS jobs cannot be cancelled."""
