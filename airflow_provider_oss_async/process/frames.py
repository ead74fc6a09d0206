"""Animations, frames and sprite sheets of videos.

Sources, all under https://www.alibabacloud.com/help/en/oss/user-guide/: convert-videos-to-animated-images,
video-frame-cutting, video-cut-sprite. Fields that only the IMM action ``CreateMediaConvertTask``
describes say so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Required

from annotated_types import Interval
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.media import FIT, FIT_DOC, Start
from airflow_provider_oss_async.process.specification import Param, Seconds, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta
    from typing import Literal

    from airflow_provider_oss_async.process.grammar import Process
    from airflow_provider_oss_async.process.uri import ObjectURI

MAX_SHEET_SIDE = 16_384

_Side = Annotated[int, Interval(ge=32, le=4096)]
_Percent = Annotated[int, Interval(ge=1, le=200)]
_Tiles = Annotated[int, Interval(ge=1, le=100)]
_Gap = Annotated[int, Interval(ge=0, le=100)]

_ImageFormat = Annotated[Token, Param("f", "Format of the images.", known=("jpg", "png"), closed=True)]
# No maximum is documented: this is that of the wire's usual integer.
_Count = Annotated[
    int,
    Interval(ge=0, le=2_147_483_647),
    Param("num", "Most frames to take; 0 for no limit.", default="no limit"),
]
_Spacing = Annotated[
    Seconds,
    Param("inter", "Time from one frame to the next; 0 takes every frame.", default="every frame", unit="s"),
]
_Sampling = Annotated[
    Token,
    Param(
        "m",
        "How frames are chosen: inter by interval, key keyframes, avg evenly spread (needs count), "
        "dhash where the picture changes.",
        default="inter",
        known=("inter", "key", "avg", "dhash"),
    ),
]
_Threshold = Annotated[
    int,
    Interval(ge=0, le=100),
    Param("thr", "How much the picture must change with sampling dhash; at most 25 is advised.", default="0"),
]
# "Default: the source's" may mean that the other side stays as it is, or that it follows.
_ONE_SIDE = (
    " Give both sides: the service does not document what happens to the other one; "
    "the local stand-in keeps the shape."
)
_Width = Annotated[_Side, Param("w", "Width." + _ONE_SIDE, default="the source's", unit="px")]
_Height = Annotated[_Side, Param("h", "Height." + _ONE_SIDE, default="the source's", unit="px")]
_Fit = Annotated[Token, Param("scaletype", FIT_DOC, default="stretch", known=FIT)]


class VideoAnimationParameters(TypedDict, total=False):
    """Arguments of ``video/animation``. There is no length: limit it with ``count`` and ``interval``."""

    format: Required[
        Annotated[Token, Param("f", "Format of the result.", known=("gif", "webp"), closed=True)]
    ]
    start: Start
    count: _Count
    interval: _Spacing
    frame_rate: Annotated[
        float,
        Interval(gt=0, le=240),
        Param("fps", "Play speed of the result.", default="one frame per interval", unit="fps"),
    ]
    width: _Width
    height: _Height
    fit: _Fit


class VideoSnapshotsParameters(TypedDict, total=False):
    """Arguments of ``video/snapshots``."""

    format: Required[_ImageFormat]
    start: Start
    sampling: _Sampling
    change_threshold: _Threshold
    count: _Count
    interval: _Spacing
    width: _Width
    height: _Height
    width_percent: Annotated[
        _Percent, Param("pw", "Width in per cent of the source's.", default="100", unit="%")
    ]
    height_percent: Annotated[
        _Percent, Param("ph", "Height in per cent of the source's.", default="100", unit="%")
    ]
    fit: _Fit


class VideoSpriteParameters(TypedDict, total=False):
    """Arguments of ``video/sprite``. The whole sheet is at most 16,384 x 16,384 px."""

    format: Required[_ImageFormat]
    start: Start
    sampling: _Sampling
    change_threshold: _Threshold
    count: _Count
    interval: _Spacing
    tile_width: Annotated[
        _Side, Param("sw", "Width of a tile." + _ONE_SIDE, default="the source's", unit="px")
    ]
    tile_height: Annotated[
        _Side, Param("sh", "Height of a tile." + _ONE_SIDE, default="the source's", unit="px")
    ]
    tile_width_percent: Annotated[
        _Percent, Param("psw", "Width of a tile in per cent of the source's.", default="100", unit="%")
    ]
    tile_height_percent: Annotated[
        _Percent, Param("psh", "Height of a tile in per cent of the source's.", default="100", unit="%")
    ]
    fit: _Fit
    columns: Annotated[_Tiles, Param("tw", "Tiles in a row (range and default from IMM).", default="6")]
    rows: Annotated[_Tiles, Param("th", "Tiles in a column (range and default from IMM).", default="6")]
    padding: Annotated[_Gap, Param("pad", "Gap between tiles (from IMM).", default="2", unit="px")]
    margin: Annotated[_Gap, Param("margin", "Outer border (from IMM).", default="2", unit="px")]


class _Frames(Specification):
    """What all operations share that read frames."""

    task_type = "MediaConvert"
    #: Sizes in pixels, and sizes in per cent, which the service ignores beside them.
    pixel_fields: ClassVar[tuple[str, ...]] = ("width", "height")
    percent_fields: ClassVar[tuple[str, ...]] = ()

    def ignored(self) -> Iterator[str]:
        """Yield sizes that the service ignores, and a fit without a size."""
        pixels = [name for name in self.pixel_fields if name in self.values]
        percents = [name for name in self.percent_fields if name in self.values]
        if pixels and percents:
            yield (
                f"{', '.join(percents)} would be ignored: a size in pixels is given, {' and '.join(pixels)} "
                "(allow_ignored=True takes it)"
            )
        if "fit" in self.values and not pixels and not percents:
            yield f"fit would be ignored: no {' or '.join(self.pixel_fields)} (allow_ignored=True takes it)"


class VideoAnimation(_Frames):
    """Turn a video into an animated GIF or WebP. Limit its length with ``count`` and ``interval``.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/convert-videos-to-animated-images

    :param format: Format of the result. One of gif, webp. Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``.
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``.
    :param frame_rate: Play speed of the result. A number above 0 to 240 fps. Default: one frame per interval.
        Wire key ``fps``.
    :param width: Width. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``w``.
    :param height: Height. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``h``.
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "video/animation"
    parameters = VideoAnimationParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/convert-videos-to-animated-images"
    outputs = "one object"

    def __init__(  # made by python -m tests.generate
        self,
        *,
        format: Literal["gif", "webp"] | str,
        start: float | timedelta | str | None = None,
        count: int | str | None = None,
        interval: float | timedelta | str | None = None,
        frame_rate: float | str | None = None,
        width: int | str | None = None,
        height: int | str | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            format=format,
            start=start,
            count=count,
            interval=interval,
            frame_rate=frame_rate,
            width=width,
            height=height,
            fit=fit,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )


class _FrameCapture(_Frames):
    """What frames and sprite sheets share."""

    def errors(self) -> Iterator[str]:
        """Yield what the way of choosing frames needs."""
        if self.get("sampling") == "avg" and not self.get("count"):
            yield "sampling='avg' needs a count above 0"
        if "change_threshold" in self.values and self.get("sampling") != "dhash":
            yield "change_threshold is only allowed with sampling='dhash'"

    def warnings(self, source: ObjectURI | None = None) -> Iterator[str]:
        """Yield settings that take every frame of the video."""
        yield from super().warnings(source)
        if not self.get("count") and not self.get("interval") and self.get("sampling", "inter") == "inter":
            yield "without count or interval every frame of the video is taken"


class VideoSnapshots(_FrameCapture):
    """Take frames of a video as images.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/video-frame-cutting

    :param format: Format of the images. One of jpg, png. Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param sampling: How frames are chosen: inter by interval, key keyframes, avg evenly spread (needs count),
        dhash where the picture changes. Text such as inter, key, avg, dhash. Default: inter. Wire key ``m``.
    :param change_threshold: How much the picture must change with sampling dhash; at most 25 is advised. A
        whole number from 0 to 100. Default: 0. Wire key ``thr``.
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``.
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``.
    :param width: Width. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``w``.
    :param height: Height. Give both sides: the service does not document what happens to the other one; the
        local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the source's. Wire key
        ``h``.
    :param width_percent: Width in per cent of the source's. A whole number from 1 to 200 %. Default: 100.
        Wire key ``pw``.
    :param height_percent: Height in per cent of the source's. A whole number from 1 to 200 %. Default: 100.
        Wire key ``ph``.
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "video/snapshots"
    parameters = VideoSnapshotsParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/video-frame-cutting"
    outputs = "one object per frame: give a target without extension, or with {index}"
    appended_numbers = 2
    percent_fields = ("width_percent", "height_percent")

    def __init__(  # made by python -m tests.generate
        self,
        *,
        format: Literal["jpg", "png"] | str,
        start: float | timedelta | str | None = None,
        sampling: Literal["inter", "key", "avg", "dhash"] | str | None = None,
        change_threshold: int | str | None = None,
        count: int | str | None = None,
        interval: float | timedelta | str | None = None,
        width: int | str | None = None,
        height: int | str | None = None,
        width_percent: int | str | None = None,
        height_percent: int | str | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            format=format,
            start=start,
            sampling=sampling,
            change_threshold=change_threshold,
            count=count,
            interval=interval,
            width=width,
            height=height,
            width_percent=width_percent,
            height_percent=height_percent,
            fit=fit,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    @classmethod
    def writes_many(cls, process: Process) -> bool:
        """Return whether more than one frame may be taken."""
        return process.param("num") != "1"


class VideoSprite(_FrameCapture):
    """Take frames of a video and lay them out on sheets of at most 16,384 x 16,384 px.

    Source: https://www.alibabacloud.com/help/en/oss/user-guide/video-cut-sprite

    :param format: Format of the images. One of jpg, png. Required. Wire key ``f``.
    :param start: Where to begin in the source. Seconds or a timedelta from 0 to 1000000000 s. Default: the
        beginning. Wire key ``ss``.
    :param sampling: How frames are chosen: inter by interval, key keyframes, avg evenly spread (needs count),
        dhash where the picture changes. Text such as inter, key, avg, dhash. Default: inter. Wire key ``m``.
    :param change_threshold: How much the picture must change with sampling dhash; at most 25 is advised. A
        whole number from 0 to 100. Default: 0. Wire key ``thr``.
    :param count: Most frames to take; 0 for no limit. A whole number from 0 to 2147483647. Default: no limit.
        Wire key ``num``.
    :param interval: Time from one frame to the next; 0 takes every frame. Seconds or a timedelta from 0 to
        1000000000 s. Default: every frame. Wire key ``inter``.
    :param tile_width: Width of a tile. Give both sides: the service does not document what happens to the
        other one; the local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the
        source's. Wire key ``sw``.
    :param tile_height: Height of a tile. Give both sides: the service does not document what happens to the
        other one; the local stand-in keeps the shape. A whole number from 32 to 4096 px. Default: the
        source's. Wire key ``sh``.
    :param tile_width_percent: Width of a tile in per cent of the source's. A whole number from 1 to 200 %.
        Default: 100. Wire key ``psw``.
    :param tile_height_percent: Height of a tile in per cent of the source's. A whole number from 1 to 200 %.
        Default: 100. Wire key ``psh``.
    :param fit: How a frame is fitted to the size: stretch distorts, crop covers and cuts the rest, fill adds
        black bars, fit keeps the shape inside the size. Text such as stretch, crop, fill, fit. Default:
        stretch. Wire key ``scaletype``.
    :param columns: Tiles in a row (range and default from IMM). A whole number from 1 to 100. Default: 6.
        Wire key ``tw``.
    :param rows: Tiles in a column (range and default from IMM). A whole number from 1 to 100. Default: 6.
        Wire key ``th``.
    :param padding: Gap between tiles (from IMM). A whole number from 0 to 100 px. Default: 2. Wire key
        ``pad``.
    :param margin: Outer border (from IMM). A whole number from 0 to 100 px. Default: 2. Wire key ``margin``.
    :param extra_params: wire keys and values, text or numbers, that are added as they are, for what this
        package does not know. Default: none.
    :param allow_ignored: take arguments that are certain to have no effect, and results that overwrite each
        other, with a warning. Default: they are errors.
    :raises ProcessError: names every wrong argument, its value and what is allowed.
    """

    operation = "video/sprite"
    parameters = VideoSpriteParameters
    page = "https://www.alibabacloud.com/help/en/oss/user-guide/video-cut-sprite"
    outputs = (
        "one object per sheet: give a target without extension, or with {index}, or a count of at most "
        "columns x rows"
    )
    appended_numbers = None
    pixel_fields = ("tile_width", "tile_height")
    percent_fields = ("tile_width_percent", "tile_height_percent")

    def __init__(  # made by python -m tests.generate
        self,
        *,
        format: Literal["jpg", "png"] | str,
        start: float | timedelta | str | None = None,
        sampling: Literal["inter", "key", "avg", "dhash"] | str | None = None,
        change_threshold: int | str | None = None,
        count: int | str | None = None,
        interval: float | timedelta | str | None = None,
        tile_width: int | str | None = None,
        tile_height: int | str | None = None,
        tile_width_percent: int | str | None = None,
        tile_height_percent: int | str | None = None,
        fit: Literal["stretch", "crop", "fill", "fit"] | str | None = None,
        columns: int | str | None = None,
        rows: int | str | None = None,
        padding: int | str | None = None,
        margin: int | str | None = None,
        extra_params: Mapping[str, str | float] | None = None,
        allow_ignored: bool = False,
    ) -> None:
        super().__init__(
            format=format,
            start=start,
            sampling=sampling,
            change_threshold=change_threshold,
            count=count,
            interval=interval,
            tile_width=tile_width,
            tile_height=tile_height,
            tile_width_percent=tile_width_percent,
            tile_height_percent=tile_height_percent,
            fit=fit,
            columns=columns,
            rows=rows,
            padding=padding,
            margin=margin,
            extra_params=extra_params,
            allow_ignored=allow_ignored,
        )

    @classmethod
    def writes_many(cls, process: Process) -> bool:
        """Return whether there may be more frames than one sheet holds."""
        texts = [(process.param(key) or "", default) for key, default in (("num", 0), ("tw", 6), ("th", 6))]
        frames, columns, rows = (
            int(text) if re.fullmatch(r"[0-9]{1,9}", text) else default for text, default in texts
        )
        return not 0 < frames <= columns * rows

    def errors(self) -> Iterator[str]:
        """Yield a sheet that would be larger than the service makes."""
        yield from super().errors()
        for side, tiles in (("tile_width", "columns"), ("tile_height", "rows")):
            n = self.get(tiles, 6)
            pixels = self.get(side, 0) * n + self.get("padding", 2) * (n - 1) + 2 * self.get("margin", 2)
            if pixels > MAX_SHEET_SIDE:
                yield f"{side} x {tiles} makes a sheet of {pixels} px, more than {MAX_SHEET_SIDE}"
