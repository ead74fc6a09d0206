from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.sdk import Connection
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.hooks.connection_fields import EXTRA_FIELDS
from airflow_provider_oss_async.hooks.settings import ConnectionSettings, read_settings

SECRET = "sEcReT+/=%"


def connection(extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    """A connection as the UI form saves it; valid unless a field is taken away."""
    fields = {"conn_type": "oss_async", "login": "AK", "password": SECRET, **fields}
    if extra is None:
        extra = {"region": "cn-hangzhou"}
    return Connection(conn_id="c", extra=extra if isinstance(extra, str) else json.dumps(extra), **fields)


def read(extra: dict[str, Any] | str | None = None, **fields: Any) -> ConnectionSettings:
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
    "uri": Connection.from_uri(
        "oss-async://AK:sEcReT%2B%2F%3D%25@oss-cn-hangzhou.aliyuncs.com/media?region=cn-hangzhou&imm_project=p",
        conn_id="c",
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
    "official oss": Connection.from_uri(
        "oss://ignored-host.example/media?auth_type=AK&access_key_id=AK&access_key_secret=sEcReT%2B%2F%3D%25"
        "&region=cn-hangzhou&imm_project=p",
        conn_id="c",
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
        ("oss-cn-hangzhou.aliyuncs.com.", None, "https://oss-cn-hangzhou.aliyuncs.com", False),
        ("cn-hangzhou.oss.aliyuncs.com", None, "https://cn-hangzhou.oss.aliyuncs.com", False),
        ("oss-accelerate-overseas.aliyuncs.com", None, "https://oss-accelerate-overseas.aliyuncs.com", False),
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
    conn = Connection.from_uri("oss-async://http://AK:sk@[::1]:9000/media?region=cn-hangzhou", conn_id="c")
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
        (
            "accelerate-overseas",
            "https://oss-accelerate-overseas.aliyuncs.com",
            "https://imm.cn-hangzhou.aliyuncs.com",
        ),
        ("dual-stack", "https://cn-hangzhou.oss.aliyuncs.com", "https://imm.cn-hangzhou.aliyuncs.com"),
    ],
)
def test_network(network: str, oss: str, imm: str) -> None:
    settings = read({"region": "cn-hangzhou", "network": network})
    assert (settings.oss_endpoint, settings.imm_endpoint) == (oss, imm)


def test_internal_endpoint_implies_the_internal_network() -> None:
    settings = read({}, host="oss-ap-southeast-1-internal.aliyuncs.com")
    assert settings.region == "ap-southeast-1"
    assert settings.imm_endpoint == "https://imm-vpc.ap-southeast-1.aliyuncs.com"


@pytest.mark.parametrize(
    ("region", "network"),
    [
        ("oss-cn-shanghai", "public"),
        ("oss-cn-shanghai.aliyuncs.com", "public"),
        ("https://media.oss-cn-shanghai.aliyuncs.com/", "public"),
        ("cn-shanghai-internal", "internal"),
        ("oss-cn-shanghai-internal", "internal"),
        ("oss-cn-shanghai-internal.aliyuncs.com", "internal"),
        ("cn-shanghai.oss.aliyuncs.com", "dual-stack"),
    ],
)
def test_region_in_the_forms_people_write(region: str, network: str) -> None:
    settings = read({"region": region})
    assert (settings.region, settings.network) == ("cn-shanghai", network)
    assert settings.warnings == ()
    assert read_settings(connection({"region": "eu-central-1"}), region=region).region == "cn-shanghai"


def test_arguments_take_the_place_of_fields() -> None:
    settings = read_settings(connection({"region": "cn-shanghai"}), region="eu-central-1", imm_project="mine")
    assert settings.oss_endpoint == "https://oss-eu-central-1.aliyuncs.com"
    assert settings.imm_project == "mine"
    assert read_settings(connection(), region=None, imm_project=None) == read()
    # The connection needs none then.
    assert read_settings(connection({}), region="cn-hangzhou").region == "cn-hangzhou"


@pytest.mark.parametrize("name", ["region", "imm_project"])
@pytest.mark.parametrize("value", ["", " ", "None", 7, ["cn-hangzhou"], "a\u200bb", "a b"])
def test_arguments_that_say_nothing_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read_settings(connection(), **{name: value})
    text = str(caught.value)
    assert text.count("cannot be used") == 1
    assert f"({name})" in text
    assert repr(value) in text
    assert "not set" not in text


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (True, True), ("False", False), ("auto", True), (None, True)]
)
def test_path_style(value: object, expected: bool) -> None:
    assert read({"region": "cn-hangzhou", "path_style": value}, host="127.0.0.1").path_style is expected


def test_custom_domain_in_every_form() -> None:
    forms = [
        connection({"region": "cn-hangzhou", "cname": True}, host="media.example.com", schema="media"),
        connection(
            {"region": "cn-hangzhou", "cname": "true"}, host="https://media.example.com", schema="media"
        ),
        Connection.from_uri(
            "oss-async://AK:s@media.example.com/media?region=cn-hangzhou&cname=true&imm_project=p",
            conn_id="c",
        ),
    ]
    for conn in forms:
        settings = read_settings(conn)
        assert settings.cname
        assert not settings.path_style
        assert settings.oss_endpoint == "https://media.example.com"
        assert settings.imm_endpoint == "https://imm.cn-hangzhou.aliyuncs.com"
        assert settings.warnings == ()
    assert not read().cname


@pytest.mark.parametrize(
    ("extra", "fields", "warnings"),
    [
        ({}, {"host": "http://oss-cn-hangzhou.aliyuncs.com"}, ["is used over http"]),
        ({}, {"host": "oss-cn-shanghai.aliyuncs.com"}, ["correct region or OSS endpoint (host)"]),
        (
            {"imm_endpoint": "imm.cn-beijing.aliyuncs.com"},
            {},
            ["the endpoint that of cn-beijing"],
        ),
        ({"smq_endpoint": "1.mns.cn-beijing.aliyuncs.com"}, {}, ["correct region or SMQ endpoint"]),
        ({"regoin": "x"}, {}, ["['regoin']"]),
        ({"role_arn": "acs:ram::1:role/r", "credential_source": "static"}, {}, ["role_arn) has no effect"]),
        ({"credential_source": "default", "security_token": "t"}, {}, ["security_token) has no effect"]),
        (
            {"network": "internal"},
            {"host": "oss-cn-hangzhou.aliyuncs.com"},
            ["unset network or OSS endpoint (host)"],
        ),
        ({"network": "public"}, {"host": "oss-accelerate.aliyuncs.com"}, ["the endpoint for accelerate"]),
        (
            {"network": "internal", "imm_endpoint": "imm.cn-hangzhou.aliyuncs.com"},
            {},
            ["the endpoint for public"],
        ),
        ({"network": "accelerate", "imm_endpoint": "imm.cn-hangzhou.aliyuncs.com"}, {}, []),
        ({"network": "public", "region": "cn-hangzhou-internal"}, {}, ["but network is public"]),
        ({"path_style": "true"}, {}, ["SecondLevelDomainForbidden"]),
        ({"path_style": "true"}, {"host": "oss-accelerate.aliyuncs.com"}, ["SecondLevelDomainForbidden"]),
        ({"path_style": "true"}, {"host": "oss.internal.example"}, []),
        ({}, {"host": "media.example.com", "schema": "media"}, ["(media.media.example.com); set cname"]),
        ({"cname": "false"}, {"host": "oss.internal.example"}, []),
    ],
)
def test_warnings(extra: dict[str, Any], fields: dict[str, Any], warnings: list[str]) -> None:
    found = read({"region": "cn-hangzhou", **extra}, **fields).warnings
    assert len(found) == len(warnings), found
    for warning, expected in zip(found, warnings, strict=True):
        assert expected in warning


@pytest.mark.parametrize(
    ("extra", "fields", "field"),
    [
        ({"region": None}, {}, "Region (region): not set"),
        ({"region": "hangzhou"}, {}, "Region (region): 'hangzhou': this is not a region id"),
        ({"region": "cn-hangzhou-h"}, {}, "its region is cn-hangzhou"),
        ({"region": "oss-accelerate.aliyuncs.com"}, {}, "this host does not name a region"),
        ({"network": "vpc"}, {}, "Network (network): 'vpc' is not one of public, internal"),
        ({"credential_source": "ak"}, {}, "Credential source (credential_source): 'ak'"),
        (
            {"connect_timeout": "soon"},
            {},
            "(connect_timeout): 'soon' is not a number from 0.1 to 600 seconds",
        ),
        ({"connect_timeout": True}, {}, "(connect_timeout): must be a text, not bool"),
        ({"read_timeout": 0}, {}, "(read_timeout): '0'"),
        ({"read_timeout": "inf"}, {}, "(read_timeout): 'inf'"),
        ({"role_session_expiration": 899}, {}, "(role_session_expiration): '899' is not a whole number"),
        ({"role_session_expiration": "900.5"}, {}, "(role_session_expiration): '900.5'"),
        ({"path_style": "maybe"}, {}, "(path_style): 'maybe'"),
        ({"cname": "media.example.com"}, {}, "(cname): 'media.example.com' is not one of true, false"),
        ({"proxy": f"proxy:{SECRET}@host"}, {}, "Proxy (proxy): must be a URL such as"),
        ({"proxy": f"http://u:{SECRET}@a b:1"}, {}, "Proxy (proxy): must be"),
        ({"proxy": "http://proxy:0"}, {}, "Proxy (proxy): must be"),
        ({"proxy": "http://proxy:1/path"}, {}, "Proxy (proxy): must be"),
        ({"credentials_uri": f"{SECRET}"}, {}, "(credentials_uri): must be"),
        ({"imm_endpoint": "ftp://x"}, {}, "(imm_endpoint): must be"),
        ({"imm_endpoint": "oss-cn-hangzhou.aliyuncs.com"}, {}, "(imm_endpoint): this is an endpoint of OSS"),
        ({"smq_endpoint": "a.mns.example/queues"}, {}, "(smq_endpoint): must be"),
        (
            {"smq_endpoint": "mns.cn-hangzhou.aliyuncs.com"},
            {},
            "(smq_endpoint): must begin with the account id",
        ),
        ({"smq_queue": "q"}, {}, "https://<account id>.mns.cn-hangzhou.aliyuncs.com"),
        (
            {"smq_queue": "q", "network": "internal"},
            {},
            "http://<account id>.mns.cn-hangzhou-internal.aliyuncs.com",
        ),
        ({"smq_queue": "q/messages"}, {}, "SMQ queue (smq_queue): 'q/messages'"),
        ({}, {"schema": "My_Bucket"}, "Default bucket (schema): 'My_Bucket' is not 3 to 63"),
        ({}, {"login": ""}, "AccessKey ID (login): not set, but credential_source is 'static' (the default)"),
        ({}, {"password": None}, "AccessKey secret (password): not set"),
        ({"credential_source": "ram_role_arn"}, {}, "RAM role ARN (role_arn): not set"),
        ({}, {"conn_type": "aws"}, "connection type: 'aws'"),
        ({"auth_type": "STS"}, {"conn_type": "oss"}, "auth_type: 'STS'"),
        ({}, {"conn_type": "oss", "login": None}, "AccessKey ID (access_key_id): not set"),
        ("[1]", {}, "extra: must be a JSON object"),
        ("{", {}, "extra: must be a JSON object"),
        ("[" * 100_000, {}, "extra: must be a JSON object"),
        ({"imm_project": ["p"]}, {}, "IMM project (imm_project): must be a text, not list"),
        ({"imm_project": {"a": 1}}, {}, "IMM project (imm_project): must be a text, not dict"),
        ({"imm_project": "None"}, {}, "IMM project (imm_project): 'None' is what templates make"),
        ({"region": "None"}, {}, "Region (region): 'None' is what templates make"),
        ({"imm_project": "a/b"}, {}, "IMM project (imm_project): 'a/b' is not 1 to 128"),
        # Credentials that a header could not carry, or that are none.
        ({}, {"login": "123456789012"}, "AccessKey ID (login): '123456789012' is not an AccessKey ID"),
        ({"access_key_id": 123}, {"conn_type": "oss", "login": None}, "AccessKey ID (access_key_id): '123'"),
        ({}, {"login": "AK\nX"}, "AccessKey ID (login): holds control or invisible characters"),
        ({}, {"login": "A K"}, "AccessKey ID (login): 'A K' is not"),
        ({}, {"login": "AK/x"}, "AccessKey ID (login): 'AK/x' is not"),
        ({}, {"password": f"{SECRET}\u200b"}, "AccessKey secret (password): holds control or invisible"),
        ({}, {"password": f"{SECRET} x"}, "AccessKey secret (password): the value is not printable ASCII"),
        ({}, {"password": f"{SECRET}密"}, "AccessKey secret (password): the value is not printable ASCII"),
        ({"security_token": f"{SECRET}\r\nX: y"}, {}, "Security token (security_token): holds control"),
        ({"security_token": f"{SECRET} x"}, {}, "Security token (security_token): the value is not"),
        # Roles.
        (
            {"role_arn": "arn:aws:iam::1:role/x"},
            {},
            "RAM role ARN (role_arn): 'arn:aws:iam::1:role/x' is not an ARN",
        ),
        ({"role_arn": "media"}, {}, "such as acs:ram::123456789012:role/media"),
        ({"oidc_provider_arn": "ack"}, {}, "OIDC provider ARN (oidc_provider_arn): 'ack' is not"),
        ({"role_session_name": "a b"}, {}, "Role session name (role_session_name): 'a b'"),
        ({"external_id": f"{SECRET}!"}, {}, "External ID (external_id): the value is not"),
        ({"role_policy": "{"}, {}, "Role policy (role_policy): must be JSON"),
        ({"role_policy": "[]"}, {}, "Role policy (role_policy): must be JSON"),
        ({"role_policy": {"Version": "1", "Statement": []}}, {}, "Role policy (role_policy): must be JSON"),
        (
            {"role_policy": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*"}]}},
            {},
            "(role_",
        ),
        (
            {"role_policy": {"Version": "1", "Statement": [{"Effect": "allow", "Action": "*"}]}},
            {},
            "(role_policy)",
        ),
        ({"role_policy": {"Version": "1", "Statement": [{"Effect": "Allow"}]}}, {}, "(role_policy)"),
        (
            {"role_policy": {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "x" * 2048}]}},
            {},
            "at most 2048 characters",
        ),
        # Custom domains.
        ({"cname": True}, {"schema": "media"}, "so OSS endpoint (host) must be the custom domain"),
        ({"cname": True}, {"host": "10.0.0.1", "schema": "media"}, "must be the custom domain"),
        ({"cname": True}, {"host": "media.example.com"}, "Default bucket (schema): not set"),
        (
            {"cname": True, "path_style": True},
            {"host": "m.example.com", "schema": "media"},
            "(path_style): cannot",
        ),
    ],
)
def test_problems(extra: dict[str, Any] | str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read({"region": "cn-hangzhou", **extra} if isinstance(extra, dict) else extra, **fields)
    message = str(caught.value)
    assert message.startswith("The connection cannot be used: ")
    assert message.endswith("(Airflow connection 'c')")
    assert field in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "host",
    [
        "x:y",
        "oss cn.example",
        "*.oss-cn-hangzhou.aliyuncs.com",
        "oss-cn-hangzhou\u200b.aliyuncs.com",
        "oss-cn-hangzhou.aliyuncs.com:0",
        "oss-cn-hangzhou.aliyuncs.com:99999",
        "oss-cn-hangzhou.aliyuncs.com#fragment",
        "oss-cn-hangzhou.aliyuncs.com#",
        "oss-cn-hangzhou.aliyuncs.com?query",
        "oss-cn-hangzhou.aliyuncs.com/media",
        f"user:{SECRET}@oss-cn-hangzhou.aliyuncs.com",
        "https://",
        "ftp://oss-cn-hangzhou.aliyuncs.com",
        "https://a\\b.example",
        "杭州.example",
        "a..example",
    ],
)
@pytest.mark.parametrize("field", ["host", "imm_endpoint", "smq_endpoint"])
def test_hosts_that_are_none(host: str, field: str) -> None:
    extra = {"region": "cn-hangzhou"} if field == "host" else {"region": "cn-hangzhou", field: host}
    expected = rf"\({field}\): (must be a host name|holds control)"
    with pytest.raises(OSSConnectionError, match=expected) as caught:
        read(extra, host=host if field == "host" else None)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(OSSConnectionError, match="port from 1 to 65535"):
        read(host="oss-cn-hangzhou.aliyuncs.com", port=port)


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        (
            "media.oss-cn-hangzhou.aliyuncs.com",
            "use oss-cn-hangzhou.aliyuncs.com, and put 'media' into Default",
        ),
        ("media.oss-cn-hangzhou-internal.aliyuncs.com", "use oss-cn-hangzhou-internal.aliyuncs.com"),
        ("media.oss-accelerate.aliyuncs.com", "use oss-accelerate.aliyuncs.com"),
        ("media.oss-accelerate-overseas.aliyuncs.com", "use oss-accelerate-overseas.aliyuncs.com"),
        ("media.cn-hangzhou.oss.aliyuncs.com", "use cn-hangzhou.oss.aliyuncs.com"),
        ("s3.oss-cn-hangzhou.aliyuncs.com", "S3-compatible endpoint, which has no asynchronous processing"),
        ("s3.oss-cn-hangzhou-internal.aliyuncs.com", "use oss-cn-hangzhou-internal.aliyuncs.com"),
        ("media.s3.oss-cn-hangzhou.aliyuncs.com", "S3-compatible endpoint"),
        ("imm.cn-hangzhou.aliyuncs.com", "this is an endpoint of IMM, not of OSS"),
        ("sts.aliyuncs.com", "this is an endpoint of STS, not of OSS"),
        ("1.mns.cn-hangzhou.aliyuncs.com", "this is an endpoint of SMQ, not of OSS"),
    ],
)
def test_wrong_official_endpoints(host: str, hint: str) -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read(host=host)
    assert f"OSS endpoint (host): {'' if hint.startswith(('S3', 'use')) else hint}" in str(caught.value)
    assert hint in str(caught.value)


def test_a_role_policy_is_taken_as_object_and_as_text() -> None:
    policy = {"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}]}
    role = {"region": "cn-hangzhou", "role_arn": "acs:ram::1:role/r"}
    settings = read({**role, "role_policy": policy})
    assert json.loads(settings.role_policy) == policy
    text = json.dumps(policy, indent=2)
    assert read({**role, "role_policy": text}).role_policy == text


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(OSSConnectionError) as caught:
        read({"network": "vpc"}, login=None, schema="x")
    for field in ("(region):", "(network):", "(login):", "(schema):"):
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
        (
            {"credential_source": "credentials_uri", "credentials_uri": "http://x/?a=b"},
            None,
            "credentials_uri",
        ),
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


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_URLISH = st.text("aZ0.:/@[]%#?*-_ \u200b影\\\n", max_size=40) | st.sampled_from(
    ["oss-cn-hangzhou.aliyuncs.com", "https://[::1", "//", "http://a:b@c:1", "[fe80::1%eth0]"]
)


@settings(max_examples=300, deadline=None)
@given(
    extra=st.dictionaries(st.sampled_from(sorted(EXTRA_FIELDS)), _JSON | _URLISH, max_size=6),
    host=st.none() | _URLISH,
    port=st.none() | st.integers(-1, 70000),
    login=st.none() | st.text(max_size=20),
    schema=st.none() | st.text(max_size=20),
    region=st.none() | _URLISH,
)
def test_whatever_a_connection_holds_one_error_comes_of_it(
    extra: dict[str, Any],
    host: str | None,
    port: int | None,
    login: str | None,
    schema: str | None,
    region: str | None,
) -> None:
    conn = SimpleNamespace(
        conn_id="c",
        conn_type="oss_async",
        extra={"region": "cn-hangzhou", **extra},
        host=host,
        port=port,
        login=login,
        password=SECRET,
        schema=schema,
    )
    try:
        found = read_settings(conn, region=region)
        assert urlsplit(found.oss_endpoint).hostname
        said = repr(found)
    except OSSConnectionError as error:
        said = str(error)
    assert SECRET not in said
