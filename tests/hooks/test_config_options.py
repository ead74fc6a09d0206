from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from airflow_provider_oss_async.clients.rate_limiter import DEFAULT_RATE
from airflow_provider_oss_async.get_provider_info import get_provider_info
from airflow_provider_oss_async.hooks.config_options import OPTIONS
from airflow_provider_oss_async.hooks.services import configured_timing
from airflow_provider_oss_async.jobs.timing import Timing
from airflow_provider_oss_async.triggers.oss_async import event_hold

if TYPE_CHECKING:
    import pytest

DEFAULTS = {option.name: option.default for option in OPTIONS}


def test_every_interval_is_an_option_with_the_same_default() -> None:
    for field in fields(Timing):
        assert field.name in DEFAULTS, f"add {field.name} to OPTIONS in hooks/config_options.py"
        assert float(DEFAULTS[field.name] or "nan") == field.default
    assert float(DEFAULTS["max_requests_per_second"] or "nan") == DEFAULT_RATE


def test_airflow_is_told_of_every_option() -> None:
    assert list(get_provider_info()["config"]["oss_async"]["options"]) == list(DEFAULTS)


def test_the_configuration_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured_timing() == Timing()
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__UNKNOWN_TASK_GRACE", "5")
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__MIN_POLL_INTERVAL", "0")
    assert configured_timing() == Timing(unknown_task_grace=5.0, min_poll_interval=0.01)


def test_the_hold_follows_the_heartbeat_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert event_hold() == 10.0
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "1")
    assert event_hold() == 6.0
    monkeypatch.setenv("AIRFLOW__OSS_ASYNC__EVENT_HOLD", "0")
    assert event_hold() == 0.0
