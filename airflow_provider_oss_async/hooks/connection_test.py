"""What Airflow's connection test does: one harmless request to each service."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from airflow_provider_oss_async.exceptions import OSSServiceError, error_text
from airflow_provider_oss_async.hooks.connection_fields import BY_NAME, FIELDS
from airflow_provider_oss_async.hooks.services import open_services

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.services import Services

#: Seconds that each service has to answer.
TIMEOUT = 20.0


async def check_services(settings: ConnectionSettings, *, timeout: float = TIMEOUT) -> tuple[bool, str]:
    """Send each service one cheap, authenticated request that changes nothing.

    :param settings: the connection.
    :param timeout: seconds that each service has to answer, default 20.
    :return: whether all that was asked worked, and a sentence for each service.
    :raises OSSConnectionError: there are no credentials to ask with.
    :raises OSSUnavailableError: the issuer of the credentials could not be reached.
    """
    async with open_services(settings) as services:
        await services.oss.prepare()
        answers = await asyncio.gather(
            _answer("OSS", settings, timeout, _oss(services, settings)),
            _answer("IMM", settings, timeout, _imm(services, settings)),
        )
    sentences = [*(sentence for _, sentence in answers), _smq(settings)]
    return all(good for good, _ in answers), " ".join(sentences)


def without_connection_id(text: str, conn_id: str) -> str:
    """Return a message without the id of the connection: that of a test in the web UI is random."""
    name = re.escape(f"Airflow connection {conn_id!r}")
    return re.sub(rf"\({name}, ", "(", re.sub(rf" ?\({name}\)", "", text))


async def _answer(
    service: str, settings: ConnectionSettings, timeout: float, request: Awaitable[str]
) -> tuple[bool, str]:
    where = settings.oss_endpoint if service == "OSS" else settings.imm_endpoint
    try:
        return True, f"{service}: {await asyncio.wait_for(request, timeout)}"
    except TimeoutError:
        reason = f"{service}: no answer from {where} within {timeout:g} s"
        return False, error_text(reason, _unreachable(settings))
    except OSSServiceError as error:
        said = error.detail or error.code or "no message"
        # aiohttp says "ssl:default" of http too.
        reason = re.sub(r" ssl:\S+", "", f"{service}: {error.action} at {where} failed: {said}")
        advice = error.advice or ("" if error.status else _unreachable(settings))
        return False, error_text(
            reason, _as_labelled(advice), HTTP=error.status, code=error.code, request_id=error.request_id
        )


async def _oss(services: Services, settings: ConnectionSettings) -> str:
    if settings.bucket:
        what = f"{BY_NAME['schema'].label.lower()} {settings.bucket!r}"
        async for _ in services.oss.list_objects(settings.bucket, "", max_pages=1):
            break
    else:
        what = "the account's buckets"
        await services.oss.list_buckets()
    return f"reached {what} at {settings.oss_endpoint}."


async def _imm(services: Services, settings: ConnectionSettings) -> str:
    project = settings.imm_project
    if project:
        await services.imm.list_tasks(project, max_results=1)
    elif settings.bucket:
        project = await services.imm.get_bucket_project(settings.bucket)
    else:
        labels = " nor ".join(BY_NAME[name].label for name in ("imm_project", "schema"))
        return f"not asked, because neither {labels} is set."
    return f"reached project {project!r} at {settings.imm_endpoint}."


def _smq(settings: ConnectionSettings) -> str:
    if not settings.smq_endpoint:
        return "SMQ: not configured, and only needed for completion messages."
    # Receiving would hide messages from those who wait for them.
    return f"SMQ: {settings.smq_endpoint} is configured, but was not tried."


def _unreachable(settings: ConnectionSettings) -> str:
    network = f"now {settings.network}"
    if settings.network == "internal":
        network += f", which only works inside a VPC of {settings.region}"
    proxy = "set" if settings.proxy else "not set"
    labels = {name: BY_NAME[name].label for name in ("host", "imm_endpoint", "network", "proxy")}
    return (
        f"Check {labels['host']}, {labels['imm_endpoint']}, {labels['network']} ({network}) and "
        f"{labels['proxy']} (now {proxy})"
    )


def _as_labelled(advice: str) -> str:
    """Return advice with the labels of the form in the place of keys such as ``path_style``."""
    for field in FIELDS:
        if "_" in field.name:
            advice = re.sub(rf"\b{field.name}\b", field.label, advice)
    return advice
