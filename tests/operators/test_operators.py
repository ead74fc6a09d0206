"""The operators as Airflow sees them: arguments, templates, mapping, serialization."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_provider_oss_async.operators.audio import OSSAudioConcatOperator
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.document import OSSDocumentConvertOperator
from airflow_provider_oss_async.operators.process import OSSAsyncProcessOperator
from airflow_provider_oss_async.operators.specification import OSSSpecificationOperator
from airflow_provider_oss_async.operators.video import (
    OSSVideoConcatOperator,
    OSSVideoConvertOperator,
    OSSVideoSnapshotsOperator,
)
from airflow_provider_oss_async.process import ProcessError, Style, VideoConvert
from airflow_provider_oss_async.process.presets import preset
from tests import generate
from tests.support.specifications import required

SPECIFIED = list(generate.operators().values())


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
    task = operator(task_id="t", source="a", **required(operator.specification))
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
        operator(task_id="t", **required(operator.specification))
    for name in required(operator.specification):
        rest = {key: value for key, value in required(operator.specification).items() if key != name}
        with pytest.raises(TypeError, match=name):
            operator(task_id="t", source="a", **rest)


@pytest.mark.parametrize("operator", [*SPECIFIED, OSSAsyncProcessOperator])
def test_misspelt_arguments_are_named_when_the_dag_is_read(operator: Any) -> None:
    arguments = (
        required(operator.specification)
        if issubclass(operator, OSSSpecificationOperator)
        else {"process": "video/convert,f_mp4"}
    )
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
        other = OSSDocumentConvertOperator(task_id="b", source="x", target_format="pdf")
    assert (task.oss_conn_id, task.retries, task.target) == ("mine", 4, "from-default")
    assert (task.container, task.width) == ("mov", 1280)
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
    task.render_template_fields({"name": "film", "kind": "mp4", "size": 640})  # type: ignore[typeddict-unknown-key]
    assert task.source == "oss://media/film.mov"
    assert task.target == "out/film.{autoext}"
    assert (task.container, task.width) == ("mp4", "640")
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
    assert (task.container, task.width) == ("mov", 640)
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
            operator(task_id=operator.__name__, source="a", **required(operator.specification))
        OSSAsyncProcessOperator(task_id="process", source="a", process=VideoConvert(container="mp4"))
        OSSVideoConvertOperator.partial(task_id="mapped", source="a").expand(container=["mp4", "mov"])
    data = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    tasks = {task["__var"]["task_id"]: task["__var"] for task in data["dag"]["tasks"]}
    assert tasks["OSSVideoConvertOperator"]["container"] == "mp4"
    assert "OSS console" in json.dumps(tasks["OSSVideoConvertOperator"])
    assert set(tasks) == {*(operator.__name__ for operator in SPECIFIED), "process", "mapped"}
    # Nothing is different the second time: otherwise each parse makes a new version of the DAG.
    assert json.loads(json.dumps(DagSerialization.to_dict(dag))) == data


CONNECTION = {
    "conn_type": "oss_async", "login": "id", "password": "secret", "schema": "bucket-1",
    "extra": {"region": "cn-hangzhou", "imm_project": "project"},
}  # fmt: skip


@pytest.fixture(name="connection")
def oss_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(CONNECTION))


def refusals(task: Any) -> list[str]:
    with pytest.raises(ProcessError) as caught:
        task.build_request()
    return list(caught.value.problems)


#: One wrong argument each, and how its problem begins.
WRONG = {
    "source": ("/a", "source='/a': an object key must not start with /"),
    "target": ("out/", "target='out/' is not allowed: the service writes no key that ends in /"),
    "notify_topic": ("a b", "notify_topic='a b' is not allowed: a topic's name is"),
    "width": (33, "width=33 is not allowed: expected an even whole number from 64 to 4096 px"),
    "after": (["oss://bucket-2/b"], "after[0]='oss://bucket-2/b' is not in the source's bucket bucket-1"),
    "extra_params": ({"a b": 1}, "extra_params['a b']=1 is not allowed"),
}


@pytest.mark.usefixtures("connection")
def test_a_wrong_argument_is_named_alone_and_among_others() -> None:
    right: dict[str, Any] = {
        "task_id": "t", "source": "a", "target": "out.mp4", "container": "mp4", "video_codec": "h264",
        "audio_codec": "aac", "after": ["b"],
    }  # fmt: skip
    for name, (value, problem) in WRONG.items():
        (found,) = refusals(OSSVideoConcatOperator(**right | {name: value}))
        assert found.startswith(problem)
    # Without the source it is not known which bucket the others must be in.
    together = {name: value for name, (value, _) in WRONG.items() if name != "source"}
    found_together = refusals(OSSVideoConcatOperator(**right | together))
    assert len(found_together) == len(together)
    for name in together:
        assert any(text.startswith(WRONG[name][1]) for text in found_together), name


@pytest.mark.usefixtures("connection")
def test_a_wrong_source_says_nothing_of_the_merged_objects() -> None:
    task = OSSAudioConcatOperator(
        task_id="t", source="/a", target="out.mp3", container="mp3", before=["oss://bucket-2/b", "c", "/d"]
    )
    source, clip = refusals(task)
    assert source.startswith("source='/a'")
    assert clip.startswith("before[2]='/d': an object key must not start with /")


@pytest.mark.usefixtures("connection")
def test_every_wrong_part_of_a_process_string_is_named() -> None:
    process = "video/concat,f_mp4,vcodec_h264,acodec_aac,s_33x/sur,o_L2I"
    task = OSSAsyncProcessOperator(
        task_id="t", source="a", target="out/", process=process, notify_topic="a b"
    )
    topic, width, clip, target = refusals(task)
    assert topic.startswith("notify_topic='a b'")
    assert width.startswith("width=33 is not allowed")
    assert clip.startswith("after[0]='/b': an object key must not start with /")
    assert target.startswith("target='out/'")


@pytest.mark.usefixtures("connection")
def test_what_native_templates_make_of_text() -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=True, params={"key": "2026_01_01"}):
        pages = OSSDocumentConvertOperator(
            task_id="pages", source="a.docx", target="p/{index}.png", target_format="png", pages="1,2"
        )
        source = OSSDocumentConvertOperator(
            task_id="source", source="{{ params.key }}", target="a.pdf", target_format="pdf"
        )
    for task in (pages, source):
        task.render_template_fields({"params": {"key": "2026_01_01"}})
    assert pages.pages == (1, 2)
    assert pages.build_request().process.param("pages") == "1,2"
    # Which text the number 20260101 was, nobody can tell.
    (problem,) = refusals(source)
    assert problem.startswith("source=20260101 is not allowed: render_template_as_native_obj=True turns")


@pytest.mark.usefixtures("connection")
def test_what_is_certain_to_be_ignored_is_refused() -> None:
    task = OSSVideoConvertOperator(task_id="t", source="a", target="b.mp4", container="mp4", height=720)
    (problem,) = refusals(task)
    assert problem.startswith("height would be ignored: set video_codec")
    task.allow_ignored = True
    assert task.build_request().process.param("s") == "x720"
    assert [text.partition(":")[0] for text in task.warnings()] == ["height would be ignored"]
    text = OSSAsyncProcessOperator(
        task_id="p", source="a", target="b.mp4", process="video/convert,f_mp4,s_x720"
    )
    (problem,) = refusals(text)
    assert problem.startswith("height would be ignored")
    text.allow_ignored = True
    assert text.build_request().process.param("s") == "x720"


@pytest.mark.usefixtures("connection")
def test_results_under_one_name_are_refused() -> None:
    task = OSSVideoSnapshotsOperator(task_id="t", source="a", target="f.jpg", format="jpg", interval=1)
    (problem,) = refusals(task)
    assert problem.startswith("target='f.jpg': video/snapshots may write several objects")
    task.allow_ignored = True
    assert task.build_request().process.saveas is not None
    text = OSSAsyncProcessOperator(task_id="p", source="a", target="f.jpg", process="video/snapshots,f_jpg")
    assert "may write several objects" in refusals(text)[0]


@pytest.mark.usefixtures("connection")
def test_the_sources_extension_tells_its_format() -> None:
    task = OSSDocumentConvertOperator(task_id="t", source="a.xlsx", target="a.txt", target_format="txt")
    task.build_request()
    (warning,) = task.warnings()
    assert "not for xlsx: the job may fail" in warning


def test_the_rendered_template_shows_every_argument_of_a_preset() -> None:
    from airflow.serialization.helpers import serialize_template_field

    process = preset("h264_720p", frame_rate=25)
    common: dict[str, Any] = {"task_id": "t", "process": process, "target": "out/{barename}.mp4"}
    for task in (
        OSSAsyncProcessOperator(source="a.mov", **common),
        OSSAsyncProcessBatchOperator(sources=["a.mov"], **common),
    ):
        shown = serialize_template_field(task.process, "process")
        for name, value in process.values.items():
            assert f"{name}={value!r}" in str(shown)
    # Or as arguments of its own operator, where there may be templates.
    single = OSSVideoConvertOperator(
        task_id="s", source="a.mov", **{**process.values, "frame_rate": "{{ params.rate }}"}
    )
    assert (single.width, single.frame_rate) == (1280, "{{ params.rate }}")
