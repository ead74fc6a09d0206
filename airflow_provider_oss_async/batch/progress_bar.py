"""A progress bar for batches that run in a terminal, as under ``airflow dags test``."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.batch.state import FAILED, FINAL

if TYPE_CHECKING:
    from rich.console import Console

    from airflow_provider_oss_async.batch.runner import BatchRunner


async def run_with_progress_bar(
    runner: BatchRunner, *, console: Console | None = None, interval: float = 1.0
) -> dict[str, Any]:
    """Run a batch to its end, and show how far it is where standard error is a terminal.

    Airflow's workers and triggerers have none, so there nothing is shown.

    :param console: where to show it; default standard error.
    :param interval: seconds between two updates; default 1.
    :return: the summary.
    """
    if console is None and not sys.stderr.isatty():
        return await runner.run()
    from rich.console import Console as StandardConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        console=console or StandardConsole(stderr=True),
        # The event loop does it, so that no thread reads what changes.
        auto_refresh=False,
    )
    task = bar.add_task("Planning the batch", total=None, failed=0)

    def update() -> None:
        if not runner.state.rows:
            bar.refresh()
            return
        counts = runner.state.counts()
        bar.update(
            task,
            description="Batch",
            total=len(runner.state.rows),
            completed=sum(count for letter, count in counts.items() if letter in FINAL),
            failed=sum(counts[letter] for letter in FAILED),
            refresh=True,
        )

    async def keep_updating() -> None:
        while True:
            update()
            await asyncio.sleep(interval)

    with bar:
        updating = asyncio.create_task(keep_updating(), name="oss-async-batch-progress-bar")
        try:
            return await runner.run()
        finally:
            updating.cancel()
            await asyncio.gather(updating, return_exceptions=True)
            update()
