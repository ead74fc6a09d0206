"""Results, retries and triggerers in a real Airflow: scheduler, Dag processor, triggerer and API server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Context

from airflow_provider_oss_async.operators.retry_policy import HAS_RETRY_POLICY
from tests.system.interruption import Interruption
from tests.system.live_airflow import wait_until
from tests.system.live_dags.retries import DOCUMENTS

if TYPE_CHECKING:
    from tests.system.live_airflow import Finished, LiveAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]
#: Seconds by which jobs last longer, so that their tasks are deferred.
JOB_SECONDS = 3.0
WAYS = ("triggerer", "worker")


@pytest.fixture(scope="module")
def results(live: LiveAirflow) -> Finished:
    parts = ("", "_several_0", "_several_1", "_mapped_over_0", "_mapped_over_1")
    names = [f"{way}{part}" for way in WAYS for part in parts]
    live.put(*(f"results/{name}.wav" for name in (*names, "callback", "annotated")))
    live.put("results/submitted.wav", gate=True)
    # What the stand-in writes as a result, and takes for the name of a gate in a source.
    live.open_gate("done")
    delay = {"kind": "job_delay", "match": "oss://media/results/*.wav", "times": 0, "seconds": JOB_SECONDS}
    live.faults("POST", delay)
    live.trigger("results", "run")
    for name in ("annotated_sensor", "sensor_in_triggerer"):
        wait_until(lambda name=name: live.state("results", "run", name) == "deferred", name)  # type: ignore[misc]
    live.open_gate("results/submitted.wav")
    return live.finished("results")


def test_all_tasks_succeed(results: Finished) -> None:
    assert set(results.states) == {"success"}


@pytest.mark.parametrize("way", WAYS)
def test_the_result_is_the_same_to_every_consumer(results: Finished, way: str) -> None:
    result, outputs = results.returned(way), [f"oss://media/results/{way}.mp3"]
    assert isinstance(result, dict)
    assert (result["status"], result["outputs"]) == ("succeeded", outputs)
    assert results.returned(f"{way}_argument") == result
    assert results.returned(f"{way}_key") == outputs
    assert results.returned(f"{way}_jinja") == str(outputs)
    assert results.returned(f"{way}_jinja_key") == str(outputs)
    assert results.returned(f"{way}_sensor")["outputs"] == outputs
    assert results.returned(f"{way}_chained")["source"] == outputs[0]
    assert results.returned(f"{way}_outputs_mapped", 0)["source"] == outputs[0]
    several = [results.returned(f"{way}_several", index) for index in range(2)]
    assert results.returned(f"{way}_all") == several
    assert [one["source"] for one in several] == [
        f"oss://media/results/{way}_several_{n}.wav" for n in range(2)
    ]
    assert [results.returned(f"{way}_mapped", n)["source"] for n in range(2)] == [
        f"oss://media/results/{way}_mapped_over_{n}.mp3" for n in range(2)
    ]


def test_both_ways_return_the_same_fields(results: Finished) -> None:
    assert list(results.returned("triggerer")) == list(results.returned("worker"))
    assert results.returned("sensor_in_triggerer")["outputs"] == ["oss://media/results/submitted.mp3"]


def test_a_task_ends_in_the_triggerer_if_nothing_is_left_for_a_worker(
    live: LiveAirflow, results: Finished
) -> None:
    expected = {
        "triggerer": 1,
        "triggerer_several_0": 1,
        # Only a worker tells Airflow how many tasks are mapped over the result.
        "triggerer_mapped_over_0": 2,
        "worker": 2,
        "callback": 2,
        "annotated": 2,
    }
    assert {name: live.proxy.seen["begin", f"results/{name}.wav"] for name in expected} == expected


def test_callbacks_and_overridden_methods_are_called(live: LiveAirflow, results: Finished) -> None:
    assert [path.name for path in live.home.glob("success_of_*")] == ["success_of_callback"]
    assert results.returned("annotated")["note"] == "by execute_complete"
    assert results.returned("annotated_sensor")["note"] == "by execute_complete"


#: For each row of ``live_dags/retries.py``: how its task ends, after how many tries and jobs.
RETRIES = {
    "wrong_argument": ("failed", 1, 0),
    "missing_source": ("failed", 1, 0),
    "missing_connection": ("failed", 1, 0),
    "broken_content": ("failed", 1, 1),
    "broken_content_again": ("failed", 3, 3),
    "target_exists": ("failed", 1, 0),
    "missing_right": ("failed", 1, 1),
    # The first job ends with it.
    "queue_timeout": ("success", 2, 2),
    "throttled_job": ("success", 2, 2),
    # All requests of the first try.
    "throttled_request": ("success", 2, 1),
    "right_refused": ("failed", 1, 0),
    "wrong_keys": ("failed", 1, 0),
    "archived_object": ("failed", 1, 0),
    "outage": ("success", 2, 1),
    # No try can tell whether there is a job, and none pays for a second one.
    "uncertain": ("failed", 3, 1),
    # Each try waits for the same job.
    "timeout": ("failed", 3, 1),
    "lost_job": ("success", 2, 2),
}
#: For rows whose request OSS refuses: status, code, message and how often.
REFUSALS = {
    "throttled_request": (429, "TooManyRequests", "Slow down.", 4),
    "right_refused": (403, "AccessDenied", "You have no right to access this object.", 0),
    "wrong_keys": (403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist.", 0),
    "archived_object": (403, "InvalidObjectState", "The operation is not valid for the object's state.", 0),
    "outage": (503, "ServiceUnavailable", "Please reduce your request rate.", 2),
}
MODES = ("worker", "deferred")


@pytest.fixture(scope="module")
def retries(live: LiveAirflow) -> Finished:
    keys = {
        row: [f"retries/{mode}/{row}.{'docx' if row in DOCUMENTS else 'mov'}" for mode in MODES]
        for row in RETRIES
    }
    # An output would tell that there was a job.
    waits = [*keys["timeout"], *keys["uncertain"]]
    live.put(*(key for row, found in keys.items() if row != "missing_source" for key in found))
    live.put(*(f"retries/{mode}/target_exists.mp4" for mode in MODES))
    live.put(*waits, gate=True)
    live.faults(
        "POST",
        {"kind": "job_delay", "match": "oss://media/retries/deferred/*", "times": 0, "seconds": JOB_SECONDS},
        {
            "kind": "job_fail",
            "match": "oss://media/retries/*/broken_content*",
            "times": 0,
            "code": "InvalidMedia",
            "message": "The source cannot be read.",
        },
        *(
            {"kind": "job_fail", "match": f"oss://media/{key}", "code": code, "message": message}
            for row, code, message in (
                ("missing_right", "AccessDenied", "The role may not write the target."),
                ("queue_timeout", "QueueTimeout", "The job has waited for too long."),
                ("throttled_job", "Throttling", "Too many jobs."),
            )
            for key in keys[row]
        ),
        *({"kind": "job_forget", "match": f"oss://media/{key}"} for key in keys["lost_job"]),
    )
    for row, (status, code, message, times) in REFUSALS.items():
        refused = Interruption("submit", nth=times, action="refuse", error=(status, code, message))
        live.proxy.planned |= dict.fromkeys(keys[row], refused)
    live.proxy.planned |= dict.fromkeys(
        keys["uncertain"], Interruption("submit", answered=True, action="drop")
    )
    live.trigger("retries", "run")
    finished = live.finished("retries", limit=1200)
    for key in waits:
        live.open_gate(key)
    return finished


@pytest.mark.skipif(not HAS_RETRY_POLICY, reason="this Airflow has no retry policies")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", RETRIES)
def test_what_no_retry_can_mend_is_tried_and_paid_for_once(
    live: LiveAirflow, retries: Finished, row: str, mode: str
) -> None:
    instance = retries[f"{row}_{mode}"]
    jobs = [job for job in live.accepted() if f"/retries/{mode}/{row}." in job["source"]]
    found = (instance["state"], instance["try_number"], len(jobs))
    assert found == RETRIES[row], f"logs in {live.home}"


@pytest.mark.parametrize("mode", MODES)
def test_the_reason_of_a_failure_is_in_xcom(live: LiveAirflow, retries: Finished, mode: str) -> None:
    instance = retries[f"broken_content_{mode}"]
    assert live.xcom(instance, "code") == "InvalidMedia"
    assert live.xcom(instance, "detail") == "The source cannot be read."
    assert live.xcom(instance, "job")["source"] == f"oss://media/retries/{mode}/broken_content.mov"


@pytest.mark.parametrize("mode", MODES)
def test_a_failure_callback_gets_the_error_itself(live: LiveAirflow, retries: Finished, mode: str) -> None:
    instance = retries[f"broken_content_{mode}"]
    known = json.loads((live.home / f"failure_of_broken_content_{mode}").read_text())
    assert (known["class"], known["code"]) == ("OSSJobFailedError", "InvalidMedia")
    assert known["advice"].startswith("Check that the source is whole")
    assert known["job"] == live.xcom(instance, "job")
    wrong = json.loads((live.home / f"failure_of_wrong_argument_{mode}").read_text())
    assert (wrong["class"], wrong["code"], wrong["job"]) == ("FinalProcessError", "", {})


GOES_ON = "OSS cannot cancel jobs"


def test_only_a_task_that_was_stopped_says_that_its_job_goes_on(live: LiveAirflow) -> None:
    def state(name: str) -> Any:
        return live.state("takeover", "run", name)

    def polls() -> int:
        return live.proxy.seen["poll", "takeover/taken_over.wav"]

    live.put("takeover/taken_over.wav", "takeover/failed_by_user.wav", gate=True)
    live.trigger("takeover", "run")
    for name in ("taken_over", "failed_by_user"):
        wait_until(lambda name=name: state(name) == "deferred", f"{name} to be deferred")  # type: ignore[misc]
        key = f"takeover/{name}.wav"
        wait_until(lambda key=key: live.proxy.seen["poll", key] > 1, f"the trigger of {name}")  # type: ignore[misc]
    live.set_state("takeover", "run", "failed_by_user", "failed")
    wait_until(lambda: GOES_ON in live.log("failed_by_user"), "the trigger to say that the job goes on")
    first, second = live.parts["triggerer"], live.second_triggerer
    second.start()
    first.suspend()
    before = polls()
    wait_until(lambda: polls() > before + 1, "the second triggerer to poll")
    first.resume()
    # Longer than the interval at which a triggerer looks for its triggers.
    time.sleep(5)
    live.open_gate("takeover/taken_over.wav")
    wait_until(lambda: state("taken_over") == "success", "the task to succeed")
    second.kill()
    assert GOES_ON not in live.log("taken_over")
