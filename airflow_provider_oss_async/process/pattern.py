"""Patterns of object keys, matched in time proportional to the key.

A regular expression with several variables side by side, such as that of ``{index}{index}{index}``, takes
time that grows with a power of the key's length. Here all positions that can be reached are kept as the bits
of one integer, and every part of the pattern moves them at once (the operations are those of Parabix).
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from dataclasses import dataclass

DIGITS = string.digits
ALPHANUMERIC = string.ascii_letters + string.digits
#: Not sets of characters themselves: all characters but the slash, and all characters.
NO_SLASH, ANY = "^/", "^"


class _Key:
    """A key, with the positions of each set of characters as bits."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._masks: dict[str, int] = {}

    def mask(self, characters: str) -> int:
        if characters not in self._masks:
            inside, listed = characters[:1] != "^", set(characters.removeprefix("^"))
            bits = "".join("1" if (char in listed) is inside else "0" for char in reversed(self.text))
            self._masks[characters] = int(bits or "0", 2)
        return self._masks[characters]


class Part(ABC):
    """A part of a pattern. Parts are joined with ``+``."""

    @abstractmethod
    def advance(self, positions: int, key: _Key) -> int:
        """Return the positions after this part, from any of the given ones."""

    def __add__(self, other: Part) -> Part:
        return _Sequence((self, other))


@dataclass(frozen=True, slots=True)
class Text(Part):
    """A literal text."""

    text: str

    def advance(self, positions: int, key: _Key) -> int:
        """Return the positions after the text."""
        found, at = 0, key.text.find(self.text)
        while at >= 0 and self.text:
            found |= 1 << at
            at = key.text.find(self.text, at + 1)
        return (positions & found) << len(self.text) if self.text else positions


@dataclass(frozen=True, slots=True)
class Some(Part):
    """A number of characters out of a set.

    :param characters: the set, or with ``^`` in front all others.
    :param least: fewest characters.
    :param most: most characters; ``None`` for no limit.
    """

    characters: str
    least: int = 1
    most: int | None = None

    def advance(self, positions: int, key: _Key) -> int:
        """Return the positions after the characters."""
        mask = key.mask(self.characters)
        for _ in range(self.least):
            positions = (positions & mask) << 1
        if self.most is None:
            # An addition carries each position to the end of its run of characters.
            return (((positions & mask) + mask) ^ mask) | positions
        reached = positions
        for _ in range(self.most - self.least):
            positions = (positions & mask) << 1
            reached |= positions
        return reached


@dataclass(frozen=True, slots=True)
class Maybe(Part):
    """A part that may be missing."""

    part: Part

    def advance(self, positions: int, key: _Key) -> int:
        """Return the positions with and without the part."""
        return positions | self.part.advance(positions, key)


@dataclass(frozen=True, slots=True)
class _Sequence(Part):
    parts: tuple[Part, ...]

    def advance(self, positions: int, key: _Key) -> int:
        for part in self.parts:
            if not positions:
                break
            positions = part.advance(positions, key)
        return positions


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """What the key of an output looks like.

    :param parts: the parts of the pattern, in order.
    """

    parts: tuple[Part, ...]

    def fullmatch(self, key: str) -> bool:
        """Return whether a whole key is like this."""
        return bool(_Sequence(self.parts).advance(1, _Key(key)) >> len(key) & 1)

    @property
    def tail(self) -> str:
        """The text that every such key ends with; empty where the end may be anything."""
        return _tail(self.parts)[0]


def _tail(parts: tuple[Part, ...]) -> tuple[str, bool]:
    """Return the text that some parts end with, and whether they are nothing but this text."""
    text = ""
    for part in reversed(parts):
        own, constant = (
            (part.text, True)
            if isinstance(part, Text)
            else (_tail(part.parts) if isinstance(part, _Sequence) else ("", False))
        )
        text = own + text
        if not constant:
            return text, False
    return text, True
