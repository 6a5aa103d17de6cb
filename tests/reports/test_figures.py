"""Figures are drawn from whatever there is, in any thread, and leave the caller's plots alone."""

import csv
import io
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from bonexage.assessment import Assessment, Failure, Interval
from bonexage.errors import UnreadableFile
from bonexage.reports import sheet
from bonexage.reports.curves import learning_curves
from bonexage.reports.figures import (
    Band,
    Level,
    ages_by_sex,
    bland_altman,
    error_by_age,
    predicted_against_labelled,
    readings_against_ages,
)
from bonexage.reports.item import ReportItem, thumbnail
from bonexage.subject import Sex, Subject
from hands import drawn_hand

F, M, U = Sex.FEMALE, Sex.MALE, Sex.UNKNOWN


def opened(png):
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == "PNG"
    return image


def item(known, read, sex=F, *, interval=True, picture=None):
    ends = Interval(max(0, read - 15), min(240, read + 15), 0.9) if interval else None
    return ReportItem(Assessment(f"{known}.png", Subject(sex), read, ends, "m@1"), picture, known)


@pytest.fixture
def axes_of(monkeypatch):
    """Keeps the axes of each figure drawn, to look into."""
    kept = []
    original = sheet.as_png

    def keep(figure):
        kept.append(figure.axes)
        return original(figure)

    monkeypatch.setattr(sheet, "as_png", keep)
    return kept


def test_predicted_against_labelled_has_the_same_scale_both_ways(axes_of):
    opened(predicted_against_labelled([30, 100, 230], [20, 110, 220], [F, M, U]))
    (axes, *_) = axes_of[0]
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_aspect() == 1
    assert axes.get_xlabel() == "Labelled bone age (months)"
    assert axes.get_ylabel() == "Predicted bone age (months)"


def test_no_point_lies_outside_the_axes(axes_of):
    rng = np.random.default_rng(0)
    predicted, labelled = rng.uniform(0, 240, (2, 300))
    sexes = [F if one else M for one in rng.random(300) < 0.5]
    level = Level(0.0)
    opened(predicted_against_labelled(predicted, labelled, sexes))
    opened(bland_altman(predicted, labelled, sexes, bias=level, low=level, high=level))
    for axes, *_ in axes_of:
        shown = np.concatenate([np.asarray(points.get_offsets()) for points in axes.collections])
        points = shown[~np.all(shown == 0, axis=1)]
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert ((left <= points[:, 0]) & (points[:, 0] <= right)).all()
        assert ((bottom <= points[:, 1]) & (points[:, 1] <= top)).all()


def test_bland_altman_draws_the_mean_and_both_limits_where_they_are(axes_of):
    opened(
        bland_altman(
            [10, 20], [12, 30], [F, M], bias=Level(-6, -9, -2), low=Level(-17, -20, -12), high=Level(5, 2, 9)
        )
    )
    (axes, *_) = axes_of[0]
    heights = {line.get_ydata()[0] for line in axes.lines}
    assert {-6, -17, 5, 0} <= heights
    assert any("−6.0" in text.get_text() for text in axes.texts)
    low, high = axes.get_ylim()
    assert low == -high


def test_one_film_makes_every_figure():
    nothing = Level(math.nan)
    opened(predicted_against_labelled([100], [90], [F], note="one film: $100"))
    opened(bland_altman([100], [90], [F], bias=Level(10), low=nothing, high=nothing))
    opened(error_by_age([Band(72, 96, F, 1, Level(10), Level(10))]))
    opened(readings_against_ages([item(90, 100)]))


def test_bands_without_films_draw_nothing(axes_of):
    empty = Band(0, 24, M, 0, Level(math.nan), Level(math.nan))
    opened(error_by_age([empty, Band(24, 48, F, 30, Level(8, 7, 9), Level(1, -1, 3))]))
    opened(error_by_age([]))
    films = axes_of[0][2]
    assert [patch.get_height() for patch in films.patches] == [30]


def test_the_error_axis_starts_at_zero(axes_of):
    opened(error_by_age([Band(24, 48, F, 30, Level(8, 7, 9), Level(1, -1, 3))]))
    assert axes_of[0][0].get_ylim()[0] == 0


def test_every_label_is_in_the_bar_of_its_year_and_sex(axes_of):
    labels = [(0.0, F), (11.9, F), (12.0, F), (30.0, M), (240.0, M), (240.0, M)]
    ages_by_sex({"Training split": labels, "Test split": []})
    upper, lower = axes_of[0][:2]
    girls, boys = upper.containers
    assert [bar.get_height() for bar in girls][:3] == [2, 1, 0]
    assert [bar.get_height() for bar in boys][2] == 1
    assert [bar.get_height() for bar in boys][-1] == 2
    assert sum(bar.get_height() for bar in (*girls, *boys)) == len(labels)
    for bar in (*girls, *boys):
        year = 12 * (bar.get_x() // 12)
        assert year <= bar.get_x() < bar.get_x() + bar.get_width() <= year + 12
    assert [axes.get_title(loc="left") for axes in (upper, lower)] == ["Training split", "Test split"]


def test_a_folder_without_labels_has_a_picture_too():
    assert opened(ages_by_sex({})).format == "PNG"


def test_readings_are_left_out_only_without_a_reading_or_an_age(axes_of):
    failed = ReportItem(Failure("x", Subject(F), UnreadableFile("a", remedy="b"), "m@1"), None, 100.0)
    opened(readings_against_ages([item(90, 100), item(50, 55), failed, item(None, 30)]))
    (axes, *_) = axes_of[0]
    drawn = [line for line in axes.lines if line.get_label() == "reading"]
    assert [list(line.get_xdata()) for line in drawn] == [[90, 50]]
    with pytest.raises(ValueError, match="no film"):
        readings_against_ages([failed])


def test_each_sex_has_its_panel_on_the_same_scale(axes_of):
    opened(readings_against_ages([item(20, 25, F), item(200, 190, M), item(100, 100, U)]))
    panels = [axes for axes in axes_of[0] if axes.get_title(loc="left")]
    assert [panel.get_title(loc="left") for panel in panels] == ["Girls (1)", "Boys (1)", "Sex unknown (1)"]
    assert len({panel.get_xlim() for panel in panels}) == 1


def test_hands_stay_within_the_axes_and_apart_from_one_another(axes_of):
    hand = drawn_hand(80, 64)
    rising = [item(age, age + 2 * (-1) ** age, picture=hand) for age in range(6, 236, 7)]
    opened(readings_against_ages(rising))
    (axes, *_) = axes_of[0]
    boxes = [image.get_extent() for image in axes.images]
    assert len(boxes) >= 6
    low, high = axes.get_xlim()
    for place, (left, right, bottom, top) in enumerate(boxes):
        assert low <= left < right <= high
        assert low <= bottom < top <= high
        for other in boxes[place + 1 :]:
            assert right <= other[0] or other[1] <= left or top <= other[2] or other[3] <= bottom


def test_learning_curves_read_the_rows_of_a_metrics_file(axes_of):
    text = (
        "epoch,stage,train_mae_months,validation_mae_months,learning_rate\n"
        "1,coarse,40,30,0.001\n2,coarse,20,12,0.0005\n1,fine,11,nan,0.0001\n2,fine,10,9.5,\n"
    )
    opened(learning_curves(csv.DictReader(io.StringIO(text)), title="first $run_1"))
    axes, rate = axes_of[0]
    curves = {line.get_label(): line for line in axes.lines}
    assert list(curves["validation"].get_xdata()) == [1, 2, 4]
    assert list(curves["training"].get_ydata()) == [40, 20, 11, 10]
    assert any("best 9.5 months, epoch 4" in text.get_text() for text in axes.texts)
    assert [text.get_text() for text in axes.texts if text.get_text() in ("coarse", "fine")] == [
        "coarse",
        "fine",
    ]
    assert 3 in [len(line.get_xdata()) for line in rate.lines]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{"epoch": 1}],
        [{"epoch": 1, "validation_mae_months": 12.0}],
        [{"epoch": "x", "stage": None, "train_mae_months": "", "learning_rate": "?"}] * 3,
        [
            {"epoch": n, "validation_mae_months_rsna-299px": 10.0 + n, "train_mae_months": 0}
            for n in range(80)
        ],
    ],
)
def test_learning_curves_take_rows_with_gaps(rows):
    opened(learning_curves(rows))


def test_figures_can_be_drawn_in_several_threads_and_are_the_same_each_time():
    def draw(_):
        return predicted_against_labelled([30, 100, 150], [20, 110, 160], [F, M, F])

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(draw, range(3)))) == 1


def test_drawing_leaves_the_callers_plots_alone():
    import matplotlib as mpl
    import matplotlib._pylab_helpers as helpers

    before = dict(mpl.rcParams)
    learning_curves([{"epoch": 1, "train_mae_months": 3}])
    assert dict(mpl.rcParams) == before
    assert not helpers.Gcf.figs


def test_a_thumbnail_keeps_its_shape_and_never_grows():
    assert thumbnail(np.full((300, 150), 0.5, np.float32), 100).shape == (100, 50)
    small = thumbnail(np.array([[0.0, 2.0], [-1.0, 0.5]]), 100)
    assert small.tolist() == [[0, 255], [0, 128]]
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (thumbnail(grey, 100) == grey).all()
