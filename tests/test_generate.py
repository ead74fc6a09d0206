"""Generated sources and references are current, and show every argument to a reader."""

from __future__ import annotations

import inspect
import pydoc
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.process import SPECIFICATIONS
from tests import generate

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_oss_async.operators.base import OSSSpecificationOperator

FILES = generate.files()
OPERATORS = list(generate.operators().values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    assert path.read_text("utf-8") == FILES[path], f"run {generate.COMMAND}"


def test_every_operation_has_an_operator() -> None:
    missing = SPECIFICATIONS.keys() - generate.operators().keys()
    assert not missing, f"write an operator class for {', '.join(missing)} and run {generate.COMMAND}"


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
