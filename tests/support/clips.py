"""Small media files, made with ffmpeg."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_clips(folder: Path) -> dict[str, Path]:
    """Make a wide (320x180, 25 fps, 2 s, mono) and a tall video (180x320, 30 fps, 1 s, silent), and sound.

    The sound has 48 kHz and two channels.
    """
    from airflow_provider_oss_async.local.processing.ffmpeg import run

    files = {name: folder / name for name in ("wide.mp4", "tall.mkv", "sound.wav")}
    h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"]
    wide = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2"]
    run([*wide, *h264, "-c:a", "aac", "-b:a", "64k", str(files["wide.mp4"])])
    run(["-f", "lavfi", "-i", "testsrc2=s=180x320:r=30:d=1", *h264, str(files["tall.mkv"])])
    sound = "sine=f=300:r=48000:d=2,aformat=channel_layouts=stereo"
    run(["-f", "lavfi", "-i", sound, str(files["sound.wav"])])
    return files
