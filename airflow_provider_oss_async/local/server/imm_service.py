"""IMM, API version 2020-09-30: the actions about tasks, projects and bucket attachments."""

from __future__ import annotations

import base64
import json
import re
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from aiohttp import web

from airflow_provider_oss_async.local.server.job_table import JobRecord, iso
from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.rights import denial
from airflow_provider_oss_async.local.server.signatures import SignedRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_oss_async.local.server.cloud import Cloud
    from airflow_provider_oss_async.local.server.store import Bucket

_VERSION = "2020-09-30"
#: Of STS, whose one action is served here as well.
_OTHER_VERSIONS = {"GetCallerIdentity": "2015-04-01"}


class IMMService:
    """Answers the requests to IMM.

    :param cloud: state that all services share.
    """

    name = "IMM"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def route(
        self, request: web.Request
    ) -> tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]:
        """Return the action of a request and its handler."""
        return request.headers.get("x-acs-action", ""), self._handle

    def too_large(self) -> Refusal:
        """Return the error of the gateway for a body that is too large; the code is not documented."""
        return Refusal(413, "RequestEntityTooLarge", "The body of the request is too large.")

    def refuse(self, request: web.Request, refusal: Refusal) -> web.Response:
        """Return an error in the form of the OpenAPI gateway."""
        body: dict[str, Any] = {
            "RequestId": _request_id(),
            "HostId": request.host,
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": "",
        }
        if refusal.denied:
            body["AccessDeniedDetail"] = denial(refusal.denied)
        return web.json_response(body, status=refusal.status, headers=refusal.headers)

    def throttled(self, seconds: float) -> Refusal:
        """Return the error of the gateway for throttled requests; the header is in milliseconds."""
        headers = {"x-acs-retry-after": str(max(1, round(seconds * 1000)))}
        return Refusal(
            429, "Throttling.User", "Request was denied due to user flow control.", headers=headers
        )

    def denied(self, right: str) -> Refusal:
        """Return the error of the gateway for a missing right."""
        text = "You are not authorized to operate on the specified resources."
        return Refusal(403, "NoPermission", text, denied=right)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        signed = SignedRequest(request.method, request.raw_path, request.headers)
        self._cloud.verifier.acs3(signed, body)
        version = _OTHER_VERSIONS.get(request.headers["x-acs-action"], _VERSION)
        if request.headers.get("x-acs-version") != version:
            raise Refusal(
                400, "InvalidVersion", f"Specified parameter Version is not valid; it is {version}."
            )
        action = self.ACTIONS.get(request.headers["x-acs-action"])
        if action is None:
            raise Refusal(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        form = request.content_type == "application/x-www-form-urlencoded"
        posted = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) if form else []
        answer = action(self, dict([*posted, *signed.query]))
        return web.json_response({"RequestId": _request_id(), **answer})

    def _get_task(self, given: dict[str, str]) -> dict[str, Any]:
        job = self._task(given)
        return {
            "ProjectName": job.project,
            "EventId": job.event_id,
            **_describe(job, given.get("RequestDefinition", "")),
        }

    def _list_tasks(self, given: dict[str, str]) -> dict[str, Any]:
        project = self._project(given)
        types = _json(given, "TaskTypes", list)
        status, order = given.get("Status", ""), given.get("Order", "asc")
        sort = given.get("Sort") or "TaskId"
        limit = given.get("MaxResults") or "100"
        if sort not in ("TaskId", "StartTime", "EndTime") or order not in ("asc", "desc"):
            raise _invalid("Sort or Order")
        behaviour = self._cloud.behaviour
        if sort == "EndTime" and behaviour.end_time_cursor == "refused":
            raise _invalid("Sort")
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= 100:
            raise _invalid("MaxResults")
        ranges = {
            name: _time_range(given, f"{name}Range")
            for name in ("StartTime", "EndTime")
            if given.get(f"{name}Range")
        }
        visible_start = time.time_ns() + 1 - round(behaviour.start_list_delay * 10**9)
        visible_end = time.time_ns() + 1 - round(self._cloud.list_delay * 10**9)
        after: tuple[Any, str] | None = None
        if given.get("NextToken"):
            after = _place(given["NextToken"], str if sort == "TaskId" else int)
        elif sort in ranges:
            # Begin where the range begins.
            after = (ranges[sort][0], "") if order == "asc" else (ranges[sort][1] + 1, "")
        tasks: list[dict[str, Any]] = []
        place: tuple[Any, str] | None = None
        for here, job in self._cloud.table.ordered(project, sort, order == "desc", after, visible_end):
            times = {"StartTime": job.started, "EndTime": job.ended}
            inside = {name: low <= times[name] <= high for name, (low, high) in ranges.items()}
            if not inside.get(sort, True) and (times[sort] or order == "desc"):
                break
            if (
                (types and job.task_type not in types)
                or (status and job.status != status)
                or not all(inside.values())
                or ("EndTime" in ranges and not job.ended)
                or job.started >= visible_start
                or (sort == "EndTime" and self._left_out(job))
            ):
                continue
            if len(tasks) == int(limit):
                token = base64.urlsafe_b64encode(json.dumps(place).encode()).decode()
                return {"Tasks": tasks, "NextToken": token}
            progress = 100 if job.status == "Succeeded" else 0
            definition = given.get("RequestDefinition", "") if behaviour.definitions else ""
            tasks.append({**_describe(job, definition), "Progress": progress})
            place = here
        return {"Tasks": tasks}

    def _left_out(self, job: JobRecord) -> bool:
        if self._cloud.behaviour.end_time_cursor != "incomplete":
            return False
        return [one.task_id for one in self._cloud.table.all()].index(job.task_id) % 2 == 1

    def _get_project(self, given: dict[str, str]) -> dict[str, Any]:
        project = self._project(given)
        described: dict[str, Any] = {"ProjectName": project, "Description": ""}
        if self._cloud.behaviour.project_details:
            described |= {
                "ServiceRole": "AliyunIMMDefaultRole",
                "ProjectQueriesPerSecond": 100,
                "EngineConcurrency": self._cloud.runner.engines[project].concurrency,
            }
        return {"Project": described}

    def _get_watermark(self, given: dict[str, str]) -> dict[str, Any]:
        job = self._task(given)
        if job.task_type != "DecodeBlindWatermark":
            raise _invalid("TaskType")
        return {
            "ProjectName": job.project,
            "EventId": job.event_id,
            "Content": job.content,
            **{name: value for name, value in _describe(job, "").items() if name != "Tags"},
        }

    def _get_attachment(self, given: dict[str, str]) -> dict[str, Any]:
        bucket = self._bucket(given)
        if bucket.imm_project is None:
            raise _not_found("Attachment")
        created = iso(int(bucket.created * 10**9))
        return {
            "ProjectName": bucket.imm_project,
            "OSSBucket": bucket.name,
            "Description": "",
            "CreateTime": created,
            "UpdateTime": created,
        }

    def _list_attachments(self, given: dict[str, str]) -> dict[str, Any]:
        project = self._project(given)
        limit = given.get("MaxResults") or "100"
        if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= 200:
            raise _invalid("MaxResults")
        after = given.get("NextToken", "")
        bound = [one for one in self._cloud.store.buckets() if one.imm_project == project]
        names = sorted(one.name for one in bound if one.name > after)
        page = names[: int(limit)]
        answer: dict[str, Any] = {
            "AttachedOSSBuckets": [{"OSSBucket": name, "ProjectName": project} for name in page]
        }
        return answer if page == names else {**answer, "NextToken": page[-1]}

    def _attach(self, given: dict[str, str]) -> dict[str, Any]:
        project, bucket = self._project(given), self._bucket(given)
        if bucket.imm_project not in (None, project):
            raise Refusal(400, "ResourceAlreadyExists", "The specified resource Attachment already exists.")
        self._cloud.store.change_bucket(bucket.name, imm_project=project)
        return {}

    def _project(self, given: dict[str, str]) -> str:
        project = _required(given, "ProjectName")
        if project not in self._cloud.projects():
            raise _not_found("Project")
        return project

    def _task(self, given: dict[str, str]) -> JobRecord:
        project = self._project(given)
        task_type, task_id = _required(given, "TaskType"), _required(given, "TaskId")
        job = self._cloud.table.get(task_id)
        if job is None or job.project != project or job.task_type != task_type:
            behaviour = self._cloud.behaviour
            raise Refusal(400, behaviour.unknown_task_code, behaviour.unknown_task_message)
        return job

    def _bucket(self, given: dict[str, str]) -> Bucket:
        bucket = self._cloud.store.bucket(_required(given, "OSSBucket"))
        if bucket is None:
            raise _not_found("Bucket")
        return bucket

    def _caller(self, given: dict[str, str]) -> dict[str, Any]:
        owner = self._cloud.owner
        return {
            "IdentityType": "RAMUser",
            "AccountId": owner,
            "Arn": f"acs:ram::{owner}:user/local",
            "PrincipalId": "200000000000000002",
            "UserId": "200000000000000002",
        }

    ACTIONS: ClassVar[dict[str, Callable[[IMMService, dict[str, str]], dict[str, Any]]]] = {
        "GetTask": _get_task,
        "ListTasks": _list_tasks,
        "GetDecodeBlindWatermarkResult": _get_watermark,
        "GetOSSBucketAttachment": _get_attachment,
        "ListAttachedOSSBuckets": _list_attachments,
        "AttachOSSBucket": _attach,
        "GetProject": _get_project,
        "GetCallerIdentity": _caller,
    }


def _describe(job: JobRecord, definition: str) -> dict[str, Any]:
    described = {
        "TaskType": job.task_type,
        "TaskId": job.task_id,
        "Status": job.status,
        "Code": job.code,
        "Message": job.message,
        "StartTime": iso(job.started),
        "EndTime": iso(job.ended),
        "UserData": "",
        "Tags": {},
    }
    if definition.lower() == "true" and job.definition:
        described["TaskRequestDefinition"] = job.definition
    return described


def _required(given: dict[str, str], name: str) -> str:
    if not given.get(name):
        raise Refusal(400, f"Missing{name}", f"{name} is mandatory for this action.")
    return given[name]


def _json(given: dict[str, str], name: str, kind: type) -> Any:
    try:
        value = json.loads(given.get(name) or "null")
    except (ValueError, RecursionError):
        raise _invalid(name) from None
    if value is not None and not isinstance(value, kind):
        raise _invalid(name)
    return value


def _time_range(given: dict[str, str], name: str) -> tuple[int, int]:
    """Return the two ends in nanoseconds; open where not given."""
    both = _json(given, name, dict) or {}
    ends = [0, 2**63]
    for number, end in enumerate(("Start", "End")):
        if both.get(end):
            try:
                moment = datetime.fromisoformat(both[end])
            except (ValueError, TypeError):
                raise _invalid(name) from None
            if moment.tzinfo is None:
                raise _invalid(name)
            ends[number] = round(moment.timestamp() * 10**6) * 1000
    return ends[0], ends[1]


def _place(token: str, kind: type) -> tuple[Any, str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, RecursionError):
        raise _invalid("NextToken") from None
    if not isinstance(place, list) or [type(item) for item in place] != [kind, str]:
        raise _invalid("NextToken")
    return place[0], place[1]


def _invalid(name: str) -> Refusal:
    return Refusal(400, "InvalidArgument", f"The value of {name} is not valid.")


def _not_found(resource: str) -> Refusal:
    return Refusal(400, "ResourceNotFound", f"The specified resource {resource} is not found.")


def _request_id() -> str:
    return str(uuid.uuid4()).upper()
