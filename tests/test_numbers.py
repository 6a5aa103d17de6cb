"""A figure is written with its interval, and without one where there is none."""

from __future__ import annotations

import math

import pytest

from bonexage.numbers import signed, two_decimals, with_interval

FIGURE = {"value": 8.57, "low": 8.12, "high": 9.08}


def test_a_figure_is_followed_by_its_interval() -> None:
    assert with_interval(FIGURE, unit=" months") == "8.6 months (95% interval 8.1 to 9.1)"
    assert with_interval(FIGURE, two_decimals, name="") == "8.57 (8.12 to 9.08)"


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_is_not_defined_is_left_out_or_said(nothing: float | None) -> None:
    assert with_interval({**FIGURE, "low": nothing, "high": nothing}) == "8.6"
    assert with_interval({**FIGURE, "value": nothing}) == "not defined"


def test_what_rounds_to_nothing_has_no_minus() -> None:
    assert [signed(value) for value in (-0.04, 1.26, -0.4)] == ["0.0", "+1.3", "−0.4"]
