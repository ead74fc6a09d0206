"""The command ``airflow oss-async check``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from airflow_provider_oss_async.cli.check import Report, check_connection
from airflow_provider_oss_async.cli.connection import find_connection
from airflow_provider_oss_async.cli.console import clean_stdout, print_data, print_table, ran_on
from airflow_provider_oss_async.exceptions import OSSAsyncError, ProcessError
from airflow_provider_oss_async.jobs.completion import STRATEGIES

if TYPE_CHECKING:
    import argparse
    from typing import TextIO

#: What ``--for`` takes.
KINDS = ("video", "document", "watermark")


def check(args: argparse.Namespace) -> None:
    """Run the command; it ends with :class:`SystemExit`."""
    with clean_stdout() as stdout:
        try:
            settings, where = find_connection(args.conn_id)
            kinds = _chosen("--for", args.kinds, KINDS)
            default = "imm,smq" if settings.smq_queue else "imm"
            completion = _chosen("--completion", args.completion or default, tuple(STRATEGIES))
            features = ["submit", *kinds, *completion, *(["media"] if "video" in kinds else [])]
            report = asyncio.run(check_connection(settings, features, bucket=args.bucket or ""))
        except OSSAsyncError as error:
            _print_error(str(error), args.output, stdout)
            raise SystemExit(2) from None
        _print(report, args.conn_id, where, args.output, stdout)
    raise SystemExit(0 if report.good else 1)


def _chosen(option: str, text: str, allowed: tuple[str, ...]) -> list[str]:
    chosen = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in chosen if part not in allowed]
    if wrong or not chosen:
        raise ProcessError(f"{option} takes {', '.join(allowed)}, with commas between, not {text!r}")
    return chosen


def _print_error(text: str, output: str, stdout: TextIO) -> None:
    if output == "table":
        print(text, file=stdout)
    else:
        print_data({"good": False, "error": text}, output, stdout)


def _print(report: Report, conn_id: str, where: str, output: str, stdout: TextIO) -> None:
    head = {"connection": conn_id, "found_in": where, "ran_on": ran_on()}
    if output != "table":
        checks = [row._asdict() for row in report.rows]
        print_data({**head, "good": report.good, "checks": checks, "policy": report.policy}, output, stdout)
        return
    for name, value in head.items():
        print(f"{name.replace('_', ' ')}: {value}", file=stdout)
    rows = [(row.subject, row.verdict, row.detail) for row in report.rows]
    print_table(("what", "verdict", "detail"), rows, stdout)
    if report.policy:
        print("\nPolicy that grants what was denied, to be attached to the caller:", file=stdout)
        print(json.dumps(report.policy, indent=2), file=stdout)
    summary = "Nothing that is needed is missing" if report.good else "Something that is needed is missing"
    print(f"\n{summary}. What cannot be told shows with a real job.", file=stdout)
