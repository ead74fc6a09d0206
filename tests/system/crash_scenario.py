"""A DAG run whose tasks are interrupted: the steps that all such tests have, and how each task has ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.system.live_airflow import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.system.crash_cases import Case
    from tests.system.interruption import Interruption
    from tests.system.live_airflow import LiveAirflow

RUN_ID = "all"


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
    """The steps from the start of a DAG run to the end of all its tasks.

    :param live: the Airflow.
    :param dag_id: of the DAG with a task for each case.
    :param cases: the cases.
    """

    def __init__(self, live: LiveAirflow, dag_id: str, cases: list[Case]) -> None:
        self.live, self.dag_id, self.cases = live, dag_id, cases
        self.instances: dict[str, dict[str, Any]] = {}
        self._end = time.monotonic() + LIMIT

    def begin(self) -> None:
        """Upload the objects, plan the interruptions, and start the run."""
        for case in self.cases:
            self.live.put(*case.keys, bucket=case.bucket, gate=case.ends != "at once")
            self.live.proxy.planned.update(case.interruptions)
        self.live.trigger(self.dag_id, RUN_ID)

    def outcomes(self) -> list[Outcome]:
        found = []
        for case in self.cases:
            for key in case.keys:
                instance = self.instances.get(key, {"state": None, "try_number": 0})
                found.append(
                    Outcome(
                        case,
                        key,
                        state=instance["state"],
                        tries=instance["try_number"],
                        jobs=self.jobs(key),
                        returned=self.live.result(instance) if instance["state"] == "success" else {},
                        interruption=self.live.proxy.done.get(key),
                        begun=self.begun(key),
                        log=self.live.log(case.name),
                    )
                )
        return found

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; meanwhile let the jobs end that need not be told."""
        while True:
            for instance in self.live.instances(self.dag_id, RUN_ID):
                case = next(case for case in self.cases if case.name == instance["task_id"])
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

    def key(self, name: str) -> str:
        """The first object of a case; an object stands for itself."""
        return next((case.keys[0] for case in self.cases if case.name == name), name)

    def state(self, name: str) -> str | None:
        return self.instances.get(self.key(name), {}).get("state")

    def begun(self, name: str) -> int:
        """How often it was in a worker."""
        return self.live.proxy.seen["begin", self.key(name)]

    def polls(self, name: str) -> int:
        return self.live.proxy.seen["poll", self.key(name)]

    def jobs(self, name: str) -> list[str]:
        """The jobs that were accepted, and have to be paid for."""
        return [
            job["task_id"] for job in self.live.accepted() if job["source"].endswith(f"/{self.key(name)}")
        ]

    def polled_after(self, names: Iterable[str], what: Callable[[], None]) -> None:
        """Do something, and wait until all are polled again."""
        polls = {name: self.polls(name) for name in names}
        what()
        self.wait(lambda: all(self.polls(name) > before for name, before in polls.items()))

    def end_jobs(self, *names: str) -> None:
        for name in names:
            self.live.open_gate(self.key(name))

    def ended(self, names: set[str]) -> bool:
        return all(
            self.state(key) in ("success", "failed")
            for case in self.cases
            if case.name in names
            for key in case.keys
        )


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
