"""How a figure is written, alone and with its interval: everywhere the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from bonexage.assessment import Interval, StandardDeviationScore

INTERVAL: Final = "95% interval"
NOT_DEFINED: Final = "not defined"

Write = Callable[[float], str]


def one_decimal(value: float) -> str:
    """Months as they are mostly written: '8.6'."""
    return f"{value:.1f}"


def two_decimals(value: float) -> str:
    """Months where models are told apart: '8.57'."""
    return f"{value:.2f}"


def signed(value: float, decimals: int = 1) -> str:
    """What has a direction: '+1.3', '−0.4', and '0.0' for what rounds to nothing."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def unsigned(value: float) -> str:
    """Months that may be below nothing, without a plus: '9.4', '−0.8'."""
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def span(interval: Interval) -> str:
    """The ends of an interval in months: '110.0 to 140.0'."""
    return f"{interval.low_months:.1f} to {interval.high_months:.1f}"


def percent(share: float) -> str:
    """A share as '90%', with as many digits as it has, up to three."""
    return f"{share * 100:.3g}%"


def interval_name(interval: Interval) -> str:
    """What an interval is called: '90% interval'."""
    return f"{percent(interval.coverage)} interval"


def score(sds: StandardDeviationScore) -> str:
    """'+2.8 (+1.2 to +4.4)', without brackets where it has no interval."""
    if sds.low is None or sds.high is None:
        return signed(sds.value)
    return f"{signed(sds.value)} ({signed(sds.low)} to {signed(sds.high)})"


def with_interval(
    figure: Mapping[str, float | None], write: Write = one_decimal, *, unit: str = "", name: str = INTERVAL
) -> str:
    """'8.6 months (95% interval 8.1 to 9.1)'.

    Args:
        figure: `value`, `low` and `high`, as `Figure.as_dict` gives them and bundles hold them; an end that
            is None or NaN (one child has no interval) leaves the brackets out.
        write: how one number is written.
        unit: comes after the value, ' months' for example.
        name: comes before the ends; empty for none.
    """
    value, low, high = (_number(figure[key]) for key in ("value", "low", "high"))
    if math.isnan(value):
        return NOT_DEFINED
    said = write(value) + unit
    if math.isnan(low) or math.isnan(high):
        return said
    return f"{said} ({name}{' ' if name else ''}{write(low)} to {write(high)})"


def _number(given: float | None) -> float:
    return math.nan if given is None else given
