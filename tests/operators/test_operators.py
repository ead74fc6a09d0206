"""The operators as Airflow sees them: arguments, templates, mapping, serialization."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator, OSSAudioConvertOperator
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator, OSSSpecificationOperator
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.video import (
    OSSVideoAnimationOperator,
    OSSVideoConcatOperator,
    OSSVideoConvertOperator,
    OSSVideoSnapshotsOperator,
    OSSVideoSpriteOperator,
)
from airflow_provider_oss_async.process import SPECIFICATIONS, Style, VideoConvert

SPECIFIED: list[type[OSSSpecificationOperator]] = [
    OSSAudioConcatOperator,
    OSSAudioConvertOperator,
    OSSDecodeBlindWatermarkOperator,
    OSSDocumentConvertOperator,
    OSSVideoAnimationOperator,
    OSSVideoConcatOperator,
    OSSVideoConvertOperator,
    OSSVideoSnapshotsOperator,
    OSSVideoSpriteOperator,
]
#: The arguments that each operator cannot do without.
REQUIRED: dict[str, Any] = {
    "container": "mp4",
    "target_format": "pdf",
    "format": "jpg",
    "video_codec": "h264",
    "audio_codec": "aac",
}


def required(operator: type[OSSSpecificationOperator]) -> dict[str, Any]:
    return {
        field.name: REQUIRED.get(field.name, "mp3")
        for field in operator.specification.fields()
        if field.required
    }


def test_there_is_an_operator_for_every_operation() -> None:
    assert {operator.specification for operator in SPECIFIED} == set(SPECIFICATIONS.values())


@pytest.mark.parametrize("operator", SPECIFIED)
def test_no_argument_hides_something_of_airflow(operator: type[OSSSpecificationOperator]) -> None:
    common = set(inspect.signature(OSSAsyncBaseOperator.__init__).parameters)
    for field in operator.specification.fields():
        assert not hasattr(BaseOperator, field.name), field.name
        assert not hasattr(OSSAsyncBaseOperator, field.name), field.name
        assert field.name not in common, field.name
        assert field.name not in inspect.signature(BaseOperator.__init__).parameters, field.name


@pytest.mark.parametrize("operator", SPECIFIED)
def test_every_template_field_is_an_attribute(operator: type[OSSSpecificationOperator]) -> None:
    task = operator(task_id="t", source="a", **required(operator))
    for name in operator.template_fields:
        assert hasattr(task, name), name
    for field in operator.specification.fields():
        assert field.name in operator.template_fields
    assert len(set(operator.template_fields)) == len(operator.template_fields)


@pytest.mark.parametrize("operator", SPECIFIED)
def test_the_signature_names_every_argument(operator: type[OSSSpecificationOperator]) -> None:
    parameters = inspect.signature(operator).parameters
    for field in operator.specification.fields():
        assert parameters[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert (parameters[field.name].default is inspect.Parameter.empty) is field.required
    assert {"source", "completion", "deferrable", "oss_conn_id"} <= set(parameters)
    assert ("target" in parameters) is operator.specification.writes_object


@pytest.mark.parametrize("operator", SPECIFIED)
def test_missing_arguments_are_named_when_the_dag_is_read(operator: type[OSSSpecificationOperator]) -> None:
    with pytest.raises(TypeError, match="source"):
        operator(task_id="t", **required(operator))  # type: ignore[call-arg]
    for name in required(operator):
        rest = {key: value for key, value in required(operator).items() if key != name}
        with pytest.raises(TypeError, match=name):
            operator(task_id="t", source="a", **rest)


@pytest.mark.parametrize("operator", [*SPECIFIED, OSSAsyncProcessOperator])
def test_misspelt_arguments_are_named_when_the_dag_is_read(operator: Any) -> None:
    arguments = required(operator) if operator in SPECIFIED else {"process": "video/convert,f_mp4"}
    with pytest.raises(TypeError, match="contaner"):
        operator(task_id="t", source="a", contaner="mp4", **arguments)


def test_default_args_reach_every_kind_of_argument() -> None:
    defaults = {
        "oss_conn_id": "mine",
        "container": "mov",
        "width": 640,
        "retries": 4,
        "target": "from-default",
    }
    with DAG("d", default_args=defaults, schedule=None):
        task = OSSVideoConvertOperator(task_id="a", source="x", width=1280)  # type: ignore[call-arg]
        other = OSSDocumentConvertOperator(task_id="b", source="x", target_format="pdf")  # type: ignore[call-arg]
    assert (task.oss_conn_id, task.retries, task.target) == ("mine", 4, "from-default")
    assert (task.container, task.width) == ("mov", 1280)  # type: ignore[attr-defined]
    assert other.target == "from-default"


def test_templates_are_rendered() -> None:
    with DAG("d", schedule=None):
        task = OSSVideoConvertOperator(
            task_id="t",
            source="oss://media/{{ name }}.mov",
            target="out/{{ name }}.{autoext}",
            container="{{ kind }}",
            width="{{ size }}",
            extra_params={"zz": "{{ size }}"},
            notify_topic="{{ name }}",
        )
    task.render_template_fields({"name": "film", "kind": "mp4", "size": 640})  # type: ignore[typeddict-item]
    assert task.source == "oss://media/film.mov"
    assert task.target == "out/film.{autoext}"
    assert (task.container, task.width) == ("mp4", "640")  # type: ignore[attr-defined]
    assert (task.extra_params, task.notify_topic) == ({"zz": "640"}, "film")


@pytest.mark.parametrize(
    "process", [VideoConvert(container="mp4"), Style("mine", task_type="MediaConvert"), "video/convert,f_mp4"]
)
def test_a_process_of_any_form_survives_rendering(process: Any) -> None:
    with DAG("d", schedule=None):
        task = OSSAsyncProcessOperator(task_id="t", source="a", process=process)
    task.render_template_fields({})
    assert task.process == process


def test_arguments_of_the_operation_can_be_mapped() -> None:
    with DAG("d", schedule=None):
        mapped = OSSVideoConvertOperator.partial(task_id="a", source="in.mov", width=640).expand(
            container=["mp4", "mov"]
        )
        pairs = OSSVideoConvertOperator.partial(task_id="b", container="mp4").expand_kwargs(
            [{"source": "a", "target": "b"}]
        )
    assert "container" in mapped.template_fields
    task = mapped.unmap({"container": "mov", "source": "in.mov"})
    assert isinstance(task, OSSVideoConvertOperator)
    assert (task.container, task.width) == ("mov", 640)  # type: ignore[attr-defined]
    assert pairs.operator_class is OSSVideoConvertOperator


@pytest.mark.filterwarnings("ignore:Task .* was never mapped")
def test_mapping_names_misspelt_arguments() -> None:
    with DAG("d", schedule=None):
        with pytest.raises(TypeError, match="contaner"):
            OSSVideoConvertOperator.partial(task_id="a", contaner="mp4")
        with pytest.raises(TypeError, match="contaner"):
            OSSVideoConvertOperator.partial(task_id="b", source="a").expand(contaner=["mp4"])


def test_a_dag_with_all_operators_can_be_serialized() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None) as dag:
        for operator in SPECIFIED:
            operator(task_id=operator.__name__, source="a", **required(operator))
        OSSAsyncProcessOperator(task_id="process", source="a", process=VideoConvert(container="mp4"))
        OSSVideoConvertOperator.partial(task_id="mapped", source="a").expand(container=["mp4", "mov"])
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    tasks = {task["__var"]["task_id"]: task["__var"] for task in data["dag"]["tasks"]}
    assert tasks["OSSVideoConvertOperator"]["container"] == "mp4"
    assert "OSS console" in json.dumps(tasks["OSSVideoConvertOperator"])
    assert set(tasks) == {*(operator.__name__ for operator in SPECIFIED), "process", "mapped"}
    # Nothing is different the second time: otherwise each parse makes a new version of the DAG.
    assert json.loads(json.dumps(DagSerialization.to_dict(dag))) == data
