"""The command ``airflow oss-async verify``."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow_provider_oss_async import __version__
from airflow_provider_oss_async.cli.assumptions import Assumption, Result, judge_all
from airflow_provider_oss_async.cli.connection import find_connection
from airflow_provider_oss_async.cli.console import clean_stdout, print_table, ran_on
from airflow_provider_oss_async.cli.trials import TRIALS, Observations, Run, Trial, observe
from airflow_provider_oss_async.exceptions import OSSAsyncError, OSSConnectionError, ProcessError
from airflow_provider_oss_async.hooks.services import open_services
from airflow_provider_oss_async.process import ObjectURI

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from typing import TextIO

    from airflow_provider_oss_async.hooks.settings import ConnectionSettings

Results = list[tuple[Assumption, Result]]


def verify(args: argparse.Namespace) -> None:
    """Run the command; it ends with :class:`SystemExit`."""
    with clean_stdout() as stdout:
        try:
            settings, where = find_connection(args.conn_id)
            trials = _trials(args.operations)
            if bool(args.topic) != bool(args.queue):
                raise ProcessError("--topic and --queue are given together, or not at all")
            if args.queue and not settings.smq_endpoint:
                raise OSSConnectionError("--queue needs smq_endpoint on the connection")
            folder = f"{args.prefix.strip('/')}/{uuid4().hex[:12]}/"
            ObjectURI.parse(f"oss://{args.bucket}/{folder}clip.mp4", name="--bucket and --prefix")
            print(f"connection: {args.conn_id}\nfound in: {where}\nran on: {ran_on()}", file=stdout)
            print(_plan(trials, args.bucket, folder, keep=args.keep), file=stdout, flush=True)
            if not args.yes and not _agreed(stdout):
                print("Nothing was done. --yes goes on without asking.", file=stdout)
                raise SystemExit(2)
            begin = time.monotonic()
            seen = asyncio.run(_run(settings, trials, args, folder))
        except OSSAsyncError as error:
            print(error, file=stdout)
            raise SystemExit(2) from None
        seconds = time.monotonic() - begin
        results = judge_all(seen)
        _print(seen, results, stdout)
        if args.json:
            names = [
                *(args.bucket, folder.rstrip("/"), args.prefix.strip("/"), args.topic, args.queue),
                *(settings.imm_project, settings.access_key_id, settings.bucket),
            ]
            report = _report(settings, seen, results, seconds)
            text = json.dumps(anonymous(report, names), indent=2, ensure_ascii=False)
            Path(args.json).write_text(f"{text}\n", "utf-8")
            print(f"Report without names and account ids: {args.json}", file=stdout)
    raise SystemExit(1 if any(result.verdict == "differs" for _, result in results) else 0)


def _trials(text: str) -> list[Trial]:
    known = {trial.name: trial for trial in TRIALS}
    chosen = [part.strip() for part in text.split(",") if part.strip()] if text else list(known)
    wrong = [part for part in chosen if part not in known]
    if wrong or not chosen:
        raise ProcessError(f"--operations takes {', '.join(known)}, with commas between, not {text!r}")
    return [known[name] for name in chosen]


def _plan(trials: list[Trial], bucket: str, folder: str, *, keep: bool) -> str:
    end = "It stays there (--keep)." if keep else "It is removed at the end."
    return (
        f"This uploads 5 samples (60 KB) below oss://{bucket}/{folder}, runs {len(trials)} jobs on them "
        f"({', '.join(trial.name for trial in trials)}), each of at most 4 s of media, two pages or one "
        f"picture, and writes their results there. {end}\nIt is billed as {len(trials)} small jobs, about "
        "100 requests to OSS and some hundred to IMM: prices are on the billing pages of IMM and OSS. It "
        "takes 2 to 20 minutes."
    )


def _agreed(stdout: TextIO) -> bool:
    if not sys.stdin.isatty():
        return False
    print("Go on? [y/N] ", end="", file=stdout, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _run(
    settings: ConnectionSettings, trials: list[Trial], args: argparse.Namespace, folder: str
) -> Observations:
    async with open_services(settings) as services:
        project = settings.imm_project or await services.imm.get_bucket_project(args.bucket)
        run = Run(
            bucket=args.bucket,
            project=project,
            region=settings.region,
            folder=folder,
            topic=args.topic,
            queue=args.queue,
            keep=args.keep,
            timeout=args.timeout,
            grace=args.grace,
            interval=min(1.0, services.timing.min_poll_interval),
        )
        return await observe(services, trials, run)


def _print(seen: Observations, results: Results, stdout: TextIO) -> None:
    jobs = [
        (one.trial.name, one.state or ("refused" if one.refused else "not ended"),
         one.refused or f"{one.code} {one.detail}".strip() or ", ".join(one.written[:3]))
        for one in seen.jobs
    ]  # fmt: skip
    print_table(("job", "state", "code or outputs"), jobs, stdout)
    rows = [
        (one.id, one.sentence, result.verdict, f"{result.seen}\n-> {result.setting}".removesuffix("\n-> "))
        for one, result in results
    ]
    print_table(("assumption", "what is assumed", "verdict", "seen, and what to set"), rows, stdout)
    counts = {name: sum(result.verdict == name for _, result in results) for name in _VERDICTS}
    print(", ".join(f"{number} {name}" for name, number in counts.items()), file=stdout)


_VERDICTS = ("confirmed", "differs", "not tested")


def _report(
    settings: ConnectionSettings, seen: Observations, results: Results, seconds: float
) -> dict[str, Any]:
    return {
        "version": 1,
        "provider": __version__,
        "airflow": version("apache-airflow"),
        "sdk": version("alibabacloud-oss-v2"),
        "region": settings.region,
        "network": settings.network,
        "seconds": round(seconds),
        "assumptions": [
            {"id": one.id, "verdict": result.verdict, "seen": result.seen, "set": result.setting}
            for one, result in results
        ],
        "jobs": [
            {
                "name": one.trial.name,
                "state": one.state,
                "refused": one.refused,
                "code": one.code,
                "message": one.detail,
                "listed_after": one.listed_after,
                "end_listed_after": one.end_listed_after,
                "outputs": one.written,
                "message_received": one.message is not None,
            }
            for one in seen.jobs
        ],
    }


def anonymous(report: Any, names: Iterable[str]) -> Any:
    """Return a report whose texts hold none of some names, and no account ids."""
    if isinstance(report, dict):
        return {key: anonymous(value, names) for key, value in report.items()}
    if isinstance(report, list):
        return [anonymous(value, names) for value in report]
    if not isinstance(report, str):
        return report
    for name in sorted({name for name in names if name}, key=len, reverse=True):
        report = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "***", report)
    return re.sub(r"(?<!\d)\d{16,18}(?!\d)", "***", report)
