from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import yaml

from airflow_provider_oss_async.cli.console import clean_stdout, print_data, print_table, ran_on

if TYPE_CHECKING:
    import pytest


def test_only_the_result_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    try:
        with clean_stdout() as stdout:
            print("printed by somebody")
            logging.getLogger("airflow.x").warning("logged by somebody")
            print("result", file=stdout)
        assert handler.stream is sys.stdout
    finally:
        logging.getLogger().removeHandler(handler)
    out, err = capsys.readouterr()
    assert out == "result\n"
    assert "printed by somebody" in err
    assert "logged by somebody" in err


def test_data_is_printed_as_json_and_yaml() -> None:
    data = {"b": [1, {"c": None}], "a": "影"}
    for output, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        stream = io.StringIO()
        print_data(data, output, stream)
        assert read(stream.getvalue()) == data
        assert "影" in stream.getvalue()


def test_a_table_shows_brackets_as_they_are() -> None:
    stream = io.StringIO()
    print_table(("what", "detail"), [("a", "[red]b[/red]")], stream)
    assert "[red]b[/red]" in stream.getvalue()


def test_a_table_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    widths = []
    for stream in (Terminal(), io.StringIO()):
        print_table(("what", "detail"), [("a", "word " * 50)], stream)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
        widths.append(max(map(len, plain.splitlines())))
    assert widths[0] <= 40 < widths[1]


def test_where_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    import getpass

    def nobody() -> str:
        raise KeyError("no such uid")

    assert "@" in ran_on()
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert ran_on().startswith("unknown user@")
