"""A pytest fixture: the stand-in, with Airflow's default connection leading to it.

In a ``conftest.py``::

    pytest_plugins = ["airflow_provider_oss_async.local.pytest_plugin"]

pytest is not a dependency of the package: this module is imported by pytest only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.processing.result import Produced, ProducedFile
from airflow_provider_oss_async.local.server.app import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from airflow_provider_oss_async.process import Specification


def copy_source(spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path) -> Produced:
    """Do no real work: the result of a job is a copy of its source, that of a watermark a fixed text.

    For ``processor`` in the options, where a test is about the DAG and not about the media.
    """
    if not spec.writes_object:
        return Produced(content="hidden text")
    result = workdir / "result"
    result.write_bytes(source.read_bytes())
    extension = spec.get("container") or spec.get("target_format") or spec.get("format") or "bin"
    return Produced([ProducedFile(result, extension=str(extension))])


@pytest.fixture
def oss_local_options() -> dict[str, Any]:
    """Options of :class:`.LocalService` for :func:`oss_local`; override this fixture to change them.

    Without a change there is the bucket ``media``, attached to the IMM project ``local-project``, and jobs
    are really done.
    """
    return {}


@pytest.fixture
def oss_local(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    oss_local_options: dict[str, Any],
) -> Iterator[LocalService]:
    """Start a stand-in of its own for a test; the connection ``oss_async_default`` leads to it."""
    with LocalService(tmp_path_factory.mktemp("oss-local"), **oss_local_options) as service:
        monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", service.connection_json())
        yield service
