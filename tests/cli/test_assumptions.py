from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_oss_async.cli.assumptions import ASSUMPTIONS, judge_all
from airflow_provider_oss_async.cli.trials import TRIALS, Observations, Seen
from airflow_provider_oss_async.jobs.job import OSSJob

ROOT = Path(__file__).parents[2]
JOB = OSSJob("T-1", "MediaConvert", "oss://b/a", submitted_at="2026-01-01T00:00:00+00:00")
START = 1767225600.0


def result_of(name: str, *jobs: Seen) -> tuple[str, str]:
    seen = Observations(list(jobs), with_messages=False, listing_delay=15)
    (result,) = [result for one, result in judge_all(seen) if one.id == name]
    return result.verdict, result.seen


def test_the_registry_is_whole() -> None:
    ids = [one.id for one in ASSUMPTIONS]
    assert len(set(ids)) == len(ids)
    for one in ASSUMPTIONS:
        assert one.sentence.endswith(".")
        assert one.setting.endswith(".")
        assert one.where
        assert one.test


def test_every_tested_assumption_is_made_to_differ() -> None:
    tests = (ROOT / "tests/cli/test_trials.py").read_text()
    missing = [one.id for one in ASSUMPTIONS if one.judge and f'"{one.id}"' not in tests]
    assert missing == [], "write a case that makes them differ"


@pytest.mark.parametrize(
    ("delay", "verdict"), [(0.5, "confirmed"), (-2.0, "confirmed"), (-5, "differs"), (200, "differs")]
)
def test_clocks(delay: float, verdict: str) -> None:
    job = Seen(TRIALS[0], JOB, started=START + delay)
    assert result_of("clocks", job)[0] == verdict


def test_nothing_is_said_of_what_was_not_seen() -> None:
    refused = [Seen(trial, refused="NoSuchKey no") for trial in TRIALS]
    for one in ASSUMPTIONS:
        verdict, _ = result_of(one.id, *refused)
        if one.id not in ("merge-arguments", "watermark"):
            assert verdict == "not tested", one.id
    assert result_of("failures", *refused)[1] == "refused at the submission: NoSuchKey no"
