from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from mns.mns_client import MNSClient
from mns.mns_exception import MNSServerException
from mns.mns_request import ReceiveMessageRequest, ReceiveMessageResponse
from mns.queue import Message, Queue
from mns.topic import Topic, TopicMessage

from airflow_provider_oss_async.local.server import broker
from tests.support.local_service import (
    admin,
    b64,
    convert,
    imm_client,
    oss_client,
    put,
    submit,
    wait_for_end,
)
from tests.support.services import quick_services

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_oss_async.local.server.app import LocalService


def mns(service: LocalService, key: str = "local", secret: str = "local-secret", token: str = "") -> Any:
    return MNSClient(service.endpoint, key, secret, security_token=token)


def open_queue(service: LocalService, name: str) -> Any:
    queue = Queue(name, mns(service))
    queue.set_encoding(False)
    return queue


@pytest.fixture
def topic(service: LocalService) -> Any:
    admin(service, "PUT", "topics/jobs", {"queues": ["done"]})
    return Topic("jobs", mns(service))


@pytest.fixture
def queue(service: LocalService, topic: Any) -> Any:
    return open_queue(service, "done")


def code_of(call: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(MNSServerException) as caught:
        call(*arguments)
    return str(caught.value.type)


def test_what_is_published_arrives(queue: Any, topic: Any) -> None:
    sent = topic.publish_message(TopicMessage("héllo <&> \n end"))
    message = queue.receive_message(1)
    assert message.message_body == "héllo <&> \n end"
    assert message.message_body_md5 == sent.message_body_md5
    assert (message.dequeue_count, message.priority) == (1, 8)
    assert message.enqueue_time <= message.first_dequeue_time < message.next_visible_time
    queue.delete_message(message.receipt_handle)
    assert code_of(queue.receive_message) == "MessageNotExist"


@pytest.mark.parametrize("form", ["JSON", "XML"])
def test_wrapped_notifications(service: LocalService, queue: Any, form: str) -> None:
    admin(service, "PUT", "topics/wrapped", {"queues": ["done"], "format": form})
    topic = Topic("wrapped", mns(service))
    topic.publish_message(TopicMessage("body"))
    body = queue.receive_message(1).message_body
    if form == "JSON":
        assert json.loads(body)["Message"] == "body"
    else:
        assert "<Message>body</Message>" in body


def test_names_that_do_not_exist(service: LocalService) -> None:
    assert code_of(Queue("none", mns(service)).receive_message) == "QueueNotExist"
    assert code_of(Topic("none", mns(service)).publish_message, TopicMessage("x")) == "TopicNotExist"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:mns")
@pytest.mark.filterwarnings("ignore:Call to deprecated function:DeprecationWarning")
def test_a_batch_is_at_most_sixteen(queue: Any) -> None:
    for number in range(20):
        queue.send_message(Message(str(number)))
    first = queue.batch_receive_message(16)
    second = queue.batch_receive_message(16)
    assert [len(first), len(second)] == [16, 4]
    assert {m.message_body for m in first + second} == {str(n) for n in range(20)}
    queue.batch_delete_message([m.receipt_handle for m in first])
    with pytest.raises(MNSServerException) as caught:
        queue.batch_delete_message([first[0].receipt_handle, second[0].receipt_handle])
    assert caught.value.type == "ReceiptHandleError"
    # The valid handle of the two was deleted all the same.
    assert code_of(queue.delete_message, second[0].receipt_handle) == "ReceiptHandleError"
    queue.batch_delete_message([m.receipt_handle for m in second[1:]])


def test_a_message_comes_back_until_it_is_deleted(service: LocalService) -> None:
    service.cloud.broker.queues["short"] = broker.Queue("short", visibility=1)
    queue = open_queue(service, "short")
    queue.send_message(Message("again"))
    first = queue.receive_message(1)
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    begin = time.monotonic()
    second = queue.receive_message(5)
    assert 0.5 < time.monotonic() - begin < 2
    assert (second.message_id, second.dequeue_count) == (first.message_id, 2)
    assert code_of(queue.delete_message, first.receipt_handle) == "ReceiptHandleError"
    longer = queue.change_message_visibility(second.receipt_handle, 60)
    assert code_of(queue.delete_message, second.receipt_handle) == "ReceiptHandleError"
    queue.delete_message(longer.receipt_handle)


def test_a_message_can_be_hidden_for_less(queue: Any) -> None:
    queue.send_message(Message("soon"))
    first = queue.receive_message(1)
    changed = queue.change_message_visibility(first.receipt_handle, 1)
    assert changed.receipt_handle != first.receipt_handle
    assert int(changed.next_visible_time) <= time.time() * 1000 + 1000
    again = queue.receive_message(5)
    assert (again.message_id, again.dequeue_count) == (first.message_id, 2)
    for handle in (first.receipt_handle, changed.receipt_handle):
        assert code_of(queue.change_message_visibility, handle, 60) == "ReceiptHandleError"
    # The client refuses what is more than 43,200 seconds.
    assert code_of(queue.change_message_visibility, again.receipt_handle, 0) == "InvalidArgument"


def test_a_long_poll_ends_with_the_first_message(service: LocalService, queue: Any) -> None:
    sender = open_queue(service, "done")
    timer = threading.Timer(0.2, sender.send_message, [Message("late")])
    timer.start()
    begin = time.monotonic()
    assert queue.batch_receive_message(16, 10)[0].message_body == "late"
    assert time.monotonic() - begin < 2
    timer.join()


def test_a_long_poll_does_not_hold_up_the_end(start: Callable[..., LocalService]) -> None:
    service = start("other", topics={"jobs": ["done"]})
    queue = open_queue(service, "done")
    outcome: list[str] = []
    poll = threading.Thread(target=lambda: outcome.append(code_of(queue.receive_message, 30)))
    poll.start()
    time.sleep(0.1)
    begin = time.monotonic()
    service.stop()
    poll.join(5)
    assert time.monotonic() - begin < 2
    assert outcome == ["MessageNotExist"]


def test_wrong_arguments_are_refused(queue: Any) -> None:
    request = ReceiveMessageRequest("done", wait_seconds=31)
    assert code_of(queue.mns_client.receive_message, request, ReceiveMessageResponse()) == "InvalidArgument"


def test_a_signature_is_checked(service: LocalService, queue: Any) -> None:
    def receive(*key: str) -> str:
        return code_of(Queue("done", mns(service, *key)).receive_message, 0)

    assert receive("local", "wrong") == "SignatureDoesNotMatch"
    assert receive("wrong") == "InvalidAccessKeyId"
    admin(service, "PUT", "keys/STS.1", {"secret": "s", "token": "t", "expires_in": 60})
    assert receive("STS.1", "s", "t") == "MessageNotExist"
    assert receive("STS.1", "s", "u") == "InvalidSecurityToken"
    admin(service, "PUT", "keys/STS.1", {"secret": "s", "token": "t", "expires_in": -1})
    assert receive("STS.1", "s", "t") == "InvalidSecurityToken"


def finished_message(service: LocalService, queue: Any, process: str, task_type: str = "MediaConvert") -> Any:
    oss = oss_client(service)
    put(oss, "in.mov")
    task_id = submit(oss, process)
    wait_for_end(imm_client(service), task_id, task_type)
    envelope = json.loads(queue.receive_message(5).message_body)
    content = json.loads(envelope["content"])
    assert content["TaskId"] == task_id
    return envelope, content


def test_a_finished_job_is_announced(service: LocalService, queue: Any, topic: Any) -> None:
    envelope, content = finished_message(service, queue, convert("out.mp4", "jobs"))
    assert (envelope["source"], envelope["type"]) == ("acs.imm", "imm:Task:MediaConvert")
    assert envelope["subject"].endswith(":local-project/imm:Task:MediaConvert")
    assert abs(int(envelope["time"]) / 1000 - time.time()) < 5
    assert (content["Status"], content["ProjectName"]) == ("Succeeded", "local-project")
    assert content["Sources"] == [{"URI": "oss://media/in.mov"}]
    assert content["Targets"] == [{"URI": "oss://media/out.mp4"}]


def test_frames_are_announced_as_images(service: LocalService, queue: Any, topic: Any) -> None:
    process = f"video/snapshots,f_jpg,inter_1000|sys/saveas,o_{b64('f/shot')}/notify,topic_{b64('jobs')}"
    _, content = finished_message(service, queue, process)
    assert content["Targets"] == [
        {"URI": "", "Image": {"Snapshots": [{"URI": "oss://media/f/shot_0_1.jpg"}]}}
    ]


def test_a_failed_job_is_announced(service: LocalService, queue: Any, topic: Any) -> None:
    service.add_fault("job_fail", code="InvalidArgument", message="cannot be read")
    _, content = finished_message(service, queue, convert("out.mp4", "jobs"))
    assert (content["Status"], content["Code"]) == ("Failed", "InvalidArgument")
    assert content["Message"] == "cannot be read"


def test_a_watermark_is_announced_with_its_text(service: LocalService, queue: Any, topic: Any) -> None:
    process = f"image/deblindwatermark,s_low,t_text|sys/notify,topic_{b64('jobs')}"
    _, content = finished_message(service, queue, process, "DecodeBlindWatermark")
    assert content["Content"] == "hidden text"


def test_messages_can_be_lost_doubled_and_encoded(service: LocalService, queue: Any, topic: Any) -> None:
    oss = oss_client(service)
    put(oss, "in.mov")
    service.add_fault("notify_drop")
    wait_for_end(imm_client(service), submit(oss, convert("1.mp4", "jobs")))
    assert code_of(queue.receive_message, 0) == "MessageNotExist"
    service.add_fault("notify_twice")
    service.add_fault("notify_base64", match="oss://media/*")
    task_id = submit(oss, convert("2.mp4", "jobs"))
    messages = [queue.receive_message(5), queue.receive_message(5)]
    for message in messages:
        envelope = json.loads(base64.b64decode(message.message_body))
        assert json.loads(envelope["content"])["TaskId"] == task_id


def test_a_topic_that_does_not_exist_is_silence(service: LocalService, queue: Any, topic: Any) -> None:
    oss = oss_client(service)
    put(oss, "in.mov")
    task = wait_for_end(imm_client(service), submit(oss, convert("out.mp4", "no-such-topic")))
    assert task.status == "Succeeded"
    assert code_of(queue.receive_message, 0) == "MessageNotExist"


def test_topics_can_be_made_at_the_start(start: Callable[..., LocalService]) -> None:
    service = start("other", topics={"jobs": ["first", "second"]})
    Topic("jobs", mns(service)).publish_message(TopicMessage("x"))
    for name in ("first", "second"):
        assert open_queue(service, name).receive_message(1).message_body == "x"


async def test_a_receiver_that_has_gone_gets_nothing(stand: Any) -> None:
    """Else a message would be hidden, although nobody has it."""
    queue = stand.service.cloud.broker.queues["q"] = broker.Queue("q")
    async with quick_services(stand.settings()) as services:
        assert services.smq is not None
        waiting = asyncio.create_task(services.smq.receive("q", wait=10))
        await asyncio.sleep(0.3)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0.1)
        stand.service._loop.call_soon_threadsafe(queue.put, broker.Message("body"))
        assert [message.body for message in await services.smq.receive("q", wait=5)] == [b"body"]
