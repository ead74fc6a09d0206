from __future__ import annotations

import pytest

from airflow_provider_oss_async.process import ObjectURI, ProcessError, Style, parse_process

SOURCE = ObjectURI("bucket-1", "in/a.mov")


def test_documented_example() -> None:
    process = Style("::h264-mp4-1080p").to_process(
        SOURCE, ObjectURI("outbucket", "outobjprefix.{autoext}"), "topic"
    )
    assert process.encode() == (
        "style/::h264-mp4-1080p|sys/saveas,o_b3V0b2JqcHJlZml4LnthdXRvZXh0fQ,b_b3V0YnVja2V0/notify,topic_dG9waWM"
    )
    assert parse_process(process.encode()) == process


@pytest.mark.parametrize(
    "name", ["", "::", ":a", "a b", "a,f_mp4", "a|sys", "a/b", "{{ x }}", "a\n", "é", "x" * 64]
)
def test_names(name: str) -> None:
    with pytest.raises(ProcessError, match="a style is written style/NAME"):
        Style(name)


def test_task_type() -> None:
    assert Style("a").task_type == "MediaConvert"
    assert Style("a", task_type="OfficeConversion").task_type == "OfficeConversion"
    with pytest.raises(
        ProcessError, match="expected one of MediaConvert, OfficeConversion, DecodeBlindWatermark"
    ):
        Style("a", task_type="Convert")


def test_target() -> None:
    with pytest.raises(ProcessError, match="style/a needs a target"):
        Style("a").to_process(SOURCE)
    assert Style("a", task_type="DecodeBlindWatermark").to_process(SOURCE, topic="t").encode() == (
        "style/a|sys/notify,topic_dA"
    )
    for key in ("in/a.mov", "{key}", "{dirname}/{basename}"):
        with pytest.raises(ProcessError, match="is being read"):
            Style("a").to_process(SOURCE, ObjectURI("bucket-1", key))
    with pytest.raises(ProcessError, match="no key that ends in /"):
        Style("a").to_process(SOURCE, ObjectURI("bucket-1", "out/"))


def test_value() -> None:
    assert Style("a") == Style("a")
    assert repr(Style("a")) == "Style(name='a', task_type='MediaConvert')"
