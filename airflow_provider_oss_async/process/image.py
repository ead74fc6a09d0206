"""Blind watermark decoding (https://www.alibabacloud.com/help/en/oss/user-guide/add-blindwatermarks).

The page's parameter table could not be read; the two arguments follow its sample and the IMM action
``CreateDecodeBlindWatermarkTask``. Whether they are compulsory is not documented, so both are always sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typing_extensions import TypedDict

from airflow_provider_oss_async.process.specification import Param, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal


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
    """Read the blind watermark of an image. Writes no object: the text comes with the job's result.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/add-blindwatermarks

    :param strength: Effort of the extraction; give the strength the mark was embedded with. Text such as low,
        medium, high. Default: low. Wire key ``s``.
    :param watermark_type: Kind of the watermark. Text such as text. Default: text. Wire key ``t``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "image/deblindwatermark"
    task_type = "DecodeBlindWatermark"
    parameters = DecodeBlindWatermarkParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/add-blindwatermarks"
    outputs = "no object; the text is content in the result"
    writes_object = False

    def __init__(  # made by python -m tests.generate
        self,
        *,
        strength: Literal["low", "medium", "high"] | str | None = None,
        watermark_type: Literal["text"] | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            strength=strength,
            watermark_type=watermark_type,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    @classmethod
    def implied(cls, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return both arguments: whether they are compulsory is not documented."""
        return {"strength": "low", "watermark_type": "text"}
