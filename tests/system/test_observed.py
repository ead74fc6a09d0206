"""What plugins with listeners see, and tasks that are resumed soon, in a real Airflow.

With the OpenLineage provider, a plugin with listeners, and with Airflow's own heartbeat intervals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Context

from tests.system.live_airflow import running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.live_airflow import Finished, LiveAirflow

pytest.importorskip("airflow.providers.openlineage")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]
SETTINGS = {
    "OPENLINEAGE__NAMESPACE": "test",
    # Only the DAG "lineage" reports.
    "OPENLINEAGE__SELECTIVE_ENABLE": "True",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
}


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    root = tmp_path_factory.mktemp("observed")
    transport = {"type": "file", "log_file_path": str(root / "lineage.jsonl"), "append": True}
    settings = {**SETTINGS, "OPENLINEAGE__TRANSPORT": json.dumps(transport)}
    dags = Path(__file__).parent / "observed_dags"
    with running(root, dags, workers=16, settings=settings) as live:
        delay = {"kind": "job_delay", "match": "oss://media/*.wav", "times": 0, "seconds": 3}
        live.faults("POST", delay)
        yield live


#: Tasks of ``observed_dags/lineage.py`` that succeed.
TASKS = ("deferred", "without_xcom", "deferred_without_xcom", "asked_to_end_in_triggerer")


@pytest.fixture(scope="module")
def lineage(observed: LiveAirflow) -> Finished:
    observed.put(*(f"lineage/{name}.wav" for name in ("0", "1", "failing", *TASKS)))
    failure = {"kind": "job_fail", "match": "oss://media/lineage/failing.wav", "code": "InvalidMedia"}
    observed.faults("POST", failure)
    return observed.run("lineage")


@pytest.fixture(scope="module")
def events(observed: LiveAirflow, lineage: Finished) -> list[dict[str, Any]]:
    """What the provider has sent of the ends of tasks."""

    def ends() -> list[dict[str, Any]]:
        lines = (observed.root / "lineage.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [
            event
            for event in found
            if event["job"]["name"].startswith("lineage.") and event["eventType"] in ("COMPLETE", "FAIL")
        ]

    wait_until(lambda: len(ends()) >= len(lineage.instances), "the events of all tasks", limit=60)
    return ends()


def datasets(events: list[dict[str, Any]], task_id: str, index: int = -1) -> Any:
    """The type of a task's last event, and the names of its inputs and outputs."""
    found = [
        event
        for event in events
        if event["job"]["name"] == f"lineage.{task_id}"
        and event["run"]["facets"]["airflow"]["taskInstance"].get("map_index", -1) == index
    ]
    assert len(found) == 1, found
    (event,) = found
    names = [[f"{d['namespace']}/{d['name']}" for d in event[kind]] for kind in ("inputs", "outputs")]
    return event["eventType"], *names


@pytest.mark.parametrize("task_id", TASKS)
def test_a_task_reports_its_datasets(events: list[dict[str, Any]], task_id: str) -> None:
    source, output = f"oss://media/lineage/{task_id}.wav", f"oss://media/lineage/{task_id}.mp3"
    assert datasets(events, task_id) == ("COMPLETE", [source], [output])


@pytest.mark.parametrize("index", [0, 1])
def test_each_mapped_task_reports_its_own(events: list[dict[str, Any]], index: int) -> None:
    source, output = f"oss://media/lineage/{index}.wav", f"oss://media/lineage/{index}.mp3"
    assert datasets(events, "mapped", index) == ("COMPLETE", [source], [output])


def test_a_failure_reports_the_input(events: list[dict[str, Any]]) -> None:
    assert datasets(events, "failing") == ("FAIL", ["oss://media/lineage/failing.wav"], [])
    assert datasets(events, "mapped", 2) == ("FAIL", ["oss://media/lineage/missing.wav"], [])


def test_with_listeners_a_task_ends_on_a_worker(observed: LiveAirflow, lineage: Finished) -> None:
    assert lineage["asked_to_end_in_triggerer"]["state"] == "success"
    assert observed.proxy.seen["begin", "lineage/asked_to_end_in_triggerer.wav"] == 2


#: Which DAG of ``observed_dags/short.py``, whether its events are held, and how many tasks it has.
SHORT = [
    ("short_deferred", True, 60),
    ("short_deferred", False, 20),
    ("short_rescheduled", True, 10),
    ("short_rescheduled", False, 10),
]


#: Seconds that 200 starts of a task may take: some minutes on two free processors.
FINISHED_WITHIN = 2400.0


@pytest.fixture(scope="module")
def failures(observed: LiveAirflow) -> dict[tuple[str, bool], int]:
    """How many tasks Airflow has failed, of runs that go on at once."""
    # The first poke must not be the last.
    delay = {"kind": "job_delay", "match": "oss://media/short_rescheduled*", "times": 0, "seconds": 25}
    observed.faults("POST", delay)
    for dag_id, hold, number in SHORT:
        prefix = f"{dag_id}_{hold}"
        observed.put(*(f"{prefix}/{n}.wav" for n in range(number)))
        observed.trigger(dag_id, prefix, {"prefix": prefix, "number": number, "hold": hold})
    return {
        (dag_id, hold): observed.finished(dag_id, f"{dag_id}_{hold}", FINISHED_WITHIN).states["failed"]
        for dag_id, hold, _ in SHORT
    }


def test_no_task_that_is_resumed_soon_fails(
    failures: dict[tuple[str, bool], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print()
        for dag_id, hold, number in SHORT:
            print(f"{dag_id}, {'held' if hold else 'not held'}: {failures[dag_id, hold]} of {number} failed")
    assert failures["short_deferred", True] == 0
    assert failures["short_rescheduled", True] == 0
