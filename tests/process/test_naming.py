from __future__ import annotations

import pytest
from hypothesis import given

from airflow_provider_oss_async.process import (
    DocumentConvert,
    ObjectURI,
    Process,
    ProcessError,
    SaveAs,
    VideoSnapshots,
)
from airflow_provider_oss_async.process.naming import (
    expand,
    many_outputs,
    outputs_of,
    source_variables,
    topic_errors,
)

from .strategies import any_text

SOURCE = ObjectURI("videos", "raw/2026/clip.mov")
MP4 = Process("video/convert", (("f", "mp4"),))
SNAPSHOTS = Process("video/snapshots", (("f", "jpg"),))
SPRITE = Process("video/sprite", (("f", "jpg"),))
PAGES = Process("doc/convert", (("target", "png"),))
PDF = Process("doc/convert", (("target", "pdf"),))
NO_VALUES: dict[str, str] = {}
STYLE = Process("style/::h264-mp4-1080p")


def saved(process: Process, key: str, bucket: str | None = None, **params: str) -> Process:
    return Process(process.operation, (*process.params, *params.items()), saveas=SaveAs(key, bucket))


@pytest.mark.parametrize(
    ("process", "key", "result"),
    [
        (MP4, "out/a.mp4", "out/a.mp4"),
        (MP4, "out/a.{autoext}", "out/a.mp4"),
        (MP4, "out/a", "out/a.mp4"),
        (MP4, "out.d/a", "out.d/a.mp4"),
        (MP4, "{dirname}/{barename}-small.{autoext}", "raw/2026/clip-small.mp4"),
        (MP4, "{bucket}/{ext}/x.mp4", "videos/mov/x.mp4"),
        (MP4, "copies/{key}.mp4", "copies/raw/2026/clip.mov.mp4"),
        (MP4, "a{{b}}.mp4", "a{b}.mp4"),
        (PDF, "a.pdf", "a.pdf"),
        (Process("audio/concat", (("f", "aac"),)), "a", "a.aac"),
        (Process("video/animation", (("f", "gif"),)), "a.gif", "a.gif"),
    ],
)
def test_one_output(process: Process, key: str, result: str) -> None:
    outputs = outputs_of(saved(process, key), SOURCE)
    assert outputs is not None
    assert (outputs.bucket, outputs.key, outputs.prefix) == ("videos", result, result)
    assert outputs.pattern.fullmatch(result)
    assert not outputs.overwrites


@pytest.mark.parametrize(
    ("process", "key", "prefix", "matching", "other"),
    [
        (SNAPSHOTS, "frames/f", "frames/f", "frames/f_0_12.jpg", "frames/f_1.jpg"),
        (SNAPSHOTS, "frames/f", "frames/f", "frames/f_0_1.jpg", "frames/f_0_1.png"),
        (SNAPSHOTS, "frames/{year}", "frames/", "frames/2026_0_1.jpg", "frames/2026.jpg"),
        (SNAPSHOTS, "f/{streamindex}_{index}.{autoext}", "f/", "f/0_1.jpg", "f/0_1.png"),
        (SNAPSHOTS, "f/{index}", "f/", "f/1.jpg", "f/1_0.png"),
        (SPRITE, "sheet", "sheet", "sheet_0_1.jpg", "sheet_0_1.png"),
        (SPRITE, "s/{index}.jpg", "s/", "s/2.jpg", "s/a.jpg"),
        (PAGES, "doc/{index}.png", "doc/", "doc/12.png", "doc/a.png"),
        (PAGES, "doc/{index}.png", "doc/", "doc/6_12.png", "doc/6_12_3.png"),
        (PAGES, "doc/{sheetname}/{index}.{autoext}", "doc/", "doc/Übersicht 1/1.png", "doc/a/b/1.png"),
        (PAGES, "doc/{index}", "doc/", "doc/1", "doc/1.jpg"),
        (MP4, "{t_year}/{t_mon}/a.mp4", "", "2026/11/a.mp4", "2026/11/b.mp4"),
        (MP4, "a-{resolution}.mp4", "a-", "a-1280x720.mp4", "a-.mp4"),
        (STYLE, "out/a.{autoext}", "out/a.", "out/a.mp4", "out/b.mp4"),
        (STYLE, "out/a", "out/a", "out/a.mp4", "out/ab.mp4"),
        (STYLE, "out/a", "out/a", "out/a_0_1.jpg", "out/b_0_1.jpg"),
    ],
)
def test_outputs_that_only_the_service_can_name(
    process: Process, key: str, prefix: str, matching: str, other: str
) -> None:
    outputs = outputs_of(saved(process, key), SOURCE)
    assert outputs is not None
    assert (outputs.key, outputs.prefix) == ("", prefix)
    assert outputs.pattern.fullmatch(matching)
    assert not outputs.pattern.fullmatch(other)
    assert not outputs.overwrites


@pytest.mark.parametrize(
    ("process", "key", "overwrites"),
    [
        (SNAPSHOTS, "dest.png", True),
        (SNAPSHOTS, "dest.{autoext}", True),
        (SNAPSHOTS, "{year}/dest.jpg", True),
        (SNAPSHOTS, "dest_{streamindex}.jpg", True),
        (SNAPSHOTS, "dest_{streamindex}", True),
        (SNAPSHOTS, "frames/{basename}", True),
        (SNAPSHOTS, "frames/{barename}", False),
        (SNAPSHOTS, "dest_{index}.jpg", False),
        (SPRITE, "sheet.jpg", True),
        (PAGES, "page.png", True),
        (PAGES, "page", True),
        (PAGES, "page_{year}.png", True),
        (PAGES, "{sheetname}.png", False),
        (PDF, "a.pdf", False),
        (MP4, "a.mp4", False),
        (MP4, "{basename}", False),
        (STYLE, "a.jpg", False),
    ],
)
def test_results_that_share_one_key(process: Process, key: str, overwrites: bool) -> None:
    outputs = outputs_of(saved(process, key), SOURCE)
    assert outputs is not None
    assert outputs.overwrites is overwrites


@pytest.mark.parametrize(
    ("params", "many"),
    [
        ({}, True),
        ({"num": "0"}, True),
        ({"num": "36"}, False),
        ({"num": "37"}, True),
        ({"num": "100", "tw": "10", "th": "10"}, False),
        ({"num": "101", "tw": "10", "th": "10"}, True),
        ({"num": "9" * 5000}, True),
        ({"num": "x"}, True),
    ],
)
def test_sheets(params: dict[str, str], many: bool) -> None:
    process = saved(SPRITE, "sheet.jpg", **params)
    outputs = outputs_of(process, SOURCE)
    assert many_outputs(process) is many
    assert outputs is not None
    assert outputs.overwrites is many


@pytest.mark.parametrize(
    ("process", "many"),
    [
        (saved(SNAPSHOTS, "thumb.jpg", num="1"), False),
        (saved(SNAPSHOTS, "thumb.jpg", num="2"), True),
        (saved(PAGES, "page.png", pages="3"), False),
        (saved(PAGES, "page.png", pages="3-3"), True),
        (saved(PAGES, "page.png", pages="1,2"), True),
    ],
)
def test_a_limit_of_one_output(process: Process, many: bool) -> None:
    outputs = outputs_of(process, SOURCE)
    assert outputs is not None
    assert outputs.overwrites is many


def test_results_that_share_one_key_are_refused() -> None:
    spec = VideoSnapshots(format="jpg", interval=1)
    target = ObjectURI("videos", "dest.jpg")
    with pytest.raises(ProcessError, match=r"target='dest\.jpg': video/snapshots may write several"):
        spec.to_process(SOURCE, target)
    with pytest.raises(ProcessError, match="may write several objects"):
        DocumentConvert(target_format="png").to_process(SOURCE, target)
    VideoSnapshots(format="jpg", interval=1, allow_ignored=True).to_process(SOURCE, target)
    VideoSnapshots(format="jpg", count=1).to_process(SOURCE, target)
    spec.to_process(SOURCE, ObjectURI("videos", "dest_{index}.jpg"))


@pytest.mark.parametrize("topic", ["", " ", "None", "a b", "{{ x }}", "t" * 256, [], -0.0, 5, None, object()])
def test_topics_that_are_no_names(topic: object) -> None:
    (problem,) = topic_errors(topic, "notify_topic")
    assert problem.startswith("notify_topic=")
    assert topic_errors("a-topic_1") == []


def test_a_name_with_two_readings_is_not_told() -> None:
    # Whether the rule on extensions is meant before or after {basename} is filled in is not documented.
    outputs = outputs_of(saved(MP4, "out/{basename}"), SOURCE)
    assert outputs is not None
    assert outputs.key == ""
    assert outputs.pattern.fullmatch("out/clip.mov")
    assert outputs.pattern.fullmatch("out/clip.mov.mp4")


def test_a_source_at_the_top_without_extension() -> None:
    source = ObjectURI("videos", "clip")
    assert source_variables(source) == {
        "bucket": "videos", "key": "clip", "dirname": "", "basename": "clip", "barename": "clip", "ext": "",
    }  # fmt: skip
    outputs = outputs_of(saved(MP4, "{dirname}/{barename}.mp4"), source)
    assert outputs is not None
    assert outputs.key == "clip.mp4"


def test_target_bucket() -> None:
    outputs = outputs_of(saved(MP4, "a.mp4", "{bucket}-out"), SOURCE)
    assert outputs is not None
    assert outputs.bucket == "videos-out"
    with pytest.raises(ProcessError, match="index is not a variable that can be used here"):
        outputs_of(saved(MP4, "a.mp4", "{index}"), SOURCE)


def test_no_output() -> None:
    assert outputs_of(Process("image/deblindwatermark", topic="topic"), SOURCE) is None


def test_regular_expressions_in_names_are_names() -> None:
    outputs = outputs_of(saved(SNAPSHOTS, r"a(b[c.*+\0|{index}.jpg"), SOURCE)
    assert outputs is not None
    assert outputs.pattern.fullmatch(r"a(b[c.*+\0|7.jpg")
    assert not outputs.pattern.fullmatch(r"a(b[cxx+\0|7.jpg")


@pytest.mark.parametrize(
    "template", ["{", "}", "a{b", "a}b", "{}", "{ index }", "{Index}", "{{{", "{tags.a}"]
)
def test_a_brace_alone(template: str) -> None:
    with pytest.raises(ProcessError, match="a brace stands alone"):
        expand(template, NO_VALUES.__getitem__)


def test_an_unknown_variable() -> None:
    with pytest.raises(
        ProcessError, match="unheard is not a variable that can be used here; there are bucket, key,"
    ):
        expand("a/{unheard}", NO_VALUES.__getitem__)


def test_expand() -> None:
    assert expand("{a}/{{x}}/{b}{a}", {"a": "1", "b": "{c}"}.__getitem__) == "1/{x}/{c}1"


@given(any_text(), any_text())
def test_any_template(key: str, bucket: str) -> None:
    for operation in ("video/convert", "video/snapshots", "doc/convert", "style/a"):
        try:
            process = Process(operation, saveas=SaveAs(key, bucket or None))
            outputs = outputs_of(process, SOURCE)
        except ProcessError:
            continue
        assert outputs is not None
        if outputs.key:
            assert outputs.pattern.fullmatch(outputs.key)
            assert outputs.key == outputs.prefix
