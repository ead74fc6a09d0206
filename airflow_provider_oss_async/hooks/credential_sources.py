"""AccessKeys and temporary credentials: loaded off the event loop, cached, renewed before they expire."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from airflow_provider_oss_async.clients.credentials import Credentials
from airflow_provider_oss_async.clients.endpoints import sts_endpoint
from airflow_provider_oss_async.clients.errors import diagnose
from airflow_provider_oss_async.exceptions import OSSConnectionError, OSSUnavailableError, error_text
from airflow_provider_oss_async.hooks.connection_fields import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alibabacloud_oss_v2.types import CredentialsProvider

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings

    #: Returns credentials and the epoch second at which they expire: ``None`` if it is not known, which
    #: has them asked for again after a minute, ``float("inf")`` for never.
    Load = Callable[[], tuple[Credentials, float | None]]

log = logging.getLogger(__name__)

#: Seconds before expiry at which credentials are renewed. The credentials package renews its own copy
#: 15 minutes before expiry, so that by now it answers with new ones.
RENEW_BEFORE = 300.0
#: Seconds after which credentials of unknown expiry, or whose renewal failed, are asked for again.
ASK_AGAIN_AFTER = 60.0


class CachedCredentials:
    """Credentials of one identity, shared by all clients of a process and safe on any number of loops.

    An instance is a :data:`~airflow_provider_oss_async.clients.credentials.CredentialsSource`.

    :param load: fetches credentials; may block, is called in a thread and by one caller at a time.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._cached: Credentials | None = None
        self._expires_at = 0.0
        self._renew_at = 0.0
        self._thread_lock = threading.Lock()
        self._loop_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def __call__(self) -> Credentials:
        """Return valid credentials without blocking the loop. Costs nothing while they are fresh.

        :raises OSSConnectionError: the credentials were refused, or a setting is wrong.
        :raises OSSUnavailableError: their issuer could not be reached; trying again may help.
        """
        if (fresh := self._fresh()) is not None:
            return fresh
        # One waiting thread per loop, however many coroutines wait.
        lock = self._loop_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            if (fresh := self._fresh()) is not None:
                return fresh
            return await asyncio.to_thread(self.get)

    def get(self) -> Credentials:
        """Return valid credentials; blocks while they are renewed. Raises what awaiting raises."""
        with self._thread_lock:
            if (fresh := self._fresh()) is not None:
                return fresh
            now = time.time()
            try:
                loaded, expires_at = self._load()
            except Exception as error:
                if self._cached is None or now >= self._expires_at:
                    raise
                log.warning("Credentials could not be renewed yet; the old ones are still valid: %s", error)
                self._renew_at = now + ASK_AGAIN_AFTER
                return self._cached
            self._cached = loaded
            self._expires_at = now if expires_at is None else expires_at
            self._renew_at = max(now + ASK_AGAIN_AFTER, self._expires_at - RENEW_BEFORE)
            return loaded

    def current(self) -> Credentials:
        """Return the credentials last loaded, at once.

        :raises OSSConnectionError: none were loaded yet.
        """
        if self._cached is None:
            raise OSSConnectionError("The credentials of the connection are not loaded yet: await them first")
        return self._cached

    def _fresh(self) -> Credentials | None:
        return self._cached if time.time() < self._renew_at else None

    def __repr__(self) -> str:
        return f"<CachedCredentials {'loaded' if self._cached else 'empty'}>"


def credentials_source(settings: ConnectionSettings) -> CachedCredentials:
    """Return the credentials that a connection describes; nothing is loaded yet.

    Temporary credentials are shared by everything in this process that has the same settings, so that a
    thousand waiting tasks assume a role once an hour and not a thousand times.
    """
    if settings.credential_source == "static":
        keys = Credentials(settings.access_key_id, settings.access_key_secret, settings.security_token)
        return CachedCredentials(lambda: (keys, float("inf")))
    if settings.credential_source == "environment":
        return CachedCredentials(lambda: (_checked(_from_environment(settings.conn_id), settings), None))
    return _shared_source(settings)


def sdk_provider(source: CachedCredentials, *, blocking: bool) -> CredentialsProvider:
    """Wrap credentials for the OSS SDK, which asks for them before every attempt.

    :param source: where they come from.
    :param blocking: renew them in place, for the synchronous client. The asynchronous client asks on its
        event loop, so there it must be ``False``: the provider then answers with what was loaded last.
    """
    from alibabacloud_oss_v2 import credentials as sdk
    from alibabacloud_oss_v2.types import Credentials as SDKCredentials

    take = source.get if blocking else source.current

    def provide() -> SDKCredentials:
        keys = take()
        return SDKCredentials(keys.access_key_id, keys.access_key_secret, keys.security_token)

    return sdk.CredentialsProviderFunc(provide)


def _from_environment(conn_id: str) -> Credentials:
    """Read the variables of the OSS SDK, or else those that other Alibaba Cloud tools share."""
    for names in (
        ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_ID",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            "ALIBABA_CLOUD_SECURITY_TOKEN",
        ),
    ):
        key_id, secret, token = (os.environ.get(name, "").strip() for name in names)
        if key_id and secret:
            return Credentials(key_id, secret, token or None)
    raise OSSConnectionError(
        error_text(
            "credential_source is 'environment', but OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET are not set "
            "where this task runs",
            **_facts(conn_id),
        )
    )


@lru_cache(maxsize=64)
def _shared_source(settings: ConnectionSettings) -> CachedCredentials:
    if settings.credential_source == "credentials_uri":
        return CachedCredentials(lambda: _from_uri(settings))
    provider: Any = None

    def load() -> tuple[Credentials, float | None]:
        nonlocal provider
        try:
            # Here and not earlier: importing takes half a second, and the default chain reads files.
            if provider is None:
                provider = _provider(settings)
            with _no_request_logs():
                answer = provider.get_credentials()
        except ImportError as error:
            raise OSSConnectionError(
                error_text(
                    f"credential_source {settings.credential_source!r} needs a package that is not installed "
                    f"({error.name})",
                    "pip install 'airflow-provider-oss-async[credentials]'",
                    **_facts(settings.conn_id),
                )
            ) from error
        except Exception as error:
            failure = _failure(settings, error)
        else:
            keys = Credentials(
                answer.get_access_key_id(),
                answer.get_access_key_secret(),
                answer.get_security_token() or None,
            )
            return _checked(keys, settings), answer.get_expiration()
        # Outside of the handler: the original error must not travel along as context, because it may quote a
        # signed request or the body of an answer.
        raise failure

    return CachedCredentials(load)


@contextmanager
def _no_request_logs() -> Iterator[None]:
    """Keep requests of this thread out of the debug log of urllib3.

    It writes whole URLs, and those of STS hold security tokens, OIDC tokens and signatures.
    """
    thread = threading.get_ident()
    logger = logging.getLogger("urllib3.connectionpool")

    def of_others(record: logging.LogRecord) -> bool:
        return threading.get_ident() != thread

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)


def _from_uri(settings: ConnectionSettings) -> tuple[Credentials, float]:
    """Ask a URL for temporary credentials, which it answers with as the metadata service of ECS does.

    Not with the credentials package: it follows redirections, has no limit for the whole answer, and lets the
    URL with its query into a debug log. https://www.alibabacloud.com/help/en/sdk/developer-reference/v2-manage-python-access-credentials
    """
    uri = settings.credentials_uri or os.environ.get("ALIBABA_CLOUD_CREDENTIALS_URI", "").strip()
    if not uri:
        raise _error(settings, "neither credentials_uri nor ALIBABA_CLOUD_CREDENTIALS_URI is set")
    # In a thread of its own, because the caller's may have a running event loop.
    with ThreadPoolExecutor(1) as pool:
        status, body, reason = pool.submit(asyncio.run, _fetch(settings, uri)).result()
    if reason:
        raise _error(settings, reason, passing=True)
    if status != 200:
        if 300 <= status < 400:
            raise _error(settings, f"it answered with a redirection (HTTP {status}), which is not followed")
        raise _answered(settings, status, body.decode("utf-8", "replace"))
    try:
        data = json.loads(body)
        expires = datetime.fromisoformat(data["Expiration"]).timestamp()
        values = [data[name] for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken")]
        usable = data["Code"] == "Success" and all(isinstance(value, str) and value for value in values)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        usable = False
    if not usable:
        raise _error(
            settings,
            "its answer could not be used: it must be JSON with Code (Success), AccessKeyId, "
            "AccessKeySecret, SecurityToken and Expiration",
        )
    return _checked(Credentials(*values), settings), expires


async def _fetch(settings: ConnectionSettings, uri: str) -> tuple[int, bytes, str]:
    """Return status and body of an answer, or a reason why there is none, which does not quote the URL."""
    import aiohttp

    from airflow_provider_oss_async.clients.http import open_session

    limit = settings.connect_timeout + settings.read_timeout
    # Plain http is for services on this machine or in its network.
    proxy = settings.proxy if uri.startswith("https:") else None
    try:
        async with (
            open_session() as session,
            session.get(
                uri, timeout=aiohttp.ClientTimeout(total=limit), proxy=proxy or None, allow_redirects=False
            ) as answer,
        ):
            return answer.status, await answer.read(), ""
    except TimeoutError:
        return 0, b"", f"it did not answer within {limit:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return 0, b"", f"it could not be reached ({type(error).__name__})"


def _provider(settings: ConnectionSettings) -> Any:
    _silence_loggers()
    from alibabacloud_credentials import provider
    from alibabacloud_credentials.http import HttpOptions

    http = HttpOptions(
        proxy=settings.proxy or None,
        connect_timeout=int(settings.connect_timeout * 1000),
        read_timeout=int(settings.read_timeout * 1000),
    )
    role = {
        "role_arn": settings.role_arn or None,
        "role_session_name": settings.role_session_name or None,
        "duration_seconds": settings.role_session_expiration,
        "policy": settings.role_policy or None,
        "sts_endpoint": sts_endpoint(settings.region, settings.network),
        "http_options": http,
    }
    match settings.credential_source:
        case "ram_role_arn":
            return provider.RamRoleArnCredentialsProvider(
                access_key_id=settings.access_key_id,
                access_key_secret=settings.access_key_secret,
                security_token=settings.security_token,
                external_id=settings.external_id or None,
                **role,
            )
        case "oidc_role_arn":
            return provider.OIDCRoleArnCredentialsProvider(
                oidc_provider_arn=settings.oidc_provider_arn or None,
                oidc_token_file_path=settings.oidc_token_file or None,
                **role,
            )
        case "ecs_ram_role":
            # With its own updates on, every instance would leave a scheduler thread behind.
            return provider.EcsRamRoleCredentialsProvider(
                role_name=settings.ecs_role_name or None, async_update_enabled=False
            )
    return _default_chain()


@lru_cache(maxsize=1)
def _default_chain() -> Any:
    """Return the only default chain of this process: each would start a scheduler thread that never ends."""
    from alibabacloud_credentials import provider

    return provider.DefaultCredentialsProvider()


def _silence_loggers() -> None:
    """Stop the credentials package from writing to stderr.

    On import it attaches stderr handlers to these two loggers, and its messages quote failed requests with
    their tokens and signatures. What failed is said by our own exceptions.
    """
    import_module("alibabacloud_credentials.client")
    for name in ("credentials", "alibabacloud-tea"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


def _checked(keys: Credentials, settings: ConnectionSettings) -> Credentials:
    """Return keys that a header can carry, as those of a connection are.

    :raises OSSConnectionError: they hold blanks, control characters or others that no key has.
    """
    for name, value in (
        ("login", keys.access_key_id),
        ("password", keys.access_key_secret),
        ("security_token", keys.security_token),
    ):
        if value and not re.fullmatch(BY_NAME[name].pattern, value):
            raise _error(settings, f"its {BY_NAME[name].label} is not {BY_NAME[name].form}")
    return keys


#: The API action of the sources that ask STS.
_STS_ACTIONS = {"ram_role_arn": "AssumeRole", "oidc_role_arn": "AssumeRoleWithOIDC"}


def _failure(settings: ConnectionSettings, error: Exception) -> OSSConnectionError | OSSUnavailableError:
    """Say what failed, without the texts of the credentials package: they may hold secrets."""
    text = str(error)
    unreachable = type(error).__name__ == "RetryError"
    if settings.credential_source == "default" and not unreachable:
        return _error(settings, "none of the sources of the default chain is set up here")
    found = re.search(r"http_?code\W+(\d{3})", text, re.IGNORECASE)
    if found:
        return _answered(settings, int(found[1]), text)
    if unreachable:
        return _error(settings, "it could not be reached", passing=True)
    if isinstance(error, ValueError | OSError) and not isinstance(error, json.JSONDecodeError):
        # Missing settings and unreadable files; nothing was sent.
        return _error(settings, text)
    return _error(settings, f"its answer could not be used ({type(error).__name__})")


def _answered(
    settings: ConnectionSettings, status: int, body: str
) -> OSSConnectionError | OSSUnavailableError:
    """Return the error for an answer that is not a success. Only code and request id of it are shown."""
    code, request_id = (
        found[1] if (found := re.search(rf'"{name}"\s*:\s*"([A-Za-z0-9.-]{{1,80}})"', body)) else ""
        for name in ("Code", "RequestId")
    )
    passing = status in (408, 429) or status >= 500 or code.startswith("Throttling")
    return _error(
        settings,
        f"it {'could not issue' if passing else 'refused to issue'} them: HTTP {status} {code}".rstrip(),
        passing=passing,
        status=status,
        code=code,
        request_id=request_id,
    )


def _error(
    settings: ConnectionSettings,
    reason: str,
    *,
    passing: bool = False,
    status: int | None = None,
    code: str = "",
    request_id: str = "",
) -> OSSConnectionError | OSSUnavailableError:
    """Return the error for credentials that could not be had.

    :param reason: what happened; "it" is the issuer of the credentials.
    :param passing: whether the same may work later.
    """
    source = settings.credential_source
    action = _STS_ACTIONS.get(source, "")
    service = "STS" if action else ""
    issuer: str = source
    if action:
        issuer = f"{source}, by STS at {sts_endpoint(settings.region, settings.network)}"
    elif source == "credentials_uri" and settings.credentials_uri:
        issuer = f"{source} at {urlsplit(settings.credentials_uri).hostname}"
    kind, advice = diagnose(
        service, code, action=action, status=status, key_id=settings.access_key_id if action else ""
    )
    if kind == "rights" and action:
        advice += " The role's trust policy must name the caller too."
    elif passing and status is None:
        advice = "Check network, proxy and region of the connection, and name resolution here."
    text = error_text(
        f"No credentials from {issuer}: {reason}",
        advice,
        **_facts(settings.conn_id),
        request_id=request_id,
    )
    cls = OSSUnavailableError if passing else OSSConnectionError
    return cls(
        text,
        service=service,
        action=action,
        status=status,
        code=code,
        advice=advice,
        request_id=request_id,
    )


def _facts(conn_id: str) -> dict[str, str]:
    return {"Airflow connection": repr(conn_id)}
