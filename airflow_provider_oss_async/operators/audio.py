"""Operators for audio: transcoding and merging."""

from __future__ import annotations

from airflow_provider_oss_async.operators.base import OSSSpecificationOperator
from airflow_provider_oss_async.process import AudioConcat, AudioConvert


class OSSAudioConvertOperator(OSSSpecificationOperator):
    """Transcode audio.

    For the arguments see :class:`~airflow_provider_oss_async.process.AudioConvert`.
    """

    specification = AudioConvert


class OSSAudioConcatOperator(OSSSpecificationOperator):
    """Merge audio files into one; ``before`` and ``after`` name those that play before and after the source.

    For the arguments see :class:`~airflow_provider_oss_async.process.AudioConcat`.
    """

    specification = AudioConcat
