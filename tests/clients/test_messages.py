from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_oss_async.clients.messages import CompletionMessage, parse_message

CONTENT = {
    "ProjectName": "media",
    "DatasetName": "",
    "RequestId": "R-1",
    "TaskType": "MediaConvert",
    "TaskId": "MediaConvert-1",
    "Status": "Succeeded",
    "Code": "",
    "Message": "",
    "EndTime": "2026-01-02T03:04:05Z",
    "Sources": [{"URI": "oss://in/a.mov"}],
    "Targets": [{"URI": "oss://out/影片.mp4"}],
}
EXPECTED = CompletionMessage(
    "MediaConvert-1",
    "MediaConvert",
    "Succeeded",
    outputs=("oss://out/影片.mp4",),
    source="oss://in/a.mov",
    time="2026-01-02T03:04:05Z",
)


def envelope(content: object) -> dict[str, object]:
    return {
        "id": "1",
        "source": "acs.imm",
        "type": "imm:Task:MediaConvert",
        "subject": "acs:imm:cn-hangzhou:1234567890:media/imm:Task:MediaConvert",
        "time": "1764000000000",
        "content": content,
    }


def wrapper(message: str) -> dict[str, object]:
    return {"TopicOwner": "1234567890", "TopicName": "done", "Message": message, "MessageMD5": "D41D"}


def packed(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


ENVELOPES = {
    "bare": CONTENT,
    "content as text": envelope(json.dumps(CONTENT)),
    "content as object": envelope(CONTENT),
    "content in base64": envelope(base64.b64encode(packed(CONTENT)).decode()),
}


@pytest.mark.parametrize("form", ENVELOPES)
@pytest.mark.parametrize("wrapped", ["simplified", "json", "json of base64"])
@pytest.mark.parametrize("coding", ["plain", "bom", "base64", "unpadded url-safe", "lines"])
def test_every_form_says_the_same(form: Any, wrapped: str, coding: str) -> None:
    body = packed(ENVELOPES[form])
    if wrapped == "json":
        body = packed(wrapper(body.decode()))
    elif wrapped == "json of base64":
        body = packed(wrapper(base64.b64encode(body).decode()))
    body = {
        "plain": lambda: body,
        "bom": lambda: b"\xef\xbb\xbf" + body,
        "base64": lambda: base64.b64encode(body),
        "unpadded url-safe": lambda: base64.urlsafe_b64encode(body).rstrip(b"="),
        "lines": lambda: base64.encodebytes(body),
    }[coding]()
    assert parse_message(body) == EXPECTED


def test_failure() -> None:
    failed = {**CONTENT, "Status": "Failed", "Code": "InvalidMedia", "Message": "no video", "Targets": []}
    assert parse_message(packed(envelope(json.dumps(failed)))) == CompletionMessage(
        "MediaConvert-1",
        "MediaConvert",
        "Failed",
        "InvalidMedia",
        "no video",
        source="oss://in/a.mov",
        time="2026-01-02T03:04:05Z",
    )


def test_outputs_of_every_kind_in_order() -> None:
    targets = [
        {
            "URI": "",
            "Image": {
                "Snapshots": [{"URI": "oss://out/1.jpg"}, {"URI": "oss://out/2.jpg"}],
                "Sprites": [{"URI": "oss://out/sprite.png"}],
                "Animations": [{"URI": "oss://out/a.gif"}],
            },
        },
        {"URI": "oss://out/b.mp4", "Subtitle": {"Extract": {"URI": "oss://out/b.srt"}}},
        {"URI": "oss://out/b.mp4"},
        {"URI": "https://elsewhere/"},
        {"URI": 3},
        "odd",
    ]
    completion = parse_message(packed({**CONTENT, "Targets": targets}))
    assert isinstance(completion, CompletionMessage)
    assert completion.outputs == (
        "oss://out/1.jpg",
        "oss://out/2.jpg",
        "oss://out/sprite.png",
        "oss://out/a.gif",
        "oss://out/b.mp4",
        "oss://out/b.srt",
    )


def test_an_ended_job_as_it_stands_in_a_payload() -> None:
    completion = parse_message(packed(envelope(CONTENT)))
    assert isinstance(completion, CompletionMessage)
    again = parse_message(packed(wrapper(json.dumps(CONTENT))))
    assert completion == again
    assert completion.to_dict() == {
        "task_id": "MediaConvert-1",
        "state": "succeeded",
        "code": "",
        "message": "",
        "task_type": "MediaConvert",
        "source": "oss://in/a.mov",
        "outputs": ["oss://out/影片.mp4"],
        "time": "2026-01-02T03:04:05Z",
        "id": completion.to_dict()["id"],
    }


def test_texts_can_be_stored_anywhere() -> None:
    odd = {**CONTENT, "Code": "a\x00b", "Message": "\ud800" + "x" * 10_000}
    completion = parse_message(json.dumps(odd).encode())
    assert isinstance(completion, CompletionMessage)
    assert completion.code == "a b"
    assert len(completion.message.encode()) == 800


def test_fields_that_are_not_text_are_left_out() -> None:
    completion = parse_message(packed({"TaskId": "t", "Status": "Failed", "Code": 7, "Message": None}))
    assert completion == CompletionMessage("t", "", "Failed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"aGVsbG8=",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"12",
        b"{}",
        packed({"TaskId": "t"}),
        packed({"TaskId": "", "Status": "Failed"}),
        packed({"TaskId": 5, "Status": "Failed"}),
        packed({**envelope(CONTENT), "source": "acs.oss"}),
        packed(envelope(None)),
        packed(envelope([CONTENT])),
        packed(wrapper("hello")),
        packed({"events": [{"eventName": "ObjectCreated:PutObject"}]}),
        packed({"events": {}}),
        packed({"events": []}),
        packed({"events": ["text", None, {"oss": []}, {"oss": {"bucket": {}, "object": {}}}]}),
        packed({"oss": {"bucket": {"name": "media"}, "object": {"key": "a"}}}),
        packed({**envelope({"events": []}), "source": "acs.oss"}),
        packed({"source": ["acs.oss"], "content": {"TaskId": "t", "Status": "Failed"}}),
        packed({"source": "acs.ecs", "specversion": "1.0", "data": {"events": []}}),
        b"<Notification><Message>x</Message></Notification>",
        b"[" * 200_000,
        b'{"content":' * 100_000,
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
)
def test_foreign_messages(body: Any) -> None:
    assert parse_message(body) is None


def test_wrappers_in_wrappers_come_to_an_end() -> None:
    value: object = CONTENT
    for _ in range(5):
        value = envelope(value)
    assert parse_message(packed(value)) is None


@given(st.binary())
def test_bytes_never_raise(body: Any) -> None:
    parse_message(body)


NAMES = [
    *["TaskId", "Status", "Code", "Message", "content", "source", "Targets", "URI", "Image"],
    *["events", "oss", "bucket", "object", "name", "key", "eventName", "size", "data"],
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("media"),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
)


@given(JSON, st.booleans())
def test_json_never_raises(value: Any, encoded: bool) -> None:
    body = json.dumps(value).encode()
    content = parse_message(base64.b64encode(body) if encoded else body)
    if isinstance(content, CompletionMessage):
        assert content.task_id
        assert content.status
    elif content is not None:
        assert content.events or content.unusable
