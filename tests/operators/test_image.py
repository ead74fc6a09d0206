from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_oss_async.exceptions import OSSJobFailedError, ProcessError
from airflow_provider_oss_async.operators.image import OSSDecodeBlindWatermarkOperator
from tests.support.tasks import run_to_end

pytestmark = pytest.mark.usefixtures("quick", "connect")


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("WatermarkNotFound", "who knows"),
        ("InvalidArgument", "The image does not contain a blind watermark."),
        ("Failed", "no watermark detected"),
    ],
)
def test_a_missing_watermark_may_be_a_result(
    stand: Any, new_try: Any, deferrable: bool, code: str, message: str
) -> None:
    stand.service.add_fault("job_delay", seconds=0.3)
    stand.service.add_fault("job_fail", code=code, message=message)
    task = OSSDecodeBlindWatermarkOperator(
        task_id="t", source="in.mov", missing_ok=True, deferrable=deferrable
    )
    context = new_try()
    result = run_to_end(task, context)
    assert (result["content"], result["outputs"], result["status"]) == (None, [], "failed")
    assert result["task_id"] == stand.accepted()[0]["task_id"]
    assert context["ti"].xcoms["outputs"] == []
    assert "code" not in context["ti"].xcoms


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "no watermark detected"), ({"missing_ok": True}, "the image cannot be read")],
)
def test_every_other_failure_of_decoding_is_one(
    stand: Any, new_try: Any, arguments: dict[str, Any], message: str
) -> None:
    stand.service.add_fault("job_fail", code="Failed", message=message)
    with pytest.raises(OSSJobFailedError, match=message):
        OSSDecodeBlindWatermarkOperator(task_id="t", source="in.mov", **arguments).execute(new_try())


def test_missing_ok_is_true_or_false(stand: Any, new_try: Any) -> None:
    with pytest.raises(ProcessError, match="missing_ok='yes'"):
        OSSDecodeBlindWatermarkOperator(task_id="t", source="in.mov", missing_ok="yes").execute(new_try())  # type: ignore[arg-type]
    assert stand.requests("OSS:AsyncProcessObject") == 0
