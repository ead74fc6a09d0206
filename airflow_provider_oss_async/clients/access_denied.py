"""What a service says of a missing right: ``AccessDeniedDetail`` of OSS and SMQ (XML) and of IMM (JSON).

"Error responses" (https://www.alibabacloud.com/help/en/oss/user-guide/error-response-2326715). The
detail may be absent. Names and account ids of principals are left out.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.clients.markup import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is kept of the detail, and the characters of each.
FIELDS = {"AuthAction": 200, "NoPermissionType": 200, "PolicyType": 200, "EncodedDiagnosticMessage": 4000}


def denial_of_xml(body: bytes) -> dict[str, str]:
    """Return the detail of an error of OSS or SMQ; empty if there is none."""
    node = parse_xml(body).find("AccessDeniedDetail")
    return {} if node is None else _kept({child.tag: child.text for child in node})


def denial_of_sdk(error: BaseException) -> dict[str, str]:
    """Return the detail of an error of the OSS SDK, which does not read it; empty if there is none."""
    body: Any = getattr(error, "snapshot", None)
    if not body:
        # An answer to HEAD has no body, and its error in a header.
        headers: Any = getattr(error, "headers", None) or {}
        try:
            body = base64.b64decode(headers.get("x-oss-err") or "")
        except (AttributeError, TypeError, ValueError):
            return {}
    return denial_of_xml(body) if isinstance(body, bytes) and b"AccessDeniedDetail" in body else {}


def denial_of_json(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return the detail of an error of an OpenAPI service, where it is an object or JSON text."""
    detail = answer.get("AccessDeniedDetail")
    if isinstance(detail, str):
        try:
            detail = json.loads(detail)
        except (ValueError, RecursionError):
            return {}
    return _kept(detail) if isinstance(detail, dict) else {}


def _kept(detail: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value.strip()[:limit]
        for name, limit in FIELDS.items()
        if isinstance(value := detail.get(name), str) and value.strip() and value.isprintable()
    }
