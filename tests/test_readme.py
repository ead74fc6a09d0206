from __future__ import annotations

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, Connection

import airflow_provider_oss_async
from airflow_provider_oss_async import events
from airflow_provider_oss_async.batch.budget import Prices
from airflow_provider_oss_async.exceptions import OSSAsyncError
from airflow_provider_oss_async.get_provider_info import get_provider_info
from airflow_provider_oss_async.hooks.connection_fields import EXTRA_FIELDS
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.hooks.settings import read_settings
from airflow_provider_oss_async.jobs.job import OSSJob
from airflow_provider_oss_async.jobs.output_check import OutputReport
from airflow_provider_oss_async.local.server import faults
from airflow_provider_oss_async.local.server.app import LocalService
from airflow_provider_oss_async.local.server.cloud import Cloud
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.ladder import video_ladder
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.process import SPECIFICATIONS
from airflow_provider_oss_async.process.presets import preset
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests import generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = generate.PACKAGE
README_FILE = generate.PACKAGE.parent / "README.md"
ROOT = README_FILE.parent
README = README_FILE.read_text("utf-8")


def prose(path: Path) -> str:
    """Return a Markdown file without its code."""
    return re.sub(r"(?ms)^```.*?^```", "", path.read_text("utf-8"))


def markdown_files() -> list[Path]:
    folders = (ROOT, ROOT / ".github", ROOT / "example_dags", ROOT / "tests", *PACKAGE.iterdir())
    return sorted(path for folder in folders for path in folder.glob("*.md"))


PROSE = prose(README_FILE)
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"(?s)<!-- generated:service-errors -->.*?<!-- end -->", "", PROSE))
#: Names in backticks that are Airflow's, the service's or of other tools.
FOREIGN = {
    "default_deferrable",
    "prev_start_date_success",
    "execution_timeout",
    "max_active_runs",
    "max_tries",
    "on_success_callback",
    "do_xcom_push",
    "post_execute",
    "multiple_outputs",
    "poke_interval",
    "auth_type",
    "alibaba_cloud",
    "oss_async_default",
    "timeout",
    "Asset",
    "data_interval_start",
    "execute_complete",
    "map_indexes",
    "render_template_as_native_obj",
    "clear_on_success",
    "max_active_tasks",
    "max_active_tis_per_dag",
    "pool",
    "retries",
    "retry_delay",
    "retry_policy",
    "trigger_rule",
    "AirflowSensorTimeout",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", README)


def complete_dag() -> str:
    (text,) = re.findall(r"(?ms)^<!-- complete-dag -->\n```python\n(.*?)^```", README)
    return str(text)


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table whose head begins like this."""
    lines = README[README.index(head) :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def modules() -> Iterator[Any]:
    for info in pkgutil.walk_packages(airflow_provider_oss_async.__path__, "airflow_provider_oss_async."):
        if ".local" not in info.name:
            yield importlib.import_module(info.name)


@cache
def public_names() -> frozenset[str]:
    return frozenset(
        name
        for module in [*modules(), importlib.import_module(LocalService.__module__)]
        for name in vars(module)
    )


@cache
def arguments() -> frozenset[str]:
    """Every name that a user can write or read: arguments, fields, keys, switches."""
    callables: list[Any] = [
        OSSAsyncBaseOperator,
        OSSAsyncProcessOperator,
        OSSAsyncProcessBatchOperator,
        OSSAsyncTaskSensor,
        OSSEventTrigger,
        OSSAsyncHook,
        Cloud,
        Prices,
        *generate.operators().values(),
    ]
    found = {name for item in callables for name in inspect.signature(item.__init__).parameters}
    found |= {item.name for kind in (OSSJob, OutputReport, faults.Fault) for item in dataclasses.fields(kind)}
    found |= {field.param.key for spec in SPECIFICATIONS.values() for field in spec.fields()}
    found |= {name for kind in (OSSAsyncHook, LocalService) for name in vars(kind)}
    methods = [method for name, method in vars(OSSAsyncHook).items() if inspect.isfunction(method)]
    found |= {name for method in methods for name in inspect.signature(method).parameters}
    functions = (preset, video_ladder)
    found |= {name for item in functions for name in (item.__name__, *inspect.signature(item).parameters)}
    found |= set(faults.KINDS) | EXTRA_FIELDS
    found |= {name for kind in exceptions().values() for name in inspect.signature(kind).parameters}
    found |= set(get_provider_info()["config"]["oss_async"]["options"])
    found |= set(vars(events)) | {path.stem for path in (README_FILE.parent / "example_dags").glob("*.py")}
    return frozenset(found | credential_sources() | {"oss_async", "oss_console_link", "finished_at"})


def credential_sources() -> set[str]:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    return set(fields["credential_source"]["schema"]["enum"])


@cache
def exceptions() -> dict[str, type[OSSAsyncError]]:
    module = importlib.import_module("airflow_provider_oss_async.exceptions")
    return {n: c for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, OSSAsyncError)}


@cache
def texts() -> str:
    """Everything the package can say, as it stands in its string literals."""
    literals = [
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\0".join(literals)


def anchors(text: str) -> set[str]:
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"(?m)^#+ (.+)$", text)
    }


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = prose(path)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        if "://" not in link:
            target = path.parent / name if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(prose(target)), link


def test_contents_name_every_section() -> None:
    assert ["Try it", *re.findall(r"(?m)^- \[(.+)\]\(#", README)] == re.findall(r"(?m)^## (.+)$", PROSE)


def test_classes_exist() -> None:
    named = {text for text in CODE if re.fullmatch(r"[A-Z]\w*[a-z]\w*", text)}
    ours = {text for text in named if re.match(r"OSS|Local|Process|.*Error$", text)} - {"OSS"}
    assert "OSSJobTimeoutError" in ours
    assert ours <= public_names()


def test_every_exception_is_explained() -> None:
    assert set(exceptions()) <= set(CODE), set(exceptions()) - set(CODE)
    common = set(inspect.signature(OSSAsyncError).parameters)
    (sentence,) = re.findall(r"Every one has (.*?), empty where", README)
    assert set(re.findall(r"`(\w+)`", sentence)) <= common
    for name, _, fields in (row[:3] for row in rows("| Class | Meaning | Further fields |")):
        known = common | set(inspect.signature(exceptions()[name.strip("`")]).parameters)
        assert set(re.findall(r"`(\w+)`", fields)) <= known


def test_arguments_exist() -> None:
    snake = {text for text in CODE if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)}
    given = {match[1] for text in CODE for match in [re.fullmatch(r"([a-z_]+)=\S+", text)] if match}
    assert {"on_uncertain_submit", "imm_task_type"} <= snake
    assert "completion" in given
    assert (snake | given) - FOREIGN - {"airflow_provider_oss_async"} <= arguments()


def test_modules_exist() -> None:
    for name in {text for text in CODE if re.fullmatch(r"airflow_provider_oss_async(\.\w+)+", text)}:
        assert importlib.util.find_spec(name), name


def test_result_keys_are_those_of_a_job() -> None:
    keys = {key for row in rows("| Key | Meaning |") for key in re.findall(r"`(\w+)`", row[0])}
    assert keys == {field.name for field in dataclasses.fields(OSSJob)}


def test_troubleshooting_quotes_what_the_package_says() -> None:
    quoted = [re.match(r"`([^`]+)`", row[0]) for row in rows("| Message | Cause | Remedy |")]
    assert len(quoted) > 15
    for found in quoted:
        assert found
        assert found[1].strip() in texts(), found[1]


def test_complete_dag_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "readme_dag.py"
    path.write_text(complete_dag())
    spec = importlib.util.spec_from_file_location("readme_dag", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    operators = [item for item in vars(module).values() if isinstance(item, OSSAsyncBaseOperator)]
    (dag,) = {operator.dag for operator in operators}
    assert isinstance(dag, DAG)
    assert dag.get_task("report").upstream_task_ids == {"frames", "pages"}
    assert dag.get_task("frames").upstream_task_ids == {"transcode"}
    # Everything that is checked before a submission.
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", blocks("json")[0])
    for operator in operators:
        for name in ("source", "target"):
            text = getattr(operator, name)
            # An XComArg is the result of a task with one output.
            text = text if isinstance(text, str) else "published/2026-01-01/lesson.mp4"
            setattr(operator, name, re.sub(r"\{\{.*?\}\}", "2026-01-01", text))
        assert operator.build_request().process.encode()
        assert list(operator.warnings()) == []


def test_other_code_compiles_and_imports() -> None:
    python = blocks("python")
    assert len(python) >= 4
    for code in python:
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), alias.name


def test_connections_can_be_used() -> None:
    first, uri = re.findall(r"AIRFLOW_CONN_OSS_ASYNC_DEFAULT='([^']+)'", README)
    assert read_settings(Connection.from_uri(first, conn_id="oss_async_default")).warnings == ()
    for conn in (
        Connection.from_uri(uri, conn_id="oss_async_default"),
        Connection.from_json(blocks("json")[0], conn_id="oss_async_default"),
    ):
        settings = read_settings(conn)
        assert (settings.bucket, settings.region) == ("media-bucket", "cn-hangzhou")
        assert (settings.access_key_id, settings.access_key_secret) == ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET")
        assert settings.imm_project == "media-project"
        assert settings.warnings == ()


def test_policies_are_policies() -> None:
    found = [json.loads(text) for text in blocks("json")]
    policies = [data for data in found if "Statement" in data]
    assert len(policies) == 2
    for policy in policies:
        assert policy["Version"] == "1"
        for statement in policy["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert re.fullmatch(r"(oss|imm|sts|ram):[A-Z]\w+", action)


def test_further_connections_can_be_used() -> None:
    connections = [data for data in map(json.loads, blocks("json")) if "conn_type" in data]
    assert len(connections) == 3
    for data in connections:
        settings = read_settings(Connection.from_json(json.dumps(data), conn_id="oss_async_default"))
        assert settings.warnings == (), data
