"""The stand-in for the cloud on loopback, without real work, and what tests ask of it."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings
    from airflow_provider_oss_async.local.server.app import LocalService
    from airflow_provider_oss_async.process import Specification


class Stand:
    """A stand-in for the cloud on loopback that does no real work, and what tests ask of it."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self._data_dir = data_dir
        self._options = options
        self.service = self._start(0)

    def _start(self, port: int) -> LocalService:
        from airflow_provider_oss_async.local.processing.result import Produced
        from airflow_provider_oss_async.local.pytest_plugin import copy_source
        from airflow_provider_oss_async.local.server.app import LocalService

        def three_pages(spec: Specification, source: Path, segments: Any, workdir: Path) -> Produced:
            if spec.operation != "doc/convert":
                return copy_source(spec, source, segments, workdir)
            pages = []
            for number in (1, 2, 3):
                (folder := workdir / f"page{number}").mkdir()
                (page,) = copy_source(spec, source, segments, folder).files
                pages.append(replace(page, index=number))
            return Produced(pages)

        return LocalService(
            self._data_dir, port=port, **{"processor": three_pages, "workers": 8, **self._options}
        ).__enter__()

    def restart(self) -> None:
        """Start again on the same port, after ``service.stop()``."""
        self.service = self._start(int(self.service.endpoint.rpartition(":")[2]))

    def connection(self, extra: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """The Airflow connection, with changes."""
        data = json.loads(self.service.connection_json())
        return {**data, **fields, "extra": {**data["extra"], **(extra or {})}}

    def settings(self, extra: dict[str, Any] | None = None, **fields: Any) -> ConnectionSettings:
        """What that connection says."""
        from airflow_provider_oss_async.hooks.settings import read_settings

        data = self.connection(extra, **fields)
        data["extra"] = json.dumps(data["extra"])
        conn: Any = SimpleNamespace(**{"conn_id": "c", "port": None, "schema": "", **data})
        return read_settings(conn)

    @cached_property
    def _client(self) -> Any:
        import alibabacloud_oss_v2 as oss

        config = oss.config.Config(
            endpoint=self.service.endpoint,
            region="cn-hangzhou",
            credentials_provider=oss.credentials.StaticCredentialsProvider("local", "local-secret"),
        )
        return oss.Client(config)

    def put(self, key: str, body: bytes = b"data", bucket: str = "media") -> None:
        from alibabacloud_oss_v2 import PutObjectRequest

        self._client.put_object(PutObjectRequest(bucket=bucket, key=key, body=body))

    def accepted(self) -> list[dict[str, Any]]:
        """The submissions that the service has accepted, in order."""
        lines = (self._data_dir / "accepted.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def messages(self, queue: str) -> tuple[int, int]:
        """How many messages of a queue are visible, and how many are hidden from other receivers."""
        found = self.service.messages(queue)
        return found["visible"], found["hidden"]

    def requests(self, subject: str) -> int:
        """How many requests of a kind have come, such as ``IMM:GetTask``."""
        with urllib.request.urlopen(f"{self.service.endpoint}/_local/state", timeout=5) as answer:
            return int(json.load(answer)["requests"].get(subject, 0))
