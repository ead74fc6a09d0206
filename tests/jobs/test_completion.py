from __future__ import annotations

import asyncio
import inspect
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.exceptions import OSSJobTimeoutError, OSSServiceError, ProcessError
from airflow_provider_oss_async.jobs.completion import (
    STRATEGIES,
    Circumstances,
    CompletionStrategy,
    IMMStrategy,
    ObjectStrategy,
    strategy_of,
)
from airflow_provider_oss_async.jobs.job import MAX_TIMEOUT, JobStatus, OSSJob
from airflow_provider_oss_async.jobs.submission import JobRequest, build_request, submit
from airflow_provider_oss_async.jobs.wait_specification import WaitSpecification
from airflow_provider_oss_async.operators.base import OSSAsyncBaseOperator
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import (
    DecodeBlindWatermark,
    DocumentConvert,
    ObjectURI,
    Style,
    VideoConvert,
    VideoSnapshots,
)
from airflow_provider_oss_async.sensors.oss_async import OSSAsyncTaskSensor
from tests.readme_tables import completion_strategies
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_oss_async.clients.oss import ObjectState
    from airflow_provider_oss_async.jobs.services import Services

SOURCE = ObjectURI("media", "in.mov")
MP4 = VideoConvert(container="mp4")
OBJECT = STRATEGIES["object"]


def request(process: Any = MP4, target: str | None = "out.mp4", topic: str = "") -> JobRequest:
    return build_request(process, SOURCE, ObjectURI("media", target) if target else None, topic)


def specification(baseline: ObjectState | None = None, seconds: float = 5.0) -> WaitSpecification:
    found = request()
    job = OSSJob("T-1", "MediaConvert", str(SOURCE), found.target, found.process.encode())
    return WaitSpecification(job, "object", time.time() + seconds, 0.1, baseline)


def circumstances(**changes: Any) -> Circumstances:
    given = {"conn_id": "c", "waits": True, "deferrable": True, "smq_endpoint": "e", "smq_queue": "q"}
    return Circumstances(**{**given, **changes})


class TestRegistry:
    def test_each_strategy_is_found_by_its_name(self) -> None:
        assert {"imm", "smq", "object"} <= STRATEGIES.keys()
        for name, strategy in STRATEGIES.items():
            assert strategy_of(name) is strategy
            assert strategy.name == name
            assert strategy.summary
            # A worker may use what is left of it.
            assert strategy.on_worker().name in STRATEGIES

    @pytest.mark.parametrize("name", ["other", "", "IMM", None, 7, ["imm"]])
    def test_another_name_is_refused(self, name: Any) -> None:
        with pytest.raises(ProcessError, match="expected imm or smq or object"):
            strategy_of(name)

    def test_a_strategy_must_say_how_to_poll_and_to_wait(self) -> None:
        class Incomplete(CompletionStrategy):
            name = "other"
            summary = "the service calls back"

        with pytest.raises(TypeError, match=r"abstract methods '?poll'?, '?wait'?"):
            Incomplete()  # type: ignore[abstract]


class Other(IMMStrategy):
    """A strategy that is added by one entry in the registry."""

    name = "other"
    summary = "the service calls back"
    max_poll_interval = 77.0

    def check(self, circumstances: Circumstances, *, request: JobRequest | None = None) -> Iterator[str]:
        yield "completion='other' needs a listener"


@pytest.fixture
def other() -> Iterator[None]:
    """Add a strategy to the registry."""
    STRATEGIES["other"] = Other()
    yield
    del STRATEGIES["other"]


@pytest.mark.usefixtures("other", "connect")
class TestEverybodyAsksTheRegistry:
    """A new strategy is known everywhere, by its entry alone."""

    def test_operators(self, new_try: Any) -> None:
        operator = OSSVideoConvertOperator(
            task_id="t", source="oss://media/in.mov", target="out.mp4", container="mp4", completion="other"
        )
        with pytest.raises(ProcessError, match="completion='other' needs a listener"):
            operator.execute(new_try())
        operator.completion = "pull"
        with pytest.raises(ProcessError, match=r"imm.*smq.*object.*other"):
            operator.execute(new_try())

    def test_the_sensor(self, new_try: Any) -> None:
        job = {"task_id": "T", "task_type": "MediaConvert", "imm_project": "local-project"}
        sensor = OSSAsyncTaskSensor(task_id="t", job=job, completion="other")
        with pytest.raises(ProcessError, match="completion='other' needs a listener"):
            sensor.execute(new_try())
        sensor.completion = "pull"
        names = " or ".join(name for name, strategy in STRATEGIES.items() if strategy.for_sensor)
        assert names.endswith(" or other")
        with pytest.raises(ProcessError, match=f"expected {names}$"):
            sensor.execute(new_try())

    def test_waiting(self) -> None:
        assert strategy_of("other").max_poll_interval == 77.0

    def test_the_reference(self) -> None:
        (row,) = (row for row in completion_strategies().splitlines() if "other" in row)
        assert "the service calls back" in row
        assert "77 s" in row


@pytest.mark.parametrize(
    ("kind", "file"),
    [(OSSAsyncBaseOperator, "operators/base.py"), (OSSAsyncTaskSensor, "sensors/oss_async.py")],
)
def test_signatures_name_all_strategies(kind: type, file: str) -> None:
    sensor = kind is OSSAsyncTaskSensor
    names = [name for name, strategy in STRATEGIES.items() if strategy.for_sensor or not sensor]
    (annotation,) = re.findall(r"\n        completion: Literal\[([^\]]*)\]", inspect.getsource(kind))
    assert re.findall(r'"(\w+)"', annotation) == names, f"completion in {file} has to name {names}"
    doc = (inspect.getdoc(kind) or "").partition(":param completion:")[2].partition(":param ")[0]
    unnamed = [name for name in names if f'"{name}"' not in doc]
    assert not unnamed, f"describe {unnamed} in ':param completion:' in {file}"


class TestChecks:
    @pytest.mark.parametrize("name", STRATEGIES)
    def test_nothing_is_wrong_with_a_plain_request(self, name: str) -> None:
        assert list(STRATEGIES[name].check(circumstances(), request=request(topic="done"))) == []

    @pytest.mark.parametrize(
        ("changes", "topic", "parts"),
        [
            ({"smq_endpoint": ""}, "done", ["smq_endpoint"]),
            ({"smq_queue": ""}, "done", ["smq_queue"]),
            ({}, "", ["topic"]),
            ({"smq_endpoint": "", "smq_queue": ""}, "", ["smq_endpoint", "smq_queue", "topic"]),
            # Nothing of it is needed where a worker polls IMM, or where nobody waits.
            ({"deferrable": False, "smq_queue": ""}, "", []),
            ({"waits": False, "smq_queue": ""}, "", []),
        ],
    )
    def test_what_messages_need(self, changes: dict[str, Any], topic: str, parts: list[str]) -> None:
        problems = list(STRATEGIES["smq"].check(circumstances(**changes), request=request(topic=topic)))
        assert len(problems) == len(parts)
        for problem, part in zip(problems, parts, strict=True):
            assert part in problem

    def test_a_sensor_on_a_worker_must_not_take_messages(self) -> None:
        (problem,) = STRATEGIES["smq"].check(circumstances(deferrable=False))
        assert problem == (
            "completion='smq' needs deferrable=True: a worker that reads the queue takes messages from others"
        )
        assert list(STRATEGIES["smq"].check(circumstances())) == []

    def test_the_topic_of_the_connection_is_added(self) -> None:
        smq = STRATEGIES["smq"]
        assert smq.prepare_request(request(), circumstances(smq_topic="t")).process.topic == "t"
        assert (
            smq.prepare_request(request(topic="mine"), circumstances(smq_topic="t")).process.topic == "mine"
        )
        assert smq.prepare_request(request(), circumstances()).process.topic == ""
        assert STRATEGIES["imm"].prepare_request(request(), circumstances(smq_topic="t")) == request()

    def test_a_worker_polls_imm_in_place_of_messages(self) -> None:
        assert STRATEGIES["smq"].on_worker() is STRATEGIES["imm"]
        assert OBJECT.on_worker() is OBJECT


@pytest.mark.parametrize(
    ("process", "target"),
    [
        (MP4, "out.mp4"),
        (MP4, "out"),
        (MP4, "{barename}/x.{autoext}"),
        (MP4, "{{x}}.mp4"),
        (DocumentConvert(target_format="pdf"), "out.pdf"),
    ],
)
def test_outputs_that_can_be_told_beforehand(process: Any, target: str) -> None:
    assert list(OBJECT.check(circumstances(), request=request(process, target))) == []


@pytest.mark.parametrize(
    ("process", "target"),
    [
        (DocumentConvert(target_format="png"), "pages/{index}.png"),
        (VideoSnapshots(format="jpg", count=3), "frames/f"),
        (Style("mine", task_type="MediaConvert"), "out"),
        (MP4, "{year}/out.mp4"),
        (DecodeBlindWatermark(), None),
    ],
)
async def test_outputs_that_cannot_be_told_beforehand(
    services: Services, process: Any, target: str | None
) -> None:
    found = request(process, target)
    (problem,) = OBJECT.check(circumstances(), request=found)
    assert "use completion='imm'" in problem
    assert list(OBJECT.check(circumstances(waits=False), request=found)) == []
    assert await OBJECT.baseline(services, found) is None


class TestObject:
    async def test_an_object_that_was_not_there(self, services: Services, stand: Any) -> None:
        baseline = await OBJECT.baseline(services, request())
        assert baseline is None
        waiting = asyncio.create_task(OBJECT.wait(services, specification(baseline)))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert await OBJECT.poll(services, specification(baseline)) == JobStatus("running")
        await asyncio.to_thread(stand.put, "out.mp4")
        status = await waiting
        assert status.state == "succeeded"
        assert status.finished_at.endswith("+00:00")

    async def test_an_object_that_is_overwritten(self, services: Services, stand: Any) -> None:
        stand.put("out.mp4", b"old")
        baseline = await OBJECT.baseline(services, request())
        assert baseline is not None
        assert (await OBJECT.poll(services, specification(baseline))).state == "running"
        stand.put("out.mp4", b"new")
        assert (await OBJECT.wait(services, specification(baseline))).state == "succeeded"

    async def test_an_object_that_is_overwritten_by_its_equal(self, services: Services, stand: Any) -> None:
        stand.put("out.mp4", b"same")
        baseline = await OBJECT.baseline(services, request())
        assert (await OBJECT.poll(services, specification(baseline))).state == "running"
        await asyncio.sleep(1.01)  # object times have whole seconds
        stand.put("out.mp4", b"same")
        after = await OBJECT.baseline(services, request())
        assert after is not None
        assert baseline is not None
        assert after.etag == baseline.etag
        assert (await OBJECT.wait(services, specification(baseline))).state == "succeeded"

    async def test_an_object_that_never_comes(self, services: Services) -> None:
        with pytest.raises(OSSJobTimeoutError):
            await OBJECT.wait(services, specification(seconds=0.3))

    async def test_waiting_is_logged_now_and_then(
        self, services: Services, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        with pytest.raises(OSSJobTimeoutError):
            await ObjectStrategy(progress_interval=0.1).wait(services, specification(seconds=0.6))
        texts = [record.message for record in caplog.records if "not written yet" in record.message]
        assert len(texts) >= 2
        assert all("before the deadline: job " in text for text in texts)

    async def test_trouble_with_the_object_is_waited_out(self, services: Services, stand: Any) -> None:
        stand.put("out.mp4")
        stand.service.add_fault("refuse", match="OSS:HeadObject", status=503, times=3)
        stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=2)
        stand.service.add_fault("close", match="OSS:HeadObject", times=4)
        assert (await OBJECT.wait(services, specification(seconds=20))).state == "succeeded"

    async def test_a_missing_right_ends_waiting(self, services: Services, stand: Any) -> None:
        stand.service.add_fault("refuse", match="OSS:HeadObject", status=403, code="AccessDenied", times=0)
        with pytest.raises(OSSServiceError, match="oss:GetObject"):
            await OBJECT.wait(services, specification())
        with pytest.raises(OSSServiceError, match="oss:GetObject"):
            await OBJECT.baseline(services, request())

    async def test_a_bucket_that_is_not_there_is_no_absent_object(self, services: Services) -> None:
        found = build_request(MP4, SOURCE, ObjectURI("nowhere", "out.mp4"))
        with pytest.raises(OSSServiceError, match="NoSuchBucket"):
            await OBJECT.baseline(services, found)

    async def test_a_job_without_such_an_output_is_refused(self, services: Services) -> None:
        spec = specification()
        spec = replace(spec, job=replace(spec.job, process="video/snapshots,f_jpg"))
        with pytest.raises(ProcessError, match="T-1 has no output"):
            await OBJECT.poll(services, spec)


async def running(services: Services, completion: str = "imm", seconds: float = 10.0) -> WaitSpecification:
    job = await submit(services.oss, replace(request(), imm_project="local-project"))
    return WaitSpecification(job, completion, time.time() + seconds, 0.1)


async def test_no_deadline_reaches_the_end_of_the_record(services: Services, stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=5)
    fresh = await running(services)
    long_ago = datetime.fromtimestamp(time.time() - MAX_TIMEOUT + 0.3, UTC).isoformat()
    old = replace(fresh, job=replace(fresh.job, submitted_at=long_ago))
    begun = time.monotonic()
    with pytest.raises(OSSJobTimeoutError):
        await STRATEGIES["imm"].wait(services, old)
    assert time.monotonic() - begun < 3


async def test_a_queue_that_was_removed_from_the_connection(
    services: Services, stand: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stand.service.add_fault("job_delay", seconds=0.2)
    spec = replace(await running(services, "smq"), max_poll_interval=0.3)
    assert (await STRATEGIES["smq"].wait(services, spec)).state == "succeeded"
    assert "names no SMQ queue" in caplog.text
    # And nothing to acknowledge.
    await STRATEGIES["smq"].acknowledge(services, spec)


async def test_a_message_has_the_job_polled_and_is_deleted_afterwards(stand: Any) -> None:
    from airflow_provider_oss_async.local.server.broker import Message, Queue

    queue = stand.service.cloud.broker.queues["q"] = Queue("q", visibility=30)
    stand.service.add_fault("job_delay", seconds=0.3)
    async with quick_services(stand.settings({"smq_queue": "q"})) as services:
        spec = replace(await running(services, "smq"), max_poll_interval=60.0)
        waiting = asyncio.create_task(STRATEGIES["smq"].wait(services, spec))
        await asyncio.sleep(0.6)
        assert not waiting.done()  # the next poll would come in 15 s
        body = {"TaskId": spec.job.task_id, "TaskType": "MediaConvert", "Status": "Succeeded"}
        stand.service._loop.call_soon_threadsafe(queue.put, Message(json.dumps(body)))
        async with asyncio.timeout(10):
            assert (await waiting).state == "succeeded"
        assert stand.requests("SMQ:BatchDeleteMessage") == 0
        await STRATEGIES["smq"].acknowledge(services, spec)
        assert stand.requests("SMQ:BatchDeleteMessage") == 1
