from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.pytest_plugin import copy_source
from airflow_provider_oss_async.local.server.app import LocalService
from tests.support.clips import make_clips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LocalService]]:
    """Start stand-ins that do no real work unless told so."""
    running: list[LocalService] = []

    def start_one(name: str = "data", **options: Any) -> LocalService:
        service = LocalService(tmp_path / name, **{"processor": copy_source, **options})
        running.append(service.__enter__())
        return service

    yield start_one
    for service in running:
        service.stop()


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    return start()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample inputs, made once."""
    from airflow_provider_oss_async.local.demo.samples import make_samples

    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """See :func:`tests.support.clips.make_clips`."""
    return make_clips(tmp_path_factory.mktemp("clips"))
