"""What the commands print: the result alone goes to stdout, whatever Airflow logs there."""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import shutil
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@contextmanager
def clean_stdout() -> Iterator[TextIO]:
    """Send to stderr whatever else is printed or logged, and yield the real stdout."""
    stdout = sys.stdout
    moved = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stdout
    ]
    for handler in moved:
        handler.setStream(sys.stderr)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield stdout
    finally:
        for handler in moved:
            handler.setStream(stdout)


def ran_on() -> str:
    """Say where a command runs: not where the tasks do."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "unknown user"
    return (
        f"{user}@{socket.gethostname()}: with the environment, network and roles of this machine, which may "
        "differ from those of workers and triggerer"
    )


def print_data(data: Mapping[str, Any], output: str, stream: TextIO) -> None:
    """Print JSON natives as ``json`` or ``yaml``."""
    if output == "yaml":
        import yaml

        yaml.safe_dump(dict(data), stream, sort_keys=False, allow_unicode=True)
    else:
        print(json.dumps(data, indent=2, ensure_ascii=False), file=stream)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], stream: TextIO) -> None:
    """Print a table; its cells are wrapped to the width of the terminal."""
    from airflow.cli.simple_table import AirflowConsole, SimpleTable
    from rich.text import Text

    table = SimpleTable(show_header=True)  # type: ignore[no-untyped-call]
    for name in head:
        table.add_column(name, overflow="fold")
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells))
    console = AirflowConsole(file=stream)
    if stream.isatty():
        # It takes stdout for a file, because that is redirected here, and what it prints would be too wide.
        console.width = shutil.get_terminal_size().columns
    console.print(table)
