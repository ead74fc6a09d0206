"""The fields of a connection: the one table that the form, the reader, the documentation and the tests read.

Pure data. Airflow reads it while it starts, so it imports nothing but the names of networks. To add a field,
add a row here and an attribute of the same name to ``ConnectionSettings`` (hooks/settings.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from airflow_provider_oss_async.clients.endpoints import Network

CredentialSource = Literal[
    "static", "environment", "ecs_ram_role", "ram_role_arn", "oidc_role_arn", "credentials_uri", "default"
]
#: How a value is read. ``endpoint`` is a host or URL without path, ``url`` may have a path and a query,
#: ``switch`` is one of the choices ``true`` and ``false``, ``json`` an object.
FieldType = Literal["text", "choice", "switch", "number", "integer", "endpoint", "url", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionField:
    """One field of a connection.

    :param name: key in the extra, or for ``standard`` fields the attribute of Airflow's connection.
    :param setting: attribute of ``ConnectionSettings``; unset, the same as ``name``.
    :param label: what the form calls it.
    :param type: how it is read.
    :param group: section of the form.
    :param doc: what it is, in sentences. Unit, range, choices and default are added to it.
    :param unit: unit of a number.
    :param default: value where it is unset, ``None`` if it has none.
    :param default_doc: the default in words, where it is not a constant.
    :param minimum: smallest value of a number.
    :param maximum: largest value of a number.
    :param choices: the values of a choice.
    :param pattern: regular expression that a text matches as a whole.
    :param form: what ``pattern`` means in words, with an example.
    :param examples: values that the form proposes.
    :param placeholder: grey text in the empty field; Airflow's form shows it for ``standard`` fields only.
    :param secret: whether it is hidden in the form, in logs and in messages.
    :param required: whether the form insists on it.
    :param sources: the credential sources that use it; empty means all.
    :param standard: whether it is one of the fields that every Airflow connection has.
    :param alias: key in the extra that means the same as a ``standard`` field; connections of the official
        Alibaba provider use it instead.
    """

    name: str
    setting: str = ""
    label: str
    type: FieldType = "text"
    group: str
    doc: str
    unit: str = ""
    default: str | float | None = None
    default_doc: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    form: str = ""
    examples: tuple[str, ...] = ()
    placeholder: str = ""
    secret: bool = False
    required: bool = False
    sources: tuple[CredentialSource, ...] = ()
    standard: bool = False
    alias: str = ""

    @property
    def attribute(self) -> str:
        """Name of the attribute of ``ConnectionSettings``."""
        return self.setting or self.name

    @property
    def title(self) -> str:
        """How messages call it: the label of the form, and the key of URI and JSON in brackets."""
        return f"{self.label} ({self.name})"

    @property
    def allowed(self) -> str:
        """Choices, or range and unit; empty if there is no such limit."""
        if self.choices:
            return ", ".join(self.choices)
        if self.minimum is not None:
            return f"{self.minimum:g} to {self.maximum:g} {self.unit}".rstrip()
        return self.form

    @property
    def default_text(self) -> str:
        """The default in words; empty if there is none."""
        return self.default_doc or ("" if self.default is None else f"{self.default}".removesuffix(".0"))

    @property
    def description(self) -> str:
        """What it is, with unit, range or form, and default, in sentences."""
        parts = [self.doc]
        # The form shows choices by itself.
        if self.allowed and not self.choices:
            parts.append(f"{self.allowed[0].upper()}{self.allowed[1:]}.")
        if self.sources:
            parts.append(f"Used with credential source {' and '.join(self.sources)}.")
        if self.default_text:
            parts.append(f"Default: {self.default_text}.")
        return " ".join(parts)


_MAIN = "OSS and IMM"
_CREDENTIALS = "Credentials: where they come from"
_ROLE = "Credentials: RAM role"
_NETWORK = "Network"
_SMQ = "Completion messages (SMQ)"

#: In the order of the form: Airflow shows standard fields first, then the groups.
FIELDS: tuple[ConnectionField, ...] = (
    ConnectionField(
        name="login",
        setting="access_key_id",
        label="AccessKey ID",
        group="Standard fields",
        doc="AccessKey ID of a RAM user, or of temporary credentials.",
        pattern=r"(?![0-9]+\Z)[A-Za-z0-9.@_=+-]+",
        form="an AccessKey ID such as LTAI5t..., which is not a number and not the id of the account",
        sources=("static", "ram_role_arn"),
        standard=True,
        alias="access_key_id",
    ),
    ConnectionField(
        name="password",
        setting="access_key_secret",
        label="AccessKey secret",
        group="Standard fields",
        doc="Secret that belongs to the AccessKey ID. In a URI, percent-encode its special characters.",
        pattern=r"[!-~]+",
        form="printable ASCII without blanks",
        secret=True,
        sources=("static", "ram_role_arn"),
        standard=True,
        alias="access_key_secret",
    ),
    ConnectionField(
        name="host",
        setting="oss_endpoint",
        label="OSS endpoint",
        type="endpoint",
        group="Standard fields",
        doc="Host name or URL of OSS, without a bucket; or a custom domain, then with cname.",
        default_doc="follows from region and network",
        placeholder="unset: follows from Region and Network",
        standard=True,
        alias="endpoint",
    ),
    ConnectionField(
        name="schema",
        setting="bucket",
        label="Default bucket",
        group="Standard fields",
        doc="Bucket of sources and targets that are given as a bare key.",
        pattern=r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        form="3 to 63 of a-z, 0-9 and '-'",
        standard=True,
    ),
    ConnectionField(
        name="region",
        label="Region",
        group=_MAIN,
        doc="Region id of the buckets, such as cn-hangzhou. URI and JSON may leave it to the OSS endpoint.",
        examples=(
            "cn-hangzhou",
            "cn-shanghai",
            "cn-beijing",
            "cn-shenzhen",
            "ap-southeast-1",
            "eu-central-1",
        ),
        required=True,
    ),
    ConnectionField(
        name="imm_project",
        label="IMM project",
        group=_MAIN,
        doc="IMM project that the buckets are bound to.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}",
        form="1 to 128 letters, digits, '-' and '_'",
        default_doc="IMM is asked for it, which needs the right imm:GetOSSBucketAttachment",
    ),
    ConnectionField(
        name="credential_source",
        label="Credential source",
        type="choice",
        group=_CREDENTIALS,
        doc="Where the AccessKey comes from. static is the AccessKey of this connection, environment reads "
        "OSS_ACCESS_KEY_ID and so on. ecs_ram_role, ram_role_arn, oidc_role_arn and default need the extra "
        "[credentials] of this package.",
        default_doc="static, or ram_role_arn if a role and an AccessKey are given",
        choices=get_args(CredentialSource),
    ),
    ConnectionField(
        name="security_token",
        label="Security token",
        group=_CREDENTIALS,
        doc="STS token that belongs to a temporary AccessKey.",
        pattern=r"[!-~]+",
        form="printable ASCII without blanks",
        secret=True,
        sources=("static", "ram_role_arn"),
    ),
    ConnectionField(
        name="credentials_uri",
        label="Credentials URI",
        type="url",
        group=_CREDENTIALS,
        doc="URL that answers with temporary credentials, within both timeouts together and without a "
        "redirection.",
        default_doc="variable ALIBABA_CLOUD_CREDENTIALS_URI",
        secret=True,
        sources=("credentials_uri",),
    ),
    ConnectionField(
        name="ecs_role_name",
        label="ECS role name",
        group=_CREDENTIALS,
        doc="RAM role that is attached to the ECS instance.",
        default_doc="the instance is asked for it",
        sources=("ecs_ram_role",),
    ),
    ConnectionField(
        name="role_arn",
        label="RAM role ARN",
        group=_ROLE,
        doc="RAM role to assume.",
        pattern=r"acs:ram::[0-9]+:role/[A-Za-z0-9._@/-]+",
        form="an ARN such as acs:ram::123456789012:role/media",
        sources=("ram_role_arn", "oidc_role_arn"),
    ),
    ConnectionField(
        name="role_session_name",
        label="Role session name",
        group=_ROLE,
        doc="Name of the session in the audit log.",
        pattern=r"[A-Za-z0-9.@_-]{2,64}",
        form="2 to 64 letters, digits and . @ _ -",
        default_doc="variable ALIBABA_CLOUD_ROLE_SESSION_NAME, else made from the time",
        sources=("ram_role_arn", "oidc_role_arn"),
    ),
    ConnectionField(
        name="role_session_expiration",
        label="Role session expiration",
        type="integer",
        group=_ROLE,
        doc="Life of the credentials of the assumed role; not more than the role's maximum session duration.",
        unit="seconds",
        default=3600,
        minimum=900,
        maximum=43200,
        sources=("ram_role_arn", "oidc_role_arn"),
    ),
    ConnectionField(
        name="role_policy",
        label="Role policy",
        type="json",
        group=_ROLE,
        doc="RAM policy that restricts the role session further.",
        form='JSON of at most 2048 characters with "Version": "1" and a list "Statement"',
        sources=("ram_role_arn", "oidc_role_arn"),
    ),
    ConnectionField(
        name="external_id",
        label="External ID",
        group=_ROLE,
        doc="External id that the role's trust policy asks for.",
        pattern=r"[A-Za-z0-9=,.@:/_-]{2,1224}",
        form="2 to 1224 letters, digits and = , . @ : / _ -",
        secret=True,
        sources=("ram_role_arn",),
    ),
    ConnectionField(
        name="oidc_provider_arn",
        label="OIDC provider ARN",
        group=_ROLE,
        doc="OIDC provider of RAM.",
        pattern=r"acs:ram::[0-9]+:oidc-provider/.+",
        form="an ARN such as acs:ram::123456789012:oidc-provider/ack",
        default_doc="variable ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
        sources=("oidc_role_arn",),
    ),
    ConnectionField(
        name="oidc_token_file",
        label="OIDC token file",
        group=_ROLE,
        doc="Path of the OIDC token on worker and triggerer.",
        default_doc="variable ALIBABA_CLOUD_OIDC_TOKEN_FILE",
        sources=("oidc_role_arn",),
    ),
    ConnectionField(
        name="network",
        label="Network",
        type="choice",
        group=_NETWORK,
        doc="How OSS, IMM and STS are reached. internal: from a VPC of the region. The others concern OSS "
        "alone.",
        default_doc="public, or what the OSS endpoint says",
        choices=get_args(Network),
    ),
    ConnectionField(
        name="cname",
        label="Custom domain (CNAME)",
        type="switch",
        group=_NETWORK,
        doc="Whether the OSS endpoint is a custom domain that is bound to the default bucket.",
        default="false",
        choices=("true", "false"),
    ),
    ConnectionField(
        name="path_style",
        label="Path style",
        type="switch",
        group=_NETWORK,
        doc="Whether the bucket stands in the path of a URL. OSS itself refuses that.",
        default_doc="true for local and numeric endpoints, else false",
        choices=("auto", "true", "false"),
    ),
    ConnectionField(
        name="imm_endpoint",
        label="IMM endpoint",
        type="endpoint",
        group=_NETWORK,
        doc="Host name or URL of IMM.",
        default_doc="follows from region and network",
    ),
    ConnectionField(
        name="proxy",
        label="Proxy",
        type="url",
        group=_NETWORK,
        doc="URL of an HTTP proxy for all services. Variables such as HTTPS_PROXY are not read, but for STS "
        "where this is unset.",
        secret=True,
    ),
    ConnectionField(
        name="connect_timeout",
        label="Connect timeout",
        type="number",
        group=_NETWORK,
        doc="Limit for setting up a connection.",
        unit="seconds",
        default=10.0,
        minimum=0.1,
        maximum=600,
    ),
    ConnectionField(
        name="read_timeout",
        label="Read timeout",
        type="number",
        group=_NETWORK,
        doc="Limit for the time between two pieces of an answer.",
        unit="seconds",
        default=20.0,
        minimum=0.1,
        maximum=600,
    ),
    ConnectionField(
        name="smq_endpoint",
        label="SMQ endpoint",
        type="endpoint",
        group=_SMQ,
        doc="Host name or URL of SMQ, such as <account id>.mns.cn-hangzhou.aliyuncs.com. It holds the "
        "account id, so there is no default.",
    ),
    ConnectionField(
        name="smq_queue",
        label="SMQ queue",
        group=_SMQ,
        doc="Queue that receives the completion messages.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}",
        form="1 to 120 letters, digits, '-' and '_'",
    ),
    ConnectionField(
        name="smq_topic",
        label="SMQ topic",
        group=_SMQ,
        doc="Topic that jobs announce their end on, and that the queue subscribes to.",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}",
        form="1 to 120 letters, digits, '-' and '_'",
    ),
)
BY_NAME = {field.name: field for field in FIELDS}
#: Keys of the extra that are read (besides ``auth_type`` of the official provider).
EXTRA_FIELDS = frozenset(
    {field.name for field in FIELDS if not field.standard} | {field.alias for field in FIELDS if field.alias}
)


def form_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of the extra as ``conn-fields`` of Airflow's provider information."""
    return {field.name: _form_field(field) for field in FIELDS if not field.standard}


def form_behaviour() -> dict[str, Any]:
    """Return labels and placeholders of the standard fields as ``ui-field-behaviour``."""
    standard = [field for field in FIELDS if field.standard]
    return {
        # Stands in the host, or in the JSON of the connection.
        "hidden-fields": ["port"],
        "relabeling": {field.name: field.label for field in standard},
        "placeholders": {field.name: field.placeholder for field in standard if field.placeholder},
    }


def _form_field(field: ConnectionField) -> dict[str, Any]:
    kind = "number" if field.type in ("number", "integer") else "string"
    # The form marks what cannot be null, and does not save without it.
    schema: dict[str, Any] = {"type": kind if field.required else [kind, "null"], "section": field.group}
    if field.secret:
        schema["format"] = "password"
    elif field.type == "json":
        schema["format"] = "multiline"
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.examples:
        schema["examples"] = list(field.examples)
    limits = {"minimum": field.minimum, "maximum": field.maximum}
    schema.update({key: limit for key, limit in limits.items() if limit is not None})
    return {"label": field.label, "description": field.description, "schema": schema}


def parameters() -> str:
    """Return the fields as ``:param`` lines of ``ConnectionSettings``."""
    return "\n".join(f":param {field.attribute}: {field.description}" for field in FIELDS)
