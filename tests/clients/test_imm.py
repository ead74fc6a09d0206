from __future__ import annotations

import asyncio
import json
import re
import socket
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from alibabacloud_imm20200930.client import Client
from alibabacloud_imm20200930.models import ListTasksRequest, TimeRange
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.clients.acs3 import encode_query, sign
from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.errors import is_task_not_found, missing_resource
from airflow_provider_oss_async.clients.imm import IMMClient, TaskInfo
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)

if TYPE_CHECKING:
    import aiohttp

    from tests.support.wire import Fault, Request, Wire

USER = Credentials("LTAI-user", "the-secret-of-the-user")
ROLE = Credentials("STS.role", "the-secret-of-the-role", "the-token-of-the-role+/=")
SIGNERS = pytest.mark.parametrize("credentials", [USER, ROLE], ids=["ak", "sts"])

TASK = {
    "RequestId": "R-1",
    "ProjectName": "media",
    "EventId": "0ED-1Bz",
    "TaskType": "MediaConvert",
    "TaskId": "MediaConvert-1",
    "Status": "Succeeded",
    "Code": "",
    "Message": "",
    "StartTime": "2026-01-02T03:04:05.123456789Z",
    "EndTime": "2026-01-02T03:05:05.123456789Z",
    "TaskRequestDefinition": '{"Sources": []}',
}


def client(
    session: aiohttp.ClientSession, wire: Wire, credentials: Credentials = USER, **options: Any
) -> IMMClient:
    async def source() -> Credentials:
        return credentials

    return IMMClient(session, f"http://{wire.host}", source, **options)


def error_body(code: str, message: str = "no") -> str:
    return json.dumps({"RequestId": "R-9", "HostId": "imm", "Code": code, "Message": message})


def sdk_authorization(query: dict[str, str], headers: dict[str, str], credentials: Credentials) -> str:
    request = SimpleNamespace(method="POST", pathname="/", query=query, headers=headers)
    algorithm, digest = "ACS3-HMAC-SHA256", headers["x-acs-content-sha256"]
    keys = (credentials.access_key_id, credentials.access_key_secret)
    return str(Utils.get_authorization(request, algorithm, digest, *keys))


def assert_signed_as_the_sdk_would(asked: Request, credentials: Credentials) -> None:
    """What came over the wire, not what was meant, has to carry the right signature."""
    found = re.search("SignedHeaders=([^,]+)", asked.headers["authorization"])
    assert found is not None
    names = found[1].split(";")
    assert {"host", *(name for name in asked.headers if name.startswith("x-acs-"))} == set(names)
    query = {k: v[0] for k, v in parse_qs(asked.query_text, keep_blank_values=True).items()}
    headers = {name: asked.headers[name] for name in names}
    assert asked.headers["authorization"] == sdk_authorization(query, headers, credentials)


class TestSigning:
    def test_documented_vector(self) -> None:
        headers = {
            "x-acs-action": "RunInstances",
            "x-acs-version": "2014-05-26",
            "x-acs-date": "2023-10-26T10:22:32Z",
            "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        }
        query = encode_query(
            {
                "RegionId": "cn-shanghai",
                "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
            }
        )
        keys = Credentials("YourAccessKeyId", "YourAccessKeySecret")
        signed = sign("POST", "ecs.cn-shanghai.aliyuncs.com", query, headers, keys)
        assert signed["authorization"] == (
            "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
            "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
            "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
        )

    @given(
        query=st.dictionaries(
            st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))
        ),
        secret=st.text(st.characters(codec="utf-8"), min_size=1),
        token=st.none() | st.text("ABCxyz019+/=", min_size=1),
    )
    def test_any_query_is_signed_as_the_sdk_does(
        self, query: dict[str, str], secret: str, token: str
    ) -> None:
        keys = Credentials("LTAI", secret, token)
        signed = sign(
            "POST", "imm.cn-hangzhou.aliyuncs.com", encode_query(query), {"x-acs-action": "A"}, keys
        )
        authorization = signed.pop("authorization")
        # The SDK leaves the names as they are, which would not survive a URL; it never meets such names.
        plain = {re.sub("[^A-Za-z0-9]", "", k): v for k, v in query.items()}
        if plain.keys() == query.keys():
            assert authorization == sdk_authorization(query, signed, keys)

    @SIGNERS
    @pytest.mark.parametrize(
        "name", ["media", "影音-專案", "a b&c=d/e?f#g%20+~*'()!", "Ünïcode 😀", "x" * 500]
    )
    async def test_request_on_the_wire(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials, name: str
    ) -> None:
        wire.answer(200, json.dumps({**TASK, "TaskId": name}))
        await client(session, wire, credentials).get_task(name, "MediaConvert", name)
        (asked,) = wire.requests
        assert asked.method == "POST"
        assert asked.body == b""
        assert parse_qs(asked.query_text) == {
            "ProjectName": [name],
            "TaskType": ["MediaConvert"],
            "TaskId": [name],
        }
        # Not encoded anew on the way: a server that signs the query as it came must agree too.
        assert asked.query_text == encode_query(
            {"ProjectName": name, "TaskType": "MediaConvert", "TaskId": name}
        )
        assert asked.headers["x-acs-action"] == "GetTask"
        assert asked.headers["x-acs-version"] == "2020-09-30"
        assert asked.headers.get("x-acs-security-token") == credentials.security_token
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", asked.headers["x-acs-date"])
        assert_signed_as_the_sdk_would(asked, credentials)

    @SIGNERS
    async def test_official_client_sends_the_same(
        self, session: aiohttp.ClientSession, wire: Wire, credentials: Credentials
    ) -> None:
        """The same question from the official client: same parameters, and a signature we arrive at too."""
        wire.answer(200, json.dumps({"Tasks": [], "RequestId": "R"}))
        wire.answer(200, json.dumps({"Tasks": [], "RequestId": "R"}))
        sdk = Client(
            Config(
                access_key_id=credentials.access_key_id,
                access_key_secret=credentials.access_key_secret,
                security_token=credentials.security_token,
                endpoint=wire.host,
                protocol="HTTP",
            )
        )
        request = ListTasksRequest(
            project_name="影音 & more",
            task_types=["MediaConvert", "OfficeConversion"],
            start_time_range=TimeRange(start="2026-01-02T03:04:05.000Z", end="2026-01-02T04:04:05.000Z"),
            status="Running",
            sort="StartTime",
            order="asc",
            max_results=100,
            next_token="a+b/c==",
        )
        await asyncio.to_thread(sdk.list_tasks, request)
        start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        await client(session, wire, credentials).list_tasks(
            "影音 & more",
            task_types=["MediaConvert", "OfficeConversion"],
            start=start,
            end=(start + timedelta(hours=1)).astimezone(timezone(timedelta(hours=8))),
            status="Running",
            next_token="a+b/c==",
        )
        theirs, ours = wire.requests

        def normal(query: str) -> dict[str, object]:
            values = {k: v[0] for k, v in parse_qs(query).items()}
            return {k: json.loads(v) if v[0] in "[{" else v for k, v in values.items()}

        assert normal(ours.query_text) == normal(theirs.query_text)
        found = re.search("SignedHeaders=([^,]+)", theirs.headers["authorization"])
        assert found is not None
        again = sign(
            "POST",
            wire.host,
            encode_query({k: v[0] for k, v in parse_qs(theirs.query_text).items()}),
            {name: theirs.headers[name] for name in found[1].split(";")},
            credentials,
        )
        assert again["authorization"] == theirs.headers["authorization"]

    async def test_every_request_is_new_and_asks_for_credentials(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        given_out = [USER, ROLE]

        async def source() -> Credentials:
            return given_out.pop(0)

        for _ in range(2):
            wire.answer(200, json.dumps({**TASK, "TaskId": "i"}))
        imm = IMMClient(session, f"http://{wire.host}", source)
        await imm.get_task("p", "t", "i")
        await imm.get_task("p", "t", "i")
        first, second = wire.requests
        assert "LTAI-user" in first.headers["authorization"]
        assert "STS.role" in second.headers["authorization"]
        assert first.headers["x-acs-signature-nonce"] != second.headers["x-acs-signature-nonce"]


class TestAnswers:
    async def test_task(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, json.dumps(TASK))
        assert await client(session, wire).get_task("media", "MediaConvert", "MediaConvert-1") == TaskInfo(
            task_id="MediaConvert-1",
            task_type="MediaConvert",
            status="Succeeded",
            start_time="2026-01-02T03:04:05.123456789Z",
            end_time="2026-01-02T03:05:05.123456789Z",
            event_id="0ED-1Bz",
            definition='{"Sources": []}',
        )

    @pytest.mark.parametrize("other", ["MediaConvert-2", "", None, 7, ["MediaConvert-1"]])
    async def test_an_answer_about_another_task_is_not_believed(
        self, session: aiohttp.ClientSession, wire: Wire, other: Any
    ) -> None:
        wire.answer(200, json.dumps({**TASK, "TaskId": other}))
        with pytest.raises(OSSUnavailableError, match="about another task"):
            await client(session, wire).get_task("media", "MediaConvert", "MediaConvert-1")

    async def test_the_message_of_a_job_is_cut_and_has_no_control_characters(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        told = "no\n\x00\ud800 //user:word@proxy/ " + "x" * 100_000
        wire.answer(200, json.dumps({"Status": "Failed", "Code": "C" * 9999, "Message": told}))
        task = await client(session, wire).get_task("media", "MediaConvert", "T-1")
        assert task.message.startswith("no ? //***@proxy/ xxx")
        assert (len(task.message), len(task.code)) == (800, 200)

    async def test_other_texts_of_an_answer_are_cut_too(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        told = {
            "Status": "Succeeded",
            "EndTime": "9" * 99_999,
            "StartTime": "9" * 99_999,
            "EventId": "e" * 9999,
        }
        wire.answer(200, json.dumps(told))
        task = await client(session, wire).get_task("media", "MediaConvert", "T-1")
        assert {len(task.end_time), len(task.start_time), len(task.event_id)} == {200}

    async def test_failed_task_is_not_a_failed_request(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        wire.answer(
            200, json.dumps({"Status": "Failed", "Code": "ResourceNotFound", "Message": "gone", "Tags": None})
        )
        task = await client(session, wire).get_task("media", "MediaConvert", "MediaConvert-1")
        assert (task.task_id, task.task_type) == ("MediaConvert-1", "MediaConvert")
        assert (task.status, task.code, task.message) == ("Failed", "ResourceNotFound", "gone")

    async def test_list(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(
            200, json.dumps({"Tasks": [TASK, {**TASK, "TaskId": "MediaConvert-2"}], "NextToken": "more"})
        )
        tasks, token = await client(session, wire).list_tasks("media", definition=True, max_results=2)
        assert [task.task_id for task in tasks] == ["MediaConvert-1", "MediaConvert-2"]
        assert token == "more"
        assert parse_qs(wire.requests[0].query_text) == {
            "ProjectName": ["media"],
            "Sort": ["StartTime"],
            "Order": ["asc"],
            "MaxResults": ["2"],
            "RequestDefinition": ["true"],
        }

    @pytest.mark.parametrize("body", ["{}", '{"Tasks": null, "NextToken": ""}', '{"Tasks": []}'])
    async def test_empty_list(self, session: aiohttp.ClientSession, wire: Wire, body: Any) -> None:
        wire.answer(200, body)
        assert await client(session, wire).list_tasks("media") == ([], None)

    async def test_one_sided_time_range(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, "{}")
        await client(session, wire).list_tasks("media", start=datetime(2026, 1, 2, tzinfo=UTC))
        (text,) = parse_qs(wire.requests[0].query_text)["StartTimeRange"]
        assert json.loads(text) == {"Start": "2026-01-02T00:00:00.000Z"}

    async def test_time_without_zone_is_refused(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        with pytest.raises(ValueError, match="time zone"):
            await client(session, wire).list_tasks("media", end=datetime(2026, 1, 2))
        assert wire.requests == []

    async def test_bucket_project(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, '{"ProjectName": "media", "Description": ""}')
        assert await client(session, wire).get_bucket_project("videos") == "media"
        assert wire.requests[0].headers["x-acs-action"] == "GetOSSBucketAttachment"
        assert wire.requests[0].query_text == "OSSBucket=videos"

    async def test_attached_buckets(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        imm = client(session, wire)
        wire.answer(200, '{"AttachedOSSBuckets": [{"OSSBucket": "videos"}, null], "NextToken": "more"}')
        assert await imm.list_attached_buckets("media") == (["videos"], "more")
        wire.answer(200, '{"AttachedOSSBuckets": null}')
        assert await imm.list_attached_buckets("media", next_token="more") == ([], None)
        assert parse_qs(wire.requests[1].query_text)["NextToken"] == ["more"]
        wire.answer(200, '{"AttachedOSSBuckets": {}}')
        with pytest.raises(OSSUnavailableError, match="no list of buckets"):
            await imm.list_attached_buckets("media")

    async def test_watermark(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, json.dumps({"Status": "Succeeded", "Content": "版權所有"}))
        assert await client(session, wire).get_watermark("media", "W-1") == "版權所有"
        assert parse_qs(wire.requests[0].query_text)["TaskType"] == ["DecodeBlindWatermark"]

    @pytest.mark.parametrize(
        "body",
        ["", "null", "[]", "<html>", '{"Status": 1}', "{}", b"\xff\xfe{", b"[" * 200_000],
        ids=["empty", "null", "list", "html", "number", "no status", "not utf-8", "deep"],
    )
    async def test_success_that_is_none(self, session: aiohttp.ClientSession, wire: Wire, body: Any) -> None:
        wire.answer(200, body)
        with pytest.raises(OSSUnavailableError, match="task T-1"):
            await client(session, wire).get_task("media", "MediaConvert", "T-1")

    @pytest.mark.parametrize(
        "body", ['{"Tasks": {}}', '{"Tasks": [1]}', '{"Tasks": [{"TaskId": "x"}]}', '{"Tasks": "x"}']
    )
    async def test_list_that_is_none(self, session: aiohttp.ClientSession, wire: Wire, body: Any) -> None:
        wire.answer(200, body)
        if body == '{"Tasks": {}}':  # as good as nothing
            assert await client(session, wire).list_tasks("media") == ([], None)
            return
        with pytest.raises(OSSUnavailableError):
            await client(session, wire).list_tasks("media")

    async def test_attachment_without_project(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, "{}")
        with pytest.raises(OSSUnavailableError, match="names no project"):
            await client(session, wire).get_bucket_project("videos")


class TestRefusals:
    async def refuse(
        self,
        session: aiohttp.ClientSession,
        wire: Wire,
        status: int,
        code: str,
        message: str = "no",
        **headers: Any,
    ) -> OSSServiceError:
        wire.answer(status, error_body(code, message), **headers)
        with pytest.raises(OSSServiceError) as caught:
            await client(session, wire).get_task("media", "MediaConvert", "T-1")
        error = caught.value
        assert (error.service, error.action, error.status, error.code) == ("IMM", "GetTask", status, code)
        assert error.request_id == "R-9"
        assert error.detail == message
        for part in ("T-1", "media", code, message.rstrip("."), "R-9", str(status)):
            assert part in str(error)
        return error

    @pytest.mark.parametrize(
        ("code", "message", "kind"),
        [
            ("ResourceNotFound", "The specified resource Task is not found.", "task"),
            ("ResourceNotFound", "The specified resource Task: project/media/T-1 is not found.", "task"),
            ("ResourceNotFound.Task", "not found", "task"),
            ("ResourceNotFound", "The specified resource Project is not found.", "project"),
            ("ResourceNotFound", "The specified resource project my-task is not found.", "project"),
            ("ResourceNotFound", "The specified resource Attachment is not found.", "attachment"),
            ("ResourceNotFound", "The specified resource Dataset is not found.", None),
            ("ResourceNotFoundElse", "Task", None),
            ("InvalidArgument", "The Task is not found.", None),
        ],
    )
    async def test_what_is_missing(
        self, session: aiohttp.ClientSession, wire: Wire, code: str, message: str, kind: Any
    ) -> None:
        error = await self.refuse(session, wire, 400, code, message)
        assert type(error) is OSSServiceError
        assert missing_resource(error) == kind
        assert is_task_not_found(error) is (kind == "task")

    def test_other_services_miss_other_things(self) -> None:
        error = OSSServiceError("", service="OSS", action="Get", code="ResourceNotFound", detail="Task")
        assert not is_task_not_found(error)

    async def test_project_advice(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        error = await self.refuse(
            session, wire, 400, "ResourceNotFound", "Specified resource Project is not found."
        )
        assert error.advice == "Check the IMM project and the region: no such project is there."
        assert error.advice in str(error)

    async def test_unbound_bucket(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(400, error_body("ResourceNotFound", "The specified resource Attachment is not found."))
        with pytest.raises(OSSServiceError, match=r"Bind the bucket to an IMM project.*\(for bucket videos"):
            await client(session, wire).get_bucket_project("videos")

    async def test_missing_right(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        error = await self.refuse(session, wire, 403, "NoPermission", "You are not authorized.")
        assert type(error) is OSSServiceError
        assert "Grant imm:GetTask to the caller (AccessKey ID LTAI-user)" in str(error)

    @pytest.mark.parametrize(
        ("status", "code", "advice"),
        [
            (404, "InvalidAccessKeyId.NotFound", "Check the AccessKey ID"),
            (403, "InvalidAccessKeyId.Inactive", "Check the AccessKey ID"),
            (400, "SignatureDoesNotMatch", "Check the AccessKey secret"),
            (400, "InvalidSecurityToken.Expired", "expired"),
            (400, "InvalidTimeStamp.Expired", "clock"),
        ],
    )
    async def test_signature_trouble_is_not_called_a_missing_right(
        self, session: aiohttp.ClientSession, wire: Wire, status: int, code: str, advice: str
    ) -> None:
        error = await self.refuse(session, wire, status, code)
        assert advice in str(error)
        assert "Grant" not in str(error)

    @pytest.mark.parametrize(
        ("status", "code", "headers", "seconds"),
        [
            (400, "Throttling.User", {}, None),
            (400, "Throttling", {"x_acs_retry_after": "1500"}, 1.5),
            (429, "TooMany", {"x_acs_retry_after": "nonsense"}, None),
            (503, "ServiceUnavailable", {"x_acs_retry_after": "20"}, 0.02),
            (400, "Throttling.Api", {"x_acs_retry_after": "0"}, None),
            (400, "Throttling.Api", {"x_acs_retry_after": "-5"}, None),
            (400, "Throttling.Api", {"x_acs_retry_after": "9" * 5000}, None),
        ],
    )
    async def test_throttled(
        self,
        session: aiohttp.ClientSession,
        wire: Wire,
        status: int,
        code: str,
        headers: dict[str, Any],
        seconds: Any,
    ) -> None:
        error = await self.refuse(session, wire, status, code, **headers)
        assert type(error) is OSSThrottledError
        assert error.retry_after == seconds

    async def test_throttled_without_a_body(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(429)
        with pytest.raises(OSSThrottledError, match="429"):
            await client(session, wire).get_task("media", "MediaConvert", "T-1")

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    async def test_server_trouble(self, session: aiohttp.ClientSession, wire: Wire, status: int) -> None:
        assert type(await self.refuse(session, wire, status, "InternalError")) is OSSUnavailableError

    @pytest.mark.parametrize("status", [302, 400, 403, 407, 502])
    async def test_somebody_else_answers(
        self, session: aiohttp.ClientSession, wire: Wire, status: int
    ) -> None:
        wire.answer(status, "<html>the firewall says no</html>", location="http://127.0.0.1:1/")
        with pytest.raises(OSSUnavailableError, match=str(status)) as caught:
            await client(session, wire).get_task("media", "MediaConvert", "T-1")
        assert caught.value.status == status
        assert len(wire.requests) == 1

    async def test_request_id_of_the_header(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(400, '{"Code": "InvalidArgument"}', x_acs_request_id="R-header")
        with pytest.raises(OSSServiceError) as caught:
            await client(session, wire).get_task("media", "MediaConvert", "T-1")
        assert caught.value.request_id == "R-header"

    async def test_secrets_that_the_service_repeats_are_left_out(
        self, session: aiohttp.ClientSession, wire: Wire
    ) -> None:
        told = (
            f"server string to sign is: x-acs-security-token:{ROLE.security_token} {ROLE.access_key_secret}"
        )
        wire.answer(400, error_body("SignatureDoesNotMatch", told))
        with pytest.raises(OSSServiceError) as caught:
            await client(session, wire, ROLE).get_task("media", "MediaConvert", "T-1")
        for text in (
            str(caught.value),
            repr(caught.value),
            caught.value.detail,
            repr(caught.value.__reduce__()),
        ):
            assert ROLE.access_key_secret not in text
            assert str(ROLE.security_token) not in text
        assert "***" in caught.value.detail


class TestTrouble:
    async def test_timeout(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, "{}", fault="hang")
        with pytest.raises(OSSUnavailableError, match=r"no answer from 127.0.0.1 within 0.05 s") as caught:
            await client(session, wire, timeout=0.05).get_task("media", "MediaConvert", "T-1")
        assert caught.value.status is None

    @pytest.mark.parametrize("fault", ["cut", "drop"])
    async def test_lost_answer(self, session: aiohttp.ClientSession, wire: Wire, fault: Fault) -> None:
        wire.answer(200, json.dumps(TASK), fault=fault)
        with pytest.raises(OSSUnavailableError, match=r"GetTask: .*\(for task T-1"):
            await client(session, wire).get_task("media", "MediaConvert", "T-1")

    async def test_nobody_there(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            wire.host = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(OSSUnavailableError, match="ClientConnectorError"):
            await client(session, wire).get_task("media", "MediaConvert", "T-1")

    async def test_cancellation_is_not_an_error(self, session: aiohttp.ClientSession, wire: Wire) -> None:
        wire.answer(200, "{}", fault="hang")
        asking = asyncio.create_task(client(session, wire).get_task("media", "MediaConvert", "T-1"))
        await wire.arrived()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    async def test_password_of_the_proxy_is_left_out(self, session: aiohttp.ClientSession) -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        async def source() -> Credentials:
            return USER

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        imm = IMMClient(
            session,
            "imm.cn-hangzhou.aliyuncs.com",
            source,
            proxy=f"http://someone:pass@word-of-proxy@127.0.0.1:{port}",
        )
        async with server:
            with pytest.raises(OSSUnavailableError, match="407") as caught:
                await imm.get_task("media", "MediaConvert", "T-1")
        assert "word-of-proxy" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "endpoint", ["", "https://", "ftp://host", "host/path", "user@host", "a b", "host?x=1"]
)
async def test_endpoint_that_is_none(session: aiohttp.ClientSession, endpoint: Any) -> None:
    async def source() -> Credentials:
        return USER

    with pytest.raises(OSSConnectionError, match="IMM endpoint"):
        IMMClient(session, endpoint, source)


def test_credentials_keep_their_secrets() -> None:
    assert repr(ROLE) == "Credentials(access_key_id='STS.role')"
