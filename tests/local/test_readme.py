"""The manual of the stand-in names what there is."""

from __future__ import annotations

import re
from contextlib import redirect_stdout, suppress
from inspect import signature
from io import StringIO
from pathlib import Path

import airflow_provider_oss_async.local as package
from airflow_provider_oss_async.local.__main__ import main
from airflow_provider_oss_async.local.server.app import LocalService
from airflow_provider_oss_async.local.server.cloud import Cloud
from airflow_provider_oss_async.local.server.faults import KINDS
from airflow_provider_oss_async.local.server.imm_service import IMMService
from airflow_provider_oss_async.local.server.oss_service import OPERATIONS
from airflow_provider_oss_async.local.server.process_request import BUILT_IN_STYLES

README = (Path(package.__file__).parent / "README.md").read_text("utf-8")


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"(?m)^\| `([a-z0-9_-]+)[`(]", text)


def test_faults() -> None:
    assert first_cells(section("Faults")) == ["kind", *KINDS]


def test_options() -> None:
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        main(["serve", "--help"])
    options = set(re.findall(r"(?m)^  (--[a-z-]+)", text.getvalue()))
    assert set(first_cells(section("The server"))) == options


def test_settings() -> None:
    names = set(signature(Cloud).parameters) - {"data_dir", "owner"}
    assert names <= set(re.findall(r"`([a-z_]+)`", section("In tests")))


def test_methods() -> None:
    public = {name for name in vars(LocalService) if not name.startswith("_")} - {"stop"}
    cells = "\n".join(re.findall(r"(?m)^\|([^|]*)\|", section("In tests")))
    assert public == set(re.findall(r"`([a-z_]+)[`(]", cells))


def test_operations_and_styles() -> None:
    text = section("The server")
    multipart = {"InitiateMultipartUpload", "UploadPart", "UploadPartCopy", "ListParts"}
    multipart |= {"CompleteMultipartUpload", "AbortMultipartUpload"}
    for action in {operation.action for operation in OPERATIONS} - multipart:
        assert re.search(rf"\b{action}\b", text), action
    for action in IMMService.ACTIONS:
        assert re.search(rf"\b{action}\b", text), action
    for style in BUILT_IN_STYLES:
        assert f"-{style.rpartition('-')[2]}`" in text
