"""The chart shows every bone age with its interval, and the reference's band where there is one."""

import io

import numpy as np
import pytest
from PIL import Image

from bonexage.assessment import Interval
from bonexage.clinic.growth import age_range_months, standard_deviation_months
from bonexage.clinic.series import given_visit
from bonexage.reports import sheet
from bonexage.reports.growth_chart import growth_chart, in_words
from bonexage.subject import Sex

SIZE = (4.0, 3.5)


def visit(age, bone_age, sex=Sex.FEMALE, reach=15.0):
    interval = Interval(max(0, bone_age - reach), min(240, bone_age + reach), 0.9) if reach else None
    return given_visit(age, bone_age, sex, interval)


@pytest.fixture
def axes_of(monkeypatch):
    """Keeps the axes of each figure drawn, to look into, and draws none."""
    kept = []
    monkeypatch.setattr(sheet, "as_png", lambda figure: kept.append(figure.axes[0]) or b"")
    return kept


def test_it_is_a_picture_of_the_size_asked_for():
    png = growth_chart([visit(100, 126.5)], Sex.FEMALE, note="m@0. $For$ research.", size=SIZE)
    with Image.open(io.BytesIO(png)) as opened:
        assert opened.format == "PNG"
        assert opened.size == tuple(round(side * sheet.DPI) for side in SIZE)


@pytest.mark.parametrize(
    ("points", "sex"),
    [
        ([(0, 0)], Sex.FEMALE),
        ([(3, 240), (500, 1)], Sex.MALE),
        ([(11.9, 20), (12.1, 9), (203.9, 240)], Sex.MALE),
        ([(179, 60), (181, 61)], Sex.FEMALE),
        ([(90, 170)], Sex.UNKNOWN),
    ],
)
def test_every_point_and_interval_lies_inside_the_axes(axes_of, points, sex):
    growth_chart([visit(*point, sex) for point in points], sex, size=SIZE)
    (left, right), (bottom, top) = axes_of[0].get_xlim(), axes_of[0].get_ylim()
    for age, bone_age in points:
        assert left <= age <= right
        assert bottom <= max(0, bone_age - 15) <= min(240, bone_age + 15) <= top
    assert right - left >= 72


@pytest.mark.parametrize("sex", [Sex.FEMALE, Sex.MALE])
def test_the_band_is_two_sd_either_way_and_ends_with_the_table(axes_of, sex):
    growth_chart([visit(20, 20, sex), visit(220, 200, sex)], sex, size=SIZE)
    (band,) = [one for one in axes_of[0].collections if "2 SD" in str(one.get_label())]
    corners = band.get_paths()[0].vertices
    low, high = age_range_months(sex)
    assert (corners[:, 0].min(), corners[:, 0].max()) == (low, high)
    for age in (low, 60.0, 131.0, high):
        heights = corners[corners[:, 0] == age][:, 1]
        spread = standard_deviation_months(age, sex)
        assert (heights.min(), heights.max()) == pytest.approx((age - 2 * spread, age + 2 * spread))
    assert [text.get_text() for text in axes_of[0].texts] == ["no reference"] * (1 + (low > 12 + 6))


def test_without_a_sex_or_far_from_the_table_there_is_no_band(axes_of):
    growth_chart([visit(100, 100, Sex.UNKNOWN)], Sex.UNKNOWN, size=SIZE)
    growth_chart([visit(480, 230, Sex.MALE)], Sex.MALE, size=SIZE)
    for axes in axes_of:
        assert not [one for one in axes.collections if "2 SD" in str(one.get_label())]


def test_it_can_be_read_without_colours():
    png = growth_chart([visit(100, 126.5)], Sex.FEMALE, size=SIZE)
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    levels = {
        level for level, pixels in zip(*np.unique(grey, return_counts=True), strict=True) if pixels > 200
    }
    assert any(level < 100 for level in levels), "points and lines are dark"
    assert any(195 < level < 230 for level in levels), "the band is light"
    assert 255 in levels, "the paper is white"


def test_the_chart_in_words_names_every_point_and_the_band_there():
    said = in_words([visit(100, 126.5), visit(190, 180)], Sex.FEMALE)
    spread = standard_deviation_months(100, Sex.FEMALE)
    low, high = (divmod(round(100 + side * 2 * spread), 12) for side in (-1, 1))
    assert "at 8 years 4 months bone age 10 years 6 months" in said
    assert f"(band from {low[0]} years {low[1]} months to {high[0]} years {high[1]} months)" in said
    assert "at 15 years 10 months bone age 15 years 0 months (no reference there)" in said
