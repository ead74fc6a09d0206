from __future__ import annotations

import pytest
from hypothesis import given

from airflow_provider_oss_async.process import ObjectURI, ProcessError

from .strategies import any_text


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("oss://bucket-1/a.mp4", "bucket-1", "a.mp4"),
        ("oss://b0b/dir/ä b+c%2F?#&=.mov", "b0b", "dir/ä b+c%2F?#&=.mov"),
        ("oss://bucket-1/a//b/", "bucket-1", "a//b/"),
        ("a.mp4", "default-bucket", "a.mp4"),
        ("oss:/a", "default-bucket", "oss:/a"),
        ("a/.../..b/c.", "default-bucket", "a/.../..b/c."),
        (" a ", "default-bucket", " a "),
        ("{a}", "default-bucket", "{a}"),
        ("x" * 1023, "default-bucket", "x" * 1023),
    ],
)
def test_parse(text: str, bucket: str, key: str) -> None:
    uri = ObjectURI.parse(text, default_bucket="default-bucket")
    assert (uri.bucket, uri.key) == (bucket, key)
    assert ObjectURI.parse(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected oss://bucket/key or a key"),
        (" \n", "expected oss://bucket/key or a key"),
        (None, "expected oss://bucket/key or a key"),
        (5, "render_template_as_native_obj=True turns text such as 2026_01_01 into a number"),
        (1.5, "render_template_as_native_obj=True"),
        ("None", "expected oss://bucket/key or a key"),
        (" None\n", "expected oss://bucket/key or a key"),
        ("oss://bucket-1/None", "the object key is blank or None"),
        ("oss://bucket-1/ ", "the object key is blank or None"),
        ("oss://bucket-1/" + "a" * 3000, "has 3015 characters"),
        (b"oss://bucket-1/a", "expected oss://bucket/key or a key"),
        ("oss://bucket-1", "the object key is empty"),
        ("oss://bucket-1/", "the object key is empty"),
        ("oss:///a", "'' is not a bucket name"),
        ("oss://ab/a", "'ab' is not a bucket name"),
        (f"oss://{'x' * 64}/a", "is not a bucket name (3 to 63"),
        ("oss://Bucket/a", "'Bucket' is not a bucket name"),
        ("oss://bucket-/a", "is not a bucket name"),
        ("oss://bucket\n/a", "is not a bucket name"),
        ("oss://{bucket}/a", "'{bucket}' is not a bucket name"),
        ("s3://bucket-1/a", "only oss:// addresses"),
        ("https://bucket-1/a", "only oss:// addresses"),
        ("oss://bucket-1//a", "must not start with /"),
        ("oss://bucket-1/\\a", "must not start with /"),
        ("oss://bucket-1/a/../b", ". or .. path segment"),
        ("oss://bucket-1/.", ". or .. path segment"),
        ("oss://bucket-1/a\n", "control character"),
        ("oss://bucket-1/a\0b", "control character"),
        ("oss://bucket-1/\ud800", "not valid Unicode"),
        ("oss://bucket-1/" + "é" * 512, "has 1024 bytes, more than 1023"),
        ("oss://bucket-1/{{ ds }}", "a template that was not rendered"),
        ("oss://bucket-1/{{ds}}", "a template that was not rendered"),
        ("oss://{{ bucket }}/a", "a template that was not rendered"),
        ("oss://bucket-1/{% if a %}", "a template that was not rendered"),
        ("oss://bucket-1/{# a\n #}", "a template that was not rendered"),
    ],
)
def test_refused(text: object, reason: str) -> None:
    with pytest.raises(ProcessError) as caught:
        ObjectURI.parse(text, name="the_argument")  # type: ignore[arg-type]
    shown = repr(text) if len(repr(text)) <= 100 else repr(text)[:100] + "..."
    assert str(caught.value).startswith(f"the_argument={shown}")
    assert reason in str(caught.value)


def test_a_bare_key_needs_a_bucket() -> None:
    with pytest.raises(ProcessError, match="names no bucket; write oss://bucket/key"):
        ObjectURI.parse("a.mp4")


@pytest.mark.parametrize(
    "text", ["oss://{bucket}/a", "oss://{bucket}-out/{dirname}/{index}.png", "oss://bkt/{{a}}"]
)
def test_variables_in_a_target(text: str) -> None:
    assert str(ObjectURI.parse(text, variables=True)) == text


@pytest.mark.parametrize(
    "text",
    [
        "oss://{buc ket}/a",
        "oss://{bucket/a",
        "oss://{Bucket}/a",
        "oss://bkt/{{ a }}",
        "oss://bkt/{% a %}",
        "{x}",
    ],
)
def test_not_a_target(text: str) -> None:
    with pytest.raises(ProcessError):
        ObjectURI.parse(text, variables=True)


@given(any_text())
def test_any_text(text: str) -> None:
    for variables in (False, True):
        try:
            uri = ObjectURI.parse(text, default_bucket="default-bucket", variables=variables)
        except ProcessError as error:
            str(error).encode()
        else:
            assert ObjectURI.parse(str(uri), variables=variables) == uri
