"""The provider for ``MessageQueueTrigger``, through Airflow's own discovery and its own wrapper."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.queues.smq import SMQMessageQueueProvider
from airflow_provider_oss_async.triggers.oss_event import OSSEventTrigger

DIRECT = OSSEventTrigger(oss_conn_id="c", queue="uploads", prefix="in/", kinds=["object", "job"])


def test_the_stored_trigger_is_the_direct_one() -> None:
    wrapped = MessageQueueTrigger(
        scheme="smq", oss_conn_id="c", smq_queue="uploads", prefix="in/", kinds=["object", "job"]
    )
    assert wrapped.serialize() == DIRECT.serialize()


def test_the_deprecated_form() -> None:
    with pytest.warns(AirflowProviderDeprecationWarning):
        wrapped = MessageQueueTrigger(
            queue="smq://uploads", oss_conn_id="c", prefix="in/", kinds=["object", "job"]
        )
    assert wrapped.serialize() == DIRECT.serialize()


def test_a_wrong_argument_is_refused_when_the_file_is_parsed() -> None:
    with pytest.raises(ProcessError, match="max_batch=0 is not allowed"):
        MessageQueueTrigger(scheme="smq", max_batch=0).serialize()


@pytest.mark.parametrize(
    ("queue", "matches"),
    [("smq://q", True), ("https://sqs.us-east-1.amazonaws.com/1/q", False), ("q", False)],
)
def test_addresses(queue: str, matches: bool) -> None:
    provider = SMQMessageQueueProvider()
    assert provider.queue_matches(queue) is matches
    assert provider.scheme_matches("smq")
    assert not provider.scheme_matches("sqs")


def run(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_discovery_imports_the_trigger_only_where_it_is_used() -> None:
    """Every file that imports ``MessageQueueTrigger`` imports every provider's queue class."""
    code = (
        "import json, sys\n"
        "import airflow.providers.common.messaging.triggers.msg_queue as m\n"
        "names = [type(p).__name__ for p in m.MESSAGE_QUEUE_PROVIDERS]\n"
        "ours = [n for n in sys.modules if n.startswith('airflow_provider_oss_async.')]\n"
        "print(json.dumps([names, ours]))"
    )
    names, ours = run(code)
    assert "SMQMessageQueueProvider" in names
    assert "airflow_provider_oss_async.queues.smq" in ours
    assert not [name for name in ours if ".triggers" in name or ".jobs" in name or ".events" in name]


def test_without_the_extra_only_this_module_is_missing() -> None:
    code = (
        "import json, sys\n"
        "sys.modules['airflow.providers.common.messaging.providers'] = None\n"
        "import airflow_provider_oss_async.triggers.oss_event\n"
        "try:\n"
        "    import airflow_provider_oss_async.queues.smq\n"
        "    print(json.dumps('imported'))\n"
        "except ImportError as error:\n"
        "    print(json.dumps(str(error)))"
    )
    assert "airflow.providers.common.messaging" in run(code)
