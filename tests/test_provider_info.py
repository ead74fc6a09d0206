from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module, resources
from importlib.metadata import EntryPoint
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.get_provider_info import get_provider_info
from airflow_provider_oss_async.hooks.connection_fields import form_behaviour, form_fields
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]
LISTS = ("hooks", "operators", "sensors", "triggers")


def attribute(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def test_schema() -> None:
    schema = json.loads(resources.files(airflow).joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(INFO, schema)


def test_names_and_version() -> None:
    assert INFO["package-name"] == PROJECT["name"]
    assert INFO["versions"] == [__version__]


def test_entry_point_resolves() -> None:
    ((name, target),) = PROJECT["entry-points"]["apache_airflow_provider"].items()
    assert name == "provider_info"
    assert EntryPoint(name, target, "apache_airflow_provider").load() is get_provider_info


def test_importing_it_imports_nothing_heavy() -> None:
    script = (
        "import sys; from airflow_provider_oss_async.get_provider_info import get_provider_info;"
        "get_provider_info();"
        "print([n for n in ('airflow', 'alibabacloud_oss_v2', 'aiohttp', 'requests', 'asyncio', 'logging') "
        "if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", LISTS)
def test_modules_are_all_there_and_all_listed(kind: str) -> None:
    names = {entry["integration-name"] for entry in INFO["integrations"]}
    listed = set()
    for entry in INFO[kind]:
        assert entry["integration-name"] in names
        listed.update(entry["python-modules"])
    for module in listed:
        import_module(module)
    # A module counts if it defines a public class of this kind, whose name ends accordingly.
    ending = kind.removesuffix("s").capitalize()
    package = ROOT / "airflow_provider_oss_async" / kind
    defining = set()
    for path in package.glob("[!_]*.py"):
        name = f"airflow_provider_oss_async.{kind}.{path.stem}"
        public = [
            value
            for key, value in vars(import_module(name)).items()
            if key.startswith("OSS") and key.endswith(ending) and value.__module__ == name
        ]
        if public:
            defining.add(name)
    missing, too_many = sorted(defining - listed), sorted(listed - defining)
    assert not missing, f"name {', '.join(missing)} under {kind!r} in get_provider_info.py"
    assert not too_many, f"{', '.join(too_many)} in get_provider_info.py defines no public {ending}"


def test_paths_resolve() -> None:
    for path in INFO["extra-links"]:
        attribute(path)
    (assets,) = INFO["asset-uris"]
    for key in ("handler", "factory", "to_openlineage_converter"):
        assert callable(attribute(assets[key]))


def test_connection_type_agrees_with_the_hook() -> None:
    assert attribute(CONNECTION["hook-class-name"]) is OSSAsyncHook
    assert CONNECTION["connection-type"] == OSSAsyncHook.conn_type
    assert CONNECTION["hook-name"] == OSSAsyncHook.hook_name
    # The form is data; code for it would be deprecated.
    for name in ("get_connection_form_widgets", "get_ui_field_behaviour"):
        assert name not in vars(OSSAsyncHook)


def test_form_is_that_of_the_table() -> None:
    assert CONNECTION["conn-fields"] == form_fields()
    assert CONNECTION["ui-field-behaviour"] == form_behaviour()
    for entry in CONNECTION["conn-fields"].values():
        jsonschema.Draft7Validator.check_schema(entry["schema"])


def test_airflow_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers_manager import ProviderInfo, ProvidersManager

    manager = ProvidersManager()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(manager, "_provider_dict", {INFO["package-name"]: ProviderInfo(__version__, INFO)})
    monkeypatch.setattr(manager, "_connection_form_widgets", {})
    monkeypatch.setattr(manager, "_field_behaviours", {})
    monkeypatch.setattr(manager, "_hook_name_dict", {}, raising=False)
    manager._load_ui_metadata()
    assert set(manager._connection_form_widgets) == {
        f"extra__oss_async__{n}" for n in CONNECTION["conn-fields"]
    }
    assert manager._field_behaviours["oss_async"]["relabeling"]["login"] == "AccessKey ID"
    assert manager._connection_form_widgets["extra__oss_async__security_token"].is_sensitive
