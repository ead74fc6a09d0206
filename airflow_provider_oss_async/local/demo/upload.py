"""Puts the samples into the bucket that the example DAGs read."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from airflow_provider_oss_async.local.demo.samples import make_samples

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_oss_async.local.server.store import Store


def upload_samples(store: Store, bucket: str, folder: Path) -> list[str]:
    """Make the samples and store them as ``samples/NAME``.

    :param bucket: an existing bucket.
    :param folder: where the samples are made; created if missing.
    :return: the keys.
    :raises KeyError: there is no such bucket.
    """
    keys = []
    for name, path in make_samples(folder).items():
        copy = store.temporary()
        shutil.copyfile(path, copy)
        keys.append(store.save(bucket, f"samples/{name}", copy).key)
    return keys
