from __future__ import annotations

import codecs

import pytest

from airflow_provider_oss_async.local.processing.result import JobFailed
from airflow_provider_oss_async.local.processing.text_encoding import decode

TEXT = "報告 é"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-32"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
    ],
    ids=["utf-8", "mark", "utf-16", "utf-32", "utf-16 big endian", "utf-32 big endian"],
)
def test_encodings_that_can_be_told(data: bytes) -> None:
    assert decode(data) == TEXT


def test_chinese_without_a_mark() -> None:
    assert decode("报告".encode("gb2312")) == "报告"


@pytest.mark.parametrize("declaration", ['<?xml version="1.0" encoding="big5"?>', "<meta charset=big5>"])
def test_a_declaration_is_followed(declaration: str) -> None:
    assert decode(f"{declaration}報告".encode("big5")) == f"{declaration}報告"


def test_a_wrong_declaration_is_not() -> None:
    assert decode("<meta charset=unheard-of>é".encode()) == "<meta charset=unheard-of>é"


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"a\0b", "é".encode("latin-1"), TEXT.encode("utf-16-le")])
def test_what_cannot_be_told_fails_the_job(data: bytes) -> None:
    with pytest.raises(JobFailed, match="store it as UTF-8") as caught:
        decode(data)
    assert caught.value.code == "UnsupportedEncoding"
