"""Each question against the stand-in: with the right, without it, and where the service names another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.cli.questions import NOT_ASKED, QUESTIONS, Place, ask
from airflow_provider_oss_async.hooks.services import open_services

if TYPE_CHECKING:
    from tests.support.stand import Stand

PLACE = Place("media", "local-project", "done")


async def asked(cloud: Stand, action: str, place: Place = PLACE, **options: Any) -> Any:
    async with open_services(cloud.settings()) as services:
        return await ask(action, services, place, **options)


@pytest.mark.parametrize("action", sorted(QUESTIONS))
async def test_each_right_is_told(cloud: Stand, action: str) -> None:
    finding = await asked(cloud, action)
    assert (finding.verdict, finding.denied) == ("allowed", "")
    cloud.service.add_fault("deny", match=action, times=0)
    finding = await asked(cloud, action)
    assert (finding.verdict, finding.denied) == ("denied", action)
    assert finding.detail.startswith(("AccessDenied: ", "NoPermission: "))


async def test_nothing_is_changed(cloud: Stand) -> None:
    cloud.service.put("in.mov", b"data")
    for action in QUESTIONS:
        await asked(cloud, action)
    assert cloud.service.objects() == ["in.mov"]
    assert cloud.service.jobs() == []
    assert not [name for name in ("SMQ:BatchReceiveMessage", "OSS:PutObject") if cloud.requests(name)]


async def test_another_right_is_refused_first(cloud: Stand) -> None:
    cloud.service.add_fault("deny", match="oss:ProcessImm")
    finding = await asked(cloud, "oss:PostProcessTask")
    assert (finding.verdict, finding.denied) == ("cannot be told", "oss:ProcessImm")


@pytest.mark.parametrize(
    ("action", "place", "verdict", "words"),
    [
        ("oss:GetObject", {"bucket": "nobody-s"}, "missing", "Check the bucket's name"),
        ("imm:GetTask", {"project": "nobody-s"}, "missing", "no such project"),
        ("mns:BatchDeleteMessage", {"queue": "nobody-s"}, "missing", "Check queue and topic"),
        ("oss:GetObject", {"bucket": ""}, "cannot be told", "give --bucket"),
        ("imm:GetTask", {"project": ""}, "cannot be told", "set imm_project"),
        ("mns:BatchDeleteMessage", {"queue": ""}, "cannot be told", "smq_queue"),
    ],
)
async def test_things_that_are_not_there(
    cloud: Stand, action: str, place: dict[str, str], verdict: str, words: str
) -> None:
    finding = await asked(cloud, action, replace(PLACE, **place))
    assert finding.verdict == verdict
    assert words in finding.detail


@pytest.mark.parametrize("action", sorted(NOT_ASKED))
async def test_what_is_not_asked(cloud: Stand, action: str) -> None:
    finding = await asked(cloud, action)
    assert finding == ("cannot be told", NOT_ASKED[action], "")


async def test_no_answer(cloud: Stand) -> None:
    cloud.service.add_fault("hang", match="IMM:ListTasks")
    finding = await asked(cloud, "imm:ListTasks", timeout=0.2)
    assert finding == ("cannot be told", "no answer within 0.2 s", "")
    cloud.service.add_fault("throttle", match="IMM:ListTasks")
    finding = await asked(cloud, "imm:ListTasks")
    assert finding.verdict == "cannot be told"
    assert "Throttling.User" in finding.detail
