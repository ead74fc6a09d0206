"""Errors survive every way in which Airflow carries them."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from airflow_provider_oss_async import exceptions
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSJobFailedError, ProcessError, error_text

CLASSES = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception)
]
#: One value for each field, so that none is left out.
FIELDS: dict[str, Any] = {
    "code": "AccessDenied",
    "detail": "no right",
    "advice": "grant it",
    "source": "oss://a/b",
    "target": "oss://a/c",
    "job": {"task_id": "T-1"},
    "request_id": "R-1",
    "service": "IMM",
    "action": "GetTask",
    "status": 403,
    "ec": "0015-00000101",
    "retry_after": 2.5,
    "access_denied": {"AuthAction": "imm:GetTask"},
}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_the_same_after_pickling_and_as_json(kind: type[OSSAsyncError]) -> None:
    error = kind("message", **FIELDS)
    assert {name: getattr(error, name) for name in FIELDS} == FIELDS
    for again in (
        pickle.loads(pickle.dumps(error)),
        OSSAsyncError.from_dict(json.loads(json.dumps(error.to_dict()))),
        error.replace(),
    ):
        assert type(again) is kind
        assert vars(again) == vars(error)
        assert str(again) == "message"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_field_is_there_and_empty(kind: type[OSSAsyncError]) -> None:
    error = kind("message")
    assert not any(getattr(error, name) for name in FIELDS)


def test_the_job_tells_what_is_not_given() -> None:
    job = {"source": "oss://a/b", "target": "oss://a/c", "request_id": "R-1"}
    error = OSSJobFailedError("message", job=job, target="oss://a/d")
    assert (error.source, error.target, error.request_id) == ("oss://a/b", "oss://a/d", "R-1")


def test_replace_changes_what_is_named() -> None:
    error = ProcessError("wrong", problems=["a", "b"], code="X").replace(message="right", code="Y")
    assert isinstance(error, ProcessError)
    assert (str(error), error.problems, error.code) == ("right", ("a", "b"), "Y")


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ({"class": "Unheard", "message": "m"}, OSSAsyncError, "m"),
        ({"class": "OSSJobFailedError", "message": "m", "of_another_version": 1}, OSSAsyncError, "m"),
        ({"class": "OSSJobFailedError"}, OSSJobFailedError, ""),
        ({}, OSSAsyncError, ""),
    ],
)
def test_what_another_version_wrote_is_read(data: dict[str, Any], kind: type, message: str) -> None:
    error = OSSAsyncError.from_dict(data)
    assert (type(error), str(error)) == (kind, message)


@pytest.mark.parametrize(
    ("arguments", "facts", "text"),
    [
        (("It failed",), {}, "It failed."),
        (("It failed. ", "Try again."), {}, "It failed. Try again."),
        (("It failed", " "), {"task_id": "T", "code": "", "status": None}, "It failed. (task id T)"),
        (("", ""), {"status": 0}, "(status 0)"),
    ],
)
def test_texts_have_reason_remedy_and_known_facts(
    arguments: tuple[str, ...], facts: dict[str, Any], text: str
) -> None:
    assert error_text(*arguments, **facts) == text
