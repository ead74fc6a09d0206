from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from airflow_provider_oss_async.local.processing.number_format import format_value


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (None, "General", ""),
        ("text", "0.00", "text"),
        (True, "General", "TRUE"),
        (float("nan"), "0", "nan"),
        (0, "General", "0"),
        (-5, "General", "-5"),
        (0.1 + 0.2, "General", "0.3"),
        (12345678, "General", "12345678"),
        (1e15, "General", "1E+15"),
        (123456789012, "General", "1.23457E+11"),
        (1.5e-10, "General", "1.5E-10"),
        (5, "", "5"),
        (12, "@", "12"),
        (1234.567, "#,##0.00", "1,234.57"),
        (1234567, "#,##0", "1,234,567"),
        (0, "#,##0", "0"),
        (0.5, "#.##", ".5"),
        (5, "#.##", "5."),
        (2.5, "0", "3"),
        (1.005, "0.00", "1.01"),
        (1e300, "0", "1" + "0" * 300),
        (0.0667, "0%", "7%"),
        (1 / 15, "0.0%", "6.7%"),
        (-1234.5, "$#,##0.00;[Red]($#,##0.00)", "($1,234.50)"),
        (-5, "0_);(0)", "(5)"),
        (-5, "0.0", "-5.0"),
        (0, '0;-0;"nil"', "nil"),
        (5, ";;;", ""),
        (1234, '#,##0 "a;b"', "1,234 a;b"),
        (1234567, '#,##0,"k"', "1,235k"),
        (1234567, '0.0,,"M"', "1.2M"),
        (1234567, "0,.0", "1234.6"),
        (5, "000", "005"),
        (5551234, "000-0000", "555-1234"),
        (12345, "0.00E+00", "1.23E+04"),
        (0.00012, "0.0E+0", "1.2E-4"),
        (99999, "0.0E+0", "1.0E+5"),
        (12345, "##0.0E+0", "12.3E+3"),
        (0.5, "# ?/?", "1/2"),
        (1.25, "# ?/?", "1 1/4"),
        (3.14159, "# ??/??", "3 14/99"),
        (2.99, "# ?/8", "3"),
        (0, "# ?/?", "0"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (1234.5, '#,##0.00\\ "€"', "1,234.50 €"),
        (1234.5, '[>1000]0.0,"K";0', "1.2K"),
        (12.3, '[>1000]0.0,"K";0', "12"),
        (7, '[=7]"seven";0', "seven"),
        (3, '"no digits"', "no digits"),
    ],
)
def test_values(value: Any, number_format: str, text: str) -> None:
    assert format_value(value, number_format) == text


MOMENT = datetime(2026, 3, 4, 15, 6, 7, 890000)


@pytest.mark.parametrize(
    ("value", "number_format", "text"),
    [
        (date(2026, 1, 1), "yyyy-mm-dd", "2026-01-01"),
        (MOMENT, "mm-dd-yy", "3/4/2026"),
        (MOMENT, "d/m/yyyy h:mm", "4/3/2026 15:06"),
        (MOMENT, "h:mm AM/PM", "3:06 PM"),
        (MOMENT, "hh:mm:ss", "15:06:07"),
        (MOMENT, "mm:ss.0", "06:07.8"),
        (MOMENT, "mmm-yy", "Mar-26"),
        (MOMENT, "[$-409]d mmmm yyyy", "4 March 2026"),
        (MOMENT, 'yyyy"年"m"月"d"日"', "2026年3月4日"),
        (MOMENT, "dddd", "Wednesday"),
        (MOMENT, "mmmmm", "M"),
        (MOMENT, "yyyy\\-mm\\-dd;@", "2026-03-04"),
        (time(9, 5), "h:mm", "9:05"),
        (timedelta(hours=30, minutes=5), "[h]:mm:ss", "30:05:00"),
        (timedelta(hours=1, minutes=5), "[mm]", "65"),
        (date(2026, 1, 1), "General", "2026-01-01"),
    ],
)
def test_dates_and_times(value: Any, number_format: str, text: str) -> None:
    assert format_value(value, number_format) == text
