"""What all such services share; the signature is compared with the official SDK's in ``test_imm.py``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_provider_oss_async.clients.acs3 import ACS3Client, encode_query, text_of
from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.exceptions import OSSServiceError

if TYPE_CHECKING:
    import aiohttp

    from tests.support.wire import Wire


class Client(ACS3Client):
    service: ClassVar[str] = "STS"
    version: ClassVar[str] = "2000-01-01"

    async def ask(self, **parameters: str) -> dict[str, Any]:
        return (await self._call("Ask", "a question", parameters))[1]


async def source() -> Credentials:
    return Credentials("LTAI-user", "the-secret-of-the-user")


async def test_version_and_parameters_are_sent(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answer(200, json.dumps({"A": "b"}))
    assert await Client(session, wire.url, source).ask(Name="影 *") == {"A": "b"}
    (asked,) = wire.requests
    assert asked.headers["x-acs-version"] == "2000-01-01"
    assert asked.query_text == encode_query({"Name": "影 *"}) == "Name=%E5%BD%B1%20%2A"


async def test_errors_name_the_service(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answer(403, json.dumps({"Code": "NoPermission", "Message": "no", "RequestId": "R-1"}))
    with pytest.raises(OSSServiceError, match=r"^STS refused Ask: no\. Grant sts:Ask") as caught:
        await Client(session, wire.url, source).ask()
    assert caught.value.request_id == "R-1"


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (5, ""), (None, ""), ("\ud800", "?")])
def test_texts_of_an_answer(value: Any, text: str) -> None:
    assert text_of({"k": value}, "k") == text
