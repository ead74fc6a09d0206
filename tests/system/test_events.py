"""Objects arrive while parts of Airflow are killed: none is lost, and each is processed once.

A real Airflow runs the DAGs ``live_dags/event_*.py``, whose assets are in ``event_assets.py``. The cases come
one after the other on the same assets; a row of the table is what has become of the objects of one of them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from airflow.sdk import Context

from tests.system.event_assets import notes
from tests.system.event_loss import compare
from tests.system.event_loss import table as loss_table
from tests.system.interrupted_trigger import POINTS, points_folder
from tests.system.live_airflow import LiveAirflow, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.interrupted_trigger import Point

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]
INBOX, COPY, LEFT, RIGHT, PAUSED, RESULTS = (
    f"event_{name}" for name in ("inbox", "copy", "left", "right", "paused", "results")
)
#: The DAGs that an object below a prefix starts.
STARTED_BY = {"arrivals": (INBOX, COPY), "left": (LEFT,), "right": (RIGHT,), "paused": (PAUSED,)}
BURST = 500
#: Of each trigger that is compared.
KILLS = 24
#: Seconds until everything has come to its end after the last upload of a case.
SETTLED_WITHIN = 300.0
CASES = (
    "upload",
    *(f"killed {point}" for point in POINTS),
    "queue down",
    "two triggerers",
    "two assets, one queue",
    "consumer paused",
    "two files, parsed again",
    f"burst of {BURST}",
)


@dataclass
class Upload:
    """The objects of a case below one prefix.

    :param seconds: how long the case took.
    :param unsettled: what had not come to its end when the wait for it was given up.
    """

    case: str
    prefix: str
    keys: list[str] = field(default_factory=list)
    seconds: float = 0.0
    unsettled: list[str] = field(default_factory=list)


@dataclass
class Row:
    """What has become of the objects of a case in one DAG.

    :param uploaded: number of objects.
    :param runs: number of runs that were started by some of them.
    :param lost: keys that no run has seen.
    :param repeated: number of times that an object was in a further run.
    :param doubled: keys that were twice in one run.
    :param jobs: number of jobs for each object that was processed; ``None`` where the DAG does not process.
    """

    case: str
    dag_id: str
    uploaded: int
    runs: int
    lost: list[str]
    repeated: int
    doubled: list[str]
    jobs: list[int] | None
    seconds: float
    unsettled: list[str]

    def problems(self) -> list[str]:
        found = [*self.unsettled]
        if self.lost:
            found.append(f"{len(self.lost)} lost: {', '.join(self.lost[:3])}")
        if self.doubled:
            found.append(f"{len(self.doubled)} twice in a run: {', '.join(self.doubled[:3])}")
        if self.jobs is not None and self.jobs != [1] * self.uploaded:
            found.append(f"numbers of jobs: {dict(Counter(self.jobs))}")
        # After the event was stored and before the message was deleted: at least once is all there is.
        if self.repeated and self.case not in ("killed before delete", "two triggerers"):
            found.append(f"{self.repeated} repeated")
        return found


class Scenario:
    """All cases, one after the other."""

    def __init__(self, live: LiveAirflow) -> None:
        self.live = live
        self.uploads: list[Upload] = []
        #: The watcher of an asset before the files that name it were parsed again, and after it.
        self.watcher_before: list[Any] = []
        self.watcher_after: list[Any] = []

    def run(self) -> None:
        live = self.live
        points_folder(live.home).mkdir()
        for dag_id in (INBOX, COPY, LEFT, RIGHT, PAUSED, RESULTS):
            wait_until(lambda dag_id=dag_id: live._knows(dag_id), f"the DAG {dag_id}")  # type: ignore[misc]
        with self._case("upload", "arrivals"):
            self._put("arrivals", 3)
        for point in POINTS:
            with self._case(f"killed {point}", "arrivals", "left", "right"):
                self._killed(point)
        with ThreadPoolExecutor(1) as threads, self._case("consumer paused", "paused"):
            # Another queue and another DAG, meanwhile.
            paused = threads.submit(self._paused)
            with self._case("queue down", "arrivals"):
                self._queue_down()
            with self._case("two files, parsed again", "arrivals"):
                self._parsed_again()
            with self._case("two assets, one queue", "left", "right"):
                self._put("left", 3)
                self._put("right", 3)
            paused.result()
        with self._case("two triggerers", "arrivals", "left", "right"):
            self._two_triggerers()
        with self._case(f"burst of {BURST}", "arrivals"):
            self._put("arrivals", BURST)

    def rows(self) -> list[Row]:
        jobs = Counter(job["source"].removeprefix("oss://media/") for job in self.live.accepted())
        found = []
        for upload in self.uploads:
            keys = upload.keys
            for dag_id in STARTED_BY[upload.prefix]:
                runs = [
                    [item["key"] for item in run if item["key"] in set(keys)] for run in self._noted(dag_id)
                ]
                seen = Counter(key for run in runs for key in set(run))
                found.append(
                    Row(
                        upload.case,
                        dag_id,
                        uploaded=len(keys),
                        runs=sum(map(bool, runs)),
                        lost=[key for key in keys if not seen[key]],
                        repeated=seen.total() - len(seen),
                        doubled=[key for run in runs for key, times in Counter(run).items() if times > 1],
                        jobs=[jobs[key] for key in keys] if dag_id == INBOX else None,
                        seconds=upload.seconds,
                        unsettled=upload.unsettled,
                    )
                )
        return found

    @contextmanager
    def _case(self, case: str, *prefixes: str) -> Iterator[None]:
        """Count what is uploaded as that of a case, and wait at its end until nothing more happens."""
        began = time.monotonic()
        uploads = [Upload(case, prefix) for prefix in prefixes]
        self.uploads += uploads
        yield
        try:
            wait_until(
                lambda: not self._unsettled(*prefixes), f"the end of the case {case!r}", SETTLED_WITHIN
            )
        except TimeoutError:
            # The other cases are told apart from this one.
            uploads[0].unsettled = self._unsettled(*prefixes)
        for upload in uploads:
            upload.seconds = time.monotonic() - began

    def _put(self, prefix: str, count: int) -> None:
        before = sum(len(upload.keys) for upload in self.uploads if upload.prefix == prefix)
        keys = [f"events/{prefix}/{number:04}.mov" for number in range(before, before + count)]
        next(upload for upload in reversed(self.uploads) if upload.prefix == prefix).keys += keys
        self.live.put(*keys)

    def _killed(self, point: Point) -> None:
        """Kill the triggerer when it has reached a point."""
        file = points_folder(self.live.home) / point
        file.touch()
        self._put("arrivals", 3)
        wait_until(file.with_suffix(".reached").exists, f"the triggerer to stop {point}")
        # The watchers of these come back one after the other, and share a queue.
        self._put("left", 2)
        self._put("right", 2)
        self.live.parts["triggerer"].kill()
        self.live.parts["triggerer"].start()

    def _queue_down(self) -> None:
        refused = {"kind": "refuse", "match": "SMQ:*", "times": 0, "status": 503, "code": "InternalError"}
        self.live.faults("POST", refused)
        self._put("arrivals", 3)
        time.sleep(5)
        self.live.faults("DELETE")

    def _parsed_again(self) -> None:
        self.watcher_before = self._watcher()
        for dag_id in STARTED_BY["arrivals"]:
            self._put("arrivals", 2)
            self._parse(dag_id)
        self.watcher_after = self._watcher()

    def _two_triggerers(self) -> None:
        live = self.live
        live.second_triggerer.start()
        wait_until(lambda: self._triggerers() == 2, "the second triggerer")
        prefixes = ("arrivals", "left", "right")
        for prefix in prefixes:
            self._put(prefix, 3)
        wait_until(lambda: self._seen(*prefixes), "the objects to be seen")
        live.parts["triggerer"].kill()
        for prefix in prefixes:
            self._put(prefix, 3)
        wait_until(lambda: self._seen(*prefixes), "the objects to be seen by the other triggerer")
        live.parts["triggerer"].start()
        live.second_triggerer.kill()

    def _paused(self) -> None:
        live = self.live
        self._put("paused", 1)
        wait_until(lambda: self._seen("paused"), "the object to be seen")
        live.call("PATCH", f"/dags/{PAUSED}", json={"is_paused": True})
        # What comes before the file is parsed again becomes an event that starts nothing yet.
        self._put("paused", 2)
        wait_until(lambda: self._messages("paused") == 0, "the messages to be taken")
        self._parse(PAUSED)
        self._put("paused", 2)
        time.sleep(5)
        live.call("PATCH", f"/dags/{PAUSED}", json={"is_paused": False})
        self._parse(PAUSED)
        wait_until(lambda: self._messages("paused") == 0, "the messages to be taken")
        self._put("paused", 1)

    def _parse(self, dag_id: str) -> None:
        """Have the file of a DAG parsed again, and wait until it is."""
        before = self.live.call("GET", f"/dags/{dag_id}")
        self.live.call("PUT", f"/parseDagFile/{before['file_token']}")
        wait_until(
            lambda: (
                self.live.call("GET", f"/dags/{dag_id}")["last_parsed_time"] != before["last_parsed_time"]
            ),
            f"the DAG {dag_id} to be parsed",
        )

    def _watcher(self) -> list[Any]:
        """Ids of the asset and the trigger of the watcher of ``arrivals``."""
        select = "SELECT asset_id, trigger_id FROM asset_watcher WHERE name = 'arrivals_objects'"
        with closing(sqlite3.connect(f"file:{self.live.home}/airflow.db?mode=ro", uri=True)) as database:
            return database.execute(select).fetchall()

    def _triggerers(self) -> int:
        alive = self.live.call("GET", "/jobs", params={"job_type": "TriggererJob", "is_alive": True})
        return len(alive["jobs"])

    def _messages(self, queue: str) -> int:
        answer = httpx.get(f"{self.live._stand_in_url}/_local/state", timeout=30, trust_env=False)
        return sum(answer.json()["queues"][queue].values())

    def _noted(self, dag_id: str) -> list[list[dict[str, Any]]]:
        return [json.loads(note.read_text()) for note in notes(self.live.home, dag_id).glob("*.json")]

    def _seen(self, *prefixes: str) -> bool:
        """Whether all objects have been seen by all DAGs that they start."""
        return all(
            {key for upload in self.uploads if upload.prefix == prefix for key in upload.keys}
            <= {item["key"] for run in self._noted(dag_id) for item in run}
            for prefix in prefixes
            for dag_id in STARTED_BY[prefix]
        )

    def _unsettled(self, *prefixes: str) -> list[str]:
        """What is still to happen: objects to be seen, messages to be deleted, runs to end."""
        found = [] if self._seen(*prefixes) else ["objects are not seen"]
        queues = {"shared" if prefix in ("left", "right") else prefix for prefix in prefixes}
        found += [f"the queue {queue} is not empty" for queue in sorted(queues) if self._messages(queue)]
        active = {"state": ["queued", "running"], "limit": 10}
        for dag_id in (*(dag_id for prefix in prefixes for dag_id in STARTED_BY[prefix]), RESULTS):
            for run in self.live.call("GET", f"/dags/{dag_id}/dagRuns", params=active)["dag_runs"]:
                instances = self.live.instances(dag_id, run["dag_run_id"])
                tasks = ", ".join(
                    f"{one['task_id']} {one['state']} (try {one['try_number']})" for one in instances
                )
                found.append(f"{dag_id} is {run['state']}: {tasks}")
        return found


@pytest.fixture(scope="module")
def scenario(live: LiveAirflow, request: pytest.FixtureRequest) -> Scenario:
    began = time.monotonic()
    scenario = Scenario(live)
    try:
        scenario.run()
    finally:
        found = scenario.rows()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{table(found)}\n{time.monotonic() - began:.0f} s, everything in {live.root}")
    return scenario


@pytest.fixture(scope="module")
def rows(scenario: Scenario) -> list[Row]:
    return scenario.rows()


def table(rows: list[Row]) -> str:
    cells = [("case", "DAG", "objects", "runs", "lost", "repeated", "jobs", "seconds", "")]
    cells += [
        (
            row.case,
            row.dag_id,
            str(row.uploaded),
            str(row.runs),
            str(len(row.lost)),
            str(row.repeated),
            "" if row.jobs is None else str(sum(row.jobs)),
            f"{row.seconds:.0f}",
            "; ".join(row.problems()) or "ok",
        )
        for row in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
    )


@pytest.mark.parametrize("case", CASES)
def test_no_object_is_lost(rows: list[Row], case: str) -> None:
    mine = [row for row in rows if row.case == case]
    assert mine
    assert {row.dag_id: row.problems() for row in mine} == {row.dag_id: [] for row in mine}


def test_a_message_that_is_not_deleted_after_its_event_comes_again(rows: list[Row]) -> None:
    """The point was reached: the event was stored, and the message was not deleted."""
    mine = {row.dag_id: row.repeated for row in rows if row.case == "killed before delete"}
    assert {dag_id: mine[dag_id] for dag_id in STARTED_BY["arrivals"]} == {INBOX: 3, COPY: 3}


def test_the_watcher_of_an_asset_in_two_files_stays(scenario: Scenario) -> None:
    assert len(scenario.watcher_before) == 1
    assert scenario.watcher_after == scenario.watcher_before


def test_results_start_another_dag(live: LiveAirflow, rows: list[Row]) -> None:
    runs = live.call("GET", f"/dags/{RESULTS}/dagRuns")["dag_runs"]
    assert {run["run_type"] for run in runs} == {"asset_triggered"}
    assert {run["state"] for run in runs} == {"success"}


def test_the_triggers_are_stored_without_secrets(live: LiveAirflow, rows: list[Row]) -> None:
    database = b"".join(path.read_bytes() for path in live.home.glob("airflow.db*"))
    assert b"events/arrivals/" in database
    assert b"local-secret" not in database


def test_deleting_before_the_event_is_stored_loses_objects(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ours, theirs = compare(tmp_path, KILLS)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{loss_table([ours, theirs])}")
    assert (ours.problems, theirs.problems) == ([], [])
    assert (ours.lost, theirs.lost > KILLS // 4) == (0, True)
