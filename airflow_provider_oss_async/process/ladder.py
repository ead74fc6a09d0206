"""Ladders: the renditions of one video, of which none is larger than the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.presets import preset
from airflow_provider_oss_async.process.text import shown
from airflow_provider_oss_async.process.video import VideoConvert

if TYPE_CHECKING:
    from airflow_provider_oss_async.process.specification import Specification

#: The renditions that most players are served with.
DEFAULT_RENDITIONS = ("h264_360p", "h264_540p", "h264_720p", "h264_1080p")
#: What stands for the name of a rendition in a target.
PLACEHOLDER = "{rendition}"


def read_renditions(renditions: Sequence[str] | Mapping[str, Specification]) -> dict[str, VideoConvert]:
    """Return renditions by name, from the smallest to the largest.

    :param renditions: names of presets; or a mapping of names of one's own to ``VideoConvert``
        specifications, of presets with overrides for instance. 1 to 20.
    :raises ProcessError: names every rendition that is none.
    """
    problems: list[str] = []
    found: dict[str, VideoConvert] = {}
    if isinstance(renditions, str) or not isinstance(renditions, Sequence | Mapping):
        raise ProcessError(
            f"renditions={shown(renditions)} is not allowed: expected a list of presets such as "
            "['h264_360p', 'h264_720p'], or a mapping of names to VideoConvert(...)"
        )
    if not 1 <= len(renditions) <= 20:
        problems.append(f"renditions: {len(renditions)} are not allowed: expected 1 to 20")
    for name in renditions:
        try:
            value = renditions[name] if isinstance(renditions, Mapping) else preset(name)
        except ProcessError as error:
            problems.append(str(error))
            continue
        if not isinstance(name, str) or not name or set(name) & set("/{}"):
            problems.append(f"renditions[{shown(name)}] is not allowed: expected a name without / and braces")
        elif name in found:
            problems.append(f"renditions: {name} is there twice")
        elif not isinstance(value, VideoConvert) or long_side(value) is None:
            problems.append(f"renditions: {name} is not a VideoConvert with a width or height")
        elif value.get("size_if_smaller") == "convert" or value.extra_params:
            problems.append(f"renditions: {name} has size_if_smaller='convert' or extra_params")
        else:
            found[name] = value
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)
    return dict(sorted(found.items(), key=lambda item: long_side(item[1]) or 0))


def long_side(specification: Specification) -> int | None:
    """Return the longest side that a result may have, in px; ``None`` if it is that of the source."""
    return max((specification.get(name, 0) for name in ("width", "height")), default=0) or None


def plan_ladder(
    source: str,
    target: str,
    renditions: Sequence[str] | Mapping[str, Specification] = DEFAULT_RENDITIONS,
    *,
    size: tuple[int, int] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the renditions of one video by name, each as the arguments of one job.

    The values of the result are what ``OSSVideoConvertOperator.partial(...).expand_kwargs`` takes, and the
    batch as ``sources`` (with ``process=VideoConvert(container="mp4")``, which each overrides). Where the
    size is known, renditions above the first that is not smaller than the source are left out: they would
    be the same again. That one, and without a size every one, is made at the source's size, since all are
    sent with ``size_if_smaller="keep_source"``.

    :param source: ``oss://bucket/key``, or a key in the connection's default bucket.
    :param target: where the results go, with ``{rendition}`` for the name.
    :param renditions: as in :func:`read_renditions`.
    :param size: width and height of the source in px. Default: not known.
    :raises ProcessError: names every argument that is wrong.
    """
    problems: list[str] = []
    found: dict[str, VideoConvert] = {}
    try:
        found = read_renditions(renditions)
    except ProcessError as error:
        problems += error.problems or [str(error)]
    problems += target_problems(target)
    if problems:
        raise ProcessError("; ".join(problems), problems=problems)
    if size is not None and max(size) > 0:
        sides = [long_side(value) or 0 for value in found.values()]
        enough = next((side for side in sides if side >= max(size)), sides[-1])
        found = {name: value for name, value in found.items() if (long_side(value) or 0) <= enough}
    return {
        name: {
            "source": source,
            "target": target.replace(PLACEHOLDER, name),
            **{**value.values, "size_if_smaller": value.get("size_if_smaller", "keep_source")},
        }
        for name, value in found.items()
    }


def target_problems(target: Any) -> list[str]:
    """Return what is wrong with the target of a ladder."""
    if isinstance(target, str) and PLACEHOLDER in target:
        return []
    return [f"target={shown(target)} is not allowed: expected a key with {PLACEHOLDER} for the rendition"]
