from __future__ import annotations

from typing import get_args

import pytest

from airflow_provider_oss_async.clients.endpoints import (
    Network,
    OfficialHost,
    default_scheme,
    imm_endpoint,
    is_host,
    official_host,
    oss_endpoint,
    parse_region,
    smq_endpoint,
    sts_endpoint,
)


@pytest.mark.parametrize(
    ("network", "hosts"),
    [
        ("public", ("oss-cn-hangzhou", "imm.cn-hangzhou", "sts.cn-hangzhou", "1.mns.cn-hangzhou")),
        (
            "internal",
            (
                "oss-cn-hangzhou-internal",
                "imm-vpc.cn-hangzhou",
                "sts-vpc.cn-hangzhou",
                "1.mns.cn-hangzhou-internal",
            ),
        ),
        ("accelerate", ("oss-accelerate", "imm.cn-hangzhou", "sts.cn-hangzhou", "1.mns.cn-hangzhou")),
        (
            "accelerate-overseas",
            ("oss-accelerate-overseas", "imm.cn-hangzhou", "sts.cn-hangzhou", "1.mns.cn-hangzhou"),
        ),
        ("dual-stack", ("cn-hangzhou.oss", "imm.cn-hangzhou", "sts.cn-hangzhou", "1.mns.cn-hangzhou")),
    ],
)
def test_network_becomes_an_endpoint(network: Network, hosts: tuple[str, ...]) -> None:
    region = "cn-hangzhou"
    found = (
        oss_endpoint(region, network),
        imm_endpoint(region, network),
        sts_endpoint(region, network),
        smq_endpoint("1", region, network),
    )
    assert found == tuple(f"{host}.aliyuncs.com" for host in hosts)
    # What is made is understood.
    for service, host in zip(("OSS", "IMM", "STS", "SMQ"), found, strict=True):
        official = official_host(host)
        assert official is not None
        assert official.service == service
        assert official.region in (region, "")
        same = network if service == "OSS" else ("internal" if network == "internal" else "public")
        assert official.network == same


def test_every_network_has_an_endpoint() -> None:
    for network in get_args(Network):
        assert official_host(oss_endpoint("eu-central-1", network)) is not None


def test_imm_has_only_a_vpc_host_in_some_regions() -> None:
    assert imm_endpoint("cn-beijing-gov-1") == "imm-vpc.cn-beijing-gov-1.aliyuncs.com"


BUCKET_FREE = [
    "oss-cn-hangzhou.aliyuncs.com",
    "oss-cn-hangzhou-internal.aliyuncs.com",
    "vpc100-oss-cn-hangzhou.aliyuncs.com",
    "oss-accelerate.aliyuncs.com",
    "oss-accelerate-overseas.aliyuncs.com",
    "cn-hangzhou.oss.aliyuncs.com",
    "cn-hangzhou-internal.oss.aliyuncs.com",
    "oss-cn-shanghai-finance-1.aliyuncs.com",
    "oss.aliyuncs.com",
    "oss-internal.aliyuncs.com",
]


@pytest.mark.parametrize("host", BUCKET_FREE)
def test_bucket_before_an_official_endpoint(host: str) -> None:
    plain = official_host(host)
    assert plain is not None
    assert (plain.service, plain.bucket, plain.endpoint) == ("OSS", "", host)
    with_bucket = official_host(f"my-bucket.{host}")
    assert with_bucket is not None
    assert (with_bucket.bucket, with_bucket.endpoint) == ("my-bucket", host)
    assert (with_bucket.region, with_bucket.network) == (plain.region, plain.network)


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("s3.oss-cn-hangzhou.aliyuncs.com", ""),
        ("s3.oss-cn-hangzhou-internal.aliyuncs.com", ""),
        ("s3.oss-accelerate.aliyuncs.com", ""),
        ("my-bucket.s3.oss-cn-hangzhou.aliyuncs.com", "my-bucket"),
    ],
)
def test_s3_compatible_endpoint(host: str, bucket: str) -> None:
    official = official_host(host)
    assert official is not None
    assert official.s3_compatible
    assert official.bucket == bucket


@pytest.mark.parametrize(
    "host",
    ["", "example.com", "aliyuncs.com", "ep-1.oss.cn-hangzhou.privatelink.aliyuncs.com", "x" * 9999],
)
def test_hosts_of_others(host: str) -> None:
    assert official_host(host) is None


def test_account_of_smq() -> None:
    assert official_host("123.mns.cn-hangzhou.aliyuncs.com") == OfficialHost(
        "SMQ", "public", "cn-hangzhou", "123", "mns.cn-hangzhou.aliyuncs.com"
    )


@pytest.mark.parametrize(
    ("text", "region", "network"),
    [
        ("cn-beijing", "cn-beijing", None),
        (" CN-Beijing ", "cn-beijing", None),
        ("oss-cn-beijing", "cn-beijing", None),
        ("cn-beijing-internal", "cn-beijing", "internal"),
        ("oss-cn-beijing-internal", "cn-beijing", "internal"),
        ("vpc100-oss-cn-beijing", "cn-beijing", "internal"),
        ("oss-cn-beijing.aliyuncs.com", "cn-beijing", "public"),
        ("oss-cn-beijing-internal.aliyuncs.com", "cn-beijing", "internal"),
        ("https://oss-cn-beijing.aliyuncs.com/", "cn-beijing", "public"),
        ("http://media.oss-cn-beijing.aliyuncs.com:80/a/b", "cn-beijing", "public"),
        ("cn-beijing.oss.aliyuncs.com", "cn-beijing", "dual-stack"),
        ("imm.cn-beijing.aliyuncs.com", "cn-beijing", "public"),
        ("cn-shanghai-finance-1", "cn-shanghai-finance-1", None),
        ("cn-hzjbp-a", "cn-hzjbp-a", None),
        ("us-west-1", "us-west-1", None),
        ("rg-china-mainland", "rg-china-mainland", None),
    ],
)
def test_region(text: str, region: str, network: str | None) -> None:
    assert parse_region(text) == (region, network)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hangzhou", "not a region id"),
        ("cn_hangzhou", "not a region id"),
        ("China (Hangzhou)", "not a region id"),
        ("oss-accelerate", "not a region id"),
        ("oss-accelerate-overseas", "not a region id"),
        ("oss-accelerate.aliyuncs.com", "does not name a region"),
        ("oss-cn-hangzhou.example.com", "not a region id"),
        ("cn-hangzhou-h", "its region is cn-hangzhou"),
        ("ap-southeast-1a", "its region is ap-southeast-1"),
        ("us-west-1-b", "its region is us-west-1"),
    ],
)
def test_what_is_no_region(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_region(text)


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("localhost", "http"),
        ("a.localhost", "http"),
        ("127.0.0.1", "http"),
        ("::1", "http"),
        ("10.0.0.1", "https"),
        ("example.com", "https"),
        ("1.mns.cn-hangzhou-internal.aliyuncs.com", "http"),
        ("1.mns.cn-hangzhou.aliyuncs.com", "https"),
        ("oss-cn-hangzhou-internal.aliyuncs.com", "https"),
    ],
)
def test_default_scheme(host: str, scheme: str) -> None:
    assert default_scheme(host) == scheme


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", True),
        ("my_service", True),
        ("xn--fiq228c.example", True),
        ("::1", True),
        ("10.0.0.1", True),
        ("", False),
        ("a b", False),
        ("*.example.com", False),
        ("a..b", False),
        (".a", False),
        ("-a", False),
        ("ex\u200bample.com", False),
        ("中国.example", False),
        ("a/b", False),
        ("a%20b", False),
        ("a." * 200, False),
    ],
)
def test_host(host: str, valid: bool) -> None:
    assert is_host(host) is valid
