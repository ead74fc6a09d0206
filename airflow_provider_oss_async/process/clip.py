"""The further objects of a merge, as people write them and as segments of the process string."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Required

from annotated_types import Len
from pydantic import BeforeValidator
from typing_extensions import TypedDict

from airflow_provider_oss_async.exceptions import ProcessError
from airflow_provider_oss_async.process.field import Seconds, milliseconds, seconds
from airflow_provider_oss_async.process.grammar import Segment
from airflow_provider_oss_async.process.text import is_missing, plain, shown
from airflow_provider_oss_async.process.uri import ObjectURI

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

MAX_CLIPS = 10
CLIPS_FORM = (
    f"a list of up to {MAX_CLIPS} objects, each a key or "
    "{object: key, start: seconds, duration: seconds} of which only the object is required "
    "(a list that a template makes needs render_template_as_native_obj=True)"
)
#: Wire key to name of a cut.
_CUTS = {"ss": "start", "t": "duration"}


def _object_text(value: Any) -> Any:
    # Names are checked when the source's bucket is known; here it only matters that there is a text.
    if not isinstance(value, str) or is_missing(value):
        raise ValueError("not the name of an object")
    return value


class _CheckedClip(TypedDict, total=False):
    object: Required[Annotated[str, BeforeValidator(_object_text)]]
    start: Seconds
    duration: Seconds


class Clip(TypedDict, total=False):
    """One further object of a merge, with an optional cut, as people write it.

    ``object`` is a key, or ``oss://bucket/key`` in the source's bucket. ``start`` and ``duration`` are
    seconds or a ``timedelta``, in whole milliseconds; a ``duration`` of 0 means to the end.
    """

    object: Required[str]
    start: float | str | timedelta | None
    duration: float | str | timedelta | None


def _as_clip(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items() if part is not None}
    return {"object": plain(value)} if isinstance(value, str) else value


Clips = Annotated[list[Annotated[_CheckedClip, BeforeValidator(_as_clip)]], Len(0, MAX_CLIPS)]


def to_segment(clip: Mapping[str, Any], kind: Literal["pre", "sur"], source: ObjectURI, name: str) -> Segment:
    """Return the segment of a validated clip.

    :param source: the request's own object, in whose bucket the clip must be; with an empty bucket where it
        is not known, and then only the clip's own name is checked.
    :param name: how the clip is called in a message, such as ``before[0]``.
    :raises ProcessError: the clip's object is not one the merge can read.
    """
    text = clip["object"]
    uri = ObjectURI.parse(text, name=name, default_bucket=source.bucket or "bucket")
    if source.bucket and uri.bucket != source.bucket:
        raise ProcessError(
            f"{name}={shown(text)} is not in the source's bucket {source.bucket}; merging cannot read others"
        )
    return Segment(
        kind,
        uri.key,
        tuple((wire, milliseconds(clip[cut])) for wire, cut in _CUTS.items() if cut in clip),
    )


def from_segment(segment: Segment) -> dict[str, Any]:
    """Return the clip that a segment stands for.

    :raises ProcessError: the segment has a key other than ``ss`` and ``t``, or a value that is not a time.
    """
    clip: dict[str, Any] = {"object": segment.object}
    for key, text in segment.params:
        try:
            clip[_CUTS[key]] = seconds(text)
        except (KeyError, ValueError):
            raise ProcessError(
                f"{shown(f'{key}_{text}')} is not allowed: "
                f"the segment /{segment.kind} takes ss and t in whole milliseconds"
            ) from None
    return clip
