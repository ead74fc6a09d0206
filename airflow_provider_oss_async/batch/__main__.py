"""``python -m airflow_provider_oss_async.batch show oss://bucket/.../ledger.jsonl --conn-id CONN_ID``."""

from __future__ import annotations

import argparse
import asyncio
import sys

from airflow_provider_oss_async.exceptions import OSSAsyncError


async def _show(uri: str, conn_id: str) -> None:
    from airflow_provider_oss_async.batch.show import describe, read_state
    from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
    from airflow_provider_oss_async.process import ObjectURI

    hook = OSSAsyncHook(conn_id)
    async with hook.session() as services:
        state = await read_state(services.oss, ObjectURI.parse(uri, name="ledger"))
    for line in describe(state):
        print(line)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_oss_async.batch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="say where a batch stands")
    show.add_argument("ledger", help="oss://bucket/.../ledger.jsonl, which the task's log names")
    show.add_argument("--conn-id", default="oss_async_default", help="Airflow connection")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(_show(options.ledger, options.conn_id))
    except OSSAsyncError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
