"""A blind text watermark for samples and tests of ``image/deblindwatermark``.

It is not the service's algorithm: neither can decode the other's watermarks. Packages that embed blind
watermarks need OpenCV or PyTorch and, to decode, the length of the text.

Each 8 x 8 block of the luminance carries one bit in each of four coefficients of its discrete cosine
transform, by quantisation index modulation: the coefficient is moved to the nearest even (0) or odd (1)
multiple of a step, which is the strength. The text is preceded by its length, both have checksums, and
both are repeated over the whole picture, so that a picture without a watermark is recognised. The
watermark survives another format, JPEG of fair quality and some noise; it does not survive scaling,
cropping or rotation.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from airflow_provider_oss_async.local.processing.result import JobFailed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: The distance of two levels by strength, in levels of luminance.
_STEPS = {"low": 12.0, "medium": 24.0, "high": 40.0}
#: Documented limits: characters of the text, and px of a side.
TEXT_LIMIT = 256
SIDES = (80, 10_000)
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
_BLOCK = 8
_FREQUENCIES = ((1, 2), (2, 1), (2, 2), (0, 3))
#: Every fourth place is for the length and its checksum, 16 bits each.
_HEADER_BITS = 32
_ROUNDS = 4
#: Luminance of red, green and blue.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def embed(image: Path, text: str, out: Path, strength: str = "low") -> None:
    """Embed a text in a picture and save it in the picture's own format.

    :param image: JPEG, PNG, BMP, WebP or TIFF with sides of 80 to 10,000 px.
    :param text: 1 to 256 characters.
    :param out: the new file.
    :param strength: ``low``, ``medium`` or ``high``: the higher, the more it survives and the more it shows.
    :raises JobFailed: not such a picture, or too small for the text.
    """
    if not 0 < len(text) <= TEXT_LIMIT:
        raise JobFailed("InvalidArgument", f"The watermark must have 1 to {TEXT_LIMIT} characters")
    step = _step(strength)
    picture = _open(image)
    form = picture.format
    alpha = picture.convert("RGBA").getchannel("A") if "A" in picture.getbands() else None
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32).copy()
    payload = text.encode()
    wanted: NDArray[Any] = np.empty(0)
    # A change beyond black or white is clipped; the next round starts from the clipped block.
    for _ in range(_ROUNDS):
        luma = pixels @ _LUMA
        blocks = _blocks(luma)
        has = _levels(blocks, step)
        if not wanted.size:
            bits = _spread(payload, has.size, strength).reshape(has.shape)
            wanted = 2 * np.round((has - bits) / 2) + bits
        elif np.abs(has - wanted).max() < 0.1:
            break
        for basis, level, goal in zip(_bases(), has, wanted, strict=True):
            blocks += ((goal - level) * step)[..., None, None] * basis
        changed = luma.copy()
        _write_blocks(changed, blocks)
        pixels = np.clip(pixels + (changed - luma)[..., None], 0, 255)
    result = Image.fromarray(np.round(pixels).astype(np.uint8))
    if alpha is not None:
        result.putalpha(alpha)
    # JPEG with all of its colour resolution; the others are lossless.
    options: dict[str, Any] = {"JPEG": {"quality": 90, "subsampling": 0}, "WEBP": {"lossless": True}}
    result.save(out, format=form, **options.get(form or "", {}))


def decode(image: Path, strength: str = "low") -> str:
    """Return the text that is embedded in a picture.

    :param strength: the strength it was embedded with. Whether the service requires the same is not
        documented; it is required here, so that nothing passes here that may fail there.
    :raises JobFailed: it is not a picture, or has no such watermark.
    """
    _step(strength)
    blocks = _blocks(np.asarray(_open(image).convert("YCbCr").getchannel("Y"), dtype=np.float32))
    coefficients = _levels(blocks, 1).ravel()
    if (text := _read(coefficients, strength)) is not None:
        return text
    for other in _STEPS:
        if other != strength and _read(coefficients, other) is not None:
            message = f"The image has no watermark of strength {strength}, but one of strength {other}"
            raise JobFailed("WatermarkNotFound", message)
    raise JobFailed("WatermarkNotFound", "The image has no watermark that the local stand-in has embedded")


def _levels(blocks: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Return the coefficients of every block that are used, in steps: by frequency, row and column."""
    levels = np.stack([np.einsum("ijab,ab->ij", blocks, basis) for basis in _bases()])
    return (levels / step).astype(np.float32)


def _spread(payload: bytes, count: int, strength: str) -> NDArray[np.float32]:
    """Return the bit that belongs in each of ``count`` places."""
    bits = _bits(payload + zlib.crc32(payload).to_bytes(4, "big"))
    header, body = _places(count, strength)
    if len(body) < len(bits) or len(header) < _HEADER_BITS:
        raise JobFailed("InvalidArgument", "The image is too small for a watermark of this length")
    spread = np.empty(count, dtype=np.float32)
    spread[header] = np.resize(_bits(_header(len(payload))), len(header))
    spread[body] = np.resize(bits, len(body))
    return spread


def _read(coefficients: NDArray[np.float32], strength: str) -> str | None:
    # +1 on an even multiple of the step, -1 on an odd one; places between two multiples weigh little.
    votes = np.cos(np.pi * coefficients / _STEPS[strength])
    header, body = _places(len(votes), strength)
    found = _vote(votes[header], _HEADER_BITS)
    if found is None:
        return None
    length = int.from_bytes(found[:2], "big")
    if found != _header(length):
        return None
    payload = _vote(votes[body], (length + 4) * 8)
    if payload is None or zlib.crc32(payload[:-4]) != int.from_bytes(payload[-4:], "big"):
        return None
    return payload[:-4].decode(errors="replace")


def _vote(votes: NDArray[Any], count: int) -> bytes | None:
    """Return the bits by majority; the places hold them in turn, repeatedly."""
    if len(votes) < count:
        return None
    whole = np.resize(np.append(votes, np.zeros(-len(votes) % count)), (-(-len(votes) // count), count))
    return np.packbits(whole.sum(axis=0) < 0).tobytes()


def _step(strength: str) -> float:
    if strength not in _STEPS:
        raise JobFailed(
            "InvalidArgument", f"strength={strength!r} is not known: expected {', '.join(_STEPS)}"
        )
    return _STEPS[strength]


def _open(path: Path) -> Image.Image:
    try:
        picture = Image.open(path, formats=_FORMATS)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        raise JobFailed(
            "UnsupportedImage", f"The object is not a picture: expected {', '.join(_FORMATS)}"
        ) from None
    low, high = SIDES
    with picture:
        if not (low <= picture.width <= high and low <= picture.height <= high):
            raise JobFailed(
                "InvalidArgument", f"The image's sides must have {low} to {high} px, not {picture.size}"
            )
        try:
            picture.load()
        except (OSError, SyntaxError) as error:
            raise JobFailed("UnsupportedImage", f"The image is damaged: {error}") from error
        return picture


def _blocks(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the whole 8 x 8 blocks, by row and column."""
    rows, columns = (side // _BLOCK for side in pixels.shape)
    whole = pixels[: rows * _BLOCK, : columns * _BLOCK]
    return whole.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).copy()


def _write_blocks(pixels: NDArray[np.float32], blocks: NDArray[np.float32]) -> None:
    rows, columns = blocks.shape[:2]
    whole = blocks.swapaxes(1, 2).reshape(rows * _BLOCK, columns * _BLOCK)
    pixels[: rows * _BLOCK, : columns * _BLOCK] = whole


def _bases() -> list[NDArray[np.float32]]:
    """Return the orthonormal basis functions of the coefficients that are used."""
    n = np.arange(_BLOCK)
    waves = np.sqrt(2 / _BLOCK) * np.cos(np.pi * (2 * n[None, :] + 1) * n[:, None] / (2 * _BLOCK))
    waves[0] /= np.sqrt(2)
    return [np.outer(waves[u], waves[v]).astype(np.float32) for u, v in _FREQUENCIES]


def _places(count: int, strength: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of header and text: spread over the picture, fixed for a strength."""
    order = np.random.default_rng(list(_STEPS).index(strength)).permutation(count)
    return order[::4], np.delete(order, np.s_[::4])


def _header(length: int) -> bytes:
    raw = length.to_bytes(2, "big")
    return raw + (zlib.crc32(raw) & 0xFFFF).to_bytes(2, "big")


def _bits(data: bytes) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(data, dtype=np.uint8))
