"""Values as plain text: in messages, where they may be anything, and on the wire, where they are exact."""

from __future__ import annotations

import reprlib
from decimal import Decimal
from enum import Enum
from typing import Any

#: Characters of a value that a message shows.
MAX_SHOWN = 100
#: What Jinja makes of a missing value, in any case of blanks around it.
MISSING = ("", "None")
#: Where a native template may have changed the type of a name.
NATIVE_HINT = "render_template_as_native_obj=True turns text such as 2026_01_01 into a number"


def shown(value: Any) -> str:
    """Return a value for a message: short, quickly made, and without raising whatever the value is."""
    try:
        if isinstance(value, str | bytes | bytearray):
            text = repr(value[: MAX_SHOWN + 1])
        elif isinstance(value, int) and abs(value) > 10**MAX_SHOWN:
            return "a number of more than 100 digits"
        elif isinstance(value, list | tuple | dict | set | frozenset):
            short = reprlib.Repr()
            short.maxlist = short.maxtuple = short.maxdict = short.maxset = short.maxfrozenset = 12
            short.maxstring = short.maxother = MAX_SHOWN
            text = short.repr(value)
        else:
            text = repr(value)
    except Exception:  # a message must not fail for what it is about
        return f"an object of the type {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def plain(value: Any) -> Any:
    """Return the value itself where a subclass would be written differently than it is checked.

    ``class Codec(str, Enum)`` is equal to ``"h264"`` but is written ``Codec.H264``; ``IntEnum`` and
    ``numpy.float64`` have other representations than ``int`` and ``float``.
    """
    if isinstance(value, Enum) and not isinstance(value, str | int | float):
        return plain(value.value)
    if isinstance(value, str) and type(value) is not str:
        return str.__str__(value)
    if isinstance(value, float) and type(value) is not float:
        return float.__float__(value)
    if isinstance(value, int) and type(value) not in (int, bool):
        return int.__int__(value)
    return value


def unwrapped(value: Any) -> Any:
    """Return what a lazy proxy stands for; anything else as it is.

    Airflow's context gives ``prev_start_date_success`` and its like as proxies, which are not ``None`` even
    where they stand for ``None``.
    """
    return getattr(value, "__wrapped__", value)


def is_missing(value: Any) -> bool:
    """Whether a text is empty, blank or the ``None`` that Jinja makes of a missing value."""
    return isinstance(value, str) and value.strip() in MISSING


def plain_number(value: float) -> str:
    """Return a number without an exponent: ``0.0000001``, not ``1e-07``."""
    number = plain(value)
    if isinstance(number, int):
        return str(number)
    # Adding 0.0 makes 0.0 of -0.0.
    return format(Decimal(repr(number + 0.0)), "f").removesuffix(".0")
