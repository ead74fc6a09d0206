"""Asking for every right and prerequisite of a connection. It costs nothing and changes nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_oss_async.cli.questions import Place, Verdict, ask
from airflow_provider_oss_async.cli.rights import Right, policy, rights_for
from airflow_provider_oss_async.clients.endpoints import is_loopback, official_host, sts_endpoint
from airflow_provider_oss_async.clients.errors import missing_resource
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSServiceError
from airflow_provider_oss_async.hooks.credential_sources import credentials_source
from airflow_provider_oss_async.hooks.services import open_services

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_oss_async.clients.sts import Identity
    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.jobs.services import Services

#: Seconds by which the clock of this machine may differ: OSS and IMM refuse requests from 900 on.
CLOCK_TOLERANCE = 60.0
#: Pages of buckets of one project that are read at most, of 200 each.
MAX_PAGES = 50
log = logging.getLogger(__name__)
_BIND = "bind it to an IMM project of its region (AttachOSSBucket, or the console)"
#: Verdicts that make a check fail where what is asked about is needed.
FAILING: frozenset[Verdict] = frozenset({"denied", "missing", "wrong"})


class Row(NamedTuple):
    """What is told about one thing.

    :param subject: right or prerequisite.
    :param verdict: see :data:`.Verdict`.
    :param detail: what was seen, or what to do.
    :param needed: whether the check fails with it.
    """

    subject: str
    verdict: Verdict
    detail: str = ""
    needed: bool = True


class Report(NamedTuple):
    """What a check has found.

    :param policy: grants what was denied; ``None`` if nothing was.
    """

    rows: list[Row]
    policy: dict[str, Any] | None

    @property
    def good(self) -> bool:
        """Whether nothing that is needed is missing."""
        return not any(row.needed and row.verdict in FAILING for row in self.rows)


async def check_connection(
    settings: ConnectionSettings,
    features: Iterable[str],
    *,
    bucket: str = "",
    timeout: float = 20.0,
) -> Report:
    """Ask for everything that some features need.

    :param features: of :data:`.rights.FEATURES`.
    :param bucket: the bucket to ask about; by default that of the connection.
    :param timeout: seconds for each answer.
    """
    features = set(features)
    bucket = bucket or settings.bucket
    rows = [Row("region", "ok", f"{settings.region} ({settings.network})")]
    rows += [Row("connection", "cannot be told", warning, needed=False) for warning in settings.warnings]
    async with open_services(settings) as services:
        try:
            await services.oss.prepare()
        except OSSAsyncError as error:
            rows.append(Row("credentials", "wrong", str(error)))
            return Report(rows, None)
        rows += await _clock(settings, timeout)
        who, identity = await _identity(settings, timeout)
        project, binding = await _binding(services, settings, bucket, needed=bool(features & {"imm", "smq"}))
        rows += [who, binding]
        place = Place(bucket, project, settings.smq_queue if services.smq else "")
        if project:
            rows += await _project(services, project)
        if "smq" in features:
            rows += await _messages(services, settings, identity)
        rights = rights_for(features)
        findings = await asyncio.gather(
            *(ask(right.action, services, place, timeout=timeout) for right in rights)
        )
    named = {finding.denied for finding in findings}
    denied: list[Right] = []
    for right, finding in zip(rights, findings, strict=True):
        optional = right.optional or (
            right.action == "imm:GetOSSBucketAttachment" and bool(settings.imm_project)
        )
        verdict, detail = finding.verdict, finding.detail
        if right.action in named and verdict != "denied":
            verdict, detail = "denied", "the service names it in another answer"
        if verdict == "denied":
            denied.append(right)
        note = f"{detail} (works without it)" if optional and verdict in FAILING else detail
        rows.append(Row(right.action, verdict, note, needed=not optional))
    names = {
        "bucket": bucket or "BUCKET",
        "region": settings.region,
        "account": identity.account_id if identity else "*",
        "project": project or "PROJECT",
        "queue": settings.smq_queue or "QUEUE",
    }
    return Report(rows, policy(denied, names) if denied else None)


async def _clock(settings: ConnectionSettings, timeout: float) -> list[Row]:
    """Ask OSS without a signature: what counts is that it answers, and its clock."""
    import aiohttp

    from airflow_provider_oss_async.clients.http import open_session

    endpoint = settings.oss_endpoint
    try:
        async with open_session(timeout=aiohttp.ClientTimeout(total=timeout)) as session:
            begin = time.time()
            async with session.get(
                f"{endpoint}/", proxy=settings.proxy or None, allow_redirects=False
            ) as answer:
                date, mark = answer.headers.get("Date", ""), answer.headers.get("x-oss-request-id", "")
            now = (begin + time.time()) / 2
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        check = f"check host, network ({settings.network}) and proxy"
        reason = f"{endpoint} does not answer ({type(error).__name__}): {check}"
        return [Row("OSS endpoint", "wrong", reason)]
    if not mark:
        return [
            Row("OSS endpoint", "wrong", f"what answers at {endpoint} is not OSS: check host, proxy and DNS")
        ]
    rows = [Row("OSS endpoint", "ok", endpoint)]
    try:
        offset = parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return [*rows, Row("clock", "cannot be told", "the answer has no date")]
    detail = f"differs from that of OSS by {abs(offset):.0f} s"
    if abs(offset) > CLOCK_TOLERANCE:
        return [*rows, Row("clock", "wrong", f"{detail}: set the clock of this machine")]
    return [*rows, Row("clock", "ok", detail)]


async def _identity(settings: ConnectionSettings, timeout: float) -> tuple[Row, Identity | None]:
    from airflow_provider_oss_async.clients.http import open_session
    from airflow_provider_oss_async.clients.sts import STSClient

    endpoint = f"https://{sts_endpoint(settings.region, settings.network)}"
    if is_loopback(urlsplit(settings.imm_endpoint).hostname or ""):
        endpoint = settings.imm_endpoint  # a stand-in, which serves STS at the same address
    try:
        async with open_session() as session:
            client = STSClient(
                session,
                endpoint,
                credentials_source(settings),
                timeout=timeout,
                proxy=settings.proxy or None,
            )
            identity = await client.get_caller_identity()
    except OSSServiceError as error:
        verdict: Verdict = "wrong" if error.code else "cannot be told"
        return Row("credentials", verdict, str(error), needed=verdict == "wrong"), None
    detail = f"{settings.credential_source}: {identity.kind} {identity.arn} of account {identity.account_id}"
    return Row("credentials", "ok", detail), identity


async def _binding(
    services: Services, settings: ConnectionSettings, bucket: str, *, needed: bool
) -> tuple[str, Row]:
    """Return the IMM project, and what is known of the binding of the bucket."""
    project = settings.imm_project
    if not bucket:
        return project, Row("bucket binding", "cannot be told", "no bucket is known: give --bucket")
    try:
        bound = await services.imm.get_bucket_project(bucket)
    except OSSServiceError as error:
        if missing_resource(error) == "attachment":
            return project, Row("bucket binding", "missing", f"bucket {bucket}: {_BIND}")
        reason = f"{error.code or 'no answer'} {error.detail}"
        if not project:
            return "", Row("bucket binding", "cannot be told", reason, needed)
        return project, await _binding_by_project(services, project, bucket, reason, needed=needed)
    if project and bound != project:
        detail = f"imm_project is {project}, and bucket {bucket} is bound to {bound}: set that, or unset it"
        return bound, Row("bucket binding", "wrong", detail)
    return bound, Row("bucket binding", "ok", f"bucket {bucket} is bound to IMM project {bound}")


async def _binding_by_project(
    services: Services, project: str, bucket: str, reason: str, *, needed: bool
) -> Row:
    """Return what is known of a binding where IMM did not answer for the bucket.

    :param reason: why it did not.
    """
    try:
        token: str | None = None
        for _ in range(MAX_PAGES):
            buckets, token = await services.imm.list_attached_buckets(project, next_token=token)
            if bucket in buckets:
                return Row("bucket binding", "ok", f"bucket {bucket} is bound to IMM project {project}")
            if token is None:
                detail = f"bucket {bucket} is not bound to imm_project {project}: {_BIND}, or set its project"
                return Row("bucket binding", "wrong", detail)
    except OSSServiceError as error:
        log.debug("The buckets of project %s could not be listed: %s", project, error)
    return Row("bucket binding", "cannot be told", reason, needed)


async def _project(services: Services, project: str) -> list[Row]:
    try:
        found = await services.imm.get_project(project)
    except OSSServiceError as error:
        if missing_resource(error) == "project":
            return [Row("IMM project", "missing", f"{project}: {error.advice}")]
        # A right of its own, which nothing else needs.
        return [Row("IMM project", "cannot be told", f"{project}: {error.code or 'no answer'}", needed=False)]
    return [
        Row("IMM project", "ok", project),
        _told("service role", found.service_role, "the project names none"),
        _told("EngineConcurrency", found.engine_concurrency, "the answer does not hold it"),
        _told("ProjectQueriesPerSecond", found.queries_per_second, "the answer does not hold it"),
    ]


def _told(subject: str, value: object, otherwise: str) -> Row:
    return (
        Row(subject, "ok", str(value)) if value else Row(subject, "cannot be told", otherwise, needed=False)
    )


async def _messages(services: Services, settings: ConnectionSettings, identity: Identity | None) -> list[Row]:
    """Return what is known of endpoint and topic; the queue shows in the questions about its rights."""
    if services.smq is None:
        return [Row("SMQ endpoint", "missing", "set smq_endpoint and smq_queue on the connection")]
    rows = []
    official = official_host(urlsplit(settings.smq_endpoint).hostname or "")
    if official and identity and official.prefix != identity.account_id:
        detail = f"it is that of account {official.prefix}, and the caller belongs to {identity.account_id}"
        rows.append(Row("SMQ endpoint", "wrong", detail))
    else:
        rows.append(Row("SMQ endpoint", "ok", settings.smq_endpoint))
    if not settings.smq_topic:
        rows.append(
            Row("SMQ topic", "cannot be told", "set smq_topic on the connection, or notify_topic on tasks")
        )
        return rows
    try:
        there = await services.smq.has_topic(settings.smq_topic)
    except OSSServiceError as error:
        # mns:GetTopicAttributes is needed for this alone.
        rows.append(
            Row("SMQ topic", "cannot be told", f"{error.code or 'no answer'} {error.detail}", needed=False)
        )
    else:
        detail = (
            settings.smq_topic
            if there
            else f"there is no topic {settings.smq_topic}: create it, or correct smq_topic"
        )
        rows.append(Row("SMQ topic", "ok" if there else "missing", detail))
    return rows
