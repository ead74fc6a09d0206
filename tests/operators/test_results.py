from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, XComArg
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import parse_process
from airflow_provider_oss_async.process.grammar import Segment
from tests.support.tasks import video

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick", "connect")


def test_a_result_with_one_output_is_a_source(stand: Any, new_try: Any) -> None:
    first = video().execute(new_try())
    second = video(source=first, target="again.mp4").execute(new_try())
    assert second["source"] == "oss://media/out.mp4"
    context = new_try()
    video(source=second).execute(context)
    assert context["ti"].xcoms["outputs"] == ["oss://media/out.mp4"]


def test_a_list_of_one_output_is_a_source(stand: Any, new_try: Any) -> None:
    first = video().execute(new_try())
    second = video(source=first["outputs"], target="again.mp4").execute(new_try())
    assert second["source"] == "oss://media/out.mp4"


def test_results_are_merged(stand: Any, new_try: Any) -> None:
    first = video().execute(new_try())
    merged = OSSAudioConcatOperator(
        task_id="t",
        source=first,
        target="all.mp3",
        container="mp3",
        before=first,  # type: ignore[arg-type]
        after=[first, {"object": first, "duration": 2}, "in.mov"],  # type: ignore[list-item]
    ).execute(new_try())
    assert parse_process(merged["process"]).segments == (
        Segment("pre", "out.mp4"),
        Segment("sur", "out.mp4"),
        Segment("sur", "out.mp4", (("t", "2000"),)),
        Segment("sur", "in.mov"),
    )


def test_every_further_object_of_a_merge_that_is_no_object_is_named(stand: Any, new_try: Any) -> None:
    several = {"task_id": "T", "outputs": ["oss://media/a", "oss://media/b"]}
    with pytest.raises(ProcessError) as caught:
        OSSAudioConcatOperator(
            task_id="t",
            source="in.mov",
            target="all.mp3",
            container="mp3",
            sample_rate=1,
            after=["in.mov", several, {"object": {"task_id": "T"}}],  # type: ignore[list-item]
        ).execute(new_try())
    for part in (
        "after[1] is a result with 2 objects",
        "after[2] is a result without outputs",
        "sample_rate=1 is not allowed",
    ):
        assert part in str(caught.value)


def test_mapping_over_outputs_says_how_to_do_it() -> None:
    with DAG("d", schedule=None):
        result: Any = video().output
        partial = OSSVideoConvertOperator.partial(task_id="t", target="x", container="mp4")
        with pytest.raises(ValueError, match="cannot map over XCom") as caught:
            partial.expand(source=result["outputs"])
    assert ".expand(source=outputs(video.output)), where outputs is a @task" in str(caught.value)


def test_references_to_results_are_airflows_own() -> None:
    with DAG("d", schedule=None) as dag:
        first = video()
        result: Any = first.output
        second = OSSVideoConvertOperator(
            task_id="second", source=result["outputs"], target="again.mp4", container="mp4"
        )
    assert str(result["outputs"]) == (
        "{{ task_instance.xcom_pull(task_ids='video', dag_id='d', key='outputs') }}"
    )
    assert result["task_id"] == XComArg(first, "task_id")
    assert second.upstream_task_ids == {"video"}
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    assert DagSerialization.from_dict(stored).task_dict["second"].upstream_task_ids == {"video"}


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (
            {"task_id": "T", "outputs": ["oss://media/a", "oss://media/b"]},
            ["2 objects", "expand(source=outputs(task.output))"],
        ),
        ({"task_id": "T", "outputs": []}, ["without outputs"]),
        ({"task_id": "T"}, ["without outputs"]),
        (["oss://media/a", "oss://media/b"], ["list with 2", "expand(source=outputs(task.output))"]),
        (["oss://media/a", "oss://media/b", "oss://media/c"], ["list with 3"]),
        ([], ["list without outputs"]),
        # What a template makes of a list, and what Airflow maps over where it is given a whole result.
        ("['oss://media/a', 'oss://media/b']", ["text of a list", "expand(source=outputs(task.output))"]),
        (("outputs", ["oss://media/a"]), ["one entry (outputs)", "expand(source=outputs(task.output))"]),
        ("{'task_id': 'T', 'outputs': ['oss://media/a']}", ["source=task.output", "outputs"]),
    ],
)
def test_a_source_that_is_not_one_object(stand: Any, new_try: Any, source: Any, parts: list[str]) -> None:
    with pytest.raises(ProcessError) as caught:
        video(source=source).execute(new_try())
    for part in parts:
        assert part in str(caught.value)
    assert stand.requests("OSS:AsyncProcessObject") == 0


CHAIN_FILE = """
from airflow.sdk import DAG, task
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook

@task
def outputs_of(result):
    return result["outputs"]

@task
def submit():
    return OSSAsyncHook().submit("in.mov", "video/convert,f_mp4", target="submitted.mp4")

@task
def task_id_of(job):
    return job["task_id"]

with DAG("chain", schedule=None):
    pages = OSSDocumentConvertOperator(
        task_id="pages", source="in.mov", target="p/{index}.{autoext}", target_format="png"
    )
    # Over the outputs of one result, and over several results with one output each.
    each = OSSVideoConvertOperator.partial(
        task_id="each", target="each/{barename}.mp4", container="mp4"
    ).expand(source=outputs_of(pages.output))
    OSSVideoConvertOperator.partial(
        task_id="again", target="again/{barename}.mp4", container="mp4"
    ).expand(source=each.output)
    one = OSSVideoConvertOperator(task_id="one", source="in.mov", target="out.mp4", container="mp4")
    OSSVideoConvertOperator(task_id="chained", source=one.output, target="chained.mp4", container="mp4")
    # What the hook returns goes through XCom too.
    submitted = submit()
    OSSAsyncTaskSensor(task_id="wait", job=submitted, poke_interval=0.1)
    task_id_of(submitted)
"""


def test_results_are_handed_on_in_a_dag(stand: Any, dag_folder: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    (dag_folder / "chain.py").write_text(CHAIN_FILE)
    bag = DagBag(str(dag_folder / "chain.py"))
    assert bag.import_errors == {}
    assert bag.dags["chain"].test().state == "success"
    sources = sorted(line["source"].removeprefix("oss://media/") for line in stand.accepted())
    each_sources = [f"each/{number}.mp4" for number in (1, 2, 3)]
    page_sources = [f"p/{number}.png" for number in (1, 2, 3)]
    assert sources == [*each_sources, "in.mov", "in.mov", "in.mov", "out.mp4", *page_sources]
