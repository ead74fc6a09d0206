from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest
from rich.console import Console

from airflow_provider_oss_async.batch.progress_bar import run_with_progress_bar
from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from tests.support.batches import put_many, runner, specification

pytestmark = pytest.mark.usefixtures("quick", "connect")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def run(sources: Any, **options: Any) -> dict[str, Any]:
    async with OSSAsyncHook().session() as services:
        batch = runner(services, specification(sources, max_failed=1))
        return await run_with_progress_bar(batch, interval=0.05, **options)


async def test_a_terminal_shows_how_far_the_batch_is(stand: Any) -> None:
    stand.service.add_fault("job_delay", seconds=0.3, times=0)
    stand.service.add_fault("job_fail", code="InvalidFile")
    written = io.StringIO()
    summary = await run(put_many(stand, 5), console=Console(file=written, force_terminal=True, width=100))
    assert summary["objects"] == 5
    text = written.getvalue()
    for part in ("Planning the batch", "0/5", "5/5", "1 failed"):
        assert part in text
    # Nothing goes on behind it.
    assert [task for task in asyncio.all_tasks() if task.get_name() == "oss-async-batch-progress-bar"] == []


async def test_it_ends_with_an_error_too(stand: Any) -> None:
    written = io.StringIO()
    with pytest.raises(ProcessError, match="is being read"):
        await run(["out/a.mp4", "a.mov"], console=Console(file=written, force_terminal=True, width=100))
    assert "Planning the batch" in written.getvalue()


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
async def test_only_a_terminal_has_one(
    stand: Any, monkeypatch: pytest.MonkeyPatch, kind: type[io.StringIO]
) -> None:
    stderr = kind()
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    assert (await run(put_many(stand, 2)))["succeeded"] == 2
    assert ("2/2" in stderr.getvalue()) is (kind is Terminal)
