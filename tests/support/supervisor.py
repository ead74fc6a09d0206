"""The supervisor's end of the channel over which tasks and triggers talk to Airflow."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

#: The task instance of a trigger.
TASK_INSTANCE: Any = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)


class Supervisor:
    """Answers what tasks and triggers send, and remembers it.

    :param state: of the task instance; ``None`` answers with an error.
    """

    def __init__(self, state: str | None = None) -> None:
        self.state = state
        self.sent: list[Any] = []
        #: XComs that are there already.
        self.stored: dict[str, Any] = {}

    def send(self, msg: Any) -> Any:
        from airflow.sdk.execution_time.comms import TaskStatesResult, XComResult

        self.sent.append(msg)
        if type(msg).__name__ == "GetTaskStates":
            if self.state is None:
                raise RuntimeError("API server error")
            name = msg.task_ids[0] if (msg.map_index or 0) < 0 else f"{msg.task_ids[0]}_{msg.map_index}"
            return TaskStatesResult(task_states={msg.run_ids[0]: {name: self.state}})
        if type(msg).__name__ == "GetXCom":
            return XComResult(key=msg.key, value=self.stored.get(msg.key))
        if type(msg).__name__ in ("SetXCom", "MaskSecret"):
            return None
        raise AssertionError(f"unexpected message {msg!r}")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    @property
    def xcoms(self) -> dict[str, Any]:
        """The XComs as the API server has stored them: their key and what a consumer reads."""
        from airflow.sdk.bases.xcom import BaseXCom

        found: dict[str, Any] = {}
        for msg in self.sent:
            if type(msg).__name__ == "SetXCom":
                stored = json.loads(json.dumps(msg.value))
                found[msg.key] = BaseXCom.deserialize_value(SimpleNamespace(value=stored))
        return found

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
        """Take the place of the real channel."""
        from airflow.sdk.execution_time import task_runner

        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", self, raising=False)
        return self
