"""What holds for every specification and every field; the tables come from the fields themselves."""

from __future__ import annotations

import inspect
import pickle
import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_oss_async.process import (
    AudioConvert,
    DocumentConvert,
    ObjectURI,
    ProcessError,
    Specification,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    parse_process,
    read_specification,
)
from airflow_provider_oss_async.process.text import plain_number
from tests.support.specifications import minimal

from .strategies import (
    FIELDS,
    SOURCE,
    SPECS,
    TARGET,
    any_text,
    specifications,
    values,
    wrong_values,
)

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.field import Field

FIELD_IDS = [f"{spec.operation}-{field.name}" for spec, field in FIELDS]
each_field = pytest.mark.parametrize(("spec", "field"), FIELDS, ids=FIELD_IDS)


def instruction(spec: Specification, topic: str = "topic") -> str:
    return spec.to_process(SOURCE, TARGET if spec.writes_object else None, topic).encode()


@given(specifications())
def test_round_trip(spec: Specification) -> None:
    if spec.segment_fields and not any(spec.get(name) for name, _ in spec.segment_fields):
        spec = type(spec)(extra_params=spec.extra_params, **{**spec.values, "before": ["clips/first"]})
    text = instruction(spec)
    process = parse_process(text)
    assert process.encode() == text
    assert read_specification(process) == spec
    assert text.isascii()


@given(specifications())
def test_nothing_raises_on_a_constructed_value(spec: Specification) -> None:
    assert spec.operation
    assert list(spec.warnings()) == list(spec.warnings())
    assert repr(spec).startswith(type(spec).__name__)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert type(spec)(extra_params=spec.extra_params, **spec.values) == spec
    wire = spec.wire_params()
    assert len(dict(wire)) == len(wire)


@each_field
def test_wrong_values_are_named(spec: type[Specification], field: Field) -> None:
    for value in wrong_values(field):
        arguments = minimal(spec) | {field.name: value}
        with pytest.raises(ProcessError) as caught:
            spec(**arguments)
        (problem,) = caught.value.problems
        shown = "a number of more" if isinstance(value, int) and abs(value) > 10**100 else repr(value)[:100]
        assert problem.startswith(f"{field.name}={shown}"), problem
        assert "is not allowed: " in problem
        assert field.allowed in problem or "runs backwards" in problem
        assert str(caught.value) == f"{spec.operation}: {problem}"


@each_field
@settings(max_examples=20)
@given(data=st.data())
def test_values_in_range_are_taken(spec: type[Specification], field: Field, data: st.DataObject) -> None:
    value = data.draw(values(field))
    problem = ""
    try:
        spec(**(minimal(spec) | {field.name: value}))
    except ProcessError as error:
        problem = str(error)
    # It may not go with the rest, but by itself it is right.
    assert f"expected {field.allowed}" not in problem


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.operation)
def test_all_wrong_arguments_are_in_one_message(spec: type[Specification]) -> None:
    wrong: dict[str, Any] = {field.name: "{{ x }}" for field in spec.fields()}
    with pytest.raises(ProcessError) as caught:
        spec(**wrong, extra_params={"a b": 1, "ok": "a,b"})
    message = str(caught.value)
    assert len(caught.value.problems) == len(wrong) + 2
    for name in (*wrong, "extra_params['a b']", "extra_params['ok']"):
        assert name in message


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.operation)
def test_required_arguments(spec: type[Specification]) -> None:
    required = [field for field in spec.fields() if field.required]
    if not required:
        spec()
        return
    parameters = inspect.signature(spec).parameters
    assert required[0].name in parameters, "the signature is not current: run python -m tests.generate"
    with pytest.raises(TypeError, match=required[0].name):
        spec()
    with pytest.raises(ProcessError) as caught:
        spec(**dict.fromkeys((field.name for field in required), cast("Any", None)))
    assert list(caught.value.problems) == [f"{f.name} is required: expected {f.allowed}" for f in required]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.operation)
def test_none_means_not_given(spec: type[Specification]) -> None:
    given_none = {field.name: None for field in spec.fields()}
    assert spec(**(given_none | minimal(spec)), extra_params=None) == spec(**minimal(spec))


@each_field
@settings(max_examples=20)
@given(data=st.data())
def test_strings_from_templates(spec: type[Specification], field: Field, data: st.DataObject) -> None:
    if field.kind is list:
        return
    value = data.draw(values(field))
    try:
        typed = spec(**(minimal(spec) | {field.name: value}))
    except ProcessError:
        with pytest.raises(ProcessError):
            spec(**(minimal(spec) | {field.name: str(value)}))
        return
    assert spec(**(minimal(spec) | {field.name: str(value)})) == typed
    if field.is_time:
        assert spec(**(minimal(spec) | {field.name: timedelta(seconds=value)})) == typed
    if field.param.choices:
        wire = dict(field.param.choices)[value]
        assert spec(**(minimal(spec) | {field.name: wire})) == typed
        assert spec(**(minimal(spec) | {field.name: int(wire)})) == typed


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ({"width": "1280"}, {"s": "1280x", "arotate": "0"}),
        ({"height": 720}, {"s": "x720", "arotate": "0"}),
        ({"width": 1280, "height": "720", "adapt_orientation": "true"}, {"s": "1280x720", "arotate": "1"}),
        ({"no_audio": "True"}, {"an": "1"}),
        ({"no_audio": "1"}, {"an": "1"}),
        ({"no_audio": "false"}, {"an": "0"}),
        ({"start": "2.5"}, {"ss": "2500"}),
        ({"start": timedelta(minutes=1, milliseconds=1)}, {"ss": "60001"}),
        ({"start": Decimal("0.001")}, {"ss": "1"}),
        ({"start": 0.1 + 0.2}, {"ss": "300"}),
        ({"start": 0, "duration": 0}, {"ss": "0", "t": "0"}),
        ({"duration": 1_000_000_000}, {"t": "1000000000000"}),
        ({"frame_rate": 25}, {"fps": "25"}),
        ({"frame_rate": "29.97"}, {"fps": "29.97"}),
        ({"frame_rate": 1e-7}, {"fps": "0.0000001"}),
        ({"crf": 0}, {"crf": "0"}),
        ({"frame_rate": 25, "frame_rate_if_lower": "keep_source"}, {"fps": "25", "fpsopt": "1"}),
    ],
)
def test_wire_text(arguments: dict[str, Any], wire: dict[str, str]) -> None:
    spec = VideoConvert(container="mp4", allow_ignored=True, **arguments)
    assert dict(spec.wire_params()) == {"f": "mp4"} | wire


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "0.0000001"), (1e16, "10000000000000000"), (25.0, "25"), (2.5, "2.5"), (0.0, "0"), (100, "100")],
)
def test_numbers_have_no_exponent(number: float, text: str) -> None:
    assert plain_number(number) == text


def assert_contained(
    spec: type[Specification], arguments: dict[str, Any], keys: set[str], clips: int
) -> None:
    """Build and read again: a value may be refused, but never become anything beside itself."""
    try:
        built = spec(**arguments)
        process = built.to_process(SOURCE, TARGET if spec.writes_object else None, "topic")
    except ProcessError as error:
        str(error).encode()
        return
    text = process.encode()
    head, _, tail = text.partition("|")
    assert parse_process(text) == process
    assert {key for key, _ in process.params} <= keys
    assert head.count(",") == len(process.params) + sum(1 + len(s.params) for s in process.segments)
    assert len(process.segments) == clips == head.count("/") - 1
    assert tail.count("/") == (2 if spec.writes_object else 1)
    assert text.count("|") == 1
    assert (process.saveas is not None) == spec.writes_object
    assert process.topic == "topic"


def base_keys(spec: type[Specification]) -> set[str]:
    return {key for key, _ in spec(**minimal(spec)).wire_params()} | {"arotate"}


@each_field
@settings(max_examples=25)
@given(text=any_text())
@example(text="mp4,t_0")
@example(text="mp4/pre,o_YQ")
@example(text="mp4|sys/saveas,o_YQ")
@example(text="mp4\n")
def test_no_value_becomes_more_than_its_field(spec: type[Specification], field: Field, text: str) -> None:
    keys = base_keys(spec) | {field.param.key}
    clips = len(minimal(spec).get("before", ()))
    if field.kind is list:
        for value in (
            text,
            [text],
            [{"object": text}],
            [{"object": "a", text: 1}],
            [{"object": "a", "start": text}],
        ):
            both = clips if field.name == "before" else clips + 1
            assert_contained(spec, minimal(spec) | {field.name: value}, keys, both)
        return
    assert_contained(spec, minimal(spec) | {field.name: text}, keys, clips)


@given(key=any_text(), value=any_text() | st.integers() | st.floats() | st.none() | st.booleans())
def test_extra_params_add_one_parameter_each(key: str, value: Any) -> None:
    keys = base_keys(AudioConvert) | {key}
    assert_contained(AudioConvert, {"container": "mp3", "extra_params": {key: value}}, keys, 0)


@given(key=any_text(), bucket=any_text(), topic=any_text(), segment=any_text())
def test_names_are_only_names(key: str, bucket: str, topic: str, segment: str) -> None:
    try:
        spec = VideoConcat(**(minimal(VideoConcat) | {"before": [segment]}))
    except ProcessError:
        spec = VideoConcat(**minimal(VideoConcat))
    try:
        target = ObjectURI.parse(f"oss://{bucket}/{key}", variables=True)
        process = spec.to_process(SOURCE, target, topic)
    except ProcessError:
        target = ObjectURI("bucket-1", f"k{key}")
        try:
            process = spec.to_process(SOURCE, target)
        except ProcessError:
            return
        topic = ""
    read = parse_process(process.encode())
    assert read == process
    assert (read.saveas and read.saveas.key, read.saveas and read.saveas.bucket) == (
        target.key,
        target.bucket,
    )
    assert read.topic == topic
    assert [s.kind for s in read.segments] == ["pre"]
    assert read.params == spec.wire_params()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.operation)
def test_unknown_arguments(spec: type[Specification]) -> None:
    kinds = {parameter.kind for parameter in inspect.signature(spec).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds, "the signature is made by python -m tests.generate"
    with pytest.raises(TypeError, match="unheard_of"):
        spec(**minimal(spec), unheard_of=1)


@pytest.mark.parametrize("extra", ["a_b", [("a", "b")], 5, {"a"}, b"a"])
def test_extra_params_are_a_mapping(extra: Any) -> None:
    with pytest.raises(ProcessError, match="expected a mapping of wire key to value"):
        AudioConvert(container="mp3", extra_params=extra)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("f", "mp3", "has an argument of its own"),
        ("a b", "x", "is not a parameter key"),
        ("a_b", "x", "is not a parameter key"),
        (5, "x", "is not a parameter key"),
        ("a", True, "expected a number, or text"),
        ("a", None, "expected a number, or text"),
        ("a", ["x"], "expected a number, or text"),
        ("a", b"x", "expected a number, or text"),
        ("a", float("nan"), "expected a number, or text"),
        ("a", "", "is empty"),
        ("a", "x,y", "printable ASCII"),
        ("a", "{{ x }}", "printable ASCII"),
        pytest.param("a", 10**5000, "a number of more than 100 digits", id="thousands of digits"),
        pytest.param("b", 10**400, "too large", id="hundreds of digits"),
    ],
)
def test_extra_params_are_checked(key: Any, value: Any, reason: str) -> None:
    with pytest.raises(ProcessError) as caught:
        AudioConvert(container="mp3", extra_params={key: value})
    assert reason in str(caught.value)


def test_extra_params_pass_through() -> None:
    spec = AudioConvert(container="mp3", extra_params={"future": "A-b.c_d:1", "number": 1e-7, "count": 3})
    assert spec.wire_params() == (
        ("f", "mp3"),
        ("future", "A-b.c_d:1"),
        ("number", "0.0000001"),
        ("count", "3"),
    )
    text = instruction(spec)
    assert text.startswith("audio/convert,f_mp3,future_A-b.c_d:1,number_0.0000001,count_3|sys/saveas,o_")
    assert read_specification(parse_process(text)) == spec


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("video/convert,f_mp4,ss_1.5", "'ss_1.5' is not allowed: expected whole milliseconds"),
        ("video/convert,f_mp4,ss_-1", "expected whole milliseconds"),
        ("video/convert,f_mp4,ss_1e3", "expected whole milliseconds"),
        ("video/convert,f_mp4,an_true", "'an_true' is not allowed: expected 0 or 1"),
        ("video/convert,f_mp4,an_2", "expected 0 or 1"),
        (
            "video/convert,f_mp4,fps_25,fpsopt_convert",
            "'fpsopt_convert' is not allowed: expected one of 0, 1, 2",
        ),
        ("video/convert,f_mp4,g_1_0", "'g_1_0' is not allowed: expected a whole number"),
        ("video/convert,f_mp4,g_-1", "expected a whole number"),
        ("video/convert,f_mp4,fps_1e2", "'fps_1e2' is not allowed: expected a number"),
        ("video/convert,f_mp4,s_1280", "'s_1280' is not allowed: expected WxH, Wx or xH in pixels"),
        ("video/convert,f_mp4,s_x", "expected WxH"),
        ("video/convert,f_mp4,s_1280X720", "expected WxH"),
        (
            "video/convert,f_mp4,s_1281x",
            "width=1281 is not allowed: expected an even whole number from 64 to 4096 px",
        ),
        ("video/convert,f_mp4,s_1280x62", "height=62 is not allowed"),
        ("video/convert,s_1280x", "container is required"),
        (
            "video/concat,f_mp4,vcodec_h264,acodec_aac/pre,o_YQ,ss_1s",
            "the segment /pre takes ss and t in whole",
        ),
        (
            "video/concat,f_mp4,vcodec_h264,acodec_aac/sur,o_YQ,b_YQ",
            "the segment /sur takes ss and t in whole",
        ),
        ("style/a", "style/a is a style"),
    ],
)
def test_reading_follows_the_wire(text: str, reason: str) -> None:
    with pytest.raises(ProcessError) as caught:
        read_specification(parse_process(text))
    assert reason in str(caught.value)


def test_reading_names_every_wrong_value() -> None:
    with pytest.raises(ProcessError) as caught:
        read_specification(parse_process("video/convert,f_mp4,ss_x,an_x,g_x,s_x"))
    assert len(caught.value.problems) == 4


def test_reading_makes_readable_values() -> None:
    text = "video/convert,f_mp4,ss_1500,vcodec_h264,fps_29.97,fpsopt_1,s_1280x,arotate_1,an_1,future_x"
    spec = read_specification(parse_process(text))
    assert spec.values == {
        "container": "mp4",
        "start": 1.5,
        "video_codec": "h264",
        "frame_rate": 29.97,
        "frame_rate_if_lower": "keep_source",
        "width": 1280,
        "adapt_orientation": True,
        "no_audio": True,
    }
    assert spec.extra_params == {"future": "x"}


def test_warnings_on_values_outside_a_documented_list() -> None:
    (warning,) = VideoConvert(container="mp4", video_codec="av1").warnings()
    assert warning.startswith("video_codec='av1' is not among the documented values (copy, h264, ")
    assert not list(VideoConvert(container="mp4").warnings())


@pytest.mark.parametrize(
    ("spec", "name", "value"),
    [
        (VideoConvert, "container", "wav"),
        (AudioConvert, "container", "wav"),
        (DocumentConvert, "target_format", "docx"),
        (VideoSnapshots, "format", "webp"),
    ],
)
def test_formats_that_the_service_does_not_have(spec: type[Specification], name: str, value: str) -> None:
    arguments: dict[str, Any] = {name: value}
    key = next(field.param.key for field in spec.fields() if field.name == name)
    with pytest.raises(ProcessError, match=f"{name}='{value}' is not allowed: expected one of "):
        spec(**arguments)
    with pytest.raises(ProcessError, match=re.escape(f"extra_params={{'{key}': '{value}'}}")):
        spec(**arguments)
    # Repeated in extra_params it is taken, and sent once.
    taken = spec(**arguments, extra_params={key: value})
    assert taken.wire_params() == ((key, value),)
    assert any(f"{name}='{value}' is not among" in text for text in taken.warnings())
    text = instruction(taken)
    assert read_specification(parse_process(text)) == taken
    with pytest.raises(ProcessError, match=f"has an argument of its own, {name}; use that"):
        spec(**arguments, extra_params={key: "other"})


@pytest.mark.parametrize(("spec", "field"), [pair for pair in FIELDS if pair[1].param.needs])
def test_needs(spec: type[Specification], field: Field) -> None:
    value = field.param.choices[0][0] if field.param.choices else {"fit": "crop"}.get(field.name, 100_000)
    value = True if field.kind is bool else value
    # The codec is there, so that nothing else is wrong.
    with pytest.raises(ProcessError, match=f"{field.name} has no meaning without {field.param.needs[0]}"):
        spec(**(minimal(spec) | {field.name: value}))


def test_fields_are_well_described() -> None:
    for spec, field in FIELDS:
        names = {other.name for other in spec.fields()}
        assert set(field.param.needs) | set(field.param.excludes) <= names
        assert field.param.doc.endswith(".")
        assert field.allowed
        assert "None" not in field.allowed


@pytest.mark.parametrize("spec", [s for s in SPECS if s.writes_object], ids=lambda spec: spec.operation)
def test_a_target_is_needed(spec: type[Specification]) -> None:
    with pytest.raises(ProcessError, match="needs a target"):
        spec(**minimal(spec)).to_process(SOURCE)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("oss://bucket-1/a.mp4", "oss://bucket-1/a.mp4"),
        ("oss://bucket-1/a.mp4", "oss://{bucket}/{key}"),
        ("oss://bucket-1/dir/a.mp4", "oss://bucket-1/{dirname}/{barename}.{autoext}"),
        ("oss://bucket-1/a.mp4", "oss://bucket-1/{dirname}/{basename}"),
        ("oss://bucket-1/a.mp4", "oss://bucket-1/a"),
        ("oss://bucket-1/{a}.mp4", "oss://bucket-1/{{a}}.mp4"),
    ],
)
def test_a_target_must_not_be_the_source(source: str, target: str) -> None:
    spec = VideoConvert(container="mp4")
    uri = ObjectURI.parse(source)
    with pytest.raises(ProcessError, match=r"is being read; it would be overwritten"):
        spec.to_process(uri, ObjectURI.parse(target, variables=True))


def test_a_target_must_not_be_a_merged_object() -> None:
    spec = VideoConcat(**(minimal(VideoConcat) | {"before": ["out.mp4"]}))
    with pytest.raises(ProcessError, match=r"oss://source-bucket/out.mp4 is being read"):
        spec.to_process(SOURCE, ObjectURI(SOURCE.bucket, "out.mp4"))
    spec.to_process(SOURCE, ObjectURI("other-bucket", "out.mp4"))


@pytest.mark.parametrize("key", ["out/", "out{", "{unheard_of}.mp4", "{}", "}a"])
def test_target_templates_are_checked(key: str) -> None:
    with pytest.raises(ProcessError):
        VideoConvert(container="mp4").to_process(SOURCE, ObjectURI("bucket-1", key))


@pytest.mark.parametrize("topic", ["{{ x }}", " ", "a b", "a\n", "a/b", "主题", "\ud800"])
def test_topics_are_checked(topic: str) -> None:
    with pytest.raises(ProcessError, match="topic"):
        VideoConvert(container="mp4").to_process(SOURCE, TARGET, topic)


def test_equality() -> None:
    assert VideoSnapshots(format="jpg") == VideoSnapshots(format="jpg")
    assert VideoSnapshots(format="jpg") != VideoSnapshots(format="png")
    assert AudioConvert(container="mp3") != AudioConvert(container="mp3", extra_params={"a": "b"})
    assert VideoConvert(container="mp3") != AudioConvert(container="mp3")
    assert AudioConvert(container="mp3") != "audio/convert"


def test_repr() -> None:
    assert repr(DocumentConvert(pages="1-3", target_format="pdf")) == (
        "DocumentConvert(target_format='pdf', pages='1-3')"
    )
    assert "extra_params={'a': 'b'}" in repr(AudioConvert(container="mp3", extra_params={"a": "b"}))
