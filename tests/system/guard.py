"""Kills, at the end of its standard input, every process whose id it has read there, with all they started.

So that nothing outlives the tests, however they ended: the one who started the processes holds the pipe.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import psutil


def kill_tree(process: psutil.Process) -> None:
    """SIGKILL a process and everything below it."""
    with suppress(psutil.NoSuchProcess):
        process.suspend()  # It must not start any more.
        below = process.children(recursive=True)
        process.kill()
        for child in below:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def main() -> None:
    # A psutil.Process is bound to its time of creation, so that a reused id is nobody's.
    started = []
    for line in sys.stdin:
        with suppress(psutil.NoSuchProcess):
            started.append(psutil.Process(int(line)))
    for process in reversed(started):
        if process.is_running():
            kill_tree(process)


if __name__ == "__main__":
    main()
