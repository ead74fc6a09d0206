"""Generated sources and references are current, and show every argument to a reader."""

from __future__ import annotations

import inspect
import pydoc
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_oss_async import process
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY
from airflow_provider_oss_async.process import SPECIFICATIONS
from tests import generate

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator

FILES = generate.files()
OPERATORS = list(generate.operators().values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    if path.name == "arguments.py" and not HAS_RETRY_POLICY:
        pytest.skip("Airflow's own arguments are written from the newest version")
    current = path.read_text("utf-8") == FILES[path]
    assert current, f"{path.relative_to(generate.PACKAGE.parent)} is not current: run {generate.COMMAND}"


def test_every_operation_has_an_operator() -> None:
    for operation in SPECIFICATIONS.keys() - generate.operators().keys():
        pytest.fail(
            f"write a class with specification = {SPECIFICATIONS[operation].__name__} in "
            f"operators/{operation.partition('/')[0]}.py, for {operation}, and run {generate.COMMAND}"
        )


def test_every_specification_is_exported() -> None:
    for specification in SPECIFICATIONS.values():
        name = specification.__name__
        assert name in process.__all__, f"export {name} in process/__init__.py"


def test_every_operator_has_an_example() -> None:
    examples = (generate.PACKAGE.parent / "example_dags").glob("*.py")
    text = "".join(path.read_text("utf-8") for path in examples)
    for operator in OPERATORS:
        assert f"{operator.__name__}(" in text or f"{operator.__name__}.partial(" in text, (
            f"write an example DAG with {operator.__name__} in example_dags/"
        )


@pytest.mark.parametrize("operator", OPERATORS)
def test_help_shows_every_argument_with_its_description(operator: type[OSSSpecificationOperator]) -> None:
    for cls in (operator, operator.specification):
        text = pydoc.plain(pydoc.render_doc(cls))
        joined = " ".join(text.replace("|", " ").split())
        for field in operator.specification.fields():
            assert f":param {field.name}: {field.param.doc}" in joined
            assert field.name in inspect.signature(cls).parameters
        assert ":param extra_params:" in joined
        assert ":param allow_ignored:" in joined
    assert operator.specification.page in pydoc.render_doc(operator.specification)


def test_help_shows_the_arguments_of_the_process_operator() -> None:
    text = pydoc.plain(pydoc.render_doc(OSSAsyncProcessOperator))
    for name in ("process", "imm_task_type", "source", "target", "timeout", "oss_conn_id"):
        assert f":param {name}:" in text


def test_reference_has_every_operator_and_argument() -> None:
    for operation, operator in generate.operators().items():
        section = generate.reference().partition(f"## {operator.__name__}\n")[2].partition("\n## ")[0]
        assert f"`{operation}`" in section
        for field in operator.specification.fields():
            assert f"| `{field.name}` | `{field.param.key}` |" in section


def test_arguments_of_airflow_are_all_known() -> None:
    text = generate.task_arguments()
    for cls in (BaseOperator, BaseSensorOperator):
        for name in generate.airflow_arguments(cls):
            assert f"    {name}: " in text
