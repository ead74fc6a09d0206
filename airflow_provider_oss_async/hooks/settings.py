"""From an Airflow connection to plain, checked settings. No I/O, no clock, no SDK.

The fields are described in :mod:`airflow_provider_oss_async.hooks.connection_fields`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from airflow_provider_oss_async.clients.endpoints import (
    Network,
    OfficialHost,
    Service,
    default_scheme,
    imm_endpoint,
    is_host,
    is_ip,
    is_loopback,
    official_host,
    oss_endpoint,
    parse_region,
    smq_endpoint,
)
from airflow_provider_oss_async.exceptions import OSSConnectionError
from airflow_provider_oss_async.hooks.connection_fields import (
    BY_NAME,
    EXTRA_FIELDS,
    FIELDS,
    ConnectionField,
    CredentialSource,
    parameters,
)

#: Connection types of the official Alibaba provider; their keys are in the extra, and their host is not read.
OFFICIAL_TYPES = ("oss", "alibaba_cloud")
#: What each credential source cannot do without. Unset fields of the others come from the environment.
_NEEDED: dict[str, tuple[str, ...]] = {
    "static": ("login", "password"),
    "ram_role_arn": ("login", "password", "role_arn"),
}
_URL_FORM = "a {kind} such as {example}, with a port from 1 to 65535, and without blanks{without}"
#: Characters of a wrong value that a message shows.
_SHOWN = 80


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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:  # noqa: D101  (its docstring is made below, from the table of fields)
    conn_id: str
    region: str
    network: Network
    oss_endpoint: str
    path_style: bool
    cname: bool = False
    bucket: str
    credential_source: CredentialSource
    access_key_id: str = ""
    access_key_secret: str = dataclasses.field(default="", repr=False)
    security_token: str | None = dataclasses.field(default=None, repr=False)
    role_arn: str = ""
    role_session_name: str = ""
    role_session_expiration: int = 3600
    role_policy: str = ""
    external_id: str = dataclasses.field(default="", repr=False)
    ecs_role_name: str = ""
    oidc_provider_arn: str = ""
    oidc_token_file: str = ""
    credentials_uri: str = dataclasses.field(default="", repr=False)
    imm_project: str = ""
    imm_endpoint: str
    smq_endpoint: str = ""
    smq_queue: str = ""
    smq_topic: str = ""
    connect_timeout: float = 10.0
    read_timeout: float = 20.0
    proxy: str = dataclasses.field(default="", repr=False)
    warnings: tuple[str, ...] = ()


ConnectionSettings.__doc__ = f"""What a connection says, checked and with its defaults filled in.

Unset texts are ``""``, but ``security_token`` is ``None``. Endpoints are URLs.

:param conn_id: id of the connection.
{parameters()}
:param warnings: what is probably not meant, one sentence each.
"""


def read_settings(
    conn: ConnectionLike, *, region: str | None = None, imm_project: str | None = None
) -> ConnectionSettings:
    """Read a connection of type ``oss_async``, or one of the official Alibaba provider as it is.

    :param conn: the connection.
    :param region: takes the place of the connection's region (str); ``None``: the connection's.
    :param imm_project: takes the place of the connection's IMM project (str); ``None``: the connection's.
    :raises OSSConnectionError: something is missing or wrong; the message names every such field.
    """
    return _Reader(conn).settings({"region": region, "imm_project": imm_project})


def _host_of(url: str) -> str:
    """Return the host name of a URL in lower case, without port, brackets or a dot at its end."""
    return (urlsplit(url).hostname or "").lower().rstrip(".")


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
        except (ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            self.problems.append("extra: must be a JSON object")
            return {}
        return extra

    def settings(self, overrides: Mapping[str, object]) -> ConnectionSettings:
        values: dict[str, Any] = {field.attribute: self._read(field) for field in FIELDS}
        values.update(self._override(name, value) for name, value in overrides.items() if value is not None)
        self._check_credentials(values)
        self._locate(values)
        self._address(values)
        if values["smq_queue"] and not values["smq_endpoint"]:
            host = smq_endpoint("<account id>", values["region"] or "<region>", values["network"])
            self._problem(
                "smq_endpoint", f"not set, but needed for the queue: {default_scheme(host)}://{host}"
            )
        if self.problems:
            raise OSSConnectionError(
                f"The connection cannot be used: {'; '.join(self.problems)}. "
                f"(Airflow connection {self.conn.conn_id!r})"
            )
        return ConnectionSettings(conn_id=self.conn.conn_id, warnings=tuple(self.warnings), **values)

    def _problem(self, name: str, text: str) -> None:
        self.problems.append(f"{self._title(BY_NAME[name])}: {text}")

    def _title(self, field: ConnectionField) -> str:
        return f"{field.label} ({field.alias})" if self.official and field.alias else field.title

    # Reading one field, by its type.

    def _read(self, field: ConnectionField) -> Any:
        value = self._text(field)
        match field.type:
            case "number" | "integer":
                return self._number(field, value)
            case "choice" | "switch":
                return self._choice(field, value)
            case "endpoint":
                return self._endpoint(field, value)
            case "url":
                return self._url(field, value)
            case "json":
                return self._policy(field, value)
            case "text":
                if value and field.pattern and not re.fullmatch(field.pattern, value):
                    self._refuse(field, value)
                return value

    def _text(self, field: ConnectionField) -> str:
        """Return what a field holds as text; ``""`` if it is missing, null or blank."""
        values = [] if self.official and field.name == "host" else [self._standard(field)]
        if key := field.alias or ("" if field.standard else field.name):
            values.append(self.extra.get(key))
        found = [text for value in values if (text := self._as_text(field, value))]
        # In the official provider the extra comes first.
        return found[-1 if self.official else 0] if found else ""

    def _standard(self, field: ConnectionField) -> object:
        if not field.standard:
            return None
        value = getattr(self.conn, field.name)
        if field.name == "host" and value and self.conn.port is not None:
            scheme, separator, host = str(value).strip().rpartition("://")
            # Airflow takes the brackets off an IPv6 address.
            host = f"[{host}]" if ":" in host and is_ip(host) else host
            return f"{scheme}{separator}{host}:{self.conn.port}"
        return value

    def _as_text(self, field: ConnectionField, value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, dict | list) and field.type == "json":
            return json.dumps(value)
        if isinstance(value, bool) and field.type == "switch":
            return str(value).lower()
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self._problem(field.name, f"must be a text, not {type(value).__name__}")
            return ""
        text = str(value).strip()
        if not text.isprintable() and field.type != "json":
            self._problem(field.name, "holds control or invisible characters; type it anew")
            return ""
        if text == "None":
            self._problem(field.name, "'None' is what templates make of a missing value; leave it out")
            return ""
        return text

    def _refuse(self, field: ConnectionField, value: str) -> None:
        shown = "the value" if field.secret else repr(value[:_SHOWN])
        self._problem(field.name, f"{shown} is not {field.allowed}")

    def _choice(self, field: ConnectionField, value: str) -> Any:
        value = value.lower()
        if value and value not in field.choices:
            self._problem(field.name, f"{value[:_SHOWN]!r} is not one of {field.allowed}")
            value = ""
        value = value or str(field.default or "")
        return value == "true" if field.type == "switch" and value in ("true", "false") else value

    def _number(self, field: ConnectionField, value: str) -> float:
        assert isinstance(field.default, int | float)  # noqa: S101  (the table's own consistency)
        assert field.minimum is not None  # noqa: S101
        assert field.maximum is not None  # noqa: S101
        kind = int if field.type == "integer" else float
        try:
            number = kind(value) if value else kind(field.default)
        except ValueError:
            number = float("nan")
        if not field.minimum <= number <= field.maximum:
            what = "a whole number" if kind is int else "a number"
            self._problem(field.name, f"{value[:_SHOWN]!r} is not {what} from {field.allowed}")
            return kind(field.default)
        return number

    def _endpoint(self, field: ConnectionField, value: str) -> str:
        """Return a URL of scheme, host and port."""
        if not value:
            return ""
        if "://" not in value:
            value = f"[{value}]" if is_ip(value) and ":" in value else value
            value = f"{default_scheme(_parse(f'//{value}')[1])}://{value}"
        scheme, host, port, rest = _parse(value)
        if scheme not in ("http", "https") or not is_host(host) or rest:
            form = _URL_FORM.format(
                kind="host name or URL",
                example=f"https://{oss_endpoint('cn-hangzhou')}",
                without=", user name, path, query or fragment",
            )
            # A user name comes with a password.
            shown = "" if "@" in value else f", not {value[:_SHOWN]!r}"
            self._problem(field.name, f"must be {form}{shown}")
            return ""
        if scheme != default_scheme(host) and scheme == "http":
            self.warnings.append(f"{field.title}: {host} is used over http, which anyone in between can read")
        return f"{scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"

    def _url(self, field: ConnectionField, value: str) -> str:
        if not value:
            return ""
        scheme, host, _, rest = _parse(value)
        wrong = scheme not in ("http", "https") or not is_host(host) or "#" in rest
        # A proxy has no path; a user name may stand in both.
        if wrong or (field.name == "proxy" and rest.strip("@")):
            # The value is not shown: it may hold a password.
            form = _URL_FORM.format(kind="URL", example="http://proxy.internal:3128", without=" or fragment")
            self._problem(field.name, f"must be {form}")
        return value

    def _policy(self, field: ConnectionField, value: str) -> str:
        try:
            policy = json.loads(value) if value else None
        except (ValueError, RecursionError):
            policy = ""
        if policy is None:
            return ""
        # The form of a policy: https://www.alibabacloud.com/help/en/ram/policy-structure-and-syntax
        statements = policy.get("Statement") if isinstance(policy, dict) else None
        if (
            not isinstance(policy, dict)
            or policy.get("Version") != "1"
            or not isinstance(statements, list)
            or not statements
            or not all(
                isinstance(each, dict)
                and each.get("Effect") in ("Allow", "Deny")
                and ("Action" in each or "NotAction" in each)
                for each in statements
            )
            or len(value) > 2048
        ):
            each = '"Effect" (Allow or Deny), "Action" and "Resource"'
            self._problem(field.name, f"must be {field.form}, each with {each}")
        return value

    def _override(self, name: str, value: object) -> tuple[str, str]:
        """Return what an argument of hook or task says instead of the connection."""
        field = BY_NAME[name]
        text = value.strip() if isinstance(value, str) else ""
        if not isinstance(value, str):
            reason = f"{value!r:.{_SHOWN}} is of type {type(value).__name__}"
        elif not text or text == "None":
            reason = f"{value!r:.{_SHOWN}} is what templates make of a missing value"
        elif not text.isprintable() or (field.pattern and not re.fullmatch(field.pattern, text)):
            reason = f"{value!r:.{_SHOWN}} is not {field.allowed or 'a name'}"
        else:
            return name, text
        self._problem(name, f"as argument, {reason}; give a text, or leave it out to use the connection's")
        return name, ""

    # What fields mean together.

    def _check_credentials(self, values: dict[str, Any]) -> None:
        values["security_token"] = values["security_token"] or None
        auth_type = str(self.extra.get("auth_type") or "")
        if self.official and auth_type not in ("", "AK"):
            self.problems.append(f"auth_type: {auth_type[:_SHOWN]!r} is not supported, only 'AK'")
        given = values["credential_source"]
        source = given or ("ram_role_arn" if values["role_arn"] and values["access_key_id"] else "static")
        values["credential_source"] = source
        why = f"credential_source is {source!r}{'' if given else ' (the default)'}"
        for name in _NEEDED.get(source, ()):
            if not values[BY_NAME[name].attribute] and not self._has_problem(name):
                self._problem(name, f"not set, but {why}")
        for field in FIELDS:
            # The AccessKey of a connection may well be left in it.
            used = not field.sources or source in field.sources or field.standard
            if not used and self._is_set(field):
                self.warnings.append(f"{field.title} has no effect, because {why}")

    def _is_set(self, field: ConnectionField) -> bool:
        return self.extra.get(field.name) not in (None, "")

    def _has_problem(self, name: str) -> bool:
        title = self._title(BY_NAME[name])
        return any(problem.startswith(f"{title}: ") for problem in self.problems)

    def _locate(self, values: dict[str, Any]) -> None:
        """Settle region, network and endpoints."""
        given: Network | Literal[""] = values["network"]
        at_oss = self._at_official("host", values["oss_endpoint"], "OSS")
        at_imm = self._at_official("imm_endpoint", values["imm_endpoint"], "IMM")
        at_smq = self._at_official("smq_endpoint", values["smq_endpoint"], "SMQ")
        region, implied = self._region(values["region"], at_oss)
        network: Network = given or (at_oss.network if at_oss else implied) or "public"
        if given and implied == "internal" != given:
            self.warnings.append(
                f"unset network, or correct region: it names the internal endpoint, but network is {given}"
            )
        for name, official in (("host", at_oss), ("imm_endpoint", at_imm), ("smq_endpoint", at_smq)):
            if official is None:
                continue
            title = BY_NAME[name].title
            if official.region and region and region != official.region:
                self.warnings.append(
                    f"correct region or {title}: region is {region}, the endpoint that of {official.region}"
                )
            of_its_own = name == "host" and official.network != given
            if given and (of_its_own or (official.network == "internal") != (given == "internal")):
                self.warnings.append(
                    f"unset network or {title}: network is {given}, the endpoint for {official.network}"
                )
        values["region"], values["network"] = region, network
        values["oss_endpoint"] = values["oss_endpoint"] or f"https://{oss_endpoint(region, network)}"
        values["imm_endpoint"] = values["imm_endpoint"] or f"https://{imm_endpoint(region, network)}"

    def _at_official(self, name: str, url: str, service: Service) -> OfficialHost | None:
        """Return what an official host says; ``None`` for others and for wrong ones."""
        official = official_host(_host_of(url))
        if official is None:
            return None
        if official.service != service:
            self._problem(name, f"this is an endpoint of {official.service}, not of {service}")
        elif official.s3_compatible:
            self._problem(
                name,
                "this is the S3-compatible endpoint, which has no asynchronous processing; "
                f"use {official.endpoint}",
            )
        elif official.bucket:
            self._problem(
                name,
                f"must not begin with a bucket: use {official.endpoint}, and put {official.bucket!r} into "
                f"{BY_NAME['schema'].title}",
            )
        elif (service == "SMQ") != bool(official.prefix):
            prefix = "begin with the account id" if service == "SMQ" else f"be {official.endpoint}"
            self._problem(name, f"must {prefix}")
        else:
            return official
        return None

    def _region(self, text: str, at_oss: OfficialHost | None) -> tuple[str, Network | None]:
        if not text:
            region = at_oss.region if at_oss else ""
            if not region and not self._has_problem("region"):
                example = '{"region": "cn-hangzhou"}'
                self._problem("region", f"not set; add it to the connection, such as {example} in the extra")
            return region, None
        try:
            return parse_region(text)
        except ValueError as error:
            self._problem("region", f"{text[:_SHOWN]!r}: {error}; write one such as cn-hangzhou")
            return "", None

    def _address(self, values: dict[str, Any]) -> None:
        """Settle how the bucket goes into the URL: before the host, into the path, or not at all."""
        host = _host_of(values["oss_endpoint"])
        # A bucket name cannot be put in front of these.
        bare = is_loopback(host) or is_ip(host)
        wanted = values["path_style"]
        official = official_host(host)
        values["path_style"] = wanted if isinstance(wanted, bool) else bare and not values["cname"]
        if values["path_style"] and official:
            self.warnings.append(
                "unset path_style: OSS answers SecondLevelDomainForbidden to it at its own endpoints"
            )
        if values["cname"]:
            if official or is_ip(host):
                self._problem("cname", f"is true, so {BY_NAME['host'].title} must be the custom domain")
            if not values["bucket"]:
                self._problem(
                    "schema", "not set, but needed with a custom domain: the bucket that it is bound to"
                )
            if values["path_style"]:
                self._problem("path_style", "cannot be true together with cname")
        elif not (official or bare or values["path_style"] or self._is_set(BY_NAME["cname"])):
            self.warnings.append(
                f"{BY_NAME['host'].title}: {host} is not an endpoint of OSS, so buckets are put before it "
                f"({values['bucket'] or 'bucket'}.{host}); set cname to true if it is a custom domain of the "
                "bucket, else to false"
            )


def _parse(url: str) -> tuple[str, str, int | None, str]:
    """Return scheme, host, port, and everything else that stands in a URL; empty texts if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", "", None, ""
    user = "@" if "@" in parts.netloc else ""
    rest = user + parts.path.strip("/") + ("?" if "?" in url else "") + ("#" if "#" in url else "")
    host = "" if port == 0 else (parts.hostname or "").removesuffix(".")
    return parts.scheme, host.lower(), port, rest
