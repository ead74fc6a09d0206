"""Operators for video: transcoding, merging, animations, frames and sprites."""

from __future__ import annotations

from airflow_provider_oss_async.operators.base import OSSSpecificationOperator
from airflow_provider_oss_async.process import (
    VideoAnimation,
    VideoConcat,
    VideoConvert,
    VideoSnapshots,
    VideoSprite,
)


class OSSVideoConvertOperator(OSSSpecificationOperator):
    """Transcode a video, put it into another container, cut it, or take its audio out.

    For the arguments see :class:`~airflow_provider_oss_async.process.VideoConvert`.
    """

    specification = VideoConvert


class OSSVideoAnimationOperator(OSSSpecificationOperator):
    """Turn a video into an animated GIF or WebP.

    For the arguments see :class:`~airflow_provider_oss_async.process.VideoAnimation`.
    """

    specification = VideoAnimation


class OSSVideoSnapshotsOperator(OSSSpecificationOperator):
    """Take frames of a video as images.

    Give a target without extension (``frames/f`` becomes ``frames/f_0_1.jpg`` and so on) or with ``{index}``.
    For the arguments see :class:`~airflow_provider_oss_async.process.VideoSnapshots`.
    """

    specification = VideoSnapshots


class OSSVideoSpriteOperator(OSSSpecificationOperator):
    """Take frames of a video and lay them out on a sheet.

    For the arguments see :class:`~airflow_provider_oss_async.process.VideoSprite`.
    """

    specification = VideoSprite


class OSSVideoConcatOperator(OSSSpecificationOperator):
    """Merge videos into one; ``before`` and ``after`` name those that play before and after the source.

    For the arguments see :class:`~airflow_provider_oss_async.process.VideoConcat`.
    """

    specification = VideoConcat
