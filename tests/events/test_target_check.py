from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_oss_async.events.payload import make_payload
from airflow_provider_oss_async.events.target_check import TargetCheck, watches_of
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process import ObjectURI, Process, SaveAs
from airflow_provider_oss_async.process.naming import outputs_of

OBJECT = {"bucket": "media", "key": "inbox/a.mov", "id": "1"}
JOB = {"task_id": "T", "id": "2"}


def watch(**given: Any) -> dict[str, Any]:
    return {"prefix": None, "suffix": None, "pattern": None, "exclude": [], **given}


def context(*payloads: Any) -> dict[str, Any]:
    events = [SimpleNamespace(extra={"payload": one, "from_trigger": True}) for one in payloads]
    return {"triggering_asset_events": {"asset": events}}


def problem(
    target: str, process: str = "video/convert", *, params: Any = (("f", "mp4"),), **given: Any
) -> str:
    bucket, _, key = target.partition(":")
    source = ObjectURI("media", "inbox/clip.mov")
    outputs = outputs_of(Process(process, params, saveas=SaveAs(key, bucket)), source)
    return TargetCheck([watch(**given)]).problem(outputs)


@pytest.mark.parametrize(
    ("given", "target", "starts"),
    [
        ({}, "media:x.mp4", True),
        ({"prefix": "inbox/"}, "media:inbox/x.mp4", True),
        ({"prefix": "inbox/"}, "media:out/x.mp4", False),
        ({"prefix": "inbox/"}, "other:inbox/x.mp4", True),
        ({"prefix": "oss://media/inbox/"}, "other:inbox/x.mp4", False),
        ({"prefix": "oss://media/inbox/"}, "media:{dirname}/x.mp4", True),
        ({"prefix": "inbox/", "suffix": ".mov"}, "media:inbox/x.mp4", False),
        ({"prefix": "inbox/", "suffix": ".mp4"}, "media:inbox/{barename}.{autoext}", True),
        ({"prefix": "inbox/", "pattern": "clip*"}, "media:inbox/{barename}.mp4", True),
        ({"prefix": "inbox/", "pattern": "raw*"}, "media:inbox/{barename}.mp4", False),
        ({"prefix": "inbox/", "exclude": ["inbox/done/"]}, "media:inbox/done/x.mp4", False),
        ({}, "media:.oss-async/x.mp4", False),
    ],
)
def test_a_target_that_is_known(given: dict[str, Any], target: str, starts: bool) -> None:
    assert bool(problem(target, **given)) is starts


@pytest.mark.parametrize(
    ("given", "target", "starts"),
    [
        ({"prefix": "inbox/"}, "media:inbox/p/{index}.jpg", True),
        ({"prefix": "inbox/p/1"}, "media:inbox/p/{index}.jpg", True),
        ({"prefix": "inbox/q"}, "media:inbox/p/{index}.jpg", False),
        ({"prefix": "inbox/", "suffix": ".mov"}, "media:inbox/p/{index}.jpg", False),
        ({"prefix": "inbox/", "suffix": "0.jpg"}, "media:inbox/p/{index}.jpg", True),
        ({"prefix": "inbox/", "pattern": "*.mov"}, "media:inbox/p/{index}.jpg", False),
        # A key without extension gets a number and one.
        ({"prefix": "inbox/", "suffix": ".jpg"}, "media:inbox/p", True),
        ({"prefix": "inbox/", "exclude": ["inbox/p/"]}, "media:inbox/p/{index}.jpg", False),
    ],
)
def test_a_target_of_which_the_service_fills_in_parts(
    given: dict[str, Any], target: str, starts: bool
) -> None:
    assert bool(problem(target, "video/snapshots", params=(("f", "jpg"),), **given)) is starts


def test_the_sentence_says_what_and_what_to_do() -> None:
    said = problem("media:inbox/x.mp4", prefix="inbox/", exclude=["inbox/old/"])
    for part in ("target: oss://media/inbox/x.mp4", "prefix inbox/", "inbox/old/", "exclude", "'warn'"):
        assert part in said
    assert "all objects" in problem("media:x.mp4")


def test_a_job_without_outputs_starts_nothing() -> None:
    check = TargetCheck([watch()])
    assert check
    assert check.problem(None) == ""
    assert not TargetCheck([])


def test_manifests_of_a_batch() -> None:
    check = TargetCheck([watch(prefix="inbox/", suffix=".csv")])
    assert "ledger: oss://media/inbox/l/*.csv" in check.ledger_problem("media", "inbox/l/", ".csv")
    assert check.ledger_problem("media", "inbox/l/", ".jsonl") == ""
    assert check.ledger_problem("media", ".oss-async/", ".csv") == ""


def test_each_watch_of_a_run_is_there_once() -> None:
    first, second = watch(prefix="a/"), watch(prefix="b/")
    run = context(make_payload("q", first, [OBJECT]), make_payload("q", first, [OBJECT]))
    assert watches_of(run) == [first]
    assert watches_of(context(make_payload("q", first, [OBJECT]), make_payload("r", second))) == [
        first,
        second,
    ]
    assert watches_of({}) == []


def test_no_object_starts_a_trigger_for_jobs_alone() -> None:
    assert watches_of(context(make_payload("q", watch(), (), [JOB]))) == []
    # One for both kinds is started by objects too.
    assert watches_of(context(make_payload("q", watch(prefix="a/"), (), [JOB]))) == [watch(prefix="a/")]
    assert watches_of(context(make_payload("q", watch(), [OBJECT], [JOB]))) == [watch()]


def test_an_event_of_another_release_is_refused() -> None:
    with pytest.raises(ProcessError, match="version 9"):
        watches_of(context({**make_payload("q", watch(), [OBJECT]), "version": 9}))
