"""Asynchronous client for the few actions of IMM (Intelligent Media Management) that following a job needs.

API version 2020-09-30, signed with ACS3-HMAC-SHA256 ("V3 request structure and signature",
https://www.alibabacloud.com/help/en/doc-detail/2593177.htm).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote
from uuid import uuid4

from airflow_provider_oss_async.clients.access_denied import denial_of_json
from airflow_provider_oss_async.clients.errors import ID_LIMIT, redact
from airflow_provider_oss_async.clients.http import Answer, Call, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import aiohttp

    from airflow_provider_oss_async.clients.credentials import Credentials, CredentialsSource
    from airflow_provider_oss_async.exceptions import OSSServiceError

_VERSION = "2020-09-30"
_ALGORITHM = "ACS3-HMAC-SHA256"

#: Regions that have no public endpoint (the endpoint map of Alibaba Cloud's IMM SDK).
_VPC_ONLY = frozenset({"cn-beijing-gov-1"})


def imm_endpoint(region: str, network: Literal["public", "internal", "accelerate"] = "public") -> str:
    """Return the host of IMM in a region.

    https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-endpoint

    :param region: such as ``cn-hangzhou``.
    :param network: ``internal`` gives the VPC host; IMM has no accelerated one.
    """
    product = "imm-vpc" if network == "internal" or region in _VPC_ONLY else "imm"
    return f"{product}.{region}.aliyuncs.com"


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """What IMM says of one task.

    :param status: as given; documented are ``Running``, ``Succeeded`` and ``Failed``, in varying case.
    :param code: failure code; empty unless failed.
    :param message: failure message; empty unless failed.
    :param start_time: ISO 8601, UTC; empty if not given. Tasks are kept for 7 days from here.
    :param end_time: ISO 8601, UTC; empty while running.
    :param definition: the request that created the task, as JSON text; empty unless asked for,
        and always empty for ``OfficeConversion`` and ``DecodeBlindWatermark``.
    """

    task_id: str
    task_type: str
    status: str
    code: str = ""
    message: str = ""
    start_time: str = ""
    end_time: str = ""
    event_id: str = ""
    definition: str = ""


def sign(
    method: str,
    host: str,
    query: str,
    headers: Mapping[str, str],
    credentials: Credentials,
    body: bytes = b"",
) -> dict[str, str]:
    """Return the headers of an ACS3 request to the path ``/``, signature included.

    :param query: sorted by name and percent-encoded, as it will be sent.
    :param headers: ``x-acs-*`` headers of the request, names in lower case.
    """
    digest = hashlib.sha256(body).hexdigest()
    signed = {**headers, "host": host, "x-acs-content-sha256": digest}
    if credentials.security_token:
        signed["x-acs-accesskey-id"] = credentials.access_key_id
        signed["x-acs-security-token"] = credentials.security_token
    names = sorted(signed)
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in names)
    canonical = "\n".join((method, "/", query, lines, ";".join(names), digest))
    to_sign = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(credentials.access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    signed["authorization"] = (
        f"{_ALGORITHM} "
        f"Credential={credentials.access_key_id},SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return signed


def encode_query(parameters: Mapping[str, str]) -> str:
    """Return the parameters sorted by name and percent-encoded (RFC 3986), which is how ACS3 signs them."""
    return "&".join(
        f"{quote(k, safe='-_.~')}={quote(parameters[k], safe='-_.~')}" for k in sorted(parameters)
    )


class IMMClient:
    """Calls IMM about tasks. Every method sends one request; retrying is left to the caller.

    What the methods raise:

    - :class:`~airflow_provider_oss_async.exceptions.OSSThrottledError`: ask later.
    - :class:`~airflow_provider_oss_async.exceptions.OSSUnavailableError`: no usable answer, ask again.
    - :class:`~airflow_provider_oss_async.exceptions.OSSServiceError`: refused. ``status`` is 403 where a
      right is missing; ``clients.errors.missing_resource`` says what was not found. The rest are wrong
      settings.

    :param session: shared by many clients, and not closed here.
    :param endpoint: host or URL, see :func:`imm_endpoint`.
    :param credentials: awaited before every request.
    :param timeout: seconds for one request.
    :param proxy: URL of an HTTP proxy.
    :raises OSSConnectionError: the endpoint is not one.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        credentials: CredentialsSource,
        *,
        timeout: float = 10.0,
        proxy: str | None = None,
    ) -> None:
        self._session = session
        self._endpoint = Endpoint.parse(endpoint, service="IMM")
        self._credentials = credentials
        self._timeout = timeout
        self._proxy = proxy

    async def get_task(self, project: str, task_type: str, task_id: str) -> TaskInfo:
        """Return the state of one task.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-gettask
        """
        subject = f"task {task_id} ({task_type}) of project {project}"
        call, data = await self._call(
            "GetTask", subject, {"ProjectName": project, "TaskType": task_type, "TaskId": task_id}
        )
        if data.get("TaskId", task_id) != task_id:
            raise call.unavailable("the answer is about another task")
        return _task(call, {"TaskId": task_id, "TaskType": task_type, **data})

    async def list_tasks(
        self,
        project: str,
        *,
        task_types: Sequence[str] = (),
        start: datetime | None = None,
        end: datetime | None = None,
        definition: bool = False,
        status: str | None = None,
        next_token: str | None = None,
        max_results: int = 100,
        newest_first: bool = False,
        ended_from: datetime | None = None,
    ) -> tuple[list[TaskInfo], str | None]:
        """Return one page of a project's tasks and the token of the next page.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-listtasks

        :param task_types: all types if empty.
        :param start: only tasks started at this time or later; with a time zone.
        :param end: only tasks started at this time or earlier; with a time zone.
        :param definition: whether to return the requests too, where IMM has them (see :class:`TaskInfo`).
        :param status: ``Running``, ``Succeeded`` or ``Failed``; all if ``None``.
        :param next_token: from the page before; ``None`` for the first one.
        :param max_results: 1 to 100.
        :param newest_first: begin with the task started last. Otherwise, tasks that start meanwhile come on a
            later page and shift none of the others.
        :param ended_from: only tasks that ended at this time or later, sorted by their end instead of their
            start; with a time zone.
        :raises ValueError: a time has no time zone.
        """
        parameters = {
            "ProjectName": project,
            "Sort": "StartTime",
            "Order": "desc" if newest_first else "asc",
            "MaxResults": str(max_results),
        }
        if task_types:
            parameters["TaskTypes"] = json.dumps(list(task_types))
        if start or end:
            bounds = {"Start": start, "End": end}
            parameters["StartTimeRange"] = json.dumps({k: _timestamp(v) for k, v in bounds.items() if v})
        if ended_from:
            parameters["Sort"] = "EndTime"
            parameters["EndTimeRange"] = json.dumps({"Start": _timestamp(ended_from)})
        if definition:
            parameters["RequestDefinition"] = "true"
        if status:
            parameters["Status"] = status
        if next_token:
            parameters["NextToken"] = next_token
        call, data = await self._call("ListTasks", f"project {project}", parameters)
        tasks = data.get("Tasks") or []
        if not isinstance(tasks, list):
            raise call.unavailable("the answer holds no list of tasks")
        return [_task(call, item) for item in tasks], _text(data, "NextToken") or None

    async def get_bucket_project(self, bucket: str) -> str:
        """Return the IMM project that a bucket of this region is bound to.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getossbucketattachment
        """
        call, data = await self._call("GetOSSBucketAttachment", f"bucket {bucket}", {"OSSBucket": bucket})
        project = _text(data, "ProjectName")
        if not project:
            raise call.unavailable("the answer names no project")
        return project

    async def get_engine_concurrency(self, project: str) -> int | None:
        """Return how many operators a project runs at once, ``None`` where the answer does not say it.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getproject
        """
        _, data = await self._call("GetProject", f"project {project}", {"ProjectName": project})
        described = data.get("Project")
        number = described.get("EngineConcurrency") if isinstance(described, dict) else None
        return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None

    async def get_watermark(self, project: str, task_id: str) -> str:
        """Return the text that a succeeded ``DecodeBlindWatermark`` task has read; empty while there is none.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getdecodeblindwatermarkresult
        """
        _, data = await self._call(
            "GetDecodeBlindWatermarkResult",
            f"task {task_id} of project {project}",
            {"ProjectName": project, "TaskType": "DecodeBlindWatermark", "TaskId": task_id},
        )
        return _text(data, "Content")

    async def _call(
        self, action: str, subject: str, parameters: dict[str, str]
    ) -> tuple[Call, dict[str, Any]]:
        credentials = await self._credentials()
        call = Call("IMM", action, subject, credentials)
        query = encode_query(parameters)
        headers = {
            "x-acs-action": action,
            "x-acs-version": _VERSION,
            "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "x-acs-signature-nonce": uuid4().hex,
        }
        answer = await call.send(
            self._session,
            "POST",
            f"{self._endpoint}/?{query}",
            headers={
                **sign("POST", self._endpoint.host, query, headers, credentials),
                "accept": "application/json",
            },
            timeout=self._timeout,
            proxy=self._proxy,
        )
        data = _json_object(answer.body)
        if not answer.ok:
            raise _refusal(call, answer, data or {})
        if data is None:
            raise call.unavailable(f"HTTP {answer.status} with a body that is not a JSON object", answer)
        return call, data


def _refusal(call: Call, answer: Answer, data: dict[str, Any]) -> OSSServiceError:
    return call.error(
        answer,
        code=_text(data, "Code"),
        detail=_text(data, "Message"),
        request_id=_text(data, "RequestId") or answer.headers.get("x-acs-request-id", ""),
        denied=denial_of_json(data),
    )


def _task(call: Call, data: Any) -> TaskInfo:
    if not isinstance(data, dict) or not _text(data, "TaskId") or not _text(data, "Status"):
        raise call.unavailable("the answer holds a task without id or status")
    return TaskInfo(
        task_id=_text(data, "TaskId"),
        task_type=_text(data, "TaskType"),
        status=_text(data, "Status"),
        # All of these may go into events, exceptions and XCom.
        code=redact(_text(data, "Code"))[:ID_LIMIT],
        message=redact(_text(data, "Message")),
        start_time=_text(data, "StartTime")[:ID_LIMIT],
        end_time=_text(data, "EndTime")[:ID_LIMIT],
        event_id=_text(data, "EventId")[:ID_LIMIT],
        definition=_text(data, "TaskRequestDefinition"),
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _timestamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"a time without a time zone cannot be asked for: {moment.isoformat()}")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
