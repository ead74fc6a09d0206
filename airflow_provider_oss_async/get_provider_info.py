"""What Airflow is told about this package, read while it starts: imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.hooks.connection_fields import form_behaviour, form_fields

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
                        "Seconds between the first two polls of a waiting job. The interval then grows up to "
                        "the task's poll_interval.",
                        "float",
                        "2",
                    ),
                    "max_requests_per_second": _option(
                        "Requests per second that one process sends at most to IMM for one account, to poll "
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
                "ui-field-behaviour": form_behaviour(),
                "conn-fields": form_fields(),
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
