"""A worker, the triggerer or the service dies at each step of a task: the task still has one job.

A real Airflow runs all cases at once, see ``crash_cases.py``; what is killed is killed with SIGKILL.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Context

from tests.system.crash_cases import CASES, DAG_ID, Case
from tests.system.live_airflow import LIMIT, LiveAirflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.interruption import Interruption

RUN_ID = "all"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]


@dataclass
class Outcome:
    """The end of one task instance."""

    case: Case
    key: str
    state: str
    tries: int
    jobs: list[str]
    returned: dict[str, Any]
    interruption: Interruption | None
    begun: int
    log: str = field(repr=False)

    def problems(self) -> list[str]:
        least, most = self.case.jobs
        found = []
        if self.state != self.case.state:
            found.append(f"it ended as {self.state}, not {self.case.state}")
        if not least <= len(self.jobs) <= most:
            found.append(f"{len(self.jobs)} jobs were accepted, not {least} to {most}")
        if self.case.state == "success" and self.returned.get("task_id") != (self.jobs or [""])[-1]:
            found.append(f"it returned {self.returned}, and not the last of the jobs {self.jobs}")
        if self.case.jobs == (0, 0):
            if "the task was killed" not in self.log:
                found.append("its worker did not say that nothing was submitted")
        elif self.case.state == "failed" and "clear the task to submit it again" not in self.log:
            found.append("no message says how to go on")
        if self.case.in_trigger and self.begun != 1:
            found.append(f"it was {self.begun} times in a worker")
        if self.interruption != self.case.interruptions.get(self.key):
            found.append(f"the interruption was {self.interruption}")
        return found


class Scenario:
    """The steps from the start of the DAG run to the end of all its tasks."""

    def __init__(self, live: LiveAirflow) -> None:
        self.live = live
        self.instances: dict[str, dict[str, Any]] = {}
        self._end = time.monotonic() + LIMIT

    def run(self) -> None:
        live = self.live
        for case in CASES:
            live.put(*case.keys, bucket=case.bucket, gate=case.ends != "at once")
            live.proxy.planned.update(case.interruptions)
        live.trigger(DAG_ID, RUN_ID)

        in_backoff = "failed_by_user_in_backoff"
        self._wait(lambda: _key(in_backoff) in live.proxy.done)
        live.set_state(DAG_ID, RUN_ID, in_backoff, "failed")

        self._wait(lambda: self._state("cleared_while_deferred") == "deferred")
        live.clear(DAG_ID, RUN_ID, "cleared_while_deferred")

        in_triggerer = ("triggerer_killed", "triggerer_killed_in_trigger", "triggerer_killed_smq")
        self._wait(
            lambda: all(self._state(name) == "deferred" and self._polls(name) > 1 for name in in_triggerer)
        )
        live.parts["triggerer"].kill()
        polls = {name: self._polls(name) for name in in_triggerer}
        live.parts["triggerer"].start()
        self._wait(lambda: all(self._polls(name) > polls[name] for name in in_triggerer))
        self._end_jobs(*in_triggerer)

        self._wait(lambda: self._state("cleared_after_success") == "success")
        live.clear(DAG_ID, RUN_ID, "cleared_after_success")
        self._wait(lambda: self._begun("cleared_while_deferred") > 1)
        self._wait(lambda: self._state("cleared_while_deferred") == "deferred")
        self._end_jobs("cleared_while_deferred")

        # A second job also decides what becomes of them, for good or bad.
        for name in ("answer_lost_fail", "answer_lost_resubmit"):
            self._wait(lambda name=name: len(self._jobs(name)) > 1 or self._ended({name}))  # type: ignore[misc]
            self._end_jobs(name)

        suspended = ("suspended_with_intent", "suspended_with_intent_deferrable")
        self._wait(lambda: self._ended(set(suspended)))
        for name in suspended:
            live.proxy.resume(_key(name))
        self._wait(lambda: not any(live.proxy.is_running(_key(name)) for name in suspended))

        at_service = ("service_killed", "service_killed_deferrable")
        self._wait(lambda: self._ended({case.name for case in CASES} - set(at_service)))
        self._wait(lambda: all(self._polls(name) > 1 for name in at_service))
        polls = {name: self._polls(name) for name in at_service}
        live.parts["stand-in"].kill()
        self._wait(lambda: all(self._polls(name) > polls[name] for name in at_service))
        live.parts["stand-in"].start()
        self._end_jobs(*at_service)
        self._wait(lambda: self._ended({case.name for case in CASES}))

    def outcomes(self) -> list[Outcome]:
        found = []
        for case in CASES:
            for key in case.keys:
                instance = self.instances.get(key, {"state": None, "try_number": 0})
                found.append(
                    Outcome(
                        case,
                        key,
                        state=instance["state"],
                        tries=instance["try_number"],
                        jobs=self._jobs(key),
                        returned=self.live.result(instance) if instance["state"] == "success" else {},
                        interruption=self.live.proxy.done.get(key),
                        begun=self._begun(key),
                        log=self.live.log(case.name),
                    )
                )
        return found

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; meanwhile let the jobs end that need not be told."""
        while True:
            for instance in self.live.instances(DAG_ID, RUN_ID):
                case = next(case for case in CASES if case.name == instance["task_id"])
                key = case.keys[max(0, instance["map_index"])]
                self.instances[key] = instance
                if case.ends == instance["state"] or (
                    case.ends == "interrupted" and key in self.live.proxy.done
                ):
                    self.live.open_gate(key)
            if condition():
                return
            if time.monotonic() > self._end:
                raise TimeoutError(
                    f"after {LIMIT:.0f} s: { {k: i['state'] for k, i in self.instances.items()} }"
                )
            time.sleep(0.5)

    def _state(self, name: str) -> str | None:
        return self.instances.get(_key(name), {}).get("state")

    def _begun(self, name: str) -> int:
        return self.live.proxy.seen["begin", _key(name)]

    def _polls(self, name: str) -> int:
        return self.live.proxy.seen["poll", _key(name)]

    def _jobs(self, name: str) -> list[str]:
        return [job["task_id"] for job in self.live.accepted() if job["source"].endswith(f"/{_key(name)}")]

    def _end_jobs(self, *names: str) -> None:
        for name in names:
            self.live.open_gate(_key(name))

    def _ended(self, names: set[str]) -> bool:
        return all(
            self._state(key) in ("success", "failed")
            for case in CASES
            if case.name in names
            for key in case.keys
        )


def _key(name: str) -> str:
    return next((case.keys[0] for case in CASES if case.name == name), name)


@pytest.fixture(scope="module")
def outcomes(live: LiveAirflow, request: pytest.FixtureRequest) -> list[Outcome]:
    began = time.monotonic()
    scenario = Scenario(live)
    try:
        scenario.run()
    finally:
        found = scenario.outcomes()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{table(found)}\n{time.monotonic() - began:.0f} s, everything in {live.root}")
    return found


def table(outcomes: list[Outcome]) -> str:
    rows = [("case", "waits in", "what happens", "tries", "jobs", "state", "")]
    rows += [
        (
            outcome.key.rpartition(".")[0],
            "triggerer" if outcome.case.deferrable else "worker",
            str(outcome.interruption or ""),
            str(outcome.tries),
            str(len(outcome.jobs)),
            str(outcome.state),
            "; ".join(outcome.problems()) or "ok",
        )
        for outcome in outcomes
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_job(outcomes: list[Outcome], case: Case) -> None:
    mine = [outcome for outcome in outcomes if outcome.case == case]
    assert {outcome.key: outcome.problems() for outcome in mine} == {key: [] for key in case.keys}
