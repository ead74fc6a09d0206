from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.process import DocumentConvert, ObjectURI, ProcessError, parse_process


def test_documented_example() -> None:
    spec = DocumentConvert(target_format="png", source_format="docx", pages="1-10")
    process = spec.to_process(
        ObjectURI("test-bucket", "example.docx"),
        ObjectURI("test-bucket", "doc_images/{index}.png"),
        "test-topic",
    )
    assert process == parse_process(
        "doc/convert,target_png,source_docx,pages_MS0xMA|sys/saveas,b_dGVzdC1idWNrZXQ,"
        "o_ZG9jX2ltYWdlcy97aW5kZXh9LnBuZw/notify,topic_dGVzdC10b3BpYw"
    )


@pytest.mark.parametrize(
    ("pages", "wire"),
    [
        ("1", "1"),
        ("1,2,4-10", "1,2,4-10"),
        ("7-7", "7-7"),
        ("999999", "999999"),
        (3, "3"),
        # What native templates make of "1,2" and of a list.
        ((1, 2), "1,2"),
        ([1, "4-10", 12], "1,4-10,12"),
        (["3"], "3"),
    ],
)
def test_pages(pages: Any, wire: str) -> None:
    spec = DocumentConvert(target_format="png", pages=pages)
    assert dict(spec.wire_params())["pages"] == wire
    assert spec == DocumentConvert(target_format="png", pages=wire)


def test_pages_run_forwards() -> None:
    with pytest.raises(ProcessError, match="pages='1-3,9-2' is not allowed: 9-2 runs backwards"):
        DocumentConvert(target_format="png", pages="1-3,9-2")


def test_target_format_is_required() -> None:
    with pytest.raises(ProcessError, match="target_format is required: expected one of pdf, png, jpg, txt"):
        DocumentConvert(target_format=None, source_format="docx")  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["xlsx", "csv", "pdf"])
def test_txt_is_documented_for_text_and_presentations(source: str) -> None:
    (warning,) = DocumentConvert(target_format="txt", source_format=source).warnings()
    assert warning == (
        f"target_format='txt' is documented for text and presentation sources, not for {source}: "
        "the job may fail"
    )
    # The key's extension tells it too.
    spec = DocumentConvert(target_format="txt")
    assert list(spec.warnings(ObjectURI("bucket-1", f"a/b.{source.upper()}"))) == [warning]
    assert not list(spec.warnings(ObjectURI("bucket-1", "a/b.docx")))
    assert not list(spec.warnings(ObjectURI("bucket-1", source)))


@pytest.mark.parametrize("source", ["docx", "pptx", "html", "rtf", None])
def test_no_warning(source: str | None) -> None:
    assert not list(DocumentConvert(target_format="txt", source_format=source).warnings())


def test_unknown_formats_are_passed_on() -> None:
    spec = DocumentConvert(target_format="pdf", source_format="odt")
    assert len(list(spec.warnings())) == 1
    assert spec.wire_params() == (("target", "pdf"), ("source", "odt"))
