"""The storeys of the package, and what an import of it costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_oss_async"
ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / PACKAGE).rglob("*.py"))

TOP = ("operators", "sensors", "triggers", "links", "queues", "lineage", "assets")
#: What may be imported from where. Everyone may import itself and the exceptions.
BELOW: dict[str, set[str]] = {
    "exceptions": set(),
    "process": set(),
    "clients": {"process"},
    "jobs": {"process", "clients"},
    "batch": {"process", "clients", "jobs"},
    "hooks": {"process", "clients", "jobs", "batch"},
    **{name: {"process", "clients", "jobs", "batch", "hooks", *TOP} for name in TOP},
    "local": {"process"},
}
#: Cost hundreds of milliseconds each, which every parse of a DAG file would pay.
HEAVY = ("alibabacloud_oss_v2", "alibabacloud_credentials", "aiohttp", "requests", "numpy")
FACES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in FILES
    if path.relative_to(ROOT).parts[1] in ("operators", "sensors", "triggers", "links", "hooks", "queues")
    and path.name != "__init__.py"
]


def storey(module: str) -> str:
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
            # "from package import storey" names a storey too.
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == PACKAGE else {module}
    return found


def problems(own: str, source: str) -> list[str]:
    allowed = BELOW[own] | {own, "exceptions", "__version__", ""}
    wrong = [name for name in imported(source) if storey(name) not in allowed]
    if own in ("process", "jobs"):
        wrong += [name for name in imported(source) if name.split(".")[0] == "airflow"]
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    if parts[0] in ("__init__", "get_provider_info"):
        # Airflow reads these first: of the package they import only its version and the table of fields.
        pure = f"{PACKAGE}.hooks.connection_fields"
        assert {storey(name) for name in imported(path.read_text()) - {pure}} <= {"", "__version__"}
        return
    assert parts[0] in BELOW, f"{parts[0]} has no place in the house"
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
