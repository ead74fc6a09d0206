"""Outputs that are not what was asked for, although the job succeeds: the faults ``output_...``."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_oss_async.process import AudioConvert, VideoConvert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_provider_oss_async.local.processing.result import ProducedFile
    from airflow_provider_oss_async.process import Specification

_IMAGES = (".jpg", ".png", ".gif", ".webp")


def first_clip(
    spec: Specification, source: Path, segments: Mapping[str, Path]
) -> tuple[Specification, Path, Mapping[str, Path]]:
    """Return in place of a merge the conversion of its first object; any other job as it is."""
    if not spec.segment_fields:
        return spec, source, segments
    first = next(iter(spec.get("before", ())), None)
    alone = AudioConvert if spec.operation == "audio/concat" else VideoConvert
    names = {field.name for field in alone.fields()}
    arguments = {name: value for name, value in spec.values.items() if name in names}
    if first is not None:
        arguments |= {"start": first.get("start"), "duration": first.get("duration")}
        source = segments[first["object"]]
    return alone(extra_params=spec.extra_params, allow_ignored=True, **arguments), source, {}


def change(kinds: Sequence[str], files: Sequence[ProducedFile]) -> list[ProducedFile]:
    """Change the files that a job has written.

    :param kinds: ``output_missing``, ``output_last_missing``, ``output_empty``, ``output_cut``,
        ``output_no_audio`` and ``output_half_size``; others have no effect.
    """
    found = list(files)
    for kind in kinds:
        match kind:
            case "output_missing":
                found = []
            case "output_last_missing":
                found = found[:-1]
            case "output_empty":
                for file in found:
                    file.path.write_bytes(b"")
            case "output_cut":
                for file in found:
                    data = file.path.read_bytes()
                    file.path.write_bytes(data[: len(data) // 2])
            case "output_no_audio":
                found = [_written(file, ["-map", "0", "-map", "-0:a", "-c", "copy"]) for file in found]
            case "output_half_size":
                found = [_halved(file) for file in found]
    return found


def _halved(file: ProducedFile) -> ProducedFile:
    if file.path.suffix in _IMAGES:
        from PIL import Image

        with Image.open(file.path) as image:
            small = image.resize((max(1, image.width // 2), max(1, image.height // 2)))
        small.save(file.path)
        return file
    return _written(file, ["-filter:v", "scale=trunc(iw/4)*2:trunc(ih/4)*2", "-c:a", "copy"])


def _written(file: ProducedFile, options: list[str]) -> ProducedFile:
    from airflow_provider_oss_async.local.processing.ffmpeg import reading, run

    result = file.path.with_name(f"changed-{file.path.name}")
    run([*reading(file.path), *options, str(result)], [file.path, result])
    shutil.move(result, file.path)
    return replace(file)
