"""The cases of ``test_crashes.py``: each a task in ``live_dags/crashes.py``, and what goes wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.system.strike import Strike

DAG_ID = "crashes"
SUBMITTED, BEFORE_RECORD = Strike("submit", answered=True), Strike("record")


@dataclass(frozen=True)
class Case:
    """One task and its fate.

    :param name: its task id.
    :param deferrable: how it waits.
    :param strike: where its worker is killed.
    :param struck: with several indexes: which of them are.
    :param indexes: how many there are, if it is mapped.
    :param ends: when its job does: at once, when the strike has hit, when the task is deferred, or when told.
    :param jobs: how many jobs the service may accept for it, at least and at most.
    :param state: how it ends.
    :param in_trigger: whether it ends in the triggerer, without coming back to a worker.
    :param document: whether it is a conversion of a document, of which IMM shows no definition.
    :param bucket: of its objects.
    :param arguments: further ones of the operator.
    """

    name: str
    deferrable: bool = False
    strike: Strike | None = None
    struck: tuple[int, ...] = ()
    indexes: int = 0
    ends: Literal["at once", "struck", "deferred", "told"] = "at once"
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
    def strikes(self) -> dict[str, Strike]:
        """Where each worker is killed, by key."""
        if self.strike is None:
            return {}
        chosen = [self.keys[index] for index in self.struck] if self.struck else self.keys
        return dict.fromkeys(chosen, self.strike)


def both(name: str, strike: Strike) -> list[Case]:
    """Return the case for a task that waits in its worker and for one that is deferred."""
    return [
        Case(name, strike=strike),
        Case(f"{name}_deferrable", deferrable=True, strike=strike, ends="deferred"),
    ]


CASES = [
    *both("killed_with_intent", Strike("intent", answered=True)),
    Case("killed_before_request", strike=Strike("submit")),
    *both("killed_before_answer", SUBMITTED),
    *both("killed_before_record", BEFORE_RECORD),
    *both("killed_with_record", Strike("record", answered=True)),
    Case("killed_before_deferral", deferrable=True, strike=Strike("deferred"), ends="deferred"),
    Case("killed_while_waiting", strike=Strike("look", nth=3), ends="struck"),
    *both("killed_before_success", Strike("success")),
    Case("triggerer_killed", deferrable=True, ends="told"),
    Case(
        "triggerer_killed_in_trigger",
        deferrable=True,
        ends="told",
        in_trigger=True,
        arguments={"end_from_trigger": True},
    ),
    # Looks are too rare to end the wait: the message does.
    Case(
        "triggerer_killed_smq",
        deferrable=True,
        ends="told",
        arguments={"completion": "smq", "poll_interval": 900.0},
    ),
    Case("service_killed", ends="told"),
    Case("service_killed_deferrable", deferrable=True, ends="told"),
    Case("answers_lost", strike=Strike("submit", answered=True, lose=True), struck=(0, 3), indexes=6),
    Case(
        "answer_lost_fail",
        document=True,
        strike=Strike("submit", answered=True, lose=True),
        ends="told",
        state="failed",
        arguments={"retries": 1},
    ),
    Case(
        "answer_lost_resubmit",
        document=True,
        strike=Strike("submit", answered=True, lose=True),
        ends="told",
        jobs=(2, 2),
        arguments={"on_uncertain_submit": "resubmit"},
    ),
    Case(
        "answer_lost_found",
        document=True,
        bucket="papers",
        strike=Strike("submit", answered=True, lose=True),
        arguments={"imm_project": "papers-project"},
    ),
    Case("mapped_killed", deferrable=True, strike=BEFORE_RECORD, indexes=3, ends="deferred"),
    Case("cleared_after_success", jobs=(2, 2)),
    Case("cleared_while_deferred", deferrable=True, ends="told", jobs=(2, 2)),
]
