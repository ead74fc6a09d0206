"""The cases of ``test_crashes.py``: each a task in ``live_dags/crashes.py``, and what happens to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.system.interruption import Interruption

DAG_ID = "crashes"
SUBMITTED, BEFORE_RECORD = Interruption("submit", answered=True), Interruption("record")
ANSWER_LOST = Interruption("submit", answered=True, action="drop")


@dataclass(frozen=True)
class Case:
    """One task, and what happens to it.

    :param name: its task id.
    :param deferrable: how it waits.
    :param interruption: what happens to its worker.
    :param hit: with several indexes: which of them are.
    :param indexes: how many there are, if it is mapped.
    :param ends: when its job does: at once, when its worker was interrupted, when the task is deferred, or
        when told.
    :param jobs: how many jobs the service may accept for it, at least and at most.
    :param state: how it ends.
    :param in_trigger: whether it ends in the triggerer, without coming back to a worker.
    :param document: whether it is a conversion of a document, of which IMM shows no definition.
    :param bucket: of its objects.
    :param arguments: further ones of the operator.
    """

    name: str
    deferrable: bool = False
    interruption: Interruption | None = None
    hit: tuple[int, ...] = ()
    indexes: int = 0
    ends: Literal["at once", "interrupted", "deferred", "told"] = "at once"
    jobs: tuple[int, int] = (1, 1)
    state: Literal["success", "failed"] = "success"
    in_trigger: bool = False
    document: bool = False
    bucket: str = "media"
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Keys of the objects to process: one for each task instance."""
        names = [f"{self.name}-{index}" for index in range(self.indexes)] or [self.name]
        return [f"{name}.{'docx' if self.document else 'mov'}" for name in names]

    @property
    def interruptions(self) -> dict[str, Interruption]:
        """What happens to each worker, by key."""
        if self.interruption is None:
            return {}
        chosen = [self.keys[index] for index in self.hit] if self.hit else self.keys
        return dict.fromkeys(chosen, self.interruption)


def both(name: str, interruption: Interruption) -> list[Case]:
    """Return the case for a task that waits in its worker and for one that is deferred."""
    return [
        Case(name, interruption=interruption),
        Case(f"{name}_deferrable", deferrable=True, interruption=interruption, ends="deferred"),
    ]


CASES = [
    *both("killed_with_intent", Interruption("intent", answered=True)),
    Case("killed_before_request", interruption=Interruption("submit")),
    *both("killed_before_answer", SUBMITTED),
    *both("killed_before_record", BEFORE_RECORD),
    *both("killed_with_record", Interruption("record", answered=True)),
    Case("killed_before_deferral", deferrable=True, interruption=Interruption("deferred"), ends="deferred"),
    Case("killed_while_waiting", interruption=Interruption("poll", nth=3), ends="interrupted"),
    *both("killed_before_success", Interruption("success")),
    Case("triggerer_killed", deferrable=True, ends="told"),
    Case(
        "triggerer_killed_in_trigger",
        deferrable=True,
        ends="told",
        in_trigger=True,
        arguments={"end_from_trigger": True},
    ),
    # Polls are too rare to end the wait: the message does.
    Case(
        "triggerer_killed_smq",
        deferrable=True,
        ends="told",
        arguments={"completion": "smq", "poll_interval": 900.0},
    ),
    Case("service_killed", ends="told"),
    Case("service_killed_deferrable", deferrable=True, ends="told"),
    Case(
        "answers_lost",
        interruption=ANSWER_LOST,
        hit=(0, 3),
        indexes=6,
    ),
    Case(
        "answer_lost_fail",
        document=True,
        interruption=ANSWER_LOST,
        ends="told",
        state="failed",
        arguments={"retries": 1},
    ),
    Case(
        "answer_lost_resubmit",
        document=True,
        interruption=ANSWER_LOST,
        ends="told",
        jobs=(2, 2),
        arguments={"on_uncertain_submit": "resubmit"},
    ),
    Case(
        "answer_lost_found",
        document=True,
        bucket="papers",
        interruption=ANSWER_LOST,
        arguments={"imm_project": "papers-project"},
    ),
    Case("mapped_killed", deferrable=True, interruption=BEFORE_RECORD, indexes=3, ends="deferred"),
    # The worker goes on when the next try has its job.
    *both("suspended_with_intent", Interruption("intent", answered=True, action="suspend")),
    Case(
        "failed_by_user_in_backoff",
        interruption=Interruption("submit", nth=0, action="refuse"),
        jobs=(0, 0),
        state="failed",
    ),
    Case("cleared_after_success", jobs=(2, 2)),
    Case("cleared_while_deferred", deferrable=True, ends="told", jobs=(2, 2)),
]
