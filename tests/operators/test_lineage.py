from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.exceptions import OSSJobFailedError
from tests.support.tasks import deferred, resume_deferred, run_to_end, video

pytestmark = pytest.mark.usefixtures("quick", "connect")


@pytest.mark.parametrize("deferrable", [False, True])
def test_lineage_is_that_of_the_task_itself(stand: Any, new_try: Any, deferrable: bool) -> None:
    """Also of one of several mapped tasks, and without XCom."""
    stand.put("other.mov")
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    tasks = [
        video(source=f"{name}.mov", target=f"{name}.mp4", do_xcom_push=False, deferrable=deferrable)
        for name in ("in", "other")
    ]
    for task in tasks:
        run_to_end(task, new_try())
    for task, name in zip(tasks, ("in", "other"), strict=True):
        lineage = task.get_openlineage_facets_on_complete(None)
        assert [(data.namespace, data.name) for data in lineage.inputs] == [("oss://media", f"{name}.mov")]
        assert [(data.namespace, data.name) for data in lineage.outputs] == [("oss://media", f"{name}.mp4")]


@pytest.mark.parametrize("deferrable", [False, True])
def test_lineage_of_a_failure_has_the_input(stand: Any, new_try: Any, deferrable: bool) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("job_fail")
    first, second = video(deferrable=deferrable), video(deferrable=deferrable)
    context = new_try()
    # The worker that resumes a task knows nothing of its first part.
    event = resume_deferred(deferred(first, context)) if deferrable else None
    with pytest.raises(OSSJobFailedError):
        second.execute_complete(context, event) if deferrable else second.execute(context)
    lineage = second.get_openlineage_facets_on_failure(None)
    assert [(data.namespace, data.name) for data in lineage.inputs] == [("oss://media", "in.mov")]
    assert lineage.outputs == []
