from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("imageio_ffmpeg", reason="the stand-in needs the extra 'local'")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.local.server.app import LocalService
    from tests.system.live_airflow import LiveAirflow

EXAMPLES = Path(__file__).parents[2] / "example_dags"


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory, airflow_db: None) -> Iterator[LocalService]:
    """The stand-in with the samples in its bucket, and an Airflow that knows both it and the example DAGs."""
    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.local.demo.samples import make_samples
    from airflow_provider_oss_async.local.server.app import LocalService

    folder = tmp_path_factory.mktemp("system")
    bundle = {
        "name": "oss-async-examples",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(EXAMPLES)},
    }
    # No job has ended when it is first polled, so that what can be deferred is.
    options: dict[str, Any] = {"topics": {"done": ["waiting"]}, "job_seconds": 0.8}
    with LocalService(folder / "data", **options) as service, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", service.connection_json())
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
        from alibabacloud_oss_v2 import PutObjectRequest

        with OSSAsyncHook() as hook:
            for name, path in make_samples(folder / "samples").items():
                hook.get_conn().put_object_from_file(
                    PutObjectRequest(bucket="media", key=f"samples/{name}"), str(path)
                )
        yield service


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    """A real Airflow and the stand-in, for all tests that do not need settings of their own."""
    from tests.system.live_airflow import running

    with running(tmp_path_factory.mktemp("live"), Path(__file__).parent / "live_dags") as live:
        yield live
