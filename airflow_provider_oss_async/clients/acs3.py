"""What services behind Alibaba Cloud's OpenAPI gateway share: an RPC request, answered in JSON.

Signed with ACS3-HMAC-SHA256 ("V3 request structure and signature",
https://www.alibabacloud.com/help/en/doc-detail/2593177.htm).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

from airflow_provider_oss_async.clients.access_denied import denial_of_json
from airflow_provider_oss_async.clients.http import Answer, Call, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from airflow_provider_oss_async.clients.credentials import Credentials, CredentialsSource
    from airflow_provider_oss_async.exceptions import OSSServiceError

_ALGORITHM = "ACS3-HMAC-SHA256"


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


class ACS3Client:
    """Sends requests to one service. Nothing is retried.

    :param session: shared by many clients, and not closed here.
    :param endpoint: host or URL.
    :param credentials: awaited before every request.
    :param timeout: seconds for one request.
    :param proxy: URL of an HTTP proxy.
    :raises OSSConnectionError: the endpoint is not one.
    """

    #: Name of the service in messages, and version of its API.
    service: ClassVar[str]
    version: ClassVar[str]

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
        self._endpoint = Endpoint.parse(endpoint, service=self.service)
        self._credentials = credentials
        self._timeout = timeout
        self._proxy = proxy

    async def _call(
        self, action: str, subject: str, parameters: dict[str, str]
    ) -> tuple[Call, dict[str, Any]]:
        credentials = await self._credentials()
        call = Call(self.service, action, subject, credentials)
        query = encode_query(parameters)
        headers = {
            "x-acs-action": action,
            "x-acs-version": self.version,
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
        code=text_of(data, "Code"),
        detail=text_of(data, "Message"),
        request_id=text_of(data, "RequestId") or answer.headers.get("x-acs-request-id", ""),
        denied=denial_of_json(data),
    )


def text_of(data: Mapping[str, Any], key: str) -> str:
    """Return a text of an answer; empty where there is none."""
    value = data.get(key)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
