from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.hooks import shared
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.hooks.shared import forget_settings, shared_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.jobs.services import Services
    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("connect")


def is_open(services: Services) -> bool:
    """Whether the HTTP session that all clients share is open."""
    return not services.imm._session.closed


async def secret_of(services: Services) -> str:
    return (await services.oss._credentials()).access_key_secret


async def test_users_of_a_connection_share_until_the_last_has_gone() -> None:
    async with shared_services(OSSAsyncHook()) as first:
        async with shared_services(OSSAsyncHook()) as second:
            assert second is first
        assert is_open(first)
    assert not is_open(first)
    async with shared_services(OSSAsyncHook()) as third:
        assert third is not first
        assert is_open(third)


async def test_those_who_come_at_once_share() -> None:
    async def use() -> Any:
        async with shared_services(OSSAsyncHook()) as services:
            await asyncio.sleep(0.05)
            return services

    found = await asyncio.gather(*(use() for _ in range(20)))
    assert len({id(services) for services in found}) == 1
    assert not is_open(found[0])


async def test_another_region_is_not_shared() -> None:
    async with (
        shared_services(OSSAsyncHook()) as first,
        shared_services(OSSAsyncHook(region="cn-beijing")) as second,
    ):
        assert second is not first
        regions = {settings.region for settings in shared._loops[asyncio.get_running_loop()].open}
        assert regions == {"cn-hangzhou", "cn-beijing"}


async def test_a_changed_connection_is_noticed_after_a_while(
    connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shared_services(OSSAsyncHook()) as first:
        connect(password="rotated")
        async with shared_services(OSSAsyncHook()) as second:
            assert second is first
        monkeypatch.setattr(shared, "SETTINGS_MAX_AGE", 0.0)
        async with shared_services(OSSAsyncHook()) as third:
            assert third is not first
            assert await secret_of(third) == "rotated"
        assert is_open(first)
    assert not is_open(first)


async def test_a_connection_can_be_forgotten(connect: Callable[..., None]) -> None:
    async with shared_services(OSSAsyncHook()) as first:
        connect(password="rotated")
        forget_settings(first)
        async with shared_services(OSSAsyncHook()) as second:
            assert second is not first
            # What has been looked up since is not looked up again on account of the old one.
            connect(password="rotated again")
            forget_settings(first)
            async with shared_services(OSSAsyncHook()) as third:
                assert third is second


async def test_connections_to_one_account_share(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    changes: dict[str, dict[str, Any]] = {
        "A": {"schema": "media"},
        "B": {"schema": "other"},
        "C": {"login": "else"},
    }
    for name, fields in changes.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(stand.connection(**fields)))
    async with (
        shared_services(OSSAsyncHook("a")) as first,
        shared_services(OSSAsyncHook("b")) as second,
        shared_services(OSSAsyncHook("c")) as third,
    ):
        assert second is first
        assert third is not first


async def test_an_error_of_a_user_closes_nothing_of_the_others() -> None:
    async with shared_services(OSSAsyncHook()) as first:
        with pytest.raises(RuntimeError):
            async with shared_services(OSSAsyncHook()):
                raise RuntimeError
        assert is_open(first)
    assert not is_open(first)


async def test_a_connection_that_is_no_good_leaves_nothing_behind(connect: Callable[..., None]) -> None:
    connect({"region": ""})
    with pytest.raises(OSSConnectionError, match="region"):
        async with shared_services(OSSAsyncHook()):
            pass
    connect()
    async with shared_services(OSSAsyncHook()) as services:
        assert is_open(services)


def test_event_loops_do_not_share() -> None:
    async def use() -> Any:
        async with shared_services(OSSAsyncHook()) as services:
            return services

    assert asyncio.run(use()) is not asyncio.run(use())
