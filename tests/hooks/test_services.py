from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.hooks.config_options import OPTIONS
from airflow_provider_oss_async.hooks.services import configured_timing, open_services, sync_session
from airflow_provider_oss_async.jobs.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand


def test_without_configuration_the_intervals_are_the_defaults() -> None:
    assert configured_timing() == Timing()
    documented = {option.name: option.default for option in OPTIONS}
    for field in fields(Timing):
        assert float(documented[field.name] or "nan") == field.default


@pytest.mark.parametrize("name", [field.name for field in fields(Timing)])
def test_every_interval_can_be_configured(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"AIRFLOW__OSS_ASYNC__{name.upper()}", "3.25")
    timing = configured_timing()
    assert getattr(timing, name) == 3.25
    assert sum(getattr(timing, f.name) != f.default for f in fields(Timing)) == 1
    # Nothing that would send requests without end; to poll once before the deferral is the default.
    least = 0.0 if name == "poll_before_deferral" else 0.01
    for value in ("0", "-5"):
        monkeypatch.setenv(f"AIRFLOW__OSS_ASYNC__{name.upper()}", value)
        assert getattr(configured_timing(), name) == least


async def test_clients_share_a_session_that_is_closed_at_the_end(stand: Stand) -> None:
    async with open_services(stand.settings({"smq_queue": "waiting"})) as services:
        assert services.smq is not None
        assert services.queue_consumer is not None
        assert services.smq._session is services.imm._session
        session = services.imm._session
        assert await services.imm.get_bucket_project("media") == "local-project"
        assert await services.oss.head("media", "in.mov") is not None
    assert session.closed


@pytest.mark.parametrize("extra", [{"smq_endpoint": ""}, {"smq_queue": ""}])
async def test_without_a_queue_there_is_no_consumer(stand: Stand, extra: dict[str, str]) -> None:
    async with open_services(stand.settings(extra)) as services:
        assert services.queue_consumer is None


async def test_nothing_is_sent_by_opening(stand: Stand, start_stand: Callable[..., Stand]) -> None:
    other = start_stand()
    async with open_services(other.settings()):
        pass
    assert other.requests("OSS:HeadObject") == other.requests("IMM:GetOSSBucketAttachment") == 0


def test_the_synchronous_session_takes_nothing_from_the_environment() -> None:
    session = sync_session()
    assert session.trust_env is False
    session.close()
