"""What ``airflow oss-async verify`` prints on a terminal, against a stand-in; README shows it.

``python -m tests.cli.verify_output`` writes it into ``README.md``.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_provider_oss_async.local.server.app import LocalService

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- output:verify -->", "<!-- end -->"
COLUMNS = 118
#: What differs from run to run, and what README shows instead.
VARYING = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"(?m)^ran on: [^:]*", "ran on: airflow@worker"),
    (r"oss-async-verify/[0-9a-f]{12}/", "oss-async-verify/3f9c51c27a02/"),
    (r"[+-]\d+\.\d to [+-]\d+\.\d s\b", "+0.1 to +0.3 s"),
    (r"within \d+\.\d s\b", "within 0.3 s"),
    (r"(?m)[ \r]+$", ""),
)


def output(home: Path) -> str:
    """Run the command, and return what it prints.

    The stand-in differs in one thing from what is assumed.

    :param home: an empty directory.
    """
    with LocalService(home / "cloud", buckets={"media-bucket": "media-project"}) as service:
        service.cloud.behaviour.definitions = False
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW_CONN_OSS_ASYNC_DEFAULT": service.connection_json(),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "COLUMNS": str(COLUMNS),
            "TERM": "xterm",
            "NO_COLOR": "1",
        }
        command = [
            *(sys.executable, "-m", "airflow", "oss-async", "verify", "oss_async_default"),
            *("--bucket", "media-bucket", "--yes"),
        ]
        text = _on_terminal(command, environment)
    for pattern, shown in VARYING:
        text = re.sub(pattern, shown, text)
    return text.strip()


def _on_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Return what a command prints, but for its errors, where that is a terminal."""
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=inside, stderr=subprocess.DEVNULL
    ):
        os.close(inside)
        found = b""
        # Linux ends the reading with an error when the other side is closed.
        while chunk := _read(terminal):
            found += chunk
    os.close(terminal)
    return found.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def shown() -> str:
    """What README shows."""
    _, _, rest = README.read_text("utf-8").partition(BEGIN)
    return rest.partition(END)[0].strip().removeprefix("```text").removesuffix("```").strip()


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        text = output(Path(home))
    before, found, rest = README.read_text("utf-8").partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise SystemExit(f"README.md has no {BEGIN} ... {END}")
    README.write_text(f"{before}{BEGIN}\n\n```text\n{text}\n```\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
