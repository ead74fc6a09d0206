"""Asynchronous client for the few actions of IMM (Intelligent Media Management) that following a job needs.

API version 2020-09-30.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.acs3 import ACS3Client, text_of
from airflow_provider_oss_async.clients.errors import ID_LIMIT, redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_oss_async.clients.http import Call


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


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """What IMM says of one project.

    :param service_role: RAM role that reads sources and writes targets; empty where not given.
    :param engine_concurrency: operators that run at once (int), ``None`` where not given.
    :param queries_per_second: requests a second for all APIs of the project (int), ``None`` where not given.
    """

    service_role: str
    engine_concurrency: int | None
    queries_per_second: int | None


class IMMClient(ACS3Client):
    """Calls IMM about tasks. Every method sends one request; retrying is left to the caller.

    What the methods raise:

    - :class:`~airflow_provider_oss_async.exceptions.OSSThrottledError`: ask later.
    - :class:`~airflow_provider_oss_async.exceptions.OSSUnavailableError`: no usable answer, ask again.
    - :class:`~airflow_provider_oss_async.exceptions.OSSServiceError`: refused. ``status`` is 403 where a
      right is missing; ``clients.errors.missing_resource`` says what was not found. The rest are wrong
      settings.

    The constructor is that of :class:`.ACS3Client`.
    """

    service = "IMM"
    version = "2020-09-30"

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
        return [_task(call, item) for item in tasks], text_of(data, "NextToken") or None

    async def get_bucket_project(self, bucket: str) -> str:
        """Return the IMM project that a bucket of this region is bound to.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getossbucketattachment
        """
        call, data = await self._call("GetOSSBucketAttachment", f"bucket {bucket}", {"OSSBucket": bucket})
        project = text_of(data, "ProjectName")
        if not project:
            raise call.unavailable("the answer names no project")
        return project

    async def list_attached_buckets(
        self, project: str, *, next_token: str | None = None
    ) -> tuple[list[str], str | None]:
        """Return up to 200 buckets that are bound to a project, and a token for more, ``None`` for no more.

        It needs a right on the project, where :meth:`get_bucket_project` needs one on all.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-listattachedossbuckets
        """
        parameters = {"ProjectName": project, "MaxResults": "200"}
        if next_token:
            parameters["NextToken"] = next_token
        call, data = await self._call("ListAttachedOSSBuckets", f"project {project}", parameters)
        found = data.get("AttachedOSSBuckets")
        found = [] if found is None else found
        if not isinstance(found, list):
            raise call.unavailable("the answer holds no list of buckets")
        names = [text_of(item, "OSSBucket") for item in found if isinstance(item, dict)]
        return names, text_of(data, "NextToken") or None

    async def get_project(self, project: str) -> ProjectInfo:
        """Return what a project is set to.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getproject
        """
        _, data = await self._call("GetProject", f"project {project}", {"ProjectName": project})
        described = data.get("Project")
        described = described if isinstance(described, dict) else {}
        return ProjectInfo(
            service_role=text_of(described, "ServiceRole")[:ID_LIMIT],
            engine_concurrency=_count(described.get("EngineConcurrency")),
            queries_per_second=_count(described.get("ProjectQueriesPerSecond")),
        )

    async def get_engine_concurrency(self, project: str) -> int | None:
        """Return how many operators a project runs at once, ``None`` where the answer does not say it."""
        return (await self.get_project(project)).engine_concurrency

    async def get_watermark(self, project: str, task_id: str) -> str:
        """Return the text that a succeeded ``DecodeBlindWatermark`` task has read; empty while there is none.

        https://www.alibabacloud.com/help/en/imm/developer-reference/api-imm-2020-09-30-getdecodeblindwatermarkresult
        """
        _, data = await self._call(
            "GetDecodeBlindWatermarkResult",
            f"task {task_id} of project {project}",
            {"ProjectName": project, "TaskType": "DecodeBlindWatermark", "TaskId": task_id},
        )
        return text_of(data, "Content")


def _task(call: Call, data: Any) -> TaskInfo:
    if not isinstance(data, dict) or not text_of(data, "TaskId") or not text_of(data, "Status"):
        raise call.unavailable("the answer holds a task without id or status")
    return TaskInfo(
        task_id=text_of(data, "TaskId"),
        task_type=text_of(data, "TaskType"),
        status=text_of(data, "Status"),
        # All of these may go into events, exceptions and XCom.
        code=redact(text_of(data, "Code"))[:ID_LIMIT],
        message=redact(text_of(data, "Message")),
        start_time=text_of(data, "StartTime")[:ID_LIMIT],
        end_time=text_of(data, "EndTime")[:ID_LIMIT],
        event_id=text_of(data, "EventId")[:ID_LIMIT],
        definition=text_of(data, "TaskRequestDefinition"),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _timestamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ValueError(f"a time without a time zone cannot be asked for: {moment.isoformat()}")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
