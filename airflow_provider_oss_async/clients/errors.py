"""Errors of OSS, IMM, SMQ and STS: one table of what they mean, and one translation into exceptions.

The codes of OSS are those of "Error responses"
(https://www.alibabacloud.com/help/en/oss/user-guide/error-response-2326715), those of IMM of "Error handling"
(https://www.alibabacloud.com/help/en/imm/developer-reference/error-handling-1). The failure codes of jobs are
not documented, so there the words of the message decide, and a code that is not in the table has no advice.
"""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_oss_async.clients.access_denied import denial_of_sdk
from airflow_provider_oss_async.exceptions import (
    OSSAsyncError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
    error_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_oss_async.clients.credentials import Credentials

#: Characters of a foreign text (a message of the service, a network error) that go into an exception.
QUOTE_LIMIT = 800
#: Characters of codes and ids that are taken from an answer.
ID_LIMIT = 200

#: What an error is about. ``throttled`` and ``outage`` pass by themselves, the others do not.
Kind = Literal[
    "",
    "argument",
    "archived",
    "clock",
    "content",
    "credentials",
    "endpoint",
    "missing",
    "outage",
    "queue_timeout",
    "rights",
    "throttled",
]
#: Kinds that no retry can mend, and kinds that pass. All others keep Airflow's own behaviour.
FINAL_KINDS: frozenset[Kind] = frozenset(
    {"argument", "archived", "clock", "content", "credentials", "endpoint", "missing", "rights"}
)
PASSING_KINDS: frozenset[Kind] = frozenset({"outage", "queue_timeout", "throttled"})


class Diagnosis(NamedTuple):
    """What an error means.

    :param kind: see :data:`Kind`; empty if it is not known.
    :param advice: what to do about it; empty if it is not known.
    """

    kind: Kind = ""
    advice: str = ""


class Row(NamedTuple):
    """One row of the table.

    :param services: ``OSS``, ``IMM``, ``SMQ``, ``STS``, or ``job`` for the failure of a submitted job.
    :param code: pattern that the code matches from its beginning; empty for any code.
    :param words: pattern that occurs in the message (in any case); empty for any message.
    :param kind: see :data:`Kind`.
    :param advice: may use ``{action}`` (the RAM actions that are needed) and ``{key_id}``.
    """

    services: tuple[str, ...]
    code: str
    words: str
    kind: Kind
    advice: str


_SERVICES = ("OSS", "IMM", "SMQ", "STS")
_JOB = ("job",)

_SLOW_DOWN = "Lower max_requests_per_second or run fewer tasks at once: there are too many requests."
#: Requests to OSS and SMQ are not under the rate limiter of IMM's.
_FEWER_REQUESTS = "Run fewer tasks at once, or lower max_submits_per_second of batches: too many requests."
_TRY_LATER = "Try again later: the service has trouble."
_FEWER_AT_ONCE = "Run fewer jobs at once, or try again later: the queue of the IMM project is too long."
_CHECK_SOURCE = (
    "Check that the source is whole, not locked by a password, and of a supported format, codec and size."
)
_THROTTLED = (
    "Throttling|SlowDown|TooManyRequests|QpsLimitExceeded|LimitExceeded|DownloadTrafficRateLimitExceeded"
)
#: What the SDK raises for names that no request can carry; the name of the class stands for the code.
_INVALID_NAMES = (
    "BucketNameInvalidError",
    "ObjectNameInvalidError",
    "ParamInvalidError",
    "ParamNullError",
    "ParamNullOrEmptyError",
    "ParamRequiredError",
)

#: The first row whose service, code and words fit wins.
TABLE: tuple[Row, ...] = (
    # 403 with the code AccessDenied has many reasons; the words tell them apart.
    Row(("OSS",), "AccessDenied", r"endpoint", "endpoint",
        "Check region, endpoint and network of the connection: the bucket is not open there."),
    Row(("OSS",), "SecondLevelDomainForbidden", "", "endpoint",
        "Unset path_style: OSS takes the bucket in the path at custom domains and local servers only."),
    Row(("OSS",), "", r"must be addressed using|second level domain", "endpoint",
        "Check region, endpoint and path_style of the connection."),
    Row(("OSS",), "AccessDenied", r"\bkms\b|decrypt", "rights",
        "Grant kms:Decrypt and kms:GenerateDataKey on the key to the caller and IMM's service role."),
    Row(("OSS",), "AccessDenied", r"\bvpc\b|source ?ip|network|private ?link|private ?zone", "endpoint",
        "Use the endpoint of the VPC: a policy of the bucket allows this from certain networks only."),
    Row(("OSS",), "", r"requester ?pay|requester-pays|request-?payer", "rights",
        "Copy the object to your own bucket: these jobs do not support that the requester pays."),
    Row(("OSS",), "AccessDenied", r"does not belong to you", "rights",
        "Check the bucket's name: it belongs to another account, whose owner would have to grant {action}."),
    Row(("OSS",), "UserDisable", "", "credentials",
        "See the console's billing page: the account is suspended, mostly for an overdue payment."),
    Row(("OSS",), "InvalidObjectState", "", "archived",
        "Restore the archived object first (RestoreObject), or move it to another storage class."),
    Row(("OSS",), "SignatureDoesNotMatch|InvalidArgument|AuthorizationHeaderMalformed|AccessDenied",
        r"signing region|credential region|region .*(wrong|invalid|mismatch)|invalid .*region", "endpoint",
        "Check region and endpoint of the connection: the request was signed for another region."),
    Row(("OSS",), "AccessDenied|NoPermission", "", "rights",
        "Grant {action} to the caller (AccessKey ID {key_id})."),
    Row(_SERVICES, "SignatureDoesNotMatch|IncompleteSignature|SignatureNonceUsed", "", "credentials",
        "Check the AccessKey secret: the signature does not fit."),
    Row(_SERVICES, "InvalidAccessKeyId|InvalidAccessKey|AccessIDAuthError|Inactive", "", "credentials",
        "Check the AccessKey ID: it is not there, disabled, or its security token is missing or expired."),
    Row(_SERVICES, r"SecurityTokenExpired|InvalidSecurityToken\.Expired", "", "credentials",
        "Get a new security token: this one has expired."),
    Row(_SERVICES, "InvalidSecurityToken", "", "credentials",
        "Check the security token: it is wrong, has expired, or belongs to another AccessKey."),
    Row(_SERVICES, "RequestTimeTooSkewed|InvalidTimeStamp|IllegalTimestamp|TimeExpired|InvalidDateHeader", "",
        "clock", "Set the clock of this machine: it is wrong by more than 15 minutes."),
    Row(("OSS",), "Imm Client", r"attachment", "missing",
        "Bind the bucket to an IMM project of its region (AttachOSSBucket, or the console)."),
    Row(("OSS",), "Imm Client", r"route", "argument",
        "Use another operation: the service does not offer this one asynchronously."),
    Row(("OSS",), "Imm Client", r"^\s*(invalidargument|missing)", "argument",
        "Correct the parameter that the message names."),
    Row(("OSS",), "Imm Client", r"throttl|too many|limit ?exceeded", "throttled", _SLOW_DOWN),
    Row(("OSS",), "|".join(_INVALID_NAMES), "", "argument",
        "Correct the name of the bucket or object: no request can carry this one, and nothing was sent."),
    Row(("OSS",), "NoSuchBucket", "", "missing",
        "Check the bucket's name, and region and endpoint of the connection."),
    Row(("OSS",), "NoSuchKey|SymlinkTargetNotExist", "", "missing",
        "Check the object's key, and whether the task that writes it is upstream."),
    Row(("OSS",), "FileImmutable", "", "rights",
        "Choose another target: a retention policy of the bucket forbids to write this object."),
    Row(("IMM",), "ResourceNotFound", r"\battachment\b", "missing",
        "Bind the bucket to an IMM project of this region, or name the project."),
    Row(("IMM",), "ResourceNotFound", r"^\W*((the|specified|resource|imm)\W+)*task\b", "missing",
        "Check project and task type: IMM keeps tasks for 7 days, and finds them only there."),
    Row(("IMM",), "ResourceNotFound", r"\bproject\b", "missing",
        "Check the IMM project and the region: no such project is there."),
    Row(("SMQ",), "QueueNotExist|TopicNotExist", "", "missing",
        "Check queue and topic: there is none of that name in the account and region of the endpoint."),
    Row(("STS",), "EntityNotExist", "", "missing", "Check role_arn: there is no such role."),
    Row(("IMM",), _THROTTLED, "", "throttled", _SLOW_DOWN),
    Row(("OSS", "SMQ", "STS"), _THROTTLED, "", "throttled", _FEWER_REQUESTS),
    Row(_SERVICES, r"InternalError|ServiceUnavailable|ServerBusy|InternalServerError|RequestTimeout", "",
        "outage", _TRY_LATER),
    Row(("IMM", "SMQ", "STS"), "NoPermission|Forbidden|AccessDenied|Unauthorized|NotAuthorized", "", "rights",
        "Grant {action} to the caller (AccessKey ID {key_id})."),
    Row(("IMM",), "InvalidArgument|Missing", "", "argument", "Correct the parameter that the message names."),
    # Failures of jobs. Their codes are not documented; these words are those of IMM's other messages.
    Row(_JOB, "QueueTimeout|QueueWaitTimeout", "", "queue_timeout", _FEWER_AT_ONCE),
    Row(_JOB, "Timeout|TaskTimeout|LimitExceeded", r"queue|waiting|concurren", "queue_timeout",
        _FEWER_AT_ONCE),
    Row(_JOB, "", r"queue\w*\b.*\b(time|expire|too long)|time\w*\b.*\bqueue", "queue_timeout",
        _FEWER_AT_ONCE),
    Row(_JOB, "Throttling|LimitExceeded", "", "throttled", _FEWER_AT_ONCE),
    Row(_JOB, "InternalError|ServiceUnavailable|InternalServerError|ServerBusy", "", "outage", _TRY_LATER),
    Row(_JOB, "AccessDenied|NoPermission|Forbidden", "", "rights",
        "Check the policies of IMM's service role and of the bucket: source or target is closed to it."),
    Row(_JOB, "NoSuchKey|NoSuchBucket|ResourceNotFound|SourceNotFound", "", "missing",
        "Check the source's key, and what else deletes or moves it: it was gone when the job ran."),
    Row(_JOB, "WatermarkNotFound", "", "content",
        "Check strength and image, or set missing_ok=True: no blind watermark could be read."),
    Row(_JOB, "Unsupported|InvalidDocument|InvalidMedia|InvalidImage|SourceTooLarge|FileTooLarge|InvalidFile"
        "|DamagedFile", "", "content", _CHECK_SOURCE),
    Row(_JOB, "", r"cannot be read|unreadable|corrupt|damaged|not supported|unsupported|password"
        r"|file is broken|stream is broken|source is broken|document is broken",
        "content", _CHECK_SOURCE),
    Row(_JOB, "InvalidArgument|InvalidParameter|Missing", "", "argument",
        "Correct what the message names: the arguments do not fit this source."),
)  # fmt: skip

#: RAM actions behind an API action, where they differ from ``service:Action``.
_RIGHTS = {
    "AsyncProcessObject": "oss:GetObject, oss:PostProcessTask, oss:ProcessImm and oss:PutObject",
    "HeadObject": "oss:GetObject",
    "ListObjectsV2": "oss:ListObjects",
    "ListBuckets": "oss:ListBuckets",
    "AppendObject": "oss:PutObject",
    "PutObject": "oss:PutObject",
    "video/info": "oss:GetObject, oss:ProcessImm and imm:DetectMediaMeta",
    "audio/info": "oss:GetObject, oss:ProcessImm and imm:DetectMediaMeta",
    "image/info": "oss:GetObject",
    "AssumeRole": "sts:AssumeRole",
}
_PREFIX = {"OSS": "oss", "IMM": "imm", "SMQ": "mns", "STS": "sts"}
_BY_STATUS: dict[int, Kind] = {401: "rights", 403: "rights", 404: "missing", 429: "throttled"}


def rights_of(service: str, action: str) -> str:
    """Return the RAM actions that an API action needs, such as ``imm:GetTask``."""
    return _RIGHTS.get(action) or f"{_PREFIX.get(service, service.lower())}:{action}"


def diagnose(
    service: str,
    code: str,
    detail: str = "",
    *,
    action: str = "",
    status: int | None = None,
    key_id: str = "",
    denied: Mapping[str, str] | None = None,
) -> Diagnosis:
    """Return what an error means.

    :param service: ``OSS``, ``IMM``, ``SMQ``, ``STS``, or ``job`` for the failure of a submitted job.
    :param code: its code.
    :param detail: its message.
    :param action: the API action, for the right that is missing.
    :param status: HTTP status, where the code says nothing.
    :param key_id: AccessKey ID of the caller.
    :param denied: the service's own detail of a missing right, see :class:`.OSSAsyncError`.
    """
    needed = (denied or {}).get("AuthAction") or rights_of(service, action)
    detail = detail[:QUOTE_LIMIT]
    for row in TABLE:
        if service not in row.services or not re.match(row.code, code, re.IGNORECASE):
            continue
        if row.code and not code:
            continue
        if row.words and not re.search(row.words, detail, re.IGNORECASE):
            continue
        advice = row.advice
        if "{key_id}" in advice and not key_id:
            advice = advice.replace(" (AccessKey ID {key_id})", "")
        advice = advice.format(action=needed, key_id=key_id)
        if row.kind == "rights" and (denied or {}).get("NoPermissionType") == "ExplicitDeny":
            advice = f"Take {needed} out of the policy that denies it explicitly. {advice}"
        return Diagnosis(row.kind, advice)
    kind = _BY_STATUS.get(status or 0, "outage" if (status or 0) >= 500 else "")
    advice = ""
    if kind == "rights":
        caller = f"the caller (AccessKey ID {key_id})" if key_id else "the caller"
        advice = f"Grant {needed} to {caller}."
    # A code that is not in the table may mean anything, whatever the status: nothing is decided by it.
    return Diagnosis("" if code and kind in FINAL_KINDS else kind, advice)


def diagnosis_of(error: OSSServiceError) -> Diagnosis:
    """Return what an error of a service means; see :func:`diagnose`."""
    return diagnose(
        error.service,
        error.code,
        error.detail,
        action=error.action,
        status=error.status,
        denied=error.access_denied,
    )


#: Kinds of things IMM may not find.
MissingResource = Literal["task", "project", "attachment"]


def missing_resource(error: OSSAsyncError) -> MissingResource | None:
    """Return what IMM did not find, or ``None`` if the error says something else.

    IMM answers HTTP 400 with the code ``ResourceNotFound`` and names the resource only in the message. The
    one named first counts: behind it there may be a name, and a project may well be called ``my-task``.
    """
    if error.service != "IMM" or error.code.partition(".")[0] != "ResourceNotFound":
        return None
    text = f"{error.code} {error.detail[:QUOTE_LIMIT]}".lower()
    kinds: tuple[MissingResource, ...] = ("task", "project", "attachment")
    places = {kind: found.start() for kind in kinds if (found := re.search(rf"\b{kind}", text))}
    return min(places, key=places.__getitem__, default=None)


def is_task_not_found(error: OSSAsyncError) -> bool:
    """Whether IMM does not know the task: not yet, no more (after 7 days), or elsewhere."""
    return missing_resource(error) == "task"


def refuses_credentials(error: OSSServiceError) -> bool:
    """Whether the keys or their rights were refused; wrong signatures come with 400 and 404 too."""
    return error.status in (401, 403) or diagnosis_of(error).kind in ("credentials", "clock")


def redact(text: str, credentials: Credentials | None = None) -> str:
    """Return a foreign text as it may be shown: no secrets, no control characters, at most 800 characters.

    User names and passwords of URLs are left out (an error of a proxy quotes the proxy's address), and so are
    the secret and the token of the request (services repeat signed headers when they refuse a signature).
    """
    if credentials is not None:
        text = credentials.redact(text)
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", _without_secrets(text))
    return text[:QUOTE_LIMIT].strip()


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an unexpected error as it may be logged: what was raised may quote secrets."""
    return "".join(map(_without_secrets, traceback.format_exception(error))).rstrip()


def unexpected(what: str, error: BaseException) -> str:
    """Return the text of a failure that no other kind of error describes, such as a defect."""
    return f"{what}: {type(error).__name__}: {redact(str(error))}"


def _without_secrets(text: str) -> str:
    # What follows would be slow on a long text.
    text = text[: 4 * QUOTE_LIMIT]
    text = re.sub(r"//[^/\s]{1,512}@", "//***@", text)
    text = re.sub(
        r"(?i)((?:security-?token|signature|accesskeysecret|x-oss-security-token)\W{1,5})[^\s&\"'<>,]{8,}",
        r"\1***",
        text,
    )
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that is an error, or the reason why there is none.

    :param service: ``OSS``, ``IMM`` or ``SMQ``.
    :param status: HTTP status, ``None`` if there was no answer.
    :param code: the service's code; empty if the answer was not the service's.
    :param detail: the service's message, or what went wrong on the way.
    :param authentic: whether the answer carries the marks of the service. Others come from a gateway or proxy
        in between, and say nothing of what the service has done.
    :param never_sent: whether it is certain that nothing of the request left this machine.
    :param invalid: whether that is so because a name in it is not allowed; ``code`` says which.
    :param denied: the service's detail of a missing right, see :class:`.OSSAsyncError`.
    """

    service: str
    status: int | None = None
    code: str = ""
    detail: str = ""
    request_id: str = ""
    ec: str = ""
    retry_after: float | None = None
    authentic: bool = False
    never_sent: bool = False
    invalid: bool = False
    denied: Mapping[str, str] = field(default_factory=dict)

    def safe(self, credentials: Credentials | None) -> Failure:
        """Return the failure with texts that may be shown."""
        return replace(
            self,
            code=redact(self.code, credentials)[:ID_LIMIT],
            detail=redact(self.detail, credentials),
            request_id=redact(self.request_id, credentials)[:ID_LIMIT],
            ec=redact(self.ec, credentials)[:ID_LIMIT],
            denied={
                name: credentials.redact(value) if credentials is not None else value
                for name, value in self.denied.items()
            },
        )

    def facts(self) -> dict[str, object]:
        """Return what stands in brackets at the end of a message."""
        return {
            "service": self.service,
            "HTTP": self.status,
            "code": self.code,
            "EC": self.ec,
            "request_id": self.request_id,
        }


def service_error(
    failure: Failure, *, action: str, subject: str, credentials: Credentials | None = None
) -> OSSServiceError:
    """Return the exception that a failure stands for.

    :param action: API action, such as ``GetTask``.
    :param subject: what it was about, such as ``task X of project Y``.
    :param credentials: those of the request; kept out of every text.
    """
    failure = failure.safe(credentials)
    key_id = credentials.access_key_id if credentials is not None else ""
    kind: type[OSSServiceError] = OSSServiceError
    if failure.authentic or failure.invalid or failure.retry_after is not None or failure.status == 429:
        diagnosis = diagnose(
            failure.service,
            failure.code,
            failure.detail,
            action=action,
            status=failure.status,
            key_id=key_id,
            denied=failure.denied,
        )
        if failure.status == 429 or failure.retry_after is not None or diagnosis.kind == "throttled":
            kind = OSSThrottledError
            if diagnosis.kind != "throttled":
                advice = _SLOW_DOWN if failure.service == "IMM" else _FEWER_REQUESTS
                diagnosis = Diagnosis("throttled", advice)
        elif failure.invalid:
            pass
        elif failure.status is None or failure.status >= 500 or diagnosis.kind == "outage":
            kind = OSSUnavailableError
        refused = f"{action} was not sent" if failure.invalid else f"{failure.service} refused {action}"
        reason = f"{refused}: {failure.detail or failure.code or 'no message'}"
    else:
        kind, diagnosis = OSSUnavailableError, Diagnosis("outage")
        answered = f"HTTP {failure.status} that is not {failure.service}'s" if failure.status else ""
        what = ": ".join(part for part in (answered, failure.detail) if part)
        reason = f"{failure.service} gave no usable answer to {action}: {what or 'unknown reason'}"
    return kind(
        # The reason names the service.
        error_text(reason, diagnosis.advice, **{"for": subject, **failure.facts(), "service": ""}),
        service=failure.service,
        action=action,
        status=failure.status,
        code=failure.code if failure.authentic or failure.invalid else "",
        detail=failure.detail,
        advice=diagnosis.advice,
        request_id=failure.request_id,
        ec=failure.ec,
        retry_after=failure.retry_after,
        access_denied=failure.denied if failure.authentic else None,
    )


#: What the SDK or aiohttp raise before anything of the request is on the wire (see the tests for each).
_BEFORE_SENDING = (
    *_INVALID_NAMES,
    "SerializationError",
    "CredentialsBaseError",
    "ClientConnectorError",
    "ConnectionTimeoutError",
    "InvalidURL",
    # A proxy that refuses CONNECT has passed nothing on.
    "ClientHttpProxyError",
    # Ours, out of the credentials provider and of the session.
    "OSSConnectionError",
    "RequestTooLateError",
)


def sdk_failure(error: BaseException) -> Failure:
    """Return what an exception of the OSS SDK (or of aiohttp below it) says."""
    cause = _root_cause(error)
    status = getattr(cause, "status_code", None)
    if isinstance(status, int) and not isinstance(status, bool) and status:
        code, detail, ec, request_id = (
            _text(getattr(cause, name, "")) for name in ("code", "message", "ec", "request_id")
        )
        marked = bool(_header(cause, "x-oss-request-id"))
        # The SDK's own code for a body that is not OSS's. Answers to HEAD have none, so there the mark
        # decides.
        known = "" if code == "BadErrorResponse" else code
        return Failure(
            "OSS",
            status=status,
            code=known,
            detail=detail if known or not marked else "",
            request_id=request_id,
            ec=ec,
            authentic=marked,
            # A proxy that wants a password has not passed the request on.
            never_sent=status == 407 and not marked,
            denied=denial_of_sdk(cause),
        )
    if isinstance(cause, TimeoutError) and not str(cause):
        detail = "no answer in time"
    else:
        detail = f"{type(cause).__name__}: {cause}"
    names = {kind.__name__ for kind in type(cause).__mro__}
    invalid = sorted(names & set(_INVALID_NAMES))
    return Failure(
        "OSS",
        code=invalid[0] if invalid else "",
        detail=_text(str(cause) if invalid else detail),
        never_sent=bool(names & set(_BEFORE_SENDING)),
        invalid=bool(invalid),
    )


def _root_cause(error: BaseException) -> BaseException:
    """Return what the SDK's wrappers are wrapped around."""
    while callable(unwrap := getattr(error, "unwrap", None)) and isinstance(inner := unwrap(), BaseException):
        error = inner
    return error


def _header(cause: BaseException, name: str) -> str:
    headers: Any = getattr(cause, "headers", None)
    try:
        return _text(headers.get(name)) if headers is not None else ""
    except Exception:
        return ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
