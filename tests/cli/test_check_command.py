from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand


def test_a_table(cloud: Stand, run: Callable[..., tuple[int, str]]) -> None:
    code, text = run("check", "oss_async_default")
    assert code == 0, text
    assert text.startswith(
        "connection: oss_async_default\nfound in: environment or secrets backend\nran on: "
    )
    assert "mns:BatchDeleteMessage" in text  # the connection names a queue
    assert "Nothing that is needed is missing" in text
    assert "Policy" not in text
    assert "local-secret" not in text


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_data(cloud: Stand, run: Callable[..., tuple[int, str]], output: str) -> None:
    cloud.service.add_fault("deny", match="oss:ListObjects", times=0)
    code, text = run("check", "oss_async_default", "-o", output, "--for", "video", "--completion", "object")
    assert code == 1
    data = json.loads(text) if output == "json" else yaml.safe_load(text)
    assert data["good"] is False
    subjects = {row["subject"]: row["verdict"] for row in data["checks"]}
    assert subjects["oss:ListObjects"] == "denied"
    assert "imm:CreateOfficeConversionTask" not in subjects
    assert data["policy"]["Statement"][0]["Action"] == ["oss:ListObjects"]


def test_a_policy_is_printed(cloud: Stand, run: Callable[..., tuple[int, str]]) -> None:
    cloud.service.add_fault("deny", match="oss:PutObject", times=0)
    code, text = run("check", "oss_async_default", "--bucket", "media")
    assert code == 1
    policy = text[text.index("{") : text.rindex("}") + 1]
    assert json.loads(policy)["Statement"][0]["Action"] == ["oss:PutObject"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["oss_async_default", "--for", "music"], "--for takes video, document, watermark"),
        (["oss_async_default", "--for", ","], "--for takes"),
        (["oss_async_default", "--completion", "mail"], "--completion takes imm, smq, object"),
    ],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_wrong_arguments(
    cloud: Stand, run: Callable[..., tuple[int, str]], arguments: list[str], words: str, output: str
) -> None:
    code, text = run("check", *arguments, "-o", output)
    assert code == 2
    assert words in (json.loads(text)["error"] if output == "json" else text)


def test_no_connection(run: Callable[..., tuple[int, str]], airflow_db: None) -> None:
    code, text = run("check", "nobody_s")
    assert code == 2
    assert text.startswith("There is no Airflow connection 'nobody_s' here")
