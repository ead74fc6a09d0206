"""What Airflow is told about this package. Read while Airflow still starts: imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_oss_async import __version__

_PACKAGE = "airflow_provider_oss_async"
_NAME = "Alibaba Cloud OSS (async processing)"


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as ``airflow/provider_info.schema.json`` describes it."""
    return {
        "package-name": "airflow-provider-oss-async",
        "name": _NAME,
        "description": "Asynchronous processing of documents, video, audio and images in Alibaba Cloud OSS.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://www.alibabacloud.com/help/en/oss/developer-reference/asynchronous-processing",
                "tags": ["alibaba"],
            }
        ],
        "hooks": _modules("hooks.oss_async"),
        "operators": _modules(
            *(f"operators.{name}" for name in ("base", "document", "video", "audio", "image", "process"))
        ),
        "sensors": _modules("sensors.oss_async"),
        "triggers": _modules("triggers.oss_async"),
        "extra-links": [f"{_PACKAGE}.links.oss_async.OSSAsyncTaskLink"],
        "asset-uris": [
            {
                "schemes": ["oss"],
                "handler": f"{_PACKAGE}.assets.sanitize_uri",
                "factory": f"{_PACKAGE}.assets.create_asset",
                "to_openlineage_converter": f"{_PACKAGE}.assets.convert_asset_to_openlineage",
            }
        ],
        "config": {
            "oss_async": {
                "description": f"Settings of the provider {_NAME}.",
                "options": {
                    "min_poll_interval": _option(
                        "Seconds between the first two looks at a waiting job. Further ones come ever more "
                        "rarely, up to the task's poll_interval.",
                        "float",
                        "2",
                    ),
                    "max_requests_per_second": _option(
                        "Requests a second that one process sends at most to IMM for one account, to follow "
                        "its jobs. The service's own limit is not documented.",
                        "float",
                        "20",
                    ),
                },
            }
        },
        "connection-types": [
            {
                "connection-type": "oss_async",
                "hook-class-name": f"{_PACKAGE}.hooks.oss_async.OSSAsyncHook",
                "hook-name": _NAME,
                "ui-field-behaviour": {
                    "hidden-fields": ["port"],
                    "relabeling": {
                        "login": "AccessKey ID",
                        "password": "AccessKey secret",
                        "host": "OSS endpoint",
                        "schema": "Default bucket",
                    },
                    "placeholders": {
                        "host": "from region and network",
                        "region": "cn-hangzhou",
                        "role_arn": "acs:ram::<account id>:role/<name>",
                        "smq_endpoint": "https://<account id>.mns.cn-hangzhou.aliyuncs.com",
                    },
                },
                "conn-fields": _fields(),
            }
        ],
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _NAME, "python-modules": [f"{_PACKAGE}.{name}" for name in names]}]


def _option(description: str, kind: str, default: str) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": None,
        "type": kind,
        "example": None,
        "default": default,
    }


def _fields() -> dict[str, dict[str, Any]]:
    """Return the connection's own fields, which are stored in its extra under these names."""
    return {
        "region": _text("Region", "Region of the buckets, such as cn-hangzhou."),
        "network": _text(
            "Network",
            "How OSS and IMM are reached: public, internal (from a VPC in the region) or accelerate.",
            enum=["public", "internal", "accelerate"],
        ),
        "credential_source": _text(
            "Credential source",
            "static: the AccessKey above. environment: OSS_ACCESS_KEY_ID and so on. The others need the "
            "extra [credentials] of this package.",
            enum=[
                "static",
                "environment",
                "ecs_ram_role",
                "ram_role_arn",
                "oidc_role_arn",
                "credentials_uri",
                "default",
            ],
        ),
        "security_token": _text(
            "Security token", "STS token that belongs to the AccessKey.", format="password"
        ),
        "role_arn": _text("RAM role ARN", "Role to assume, for ram_role_arn and oidc_role_arn."),
        "role_session_name": _text("Role session name", "Name of the session in the audit log."),
        "role_session_expiration": _number(
            "Role session expiration", "Seconds, 900 to 43200, default 3600.", 900, 43200
        ),
        "role_policy": _text(
            "Role policy", "JSON policy that restricts the role session further.", format="multiline"
        ),
        "external_id": _text(
            "External ID", "External ID that the role's trust policy asks for.", format="password"
        ),
        "ecs_role_name": _text("ECS role name", "Unset, the instance is asked for it."),
        "oidc_provider_arn": _text("OIDC provider ARN", "Unset, ALIBABA_CLOUD_OIDC_PROVIDER_ARN."),
        "oidc_token_file": _text(
            "OIDC token file", "Path on the worker. Unset, ALIBABA_CLOUD_OIDC_TOKEN_FILE."
        ),
        "credentials_uri": _text(
            "Credentials URI", "URL that answers with temporary credentials.", format="password"
        ),
        "imm_project": _text(
            "IMM project", "Project that the buckets are attached to. Unset, IMM is asked for it."
        ),
        "imm_endpoint": _text("IMM endpoint", "Unset, from region and network."),
        "smq_endpoint": _text("SMQ endpoint", "Only needed for completion messages."),
        "smq_queue": _text("SMQ queue", "Queue that holds completion messages."),
        "smq_topic": _text("SMQ topic", "Topic on which jobs announce their end."),
        "connect_timeout": _number("Connect timeout", "Seconds, default 10.", 0.1, 600),
        "read_timeout": _number("Read timeout", "Seconds, default 20.", 0.1, 600),
        "proxy": _text(
            "Proxy", "URL of an HTTP proxy. Variables such as HTTPS_PROXY are not read.", format="password"
        ),
        "path_style": _text(
            "Path style",
            "Whether the bucket stands in the path. auto: only for local and numeric endpoints.",
            enum=["auto", "true", "false"],
        ),
    }


def _text(label: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"], **schema}}


def _number(label: str, description: str, minimum: float, maximum: float) -> dict[str, Any]:
    schema = {"type": ["number", "null"], "minimum": minimum, "maximum": maximum}
    return {"label": label, "description": description, "schema": schema}
