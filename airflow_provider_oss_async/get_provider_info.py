"""What Airflow is told about this package, read while it starts: imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.hooks.config_options import OPTIONS, SECTION
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
            *(
                f"operators.{name}"
                for name in (
                    "base",
                    "specification",
                    "batch",
                    "document",
                    "video",
                    "audio",
                    "image",
                    "process",
                )
            )
        ),
        "sensors": _modules("sensors.oss_async"),
        "triggers": _modules("triggers.oss_async", "triggers.oss_batch", "triggers.oss_event"),
        "queues": [f"{_PACKAGE}.queues.smq.SMQMessageQueueProvider"],
        "extra-links": [f"{_PACKAGE}.links.oss_async.OSSAsyncTaskLink"],
        "asset-uris": [
            {
                "schemes": ["oss"],
                "handler": f"{_PACKAGE}.assets.sanitize_uri",
                "factory": f"{_PACKAGE}.assets.create_asset",
                "to_openlineage_converter": f"{_PACKAGE}.assets.convert_asset_to_openlineage",
            }
        ],
        "cli": [f"{_PACKAGE}.cli.definition.get_commands"],
        "config": {
            SECTION: {
                "description": f"Settings of the provider {_NAME}.",
                "options": {
                    option.name: {
                        "description": option.doc,
                        "version_added": None,
                        "type": "float",
                        "example": None,
                        "default": option.default,
                    }
                    for option in OPTIONS
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
