"""Blind watermark decoding (https://www.alibabacloud.com/help/en/oss/user-guide/add-blindwatermarks).

The page's parameter table could not be read; the two arguments follow its sample and the IMM action
``CreateDecodeBlindWatermarkTask``. Whether they are compulsory is not documented, so both are always sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from airflow_provider_oss_async.process.specification import Param, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Mapping


class DecodeBlindWatermarkParameters(TypedDict, total=False):
    """Arguments of ``image/deblindwatermark``."""

    strength: Annotated[
        Token,
        Param(
            "s",
            "Effort of the extraction; give the strength the mark was embedded with.",
            default="low",
            known=("low", "medium", "high"),
        ),
    ]
    watermark_type: Annotated[Token, Param("t", "Kind of the watermark.", default="text", known=("text",))]


class DecodeBlindWatermark(Specification):
    """Read the blind watermark of an image. Writes no object: the text comes with the job's result."""

    operation = "image/deblindwatermark"
    task_type = "DecodeBlindWatermark"
    parameters = DecodeBlindWatermarkParameters
    writes_object = False

    def __init__(self, *, extra_params: Mapping[str, str] | None = None, **parameters: object) -> None:
        given = {name: value for name, value in parameters.items() if value is not None}
        super().__init__(extra_params=extra_params, **{"strength": "low", "watermark_type": "text", **given})
