"""The cases of ``test_celery.py``: each a task in ``celery_dags/cluster.py``, and what happens to it."""

from __future__ import annotations

from dataclasses import replace

from tests.system.crash_cases import BEFORE_RECORD, Case, both
from tests.system.interruption import Interruption

DAG_ID = "cluster"
#: Queues that only the first and only the second worker reads, besides the default one.
QUEUES = ("first", "second")
FROZEN = Interruption("intent", answered=True, action="suspend")


def told(name: str) -> list[Case]:
    """Return the cases of a task that waits in its worker and of one that is deferred, until told."""
    return [Case(name, ends="told"), Case(f"{name}_deferrable", deferrable=True, ends="told")]


def on(queue: str, *cases: Case) -> list[Case]:
    """Have tasks run on one of the workers only, by its queue."""
    return [replace(case, arguments={**case.arguments, "queue": queue}) for case in cases]


CASES = [
    # The process of the Celery worker that has the task, and the task's own below it.
    *both("child_killed_with_intent", Interruption("intent", answered=True)),
    *both("child_killed_before_record", BEFORE_RECORD),
    Case("child_killed_while_waiting", interruption=Interruption("poll", nth=3), ends="interrupted"),
    *both("child_killed_before_success", Interruption("success")),
    # Only the task's own, as when it has used too much memory.
    Case(
        "task_killed_while_waiting",
        interruption=Interruption("poll", nth=3, action="kill task"),
        ends="interrupted",
    ),
    *both("task_killed_before_record", Interruption("record", action="kill task")),
    # The whole worker is frozen with them, and goes on when Airflow has taken them for dead.
    *on(QUEUES[0], *both("worker_frozen", FROZEN)),
    # Here it is only them, and they go on when the next try has its job.
    *on(QUEUES[1], *both("frozen", FROZEN)),
    *told("worker_killed"),
    *on(
        QUEUES[1],
        Case("triggerers_killed", deferrable=True, ends="told"),
        Case(
            "triggerers_killed_in_trigger",
            deferrable=True,
            ends="told",
            in_trigger=True,
            arguments={"end_from_trigger": True},
        ),
        Case(
            "triggerers_killed_smq",
            deferrable=True,
            ends="told",
            arguments={"completion": "smq", "poll_interval": 900.0},
        ),
    ),
    *told("redis_restarted"),
    *told("postgres_restarted"),
    Case("message_redelivered", ends="told"),
]
