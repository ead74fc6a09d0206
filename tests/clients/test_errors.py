# ruff: noqa: E501 - a table of messages
from __future__ import annotations

import pickle
import re
import string
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.errors import (
    FINAL_KINDS,
    PASSING_KINDS,
    QUOTE_LIMIT,
    TABLE,
    Failure,
    diagnose,
    diagnosis_of,
    is_task_not_found,
    missing_resource,
    redact,
    refuses_credentials,
    rights_of,
    sdk_failure,
    service_error,
    traceback_of,
    unexpected,
)
from airflow_provider_oss_async.exceptions import (
    OSSConnectionError,
    OSSServiceError,
    OSSThrottledError,
    OSSUnavailableError,
)

KEYS = Credentials("STS.abc", "the-secret-of-the-role", "CAIS" + "token+/=" * 40)

#: Service, code, message, status, kind, words of the advice. Messages are those that the services document or
#: that users have quoted.
CASES = [
    # One code of OSS, many reasons.
    ("OSS", "AccessDenied", "The bucket you are attempting to access must be addressed using the specified "
     "endpoint. Please send all future requests to this endpoint.", 403, "endpoint", "region, endpoint"),
    ("OSS", "AccessDenied", "You have no right to access this object because of bucket acl.", 403, "rights",
     "Grant oss:GetObject"),
    ("OSS", "AccessDenied", "This private object is not yours.", 403, "rights", "Grant"),
    ("OSS", "AccessDenied", "Access denied by KMS: the key is disabled.", 403, "rights", "kms:Decrypt"),
    ("OSS", "AccessDenied", "You are not authorized to do this action. AuthAction: kms:Decrypt", 403, "rights",
     "kms:Decrypt"),
    ("OSS", "AccessDenied", "Access denied by bucket policy: SourceVpc does not match.", 403, "rights", "Grant"),
    ("OSS", "AccessDenied", "Access denied by VPC policy.", 403, "endpoint", "endpoint of the VPC"),
    ("OSS", "AccessDenied", "Access denied because of acs:SourceIp.", 403, "endpoint", "certain networks"),
    ("OSS", "AccessDenied", "Requester pays bucket, missing x-oss-request-payer.", 403, "rights",
     "requester pays"),
    ("OSS", "AccessDenied", "Bucket is configured as requester-pays.", 403, "rights", "requester pays"),
    ("OSS", "AccessDenied", "The bucket you access does not belong to you.", 403, "rights", "another account"),
    ("OSS", "InvalidObjectState", "The operation is not valid for the object's state", 403, "archived",
     "RestoreObject"),
    ("OSS", "UserDisable", "UserDisable", 403, "credentials", "billing"),
    ("OSS", "SecondLevelDomainForbidden", "The bucket you are attempting to access must be addressed using "
     "OSS third level domain.", 403, "endpoint", "path_style"),
    ("OSS", "TemporaryRedirect", "The bucket must be addressed using the specified endpoint.", 307, "endpoint",
     "region, endpoint and path_style"),
    ("OSS", "InvalidArgument", "Invalid signing region in Authorization header.", 400, "endpoint",
     "signed for another region"),
    ("OSS", "SignatureDoesNotMatch", "Invalid signing region cn-hangzhou.", 403, "endpoint", "another region"),
    ("OSS", "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you "
     "provided. Check your key and signing method.", 403, "credentials", "AccessKey secret"),
    ("OSS", "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", 403,
     "credentials", "AccessKey ID"),
    ("OSS", "SecurityTokenExpired", "The security token you provided has expired.", 403, "credentials",
     "this one has expired"),
    ("OSS", "InvalidSecurityToken", "The security token you provided is invalid.", 403, "credentials",
     "security token"),
    ("OSS", "RequestTimeTooSkewed", "The difference between the request time and the current time is too "
     "large.", 403, "clock", "clock"),
    ("OSS", "NoSuchBucket", "The specified bucket does not exist.", 404, "missing", "bucket's name"),
    ("OSS", "NoSuchKey", "The specified key does not exist.", 404, "missing", "object's key"),
    ("OSS", "FileImmutable", "The object is under a retention policy.", 409, "rights", "another target"),
    ("OSS", "Imm Client", "ResourceNotFound, The specified resource Attachment is not found.", 404, "missing",
     "Bind the bucket"),
    ("OSS", "Imm Client", "InvalidArgument, f_xyz", 400, "argument", "parameter that the message names"),
    ("OSS", "Imm Client", "no route for this operation", 400, "argument", "another operation"),
    ("OSS", "Imm Client", "Throttling.User, too many requests", 400, "throttled", "max_requests_per_second"),
    ("OSS", "QpsLimitExceeded", "", 503, "throttled", "max_submits_per_second"),
    ("OSS", "BucketNameInvalidError", "Bucket name is invalid, got A_B.", None, "argument", "Correct the name"),
    ("OSS", "AccessDenied", "Access denied for requester pay bucket", 403, "rights", "your own bucket"),
    ("OSS", "AccessDenied", "Invalid signing region in Authorization header.", 403, "endpoint", "another region"),
    ("OSS", "InternalError", "We encountered an internal error.", 500, "outage", "Try again later"),
    ("OSS", "", "", 503, "outage", ""),
    ("OSS", "", "", 403, "rights", "Grant oss:GetObject"),
    # What a new code means is not known: it decides nothing.
    ("OSS", "Strange", "", 403, "", "Grant oss:GetObject"),
    ("OSS", "Strange", "", 404, "", ""),
    ("OSS", "Strange", "", 429, "throttled", ""),
    ("IMM", "ResourceNotFound", "The specified resource Task is not found.", 400, "missing", "7 days"),
    ("IMM", "ResourceNotFound", "The specified resource Project is not found.", 400, "missing", "no such project"),
    ("IMM", "ResourceNotFound", "The specified resource project my-task is not found.", 400, "missing",
     "no such project"),
    ("IMM", "ResourceNotFound", "The specified resource Attachment is not found.", 400, "missing", "Bind"),
    ("IMM", "NoPermission", "You are not authorized.", 403, "rights", "imm:GetTask to the caller (AccessKey ID K)"),
    ("IMM", "Forbidden.RAM", "User not authorized to operate on the specified APIs", 403, "rights", "imm:GetTask"),
    ("IMM", "NotAuthorized", "", 403, "rights", "imm:GetTask"),
    ("IMM", "Throttling.User", "", 400, "throttled", "max_requests_per_second"),
    ("IMM", "InvalidTimeStamp.Expired", "", 400, "clock", "clock"),
    ("IMM", "InvalidSecurityToken.Expired", "", 400, "credentials", "expired"),
    ("IMM", "MissingProjectName", "", 400, "argument", "parameter"),
    ("SMQ", "QueueNotExist", "", 404, "missing", "Check queue and topic"),
    ("SMQ", "AccessDenied", "", 403, "rights", "mns:GetTask"),
    ("SMQ", "TimeExpired", "", 408, "clock", "clock"),
    ("STS", "EntityNotExist.Role", "", 404, "missing", "role_arn"),
    ("STS", "NoPermission", "", 403, "rights", "sts:GetTask to the caller (AccessKey ID K)"),
    # Failures of jobs.
    ("job", "Timeout", "waited too long in the queue", None, "queue_timeout", "at once"),
    ("job", "", "The queue time limit is exceeded", None, "queue_timeout", "at once"),
    ("job", "InternalError", "", None, "outage", "Try again later"),
    ("job", "InternalError", "The queue time is over", None, "queue_timeout", "at once"),
    ("job", "AccessDenied", "", None, "rights", "service role"),
    ("job", "NoSuchKey", "", None, "missing", "gone"),
    ("job", "UnsupportedFormat", "", None, "content", "codec"),
    ("job", "", "moov atom: the file is broken", None, "content", "whole"),
    ("job", "", "Broken pipe", None, "", ""),
    ("job", "InvalidArgument", "the codec is not supported", None, "content", "codec"),
    ("job", "InvalidArgument", "fps", None, "argument", "do not fit"),
    ("job", "WatermarkNotFound", "", None, "content", "missing_ok"),
    ("job", "Whatever", "", None, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("service", "code", "detail", "status", "kind", "words"), CASES)
def test_advice_follows_the_words(
    service: str, code: str, detail: str, status: int | None, kind: str, words: str
) -> None:
    action = "HeadObject" if service == "OSS" else "GetTask"
    found = diagnose(
        service, code, detail, action=action, status=status, key_id="K" if service != "OSS" else ""
    )
    assert found.kind == kind
    assert words in found.advice
    assert bool(found.advice) is bool(words) or kind in PASSING_KINDS
    assert "{" not in found.advice


def test_every_row_can_be_reached() -> None:
    """By its own code and words: an earlier row that takes everything would make it useless."""
    reached = {
        diagnose(service, code, detail, status=status).advice for service, code, detail, status, *_ in CASES
    }
    templates = {row.advice for row in TABLE}
    missed = {
        template
        for template in templates
        if not any(re.match(re.escape(template.partition("{")[0]), advice) for advice in reached)
    }
    assert not missed


def test_the_kinds_are_all_told_apart() -> None:
    assert not FINAL_KINDS & PASSING_KINDS
    assert {row.kind for row in TABLE} <= FINAL_KINDS | PASSING_KINDS


def test_every_advice_is_a_sentence_of_its_own() -> None:
    for row in TABLE:
        assert re.fullmatch(r"[A-Z][^\n]{10,150}\.", row.advice), row
        row.advice.format(action="a", key_id="k")


#: Pieces that the patterns of the table are made of, to be repeated.
PIECES = st.sampled_from(
    ["queue", "time", "region ", "invalid ", "the ", "specified ", "resource ", "imm ", "task", "//", "@", "{", "}",
     "{action}", "\ud800", "\x00", " ", "(", "network", "endpoint", "signing region", "token:", "a"]
)  # fmt: skip
HOSTILE = st.text() | st.lists(PIECES, max_size=60).map("".join) | PIECES.map(lambda piece: piece * 4000)


@given(
    service=st.sampled_from(["OSS", "IMM", "SMQ", "STS", "job", "else", ""]),
    code=HOSTILE
    | st.sampled_from(["AccessDenied", "ResourceNotFound", "Imm Client", "SignatureDoesNotMatch"]),
    detail=HOSTILE,
    status=st.none() | st.integers(-1, 1000),
    key_id=st.text(),
)
def test_no_input_makes_it_raise(
    service: str, code: str, detail: str, status: int | None, key_id: str
) -> None:
    found = diagnose(service, code, detail, action="GetTask", status=status, key_id=key_id)
    assert found.kind in FINAL_KINDS | PASSING_KINDS | {""}
    error = service_error(Failure(service, status, code, detail, authentic=True), action="A", subject="s")
    assert len(error.detail) <= QUOTE_LIMIT
    assert diagnosis_of(error).kind in FINAL_KINDS | PASSING_KINDS | {""}
    assert missing_resource(error) in ("task", "project", "attachment", None)
    str(error).encode()


@pytest.mark.parametrize("piece", ["queue ", "time ", "region ", "invalid ", "the specified resource ", "//", "//a@",
                                   "x-oss-security-token ", "the\t", "time queue", "https://u:p@", "\x00", "a"])  # fmt: skip
@pytest.mark.parametrize(
    "code", ["AccessDenied", "ResourceNotFound", "Imm Client", "SignatureDoesNotMatch", ""]
)
def test_long_texts_cost_little(piece: str, code: str) -> None:
    text = piece * (2_000_000 // len(piece))
    begun = time.process_time()
    for service in ("OSS", "IMM", "job"):
        diagnose(service, code, text)
        diagnose(service, text, code)
    redact(text, KEYS)
    service_error(Failure("IMM", 400, code, text, authentic=True), action="A", subject="s", credentials=KEYS)
    assert time.process_time() - begun < 0.5


class TestRedact:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("proxy http://user:word@host:80/", "proxy http://***@host:80/"),
            ("proxy http://user:wo@rd@host:80/", "proxy http://***@host:80/"),
            ("http://user@host and https://a:b@c", "http://***@host and https://***@c"),
            ("see https://host/path@2x.png", "see https://host/path@2x.png"),
            ("x-oss-security-token:CAISabcdefgh, rest", "x-oss-security-token:***, rest"),
            ('{"SecurityToken": "CAISabcdefgh"}', '{"SecurityToken": "***"}'),
            ("Signature=AbCdEfGh%3D&x=1", "Signature=***&x=1"),
            ("a\nb\x00\x1bc", "a b c"),
            ("\ud800", "?"),
            ("x" * 2000, "x" * QUOTE_LIMIT),
            ("", ""),
        ],
    )
    def test_what_is_left_out(self, text: str, shown: str) -> None:
        assert redact(text) == shown

    @given(before=st.text(string.ascii_letters + " \n:", max_size=3300), secret=st.sampled_from(
        [KEYS.access_key_secret, KEYS.security_token]))  # fmt: skip
    def test_no_place_shows_a_secret(self, before: str, secret: str) -> None:
        for text in (before + secret, before + secret * 20, before + secret[:-3], before + secret[:14]):
            assert secret[:12] not in redact(text, KEYS)

    def test_encoded_forms_too(self) -> None:
        assert redact("token=CAIStoken%2B%2F%3D", Credentials("a", "s", "CAIStoken+/=")) == "token=***"

    @pytest.mark.parametrize("name", ["code", "detail", "request_id", "ec"])
    def test_every_text_of_a_failure(self, name: str) -> None:
        failure = Failure("OSS", **{name: f"{KEYS.security_token} http://u:word@h/"})  # type: ignore[arg-type]
        assert getattr(failure.safe(KEYS), name) == "*** http://***@h/"


class TestServiceError:
    @pytest.mark.parametrize(
        ("fields", "kind"),
        [
            ({"status": 403, "code": "AccessDenied", "authentic": True}, OSSServiceError),
            ({"status": 500, "code": "AccessDenied", "authentic": True}, OSSUnavailableError),
            ({"status": 503, "code": "X", "authentic": True}, OSSUnavailableError),
            ({"status": 400, "code": "InternalError", "authentic": True}, OSSUnavailableError),
            ({"status": 400, "code": "Throttling.User", "authentic": True}, OSSThrottledError),
            ({"status": 429, "code": "X", "authentic": True}, OSSThrottledError),
            ({"status": 503, "code": "X", "authentic": True, "retry_after": 1.0}, OSSThrottledError),
            # A gateway may ask to slow down as well.
            ({"status": 429}, OSSThrottledError),
            ({"status": 403, "code": "AccessDenied"}, OSSUnavailableError),
            ({"status": 404}, OSSUnavailableError),
            ({}, OSSUnavailableError),
        ],
    )
    def test_the_kind(self, fields: dict[str, Any], kind: type[OSSServiceError]) -> None:
        error = service_error(Failure("IMM", **fields), action="GetTask", subject="task T")
        assert type(error) is kind
        assert (error.service, error.action, error.status) == ("IMM", "GetTask", fields.get("status"))
        assert error.code == (fields.get("code", "") if fields.get("authentic") else "")
        assert re.match(r"IMM (refused GetTask|gave no usable answer to GetTask): ", str(error))
        assert str(error).index("(for task T") > 0
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), vars(again), str(again)) == (kind, vars(error), str(error))

    def test_the_reason_comes_first_and_ids_last(self) -> None:
        failure = Failure("IMM", 403, "NoPermission", "no", "R-1", "EC-1", authentic=True)
        error = service_error(failure, action="GetTask", subject="task T", credentials=KEYS)
        assert str(error) == (
            "IMM refused GetTask: no. Grant imm:GetTask to the caller (AccessKey ID STS.abc). "
            "(for task T, HTTP 403, code NoPermission, EC EC-1, request id R-1)"
        )
        assert error.advice == "Grant imm:GetTask to the caller (AccessKey ID STS.abc)."

    def test_an_answer_of_others_is_called_so(self) -> None:
        error = service_error(Failure("IMM", 403, detail="firewall"), action="GetTask", subject="task T")
        assert "HTTP 403 that is not IMM's: firewall" in str(error)


@pytest.mark.parametrize(
    ("service", "action", "rights"),
    [
        ("OSS", "AsyncProcessObject", "oss:GetObject, oss:PostProcessTask, oss:ProcessImm and oss:PutObject"),
        ("OSS", "HeadObject", "oss:GetObject"),
        ("IMM", "GetTask", "imm:GetTask"),
        ("SMQ", "BatchReceiveMessage", "mns:BatchReceiveMessage"),
        ("Else", "Do", "else:Do"),
    ],
)
def test_rights(service: str, action: str, rights: str) -> None:
    assert rights_of(service, action) == rights


@pytest.mark.parametrize(
    ("code", "status", "refused"),
    [
        ("NoPermission", 403, True),
        ("X", 401, True),
        ("SignatureDoesNotMatch", 400, True),
        ("InvalidAccessKeyId.NotFound", 404, True),
        ("InvalidTimeStamp.Expired", 400, True),
        ("ResourceNotFound", 400, False),
        ("InternalError", 500, False),
    ],
)
def test_refused_credentials(code: str, status: int, refused: bool) -> None:
    error = OSSServiceError("", service="IMM", code=code, status=status)
    assert refuses_credentials(error) is refused


def test_only_imm_misses_tasks() -> None:
    fields: dict[str, Any] = {"code": "ResourceNotFound", "detail": "The Task is not found."}
    assert is_task_not_found(OSSServiceError("", service="IMM", **fields))
    assert not is_task_not_found(OSSServiceError("", service="OSS", **fields))


class TestSDKFailure:
    """What the SDK wraps is unwrapped; its own tests are in test_oss.py."""

    def test_a_bare_timeout(self) -> None:
        assert sdk_failure(TimeoutError()) == Failure("OSS", detail="no answer in time")

    def test_our_own_error_out_of_the_credentials_provider(self) -> None:
        failure = sdk_failure(OSSConnectionError("no keys"))
        assert failure == Failure("OSS", detail="OSSConnectionError: no keys", never_sent=True)

    @pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), OSError("reset"), KeyError(1)])
    def test_anything_else_is_uncertain(self, error: Exception) -> None:
        failure = sdk_failure(error)
        assert not failure.never_sent
        assert not failure.authentic
        assert failure.status is None

    async def test_a_name_that_no_request_can_carry_is_no_outage(self) -> None:
        """Such names come out of foreign files, such as the manifest of an inventory."""
        from alibabacloud_oss_v2 import Config
        from alibabacloud_oss_v2.aio import AsyncClient
        from alibabacloud_oss_v2.credentials import StaticCredentialsProvider
        from alibabacloud_oss_v2.models import HeadObjectRequest

        config = Config(region="cn-hangzhou", credentials_provider=StaticCredentialsProvider("a", "b"))
        async with AsyncClient(config) as client:
            for bucket, key, code in (
                ("Not_A_Bucket", "k", "BucketNameInvalidError"),
                ("bucket", "", "ObjectNameInvalidError"),
            ):
                try:
                    await client.head_object(HeadObjectRequest(bucket, key))
                except Exception as error:
                    failure = sdk_failure(error)
                assert (failure.code, failure.invalid, failure.never_sent) == (code, True, True)
                refused = service_error(failure, action="HeadObject", subject="oss://x")
                assert type(refused) is OSSServiceError
                assert diagnosis_of(refused).kind == "argument"
                assert str(refused).startswith("HeadObject was not sent: ")
                assert "Correct the name" in refused.advice


def test_what_is_logged_of_an_unexpected_error_has_no_secret() -> None:
    def connect() -> None:
        raise RuntimeError(
            "no answer from http://user:PASSWORD@proxy.example:3128\nSecurityToken=CAIS0123456789"
        )

    try:
        connect()
    except RuntimeError as error:
        logged, shown = traceback_of(error), unexpected("Waiting failed", error)
    assert "in connect" in logged
    assert "RuntimeError: no answer from http://***@proxy.example:3128" in logged
    assert shown.startswith("Waiting failed: RuntimeError: no answer from http://***@proxy.example:3128 ")
    # The first lines of a traceback quote the program, not the error.
    for text in (logged.rpartition("RuntimeError: ")[2], shown):
        assert "PASSWORD" not in text
        assert "CAIS" not in text
