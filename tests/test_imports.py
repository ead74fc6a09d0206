"""The layers of the package, what an import of it costs, and that each module has its tests."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_oss_async"
ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / PACKAGE).rglob("*.py"))

#: From the lowest layer to the highest; those of one tuple may import each other.
LAYERS = (
    ("exceptions",),
    ("process",),
    ("clients",),
    ("jobs",),
    ("batch", "events"),
    ("hooks",),
    ("operators", "sensors", "triggers", "links", "queues", "lineage", "assets"),
    ("cli",),
)
#: What may be imported from where.
BELOW: dict[str, set[str]] = {
    **{
        name: {below for lower in LAYERS[: number + 1] for below in lower}
        for number, layer in enumerate(LAYERS)
        for name in layer
    },
    "local": {"local", "process", "exceptions"},
}
#: Tables that Airflow's own reading of the provider needs; they load neither Airflow nor anything heavy.
TABLES = {f"{PACKAGE}.hooks.connection_fields", f"{PACKAGE}.hooks.config_options"}
#: Layers that work without Airflow.
WITHOUT_AIRFLOW = ("exceptions", "process", "clients", "jobs", "events")
#: Cost hundreds of milliseconds each, which every parse of a DAG file would pay.
HEAVY = ("alibabacloud_oss_v2", "alibabacloud_credentials", "aiohttp", "requests", "numpy")
FACES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in FILES
    if path.relative_to(ROOT).parts[1] in ("operators", "sensors", "triggers", "links", "hooks", "queues")
    and path.name != "__init__.py"
]
#: Modules without a test file of their own name, and the file of tests/ that tests them instead.
TESTED_ELSEWHERE = {
    # Only people and commands use them, through what is tested there.
    "batch/__main__.py": "batch/test_runner.py",
    "batch/manifest.py": "batch/test_runner.py",
    "batch/show.py": "batch/test_runner.py",
    "local/__main__.py": "local/test_readme.py",
    "local/demo/upload.py": "local/demo/test_run.py",
    # A batch is tested as a whole: what is planned, what is written, what goes on after a crash.
    "batch/sources.py": "batch/test_plan.py",
    "batch/specification.py": "batch/test_runner.py",
    "batch/state.py": "batch/test_crashes.py",
    # Polls are tested through the poller, whose rounds they are.
    "jobs/poll_group.py": "jobs/test_poller.py",
    # Conversions are tested by their results, whatever makes them.
    "local/processing/office.py": "local/processing/test_documents.py",
    "local/processing/office_xml.py": "local/processing/test_documents.py",
    "local/processing/pandoc_blocks.py": "local/processing/test_documents.py",
    "local/processing/result.py": "local/processing/test_run.py",
    "local/processing/spreadsheet.py": "local/processing/test_documents.py",
    "local/processing/typesetting.py": "local/processing/test_documents.py",
    # The stand-in is tested on the wire.
    "local/processing/output_keys.py": "local/server/test_job_runner.py",
    "local/server/admin.py": "local/server/test_faults.py",
    "local/server/app.py": "local/server/test_settings.py",
    "local/server/broker.py": "local/server/test_smq_service.py",
    "local/server/cloud.py": "local/server/test_settings.py",
    "local/server/job_table.py": "local/server/test_job_runner.py",
    "local/server/markup.py": "local/server/test_security.py",
    "local/server/notifications.py": "local/server/test_smq_service.py",
    "local/server/process_request.py": "local/server/test_oss_service.py",
    "local/server/refusal.py": "local/server/test_oss_service.py",
    "local/server/store.py": "local/server/test_oss_service.py",
    # Generated, or the same for all operators.
    "operators/arguments.py": "test_generate.py",
    "operators/audio.py": "operators/test_operators.py",
    "operators/document.py": "operators/test_operators.py",
    "operators/process.py": "operators/test_operators.py",
    "operators/specification.py": "operators/test_operators.py",
    "operators/video.py": "operators/test_operators.py",
    # What the specifications share.
    "process/frames.py": "process/test_video.py",
    "process/media.py": "process/test_video.py",
    "process/operations.py": "process/test_specification.py",
    "get_provider_info.py": "test_provider_info.py",
}


def layer_of(module: str) -> str:
    """``airflow_provider_oss_async.jobs.job`` -> ``jobs``; empty for the package itself and for others."""
    parts = module.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 else ""


def imported(source: str) -> set[str]:
    """Every module a file names in an import, wherever: in functions and under TYPE_CHECKING as well."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            module = node.module or ""
            # "from package import layer" names a layer too.
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == PACKAGE else {module}
    return found


def problems(own: str, source: str) -> list[str]:
    allowed = BELOW[own] | {"__version__", ""}
    wrong = [name for name in imported(source) if layer_of(name) not in allowed]
    if own in WITHOUT_AIRFLOW:
        wrong += [name for name in imported(source) if name.split(".")[0] == "airflow"]
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    if parts[0] in ("__init__", "get_provider_info"):
        # Airflow reads these first: of the package they import only its version and tables.
        assert {layer_of(name) for name in imported(path.read_text()) - TABLES} <= {"", "__version__"}
        return
    assert parts[0] in BELOW, f"{parts[0]} is in no layer"
    # The command of the batches opens a connection, as commands do.
    own = "hooks" if parts == ("batch", "__main__") else parts[0]
    assert not problems(own, path.read_text())


@pytest.mark.parametrize(
    ("own", "source", "wrong"),
    [
        ("process", "from airflow_provider_oss_async.jobs.job import OSSJob", True),
        ("process", "import airflow_provider_oss_async.hooks", True),
        ("process", "from airflow_provider_oss_async import jobs", True),
        ("process", "if TYPE_CHECKING:\n    from airflow_provider_oss_async.jobs import job", True),
        ("process", "def f():\n    from airflow_provider_oss_async.jobs import job", True),
        ("process", "from airflow.sdk import DAG", True),
        ("jobs", "import airflow.models", True),
        ("clients", "from airflow.sdk import conf", True),
        ("clients", "from airflow_provider_oss_async.jobs.job import OSSJob", True),
        ("jobs", "from airflow_provider_oss_async.batch.plan import Plan", True),
        ("batch", "from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook", True),
        ("operators", "import airflow_provider_oss_async.cli", True),
        ("cli", "from airflow_provider_oss_async.operators.video import X", False),
        ("batch", "from airflow_provider_oss_async.jobs.job import OSSJob", False),
        ("jobs", "from airflow_provider_oss_async.process import Process", False),
        ("jobs", "from airflow_provider_oss_async.exceptions import ProcessError", False),
        ("hooks", "from airflow_provider_oss_async.operators.video import X", True),
        ("local", "from airflow_provider_oss_async.clients.smq import SMQClient", True),
        ("triggers", "from airflow_provider_oss_async.local.server.app import LocalService", True),
        ("operators", "from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook", False),
    ],
)
def test_a_wrong_import_is_found(own: str, source: str, wrong: bool) -> None:
    assert bool(problems(own, source)) is wrong


@pytest.mark.parametrize("table", sorted(TABLES))
def test_tables_load_little(table: str) -> None:
    assert loaded(f"import {table}", ("airflow", *HEAVY)) == set()


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle(sources: dict[str, str]) -> list[str]:
    """Return the modules of a circle of imports, wherever they are; nothing if there is none."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                # "from package import module" imports the module, not only the package.
                modules = {f"{node.module}.{alias.name}" for alias in node.names} & sources.keys()
                named |= modules or {node.module or ""}
        graph[module] = (named & sources.keys()) - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize(
    "layer", ["batch", "clients", "events", "hooks", "jobs", "local", "operators", "triggers"]
)
def test_no_circle_of_imports(layer: str) -> None:
    sources = {
        module_of(path): path.read_text()
        for path in FILES
        if path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py") == layer
    }
    assert len(sources) > 3
    assert circle(sources) == []


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"p.a": "from p.b import x", "p.b": "from p.a import y"}, True),
        ({"p.a": "def f():\n    import p.b", "p.b": "if TYPE_CHECKING:\n    from p import a"}, True),
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": "import p.a"}, True),
        ({"p.a": "import p.b", "p.b": "import p.c", "p.c": "import os"}, False),
        ({"p.a": "from p.a import x"}, False),
    ],
)
def test_a_circle_is_found(sources: dict[str, str], found: bool) -> None:
    assert bool(circle(sources)) is found


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()[-1]


def loaded(code: str, names: tuple[str, ...]) -> set[str]:
    """Return which of some modules a fresh interpreter has loaded after some code."""
    return set(
        json.loads(
            run(f"import json, sys\n{code}\nprint(json.dumps([m for m in {names!r} if m in sys.modules]))")
        )
    )


def test_faces_load_nothing_heavy() -> None:
    assert FACES
    # Airflow may load some of them by itself.
    alone = (
        "from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, DAG\n"
        "from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent\n"
    )
    imports = "\n".join(f"import {name}" for name in FACES)
    assert loaded(alone + imports, HEAVY) - loaded(alone, HEAVY) == set()


def test_the_lower_layers_load_neither_airflow_nor_anything_heavy() -> None:
    """Their modules are imported by operators while a DAG file is parsed."""
    lower = [
        module_of(path) for path in FILES if path.relative_to(ROOT / PACKAGE).parts[0] in WITHOUT_AIRFLOW
    ]
    assert len(lower) > 20
    assert loaded("\n".join(f"import {name}" for name in lower), ("airflow", *HEAVY)) == set()


def test_process_needs_neither_airflow_nor_the_network() -> None:
    names = ("airflow", "alibabacloud_oss_v2", "aiohttp", "requests", "socket", "asyncio")
    assert loaded(f"import {PACKAGE}.process", names) == loaded("from pydantic import TypeAdapter", names)


def test_adapters_are_built_on_first_use() -> None:
    code = (
        "import pydantic\n"
        "built = []\n"
        "class Adapter(pydantic.TypeAdapter):\n"
        "    def __init__(self, *args, **kwargs): built.append(1); super().__init__(*args, **kwargs)\n"
        "pydantic.TypeAdapter = Adapter\n"
        f"from {PACKAGE}.process import AudioConvert\n"
        "before = len(built)\n"
        "AudioConvert(container='mp3'); AudioConvert(container='aac')\n"
        "print(before, len(built))"
    )
    assert run(code) == "0 1"


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        name: {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", item)[0]).lower() for item in items}
        for name, items in {"": project["dependencies"], **extras}.items()
    }
    distributions = importlib.metadata.packages_distributions()
    missing = set()
    for path in FILES:
        # The plugin is for those who have pytest.
        own = {PACKAGE, *sys.stdlib_module_names, *({"pytest"} if path.name == "pytest_plugin.py" else ())}
        allowed = {"apache-airflow", *declared[""], *declared["credentials"]}
        if path.relative_to(ROOT).parts[1] == "local":
            allowed |= declared["local"]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            for name in {name.partition(".")[0] for name in names} - own - {"airflow"}:
                found = {re.sub(r"[-_.]+", "-", item).lower() for item in distributions.get(name, ())}
                if not found & allowed:
                    missing.add(
                        f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not declare"
                    )
    assert not missing


MODULES = [str(path.relative_to(ROOT / PACKAGE)) for path in FILES if path.name != "__init__.py"]


def own_tests(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_tests(module: str) -> None:
    own = own_tests(module)
    if module not in TESTED_ELSEWHERE:
        assert own.exists(), (
            f"write {own.relative_to(ROOT)}, or name in TESTED_ELSEWHERE in tests/test_imports.py the file "
            f"that tests {module}"
        )
        return
    assert not own.exists(), f"{module} has tests of its own: take it out of TESTED_ELSEWHERE"
    other = TESTED_ELSEWHERE[module]
    assert (ROOT / "tests" / other).exists(), f"tests/{other}, which is to test {module}, does not exist"


def test_only_modules_are_tested_elsewhere() -> None:
    assert sorted(TESTED_ELSEWHERE.keys() - set(MODULES)) == []
