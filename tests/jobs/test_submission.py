from __future__ import annotations

import asyncio
import json
import pickle
import socket
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.clients.oss import OSSClient
from airflow_provider_oss_async.clients.retry import Backoff
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSSubmitNotSentError,
    OSSSubmitRefusedError,
    OSSSubmitUncertainError,
    ProcessError,
)
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.jobs.submission import (
    ATTEMPTS,
    INTENT_ATTEMPTS,
    JobRequest,
    build_request,
    submit,
    submit_attempt,
)
from airflow_provider_oss_async.process import (
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    Style,
    VideoConvert,
    parse_process,
)
from tests.support.services import wire_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_oss_async.clients.credentials import Credentials
    from airflow_provider_oss_async.jobs.job import OSSJob
    from tests.support.wire import Wire

SOURCE = ObjectURI("media", "in.mov")
TARGET = ObjectURI("media", "out.mp4")
ANSWER = '{"EventId": "E", "RequestId": "R", "TaskId": "MediaConvert-1"}'


SHORT = Backoff(0.01, 0.04, 2.0)


def request(source: ObjectURI = SOURCE) -> JobRequest:
    return build_request(VideoConvert(container="mp4"), source, TARGET)


async def send(
    settings: Any,
    submission: JobRequest | None = None,
    timeout: float = 5.0,
    backoff: Backoff = SHORT,
) -> OSSJob:
    async with open_services(settings) as services:
        return await submit(services.oss, submission or request(), timeout=timeout, backoff=backoff)


@asynccontextmanager
async def raw_server(answer: bytes, *, wait: float = 0.0) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer every connection's first request with these bytes, and hang up."""
    requests: list[bytes] = []
    handling: set[asyncio.Task[None] | None] = set()
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.current_task())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.splitlines()
            if line.lower().startswith(b"content-length")
        )
        requests.append(await reader.readexactly(length))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), wait)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
    finally:
        server.close()
        ended.set()
        await asyncio.gather(*(task for task in handling if task is not None), return_exceptions=True)


def http(status: str, body: str, content_type: str = "application/json") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nx-oss-request-id: REQ\r\n"
        "Date: Tue, 24 Nov 2026 01:00:00 GMT\r\n"
        f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n{body}"
    ).encode()


async def test_an_accepted_job_is_known_by_all_its_ids(stand: Any) -> None:
    submission = replace(request(), region="cn-hangzhou", imm_project="local-project")
    job = await send(stand.settings(), submission)
    (accepted,) = stand.accepted()
    assert (job.task_id, job.source, job.target) == (
        accepted["task_id"],
        "oss://media/in.mov",
        "oss://media/out.mp4",
    )
    assert (job.task_type, job.region, job.imm_project) == ("MediaConvert", "cn-hangzhou", "local-project")
    assert job.event_id
    assert job.request_id
    assert job.process == accepted["process"]
    assert job.submitted_at.endswith("+00:00")


@pytest.mark.parametrize(
    ("fault", "source", "status", "code", "advice"),
    [
        ({}, ObjectURI("loose", "in.mov"), 404, "Imm Client", "Bind the bucket to an IMM project"),
        ({}, ObjectURI("media", "none.mov"), 404, "NoSuchKey", "Check the object's key"),
        ({}, ObjectURI("nowhere", "in.mov"), 404, "NoSuchBucket", "Check the bucket's name"),
        ({"status": 403, "code": "AccessDenied"}, SOURCE, 403, "AccessDenied", "oss:PostProcessTask"),
        ({"status": 400, "code": "Strange"}, SOURCE, 400, "Strange", ""),
    ],
)
async def test_what_the_service_refuses_is_not_a_job(
    start_stand: Callable[..., Any],
    fault: dict[str, Any],
    source: ObjectURI,
    status: int,
    code: str,
    advice: str,
) -> None:
    stand = start_stand(buckets={"media": "local-project", "loose": None})
    stand.put("in.mov")
    stand.put("in.mov", bucket="loose")
    if fault:
        stand.service.add_fault("refuse", match="OSS:AsyncProcessObject", message="No.", **fault)
    with pytest.raises(OSSSubmitRefusedError) as caught:
        await send(stand.settings(), request(source))
    error = caught.value
    assert (error.status, error.code, error.service, error.action) == (
        status,
        code,
        "OSS",
        "AsyncProcessObject",
    )
    assert error.request_id
    for part in (code, error.request_id, error.detail, f"HTTP {status}", str(source), advice):
        assert part in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    assert stand.accepted() == []
    assert stand.requests("OSS:AsyncProcessObject") == 1


async def test_the_detail_code_of_a_refusal_is_kept(stand: Any) -> None:
    body = (
        "<Error><Code>AccessDenied</Code><Message>no</Message><RequestId>R7</RequestId>"
        "<EC>0003-00000001</EC></Error>"
    )
    async with raw_server(http("403 Forbidden", body, "application/xml")) as (url, asked):
        with pytest.raises(OSSSubmitRefusedError) as caught:
            await send(stand.settings(host=url))
    assert (caught.value.ec, caught.value.request_id) == ("0003-00000001", "R7")
    assert "EC 0003-00000001" in str(caught.value)
    assert len(asked) == 1


async def test_a_refused_connection_is_tried_again_but_not_for_ever(stand: Any) -> None:
    attempts: list[float] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: a connection is refused
        settings = stand.settings(host=f"http://127.0.0.1:{taken.getsockname()[1]}")
        async with open_services(settings) as services:
            with pytest.raises(OSSSubmitNotSentError, match="nothing was submitted") as caught:
                await submit(
                    services.oss,
                    request(),
                    backoff=Backoff(0.05, 0.2, 2.0),
                    before_attempt=lambda: attempts.append(time.monotonic()),
                )
    assert caught.value.status is None
    assert len(attempts) == ATTEMPTS
    gaps = [later - earlier for earlier, later in pairwise(attempts)]
    # 0.05, 0.1, 0.2 s, each times 0.5 to 1.5.
    assert all(gap > least for gap, least in zip(gaps, (0.025, 0.05, 0.1), strict=True))
    assert stand.accepted() == []


async def test_a_service_that_comes_up_again_gets_the_job_once(stand: Any) -> None:
    settings = stand.settings()
    stand.service.stop()
    sending = asyncio.create_task(send(settings, backoff=Backoff(0.5, 5.0, 2.0)))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(stand.restart)
    job = await sending
    assert [line["task_id"] for line in stand.accepted()] == [job.task_id]


@pytest.mark.parametrize("status", ["301 Moved", "307 Temporary Redirect"])
async def test_a_redirection_is_not_followed_and_is_no_job(stand: Any, status: str) -> None:
    body = "<Error><Code>Redirect</Code><Message>elsewhere</Message></Error>"
    elsewhere = http(status, body, "application/xml").replace(
        b"\r\n", f"\r\nLocation: {stand.service.endpoint}/media/in.mov\r\n".encode(), 1
    )
    async with raw_server(elsewhere) as (url, asked):
        with pytest.raises(OSSSubmitRefusedError, match="HTTP 30"):
            await send(stand.settings(host=url))
    assert len(asked) == 1
    assert stand.requests("OSS:AsyncProcessObject") == 0


async def test_too_many_requests_are_asked_again(stand: Any) -> None:
    stand.service.add_fault("refuse", match="OSS:AsyncProcessObject", status=429, code="QpsLimit", times=2)
    job = await send(stand.settings())
    assert [line["task_id"] for line in stand.accepted()] == [job.task_id]


@pytest.mark.parametrize("kind", ["lose", "cut", "hang"])
async def test_a_lost_answer_is_uncertain_and_the_job_is_accepted_once(stand: Any, kind: str) -> None:
    stand.service.add_fault(kind, match="OSS:AsyncProcessObject")
    with pytest.raises(OSSSubmitUncertainError, match="The job may be running") as caught:
        await send(stand.settings(), timeout=0.5)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(stand.accepted()) == 1
    assert stand.requests("OSS:AsyncProcessObject") == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_an_error_of_the_service_is_uncertain_and_not_repeated(stand: Any, status: int) -> None:
    stand.service.add_fault("refuse", match="OSS:AsyncProcessObject", status=status, code="InternalError")
    with pytest.raises(OSSSubmitUncertainError, match="The job may be running") as caught:
        await send(stand.settings())
    assert caught.value.status == status
    assert stand.requests("OSS:AsyncProcessObject") == 1


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (http("200 OK", '{"EventId": "E", "RequestId": "R"}'), "without a task id"),
        (http("200 OK", '{"TaskId": ""}'), "without a task id"),
        (http("200 OK", "<html>portal</html>", "text/html"), ""),
        (http("200 OK", ""), ""),
        (http("200 OK", "[1]"), ""),
        (http("504 Gateway Timeout", "<html>proxy</html>", "text/html"), "504"),
        (b"", ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", ""),
        (b"gibberish\r\n\r\n", ""),
    ],
)
async def test_an_answer_that_says_nothing_is_uncertain(stand: Any, answer: bytes, part: str) -> None:
    async with raw_server(answer) as (url, asked):
        with pytest.raises(OSSSubmitUncertainError) as caught:
            await send(stand.settings(host=url))
    assert part in str(caught.value)
    assert "oss://media/in.mov" in str(caught.value)
    assert len(asked) == 1


async def test_no_answer_in_time_is_uncertain(stand: Any) -> None:
    async with raw_server(http("200 OK", ANSWER), wait=1) as (url, asked):
        with pytest.raises(OSSSubmitUncertainError, match=r"no answer within 0\.2 s"):
            await send(stand.settings(host=url), timeout=0.2)
        assert len(asked) == 1


async def test_the_read_timeout_of_the_connection_is_uncertain(stand: Any) -> None:
    async with raw_server(http("200 OK", ANSWER), wait=1) as (url, asked):
        with pytest.raises(OSSSubmitUncertainError):
            await send(stand.settings({"read_timeout": 0.2}, host=url))
        assert len(asked) == 1


async def test_cancelling_is_no_error_of_the_service(stand: Any) -> None:
    async with raw_server(b"", wait=5) as (url, asked):
        task = asyncio.create_task(send(stand.settings(host=url)))
        while not asked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("refuse", {"status": 403, "code": "AccessDenied", "message": "no"}),
        ("refuse", {"status": 500}),
        ("lose", {}),
    ],
)
async def test_the_errors_survive_pickling(stand: Any, kind: str, fields: dict[str, Any]) -> None:
    stand.service.add_fault(kind, match="OSS:AsyncProcessObject", **fields)
    with pytest.raises((OSSSubmitRefusedError, OSSSubmitUncertainError)) as caught:
        await send(stand.settings())
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)
    assert vars(again) == vars(caught.value)


async def test_no_error_shows_a_secret(stand: Any) -> None:
    for settings in (
        stand.settings(password="wrong-secret"),
        stand.settings({"security_token": "some-token"}, password="wrong-secret"),
    ):
        with pytest.raises(OSSSubmitRefusedError) as caught:
            await send(settings)
        assert "wrong-secret" not in repr(vars(caught.value)) + str(caught.value)
        assert "some-token" not in repr(vars(caught.value)) + str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "a,b/c|sys/saveas,o_YQ",
        "two words.mov",
        "日本語/ü.mov",
        "a+b.mov",
        "a%2Fb.mov",
        "a&x-oss-async=1.mov",
        "q?x#y.mov",
    ],
)
async def test_hostile_names_arrive_as_they_are(stand: Any, key: str) -> None:
    stand.put(key)
    target = ObjectURI("media", f"out/{key}.mp4")
    await send(
        stand.settings(), build_request(VideoConvert(container="mp4"), ObjectURI("media", key), target)
    )
    (accepted,) = stand.accepted()
    assert accepted["source"] == f"oss://media/{key}"
    process = parse_process(accepted["process"])
    assert process.saveas is not None
    assert process.saveas.key == target.key
    assert process.params == (("f", "mp4"),)


PLAIN = "video/convert,f_mp4"
COMPLETE = build_request(PLAIN, SOURCE, TARGET, "done").process.encode()


@pytest.mark.parametrize(
    ("process", "target", "topic", "task_type", "expected_type"),
    [
        (VideoConvert(container="mp4"), TARGET, "", "", "MediaConvert"),
        (PLAIN, TARGET, "", "", "MediaConvert"),
        (parse_process(PLAIN), TARGET, "", "", "MediaConvert"),
        (COMPLETE, None, "", "", "MediaConvert"),
        (DocumentConvert(target_format="pdf"), TARGET, "", "", "OfficeConversion"),
        ("doc/convert,target_pdf", TARGET, "", "", "OfficeConversion"),
        (DecodeBlindWatermark(), None, "", "", "DecodeBlindWatermark"),
        (Style("mine", task_type="MediaConvert"), TARGET, "", "", "MediaConvert"),
        ("style/mine", TARGET, "", "OfficeConversion", "OfficeConversion"),
        ("style/::h264-mp4-720p", TARGET, "", "MediaConvert", "MediaConvert"),
    ],
)
def test_build_request_takes_every_form(
    process: Any, target: ObjectURI | None, topic: str, task_type: str, expected_type: str
) -> None:
    submission = build_request(process, SOURCE, target, topic, task_type)
    assert submission.task_type == expected_type
    again = parse_process(submission.process.encode())
    if expected_type == "DecodeBlindWatermark":
        assert submission.target == ""
        assert again.saveas is None
    else:
        assert submission.target == "oss://media/out.mp4"
        assert again.saveas is not None
        assert again.saveas.key == "out.mp4"


def test_build_request_keeps_the_order_and_the_unknown_keys_of_a_string() -> None:
    submission = build_request("video/convert,zz_9,vcodec_h264,f_mp4", SOURCE, TARGET, "done")
    assert submission.process.params == (("zz", "9"), ("vcodec", "h264"), ("f", "mp4"))
    assert submission.process.topic == "done"


@pytest.mark.parametrize(
    ("process", "target", "topic", "task_type", "part"),
    [
        (PLAIN, None, "", "", "needs a target"),
        (COMPLETE, TARGET, "", "", "cannot be given"),
        (COMPLETE, None, "other", "", "cannot be given"),
        (DecodeBlindWatermark(), TARGET, "", "", "takes no target"),
        ("style/mine", TARGET, "", "", "task type"),
        ("style/mine", TARGET, "", "Nonsense", "Nonsense"),
        ("video/convert", TARGET, "", "", "container"),
        ("video/snapshot,f_jpg", TARGET, "", "", "video/snapshots"),
        ("nonsense", TARGET, "", "", "nonsense"),
        (PLAIN, SOURCE, "", "", "being read"),
        (PLAIN, ObjectURI("media", "out/"), "", "", "ends in /"),
    ],
)
def test_build_request_refuses(
    process: Any, target: ObjectURI | None, topic: str, task_type: str, part: str
) -> None:
    with pytest.raises(ProcessError) as caught:
        build_request(process, SOURCE, target, topic, task_type)
    assert part in str(caught.value)


def test_the_fingerprint_is_of_what_is_asked() -> None:
    base = request()
    assert base.fingerprint == request().fingerprint
    others = [
        request(ObjectURI("media", "other.mov")),
        build_request(VideoConvert(container="mov"), SOURCE, TARGET),
        build_request(VideoConvert(container="mp4"), SOURCE, ObjectURI("media", "o.mp4")),
        build_request(VideoConvert(container="mp4"), SOURCE, TARGET, "topic"),
        replace(base, region="cn-shanghai"),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert replace(base, imm_project="p").fingerprint == base.fingerprint


MARK = {"x-oss-request-id": "REQ"}
REFUSAL = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"


async def send_to(wire: Wire, extra: dict[str, Any] | None = None, **fields: Any) -> OSSJob:
    return await send(wire_settings(wire, extra, **fields), backoff=SHORT)


class TestAnswersOfOthers:
    """Only what carries the marks of OSS says that there is no job."""

    @pytest.mark.parametrize("status", [400, 403, 404, 408, 429, 499, 502])
    @pytest.mark.parametrize("body", ["", REFUSAL, "<html>gateway</html>"])
    async def test_without_the_marks_of_oss_it_is_uncertain(self, wire: Wire, status: int, body: str) -> None:
        wire.respond = lambda request: (status, body)
        with pytest.raises(OSSSubmitUncertainError, match=f"HTTP {status} that is not from OSS") as caught:
            await send_to(wire)
        assert caught.value.status == status
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("status", [400, 403, 404, 408, 409])
    async def test_with_them_it_is_refused(self, wire: Wire, status: int) -> None:
        wire.headers = MARK
        wire.respond = lambda request: (status, REFUSAL)
        with pytest.raises(OSSSubmitRefusedError, match="OSS refused video/convert: no"):
            await send_to(wire)
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("status", [403, 407, 502])
    async def test_a_proxy_that_refuses_a_tunnel_has_sent_nothing(
        self, wire: Wire, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        wire.respond = lambda request: (status, "no")
        proxy = wire.url.replace("//", "//someone:word-of-proxy@")
        with pytest.raises(OSSSubmitNotSentError, match="nothing was submitted") as caught:
            await send_to(wire, {"proxy": proxy}, host="https://127.0.0.1:9")
        assert [request.method for request in wire.requests] == ["CONNECT"] * ATTEMPTS
        assert str(status) in caught.value.detail
        for text in (str(caught.value), repr(vars(caught.value)), repr(caught.value), caplog.text):
            assert "word-of-proxy" not in text

    async def test_a_proxy_that_wants_a_password_has_sent_nothing(self, wire: Wire) -> None:
        wire.respond = lambda request: (407, "")
        with pytest.raises(OSSSubmitNotSentError):
            await send_to(wire)
        assert len(wire.requests) == ATTEMPTS


class TestOddAnswers:
    @pytest.mark.parametrize(
        ("date", "believed"),
        [
            ("garbage", False),
            ("", False),
            ("Fri, 31 Dec 9999 23:59:59 GMT", False),
            ("Thu, 01 Jan 1970 00:00:00 GMT", False),
            ("an hour ago", True),
        ],
    )
    async def test_the_time_of_the_answer(self, wire: Wire, date: str, believed: bool) -> None:
        begun = time.time()
        sent = formatdate(begun - 3600, usegmt=True) if believed else date
        wire.answer(200, '{"TaskId": "T"}', Date=sent, x_oss_request_id="REQ")
        job = await send_to(wire)
        assert job.task_id == "T"
        assert job.submitted is not None
        expected = begun - 3600 if believed else begun
        assert abs(job.submitted - expected) < 60

    @pytest.mark.parametrize(
        ("body", "task_id"),
        [('{"TaskId": 42}', "42"), ('{"TaskId": "\\ud800"}', "?"), ('{"TaskId": "T", "EventId": [[]]}', "T")],
    )
    async def test_an_odd_id_is_kept(self, wire: Wire, body: str, task_id: str) -> None:
        wire.answer(200, body)
        job = await send_to(wire)
        assert job.task_id == task_id
        json.dumps(job.to_dict()).encode()

    @pytest.mark.parametrize("body", ['{"TaskId": ["T"]}', '{"TaskId": null}', "[" * 100_000, b"\xff\xfe"])
    async def test_an_acceptance_without_id_is_uncertain(self, wire: Wire, body: str | bytes) -> None:
        wire.answer(200, body, x_oss_request_id="REQ")
        with pytest.raises(OSSSubmitUncertainError, match="may be running") as caught:
            await send_to(wire)
        assert len(wire.requests) == 1
        assert pickle.loads(pickle.dumps(caught.value)).fields == caught.value.fields


class TestIntents:
    """``before_attempt`` stores the intent; without it nothing is sent."""

    async def submit(self, wire: Wire, store: Callable[[], None], **options: Any) -> OSSJob:
        async with open_services(wire_settings(wire)) as services:
            return await submit(services.oss, request(), backoff=SHORT, before_attempt=store, **options)

    async def test_it_is_stored_before_each_request(self, wire: Wire) -> None:
        wire.answer(429, REFUSAL, x_oss_request_id="REQ")
        wire.answer(429, REFUSAL, x_oss_request_id="REQ")
        wire.answer(200, '{"TaskId": "T"}')
        seen: list[int] = []
        job = await self.submit(wire, lambda: seen.append(len(wire.requests)))
        assert job.task_id == "T"
        assert seen == [0, 1, 2]

    async def test_what_it_raises_prevents_the_request(self, wire: Wire) -> None:
        wire.answer(429, REFUSAL, x_oss_request_id="REQ")

        def store() -> None:
            if wire.requests:
                raise RuntimeError("superseded")

        with pytest.raises(RuntimeError, match="superseded"):
            await self.submit(wire, store)
        assert len(wire.requests) == 1

    async def test_an_intent_that_took_long_is_stored_again(self, wire: Wire) -> None:
        wire.answer(200, '{"TaskId": "T"}')
        pauses = [0.4, 0.0]
        await self.submit(wire, lambda: time.sleep(pauses.pop(0)), intent_max_age=0.2)
        assert pauses == []
        assert len(wire.requests) == 1

    async def test_a_process_that_is_stopped_after_it_sends_nothing_with_it(self, wire: Wire) -> None:
        """As by SIGSTOP, while the connection is made."""
        wire.answer(200, '{"TaskId": "T"}')
        loop, stored = asyncio.get_running_loop(), [0]

        def store() -> None:
            stored[0] += 1
            if stored[0] == 1:
                # Two rounds of the event loop later the intent was found new, and nothing is written yet.
                loop.call_soon_threadsafe(loop.call_soon, loop.call_soon, time.sleep, 1.0)

        job = await self.submit(wire, store, intent_max_age=0.5)
        assert (job.task_id, len(wire.requests), stored) == ("T", 1, [2])

    async def test_a_store_that_is_always_slow_prevents_the_request(self, wire: Wire) -> None:
        calls: list[float] = []

        def store() -> None:
            calls.append(time.time())
            time.sleep(0.02)

        with pytest.raises(
            OSSSubmitNotSentError, match="Nothing was submitted: storing the intent took more"
        ):
            await self.submit(wire, store, intent_max_age=0.01)
        assert len(calls) == INTENT_ATTEMPTS * ATTEMPTS
        assert wire.requests == []


async def test_one_attempt_is_not_sent_with_an_old_intent(wire: Wire) -> None:
    async with open_services(wire_settings(wire)) as services:
        with pytest.raises(OSSSubmitNotSentError, match="not sent in time"):
            await submit_attempt(services.oss, request(), intent_at=time.time() - 6)
    assert wire.requests == []


async def test_one_attempt_is_one_request(wire: Wire) -> None:
    wire.headers = MARK
    wire.respond = lambda request: (429, REFUSAL)
    async with open_services(wire_settings(wire)) as services:
        with pytest.raises(OSSSubmitRefusedError):
            await submit_attempt(services.oss, request())
    assert len(wire.requests) == 1


async def test_too_many_requests_are_not_repeated_for_ever(wire: Wire) -> None:
    wire.headers = MARK
    wire.respond = lambda request: (429, REFUSAL.replace("AccessDenied", "QpsLimitExceeded"))
    with pytest.raises(OSSSubmitRefusedError, match="too many requests"):
        await send_to(wire)
    assert len(wire.requests) == ATTEMPTS


async def test_credentials_that_cannot_be_had_have_sent_nothing(wire: Wire) -> None:
    async def none() -> Credentials:
        raise OSSConnectionError("no credentials now")

    async with open_services(wire_settings(wire)) as services:
        with pytest.raises(
            OSSSubmitNotSentError, match="Nothing was submitted: no credentials now"
        ) as caught:
            await submit(OSSClient(services.oss.sdk, none), request(), backoff=SHORT)
    assert wire.requests == []
    assert (caught.value.source, caught.value.target) == ("oss://media/in.mov", "oss://media/out.mp4")


async def test_a_name_that_no_request_can_carry_is_not_tried_again(stand: Any) -> None:
    """It is bad input and no outage; such names come from code that makes its own requests."""
    began = time.monotonic()
    with pytest.raises(OSSSubmitNotSentError, match=r"Nothing was submitted: .*Correct the name") as caught:
        await send(
            # The SDK checks names where they become part of the host.
            stand.settings({"path_style": False}),
            replace(request(), source=ObjectURI("Not_A_Bucket", "in.mov")),
            backoff=Backoff(5.0, 5.0),
        )
    assert time.monotonic() - began < 2
    assert caught.value.code == "BucketNameInvalidError"
