from __future__ import annotations

import re

from airflow_provider_oss_async.cli.questions import NOT_ASKED, QUESTIONS
from airflow_provider_oss_async.cli.rights import FEATURES, RESOURCES, RIGHTS, policy, rights_for
from airflow_provider_oss_async.clients.errors import rights_of

NAMES = {"bucket": "b", "region": "cn-hangzhou", "account": "1", "project": "p", "queue": "q"}


def test_the_table_is_whole() -> None:
    actions = [right.action for right in RIGHTS]
    assert len(set(actions)) == len(actions)
    for right in RIGHTS:
        assert right.resource in RESOURCES
        assert right.features
        assert set(right.features) <= FEATURES.keys()
    # Each right is asked about, or it is said why not.
    assert set(QUESTIONS) | set(NOT_ASKED) == set(actions)
    assert not set(QUESTIONS) & set(NOT_ASKED)


def test_what_errors_advise_to_grant_is_in_the_table() -> None:
    named = f"{rights_of('OSS', 'AsyncProcessObject')} " + rights_of("OSS", "ListObjectsV2")
    assert set(re.findall(r"\w+:\w+", named)) <= {right.action for right in RIGHTS}


def test_a_policy_has_one_statement_for_each_resource() -> None:
    found = policy(rights_for(["submit", "watermark"]), NAMES)
    assert found == {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["oss:GetObject", "oss:PostProcessTask", "oss:ProcessImm"],
                "Resource": "acs:oss:*:*:b/*",
            },
            {"Effect": "Allow", "Action": ["oss:ListObjects"], "Resource": "acs:oss:*:*:b"},
            {
                "Effect": "Allow",
                "Action": ["imm:CreateDecodeBlindWatermarkTask"],
                "Resource": "acs:imm:cn-hangzhou:1:project/p",
            },
            {"Effect": "Allow", "Action": ["imm:GetDecodeBlindWatermarkResult"], "Resource": "*"},
        ],
    }
