"""The fault ``deny``: the answers of the services to a missing right, as the official SDKs see them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_imm20200930 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_oss_async.local.server.rights import needed
from tests.support.local_service import convert, imm_client, oss_client, put, refusal, submit

if TYPE_CHECKING:
    from airflow_provider_oss_async.local.server.app import LocalService


@pytest.mark.parametrize("right", ["oss:PostProcessTask", "oss:GetObject", "oss:ProcessImm", "oss:PutObject"])
def test_a_submission_needs_four_rights(service: LocalService, right: str) -> None:
    client = oss_client(service)
    put(client, "in.mov")
    service.add_fault("deny", match=right)
    with pytest.raises(oss.exceptions.OperationError) as caught:
        submit(client, convert())
    error: Any = refusal(caught.value)
    assert (error.status_code, error.code, error.ec) == (403, "AccessDenied", "0003-00000202")
    assert f"<AuthAction>{right}</AuthAction>".encode() in error.snapshot
    assert submit(client, convert())


def test_head_has_the_detail_in_a_header(service: LocalService) -> None:
    service.add_fault("deny", match="oss:GetObject")
    with pytest.raises(oss.exceptions.OperationError) as caught:
        oss_client(service).head_object(oss.HeadObjectRequest(bucket="media", key="a"))
    body = base64.b64decode(refusal(caught.value).headers["x-oss-err"])
    assert b"<AuthAction>oss:GetObject</AuthAction>" in body


def test_imm(service: LocalService) -> None:
    service.add_fault("deny", match="imm:*")
    with pytest.raises(ClientException) as caught:
        imm_client(service).list_tasks(models.ListTasksRequest(project_name="local-project"))
    assert caught.value.code == "NoPermission"
    assert caught.value.access_denied_detail["AuthAction"] == "imm:ListTasks"


def test_who_the_caller_is_needs_no_right() -> None:
    assert needed("IMM:GetCallerIdentity") == ()
    assert needed("SMQ:BatchReceiveMessage") == ("mns:BatchReceiveMessage",)
