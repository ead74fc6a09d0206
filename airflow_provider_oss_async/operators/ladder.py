"""The renditions of one video: one call, several tasks, one result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import TaskGroup, task

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.hooks.oss_async import OSSAsyncHook
from airflow_provider_oss_async.operators.batch import OSSAsyncProcessBatchOperator
from airflow_provider_oss_async.operators.results import object_of
from airflow_provider_oss_async.operators.video import OSSVideoConvertOperator
from airflow_provider_oss_async.process import ObjectURI, VideoConvert
from airflow_provider_oss_async.process.ladder import (
    DEFAULT_RENDITIONS,
    plan_ladder,
    read_renditions,
    target_problems,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context, XComArg

    from airflow_provider_oss_async.process import Specification


def video_ladder(
    *,
    source: str | Mapping[str, Any] | XComArg,
    target: str,
    renditions: Sequence[str] | Mapping[str, Specification] = DEFAULT_RENDITIONS,
    probe: bool = True,
    batch: bool = False,
    group_id: str = "ladder",
    oss_conn_id: str = "oss_async_default",
    **task_arguments: Any,
) -> XComArg:
    """Make the renditions of one video, none larger than the video itself.

    Adds a task group to the DAG: ``plan``, which chooses the renditions; ``convert``, a mapped
    ``OSSVideoConvertOperator`` with a task for each rendition, or one ``OSSAsyncProcessBatchOperator``; and
    ``results``.

    :param source: the video: ``oss://bucket/key``, or a key in the connection's default bucket; or the result
        of a task with exactly one output, as ``source=upload.output`` (templated)
    :param target: where the results go, with ``{rendition}`` for the rendition's name, and OSS's variables
        such as ``{barename}`` (templated)
    :param renditions: names of presets; or a mapping of names of one's own to ``VideoConvert``
        specifications, such as ``{"small": preset("h264_360p", frame_rate=25)}``. Default ``h264_360p``,
        ``h264_540p``, ``h264_720p`` and ``h264_1080p``
    :param probe: ask OSS for the source's size (``video/info``, a billed request that needs the right
        ``imm:DetectMediaMeta``), and leave out the renditions above the first that is not smaller than the
        source. Without it all are made, none larger than the source. Default ``True``
    :param batch: one batch task instead of a task for each rendition. Default ``False``
    :param group_id: name of the task group. Default ``"ladder"``
    :param oss_conn_id: Airflow connection. Default ``"oss_async_default"``
    :param task_arguments: further arguments of the converting operator, such as ``deferrable``
    :return: a reference to a dict: rendition -> result. A result is that of ``OSSVideoConvertOperator``; with
        ``batch`` it is the rendition's row of the manifest.
    :raises ProcessError: names every argument that is wrong, when the DAG is parsed.
    """
    problems = target_problems(target)
    try:
        read_renditions(renditions)
    except ProcessError as error:
        problems += error.problems or [str(error)]
    if problems:
        raise ProcessError(f"video_ladder: {'; '.join(problems)}", problems=problems)

    with TaskGroup(group_id):

        @task(task_id="plan")
        def plan(source: Any, target: str, **context: Any) -> list[dict[str, Any]]:
            return _plan(cast("Context", context), source, target, renditions, probe, oss_conn_id)

        planned: Any = plan(source, target)
        if not batch:
            converted = (
                OSSVideoConvertOperator.partial(
                    task_id="convert", oss_conn_id=oss_conn_id, **cast("Any", task_arguments)
                )
                .expand_kwargs(planned)
                .output
            )
        else:
            converted = OSSAsyncProcessBatchOperator(
                task_id="convert",
                # Overridden by each rendition.
                process=VideoConvert(container="mp4"),
                sources=planned,
                oss_conn_id=oss_conn_id,
                **cast("Any", task_arguments),
            ).output

        @task(task_id="results")
        def results(names: list[str], planned: list[dict[str, Any]], converted: Any) -> dict[str, Any]:
            if not batch:
                return dict(zip(names, converted, strict=True))
            targets = [row["target"] for row in planned]
            return dict(zip(names, _rows(converted, planned[0]["source"], targets, oss_conn_id), strict=True))

        return results(planned["renditions"], planned, converted)


def _plan(
    context: Context,
    source: Any,
    target: str,
    renditions: Sequence[str] | Mapping[str, Specification],
    probe: bool,
    oss_conn_id: str,
) -> list[dict[str, Any]]:
    """Choose the renditions, push their names, and return the arguments of their jobs."""
    name = object_of(source)
    hook = OSSAsyncHook(oss_conn_id)
    size = None
    if probe:
        info = hook.media_info(name, kind="video")
        sides = [(stream.width or 0, stream.height or 0) for stream in info.video or ()]
        if info.video == ():
            raise ProcessError(f"source={name!r} has no video")
        size = max(sides, key=max, default=None)
    found = plan_ladder(name, target, renditions, size=size)
    hook.log.info("The source has %s px; renditions: %s", size or "unknown", ", ".join(found))
    cast("Any", context["ti"]).xcom_push(key="renditions", value=list(found))
    return list(found.values())


def _rows(summary: Mapping[str, Any], source: str, targets: list[str], oss_conn_id: str) -> list[Any]:
    """Return the rows of a batch's manifest in the order of the targets."""
    from airflow_provider_oss_async.batch.plan import fill

    hook = OSSAsyncHook(oss_conn_id)
    manifest = ObjectURI.parse(summary["manifest"], name="manifest")
    with hook.running() as run:
        body = run(lambda services: services.oss.read(manifest.bucket, manifest.key))
    rows = {row.get("target"): row for row in map(json.loads, body.decode().splitlines()) if row}
    uri = ObjectURI.parse(source, default_bucket=hook.default_bucket)
    found = []
    for target in targets:
        whole = ObjectURI.parse(target, name="target", default_bucket=hook.default_bucket, variables=True)
        name = str(fill(str(whole), uri, "mp4"))
        # What if_target_exists="skip" has set aside stands there under its source alone.
        found.append(rows.get(name, {"source": str(uri), "target": name, "state": "set_aside"}))
    return found
