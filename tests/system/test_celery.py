"""A Celery cluster whose parts die, freeze and restart: each task still has one job. And example DAGs on it.

See ``celery_airflow.py`` and ``celery_cases.py``. What is killed is killed with SIGKILL.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import Context

from airflow_provider_oss_async.local.demo.samples import make_samples
from tests.system.celery_airflow import TRIGGERERS, WORKERS, missing, running
from tests.system.celery_cases import CASES, DAG_ID
from tests.system.crash_scenario import Outcome, Scenario, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.celery_airflow import CeleryAirflow
    from tests.system.crash_cases import Case
    from tests.system.live_airflow import Finished

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "can run"),
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]
EXAMPLES = Path(__file__).parents[2] / "example_dags"
#: The others differ from these in the operation only, are for events, need an IMM project on the connection,
#: or have a schedule.
CHOSEN = (
    "example_audio_convert",
    "example_decode_blind_watermark",
    "example_failures",
    "example_hook",
    "example_mapped",
    "example_podcast",
    "example_video_snapshots",
    "example_waiting",
)
#: Seconds for which Redis and PostgreSQL are away.
OUTAGE = 8.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CeleryAirflow]:
    root = tmp_path_factory.mktemp("celery")
    dags = root / "dags"
    shutil.copytree(Path(__file__).parent / "celery_dags", dags)
    for name in CHOSEN:
        shutil.copy(EXAMPLES / f"{name}.py", dags)
    with running(root, dags) as live:
        yield live


class Cluster(Scenario):
    """Children, workers, triggerers, Redis and PostgreSQL die, and workers freeze."""

    def __init__(self, live: CeleryAirflow) -> None:
        super().__init__(live, DAG_ID, CASES)
        self.cluster = live

    def run(self) -> None:
        self.begin()
        self._freeze_worker()
        self._kill_triggerers()
        self._thaw()
        self._kill_worker()
        for server in ("redis", "postgres"):
            self._restart(server)
        self.wait(lambda: "ignoring redelivered message" in self.cluster.worker_logs())
        self.end_jobs("message_redelivered")
        self.wait(lambda: self.ended({case.name for case in CASES}))

    def _freeze_worker(self) -> None:
        names = ("worker_frozen", "worker_frozen_deferrable")
        self.wait(lambda: all(self.key(name) in self.cluster.proxy.done for name in names))
        worker = self.cluster.parts[WORKERS[0]]
        worker.suspend()
        self.wait(lambda: all(self.state(name) != "running" for name in names))
        worker.resume()
        self.wait(lambda: self.ended(set(names)))

    def _thaw(self) -> None:
        """Let the tasks go on that are frozen alone."""
        names, proxy = ("frozen", "frozen_deferrable"), self.cluster.proxy
        self.wait(lambda: self.ended(set(names)))
        for name in names:
            proxy.resume(self.key(name))
        self.wait(lambda: not any(proxy.is_running(self.key(name)) for name in names))

    def _kill_triggerers(self) -> None:
        names = ("triggerers_killed", "triggerers_killed_in_trigger", "triggerers_killed_smq")
        self._wait_for_polls(names)
        for name in TRIGGERERS:
            # The other one goes on.
            self.polled_after(names, self.cluster.parts[name].kill)
            self.cluster.parts[name].start()
        self.end_jobs(*names)
        self.wait(lambda: self.ended(set(names)))

    def _kill_worker(self) -> None:
        name, waiting = "worker_killed", ("worker_killed", "worker_killed_deferrable")
        self._wait_for_polls(waiting)
        worker = self.cluster.parts[self.cluster.worker_of(self.key(name))]
        begun = self.begun(name)
        worker.kill()
        self.wait(lambda: self.begun(name) > begun)
        worker.start()
        self.end_jobs(*waiting)
        self.wait(lambda: self.ended(set(waiting)))

    def _restart(self, server: str) -> None:
        names = (f"{server}_restarted", f"{server}_restarted_deferrable")
        self._wait_for_polls(names)
        self.cluster.parts[server].kill()
        self.end_jobs(*names)
        time.sleep(OUTAGE)
        self.cluster.start_server(server)
        self.wait(lambda: self.ended(set(names)))

    def _wait_for_polls(self, names: tuple[str, ...]) -> None:
        """Wait until tasks have their jobs and these are polled, in the triggerer where that is asked for."""
        cases = {case.name: case for case in CASES}
        self.wait(
            lambda: all(
                self.polls(name) > 1
                and self.state(name) == ("deferred" if cases[name].deferrable else "running")
                for name in names
            )
        )


@pytest.fixture(scope="module")
def outcomes(cluster: CeleryAirflow, request: pytest.FixtureRequest) -> list[Outcome]:
    began = time.monotonic()
    scenario = Cluster(cluster)
    try:
        scenario.run()
    finally:
        found = scenario.outcomes()
        again = ", ".join(f"{name} {times} times" for name, times in cluster.restarted.items()) or "nothing"
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(
                f"\n{table(found)}\n{time.monotonic() - began:.0f} s, everything in {cluster.root}; "
                f"ended by itself and started again: {again}"
            )
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_job(outcomes: list[Outcome], case: Case) -> None:
    mine = [outcome for outcome in outcomes if outcome.case == case]
    assert {outcome.key: outcome.problems() for outcome in mine} == {key: [] for key in case.keys}


@pytest.fixture(scope="module")
def examples(cluster: CeleryAirflow, outcomes: list[Outcome]) -> dict[str, Finished]:
    """All chosen DAGs at once, after everything was killed."""
    for name, path in make_samples(cluster.root / "samples").items():
        cluster.put(f"samples/{name}", body=path.read_bytes())
    for name in CHOSEN:
        cluster.trigger(name, "run")
    return {name: cluster.finished(name) for name in CHOSEN}


@pytest.mark.parametrize("name", CHOSEN)
def test_example(examples: dict[str, Finished], name: str) -> None:
    states = examples[name].states
    assert states.pop("failed", 0) == (name == "example_failures")
    assert set(states) == {"success"}


def test_the_jobs_of_the_examples_are_those_that_their_tasks_know(
    cluster: CeleryAirflow, examples: dict[str, Finished]
) -> None:
    known = set()
    for finished in examples.values():
        for instance in finished.instances.values():
            known.add(cluster.xcom(instance, "task_id"))
            # The hook pushes nothing itself.
            if isinstance(returned := cluster.result(instance), dict):
                known.add(returned.get("task_id"))
    accepted = [
        job["task_id"]
        for job in cluster.accepted()
        if job["source"].startswith(("oss://media/samples/", "oss://media/examples/"))
    ]
    assert len(accepted) >= len(CHOSEN)
    assert sorted(accepted) == sorted(known - {None})
