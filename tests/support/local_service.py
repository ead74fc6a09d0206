"""Clients of the stand-in, and a processor for it that does no real work."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
from alibabacloud_imm20200930 import models as imm_models
from alibabacloud_imm20200930.client import Client as IMMClient
from alibabacloud_tea_openapi.utils_models import Config

from airflow_provider_oss_async.local.processing.result import Produced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_oss_async.local.server.app import LocalService
    from airflow_provider_oss_async.process import Specification


def b64(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


class Gate:
    """A processor that holds every job until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.working = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(
        self, spec: Specification, source: Path, segments: Mapping[str, Path], workdir: Path
    ) -> Produced:
        with self._lock:
            self.working += 1
            self.most = max(self.most, self.working)
        self.open.wait(10)
        with self._lock:
            self.working -= 1
        return Produced()


def oss_client(
    service: LocalService | None = None,
    key: str = "local",
    secret: str = "local-secret",
    token: str | None = None,
    **config: Any,
) -> oss.Client:
    endpoint = config.pop("endpoint", "") or (service.endpoint if service else "")
    settings = oss.config.Config(
        endpoint=endpoint,
        credentials_provider=oss.credentials.StaticCredentialsProvider(key, secret, token),
        retry_max_attempts=1,
        **{"region": "cn-hangzhou", **config},
    )
    return oss.Client(settings)


def imm_client(
    service: LocalService | None = None,
    key: str = "local",
    secret: str = "local-secret",
    token: str | None = None,
    endpoint: str = "",
) -> Any:
    endpoint = endpoint or (service.endpoint if service else "")
    return IMMClient(
        Config(
            access_key_id=key,
            access_key_secret=secret,
            security_token=token,
            type="sts" if token else "access_key",
            endpoint=endpoint.removeprefix("http://"),
            protocol="http",
            region_id="cn-hangzhou",
        )
    )


def put(client: oss.Client, key: str, body: bytes = b"data", bucket: str = "media") -> None:
    client.put_object(oss.PutObjectRequest(bucket=bucket, key=key, body=body))


def submit(client: oss.Client, process: str, key: str = "in.mov", bucket: str = "media") -> str:
    result = client.async_process_object(
        oss.AsyncProcessObjectRequest(bucket=bucket, key=key, process=process), retry_max_attempts=1
    )
    return str(result.task_id)


def convert(target: str = "out.mp4", topic: str = "") -> str:
    notify = f"/notify,topic_{b64(topic)}" if topic else ""
    return f"video/convert,f_mp4|sys/saveas,o_{b64(target)}{notify}"


def get_task(client: Any, task_id: str, task_type: str = "MediaConvert", **arguments: Any) -> Any:
    request = imm_models.GetTaskRequest(
        project_name=arguments.pop("project", "local-project"),
        task_type=task_type,
        task_id=task_id,
        **arguments,
    )
    return client.get_task(request).body


def wait_for_end(client: Any, task_id: str, task_type: str = "MediaConvert") -> Any:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        task = get_task(client, task_id, task_type)
        if task.status != "Running":
            return task
        time.sleep(0.01)
    raise AssertionError(f"{task_id} did not end")


def refusal(error: oss.exceptions.OperationError) -> oss.exceptions.ServiceError:
    cause = error.unwrap()
    assert isinstance(cause, oss.exceptions.ServiceError), repr(cause)
    return cause


def admin(service: LocalService, method: str, path: str, data: Any = None, **headers: str) -> tuple[int, Any]:
    """Send a request to the admin interface."""
    request = urllib.request.Request(
        f"{service.endpoint}/_local/{path}",
        method=method,
        data=None if data is None else json.dumps(data).encode(),
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
