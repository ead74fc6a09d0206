"""``python -m airflow_provider_oss_async.local``: the stand-in and the demonstration on the command line.

With ``serve`` and ``demo`` as commands; see the README of this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from airflow_provider_oss_async.local.server.app import check_loopback, connection_json, serve
from airflow_provider_oss_async.local.server.cloud import DEFAULT_KEY, Cloud
from airflow_provider_oss_async.local.server.faults import Fault
from airflow_provider_oss_async.local.server.job_runner import ENGINE_CONCURRENCY, QUEUE_SECONDS
from airflow_provider_oss_async.local.server.signatures import AccessKey

if TYPE_CHECKING:
    from collections.abc import Sequence

_DISTRIBUTION = "airflow-provider-oss-async"
FAULTS_VARIABLE = "OSS_ASYNC_LOCAL_FAULTS"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_oss_async.local",
        description="A local stand-in for OSS, IMM and SMQ: a development tool, on loopback only.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_serve(commands.add_parser("serve", help="run the server (the default)"))
    _add_demo(commands.add_parser("demo", help="run the pipeline example in a real Airflow"))
    # Options alone mean "serve".
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    options = parser.parse_args(given)
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (default %(default)s)")
    parser.add_argument("--port", type=int, default=9000, help="0 for any free one (default %(default)s)")
    parser.add_argument("--data-dir", type=Path, default=Path(".oss-async-local"), help="default %(default)s")
    parser.add_argument("--region", default="cn-hangzhou", help="default %(default)s")
    parser.add_argument(
        "--bucket", action="append", metavar="NAME", help="bucket to create; repeatable; default media"
    )
    parser.add_argument(
        "--project", default="local-project", help="IMM project the buckets are attached to; '' for none"
    )
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="TOPIC:QUEUE",
        help="SMQ topic with a queue; repeatable",
    )
    parser.add_argument("--queue", action="append", default=[], metavar="NAME", help="SMQ queue; repeatable")
    parser.add_argument(
        "--event-rule",
        action="append",
        default=[],
        metavar="NAME:JSON",
        help="event notification rule of a bucket; repeatable",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="ID:SECRET[:TOKEN[:SECONDS]]",
        help="further access key that is accepted; repeatable",
    )
    parser.add_argument(
        "--samples",
        action="store_true",
        help="store the samples that the example DAGs read in the first bucket",
    )
    parser.add_argument(
        "--workers", type=int, default=2, help="jobs processed at once on this machine (default %(default)s)"
    )
    parser.add_argument(
        "--job-seconds",
        default="0",
        metavar="N or LOW-HIGH",
        help="least run time of a job in seconds (default 0)",
    )
    parser.add_argument(
        "--engine-concurrency",
        type=int,
        default=ENGINE_CONCURRENCY,
        metavar="N",
        help="jobs that a project runs at once; others are queued (default %(default)s)",
    )
    parser.add_argument(
        "--queue-seconds",
        type=float,
        default=QUEUE_SECONDS,
        metavar="N",
        help="a job that is queued for longer fails (default %(default)s)",
    )
    parser.add_argument(
        "--list-delay",
        type=float,
        default=0,
        metavar="N",
        help="seconds after its end for which ListTasks shows a task as running (default 0)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help=f"fault to begin with; repeatable; also as a JSON list in {FAULTS_VARIABLE}",
    )
    parser.add_argument("--verbose", action="store_true", help="log what the server does")
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING, format="%(levelname)s %(message)s"
    )
    check_loopback(options.host)
    if missing := missing_packages():
        if options.samples:
            raise ValueError(_install(missing))
        print(f"Warning: jobs will fail. {_install(missing)}", file=sys.stderr)
    low, _, high = options.job_seconds.partition("-")
    faults = [json.loads(text) for text in options.fault] + json.loads(
        os.environ.get(FAULTS_VARIABLE) or "[]"
    )
    topics: dict[str, list[str]] = {}
    for topic, queue in (_pair(text, "--topic") for text in options.topic):
        topics.setdefault(topic, []).append(queue)
    rules = [_pair(text, "--event-rule") for text in options.event_rule]
    cloud = Cloud(
        options.data_dir,
        region=options.region,
        keys=[DEFAULT_KEY, *(_key(text) for text in options.key)],
        buckets=dict.fromkeys(options.bucket or ["media"], options.project or None),
        topics=topics,
        queues={name: {} for name in options.queue},
        event_rules={name: json.loads(rule) for name, rule in rules},
        workers=options.workers,
        job_seconds=(float(low), float(high or low)),
        engine_concurrency=options.engine_concurrency,
        queue_seconds=options.queue_seconds,
        list_delay=options.list_delay,
        faults=[Fault.read(data) for data in faults],
    )
    if options.samples:
        from airflow_provider_oss_async.local.demo.upload import upload_samples

        with tempfile.TemporaryDirectory() as folder:
            upload_samples(cloud.store, (options.bucket or ["media"])[0], Path(folder))

    def started() -> None:
        print(
            "Local stand-in for OSS, IMM and SMQ: a development tool, not the service; loopback only.\n"
            f"Address   {cloud.endpoint} (all three services)\n"
            f"Key       {DEFAULT_KEY.id} / {DEFAULT_KEY.secret}\n"
            f"Data      {options.data_dir.resolve()}\n"
            f"Admin     {cloud.endpoint}/_local/state, {cloud.endpoint}/_local/faults\n\n"
            f"export AIRFLOW_CONN_OSS_ASYNC_DEFAULT='{connection_json(cloud)}'",
            flush=True,
        )

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(cloud, options.host, options.port, started, stop)

    asyncio.run(run())
    print("Stopped.")
    _exit(0)


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--directory", type=Path, default=Path("oss-async-demo"), help="work directory (default %(default)s)"
    )
    parser.add_argument(
        "--dags", type=Path, default=Path("example_dags"), help="example DAGs (default %(default)s)"
    )
    parser.add_argument(
        "--airflow-ui", action="store_true", help="keep a full Airflow with its web page, until Ctrl-C"
    )
    parser.add_argument(
        "--port", type=int, default=9000, help="port of the stand-in, if it is free (default %(default)s)"
    )
    parser.add_argument(
        "--airflow-port", type=int, default=8080, help="port of Airflow, if it is free (default %(default)s)"
    )
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    if missing := missing_packages():
        raise ValueError(_install(missing))
    # Needs the extra "local".
    from airflow_provider_oss_async.local.demo.run import run_demo

    return _exit(
        run_demo(
            options.directory,
            options.dags,
            airflow_ui=options.airflow_ui,
            port=options.port,
            airflow_port=options.airflow_port,
        )
    )


def missing_packages() -> list[str]:
    """Return the packages of the extra ``local`` that are not installed; none where that is not known."""
    try:
        requirements = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    missing = []
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement)[0]
        if re.search(r"extra\s*==\s*['\"]local['\"]", requirement):
            try:
                metadata.version(name)
            except metadata.PackageNotFoundError:
                missing.append(name)
    return missing


def _install(missing: list[str]) -> str:
    return (
        f"Install the extra local: {sys.executable} -m pip install '{_DISTRIBUTION}[local]' "
        f"(in a checkout: '.[local]'). Missing: {', '.join(missing)}"
    )


def _exit(status: int) -> NoReturn:
    # The threads of running jobs would delay the end; the next server runs these jobs again.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _key(text: str) -> AccessKey:
    parts = text.split(":")
    if not 2 <= len(parts) <= 4 or not all(parts):
        raise ValueError(
            "--key takes an id and a secret, for temporary keys also a token and its life in seconds"
        )
    expires_at = time.time() + float(parts[3]) if len(parts) == 4 else None
    return AccessKey(parts[0], parts[1], parts[2] if len(parts) > 2 else None, expires_at)


def _pair(text: str, option: str) -> tuple[str, str]:
    left, colon, right = text.partition(":")
    if not colon or not left or not right:
        raise ValueError(f"{option} takes two names with a colon between, not {text!r}")
    return left, right


if __name__ == "__main__":
    sys.exit(main())
