"""A worker, the triggerer or the service dies at each step of a task: the task still has one job.

A real Airflow runs all cases at once, see ``crash_cases.py``; what is killed is killed with SIGKILL.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import Context

from tests.system.crash_cases import CASES, DAG_ID, Case
from tests.system.crash_scenario import RUN_ID, Outcome, Scenario, table

if TYPE_CHECKING:
    from tests.system.live_airflow import LiveAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]


class Crashes(Scenario):
    """A worker, the triggerer or the service dies at each step of a task."""

    def run(self) -> None:
        live = self.live
        self.begin()

        in_backoff = "failed_by_user_in_backoff"
        self.wait(lambda: self.key(in_backoff) in live.proxy.done)
        live.set_state(DAG_ID, RUN_ID, in_backoff, "failed")

        self.wait(lambda: self.state("cleared_while_deferred") == "deferred")
        live.clear(DAG_ID, RUN_ID, "cleared_while_deferred")

        in_triggerer = ("triggerer_killed", "triggerer_killed_in_trigger", "triggerer_killed_smq")
        self.wait(
            lambda: all(self.state(name) == "deferred" and self.polls(name) > 1 for name in in_triggerer)
        )
        live.parts["triggerer"].kill()
        self.polled_after(in_triggerer, live.parts["triggerer"].start)
        self.end_jobs(*in_triggerer)

        self.wait(lambda: self.state("cleared_after_success") == "success")
        live.clear(DAG_ID, RUN_ID, "cleared_after_success")
        self.wait(lambda: self.begun("cleared_while_deferred") > 1)
        self.wait(lambda: self.state("cleared_while_deferred") == "deferred")
        self.end_jobs("cleared_while_deferred")

        # A second job also decides what becomes of them, for good or bad.
        for name in ("answer_lost_fail", "answer_lost_resubmit"):
            self.wait(lambda name=name: len(self.jobs(name)) > 1 or self.ended({name}))  # type: ignore[misc]
            self.end_jobs(name)

        suspended = ("suspended_with_intent", "suspended_with_intent_deferrable")
        self.wait(lambda: self.ended(set(suspended)))
        for name in suspended:
            live.proxy.resume(self.key(name))
        self.wait(lambda: not any(live.proxy.is_running(self.key(name)) for name in suspended))

        at_service = ("service_killed", "service_killed_deferrable")
        self.wait(lambda: self.ended({case.name for case in CASES} - set(at_service)))
        self.wait(lambda: all(self.polls(name) > 1 for name in at_service))
        self.polled_after(at_service, live.parts["stand-in"].kill)
        live.parts["stand-in"].start()
        self.end_jobs(*at_service)
        self.wait(lambda: self.ended({case.name for case in CASES}))


@pytest.fixture(scope="module")
def outcomes(live: LiveAirflow, request: pytest.FixtureRequest) -> list[Outcome]:
    began = time.monotonic()
    scenario = Crashes(live, DAG_ID, CASES)
    try:
        scenario.run()
    finally:
        found = scenario.outcomes()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{table(found)}\n{time.monotonic() - began:.0f} s, everything in {live.root}")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_job(outcomes: list[Outcome], case: Case) -> None:
    mine = [outcome for outcome in outcomes if outcome.case == case]
    assert {outcome.key: outcome.problems() for outcome in mine} == {key: [] for key in case.keys}
