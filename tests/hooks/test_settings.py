from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.hooks.settings import EXTRA_FIELDS, read_settings

SECRET = "sEcReT+/=%"


def connection(extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    """A connection as the UI form saves it; valid unless a field is taken away."""
    fields = {"conn_type": "oss_async", "login": "AK", "password": SECRET, **fields}
    if extra is None:
        extra = {"region": "cn-hangzhou"}
    return Connection(conn_id="c", extra=extra if isinstance(extra, str) else json.dumps(extra), **fields)


def read(extra: dict[str, Any] | str | None = None, **fields: Any) -> Any:
    return read_settings(connection(extra, **fields))


FORMS = {
    "ui": Connection(
        conn_id="c",
        conn_type="oss_async",
        login="AK",
        password=SECRET,
        host="oss-cn-hangzhou.aliyuncs.com",
        schema="media",
        extra='{"region": "cn-hangzhou", "network": null, "security_token": "", "imm_project": "p"}',
    ),
    "uri": Connection(
        conn_id="c",
        uri="oss-async://AK:sEcReT%2B%2F%3D%25@oss-cn-hangzhou.aliyuncs.com/media?region=cn-hangzhou&imm_project=p",
    ),
    "json": Connection.from_json(
        json.dumps(
            {
                "conn_type": "oss-async",
                "login": "AK",
                "password": SECRET,
                "host": "https://oss-cn-hangzhou.aliyuncs.com/",
                "schema": "media",
                "extra": {"imm_project": "p"},
            }
        ),
        conn_id="c",
    ),
    "official oss": Connection(
        conn_id="c",
        uri="oss://ignored-host.example/media?auth_type=AK&access_key_id=AK&access_key_secret=sEcReT%2B%2F%3D%25"
        "&region=cn-hangzhou&imm_project=p",
    ),
    "official alibaba_cloud": Connection(
        conn_id="c",
        conn_type="alibaba_cloud",
        schema="media",
        extra=json.dumps(
            {"access_key_id": "AK", "access_key_secret": SECRET, "region": "cn-hangzhou", "imm_project": "p"}
        ),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_the_same(form: str) -> None:
    settings = read_settings(FORMS[form])
    assert settings.conn_id == "c"
    assert (settings.access_key_id, settings.access_key_secret) == ("AK", SECRET)
    assert settings.security_token is None
    assert settings.credential_source == "static"
    assert settings.region == "cn-hangzhou"
    assert settings.network == "public"
    assert settings.bucket == "media"
    assert settings.imm_project == "p"
    assert settings.oss_endpoint == "https://oss-cn-hangzhou.aliyuncs.com"
    assert settings.imm_endpoint == "https://imm.cn-hangzhou.aliyuncs.com"
    assert settings.smq_endpoint == ""
    assert not settings.path_style
    assert settings.warnings == ()


def test_empty_texts_mean_unset() -> None:
    empty = dict.fromkeys(EXTRA_FIELDS - {"access_key_id", "access_key_secret"}, "")
    assert read({**empty, "region": "cn-hangzhou"}, host="", schema=" ") == read()


@pytest.mark.parametrize(
    ("host", "port", "endpoint", "path_style"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", None, "https://oss-cn-hangzhou.aliyuncs.com", False),
        ("http://oss.internal.example", 8080, "http://oss.internal.example:8080", False),
        ("OSS.example:8443", None, "https://oss.example:8443", False),
        ("127.0.0.1", 9000, "http://127.0.0.1:9000", True),
        ("localhost", 9000, "http://localhost:9000", True),
        ("https://localhost:9000", None, "https://localhost:9000", True),
        ("10.0.0.7:80", None, "https://10.0.0.7:80", True),
        ("::1", 9000, "http://[::1]:9000", True),
        ("http://[::1]", 9000, "http://[::1]:9000", True),
        ("[fd00::7]", None, "https://[fd00::7]", True),
    ],
)
def test_endpoint(host: str, port: int | None, endpoint: str, path_style: bool) -> None:
    settings = read(host=host, port=port)
    assert settings.oss_endpoint == endpoint
    assert settings.path_style is path_style


def test_endpoint_of_a_uri_with_scheme_and_ipv6() -> None:
    conn = Connection(conn_id="c", uri="oss-async://http://AK:sk@[::1]:9000/media?region=cn-hangzhou")
    assert read_settings(conn).oss_endpoint == "http://[::1]:9000"


@pytest.mark.parametrize(
    ("network", "oss", "imm"),
    [
        ("", "https://oss-cn-hangzhou.aliyuncs.com", "https://imm.cn-hangzhou.aliyuncs.com"),
        ("public", "https://oss-cn-hangzhou.aliyuncs.com", "https://imm.cn-hangzhou.aliyuncs.com"),
        (
            "internal",
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
            "https://imm-vpc.cn-hangzhou.aliyuncs.com",
        ),
        ("accelerate", "https://oss-accelerate.aliyuncs.com", "https://imm.cn-hangzhou.aliyuncs.com"),
    ],
)
def test_network(network: str, oss: str, imm: str) -> None:
    settings = read({"region": "cn-hangzhou", "network": network})
    assert (settings.oss_endpoint, settings.imm_endpoint) == (oss, imm)


def test_internal_endpoint_implies_the_internal_network() -> None:
    settings = read({}, host="oss-ap-southeast-1-internal.aliyuncs.com")
    assert settings.region == "ap-southeast-1"
    assert settings.imm_endpoint == "https://imm-vpc.ap-southeast-1.aliyuncs.com"


def test_region_without_its_oss_prefix_and_replaced_by_the_caller() -> None:
    assert read({"region": "oss-cn-shanghai"}).region == "cn-shanghai"
    settings = read_settings(connection({"region": "cn-shanghai"}), region="eu-central-1", imm_project="mine")
    assert settings.oss_endpoint == "https://oss-eu-central-1.aliyuncs.com"
    assert settings.imm_project == "mine"


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (True, True), ("false", False), ("auto", True), (None, True)]
)
def test_path_style(value: object, expected: bool) -> None:
    assert read({"region": "cn-hangzhou", "path_style": value}, host="127.0.0.1").path_style is expected


@pytest.mark.parametrize(
    ("extra", "fields", "warning"),
    [
        ({}, {"host": "http://oss-cn-hangzhou.aliyuncs.com"}, "is used over http"),
        (
            {"region": "cn-shanghai"},
            {"host": "oss-cn-hangzhou.aliyuncs.com"},
            "endpoint is that of cn-hangzhou",
        ),
        ({"region": "cn-hangzhou", "regoin": "x"}, {}, "['regoin']"),
        (
            {"region": "cn-hangzhou", "role_arn": "acs:x", "credential_source": "static"},
            {},
            "role_arn has no effect",
        ),
    ],
)
def test_warnings(extra: dict[str, Any], fields: dict[str, Any], warning: str) -> None:
    (found,) = read(extra, **fields).warnings
    assert warning in found


@pytest.mark.parametrize(
    ("extra", "fields", "field"),
    [
        ({}, {}, "region: not set"),
        ({"region": "hangzhou"}, {}, "region: 'hangzhou'"),
        ({"region": "cn-hangzhou", "network": "vpc"}, {}, "network: 'vpc'"),
        ({"region": "cn-hangzhou", "credential_source": "ak"}, {}, "credential_source: 'ak'"),
        ({"region": "cn-hangzhou", "connect_timeout": "soon"}, {}, "connect_timeout: 'soon'"),
        ({"region": "cn-hangzhou", "read_timeout": 0}, {}, "read_timeout: '0'"),
        ({"region": "cn-hangzhou", "role_session_expiration": 899}, {}, "role_session_expiration: '899'"),
        ({"region": "cn-hangzhou", "path_style": "maybe"}, {}, "path_style: 'maybe'"),
        ({"region": "cn-hangzhou", "proxy": f"proxy:{SECRET}@host"}, {}, "proxy: must be a URL"),
        ({"region": "cn-hangzhou", "imm_endpoint": "ftp://x"}, {}, "imm_endpoint: must be"),
        ({"region": "cn-hangzhou", "smq_endpoint": "a.mns.example/queues"}, {}, "smq_endpoint: must end"),
        ({"region": "cn-hangzhou", "smq_queue": "q"}, {}, "smq_endpoint: needed for smq_queue"),
        ({"region": "cn-hangzhou"}, {"host": "media.oss-cn-hangzhou.aliyuncs.com"}, "host (OSS endpoint)"),
        ({"region": "cn-hangzhou"}, {"host": "x:y"}, "host (OSS endpoint)"),
        ({"region": "cn-hangzhou"}, {"schema": "My_Bucket"}, "schema (default bucket): 'My_Bucket'"),
        ({"region": "cn-hangzhou"}, {"login": ""}, "login (AccessKey ID): not set"),
        ({"region": "cn-hangzhou"}, {"password": None}, "password (AccessKey secret): not set"),
        ({"region": "cn-hangzhou", "credential_source": "ram_role_arn"}, {}, "role_arn: not set"),
        ({"region": "cn-hangzhou"}, {"conn_type": "aws"}, "connection type: 'aws'"),
        ({"auth_type": "STS", "region": "cn-hangzhou"}, {"conn_type": "oss"}, "auth_type: 'STS'"),
        ("[1]", {}, "extra: must be a JSON object"),
        ("{", {}, "extra: must be a JSON object"),
    ],
)
def test_problems(extra: dict[str, Any] | str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read(extra, **fields)
    message = str(caught.value)
    assert "'c'" in message
    assert field in message
    assert SECRET not in message


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read({"network": "vpc"}, login=None, schema="x")
    for field in ("region:", "network:", "login", "schema"):
        assert field in str(caught.value)


def test_secrets_are_not_shown() -> None:
    settings = read(
        {"region": "cn-hangzhou", "security_token": SECRET, "proxy": f"http://u:{SECRET[:6]}@proxy:1"}
    )
    assert settings.security_token == SECRET
    assert SECRET[:6] not in repr(settings)


@pytest.mark.parametrize(
    ("extra", "login", "source"),
    [
        ({}, "AK", "static"),
        ({"role_arn": "acs:ram::1:role/r"}, "AK", "ram_role_arn"),
        ({"credential_source": "environment"}, None, "environment"),
        ({"credential_source": "ecs_ram_role", "ecs_role_name": "r"}, None, "ecs_ram_role"),
        ({"credential_source": "oidc_role_arn"}, None, "oidc_role_arn"),
        ({"credential_source": "credentials_uri", "credentials_uri": "http://x"}, None, "credentials_uri"),
        ({"credential_source": "default"}, None, "default"),
    ],
)
def test_credential_source(extra: dict[str, Any], login: str | None, source: str) -> None:
    settings = read({"region": "cn-hangzhou", **extra}, login=login, password="s" if login else None)
    assert settings.credential_source == source
    assert settings.warnings == ()


def test_numbers_from_texts() -> None:
    settings = read(
        {
            "region": "cn-hangzhou",
            "connect_timeout": "2.5",
            "read_timeout": 30,
            "role_session_expiration": "7200",
        }
    )
    assert (settings.connect_timeout, settings.read_timeout) == (2.5, 30.0)
    assert settings.role_session_expiration == 7200


def test_internal_smq_is_http() -> None:
    host = "1.mns.cn-hangzhou-internal.aliyuncs.com"
    settings = read({"region": "cn-hangzhou", "smq_endpoint": host, "smq_queue": "q"})
    assert settings.smq_endpoint == f"http://{host}"
    assert settings.warnings == ()
