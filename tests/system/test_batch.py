"""Batches in a real Airflow whose parts are killed: an object is paid for once per attempt that is known."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import Context

from tests.system.live_airflow import wait_until

if TYPE_CHECKING:
    from tests.system.live_airflow import LiveAirflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "task_state_store" not in Context.__annotations__, reason="this Airflow has no task state store"
    ),
]
COUNT = 300


def accepted(live: LiveAirflow, way: str) -> Counter[str]:
    prefix = f"oss://media/batch/{way}/"
    return Counter(job["source"] for job in live.accepted() if job["source"].startswith(prefix))


def manifest(live: LiveAirflow, summary: dict[str, Any]) -> list[dict[str, Any]]:
    import alibabacloud_oss_v2 as oss

    config = oss.config.Config(
        endpoint=live._stand_in_url,
        region="cn-hangzhou",
        credentials_provider=oss.credentials.StaticCredentialsProvider("local", "local-secret"),
    )
    bucket, _, key = summary["manifest"].removeprefix("oss://").partition("/")
    answer = oss.Client(config).get_object(oss.GetObjectRequest(bucket=bucket, key=key))
    return [json.loads(line) for line in answer.body.content.splitlines()]


def test_every_part_is_killed(live: LiveAirflow) -> None:
    for way in ("worker", "triggerer"):
        live.put(*(f"batch/{way}/{number:04}.mov" for number in range(COUNT)))
    # Some attempts fail in a way that passes, some answers are lost.
    live.faults(
        "POST",
        {
            "kind": "job_fail",
            "match": "oss://media/batch/*",
            "code": "QueueTimeout",
            "message": "queued for too long",
            "every": 40,
            "times": 8,
        },
        {"kind": "lose", "match": "OSS:AsyncProcessObject", "every": 50, "times": 5},
        {"kind": "lose", "match": "OSS:AppendObject", "every": 7, "times": 10},
    )
    live.trigger("batches", "run")
    wait_until(lambda: sum(accepted(live, "triggerer").values()) > 20, "the triggerer to submit")
    live.parts["triggerer"].kill()
    live.parts["triggerer"].start()
    wait_until(lambda: sum(accepted(live, "worker").values()) > 20, "the worker to submit")
    live.parts["scheduler"].kill()
    live.parts["scheduler"].start()
    time.sleep(5)
    live.parts["stand-in"].kill()
    time.sleep(2)
    live.parts["stand-in"].start()
    live.wait_for_stand_in()
    time.sleep(5)
    # Longer than Airflow waits for a heartbeat: another triggerer process would take the trigger.
    live.parts["triggerer"].suspend()
    time.sleep(12)
    live.parts["triggerer"].resume()
    done = live.finished("batches")
    assert set(done.states) == {"success"}
    for way in ("worker", "triggerer"):
        summary = done.returned(way)
        paid = accepted(live, way)
        assert (summary["succeeded"], len(paid)) == (COUNT, COUNT)
        rows = manifest(live, summary)
        assert {row["source"]: row["attempts"] for row in rows} == dict(paid)
        assert summary["jobs"] == sum(paid.values())
