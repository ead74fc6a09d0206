"""What operators report to OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def lineage(source: str, outputs: Sequence[str]) -> Any:
    """Return the datasets of a task (``OperatorLineage``).

    :param source: ``oss://bucket/key`` or a prefix; empty where it is not known.
    :param outputs: the same of what was written.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    def dataset(uri: str) -> Any:
        bucket, _, key = uri.removeprefix("oss://").partition("/")
        return Dataset(namespace=f"oss://{bucket}", name=key)

    return OperatorLineage(
        inputs=[dataset(source)] if source else [], outputs=[dataset(uri) for uri in outputs]
    )
