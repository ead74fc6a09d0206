from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.cli.definition import get_commands

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.stand import Stand


@pytest.fixture
def cloud(start_stand: Callable[..., Stand], monkeypatch: pytest.MonkeyPatch) -> Stand:
    """A stand-in with topic and queue; the connection ``oss_async_default`` leads to it."""
    stand = start_stand(topics={"jobs": ["done"]})
    monkeypatch.setenv("AIRFLOW_CONN_OSS_ASYNC_DEFAULT", json.dumps(stand.connection()))
    return stand


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command as Airflow does, and return its exit code and what it has written to stdout."""

    def run(name: str, *arguments: str) -> tuple[int, str]:
        (group,) = get_commands()
        command = next(one for one in group.subcommands if one.name == name)
        parser = argparse.ArgumentParser()
        for arg in command.args:
            arg.add_to_parser(parser)
        code: Any = None
        try:
            command.func(parser.parse_args(list(arguments)))
        except SystemExit as error:
            code = error.code
        return int(code), capsys.readouterr().out

    return run
