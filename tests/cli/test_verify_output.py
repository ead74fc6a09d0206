"""README shows what ``verify`` really prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli import verify_output

if TYPE_CHECKING:
    from pathlib import Path


def test_readme_shows_what_verify_prints(tmp_path: Path) -> None:
    printed = verify_output.output(tmp_path)
    # Cells are wrapped as wide as the longest one, which may hold a number that varies.
    current = printed.split() == verify_output.shown().split()
    assert current, f"run python -m tests.cli.verify_output; it prints\n{printed}"
