from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.sdk import Asset

from airflow_provider_oss_async.assets import convert_asset_to_openlineage, create_asset, sanitize_uri


def test_address_is_kept() -> None:
    address = urlsplit("oss://media/a//b/dt=2026-01-01/c+d@e.mp4")
    assert sanitize_uri(address) == address


@pytest.mark.parametrize("uri", ["oss:///key", "oss:key"])
def test_bucket_is_needed(uri: str) -> None:
    with pytest.raises(ValueError, match="bucket"):
        sanitize_uri(urlsplit(uri))


KEYS = [
    ("a/dt=2026-01-01/b+c.mp4", "oss://media/a/dt=2026-01-01/b+c.mp4"),
    ("50% off?.mp4", "oss://media/50%25%20off%3F.mp4"),
    ("a b#c", "oss://media/a%20b%23c"),
    ("影.mp4", "oss://media/%E5%BD%B1.mp4"),
]


@pytest.mark.parametrize(("key", "uri"), KEYS)
def test_factory(key: str, uri: str) -> None:
    assert create_asset(bucket="media", key=key, extra={"by": "test"}) == Asset(uri, extra={"by": "test"})


@pytest.mark.parametrize(("key", "uri"), KEYS)
def test_lineage(key: str, uri: str) -> None:
    pytest.importorskip("openlineage.client")
    dataset = convert_asset_to_openlineage(Asset(uri), None)
    assert (dataset.namespace, dataset.name) == ("oss://media", key)


def test_lineage_without_openlineage_does_not_fail() -> None:
    convert_asset_to_openlineage(Asset("oss://media/k"), None)
