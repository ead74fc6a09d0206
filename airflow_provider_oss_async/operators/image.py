"""Operator for blind watermarks."""

from __future__ import annotations

from airflow_provider_oss_async.operators.base import OSSSpecificationOperator
from airflow_provider_oss_async.process import DecodeBlindWatermark


class OSSDecodeBlindWatermarkOperator(OSSSpecificationOperator):
    """Read the blind watermark of an image. Takes no target: the text is ``content`` in the result.

    For the arguments see :class:`~airflow_provider_oss_async.process.DecodeBlindWatermark`.
    """

    specification = DecodeBlindWatermark
