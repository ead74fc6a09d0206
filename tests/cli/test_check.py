from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.cli.check import Report, check_connection
from airflow_provider_oss_async.cli.questions import NOT_ASKED
from airflow_provider_oss_async.cli.rights import FEATURES, RIGHTS
from tests.support.wire import Answer, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand

ALL = ("submit", "video", "document", "watermark", "imm", "smq")


async def check(cloud: Stand, features: tuple[str, ...] = ALL, **changes: Any) -> Report:
    return await check_connection(cloud.settings(changes), features, timeout=5)


def row(report: Report, subject: str) -> tuple[str, str, bool]:
    (found,) = [row for row in report.rows if row.subject == subject]
    return found.verdict, found.detail, found.needed


async def test_all_is_well(cloud: Stand) -> None:
    report = await check(cloud)
    assert report.good
    assert report.policy is None
    assert {row.verdict for row in report.rows} == {"ok", "allowed", "cannot be told"}
    assert row(report, "bucket binding")[1] == "bucket media is bound to IMM project local-project"
    assert row(report, "credentials")[1].startswith("static: RAMUser acs:ram::1000000000000001:user/local")
    assert row(report, "EngineConcurrency")[:2] == ("ok", "100")
    assert row(report, "SMQ topic")[:2] == ("ok", "jobs")


#: Rights that only a real job shows, or the service's answer to a question about another one.
NOT_SHOWN = NOT_ASKED.keys() - {"oss:ProcessImm"}


@pytest.mark.parametrize("right", [right.action for right in RIGHTS])
async def test_each_right_that_is_denied_is_told(cloud: Stand, right: str) -> None:
    cloud.service.add_fault("deny", match=right, times=0)
    report = await check(cloud, tuple(FEATURES))
    verdict, _, needed = row(report, right)
    if right in NOT_SHOWN:
        assert verdict == "cannot be told"
    else:
        assert verdict == "denied"
        assert report.good is not needed


async def test_what_a_project_does_not_tell(start_stand: Callable[..., Stand]) -> None:
    stand = start_stand(behaviour={"project_details": False}, topics={"jobs": ["done"]})
    report = await check(stand)
    for subject in ("service role", "EngineConcurrency", "ProjectQueriesPerSecond"):
        assert row(report, subject)[0] == "cannot be told"
    assert report.good


async def test_what_is_denied_makes_a_policy(cloud: Stand) -> None:
    for right in ("oss:PutObject", "imm:ListTasks", "mns:BatchDeleteMessage"):
        cloud.service.add_fault("deny", match=right, times=0)
    report = await check(cloud)
    assert not report.good
    assert report.policy is not None
    assert report.policy["Statement"] == [
        {"Effect": "Allow", "Action": ["oss:PutObject"], "Resource": "acs:oss:*:*:media/*"},
        {
            "Effect": "Allow",
            "Action": ["imm:ListTasks"],
            "Resource": "acs:imm:cn-hangzhou:1000000000000001:project/local-project",
        },
        {
            "Effect": "Allow",
            "Action": ["mns:BatchDeleteMessage"],
            "Resource": "acs:mns:cn-hangzhou:1000000000000001:/queues/done/messages",
        },
    ]


async def test_a_right_that_the_service_names_in_another_answer(cloud: Stand) -> None:
    cloud.service.add_fault("deny", match="oss:ProcessImm", times=0)
    report = await check(cloud)
    assert row(report, "oss:ProcessImm")[:2] == ("denied", "the service names it in another answer")
    assert row(report, "oss:PostProcessTask")[0] == "cannot be told"
    assert not report.good


async def test_what_works_without_a_right(cloud: Stand) -> None:
    cloud.service.add_fault("deny", match="imm:GetOSSBucketAttachment", times=0)
    cloud.service.add_fault("deny", match="imm:GetProject", times=0)
    report = await check(cloud)
    assert report.good
    assert row(report, "imm:GetOSSBucketAttachment")[0] == "denied"
    assert "works without it" in row(report, "imm:GetOSSBucketAttachment")[1]
    # Asked in another way, with a right on the project alone.
    assert row(report, "bucket binding")[0] == "ok"
    # Without the project's name nothing works without it.
    report = await check(cloud, imm_project="")
    assert not report.good


async def test_bindings(cloud: Stand, start_stand: Callable[..., Stand]) -> None:
    report = await check(cloud, imm_project="other")
    assert row(report, "bucket binding")[:2] == (
        "wrong",
        "imm_project is other, and bucket media is bound to local-project: set that, or unset it",
    )
    unbound = start_stand(buckets={"media": None}, projects=["p"])
    report = await check(unbound, imm_project="p")
    assert row(report, "bucket binding")[0] == "missing"
    assert "AttachOSSBucket" in row(report, "bucket binding")[1]
    report = await check(unbound, imm_project="nobody-s")
    assert row(report, "IMM project")[0] == "missing"
    report = await check_connection(cloud.settings(schema=""), ["submit", "imm"], timeout=5)
    assert row(report, "bucket binding")[0] == "cannot be told"


async def test_bindings_without_the_right_on_all_projects(start_stand: Callable[..., Stand]) -> None:
    cloud = start_stand(buckets={"media": "p", "other": None}, projects=["p", "q"])
    cloud.service.add_fault("deny", match="imm:GetOSSBucketAttachment", times=0)
    binding = row(await check(cloud, imm_project="p"), "bucket binding")
    assert binding[:2] == ("ok", "bucket media is bound to IMM project p")
    verdict, detail, needed = row(await check(cloud, imm_project="q"), "bucket binding")
    assert (verdict, needed) == ("wrong", True)
    assert detail.startswith("bucket media is not bound to imm_project q")
    cloud.service.add_fault("deny", match="imm:ListAttachedOSSBuckets", times=0)
    verdict, detail, _ = row(await check(cloud, imm_project="p"), "bucket binding")
    assert verdict == "cannot be told"
    assert detail.startswith("NoPermission")


async def test_topics_and_endpoints(cloud: Stand) -> None:
    assert row(await check(cloud, smq_topic="nobody-s"), "SMQ topic")[0] == "missing"
    assert row(await check(cloud, smq_topic=""), "SMQ topic")[0] == "cannot be told"
    assert row(await check(cloud, smq_endpoint="", smq_queue=""), "SMQ endpoint")[0] == "missing"
    cloud.service.add_fault("deny", match="mns:GetTopicAttributes", times=0)
    assert row(await check(cloud), "SMQ topic") == (
        "cannot be told",
        "AccessDenied The OwnerId that your Access Key Id associated to is forbidden for this operation.",
        False,
    )


async def test_the_queue_of_another_account(cloud: Stand) -> None:
    official = "http://1234567890123456.mns.cn-hangzhou.aliyuncs.com"
    # Without topic and queue nothing is sent there.
    settings = cloud.settings({"smq_endpoint": official, "smq_topic": "", "smq_queue": ""})
    report = await check_connection(settings, ["smq"], timeout=5)
    verdict, detail, needed = row(report, "SMQ endpoint")
    assert (verdict, needed) == ("wrong", True)
    assert "1234567890123456" in detail
    assert "1000000000000001" in detail


async def test_keys_that_are_refused(cloud: Stand) -> None:
    report = await check_connection(cloud.settings(login="nobody"), ["submit", "imm"], timeout=5)
    assert row(report, "credentials")[0] == "wrong"
    assert not report.good
    # A wrong key says nothing of rights.
    assert row(report, "imm:ListTasks")[0] == "cannot be told"
    report = await check_connection(
        cloud.settings({"credential_source": "environment"}), ["submit"], timeout=5
    )
    assert row(report, "credentials")[0] == "wrong"
    assert len(report.rows) <= 3


@pytest.mark.parametrize(
    ("answer", "subject", "verdict", "words"),
    [
        (Answer(403, "<html/>"), "OSS endpoint", "wrong", "is not OSS"),
        (
            Answer(403, "", {"x-oss-request-id": "R", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}),
            "clock",
            "wrong",
            "set the clock",
        ),
        (Answer(403, "", {"x-oss-request-id": "R", "Date": "no"}), "clock", "cannot be told", "no date"),
        (Answer(fault="drop"), "OSS endpoint", "wrong", "does not answer"),
    ],
)
async def test_endpoint_and_clock(
    cloud: Stand, answer: Answer, subject: str, verdict: str, words: str
) -> None:
    with Wire() as wire:
        wire.respond = lambda request: answer
        report = await check_connection(cloud.settings(host=wire.url), ["imm"], timeout=5)
    assert row(report, subject)[0] == verdict
    assert words in row(report, subject)[1]


async def test_an_sts_that_does_not_answer_decides_nothing(cloud: Stand) -> None:
    cloud.service.add_fault("close", match="IMM:GetCallerIdentity", times=0)
    report = await check(cloud)
    assert report.good
    assert row(report, "credentials")[0] == "cannot be told"
    cloud.service.add_fault("deny", match="imm:ListTasks", times=0)
    policy: Any = (await check(cloud)).policy
    assert policy["Statement"][0]["Resource"] == "acs:imm:cn-hangzhou:*:project/local-project"


async def test_warnings_of_the_connection(cloud: Stand) -> None:
    report = await check(cloud, role_session_name="airflow")
    assert row(report, "connection")[2] is False
    assert report.good
