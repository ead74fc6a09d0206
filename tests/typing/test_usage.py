"""What type checkers say to right and wrong calls: each wrong line is flagged, and no right one is.

The lines are made from the fields of the specifications, so that a new operation is covered by itself.
"""

# One call a line, however long: the checkers report lines.
# ruff: noqa: E501

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from airflow_provider_oss_async.batch.sources import Inventory, ListFile, ObjectListing
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.process import SPECIFICATIONS, Specification
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger
from airflow_provider_oss_async.triggers.oss_batch import OSSAsyncBatchTrigger
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger
from tests import generate
from tests.support.specifications import required

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_oss_async.process.field import Field

ROOT = Path(__file__).parents[2]
HEAD = """\
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, XComArg, task

from airflow_provider_oss_async.batch.sources import *
from airflow_provider_oss_async.operators.audio import *
from airflow_provider_oss_async.operators.batch import *
from airflow_provider_oss_async.operators.document import *
from airflow_provider_oss_async.operators.image import *
from airflow_provider_oss_async.operators.process import *
from airflow_provider_oss_async.operators.video import *
from airflow_provider_oss_async.process import *
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.triggers.oss_async import OSSAsyncTaskTrigger
from airflow_provider_oss_async.triggers.oss_batch import OSSAsyncBatchTrigger
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

@task
def upstream() -> dict[str, Any]:
    return {}

up = upstream()
op = OSSAudioConvertOperator(task_id="t", source="a", target="b", container="mp3")
numbers: list[str] = []
text = str(len(numbers))
number = len(numbers)
"""
RIGHT = """\
OSSVideoConvertOperator(task_id="t", source=up, container="mp4", width="{{ params.width }}")
OSSVideoConvertOperator(task_id="t", source=op.output, target="b", container="mp4", timeout=timedelta(1))
OSSVideoConvertOperator(task_id="t", source="a", container=text, video_codec=text, start=timedelta(seconds=1))
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", retries=2, queue="q", pool="p", doc_md="d")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", retry_delay=timedelta(1), start_date=datetime(2026, 1, 1))
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", on_failure_callback=lambda context: None)
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", outlets=[], trigger_rule="all_done", dag=DAG("d"))
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", extra_params={"a": 1.5, "b": "c"}, allow_ignored=True)
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", extra_params="{{ params.extra }}")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", no_audio=1, adapt_orientation="true")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", verify_output="media", if_output_differs="warn")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", verify_output=up, if_output_differs="{{ params.then }}")
OSSVideoConvertOperator.partial(task_id="t", container="mp4").expand(source=["a"])
OSSVideoConcatOperator(task_id="t", source="a", container="mp4", video_codec="h264", audio_codec="aac", after=["b.mp4"])
OSSVideoConcatOperator(task_id="t", source="a", container="mp4", video_codec="h264", audio_codec="aac", after=[op.output])
OSSAudioConcatOperator(task_id="t", source="a", container="mp3", before=[{"object": "b", "start": timedelta(1)}, "c"])
OSSAudioConcatOperator(task_id="t", source="a", container="mp3", before=[{"object": op.output, "duration": "{{ x }}"}])
OSSAudioConcatOperator(task_id="t", source="a", container="mp3", before=numbers, after=up)
OSSDocumentConvertOperator(task_id="t", source="a", target_format="pdf", pages=[1, "4-6"])
OSSAsyncProcessOperator(task_id="t", source="a", process="video/convert,f_mp4")
OSSAsyncProcessOperator(task_id="t", source="a", process=VideoConvert(container="mp4"), target="b")
OSSAsyncProcessOperator(task_id="t", source="a", process=Style("s"), imm_task_type="OfficeConversion")
OSSAsyncProcessOperator(task_id="t", source=op.output, process=up)
OSSAsyncTaskSensor(task_id="t", job=op.output, poke_interval=2, timeout=60, mode="reschedule")
OSSAsyncTaskSensor(task_id="t", job=up, deferrable=True, soft_fail=True, retries=1)
OSSAsyncTaskSensor(task_id="t", job="{{ x }}", imm_task_type="MediaConvert", oss_conn_id=up)
OSSAsyncTaskSensor(task_id="t", job={"task_id": "x"}, completion="smq", verify_output="exists")
OSSAsyncProcessBatchOperator(task_id="t", process="video/convert,f_mp4", sources=["a", {"source": "b"}], target="b/{barename}.mp4")
OSSAsyncProcessBatchOperator(task_id="t", process=VideoConvert(container="mp4"), sources=up, max_failed=0.01, dry_run=True, verify_output="media")
OSSAsyncProcessBatchOperator(task_id="t", process=Style("s"), sources=ObjectListing("in/", pattern="*.mov"), timeout=timedelta(1))
OSSAsyncProcessBatchOperator(task_id="t", process=up, sources=ListFile("l.jsonl"), max_objects="{{ params.most }}", retries=1)
OSSAsyncProcessBatchOperator.partial(task_id="t", process="p", target="b").expand(sources=[["a"], ["b"]])
ObjectListing("in/", modified_since="{{ data_interval_start }}", min_size=1, storage_classes=["Standard"], limit="5")
Inventory("inventory/manifest.json", prefix="in/", modified_since=datetime(2026, 1, 1))
OSSEventTrigger(prefix="oss://media/in/", suffix=".mov", exclude=("in/old/",), kinds=("object", "job"), queue="q", list_every=600)
Style("s", task_type="MediaConvert")
AudioConvert(container="mp3", extra_params={"a": 1}, allow_ignored=True)
AudioConcat(container="mp3", after=["a", {"object": "b", "duration": 1.5}])
DocumentConvert(target_format="pdf", pages=(1, 2))
"""
WRONG = """\
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", retriess=2)
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", verify_output=True)
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", retries="two")
OSSVideoConvertOperator(source="a", container="mp4")
OSSVideoConvertOperator(task_id="t", source=1, container="mp4")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", deferrable="yes")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", allow_ignored="yes")
OSSVideoConvertOperator(task_id="t", source="a", container="mp4", extra_params=["a_b"])
OSSVideoConvertOperator("t", source="a", container="mp4")
OSSAudioConcatOperator(task_id="t", source="a", container="mp3", before=[{"objekt": "b"}])
OSSAudioConcatOperator(task_id="t", source="a", container="mp3", before=[{"start": 1}])
OSSDecodeBlindWatermarkOperator(task_id="t", source="a", target="b")
OSSAsyncProcessOperator(task_id="t", source="a")
OSSAsyncProcessOperator(task_id="t", source="a", process=5)
OSSAsyncProcessOperator(task_id="t", source="a", process="p", imm_type="MediaConvert")
OSSAsyncTaskSensor(task_id="t")
OSSAsyncTaskSensor(task_id="t", job=5)
OSSAsyncTaskSensor(task_id="t", job="x", poke_intervall=2)
OSSAsyncTaskSensor(task_id="t", job="x", deferrable="no")
OSSAsyncProcessBatchOperator(task_id="t", process=5, sources=["a"])
OSSAsyncProcessBatchOperator(task_id="t", process="p", sources=5)
OSSAsyncProcessBatchOperator(process="p", sources=["a"])
OSSAsyncProcessBatchOperator(task_id="t", process="p", sources=["a"], retriess=1)
OSSAsyncProcessBatchOperator(task_id="t", process="p", sources=["a"], deferrable="yes")
OSSEventTrigger("q")
OSSEventTrigger(queue=5)
OSSEventTrigger(collect_for="5")
Style()
Style("s", type="MediaConvert")
AudioConvert(container="mp3", extra_params=[])
AudioConcat(container="mp3", after=[{"objekt": "b"}])
VideoConvert("mp4")
"""


#: What is not made from a specification, with the arguments that it needs.
WRITTEN_BY_HAND: dict[Callable[..., Any], dict[str, str]] = {
    OSSAsyncProcessOperator: {"task_id": "'t'", "source": "'a'", "process": "'p'"},
    OSSAsyncProcessBatchOperator: {"task_id": "'t'", "process": "'p'", "sources": "['a']"},
    OSSAsyncTaskSensor: {"task_id": "'t'", "job": "'x'"},
    ObjectListing: {"prefix": "'in/'"},
    ListFile: {"uri": "'l.txt'"},
    Inventory: {"uri": "'manifest.json'"},
    OSSAsyncTaskTrigger: {"wait_specification": "{}"},
    OSSAsyncBatchTrigger: {"batch_specification": "{}"},
    OSSEventTrigger: {},
}


class Line(NamedTuple):
    """A line of a checked file."""

    text: str
    wrong: bool


def right_values(field: Field, templated: bool) -> list[str]:
    """Forms of a value that are taken at run time."""
    values = [f"{name!r}" for name in (*field.param.known, *(name for name, _ in field.param.choices))][:2]
    values += [wire for _, wire in field.param.choices]
    if field.kind is list:
        values = ["['a']", "[{'object': 'a', 'start': 1.5}]", "('a',)"]
    elif field.kind is bool:
        values = ["True", "1", "'false'"]
    elif field.is_time:
        values = ["1", "1.5", "'1.5'", "timedelta(seconds=1)"]
    elif field.kind in (int, float):
        values = ["64", "'64'", "number"] + ["1.5"] * (field.kind is float)
    elif field.name == "pages":
        values = ["1", "'1,2'", "[1, '4-6']"]
    else:
        values.append("text")
    if not field.required:
        values.append("None")
    return [*values, "'{{ x }}'", "up", "op.output"] if templated else values


def wrong_values(field: Field, templated: bool) -> list[str]:
    """Values of a wrong type."""
    # For type checkers bytes are a sequence of page numbers; they are refused when the task runs.
    values = (
        ["object()"]
        + ["b'1'"] * (field.name != "pages")
        + ["[{'objekt': 'a'}]", "[5]", "5"] * (field.kind is list)
    )
    values += ["[1]"] * (field.kind is not list and field.name != "pages")
    values += ["timedelta(1)"] * (not field.is_time) + ["1.5"] * (field.kind is int)
    return values if templated else [*values, "up"]


def lines() -> Iterator[Line]:
    yield from (Line(text, False) for text in RIGHT.splitlines())
    yield from (Line(text, True) for text in WRONG.splitlines())
    for operator in generate.operators().values():
        yield from calls(operator.__name__, operator.specification, {"task_id": "'t'", "source": "'a'"})
    for specification in SPECIFICATIONS.values():
        yield from calls(specification.__name__, specification, {})
    for item, arguments in WRITTEN_BY_HAND.items():
        yield from calls_of_signature(item, arguments)


def calls(name: str, specification: type[Specification], common: dict[str, str]) -> Iterator[Line]:
    def call(arguments: dict[str, str], wrong: bool) -> Line:
        return Line(f"{name}({', '.join(f'{key}={value}' for key, value in arguments.items())})", wrong)

    templated = bool(common)
    complete = common | {name: repr(value) for name, value in required(specification).items()}
    yield call(complete, False)
    for missing in complete:
        yield call({key: value for key, value in complete.items() if key != missing}, True)
    for field in specification.fields():
        for value in right_values(field, templated):
            yield call(complete | {field.name: value}, False)
        for value in wrong_values(field, templated):
            yield call(complete | {field.name: value}, True)
        yield call(complete | {f"{field.name}_": right_values(field, templated)[0]}, True)


def calls_of_signature(item: Callable[..., Any], complete: dict[str, str]) -> Iterator[Line]:
    def call(arguments: dict[str, str], wrong: bool) -> Line:
        return Line(f"{item.__name__}({', '.join(f'{k}={v}' for k, v in arguments.items())})", wrong)

    yield call(complete, False)
    for missing in complete:
        yield call({key: value for key, value in complete.items() if key != missing}, True)
    for parameter in inspect.signature(item).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            if isinstance(parameter.default, str | int | float | None):
                yield call(
                    complete | {parameter.name: complete.get(parameter.name, repr(parameter.default))}, False
                )
            yield call(complete | {parameter.name: "object()"}, True)
            yield call(complete | {f"{parameter.name}_": "None"}, True)


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT, timeout=600
    )
    return done.stdout + done.stderr


def mypy_errors(file: Path) -> dict[int, str]:
    # Without the options of the project: users have their own.
    output = run("mypy", "--follow-imports=silent", "--config-file=", str(file))
    found = re.findall(rf"(?m)^.*{file.name}:(\d+): error: (.*)$", output)
    assert found, output
    return {int(number): text for number, text in found}


def pyright_errors(file: Path) -> dict[int, str]:
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(file))
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    return {
        item["range"]["start"]["line"] + 1: item["message"]
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy_errors, pyright_errors])
def test_verdicts(checker: Any, tmp_path: Path) -> None:
    checked = list(lines())
    file = tmp_path / "usage.py"
    file.write_text(HEAD + "".join(f"{line.text}\n" for line in checked))
    errors = checker(file)
    numbered = list(enumerate(checked, HEAD.count("\n") + 1))
    assert not [text for number, text in errors.items() if number < numbered[0][0]]
    alarms = [f"{line.text}: {errors[n]}" for n, line in numbered if n in errors and not line.wrong]
    missed = [line.text for n, line in numbered if n not in errors and line.wrong]
    assert not alarms
    assert not missed


def test_examples_have_no_error_of_ours() -> None:
    output = run("pyright", "--outputjson", "--pythonpath", sys.executable, "example_dags")
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    assert report["summary"]["filesAnalyzed"] > 10
    # Airflow types the parameters of a DAG narrower than it takes them, and calls of task functions as calls
    # with values. Errors in a call of our classes end with: in function "__init__".
    foreign = (
        r'parameter "params" of type "ParamsDict"|'
        r'\A[^\n]*"(list\[)?XComArg\]?" cannot be assigned to parameter "\w+" of type "[^"]*"\n'
    )
    ours = [
        f"{item['file']}: {item['message']}"
        for item in report["generalDiagnostics"]
        if item["severity"] == "error" and not re.search(foreign, item["message"])
    ]
    assert not ours
