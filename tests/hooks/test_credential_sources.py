from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Connection
from alibabacloud_oss_v2.types import Credentials as SDKCredentials

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSUnavailableError
from airflow_provider_oss_async.hooks.credential_sources import (
    ASK_AGAIN_AFTER,
    RENEW_BEFORE,
    CachedCredentials,
    credentials_source,
    sdk_provider,
)
from airflow_provider_oss_async.hooks.settings import ConnectionSettings, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def connection(extra: dict[str, Any], *, login: str | None = "AK", password: str | None = "SK") -> Connection:
    return Connection(
        conn_id="c", conn_type="oss_async", login=login, password=password, extra=json.dumps(extra)
    )


def numbered(expires_in: Callable[[int], float | None], *, seconds: float = 0.0) -> tuple[Any, list[int]]:
    """Credentials K1, K2, ...; ``expires_in(n)`` seconds from now; each takes ``seconds`` to get."""
    calls: list[int] = []

    def load() -> tuple[Credentials, float | None]:
        calls.append(threading.get_ident())
        time.sleep(seconds)
        life = expires_in(len(calls))
        return Credentials(f"K{len(calls)}", "s", "t"), None if life is None else time.time() + life

    return load, calls


async def test_many_callers_one_load_and_the_loop_goes_on() -> None:
    load, calls = numbered(lambda n: 3600, seconds=0.2)
    source = CachedCredentials(load)
    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - before)

    pulse = asyncio.create_task(heartbeat())
    got = await asyncio.gather(*(source() for _ in range(200)))
    pulse.cancel()
    assert {keys.access_key_id for keys in got} == {"K1"}
    assert len(calls) == 1
    assert calls[0] != threading.get_ident()
    assert longest < 0.15


def test_loops_and_threads_share_one_load() -> None:
    load, calls = numbered(lambda n: 3600, seconds=0.05)
    source = CachedCredentials(load)
    threads = [threading.Thread(target=lambda: asyncio.run(source())) for _ in range(4)]
    threads += [threading.Thread(target=source.get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("life", "later", "loads"),
    [
        (3600, 3600 - RENEW_BEFORE - 5, 1),
        (3600, 3600 - RENEW_BEFORE + 5, 2),
        (None, ASK_AGAIN_AFTER - 5, 1),
        (None, ASK_AGAIN_AFTER + 5, 2),
        (float("inf"), 10**9, 1),
        # Nearly expired when they come: not asked for anew by every request.
        (30, ASK_AGAIN_AFTER - 5, 1),
    ],
)
async def test_renewal(monkeypatch: pytest.MonkeyPatch, life: float | None, later: float, loads: int) -> None:
    load, calls = numbered(lambda n: life)
    source = CachedCredentials(load)
    assert (await source()).access_key_id == "K1"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + later)
    assert (await source()).access_key_id == f"K{loads}"
    assert source.current().access_key_id == f"K{loads}"
    assert len(calls) == loads


async def test_failed_renewal_keeps_valid_credentials(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fails = False

    def load() -> tuple[Credentials, float | None]:
        if fails:
            raise OSSUnavailableError("no", service="STS", action="GetCredentials")
        return Credentials("K", "s"), start + 3600

    start = time.time()
    source = CachedCredentials(load)
    await source()
    fails = True
    monkeypatch.setattr(time, "time", lambda: start + 3500)
    assert (await source()).access_key_id == "K"
    assert "could not be renewed" in caplog.text
    monkeypatch.setattr(time, "time", lambda: start + 3700)
    with pytest.raises(OSSUnavailableError):
        await source()


async def test_cancelled_caller_does_not_disturb_the_others() -> None:
    load, calls = numbered(lambda n: 3600, seconds=0.1)
    source = CachedCredentials(load)
    first = asyncio.create_task(source())
    second = asyncio.create_task(source())
    await asyncio.sleep(0.02)
    first.cancel()
    assert (await second).access_key_id == "K1"
    assert len(calls) == 1


async def test_sdk_provider_never_loads_on_the_loop() -> None:
    load, calls = numbered(lambda n: 3600)
    source = CachedCredentials(load)
    provider = sdk_provider(source, blocking=False)
    with pytest.raises(OSSConnectionError, match="not loaded yet"):
        provider.get_credentials()
    assert calls == []
    await source()
    keys = provider.get_credentials()
    assert isinstance(keys, SDKCredentials)
    assert (keys.access_key_id, keys.access_key_secret, keys.security_token) == ("K1", "s", "t")


def test_sdk_provider_of_the_synchronous_client_loads() -> None:
    load, _ = numbered(lambda n: 3600)
    assert sdk_provider(CachedCredentials(load), blocking=True).get_credentials().access_key_id == "K1"


def test_static() -> None:
    settings = read_settings(connection({"region": "cn-hangzhou", "security_token": "t"}))
    assert credentials_source(settings).get() == Credentials("AK", "SK", "t")


@pytest.mark.parametrize(
    "names",
    [
        ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, names: tuple[str, str, str]) -> None:
    source = credentials_source(of("environment"))
    with pytest.raises(OSSConnectionError, match="OSS_ACCESS_KEY_ID"):
        source.get()
    monkeypatch.setenv(names[0], "E")
    monkeypatch.setenv(names[1], "S")
    assert source.get() == Credentials("E", "S", None)
    monkeypatch.setenv(names[2], "T")
    assert credentials_source(of("environment")).get().security_token == "T"


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ({"OSS_ACCESS_KEY_ID": "123456789012"}, "AccessKey ID"),
        ({"OSS_ACCESS_KEY_ID": "A\nK"}, "AccessKey ID"),
        ({"OSS_ACCESS_KEY_SECRET": "TOP\nSECRET"}, "AccessKey secret"),
        ({"OSS_SESSION_TOKEN": "TOP\u200bSECRET"}, "Security token"),
    ],
)
def test_keys_that_no_header_can_carry(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], label: str
) -> None:
    for name, value in {"OSS_ACCESS_KEY_ID": "AK", "OSS_ACCESS_KEY_SECRET": "S", **names}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OSSConnectionError, match=f"environment: its {label} is not") as caught:
        credentials_source(of("environment")).get()
    assert "SECRET" not in str(caught.value)


async def test_keys_of_a_credentials_uri_that_no_header_can_carry(wire: Any) -> None:
    wire.respond = lambda request: (200, temporary(1).replace("TOPTOKEN", "TOP TOKEN"))
    with pytest.raises(OSSConnectionError, match="its Security token is not"):
        await credentials_source(of("credentials_uri", credentials_uri=wire.url))()


def of(source: str, **extra: Any) -> ConnectionSettings:
    extra = {"region": "cn-hangzhou", "credential_source": source, **extra}
    keys = {} if source == "ram_role_arn" else {"login": None, "password": None}
    return read_settings(connection(extra, **keys))


def temporary(n: int, life: float = 3600) -> str:
    """What a credentials URI answers with."""
    return json.dumps(
        {
            "Code": "Success",
            "AccessKeyId": f"STS.{n}",
            "AccessKeySecret": "TOPSECRET",
            "SecurityToken": "TOPTOKEN",
            "Expiration": datetime.fromtimestamp(time.time() + life, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


async def test_credentials_uri(wire: Any) -> None:
    wire.respond = lambda request: (200, temporary(len(wire.requests)))
    wire.delay = 0.05
    settings = of("credentials_uri", credentials_uri=f"{wire.url}/keys?role=x")
    source = credentials_source(settings)
    got = await asyncio.gather(*(source() for _ in range(20)))
    assert set(got) == {Credentials("STS.1", "TOPSECRET", "TOPTOKEN")}
    assert [(request.path, request.query) for request in wire.requests] == [("/keys", {"role": ["x"]})]
    # Another hook with the same connection shares them.
    assert credentials_source(of("credentials_uri", credentials_uri=f"{wire.url}/keys?role=x")) is source


async def test_rotation(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.respond = lambda request: (200, temporary(len(wire.requests)))
    source = credentials_source(of("credentials_uri", credentials_uri=wire.url))
    assert (await source()).access_key_id == "STS.1"
    ahead = 3600 - RENEW_BEFORE + 1
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    assert (await source()).access_key_id == "STS.2"


async def test_credentials_uri_from_the_environment(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire.respond = lambda request: (200, temporary(1))
    source = credentials_source(of("credentials_uri"))
    with pytest.raises(OSSConnectionError, match="ALIBABA_CLOUD_CREDENTIALS_URI is set"):
        await source()
    monkeypatch.setenv("ALIBABA_CLOUD_CREDENTIALS_URI", wire.url)
    assert (await source()).access_key_id == "STS.1"


async def test_credentials_uri_needs_no_further_package(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials", None)
    wire.respond = lambda request: (200, temporary(1))
    assert (
        await credentials_source(of("credentials_uri", credentials_uri=wire.url))()
    ).access_key_id == "STS.1"


async def test_query_of_a_credentials_uri_is_in_no_log(wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wire.respond = lambda request: (200, temporary(1))
    await credentials_source(of("credentials_uri", credentials_uri=f"{wire.url}/?token=TOPSECRET"))()
    assert wire.requests[0].query == {"token": ["TOPSECRET"]}
    assert "TOP" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]


async def test_redirections_are_not_followed(wire: Any) -> None:
    wire.headers |= {"Location": f"{wire.url}/elsewhere"}
    wire.respond = lambda request: (302, "")
    with pytest.raises(OSSConnectionError, match="redirection"):
        await credentials_source(of("credentials_uri", credentials_uri=f"{wire.url}/keys"))()
    assert [request.path for request in wire.requests] == ["/keys"]


async def test_the_whole_answer_has_a_time_limit(wire: Any) -> None:
    wire.respond = lambda request: (200, temporary(1))
    wire.trickle = 0.05
    settings = of("credentials_uri", credentials_uri=wire.url, connect_timeout=0.2, read_timeout=0.3)
    began = time.monotonic()
    with pytest.raises(OSSUnavailableError, match=r"did not answer within 0\.5 s"):
        await credentials_source(settings)()
    assert time.monotonic() - began < 5


async def test_a_credentials_uri_can_be_asked_on_a_running_loop(wire: Any) -> None:
    wire.respond = lambda request: (200, temporary(1))
    # As get_conn() of the hook does, here within a coroutine.
    assert credentials_source(of("credentials_uri", credentials_uri=wire.url)).get().access_key_id == "STS.1"


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (
            403,
            '{"Code": "NoPermission", "Message": "TOPSECRET"}',
            OSSConnectionError,
            "HTTP 403 NoPermission",
        ),
        (500, "TOPSECRET", OSSUnavailableError, "HTTP 500"),
        (429, '{"Code": "Throttling.User"}', OSSUnavailableError, "HTTP 429 Throttling.User"),
        (200, '{"Code": "Success", "AccessKeySecret": "TOPSECRET"}', OSSConnectionError, "could not be used"),
        (200, "TOPSECRET", OSSConnectionError, "could not be used"),
    ],
)
async def test_failures_tell_no_secrets(
    wire: Any,
    status: int,
    body: str,
    kind: type[Exception],
    text: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wire.respond = lambda request: (status, body)
    with pytest.raises(kind, match=text) as caught:
        await credentials_source(of("credentials_uri", credentials_uri=wire.url))()
    assert "'c'" in str(caught.value)
    assert caught.value.__context__ is None
    output = capfd.readouterr()
    assert "TOPSECRET" not in output.out + output.err + caplog.text + str(caught.value)


async def test_unreachable_issuer_can_be_tried_again(capfd: pytest.CaptureFixture[str]) -> None:
    settings = of("credentials_uri", credentials_uri="http://127.0.0.1:9/?token=TOPSECRET")
    with pytest.raises(OSSUnavailableError, match="could not be reached") as caught:
        await credentials_source(settings)()
    assert "TOPSECRET" not in str(caught.value) + capfd.readouterr().err


ROLE = {"role_arn": "acs:ram::1:role/r"}


async def test_missing_settings_and_files_are_named() -> None:
    with pytest.raises(OSSConnectionError, match="role_arn"):
        await credentials_source(of("oidc_role_arn"))()
    extra = {**ROLE, "oidc_provider_arn": "acs:ram::1:oidc-provider/p", "oidc_token_file": "/no/such/token"}
    with pytest.raises(OSSConnectionError, match="/no/such/token"):
        await credentials_source(of("oidc_role_arn", **extra))()


async def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alibabacloud_credentials.client", None)
    source = credentials_source(of("ram_role_arn", role_arn="acs:ram::1:role/missing"))
    with pytest.raises(OSSConnectionError, match=r"airflow-provider-oss-async\[credentials\]"):
        await source()


@pytest.mark.parametrize(
    ("network", "host"),
    [
        ("public", "sts.cn-hangzhou.aliyuncs.com"),
        ("internal", "sts-vpc.cn-hangzhou.aliyuncs.com"),
        ("accelerate", "sts.cn-hangzhou.aliyuncs.com"),
    ],
)
async def test_roles_are_assumed_at_sts_of_the_network_through_the_proxy(
    wire: Any, network: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Variables for the credentials package do not change what the connection says.
    monkeypatch.setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true")
    settings = of("ram_role_arn", **ROLE, network=network, proxy=wire.url)
    with pytest.raises(OSSUnavailableError, match="could not be reached") as caught:
        await credentials_source(settings)()
    assert [(request.method, request.path) for request in wire.requests] == [("CONNECT", f"{host}:443")]
    text = str(caught.value)
    assert f"No credentials from ram_role_arn, by STS at {host}: it could not be reached." in text
    assert "Check network, proxy and region" in text
    assert (caught.value.service, caught.value.action) == ("STS", "AssumeRole")
    assert "SK" not in text


async def test_requests_to_sts_are_in_no_log(
    wire: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    token = tmp_path / "token"
    token.write_text("TOPSECRET")
    settings = of(
        "oidc_role_arn",
        **ROLE,
        oidc_provider_arn="acs:ram::1:oidc-provider/p",
        oidc_token_file=str(token),
        proxy=wire.url,
    )
    with pytest.raises(OSSUnavailableError) as caught:
        await credentials_source(settings)()
    assert "by STS at sts.cn-hangzhou.aliyuncs.com" in str(caught.value)
    assert "TOPSECRET" not in str(caught.value) + caplog.text
    assert not [record for record in caplog.records if record.name.startswith("urllib3")]
    # Other requests are logged as before.
    logging.getLogger("urllib3.connectionpool").debug("another request")
    assert "another request" in caplog.text


@pytest.mark.parametrize(
    ("status", "code", "kind", "advice"),
    [
        (403, "NoPermission", OSSConnectionError, "sts:AssumeRole"),
        (403, "NoPermission", OSSConnectionError, "The role's trust policy must name the caller too."),
        (404, "EntityNotExist.Role", OSSConnectionError, "role_arn"),
        (404, "InvalidAccessKeyId.NotFound", OSSConnectionError, "AccessKey ID"),
        (400, "SignatureDoesNotMatch", OSSConnectionError, "secret"),
        (400, "Throttling.User", OSSUnavailableError, ""),
        (503, "ServiceUnavailable", OSSUnavailableError, ""),
    ],
)
def test_refusals_of_sts_name_sts_and_the_remedy(
    status: int, code: str, kind: type[Exception], advice: str
) -> None:
    from alibabacloud_credentials.exceptions import CredentialException

    from airflow_provider_oss_async.hooks.credential_sources import _failure

    # As the credentials package writes it; STS itself would need a certificate that the package trusts.
    body = json.dumps({"RequestId": "R-1", "Code": code, "Message": "signed: TOPSECRET"})
    text = f"error refreshing credentials from ram_role_arn, http_code: {status}, result: {body}"
    error = _failure(of("ram_role_arn", **ROLE), CredentialException(text))
    assert type(error) is kind
    assert (error.service, error.action, error.status, error.code) == ("STS", "AssumeRole", status, code)
    assert error.request_id == "R-1"
    assert "by STS at sts.cn-hangzhou.aliyuncs.com: it " in str(error)
    assert f"HTTP {status} {code}" in str(error)
    assert advice in error.advice
    assert error.advice in str(error)
    assert "TOPSECRET" not in str(error)


@pytest.mark.parametrize(
    ("source", "extra", "kind"),
    [
        ("ram_role_arn", {**ROLE, "external_id": "xy"}, "RamRoleArnCredentialsProvider"),
        ("ecs_ram_role", {"ecs_role_name": "r"}, "EcsRamRoleCredentialsProvider"),
    ],
)
def test_other_sources_are_built(source: str, extra: dict[str, str], kind: str) -> None:
    from airflow_provider_oss_async.hooks.credential_sources import _provider

    before = threading.active_count()
    provider = _provider(of(source, **extra))
    assert type(provider).__name__ == kind
    assert threading.active_count() == before


@pytest.mark.parametrize("configured", [True, False])
def test_default_chain(tmp_path: Path, configured: bool) -> None:
    # In a process of its own: the package reads the environment when it is imported.
    script = """
from types import SimpleNamespace
from airflow_provider_oss_async.hooks.credential_sources import credentials_source
from airflow_provider_oss_async.hooks.settings import read_settings
extra = '{"region": "cn-hangzhou", "credential_source": "default"}'
names = dict.fromkeys(("login", "password", "host", "port", "schema"))
conn = SimpleNamespace(conn_id="c", conn_type="oss_async", extra=extra, **names)
try:
    print(credentials_source(read_settings(conn)).get())
except Exception as error:
    print(type(error).__name__, error)
"""
    env = {"HOME": str(tmp_path), "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", "PYTHONPATH": os.getcwd()}
    if configured:
        env |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": "E", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "TOPSECRET"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    if configured:
        assert done.stdout.strip() == "Credentials(access_key_id='E')"
    else:
        assert "OSSConnectionError" in done.stdout
        assert "default chain" in done.stdout
    assert done.stderr == ""
