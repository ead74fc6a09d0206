"""Bodies of messages about objects and jobs."""

from __future__ import annotations

import base64
import json
from typing import Any


def object_entry(key: str, *, bucket: str = "media", request_id: str = "", **fields: Any) -> dict[str, Any]:
    """An entry of the list ``events``, as documented."""
    return {
        "eventName": "ObjectCreated:PutObject",
        "eventSource": "acs:oss",
        "eventTime": "2026-01-02T03:04:05.000Z",
        "eventVersion": "1.0",
        "oss": {
            "bucket": {"arn": f"acs:oss:cn-hangzhou:1:{bucket}", "name": bucket, "ownerIdentity": "1"},
            "object": {"deltaSize": 4, "eTag": "E1", "key": key, "size": 4},
            "ossSchemaVersion": "1.0",
            "ruleId": "inbox",
        },
        "region": "cn-hangzhou",
        "responseElements": {"requestId": request_id or f"R-{bucket}-{key}"},
        **fields,
    }


def object_body(*keys: str, **fields: Any) -> str:
    """The body of a message, in base64 as OSS sends it."""
    body = json.dumps({"events": [object_entry(key, **fields) for key in keys]})
    return base64.b64encode(body.encode()).decode()


def job_body(task_id: str, status: str = "Succeeded") -> str:
    """The body of a completion message."""
    return json.dumps({"TaskId": task_id, "TaskType": "MediaConvert", "Status": status})
