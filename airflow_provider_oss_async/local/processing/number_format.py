"""Cell values as a spreadsheet shows them, by their number format (ECMA-376 part 1, section 18.8.31).

No maintained package does this. Covered are sections, conditions, digits, thousands, scaling, per cent,
currency, exponents, fractions, literals, dates, times and elapsed times. Names of months and days are
English; colours, fill characters and other calendars are ignored.
"""

from __future__ import annotations

import calendar
import itertools
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|(?P<width>_.)|(?P<fill>\*.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[(?P<elapsed>h+|m+|s+)\]|(?P<bracket>\[[^\]]*\])|(?P<general>General)|(?P<half>AM/PM|A/P)"
    r"|(?P<exponent>E[+-]0+)|(?P<clock>y+|m+|d+|h+|s+(?:\.0+)?|e+|aaaa?)|(?P<digit>[0#?])|(?P<other>.)",
    re.I | re.S,
)
_SECTION = re.compile(r'(?:\A|;)((?:"[^"]*"|\\.|\[[^\]]*\]|[^;])*)', re.S)
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?\d+\.?\d*)\]")
_FRACTION = re.compile(r"(?:[#0?]+(\s+))?[#0?]+/([#0?]+|\d+)")
#: Short dates in the form of the user's locale; here that of the United States.
_LOCALE_DATES = {"mm-dd-yy": "m/d/yyyy", "m/d/yy h:mm": "m/d/yyyy h:mm"}
#: Day 0 of a workbook.
_EPOCH = datetime(1899, 12, 30)

_Tokens = list[tuple[str, str]]


def format_value(value: Any, number_format: str = "General") -> str:
    """Return the text of a cell.

    :param value: as openpyxl reads it: text, number, bool, date, time, ``timedelta`` or ``None``.
    :param number_format: the cell's format, such as ``#,##0.00``.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, date | time | timedelta):
        return _format_time(value, _LOCALE_DATES.get(number_format, number_format))
    if isinstance(value, int | float) and math.isfinite(value):
        return _format_number(value, number_format)
    return str(value)


def _tokens(section: str) -> _Tokens:
    """Return kinds and texts; what is shown as it stands has the kind ``text``."""
    tokens = []
    for found in _TOKEN.finditer(section):
        kind = found.lastgroup or "other"
        text = found[kind]
        if kind in ("quoted", "escaped", "currency"):
            kind = "text"
        elif kind == "width":
            kind, text = "text", " "
        elif kind == "other":
            kind = text if text in ".,%/" else "text"
        if kind not in ("fill", "bracket"):
            tokens.append((kind, text))
    return tokens


def _section_of(number_format: str, value: float) -> tuple[str, float]:
    """Return the section for a number, and the number that it shows: without a sign where it has its own."""
    sections = [found[1] for found in _SECTION.finditer(number_format)][:3]
    conditions = [_CONDITION.search(section) for section in sections]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=True):
            if condition is None or _holds(value, condition[1], float(condition[2])):
                return section, value
    elif value < 0 and len(sections) > 1:
        return sections[1], -value
    elif value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


def _holds(value: float, sign: str, limit: float) -> bool:
    return (
        (value < limit and "<" in sign) or (value > limit and ">" in sign) or (value == limit and "=" in sign)
    )


def _format_number(value: float, number_format: str) -> str:
    section, value = _section_of(number_format or "General", value)
    tokens = _tokens(section)
    kinds = {kind for kind, _ in tokens}
    size = Decimal(repr(abs(value)))
    if "@" in section:
        return _general(value)
    if "general" in kinds:
        body = "".join(_general(abs(value)) if kind == "general" else text for kind, text in tokens)
    elif "/" in kinds and (fraction := _FRACTION.search("".join(text for _, text in tokens))):
        body = _format_fraction(fraction, size)
    else:
        body = _format_decimal(tokens, size)
    return f"-{body}" if value < 0 and body else body


def _general(value: float) -> str:
    if value == 0 or 1e-9 <= abs(value) < 1e11:
        return str(value) if isinstance(value, int) else f"{value:.10g}"
    mantissa, _, exponent = f"{value:.5E}".partition("E")
    return f"{mantissa.rstrip('0').rstrip('.')}E{exponent}"


def _round(value: Decimal, places: int) -> Decimal:
    # Exact: a decimal context would have to know how many digits there are.
    return Decimal(f"{math.floor(Fraction(value) * 10**places + Fraction(1, 2))}E-{places}")


def _format_fraction(form: re.Match[str], value: Decimal) -> str:
    exact = Fraction(value)
    whole = math.floor(exact) if form[1] else 0
    part, below = exact - whole, form[2]
    if below.strip("#?0"):
        denominator = int(below)
        numerator = math.floor(part * denominator + Fraction(1, 2))
    else:
        near = part.limit_denominator(10 ** len(below) - 1)
        numerator, denominator = near.numerator, near.denominator
    if form[1] and numerator == denominator:
        whole, numerator = whole + 1, 0
    pieces = [str(whole)] if whole or (form[1] and not numerator) else []
    pieces += [f"{numerator}/{denominator}"] if numerator or not form[1] else []
    return form.string[: form.start()] + " ".join(pieces) + form.string[form.end() :]


def _format_decimal(tokens: _Tokens, value: Decimal) -> str:
    digits = [number for number, (kind, _) in enumerate(tokens) if kind == "digit"]
    kinds = [kind for kind, _ in tokens]
    if not digits:
        return "".join(text for kind, text in tokens if kind != ",")
    ends = [kinds.index(kind) for kind in (".", "exponent") if kind in kinds] or [digits[-1] + 1]
    point = min(ends)
    whole = [number for number in digits if number < point]
    places = sum(number > point for number in digits)
    value *= 100 ** kinds.count("%")
    # Commas between digits group; those after the last digit divide by a thousand each.
    grouped = "," in kinds[: max(whole, default=0)]
    for end in {max(whole, default=digits[-1]), digits[-1]}:
        commas = itertools.takewhile(lambda kind: kind == ",", kinds[end + 1 :])
        value = value.scaleb(-3 * sum(1 for _ in commas))
    exponent = 0
    if "exponent" in kinds and value:
        step = max(1, len(whole))
        exponent = value.adjusted() // step * step
        if _round(value.scaleb(-exponent), places) >= 10**step:
            exponent += step
        value = value.scaleb(-exponent)
    before, _, after = f"{_round(value, places):f}".partition(".")
    before = before.lstrip("0")
    shown: list[str] = []
    count = 0
    for number in range(point - 1, -1, -1):
        kind, text = tokens[number]
        if kind != "digit":
            shown.append("" if kind == "," else text)
            continue
        # The first place takes all digits that are left.
        take = len(before) if number == whole[0] else 1
        taken = before[len(before) - take :] if before else {"0": "0", "?": " "}.get(text, "")
        before = before[: len(before) - take]
        for char in reversed(taken):
            shown.append("," if grouped and count and count % 3 == 0 and char != " " else "")
            shown.append(char)
            count += 1
    shown.reverse()
    place = 0
    for kind, text in tokens[point:]:
        if kind == "digit":
            needed = text == "0" or after[place:].strip("0")
            shown.append(after[place] if needed else " " if text == "?" else "")
            place += 1
        elif kind == "exponent":
            sign = "-" if exponent < 0 else text[1].replace("-", "")
            shown.append(f"E{sign}{abs(exponent):0{len(text) - 2}d}")
        elif kind != ",":
            shown.append(text)
    return "".join(shown)


def _format_time(value: date | time | timedelta, number_format: str) -> str:
    if isinstance(value, timedelta):
        moment = _EPOCH + value
    elif isinstance(value, time):
        moment = datetime.combine(_EPOCH, value)
    else:
        moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    tokens = _tokens(_SECTION.match(number_format)[1])  # type: ignore[index]  # it matches any text
    clocks = [text.lower() if kind in ("clock", "elapsed") else "" for kind, text in tokens]
    if not any(clocks):
        return str(value)
    twelve = any(kind == "half" for kind, _ in tokens)
    shown = []
    for number, (kind, text) in enumerate(tokens):
        if kind == "half":
            half = "AM" if moment.hour < 12 else "PM"
            shown.append(half if len(text) > 3 else half[0])
        elif kind == "elapsed":
            seconds = int((moment - _EPOCH).total_seconds())
            shown.append(f"{seconds // {'h': 3600, 'm': 60, 's': 1}[clocks[number][0]]:0{len(text)}d}")
        elif kind == "clock":
            earlier = next((clock for clock in reversed(clocks[:number]) if clock), "")
            later = next((clock for clock in clocks[number + 1 :] if clock), "")
            minutes = clocks[number] in ("m", "mm") and (earlier[:1] == "h" or later[:1] == "s")
            shown.append(_time_part(moment, "n" * len(text) if minutes else clocks[number], twelve))
        else:
            shown.append(text)
    return "".join(shown)


def _time_part(moment: datetime, code: str, twelve: bool) -> str:
    width = min(len(code), 2)
    match code[0]:
        case "y" | "e":
            return f"{moment:%y}" if code == "yy" else f"{moment.year:04d}"
        case "m" if len(code) > 2:
            name = calendar.month_name[moment.month]
            return {3: calendar.month_abbr[moment.month], 5: name[0]}.get(len(code), name)
        case "d" | "a" if len(code) > 2:
            return (calendar.day_abbr if len(code) == 3 else calendar.day_name)[moment.weekday()]
        case "s":
            whole, _, decimals = code.partition(".")
            part = f".{moment.microsecond:06d}"[: len(decimals) + 1] if decimals else ""
            return f"{moment.second:0{min(len(whole), 2)}d}{part}"
    hour = moment.hour % 12 or 12 if twelve else moment.hour
    return f"{ ({'m': moment.month, 'd': moment.day, 'h': hour, 'n': moment.minute}[code[0]]):0{width}d}"
