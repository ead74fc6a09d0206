"""From an Airflow connection to plain, checked settings. No I/O, no clock, no SDK."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args
from urllib.parse import urlsplit

from airflow_provider_oss_async.clients.imm import imm_endpoint
from airflow_provider_oss_async.exceptions import OSSConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable

Network = Literal["public", "internal", "accelerate"]
CredentialSource = Literal[
    "static", "environment", "ecs_ram_role", "ram_role_arn", "oidc_role_arn", "credentials_uri", "default"
]

#: Connection types of the official Alibaba provider; their keys are in the extra, and their host is not read.
OFFICIAL_TYPES = ("oss", "alibaba_cloud")
_CREDENTIAL_TEXTS = (
    "role_arn",
    "role_session_name",
    "role_policy",
    "external_id",
    "ecs_role_name",
    "oidc_provider_arn",
    "oidc_token_file",
    "credentials_uri",
)
#: Fields of the extra that are read (besides ``auth_type`` of the official provider).
EXTRA_FIELDS = frozenset(
    (
        "access_key_id",
        "access_key_secret",
        "security_token",
        "region",
        "endpoint",
        "network",
        "credential_source",
        "role_session_expiration",
        "imm_project",
        "imm_endpoint",
        "smq_endpoint",
        "smq_queue",
        "smq_topic",
        "connect_timeout",
        "read_timeout",
        "proxy",
        "path_style",
        *_CREDENTIAL_TEXTS,
    )
)

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)+")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_OSS_HOST = re.compile(
    r"(?P<bucket>[^.]+\.)?oss-(?P<region>[a-z]{2}-[a-z0-9-]+?)(?P<internal>-internal)?\.aliyuncs\.com"
)


class ConnectionLike(Protocol):
    """The part of an Airflow connection that is read."""

    conn_id: str
    conn_type: str | None
    login: str | None
    password: str | None
    host: str | None
    port: int | None
    schema: str | None
    extra: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """What a connection says, checked and with its defaults filled in. Unset texts are ``""``.

    :param conn_id: id of the connection.
    :param region: region of the buckets, such as ``cn-hangzhou``.
    :param network: how OSS and IMM are reached. ``internal`` (inside a VPC of the region) and ``public`` hold
        for both services, ``accelerate`` for OSS alone.
    :param oss_endpoint: URL of OSS, without a bucket.
    :param path_style: whether the bucket stands in the path instead of the host name.
    :param bucket: default bucket, for keys given without one.
    :param credential_source: where the AccessKey comes from.
    :param access_key_id: for ``static`` and ``ram_role_arn``.
    :param access_key_secret: for ``static`` and ``ram_role_arn``.
    :param security_token: STS token that belongs to the AccessKey, ``None`` if it has none.
    :param role_arn: RAM role to assume, for ``ram_role_arn`` and ``oidc_role_arn``.
    :param role_session_name: name of the role session in the audit log; by default chosen at random.
    :param role_session_expiration: life of assumed-role credentials in seconds, 900 to 43200, default 3600.
    :param role_policy: further restriction of the role session, policy JSON.
    :param external_id: external id that the role's trust policy asks for.
    :param ecs_role_name: role of the ECS instance; unset, the instance is asked for it.
    :param oidc_provider_arn: OIDC provider, unset: ``ALIBABA_CLOUD_OIDC_PROVIDER_ARN``.
    :param oidc_token_file: path of the OIDC token, unset: ``ALIBABA_CLOUD_OIDC_TOKEN_FILE``.
    :param credentials_uri: URL that answers with temporary credentials.
    :param imm_project: IMM project that the buckets are bound to; unset, IMM is asked for it.
    :param imm_endpoint: URL of IMM.
    :param smq_endpoint: URL of SMQ. It contains the account id, so there is no default.
    :param smq_queue: queue with completion messages.
    :param smq_topic: topic that jobs are to announce their end on.
    :param connect_timeout: seconds, default 10.
    :param read_timeout: seconds between two pieces of an answer, default 20.
    :param proxy: URL of an HTTP proxy. Proxy variables of the environment are not read.
    :param warnings: what is probably not meant, one sentence each.
    """

    conn_id: str
    region: str
    network: Network
    oss_endpoint: str
    path_style: bool
    bucket: str
    credential_source: CredentialSource
    access_key_id: str = ""
    access_key_secret: str = field(default="", repr=False)
    security_token: str | None = field(default=None, repr=False)
    role_arn: str = ""
    role_session_name: str = ""
    role_session_expiration: int = 3600
    role_policy: str = ""
    external_id: str = field(default="", repr=False)
    ecs_role_name: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = ""
    credentials_uri: str = field(default="", repr=False)
    imm_project: str = ""
    imm_endpoint: str
    smq_endpoint: str = ""
    smq_queue: str = ""
    smq_topic: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    proxy: str = field(default="", repr=False)
    warnings: tuple[str, ...] = ()


def read_settings(conn: ConnectionLike, *, region: str = "", imm_project: str = "") -> ConnectionSettings:
    """Read a connection of type ``oss_async``, or one of the official Alibaba provider as it is.

    :param conn: the connection.
    :param region: takes the place of the connection's region.
    :param imm_project: takes the place of the connection's IMM project.
    :raises OSSConnectionError: something is missing or wrong; the message names every such field.
    """
    return _Reader(conn).settings(region, imm_project)


def host_of(url: str) -> str:
    """Return the host name of a URL in lower case, without port or brackets."""
    return (urlsplit(url).hostname or "").lower()


def is_loopback(host: str) -> bool:
    """Whether a host name or address stands for this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _ip(host)
    return address is not None and address.is_loopback


def is_bucket_name(name: str) -> bool:
    """Whether OSS allows the name: 3 to 63 of ``a-z 0-9 -``, with no ``-`` at either end."""
    return _BUCKET.fullmatch(name) is not None


class _Reader:
    """Reads one connection, collecting problems instead of stopping at the first."""

    def __init__(self, conn: ConnectionLike) -> None:
        self.conn = conn
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.official = conn.conn_type in OFFICIAL_TYPES
        if conn.conn_type not in (*OFFICIAL_TYPES, "oss_async", "", None):
            self.problems.append(
                f"connection type: {conn.conn_type!r} cannot be used here; "
                "choose 'oss_async' ('oss' and 'alibaba_cloud' of the Alibaba provider work too)"
            )
        self.extra = self._extra(conn.extra)
        unknown = sorted(set(self.extra) - EXTRA_FIELDS)
        if unknown and not self.official:
            self.warnings.append(f"these fields of the extra are not known and have no effect: {unknown}")

    def _extra(self, text: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
        # Airflow 3.2 leaves the extra of a connection from a URI as a dict.
        if isinstance(text, Mapping):
            return text
        if not text or not text.strip():
            return {}
        try:
            extra = json.loads(text)
        except ValueError:
            extra = None
        if not isinstance(extra, dict):
            self.problems.append("extra: must be a JSON object")
            return {}
        return extra

    def text(self, name: str) -> str:
        """Return a field of the extra; ``""`` if it is missing, null or blank."""
        value = self.extra.get(name)
        if isinstance(value, dict | list):
            return json.dumps(value)
        return "" if value is None else str(value).strip()

    def either(self, standard: str | None, name: str) -> str:
        """Return a standard field or its twin in the extra, which comes first in the official provider."""
        values = [(standard or "").strip(), self.text(name)]
        return next(filter(None, reversed(values) if self.official else values), "")

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name).lower()
        if value and value not in allowed:
            self.problems.append(f"{name}: {value!r} is not one of {', '.join(allowed)}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self.text(name)
        try:
            number = float(value) if value else default
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            self.problems.append(f"{name}: {value!r} is not a number of seconds from {low:g} to {high:g}")
            return default
        return number

    def url(self, name: str, value: str, *, plain: Callable[[str], bool] | None = None) -> str:
        """Return a URL of scheme, host and port. ``plain`` says for which hosts http is what is expected."""
        if not value:
            return ""
        plain = plain or is_loopback
        if "://" not in value:
            value = f"{'http' if plain(host_of('//' + value)) else 'https'}://{value}"
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            self.problems.append(
                f"{name}: must be a host name or URL such as https://oss-cn-hangzhou.aliyuncs.com"
            )
            return ""
        if parts.path.strip("/") or parts.query:
            self.problems.append(f"{name}: must end after the host name, without a path")
        if parts.scheme == "http" and not plain(host_of(value)):
            self.warnings.append(
                f"{name}: {parts.hostname} is used over http, which anyone in between can read"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}" + (f":{port}" if port else "")

    def endpoint(self) -> str:
        """Return the endpoint the connection names, with its port."""
        if self.official:
            return self.text("endpoint")
        host = (self.conn.host or "").strip() or self.text("endpoint")
        scheme, separator, name = host.rpartition("://")
        # Airflow takes the brackets off an IPv6 address.
        name = f"[{name}]" if ":" in name and _ip(name) else name
        port = f":{self.conn.port}" if name and self.conn.port else ""
        return f"{scheme}{separator}{name}{port}"

    def settings(self, region: str, imm_project: str) -> ConnectionSettings:
        endpoint = self.url("host (OSS endpoint)", self.endpoint())
        standard = _OSS_HOST.fullmatch(host_of(endpoint))
        if standard and standard["bucket"]:
            self.problems.append(
                "host (OSS endpoint): must not begin with a bucket; schema (default bucket) is for that"
            )
        network = self.choice("network", get_args(Network))
        if not network:
            network = "internal" if standard and standard["internal"] else "public"
        region = self._region(region or self.text("region"), standard["region"] if standard else "")
        bucket = (self.conn.schema or "").strip()
        if bucket and not is_bucket_name(bucket):
            self.problems.append(
                f"schema (default bucket): {bucket!r} is not a bucket name (3 to 63 of a-z, 0-9 and '-')"
            )
        oss_endpoint = endpoint or _oss_endpoint(region, network)
        values: dict[str, Any] = {
            "region": region,
            "network": network,
            "oss_endpoint": oss_endpoint,
            "path_style": self._path_style(host_of(oss_endpoint)),
            "bucket": bucket,
            "imm_project": imm_project or self.text("imm_project"),
            "imm_endpoint": self.url("imm_endpoint", self.text("imm_endpoint"))
            or f"https://{imm_endpoint(region, cast('Network', network))}",
            # Inside a VPC, SMQ is there over http alone.
            "smq_endpoint": self.url(
                "smq_endpoint",
                self.text("smq_endpoint"),
                plain=lambda host: is_loopback(host) or host.endswith("-internal.aliyuncs.com"),
            ),
            "smq_queue": self.text("smq_queue"),
            "smq_topic": self.text("smq_topic"),
            "connect_timeout": self.number("connect_timeout", 10.0, 0.1, 600),
            "read_timeout": self.number("read_timeout", 20.0, 0.1, 600),
            "proxy": self._proxy(),
            **self._credentials(),
        }
        if values["smq_queue"] and not values["smq_endpoint"]:
            self.problems.append(
                "smq_endpoint: needed for smq_queue: https://<account id>.mns.<region>.aliyuncs.com"
            )
        if self.problems:
            raise OSSConnectionError(
                f"Airflow connection {self.conn.conn_id!r} cannot be used: " + "; ".join(self.problems)
            )
        return ConnectionSettings(conn_id=self.conn.conn_id, warnings=tuple(self.warnings), **values)

    def _region(self, region: str, endpoint_region: str) -> str:
        # People know the region by the host name of its endpoint; the signature wants it without the prefix.
        region = region.strip().lower().removeprefix("oss-").removesuffix(".aliyuncs.com") or endpoint_region
        if not region:
            self.problems.append(
                'region: not set; add it to the connection, such as {"region": "cn-hangzhou"} in the extra'
            )
        elif not _REGION.fullmatch(region):
            self.problems.append(f"region: {region!r} is not a region id such as cn-hangzhou")
        elif endpoint_region and region != endpoint_region:
            self.warnings.append(f"region is {region}, but the OSS endpoint is that of {endpoint_region}")
        return region

    def _path_style(self, host: str) -> bool:
        value = self.choice("path_style", ("auto", "true", "false"))
        if value in ("true", "false"):
            return value == "true"
        # A bucket name cannot be put in front of these.
        return is_loopback(host) or _ip(host) is not None

    def _proxy(self) -> str:
        proxy = self.text("proxy")
        try:
            parts = urlsplit(proxy)
            wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
        except ValueError:
            wrong = True
        if proxy and wrong:  # The value is not shown: it may hold a password.
            self.problems.append("proxy: must be a URL such as http://proxy.internal:3128")
        return proxy

    def _credentials(self) -> dict[str, Any]:
        """Return the credential fields, having checked that the source has what it needs."""
        key_id = self.either(self.conn.login, "access_key_id")
        secret = self.either(self.conn.password, "access_key_secret")
        values: dict[str, Any] = {
            "access_key_id": key_id,
            "access_key_secret": secret,
            "security_token": self.text("security_token") or None,
            "role_session_expiration": int(self.number("role_session_expiration", 3600, 900, 43200)),
        }
        values.update((name, self.text(name)) for name in _CREDENTIAL_TEXTS)
        auth_type = self.text("auth_type")
        if self.official and auth_type not in ("", "AK"):
            self.problems.append(f"auth_type: {auth_type!r} is not supported, only 'AK'")
        source = self.choice("credential_source", get_args(CredentialSource))
        if not source:
            source = "ram_role_arn" if values["role_arn"] and key_id else "static"
        values["credential_source"] = source
        if source in ("static", "ram_role_arn"):
            where = (
                ("access_key_id", "access_key_secret")
                if self.official
                else ("login (AccessKey ID)", "password (AccessKey secret)")
            )
            for name, value in zip(where, (key_id, secret), strict=True):
                if not value:
                    self.problems.append(
                        f"{name}: not set, but credential_source is {source!r}"
                        + ("" if self.text("credential_source") else " (the default)")
                    )
        if source == "ram_role_arn" and not values["role_arn"]:
            self.problems.append("role_arn: not set, but credential_source is 'ram_role_arn'")
        if values["role_arn"] and source not in ("ram_role_arn", "oidc_role_arn"):
            self.warnings.append(f"role_arn has no effect, because credential_source is {source!r}")
        return values


def _oss_endpoint(region: str, network: str) -> str:
    if network == "accelerate":
        return "https://oss-accelerate.aliyuncs.com"
    return f"https://oss-{region}{'-internal' if network == 'internal' else ''}.aliyuncs.com"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
