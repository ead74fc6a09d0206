from __future__ import annotations

import asyncio
import email.utils
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mns.account import Account
from mns.auth import StaticCredentialsProvider
from mns.mns_client import MNSClient

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.markup import parse_xml
from airflow_provider_oss_async.clients.smq import Message, SMQClient, sign
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    from tests.support.wire import Fault, Request, Wire

USER = Credentials("LTAI-user", "the-secret-of-the-user")
ROLE = Credentials("STS.role", "the-secret-of-the-role", "the-token-of-the-role+/=")
SIGNERS = pytest.mark.parametrize("credentials", [USER, ROLE], ids=["ak", "sts"])

NOTHING = (
    '<?xml version="1.0"?><Error xmlns="http://mns.aliyuncs.com/doc/v1/"><Code>MessageNotExist</Code>'
    "<Message>Message not exist.</Message><RequestId>R-0</RequestId><HostId>h</HostId></Error>"
)


def client(
    session: aiohttp.ClientSession, wire: Wire, credentials: Credentials = USER, **options: Any
) -> SMQClient:
    async def source() -> Credentials:
        return credentials

    return SMQClient(session, f"http://{wire.host}", source, **options)


def messages(*bodies: str) -> str:
    items = "".join(
        f"<Message><MessageId>M-{i}</MessageId><ReceiptHandle>H-{i}</ReceiptHandle>"
        f"<MessageBody>{escape(body)}</MessageBody><MessageBodyMD5>x</MessageBodyMD5><EnqueueTime>1</EnqueueTime>"
        f"<NextVisibleTime>2</NextVisibleTime><FirstDequeueTime>1</FirstDequeueTime>"
        f"<DequeueCount>{i}</DequeueCount><Priority>8</Priority></Message>"
        for i, body in enumerate(bodies, 1)
    )
    return f'<?xml version="1.0"?>\n<Messages xmlns="http://mns.aliyuncs.com/doc/v1/">{items}</Messages>'


def error_body(code: str, message: str = "no") -> str:
    return (
        f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>R-9</RequestId>"
        "<HostId>h</HostId></Error>"
    )


def sdk_authorization(
    method: str, resource: str, headers: Mapping[str, str], credentials: Credentials
) -> str:
    keys = (credentials.access_key_id, credentials.access_key_secret, credentials.security_token or "")
    sdk = MNSClient("http://127.0.0.1:1", *keys[:2], security_token=keys[2])
    given = StaticCredentialsProvider(*keys).get_credentials()
    return str(sdk.get_signature(method, headers, resource, given))


def assert_signed_as_the_sdk_would(asked: Request, credentials: Credentials) -> None:
    assert asked.headers["authorization"] == sdk_authorization(
        asked.method, asked.target, asked.headers, credentials
    )
    assert asked.headers.get("security-token") == credentials.security_token
    assert asked.headers["x-mns-version"] == "2015-06-06"
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", asked.headers["date"])
    sent = email.utils.parsedate_to_datetime(asked.headers["date"]).timestamp()
    assert abs(sent - time.time()) < 60


class TestSigning:
    @given(
        method=st.sampled_from(["GET", "DELETE"]),
        resource=st.text(min_size=1),
        headers=st.dictionaries(
            st.sampled_from(["content-md5", "content-type", "date", "x-mns-version", "x-mns-a", "host"]),
            st.text(st.characters(codec="utf-8")),
        ),
        secret=st.text(st.characters(codec="utf-8")),
    )
    def test_anything_is_signed_as_the_sdk_does(
        self, method: str, resource: str, headers: dict[str, str], secret: str
    ) -> None:
        resource = resource.encode("utf-8", "replace").decode()
        keys = Credentials("LTAI", secret)
        assert sign(method, resource, headers, keys) == sdk_authorization(method, resource, headers, keys)

    @SIGNERS
    @pytest.mark.parametrize("queue", ["done", "with space", "隊列", "a?b/c"])
    async def test_receive_on_the_wire(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials, queue: str
    ) -> None:
        wire.answer(200, messages("x"))
        await client(session, wire, credentials).receive(queue, batch=3, wait=7)
        (asked,) = wire.requests
        assert asked.method == "GET"
        assert re.fullmatch(r"/queues/[A-Za-z0-9%]+/messages\?numOfMessages=3&waitseconds=7", asked.target)
        assert_signed_as_the_sdk_would(asked, credentials)

    @SIGNERS
    async def test_delete_on_the_wire(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials
    ) -> None:
        wire.answer(204)
        await client(session, wire, credentials).delete("done", ["H-1", "影<&>"])
        (asked,) = wire.requests
        assert asked.method == "DELETE"
        assert [node.text for node in parse_xml(asked.body)] == ["H-1", "影<&>"]
        assert_signed_as_the_sdk_would(asked, credentials)

    @SIGNERS
    async def test_official_client_sends_the_same(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials
    ) -> None:
        """The same two requests from both, compared as the server saw them."""
        for _ in range(2):
            wire.answer(200, messages("one", "two"))
            wire.answer(204)
        keys = (credentials.access_key_id, credentials.access_key_secret, credentials.security_token or "")

        def official() -> list[str]:
            queue = Account(f"http://{wire.host}", *keys).get_queue("done")
            queue.set_encoding(False)
            received = queue.batch_receive_message(16, 30)
            handles = [message.receipt_handle for message in received]
            queue.batch_delete_message(handles)
            return [message.message_body for message in received]

        smq = client(session, wire, credentials)
        theirs = await asyncio.to_thread(official)
        received = await smq.receive("done")
        await smq.delete("done", [message.handle for message in received])
        assert [message.body.decode() for message in received] == theirs
        for their, our in zip(wire.requests[:2], wire.requests[2:], strict=True):
            assert (our.method, our.target) == (their.method, their.target)
            for name in ("content-type", "x-mns-version", "security-token", "host"):
                assert our.headers.get(name) == their.headers.get(name)
            # Ours of theirs: the same bytes signed give the same signature.
            assert (
                sign(their.method, their.target, their.headers, credentials) == their.headers["authorization"]
            )
        assert [node.text for node in parse_xml(wire.requests[1].body)] == ["H-1", "H-2"]
        assert [re.sub(r"\{.*\}", "", node.tag) for node in parse_xml(wire.requests[3].body)] == [
            "ReceiptHandle"
        ] * 2


class TestReceive:
    async def test_messages(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, messages('{"a": "<影片> & more"}', ""))
        received = await client(session, wire).receive("done")
        assert [replace(message, age=0.0, visible_in=0.0) for message in received] == [
            Message("M-1", "H-1", '{"a": "<影片> & more"}'.encode(), 1),
            Message("M-2", "H-2", b"", 2),
        ]
        assert wire.requests[0].target == "/queues/done/messages?numOfMessages=16&waitseconds=30"

    @pytest.mark.parametrize(
        ("date", "published", "visible", "expected"),
        [
            # The clock of the service, not that of this machine.
            ("Fri, 02 Jan 2026 03:04:05 GMT", "1767323035000", "1767323075500", (10.0, 30.5)),
            ("Fri, 02 Jan 2026 03:04:05 GMT", "1767323099000", "1767323000000", (0.0, 0.0)),
            ("yesterday", "1767323035000", "1767323075500", (0.0, 0.0)),
            ("Fri, 02 Jan 2026 03:04:05 GMT", "9" * 40, "-5", (0.0, 0.0)),
        ],
    )
    async def test_times(
        self,
        session: aiohttp.ClientSession,
        wire: Wire,
        date: str,
        published: str,
        visible: str,
        expected: tuple[float, float],
    ) -> None:
        wire.answer(
            200,
            "<Messages><Message><MessageId>M</MessageId><ReceiptHandle>H</ReceiptHandle><MessageBody/>"
            f"<EnqueueTime>{published}</EnqueueTime><NextVisibleTime>{visible}</NextVisibleTime>"
            "</Message></Messages>",
            Date=date,
        )
        (received,) = await client(session, wire).receive("done")
        assert (received.age, received.visible_in) == expected

    async def test_empty_queue(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(404, NOTHING)
        assert await client(session, wire).receive("done") == []

    async def test_a_body_may_speak_of_doctypes(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        """One foreign message must not block the queue."""
        wire.answer(
            200,
            "<Messages><Message><MessageId>M</MessageId><ReceiptHandle>H</ReceiptHandle>"
            "<MessageBody><![CDATA[<!DOCTYPE html>]]></MessageBody><DequeueCount>x</DequeueCount>"
            "</Message></Messages>",
        )
        assert await client(session, wire).receive("done") == [Message("M", "H", b"<!DOCTYPE html>", 1)]

    async def test_waiting_is_not_a_timeout(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, messages("x"), fault="hang")
        smq = client(session, wire, timeout=0.05)
        receiving = asyncio.create_task(smq.receive("done", wait=1))
        await asyncio.sleep(0.2)
        assert not receiving.done()
        wire.released.set()
        assert len(await receiving) == 1

    async def test_timeout(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, messages("x"), fault="hang")
        with pytest.raises(OSSUnavailableError, match=r"within 0.05 s"):
            await client(session, wire, timeout=0.05).receive("done", wait=0)

    @pytest.mark.parametrize("fault", ["cut", "drop"])
    async def test_lost_answer(self, session: aiohttp.ClientSession, wire: Wire, fault: Fault) -> None:
        for _ in range(2):  # aiohttp repeats a GET once when a kept connection breaks
            wire.answer(200, messages("x"), fault=fault)
        with pytest.raises(OSSUnavailableError, match=r"BatchReceiveMessage: .*\(for queue done"):
            await client(session, wire).receive("done")

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "{}",
            "<html/>",
            "<Messages>",
            "<Messages><Message/></Messages>",
            b"\xff\xfe\x00",
            messages("x")[:-20],
        ],
    )
    async def test_success_that_is_none(self, session: aiohttp.ClientSession, wire: Wire, body: Any) -> None:
        wire.answer(200, body)
        with pytest.raises(OSSUnavailableError):
            await client(session, wire).receive("done")

    async def test_bomb(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        levels = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
        wire.answer(200, f'<!DOCTYPE Messages [<!ENTITY l0 "lol">{levels}]><Messages>&l11;</Messages>')
        started = time.monotonic()
        with pytest.raises(OSSUnavailableError):
            await client(session, wire).receive("done")
        assert time.monotonic() - started < 2

    async def test_one_request_no_retry(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(503, error_body("InternalError"))
        with pytest.raises(OSSUnavailableError):
            await client(session, wire).receive("done")
        assert len(wire.requests) == 1


class TestDelete:
    async def test_nothing_to_do(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        assert await client(session, wire).delete("done", []) == []
        assert wire.requests == []

    async def test_sixteen_to_a_request(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        for _ in range(3):
            wire.answer(204)
        handles = [f"H-{i}" for i in range(33)]
        assert await client(session, wire).delete("done", handles) == []
        sent = [[node.text for node in parse_xml(asked.body)] for asked in wire.requests]
        assert [len(batch) for batch in sent] == [16, 16, 1]
        assert [handle for batch in sent for handle in batch] == handles

    async def test_stale_handles(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(
            404,
            '<Errors xmlns="http://mns.aliyuncs.com/doc/v1/"><Error><ErrorCode>MessageNotExist</ErrorCode>'
            "<ErrorMessage>gone</ErrorMessage><ReceiptHandle>H-1</ReceiptHandle></Error></Errors>",
        )
        wire.answer(204)
        handles = [f"H-{i}" for i in range(17)]
        assert await client(session, wire).delete("done", handles) == ["H-1"]
        assert len(wire.requests) == 2

    async def test_refused(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(404, error_body("QueueNotExist"))
        with pytest.raises(OSSServiceError, match=r"Check queue and topic.*\(for queue done"):
            await client(session, wire).delete("done", ["H-1"])


class TestChangeVisibility:
    @SIGNERS
    async def test_as_the_official_client_does(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials
    ) -> None:
        answer = (
            '<ChangeVisibility xmlns="http://mns.aliyuncs.com/doc/v1/"><ReceiptHandle>H-2</ReceiptHandle>'
            "<NextVisibleTime>1767323075500</NextVisibleTime></ChangeVisibility>"
        )
        wire.answer(200, answer)
        wire.answer(200, answer)
        keys = (credentials.access_key_id, credentials.access_key_secret, credentials.security_token or "")
        handle = "1-ODU4OTkzNDU5My0xNDM1MTk3NjAwLTItNg=="

        def official() -> str:
            queue = Account(f"http://{wire.host}", *keys).get_queue("done")
            return str(queue.change_message_visibility(handle, 60).receipt_handle)

        theirs = await asyncio.to_thread(official)
        assert (
            await client(session, wire, credentials).change_visibility("done", handle, 60) == theirs == "H-2"
        )
        their, our = wire.requests
        assert (our.method, our.target) == (their.method, their.target)
        assert_signed_as_the_sdk_would(our, credentials)

    @pytest.mark.parametrize(("seconds", "sent"), [(0, 1), (-5, 1), (10**6, 43_200)])
    async def test_range(self, session: aiohttp.ClientSession, wire: Wire, seconds: int, sent: int) -> None:
        wire.answer(200, "<ChangeVisibility><ReceiptHandle>H-2</ReceiptHandle></ChangeVisibility>")
        assert await client(session, wire).change_visibility("done", "a b&c", seconds) == "H-2"
        assert wire.requests[0].query == {"ReceiptHandle": ["a b&c"], "VisibilityTimeout": [str(sent)]}

    @pytest.mark.parametrize(("status", "code"), [(400, "ReceiptHandleError"), (404, "MessageNotExist")])
    async def test_stale_handle(
        self, session: aiohttp.ClientSession, wire: Wire, status: int, code: str
    ) -> None:
        wire.answer(status, error_body(code))
        assert await client(session, wire).change_visibility("done", "H-1", 60) is None

    async def test_refused(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(403, error_body("AccessDenied"))
        with pytest.raises(OSSServiceError, match="Grant mns:ChangeMessageVisibility"):
            await client(session, wire).change_visibility("done", "H-1", 60)

    async def test_success_that_is_none(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, "<ChangeVisibility/>")
        with pytest.raises(OSSUnavailableError):
            await client(session, wire).change_visibility("done", "H-1", 60)


class TestRefusals:
    async def refuse(
        self, session: aiohttp.ClientSession, wire: Wire, status: int, code: str, message: str = "no"
    ) -> OSSServiceError:
        wire.answer(status, error_body(code, message))
        with pytest.raises(OSSServiceError) as caught:
            await client(session, wire, ROLE).receive("done", wait=0)
        error = caught.value
        assert (error.service, error.action, error.status) == ("SMQ", "BatchReceiveMessage", status)
        assert (error.code, error.request_id) == (code, "R-9")
        for part in ("queue done", wire.host, code, "R-9", str(status)):
            assert part in str(error)
        return error

    async def test_missing_right(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        error = await self.refuse(session, wire, 403, "AccessDenied")
        assert type(error) is OSSServiceError
        assert "mns:BatchReceiveMessage" in str(error)
        assert "STS.role" in str(error)

    @pytest.mark.parametrize(
        ("status", "code", "advice"),
        [
            (404, "QueueNotExist", "Check queue and topic"),
            (403, "InvalidAccessKeyId", "Check the AccessKey ID"),
            (403, "SignatureDoesNotMatch", "Check the AccessKey secret"),
            (408, "TimeExpired", "clock"),
            (400, "InvalidDateHeader", "clock"),
        ],
    )
    async def test_advice(
        self, session: aiohttp.ClientSession, wire: Wire, status: int, code: str, advice: str
    ) -> None:
        error = await self.refuse(session, wire, status, code)
        assert type(error) is OSSServiceError
        assert advice in str(error)
        assert "Grant" not in str(error)

    async def test_throttled(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        assert type(await self.refuse(session, wire, 429, "TooManyRequests")) is OSSThrottledError

    async def test_server_trouble(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        assert type(await self.refuse(session, wire, 500, "InternalServerError")) is OSSUnavailableError

    async def test_secrets_that_the_service_repeats_are_left_out(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        error = await self.refuse(
            session, wire, 403, "SignatureDoesNotMatch", f"{ROLE.security_token} was sent"
        )
        assert str(ROLE.security_token) not in str(error) + error.detail
        assert "*** was sent" in str(error)

    @pytest.mark.parametrize("body", ["", "<html>no</html>", "plain text"])
    async def test_somebody_else_answers(self, session: aiohttp.ClientSession, wire: Wire, body: Any) -> None:
        wire.answer(403, body)
        with pytest.raises(OSSUnavailableError, match="403"):
            await client(session, wire).receive("done", wait=0)

    async def test_request_id_of_the_header(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(400, "<Error><Code>InvalidArgument</Code></Error>", x_mns_request_id="R-header")
        with pytest.raises(OSSServiceError) as caught:
            await client(session, wire).receive("done")
        assert caught.value.request_id == "R-header"


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("1234567890.mns.cn-hangzhou.aliyuncs.com", "https://1234567890.mns.cn-hangzhou.aliyuncs.com"),
        (
            "1234567890.mns.cn-hangzhou-internal.aliyuncs.com/",
            "http://1234567890.mns.cn-hangzhou-internal.aliyuncs.com",
        ),
        ("https://host:8443/", "https://host:8443"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
async def test_endpoints(session: aiohttp.ClientSession, endpoint: Any, url: str) -> None:
    async def source() -> Credentials:
        return USER

    assert str(SMQClient(session, endpoint, source)._endpoint) == url


async def test_endpoint_that_is_none(session: aiohttp.ClientSession) -> None:
    async def source() -> Credentials:
        return USER

    with pytest.raises(OSSConnectionError, match="SMQ endpoint"):
        SMQClient(session, "not an endpoint", source)
