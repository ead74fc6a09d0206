"""The detail of a missing right reaches our errors from every service, by the real clients."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.access_denied import denial_of_json, denial_of_sdk, denial_of_xml
from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.imm import IMMClient
from airflow_provider_oss_async.clients.smq import SMQClient
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSSubmitRefusedError
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.hooks.settings import read_settings
from airflow_provider_oss_async.jobs.submission import build_request, submit_attempt
from airflow_provider_oss_async.process import ObjectURI, VideoConvert

if TYPE_CHECKING:
    import aiohttp

    from tests.support.wire import Request, Wire

KEPT = {
    "AuthAction": "oss:PutObject",
    "NoPermissionType": "ImplicitDeny",
    "PolicyType": "AccountLevelIdentityBasedPolicy",
    "EncodedDiagnosticMessage": "AQFohtp4aIbaeEXXXXQxNjFDLUIzMzgtNTc2",
}
DETAIL = {
    **KEPT,
    "AuthPrincipalOwnerId": "1234567890123456",
    "AuthPrincipalDisplayName": "2345",
    "Other": "x",
}
XML = (
    "<Error><Code>AccessDenied</Code><Message>You have no right to access this object.</Message>"
    "<RequestId>R</RequestId><AccessDeniedDetail>"
    + "".join(f"<{name}>{value}</{name}>" for name, value in DETAIL.items())
    + "</AccessDeniedDetail></Error>"
)
KEYS = Credentials("LTAI-user", "the-secret-of-the-user")


async def source() -> Credentials:
    return KEYS


def settings(wire: Wire) -> Any:
    from types import SimpleNamespace

    conn: Any = SimpleNamespace(
        conn_id="c",
        conn_type="oss_async",
        login="LTAI-user",
        password="the-secret-of-the-user",
        host=wire.url,
        port=None,
        schema="media",
        extra=json.dumps({"region": "cn-hangzhou", "imm_endpoint": wire.url}),
    )
    return read_settings(conn)


def denied(request: Request) -> Any:
    from tests.support.wire import Answer

    headers = {"x-oss-request-id": "R"}
    if request.method == "HEAD":
        return Answer(403, b"", {**headers, "x-oss-err": base64.b64encode(XML.encode()).decode()})
    return Answer(403, XML, {**headers, "Content-Type": "application/xml"})


@pytest.mark.parametrize("method", ["head", "read", "append"])
async def test_oss(wire: Wire, method: str) -> None:
    wire.respond = denied
    async with open_services(settings(wire)) as services:
        calls: dict[str, Any] = {
            "head": lambda: services.oss.head("media", "a"),
            "read": lambda: services.oss.read("media", "a"),
            "append": lambda: services.oss.append("media", "a", 0, b"x"),
        }
        with pytest.raises(OSSServiceError) as caught:
            await calls[method]()
    assert caught.value.access_denied == KEPT
    # The action that the service names, not the one that is guessed from the request.
    assert "Grant oss:PutObject to the caller (AccessKey ID LTAI-user)" in str(caught.value)


async def test_a_submission(wire: Wire) -> None:
    wire.respond = denied
    request = build_request(
        VideoConvert(container="mp4"), ObjectURI("media", "a.mov"), ObjectURI("media", "b.mp4"), "", ""
    )
    async with open_services(settings(wire)) as services:
        with pytest.raises(OSSSubmitRefusedError, match="Grant oss:PutObject to the caller") as caught:
            await submit_attempt(services.oss, request)
    assert caught.value.access_denied == KEPT


@pytest.mark.parametrize("as_text", [False, True])
async def test_imm(session: aiohttp.ClientSession, wire: Wire, as_text: bool) -> None:
    detail = {**DETAIL, "AuthAction": "imm:ListTasks", "NoPermissionType": "ExplicitDeny"}
    given = json.dumps(detail) if as_text else detail
    wire.answer(403, json.dumps({"Code": "NoPermission", "Message": "no", "AccessDeniedDetail": given}))
    with pytest.raises(
        OSSServiceError, match="Take imm:ListTasks out of the policy that denies it"
    ) as caught:
        await IMMClient(session, wire.url, source).list_tasks("p")
    assert caught.value.access_denied["AuthAction"] == "imm:ListTasks"
    assert "1234567890123456" not in json.dumps(caught.value.to_dict())


async def test_smq(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answer(403, XML.replace("oss:PutObject", "mns:BatchReceiveMessage"))
    with pytest.raises(OSSServiceError, match="Grant mns:BatchReceiveMessage") as caught:
        await SMQClient(session, wire.url, source).receive("q", wait=0)
    assert caught.value.access_denied["AuthAction"] == "mns:BatchReceiveMessage"


@pytest.mark.parametrize(
    "answer", [{}, {"AccessDeniedDetail": 5}, {"AccessDeniedDetail": "{"}, {"AccessDeniedDetail": "[1]"}]
)
def test_json_without_detail(answer: Any) -> None:
    assert denial_of_json(answer) == {}


@pytest.mark.parametrize("body", [b"", b"no", b"<Error/>", b"<AccessDeniedDetail/>", b"AccessDeniedDetail"])
def test_xml_without_detail(body: bytes) -> None:
    assert denial_of_xml(body) == {}


class Foreign(Exception):
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    "error",
    [Foreign(), Foreign(snapshot=b"", headers=5), Foreign(headers={"x-oss-err": "%"}), Foreign(snapshot="x")],
)
def test_foreign_errors_have_no_detail(error: Exception) -> None:
    assert denial_of_sdk(error) == {}


def test_values_are_bounded_and_printable() -> None:
    found = denial_of_json({"AccessDeniedDetail": {"AuthAction": "a" * 999, "PolicyType": "a\nb"}})
    assert found == {"AuthAction": "a" * 200}
