from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_oss_async.local.server.refusal import Refusal
from airflow_provider_oss_async.local.server.signatures import AccessKey, SignedRequest, Verifier
from tests.support.local_service import convert, get_task, imm_client, oss_client, put, refusal, submit

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService

ROLE = AccessKey("STS.role", "role-secret", "role-token", expires_at=time.time() + 3600)
EXPIRED = AccessKey("STS.old", "old-secret", "old-token", expires_at=time.time() - 1)


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    return start(keys=[AccessKey("local", "local-secret"), ROLE, EXPIRED])


@pytest.mark.parametrize(
    ("key", "secret", "token", "status", "code", "ec"),
    [
        ("local", "wrong", None, 403, "SignatureDoesNotMatch", "0002-00000040"),
        ("other", "local-secret", None, 403, "InvalidAccessKeyId", ""),
        ("local", "local-secret", "token", 403, "InvalidSecurityToken", "0002-00000006"),
        ("STS.role", "role-secret", "wrong", 403, "InvalidSecurityToken", "0002-00000006"),
        ("STS.role", "role-secret", None, 403, "InvalidSecurityToken", "0002-00000006"),
        ("STS.old", "old-secret", "old-token", 403, "SecurityTokenExpired", "0002-00000007"),
    ],
)
def test_wrong_oss_credentials(
    service: LocalService, key: str, secret: str, token: str | None, status: int, code: str, ec: str
) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        put(oss_client(service, key, secret, token=token), "k")
    error = refusal(caught.value)
    assert (error.status_code, error.code, error.ec) == (status, code, ec)


@pytest.mark.parametrize(
    ("key", "secret", "token", "status", "code"),
    [
        ("local", "wrong", None, 400, "SignatureDoesNotMatch"),
        ("other", "local-secret", None, 404, "InvalidAccessKeyId.NotFound"),
        ("STS.role", "role-secret", "wrong", 400, "InvalidSecurityToken.Malformed"),
        ("STS.old", "old-secret", "old-token", 400, "InvalidSecurityToken.Expired"),
    ],
)
def test_wrong_imm_credentials(
    service: LocalService, key: str, secret: str, token: str | None, status: int, code: str
) -> None:
    with pytest.raises(ClientException) as caught:
        get_task(imm_client(service, key, secret, token), "id")
    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_temporary_credentials_work(service: LocalService) -> None:
    client = oss_client(service, ROLE.id, ROLE.secret, token=ROLE.token)
    put(client, "in.mov")
    task_id = submit(client, convert())
    assert get_task(imm_client(service, ROLE.id, ROLE.secret, ROLE.token), task_id).task_id == task_id


def test_the_region_of_the_signature_counts(service: LocalService) -> None:
    with pytest.raises(oss.exceptions.OperationError) as caught:
        put(oss_client(service, region="cn-beijing"), "k")
    assert (refusal(caught.value).status_code, refusal(caught.value).code) == (400, "InvalidArgument")


def test_additional_headers_are_signed(service: LocalService) -> None:
    put(oss_client(service, additional_headers=["host", "user-agent"]), "k")


def test_an_unsigned_request_is_refused(service: LocalService) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{service.endpoint}/media/k")
    assert caught.value.code == 403
    assert b"<Code>AccessDenied</Code>" in caught.value.read()


@pytest.mark.parametrize("key", ["plain.txt", "a b+c%2F?#&=ü.mov"])
def test_presigned_urls(service: LocalService, key: str) -> None:
    client = oss_client(service, ROLE.id, ROLE.secret, token=ROLE.token)
    url = client.presign(oss.PutObjectRequest(bucket="media", key=key)).url
    assert url is not None
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("PUT", f"{parts.path}?{parts.query}", b"body")
    assert connection.getresponse().status == 200
    connection.close()
    url = client.presign(oss.GetObjectRequest(bucket="media", key=key)).url
    assert url is not None
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"body"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace("x-oss-expires=900", "x-oss-expires=901"))
    assert b"SignatureDoesNotMatch" in caught.value.read()
    soon = client.presign(
        oss.GetObjectRequest(bucket="media", key=key), expiration=datetime.now(UTC) + timedelta(seconds=2)
    ).url
    assert soon is not None
    time.sleep(2.5)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(soon)
    assert b"Request has expired." in caught.value.read()


def _at(moment: datetime) -> SignedRequest:
    """A V4 request of a given moment, signed by the SDK's own signer."""
    from alibabacloud_oss_v2.signer.v4 import SignerV4
    from alibabacloud_oss_v2.types import HttpRequest, SigningContext

    request = HttpRequest("GET", "http://127.0.0.1/media/k", headers={})
    SignerV4().sign(
        SigningContext(
            product="oss",
            region="cn-hangzhou",
            bucket="media",
            key="k",
            request=request,
            credentials=oss.credentials.Credentials("local", "local-secret"),
            signing_time=moment,
        )
    )
    return SignedRequest("GET", "/media/k", {k.lower(): v for k, v in request.headers.items()})


def test_a_date_may_be_fifteen_minutes_off() -> None:
    verifier = Verifier([AccessKey("local", "local-secret")])
    now = datetime.now(UTC)
    for minutes in (-14, 14):
        verifier.oss(_at(now + timedelta(minutes=minutes)), "/media/k", "cn-hangzhou")
    for minutes in (-16, 16):
        with pytest.raises(Refusal) as caught:
            verifier.oss(_at(now + timedelta(minutes=minutes)), "/media/k", "cn-hangzhou")
        assert (caught.value.status, caught.value.code) == (403, "RequestTimeTooSkewed")


def test_a_signature_holds_for_one_object_and_method() -> None:
    verifier = Verifier([AccessKey("local", "local-secret")])
    request = _at(datetime.now(UTC))
    for changed, resource in (
        (request, "/media/other"),
        (SignedRequest("PUT", request.raw_target, request.headers), "/media/k"),
        (SignedRequest("GET", request.raw_target + "?x-oss-async-process", request.headers), "/media/k"),
        (SignedRequest("GET", request.raw_target, {**request.headers, "x-oss-acl": "private"}), "/media/k"),
    ):
        with pytest.raises(Refusal) as caught:
            verifier.oss(changed, resource, "cn-hangzhou")
        assert caught.value.code == "SignatureDoesNotMatch"


def _acs3(**changes: Any) -> SignedRequest:
    """An ACS3 request, signed by the official SDK."""
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest

    headers = {
        "host": "127.0.0.1",
        "x-acs-action": "GetTask",
        "x-acs-version": "2020-09-30",
        "x-acs-date": changes.get("date", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        "x-acs-signature-nonce": changes.get("nonce", "1"),
        "x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
    request = DaraRequest()
    request.method, request.pathname, request.headers = "POST", "/", headers
    request.query = {"TaskId": "a b+~*'()/ü"}
    signature = Utils.get_authorization(
        request, "ACS3-HMAC-SHA256", headers["x-acs-content-sha256"], "local", "local-secret"
    )
    return SignedRequest(
        "POST", "/?TaskId=a%20b%2B~%2A%27%28%29%2F%C3%BC", {**headers, "authorization": signature}
    )


def test_an_imm_signature_is_used_once() -> None:
    verifier = Verifier([AccessKey("local", "local-secret")])
    verifier.acs3(_acs3(), b"")
    with pytest.raises(Refusal) as caught:
        verifier.acs3(_acs3(), b"")
    assert caught.value.code == "SignatureNonceUsed"
    verifier.acs3(_acs3(nonce="2"), b"")


def test_an_imm_request_is_bound_to_its_date_and_body() -> None:
    verifier = Verifier([AccessKey("local", "local-secret")])
    old = (datetime.now(UTC) - timedelta(minutes=16)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with pytest.raises(Refusal) as caught:
        verifier.acs3(_acs3(date=old), b"")
    assert caught.value.code == "InvalidTimeStamp.Expired"
    with pytest.raises(Refusal) as caught:
        verifier.acs3(_acs3(nonce="3"), b"body")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_secrets_are_not_shown() -> None:
    assert "role-secret" not in repr(ROLE)
    assert "role-token" not in repr(ROLE)
