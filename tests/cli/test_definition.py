from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from airflow_provider_oss_async.cli.definition import get_commands
from airflow_provider_oss_async.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PATH = "airflow_provider_oss_async.cli.definition.get_commands"


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=120,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_airflow_is_told() -> None:
    assert get_provider_info()["cli"] == [PATH]


def test_every_command_has_help_and_can_be_loaded() -> None:
    (group,) = get_commands()
    assert group.name == "oss-async"
    for command in group.subcommands:
        assert command.help
        assert command.description
        assert callable(command.func)


def test_it_imports_nothing_of_the_package() -> None:
    """Every ``airflow`` command pays for what it imports."""
    loaded = python(
        # Airflow has read the provider's metadata before.
        "import sys, airflow.cli.cli_config, airflow_provider_oss_async; before = set(sys.modules)\n"
        "from airflow_provider_oss_async.cli.definition import get_commands; get_commands()\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    assert loaded.split() == [
        "airflow_provider_oss_async.cli",
        "airflow_provider_oss_async.cli.definition",
    ]


def test_airflow_has_the_commands_and_a_broken_command_breaks_no_other() -> None:
    """A command's own module is imported when it is run, and not before."""
    code = (
        "import sys\n"
        "sys.modules['airflow_provider_oss_async.cli.check_command'] = None  # its import fails\n"
        "from airflow.cli.cli_parser import get_parser\n"
        "parser = get_parser()\n"
        "parser.parse_args(['version']).func\n"
        "args = parser.parse_args(['oss-async', 'check', 'c', '-o', 'json', '--for', 'video'])\n"
        "print(args.conn_id, args.output, args.kinds)\n"
        "try:\n    args.func(args)\nexcept ImportError:\n    print('broken')"
    )
    assert python(code).splitlines()[-2:] == ["c json video", "broken"]
