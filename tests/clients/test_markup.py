from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.clients.markup import parse_xml


def test_a_document_is_read() -> None:
    assert parse_xml(b"<Error><Code>AccessDenied</Code></Error>").findtext("Code") == "AccessDenied"


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE a><a/>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/"><a/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>',
        '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
        '<?xml version="1.0" encoding="no-such"?><a/>',
        '<?xml version="1.0" encoding="big5"?><a/>',
        "<a>&x;</a>",
        "<a></b>",
        "<a/><b/>",
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16"])
def test_refused(text: Any, coding: str) -> None:
    assert parse_xml(text.encode(coding)).tag == ""


@given(st.binary())
def test_bytes_never_raise(data: bytes) -> None:
    parse_xml(data)
