from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_oss_async.cli.trials import TRIALS
from airflow_provider_oss_async.cli.verify_command import anonymous

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.stand import Stand

pytestmark = pytest.mark.usefixtures("quick")
FAST = ("--grace", "1", "--timeout", "20", "--operations", "convert,document")


def test_a_run(cloud: Stand, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    code, text = run(
        "verify", "oss_async_default", "--bucket", "media", "--topic", "jobs", "--queue", "done", "--yes",
        "--json", str(report), *FAST,
    )  # fmt: skip
    assert code == 0, text
    assert "runs 2 jobs on them (convert, document)" in text
    assert "It is removed at the end." in text
    assert "task-ids" in text
    assert "0 differs" in text
    told = report.read_text()
    data = json.loads(told)
    assert {one["id"]: one["verdict"] for one in data["assumptions"]}["task-ids"] == "confirmed"
    assert [one["state"] for one in data["jobs"]] == ["succeeded", "succeeded"]
    for secret in ("local-secret", "local-project", "1000000000000001", "oss-async-verify", "oss://media"):
        assert secret not in told
    assert cloud.service.objects() == []


def test_what_differs_is_the_exit_code(cloud: Stand, run: Callable[..., tuple[int, str]]) -> None:
    cloud.service.cloud.behaviour.definitions = False
    code, text = run("verify", "oss_async_default", "--bucket", "media", "--yes", "--keep", *FAST)
    assert code == 1
    assert "It stays there (--keep)." in text
    assert "1 differs" in text
    assert "on_uncertain_submit" in text


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("", False), (None, False)])
def test_it_asks_before(
    cloud: Stand,
    run: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    goes_on: bool,
) -> None:
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return answer is not None

    monkeypatch.setattr(sys, "stdin", Terminal(answer or ""))
    code, text = run("verify", "oss_async_default", "--bucket", "media", *FAST)
    assert (code == 0) is goes_on, text
    assert bool(cloud.service.jobs()) is goes_on
    assert ("Nothing was done" in text) is not goes_on


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bucket", "media", "--operations", "music"], "--operations takes convert, merge"),
        (["--bucket", "media", "--topic", "jobs"], "--topic and --queue are given together"),
        (["--bucket", "No_Bucket"], "--bucket and --prefix"),
        (["--bucket", "nobody-s"], "nobody-s"),
    ],
)
def test_wrong_arguments(
    cloud: Stand, run: Callable[..., tuple[int, str]], arguments: list[str], words: str
) -> None:
    code, text = run("verify", "oss_async_default", "--yes", *arguments)
    assert code == 2
    assert words in text
    assert cloud.service.jobs() == []


def test_a_queue_needs_an_endpoint(
    cloud: Stand, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"smq_endpoint": "", "smq_queue": "", "smq_topic": ""}
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(cloud.connection(extra)))
    code, text = run(
        "verify", "oss_async_default", "--bucket", "media", "--topic", "t", "--queue", "q", "--yes"
    )
    assert code == 2
    assert "smq_endpoint" in text


def test_every_operation_has_a_job() -> None:
    from airflow_provider_oss_async.process import SPECIFICATIONS

    assert {trial.make("f/").operation for trial in TRIALS} == set(SPECIFICATIONS)


def test_anonymous_texts() -> None:
    report = {"a": ["oss://media/x of media-project by 1234567890123456", 5, None], "media": "multimedia"}
    assert anonymous(report, ["media", "media-project", ""]) == {
        "a": ["oss://***/x of *** by ***", 5, None],
        "media": "multimedia",
    }
