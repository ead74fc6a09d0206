from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.sts import Identity, STSClient
from airflow_provider_oss_async.exceptions import OSSServiceError, OSSUnavailableError

if TYPE_CHECKING:
    import aiohttp

    from tests.support.wire import Wire

ANSWER = {
    "IdentityType": "RAMUser",
    "AccountId": "1234567890123456",
    "Arn": "acs:ram::1234567890123456:user/airflow",
    "RequestId": "R",
}


async def source() -> Credentials:
    return Credentials("LTAI-user", "the-secret-of-the-user")


async def test_who_the_caller_is(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answer(200, json.dumps(ANSWER))
    identity = await STSClient(session, wire.url, source).get_caller_identity()
    assert identity == Identity("RAMUser", "1234567890123456", "acs:ram::1234567890123456:user/airflow")
    (asked,) = wire.requests
    assert (asked.action, asked.headers["x-acs-version"]) == ("GetCallerIdentity", "2015-04-01")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            404,
            {"Code": "InvalidAccessKeyId.NotFound", "Message": "no"},
            OSSServiceError,
            "Check the AccessKey ID",
        ),
        (200, {"Arn": "x"}, OSSUnavailableError, "names no account"),
        (200, [], OSSUnavailableError, "not a JSON object"),
    ],
)
async def test_what_goes_wrong(
    session: aiohttp.ClientSession, wire: Wire, status: int, body: Any, kind: type, words: str
) -> None:
    wire.answer(status, json.dumps(body))
    with pytest.raises(kind, match=words) as caught:
        await STSClient(session, wire.url, source).get_caller_identity()
    assert caught.value.service == "STS"  # type: ignore[attr-defined]
