from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.hooks.connection_fields import BY_NAME
from airflow_provider_oss_async.hooks.connection_test import check_services, without_connection_id
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

if TYPE_CHECKING:
    from tests.support.wire import Request, Wire

#: As Airflow names the connection of a test in the web UI.
RANDOM = "kXv3Qp9ZbT"


@pytest.fixture
def connect(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define a connection to the server on the wire, under a random name."""

    def define(extra: dict[str, Any] | None = None, **fields: Any) -> None:
        fields = {"host": wire.url, "login": "AK", "password": "SECRET", "schema": "media", **fields}
        extra = {"region": "cn-hangzhou", "imm_endpoint": wire.url, **(extra or {})}
        value = {"conn_type": "oss_async", "extra": extra, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{RANDOM.upper()}", json.dumps(value))

    define()
    return define


def run() -> tuple[bool, str]:
    return OSSAsyncHook(RANDOM).test_connection()


def service(request: Request) -> tuple[int, str]:
    """OSS with one bucket, bound to an IMM project."""
    if request.action == "GetOSSBucketAttachment":
        return 200, json.dumps({"ProjectName": "media-project", "RequestId": "R"})
    if request.action == "ListTasks":
        return 200, json.dumps({"Tasks": [], "RequestId": "R"})
    if request.path == "/":
        return 200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
    return 200, "<ListBucketResult><Name>media</Name><KeyCount>0</KeyCount></ListBucketResult>"


def error(code: str, message: str = "as told") -> str:
    return f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>R</RequestId></Error>"


def test_what_works(connect: Any, wire: Wire) -> None:
    wire.respond = service
    good, text = run()
    assert good, text
    assert text == (
        f"OSS: reached default bucket 'media' at {wire.url}. "
        f"IMM: reached project 'media-project' at {wire.url}. "
        "SMQ: not configured, and only needed for completion messages."
    )


def test_a_project_and_no_bucket(connect: Any, wire: Wire) -> None:
    wire.respond = service
    connect({"imm_project": "p", "smq_endpoint": wire.url, "smq_queue": "q"}, schema=None)
    good, text = run()
    assert good, text
    assert "the account's buckets" in text
    assert "project 'p'" in text
    assert "was not tried" in text
    assert sorted(request.action for request in wire.requests) == ["", "ListTasks"]


def test_neither(connect: Any, wire: Wire) -> None:
    wire.respond = service
    connect(schema=None)
    good, text = run()
    assert good, text
    assert "IMM: not asked, because neither IMM project nor Default bucket is set" in text


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, error("InvalidAccessKeyId"), BY_NAME["login"].label),
        (403, error("SignatureDoesNotMatch"), BY_NAME["password"].label),
        (403, error("AccessDenied"), "oss:ListObjects"),
        (403, error("AccessDenied", "The bucket must be addressed using the specified endpoint."), "region"),
        (403, error("SecondLevelDomainForbidden"), BY_NAME["path_style"].label),
        (403, error("UserDisable"), "suspended"),
        (404, error("NoSuchBucket"), "the bucket's name"),
        (400, error("Strange"), "as told. (HTTP 400, code Strange, request id R)"),
    ],
)
def test_refusals_of_oss(connect: Any, wire: Wire, status: int, body: str, expected: str) -> None:
    wire.respond = lambda request: service(request) if request.action else (status, body)
    good, text = run()
    assert not good
    assert text.startswith(f"OSS: ListObjectsV2 at {wire.url} failed: ")
    assert expected in text
    assert "IMM: reached" in text
    assert "SECRET" not in text
    # Keys of the extra are called as the form calls them.
    assert "_" not in text.partition("IMM:")[0].replace("x-oss", "")


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (403, "NoPermission", "no", "imm:GetOSSBucketAttachment"),
        (400, "ResourceNotFound", "The specified resource Attachment is not found.", "Bind the bucket"),
        (503, "ServiceUnavailable", "later", "ServiceUnavailable"),
    ],
)
def test_refusals_of_imm(
    connect: Any, wire: Wire, status: int, code: str, message: str, expected: str
) -> None:
    refusal = json.dumps({"Code": code, "Message": message, "RequestId": "R"})
    wire.respond = lambda request: (status, refusal) if request.action else service(request)
    good, text = run()
    assert not good
    assert "OSS: reached" in text
    assert expected in text


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nothing_answers(connect: Any, closed_port: int) -> None:
    where = f"http://127.0.0.1:{closed_port}"
    connect({"imm_endpoint": where, "network": "internal"}, host=where)
    good, text = run()
    assert not good
    hint = (
        "Check OSS endpoint, IMM endpoint, Network (now internal, which only works inside a VPC of "
        "cn-hangzhou) and Proxy (now not set)."
    )
    assert text.count(hint) == 2
    # There is no TLS on the way.
    assert "ssl" not in text


async def test_no_answer_in_time(connect: Any, wire: Wire) -> None:
    wire.respond = service
    wire.delay = 1.0
    settings = OSSAsyncHook(RANDOM).settings
    good, text = await check_services(settings, timeout=0.2)
    assert not good
    for name in ("OSS", "IMM"):
        assert f"{name}: no answer from {wire.url} within 0.2 s. Check OSS endpoint" in text


def test_no_credentials(connect: Any, closed_port: int) -> None:
    connect(
        {
            "credential_source": "credentials_uri",
            "credentials_uri": f"http://127.0.0.1:{closed_port}/?a=SECRET",
        }
    )
    good, text = run()
    assert not good
    assert text.startswith("No credentials from credentials_uri at 127.0.0.1: it could not be reached")
    assert "SECRET" not in text


@pytest.mark.parametrize(
    "extra", [{"network": "vpc"}, {"credential_source": "environment"}, {"region": "hangzhou", "proxy": "x"}]
)
def test_the_name_of_the_connection_is_left_out(connect: Any, extra: dict[str, Any]) -> None:
    connect(extra)
    good, text = run()
    assert not good
    assert RANDOM not in text
    assert "(Airflow connection" not in text


def test_a_name_is_left_out_before_other_facts() -> None:
    text = "No. (Airflow connection 'c', request id R)"
    assert without_connection_id(text, "c") == "No. (request id R)"
    assert without_connection_id(text, "d") == text


def test_labels_of_the_form_in_problems(connect: Any) -> None:
    connect({"region": None, "network": "vpc"}, login=None)
    _, text = run()
    for name in ("region", "network", "login"):
        assert f"{BY_NAME[name].title}: " in text


async def test_on_a_running_loop(connect: Any, wire: Wire) -> None:
    wire.respond = service
    good, text = OSSAsyncHook(RANDOM).test_connection()
    assert good, text


def test_missing_connection() -> None:
    good, text = OSSAsyncHook("no_such_connection").test_connection()
    assert not good
    assert "no_such_connection" in text


def test_a_custom_domain_is_addressed_without_the_bucket(connect: Any, wire: Wire) -> None:
    wire.respond = service
    connect({"proxy": wire.url, "cname": True, "imm_endpoint": wire.url}, host="http://media.example.com")
    run()
    (request,) = (request for request in wire.requests if not request.action)
    assert request.headers["host"] == "media.example.com"
    assert request.path == "http://media.example.com/"
    # Signed for the bucket all the same.
    assert "/cn-hangzhou/oss/aliyun_v4_request" in request.headers["authorization"]


class FromVault(OSSAsyncHook):
    """A hook of a deployment's own, with settings from a place that does not answer."""

    @property
    def settings(self) -> Any:
        raise RuntimeError("no answer from https://reader:SECRET@vault.example/v1")


def test_an_error_of_others_is_shown_without_secrets() -> None:
    assert FromVault(RANDOM).test_connection() == (False, "no answer from https://***@vault.example/v1")
