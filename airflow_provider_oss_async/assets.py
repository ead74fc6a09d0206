"""Assets with ``oss://bucket/key`` addresses, and what they are called in OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.sdk import Asset

# What a path may hold besides letters, digits and _.-~ (RFC 3986).
_PATH = "/!$&'()*+,;=:@"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check the address of an asset; the path stays as it is.

    :raises ValueError: there is no bucket.
    """
    if not uri.netloc:
        raise ValueError("An oss:// asset must name a bucket: oss://bucket/key")
    return uri


def create_asset(*, bucket: str, key: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of an object.

    :param bucket: bucket name.
    :param key: object key, as OSS has it; characters that an address cannot hold are percent-encoded.
    :param extra: further data of the asset.
    """
    from airflow.sdk import Asset

    return Asset(uri=f"oss://{bucket}/{quote(key, safe=_PATH)}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Any:
    """Return the OpenLineage dataset of an asset: namespace ``oss://bucket``, name the object key."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"oss://{parts.netloc}", name=unquote(parts.path.lstrip("/")) or "/")
