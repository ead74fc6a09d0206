from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_oss_async.local.pytest_plugin import copy_source
from airflow_provider_oss_async.local.server.app import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., LocalService]]:
    """Start stand-ins that do no real work unless told so."""
    running: list[LocalService] = []

    def start_one(name: str = "data", **options: Any) -> LocalService:
        service = LocalService(tmp_path / name, **{"processor": copy_source, **options})
        running.append(service.__enter__())
        return service

    yield start_one
    for service in running:
        service.stop()


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    return start()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sample inputs, made once."""
    from airflow_provider_oss_async.local.demo.samples import make_samples

    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Wide (320x180, 25 fps, 2 s, mono), tall (180x320, 30 fps, 1 s, silent) and sound (48 kHz, stereo)."""
    from airflow_provider_oss_async.local.processing.ffmpeg import run

    folder = tmp_path_factory.mktemp("clips")
    files = {name: folder / name for name in ("wide.mp4", "tall.mkv", "sound.wav")}
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"]
    wide = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    run([*wide, *h264, "-c:a", "aac", "-b:a", "64k", str(files["wide.mp4"])])
    run(["-f", "lavfi", "-i", "testsrc2=s=180x320:r=30:d=1", *h264, str(files["tall.mkv"])])
    sound = "sine=f=300:r=48000:d=2,aformat=channel_layouts=stereo"
    run(["-f", "lavfi", "-i", sound, str(files["sound.wav"])])
    return files
