"""The commands ``airflow oss-async``.

Every ``airflow`` command imports this module, which therefore imports nothing but
Airflow's own form of commands.
"""

from __future__ import annotations

from typing import Any

from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand, lazy_load_command

_PACKAGE = "airflow_provider_oss_async.cli"


def _arg(flags: tuple[str, ...], **options: Any) -> Arg:
    return Arg(flags, **options)  # type: ignore[no-untyped-call]


_CONN_ID = _arg(("conn_id",), help="id of the Airflow connection, such as oss_async_default")
_BUCKET = _arg(("--bucket",), help="bucket to ask about; default that of the connection")
_OUTPUT = _arg(
    ("-o", "--output"),
    help="output format (default: table)",
    metavar="(table, json, yaml)",
    choices=("table", "json", "yaml"),
    default="table",
)
_FOR = _arg(
    ("--for",),
    help="what will be processed, with commas between: video (audio too), document, watermark; default all",
    dest="kinds",
    default="video,document,watermark",
)
_COMPLETION = _arg(
    ("--completion",),
    help="how the end of jobs is learned, with commas between: imm, smq, object; default imm, and smq where "
    "the connection names a queue",
    default="",
)

_VERIFY = (
    _arg(("--bucket",), help="bucket of samples and results", required=True),
    _arg(("--prefix",), help="key prefix of samples and results (default: %(default)s)",
         default="oss-async-verify"),
    _arg(("--operations",), help="jobs to run, by their names, with commas between; default all", default=""),
    _arg(("--topic",), help="SMQ topic for the completion messages of the jobs", default=""),
    _arg(("--queue",), help="SMQ queue that subscribes to it, and that nobody else reads", default=""),
    _arg(("--timeout",), help="seconds for the jobs (default: %(default)s)", type=float, default=1200.0),
    _arg(("--grace",), help="seconds to wait for listings and messages afterwards (default: %(default)s)",
         type=float, default=90.0),
    _arg(("--yes",), help="go on without asking", action="store_true"),
    _arg(("--keep",), help="leave samples and results in the bucket", action="store_true"),
    _arg(("--json",), help="file for a report without names and account ids", metavar="FILE", default=""),
)  # fmt: skip


def get_commands() -> list[GroupCommand]:
    """Return the commands; Airflow calls it once in each process."""
    return [
        GroupCommand(
            name="oss-async",
            help="Check connections to Alibaba Cloud OSS (async processing)",
            subcommands=(
                ActionCommand(
                    name="check",
                    help="Ask for every right and prerequisite of a connection, at no cost",
                    description=(
                        "Asks OSS, IMM, SMQ and STS harmless questions: where they are, who the caller is, "
                        "which rights it has, how the IMM project is set. Nothing is changed, submitted or "
                        "received. Exit code 0: nothing needed is missing; 1: something is; 2: the "
                        "connection cannot be used, or an argument is wrong."
                    ),
                    func=lazy_load_command(f"{_PACKAGE}.check_command.check"),
                    args=(_CONN_ID, _BUCKET, _FOR, _COMPLETION, _OUTPUT),
                ),
                ActionCommand(
                    name="verify",
                    help="Run tiny jobs, and put what the package assumes of the services to the test",
                    description=(
                        "Says what it will do, uploads tiny samples, runs a job of each operation, and says "
                        "of each assumption whether it is confirmed, differs (and what to set), or is not "
                        "tested. It is billed as a dozen small jobs. Exit code 0: nothing differs; 1: "
                        "something does; 2: nothing was done, or the connection cannot be used."
                    ),
                    func=lazy_load_command(f"{_PACKAGE}.verify_command.verify"),
                    args=(_CONN_ID, *_VERIFY),
                ),
            ),
        )
    ]
