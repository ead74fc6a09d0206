from __future__ import annotations

import asyncio
import gc
import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import structlog.testing
from airflow.sdk import BaseHook, Connection
from alibabacloud_oss_v2 import models

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSServiceError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

if TYPE_CHECKING:
    from tests.support.wire import Request, Wire

LISTING = "<ListBucketResult><Name>media</Name><KeyCount>0</KeyCount></ListBucketResult>"
NO_PROXY = "http://127.0.0.1:9"


@pytest.fixture
def connect(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define the connection ``oss_async_default`` to the server on the wire."""

    def define(extra: dict[str, Any] | None = None, **fields: Any) -> None:
        fields = {"host": wire.url, "login": "AK", "password": "SECRET", "schema": "media", **fields}
        extra = {"region": "cn-hangzhou", "imm_endpoint": wire.url, **(extra or {})}
        value = {"conn_type": "oss_async", "extra": extra, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(value))

    define()
    return define


def service(request: Request) -> tuple[int, str]:
    """OSS with one bucket, attached to an IMM project."""
    if request.action == "GetOSSBucketAttachment":
        return 200, json.dumps({"ProjectName": "media-project", "RequestId": "R"})
    if request.action == "ListTasks":
        return 200, json.dumps({"Tasks": [], "RequestId": "R"})
    if request.path == "/":
        return 200, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
    return 200, LISTING


def list_objects() -> models.ListObjectsV2Request:
    return models.ListObjectsV2Request(bucket="media", max_keys=1)


def test_nothing_is_looked_up_before_it_is_needed() -> None:
    hook = OSSAsyncHook("nowhere", region="cn-shanghai", imm_project="p")
    assert (hook.oss_conn_id, hook.region, hook.imm_project) == ("nowhere", "cn-shanghai", "p")
    assert OSSAsyncHook().oss_conn_id == "oss_async_default"


def test_settings_are_read_once_and_replaced_by_arguments(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = OSSAsyncHook(region="cn-shanghai", imm_project="p")
    assert (hook.settings.region, hook.settings.imm_project) == ("cn-shanghai", "p")
    monkeypatch.delenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT")
    assert hook.settings.region == "cn-shanghai"


@pytest.mark.skipif(not hasattr(Connection, "aextra_dejson"), reason="this Airflow has no such look-up")
async def test_settings_in_a_coroutine_never_use_the_blocking_lookup(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any) -> Any:
        raise AssertionError("blocking")

    monkeypatch.setattr(BaseHook, "get_connection", forbidden)
    monkeypatch.setattr(Connection, "extra_dejson", property(forbidden))
    hook = OSSAsyncHook()
    assert (await hook.aget_settings()).bucket == "media"
    assert hook.settings is await hook.aget_settings()


async def test_settings_in_a_coroutine_of_an_older_airflow(
    connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forbidden(*_: Any) -> Any:
        raise AssertionError("may deadlock")

    monkeypatch.delattr(Connection, "aextra_dejson", raising=False)
    monkeypatch.setattr(BaseHook, "aget_connection", forbidden)
    assert (await OSSAsyncHook().aget_settings()).bucket == "media"


def test_warnings_are_logged_once(connect: Any) -> None:
    connect({"regoin": "x"})
    hook = OSSAsyncHook()
    with structlog.testing.capture_logs() as logs:
        _ = hook.settings, hook.settings
    assert ["regoin" in str(entry) for entry in logs].count(True) == 1


def test_sync_client(connect: Any, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NO_PROXY)
    wire.respond = service
    with OSSAsyncHook() as hook:
        client = hook.get_conn()
        assert hook.get_conn() is client
        assert client.list_objects_v2(list_objects()).name == "media"
    assert hook.get_conn() is not client
    hook.close()
    (request,) = wire.requests
    assert request.path == "/media/"
    assert "/cn-hangzhou/oss/aliyun_v4_request" in request.headers["authorization"]
    assert f"airflow-provider-oss-async/{__version__}" in request.headers["user-agent"]
    assert "x-oss-security-token" not in request.headers


def test_explicit_proxy(connect: Any, wire: Wire) -> None:
    wire.respond = service
    connect({"proxy": wire.url}, host="http://oss.example")
    with OSSAsyncHook() as hook:
        hook.get_conn().list_objects_v2(list_objects())

    async def both() -> None:
        async with OSSAsyncHook().session() as services:
            assert [item async for item in services.oss.list_objects("media", "")] == []
        async with await OSSAsyncHook().get_async_conn() as client:
            await client.list_objects_v2(list_objects())

    asyncio.run(both())
    assert [request.headers["host"] for request in wire.requests] == ["media.oss.example"] * 3


async def test_async_client(connect: Any, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NO_PROXY)
    wire.respond = service
    connect({"security_token": "TOKEN"})
    async with await OSSAsyncHook().get_async_conn() as client:
        result = await client.list_objects_v2(list_objects())
    assert result.name == "media"
    assert wire.requests[0].headers["x-oss-security-token"] == "TOKEN"


async def test_session(connect: Any, wire: Wire) -> None:
    wire.respond = service
    connect({"smq_endpoint": wire.url})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        async with OSSAsyncHook().session() as services:
            assert [item async for item in services.oss.list_objects("media", "")] == []
            assert await services.imm.get_bucket_project("media") == "media-project"
            assert services.smq is not None
        assert services.imm._session.closed
        gc.collect()
    assert [w for w in caught if "Unclosed" in str(w.message)] == []
    assert "SECRET" not in repr(services)


async def test_session_without_smq(connect: Any) -> None:
    async with OSSAsyncHook().session() as services:
        assert services.smq is None


async def test_session_of_a_bad_connection(connect: Any) -> None:
    connect({"network": "vpc"})
    with pytest.raises(OSSConnectionError, match="network"):
        async with OSSAsyncHook().session():
            pass


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("oss://other/a/b.mp4", ("other", "a/b.mp4")),
        ("a/b c.mp4", ("media", "a/b c.mp4")),
        ("影片/{index}.jpg", ("media", "影片/{index}.jpg")),
    ],
)
def test_resolve_uri(connect: Any, value: str, expected: tuple[str, str]) -> None:
    assert OSSAsyncHook().resolve_uri(value) == expected


@pytest.mark.parametrize(
    "value",
    ["", "oss://", "oss://media", "oss://media/", "oss://-b/k", "/k", "\\k", "a/../k", "./k", "k" * 1024],
)
def test_resolve_uri_refuses(connect: Any, value: str) -> None:
    with pytest.raises(ValueError, match="source="):
        OSSAsyncHook().resolve_uri(value, name="source")


def test_full_address_needs_no_connection() -> None:
    assert OSSAsyncHook("nowhere").resolve_uri("oss://media/k") == ("media", "k")


async def test_imm_errors_are_ours(connect: Any, wire: Wire) -> None:
    wire.respond = lambda request: (400, json.dumps({"Code": "InvalidArgument", "Message": "m"}))
    async with OSSAsyncHook().session() as services:
        with pytest.raises(OSSServiceError, match="InvalidArgument"):
            await services.imm.get_bucket_project("media")
