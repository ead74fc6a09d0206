"""Process strings that others have published: documentation, SDKs and their tests, the console, users."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_oss_async.process import (
    SPECIFICATIONS,
    Process,
    ProcessError,
    parse_process,
    read_specification,
)

LINES = [
    json.loads(line) for line in Path(__file__).with_name("process_strings.jsonl").read_text().splitlines()
]
VALID = [line for line in LINES if line["mode"] == "async" and line["valid"]]
SYNC = [line for line in LINES if line["mode"] == "sync"]
INVALID = [line for line in LINES if line["mode"] == "async" and not line["valid"]]


def each(lines: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("line", lines, ids=[line["process"][:60] for line in lines])


def names(process: Process) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if process.param("pages"):
        found["pages"] = process.param("pages")
    if process.saveas:
        found |= {"o": process.saveas.key, "b": process.saveas.bucket}
    if process.topic:
        found["topic"] = process.topic
    if process.segments:
        found["segments"] = [{"kind": s.kind, "o": s.object, **dict(s.params)} for s in process.segments]
    return found


def test_every_line_has_a_kind() -> None:
    assert len(LINES) == len(VALID) + len(SYNC) + len(INVALID)
    assert all((VALID, SYNC, INVALID))


@pytest.mark.parametrize("operation", SPECIFICATIONS)
def test_every_operation_has_a_documented_string(operation: str) -> None:
    found = [line for line in VALID if re.match(rf"{operation}[,/|]", line["process"])]
    assert found, (
        f"add a process string that documents {operation} to tests/process/process_strings.jsonl, from "
        f"{SPECIFICATIONS[operation].page}"
    )


@each(VALID)
def test_valid(line: dict[str, Any]) -> None:
    process = parse_process(line["process"])
    assert names(process) == line["decoded"]
    # All of them have URL-safe names without padding, which is what is written.
    assert process.encode() == line["process"]


@each(VALID)
def test_valid_in_the_standard_alphabet(line: dict[str, Any]) -> None:
    def standard(match: re.Match[str]) -> str:
        text = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
        return f"{match[1]}_{base64.b64encode(text).decode()}"

    text = re.sub(r"\b(o|b|topic|pages)_([A-Za-z0-9_-]+)", standard, line["process"])
    assert parse_process(text).encode() == line["process"]


@each([line for line in VALID if not line["process"].startswith("style/")])
def test_valid_as_specification(line: dict[str, Any]) -> None:
    process = parse_process(line["process"])
    wire = dict(read_specification(process).wire_params())
    if process.param("arotate") is None:
        assert wire.pop("arotate", "0") == "0"
    assert wire == dict(process.params)


@each(SYNC)
def test_sync_only(line: dict[str, Any]) -> None:
    operation = re.escape(line["process"].split(",")[0])
    with pytest.raises(ProcessError, match=rf"^{operation} cannot run asynchronously: .*x-oss-process"):
        parse_process(line["process"])


#: What a message says, by what the string has; the first that applies.
REASONS = {
    "is not an operation; the asynchronous ones are": "test-video.mp4/",
    "image/resize cannot run asynchronously": "image/resize",
    "'pages_1': the value is not base64 of UTF-8 text": "pages_1,2",
    "container is required: expected one of mp3": "format_mp3",
    "'b.mp3' is not a parameter; one is written key_value": "b.mp3",
    "o_ (the target key, required)": "|sys/saveas",
}


@each(INVALID)
def test_invalid(line: dict[str, Any]) -> None:
    with pytest.raises(ProcessError) as caught:
        read_specification(parse_process(line["process"]))
    reason = next(why for why, part in REASONS.items() if part in line["process"])
    assert reason in str(caught.value)
