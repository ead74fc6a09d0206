"""``verify_output`` in a real Airflow, for tasks that end in the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.sdk import Context

from tests.support.clips import make_clips

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.live_airflow import LiveAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]


def test_a_merge_that_lacks_a_clip_fails_in_the_triggerer_and_is_paid_for_once(
    live: LiveAirflow, tmp_path: Path
) -> None:
    clips = make_clips(tmp_path)
    for name in ("whole", "first_clip"):
        live.put(f"checked/{name}.mp4", body=clips["wide.mp4"].read_bytes())
    live.put("checked/after.mkv", body=clips["tall.mkv"].read_bytes())
    source = "oss://media/checked/*"
    live.faults("POST", {"kind": "job_delay", "match": source, "times": 0, "seconds": 3})
    live.faults(
        "POST", {"kind": "output_first_clip", "match": "oss://media/checked/first_clip.mp4", "times": 0}
    )
    finished = live.run("checked")
    verification = finished.returned("whole")["verification"]
    assert verification["verdict"] == "matches", verification
    assert verification["inspected"] == ["oss://media/checked/whole_merged.mp4"]
    # One part of it was run by a worker.
    assert live.proxy.seen["begin", "checked/whole.mp4"] == 1
    failed = finished["first_clip"]
    assert failed["state"] == "failed"
    assert live.xcom(failed, "code") == "OutputMismatch"
    assert "duration is 2" in live.xcom(failed, "detail")
    jobs = [job for job in live.accepted() if job["source"] == "oss://media/checked/first_clip.mp4"]
    assert len(jobs) == 1
    assert failed["try_number"] == 1
