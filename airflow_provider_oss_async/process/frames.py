"""Animations, frames and sprite sheets of videos.

Sources, all under https://www.alibabacloud.com/help/en/oss/user-guide/: convert-videos-to-animated-images,
video-frame-cutting, video-cut-sprite. Fields that only the IMM action ``CreateMediaConvertTask``
describes say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Required

from annotated_types import Interval
from typing_extensions import TypedDict

from airflow_provider_oss_async.process.media import FIT, FIT_DOC, Start
from airflow_provider_oss_async.process.specification import Param, Seconds, Specification, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SHEET_SIDE = 16_384

_Side = Annotated[int, Interval(ge=32, le=4096)]
_Percent = Annotated[int, Interval(ge=1, le=200)]
_Tiles = Annotated[int, Interval(ge=1, le=100)]
_Gap = Annotated[int, Interval(ge=0, le=100)]

_ImageFormat = Annotated[Token, Param("f", "Format of the images.", known=("jpg", "png"))]
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
_Width = Annotated[_Side, Param("w", "Width.", default="the source's", unit="px")]
_Height = Annotated[_Side, Param("h", "Height.", default="the source's", unit="px")]
_Fit = Annotated[Token, Param("scaletype", FIT_DOC, default="stretch", known=FIT)]


class VideoAnimationParameters(TypedDict, total=False):
    """Arguments of ``video/animation``. There is no length: limit it with ``count`` and ``interval``."""

    format: Required[Annotated[Token, Param("f", "Format of the result.", known=("gif", "webp"))]]
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
    tile_width: Annotated[_Side, Param("sw", "Width of a tile.", default="the source's", unit="px")]
    tile_height: Annotated[_Side, Param("sh", "Height of a tile.", default="the source's", unit="px")]
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


class VideoAnimation(Specification):
    """Turn a video into an animated GIF or WebP."""

    operation = "video/animation"
    task_type = "MediaConvert"
    parameters = VideoAnimationParameters


class _FrameCapture(Specification):
    task_type = "MediaConvert"
    #: Pairs of (size in per cent, size in pixels that makes the service ignore it).
    percent_fields: tuple[tuple[str, str], ...] = ()

    def errors(self) -> Iterator[str]:
        """Yield what the way of choosing frames needs."""
        if self.get("sampling") == "avg" and not self.get("count"):
            yield "sampling='avg' needs a count above 0"
        if "change_threshold" in self.values and self.get("sampling") != "dhash":
            yield "change_threshold is only allowed with sampling='dhash'"

    def warnings(self) -> Iterator[str]:
        """Yield sizes that the service ignores, and settings that take every frame of the video."""
        yield from super().warnings()
        for percent, pixels in self.percent_fields:
            if percent in self.values and any(p in self.values for _, p in self.percent_fields):
                yield f"{percent} will be ignored: a size in pixels is given ({pixels})"
        if not self.get("count") and not self.get("interval") and self.get("sampling", "inter") == "inter":
            yield "without count or interval every frame of the video is taken"


class VideoSnapshots(_FrameCapture):
    """Take frames of a video as images."""

    operation = "video/snapshots"
    parameters = VideoSnapshotsParameters
    percent_fields = (("width_percent", "width"), ("height_percent", "height"))


class VideoSprite(_FrameCapture):
    """Take frames of a video and lay them out on a sheet."""

    operation = "video/sprite"
    parameters = VideoSpriteParameters
    percent_fields = (("tile_width_percent", "tile_width"), ("tile_height_percent", "tile_height"))

    def errors(self) -> Iterator[str]:
        """Yield a sheet that would be larger than the service makes."""
        yield from super().errors()
        for side, tiles in (("tile_width", "columns"), ("tile_height", "rows")):
            n = self.get(tiles, 6)
            pixels = self.get(side, 0) * n + self.get("padding", 2) * (n - 1) + 2 * self.get("margin", 2)
            if pixels > MAX_SHEET_SIDE:
                yield f"{side} x {tiles} makes a sheet of {pixels} px, more than {MAX_SHEET_SIDE}"
