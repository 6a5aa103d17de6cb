"""Figures as PNG: readings against ages, agreement with labels, error by age and sex.

Matplotlib is used through its objects alone (a figure and an Agg canvas), so that figures may be drawn in
any thread and nothing of the caller's own plots changes. Girls are circles and boys squares, in blue and
orange of the Okabe-Ito palette, which stay apart for colour-blind readers and in grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.reports import sheet
from bonexage.reports.item import ReportItem, thumbnail
from bonexage.subject import Sex

if TYPE_CHECKING:
    from matplotlib.axes import Axes

YEAR: Final = 12


@dataclass(frozen=True)
class _Look:
    """How one sex is drawn."""

    plural: str
    colour: str
    marker: str
    hatch: str


_LOOKS: Final[Mapping[Sex, _Look]] = {
    Sex.FEMALE: _Look("girls", "#d55e00", "o", ""),
    Sex.MALE: _Look("boys", "#0072b2", "s", "///"),
    Sex.UNKNOWN: _Look("sex unknown", "#555555", "D", "..."),
}


@dataclass(frozen=True)
class Level:
    """A value with the ends of its interval; NaN where there is none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Band:
    """The films of one sex in one band of labelled ages.

    Attributes:
        low_months: ages from here.
        high_months: to here, not included.
        sex: whose films.
        films: how many; 0 draws nothing.
        error: mean absolute difference in months.
        bias: mean difference in months.
    """

    low_months: float
    high_months: float
    sex: Sex
    films: int
    error: Level
    bias: Level


def predicted_against_labelled(
    predicted: ArrayLike, labelled: ArrayLike, sexes: Sequence[Sex], *, note: str = ""
) -> bytes:
    """Scatter of predicted against labelled bone age, with the line of identity and ±12 months.

    Args:
        predicted: months `[n]`.
        labelled: months `[n]`.
        sexes: of each film.
        note: written in the upper left corner.
    """
    x, y = _months(labelled), _months(predicted)
    figure = sheet.new_figure(5.6, 5.6)
    axes = figure.add_subplot()
    low, high = _span(x, y)
    ends = np.array([low, high])
    axes.fill_between(
        ends, ends - 12, ends + 12, color="#000000", alpha=0.07, linewidth=0, label="±12 months"
    )
    axes.plot(ends, ends, color=sheet.INK, linewidth=0.9, label="identity", zorder=1)
    _scatter(axes, x, y, sexes)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("Labelled bone age (months)")
    axes.set_ylabel("Predicted bone age (months)")
    _age_ticks(axes, "x", years=True)
    _age_ticks(axes, "y", years=True)
    if note:
        axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=9, parse_math=False)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return sheet.as_png(figure)


def bland_altman(
    predicted: ArrayLike, labelled: ArrayLike, sexes: Sequence[Sex], *, bias: Level, low: Level, high: Level
) -> bytes:
    """Bland-Altman plot: difference against mean of predicted and labelled bone age.

    Args:
        predicted: months `[n]`.
        labelled: months `[n]`.
        sexes: of each film.
        bias: mean difference, with its interval.
        low: lower limit of agreement, with its interval; NaN draws none.
        high: upper limit of agreement, with its interval; NaN draws none.
    """
    one, other = _months(predicted), _months(labelled)
    x, y = (one + other) / 2, one - other
    figure = sheet.new_figure(7.2, 4.5)
    axes = figure.add_subplot()
    axes.axhline(0, color=sheet.FAINT, linewidth=0.8)
    for level, name, style in (
        (high, "+1.96 SD", (0, (5, 3))),
        (bias, "mean", "solid"),
        (low, "−1.96 SD", (0, (5, 3))),
    ):
        if not math.isfinite(level.value):
            continue
        axes.axhline(level.value, color=sheet.INK, linewidth=1.1, linestyle=style, zorder=3)
        if math.isfinite(level.low):
            axes.axhspan(level.low, level.high, color="#000000", alpha=0.10, linewidth=0)
        axes.annotate(
            f"{name}\n{level.value:+.1f}".replace("-", "−"),
            (1.0, level.value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    _scatter(axes, x, y, sexes)
    reach = 1.08 * max(
        12.0, float(np.abs(y).max()), *(abs(v.value) for v in (low, high) if v.value == v.value)
    )
    axes.set(xlim=_span(x), ylim=(-reach, reach))
    axes.set_xlabel("Mean of predicted and labelled bone age (months)")
    axes.set_ylabel("Predicted − labelled (months)")
    _age_ticks(axes, "x", years=True)
    axes.legend(loc="upper left", frameon=False, fontsize=9, ncols=3)
    return sheet.as_png(figure)


def error_by_age(bands: Sequence[Band]) -> bytes:
    """Mean absolute difference, mean difference and number of films by band of labelled age and sex.

    Intervals are drawn as bars; bands of fewer than ten films are hollow.
    """
    figure = sheet.new_figure(7.2, 6.6)
    error, bias, films = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.6))
    sexes = [sex for sex in _LOOKS if any(band.sex is sex and band.films for band in bands)]
    for place, sex in enumerate(sexes):
        look = _LOOKS[sex]
        beside = place - (len(sexes) - 1) / 2
        for band in (band for band in bands if band.sex is sex and band.films):
            centre = (band.low_months + band.high_months) / 2
            middle = centre + 5 * beside
            for axes, level in ((error, band.error), (bias, band.bias)):
                if math.isfinite(level.low):
                    axes.plot(
                        [middle] * 2, [level.low, level.high], color=look.colour, linewidth=1.4, zorder=2
                    )
                face = look.colour if band.films >= 10 else "white"
                axes.plot(
                    middle, level.value, look.marker, color=look.colour, mfc=face, markersize=6, zorder=3
                )
            films.bar(centre + 8 * beside, band.films, width=8, color=look.colour, linewidth=0)
            films.annotate(
                str(band.films),
                (centre + 8 * beside, band.films),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    for edge in sorted({edge for band in bands for edge in (band.low_months, band.high_months)}):
        for axes in (error, bias, films):
            axes.axvline(edge, color="#000000", alpha=0.12, linewidth=0.6, zorder=0)
    bias.axhline(0, color=sheet.FAINT, linewidth=0.8)
    error.set_ylim(0, 1.2 * error.get_ylim()[1])
    films.margins(y=0.25)
    error.set_ylabel("Mean absolute\ndifference (months)")
    bias.set_ylabel("Mean difference,\npredicted − labelled (months)")
    films.set_ylabel("Films")
    films.set_xlabel("Labelled bone age (months)")
    if bands:
        films.set_xlim(min(b.low_months for b in bands), max(b.high_months for b in bands))
    _age_ticks(films, "x", years=False)
    _years_above(error)
    handles = [
        error.plot([], [], _LOOKS[sex].marker, color=_LOOKS[sex].colour, label=_LOOKS[sex].plural)[0]
        for sex in sexes
    ]
    if any(0 < band.films < 10 for band in bands):
        handles += error.plot([], [], "o", color=sheet.FAINT, mfc="white", label="fewer than 10 films")
    if handles:
        error.legend(handles=handles, loc="upper right", frameon=False, fontsize=9, ncols=len(handles))
    return sheet.as_png(figure)


def ages_by_sex(splits: Mapping[str, Sequence[tuple[float, Sex]]], *, of: str = "Labelled bone age") -> bytes:
    """How many films there are of each year of bone age, girls beside boys, a panel for each split.

    Args:
        splits: for each name the bone age in months and the sex of every film.
        of: what these bone ages are.
    """
    from matplotlib.ticker import MaxNLocator

    figure = sheet.new_figure(7.2, 0.6 + 2.6 * max(1, len(splits)))
    panels = figure.subplots(max(1, len(splits)), 1, sharex=True, squeeze=False)[:, 0]
    years = np.arange(0, MAX_BONE_AGE_MONTHS + YEAR, YEAR)
    known = {sex for labels in splits.values() for _, sex in labels}
    sexes = [sex for sex in _LOOKS if sex in known]
    step = 9.6 / max(1, len(sexes))
    for axes, (name, labels) in zip(panels, splits.items(), strict=False):
        for side, sex in enumerate(sexes):
            look = _LOOKS[sex]
            ages = np.array([months for months, each in labels if each is sex], dtype=np.float64)
            if not ages.size:
                continue
            films, _ = np.histogram(ages, years)
            axes.bar(
                years[:-1] + YEAR / 2 + step * (side - (len(sexes) - 1) / 2),
                films,
                step - 0.4,
                color=look.colour,
                hatch=look.hatch,
                edgecolor="white",
                linewidth=0,
                label=f"{look.plural} ({ages.size:,})",
            )
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("Films")
        axes.set_title(name, fontsize=11, loc="left")
        if labels:
            axes.legend(frameon=False, fontsize=9)
    panels[-1].set(xlim=(0, MAX_BONE_AGE_MONTHS))
    panels[-1].set_xlabel(f"{of} (months)")
    _age_ticks(panels[-1], "x", years=False)
    _years_above(panels[0])
    return sheet.as_png(figure)


def readings_against_ages(items: Iterable[ReportItem]) -> bytes:
    """Readings against known ages, a panel for each sex, with as many of the hands as fit along the diagonal.

    Films without an assessment or a known age are left out.

    Raises:
        ValueError: none is left.
    """
    shown = [item for item in items if item.assessment is not None and item.known_age_months is not None]
    if not shown:
        raise ValueError("no film has both a reading and a known age")
    sexes = [sex for sex in _LOOKS if any(item.outcome.subject.sex is sex for item in shown)]
    known, read = _columns(shown)
    span = _span(known, read)
    figure = sheet.new_figure(6.4 * len(sexes) + 0.3, 6.6)
    panels = figure.subplots(1, len(sexes), squeeze=False)[0]
    for axes, sex in zip(panels, sexes, strict=True):
        _reading_panel(axes, sex, [item for item in shown if item.outcome.subject.sex is sex], span)
    return sheet.as_png(figure)


def _reading_panel(axes: Axes, sex: Sex, items: Sequence[ReportItem], span: tuple[float, float]) -> None:
    """One sex of `readings_against_ages`."""
    look = _LOOKS[sex]
    known, read = _columns(items)
    low, high = span
    axes.plot(span, span, color=sheet.FAINT, linewidth=0.9, zorder=1, label="identity")
    intervals = [item.assessment.interval if item.assessment else None for item in items]
    covered = [interval for interval in intervals if interval]
    for at, interval in zip(known, intervals, strict=True):
        if interval:
            ends = [interval.low_months, interval.high_months]
            axes.plot([at, at], ends, color=look.colour, alpha=0.45, linewidth=1.6, zorder=2)
    if covered:
        name = f"{covered[0].coverage:.0%} interval"
        axes.plot([], [], color=look.colour, alpha=0.45, linewidth=1.6, label=name)
    axes.plot(known, read, look.marker, color=look.colour, markersize=5, zorder=4, label="reading")
    axes.set(xlim=span, ylim=span, aspect="equal")
    axes.set_xlabel("Known bone age (months)")
    axes.set_ylabel("Bone age as read (months)")
    _age_ticks(axes, "x", years=True)
    _age_ticks(axes, "y", years=True)
    axes.set_title(f"{look.plural.capitalize()} ({len(items)})", fontsize=11, loc="left")
    _hands_along(axes, items, (low, high))
    axes.legend(loc="lower right" if len(items) < 6 else "best", frameon=False, fontsize=9)


def _hands_along(axes: Axes, items: Sequence[ReportItem], span: tuple[float, float]) -> None:
    """Set hands above and below their points, in order of age, as many as fit without overlap.

    The upper row fills from the youngest, the lower row from the oldest, so that both ends are shown.
    """
    reach = span[1] - span[0]
    height, edge = 0.155 * reach, 0.008 * reach
    outcomes = [item.assessment for item in items if item.assessment]
    widest = max(
        (one.interval.high_months - one.interval.low_months for one in outcomes if one.interval), default=0.0
    )
    away = min(max(0.2 * reach, widest / 2 + 0.06 * reach + height / 2), 0.3 * reach)
    waiting = sorted(
        (item for item in items if item.picture is not None), key=lambda item: item.known_age_months or 0.0
    )
    for up, row in ((True, waiting), (False, waiting[::-1])):
        free = span[0] + edge if up else span[1] - edge
        taken = []
        for item in row:
            if item.picture is None or item.assessment is None or item.known_age_months is None:
                continue
            x, y = item.known_age_months, item.assessment.bone_age_months
            small = thumbnail(item.picture, 220)
            half = height * small.shape[1] / small.shape[0] / 2
            bottom = y + away - height / 2 if up else y - away - height / 2
            beside = x - half >= free if up else x + half <= free
            within = span[0] + edge <= x - half and x + half <= span[1] - edge
            if not beside or not within or bottom < span[0] + edge or bottom + height > span[1] - edge:
                continue
            axes.imshow(
                small,
                cmap="gray",
                vmin=0,
                vmax=255,
                extent=(x - half, x + half, bottom, bottom + height),
                zorder=3,
                interpolation="antialiased",
            )
            axes.plot(
                [x, x], [bottom if up else bottom + height, y], color=sheet.FAINT, linewidth=0.6, zorder=1
            )
            free = x + half + edge if up else x - half - edge
            taken.append(item)
        waiting = [item for item in waiting if item not in taken]
    axes.set(xlim=span, ylim=span, aspect="equal")


def _columns(items: Sequence[ReportItem]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Known ages and readings, months `[n]` each."""
    known = [item.known_age_months for item in items if item.known_age_months is not None]
    read = [item.assessment.bone_age_months for item in items if item.assessment is not None]
    return _months(known), _months(read)


def _months(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _span(*values: NDArray[np.float64]) -> tuple[float, float]:
    """Whole years around all values, from 0 where they come near it."""
    every = np.concatenate(values)
    low = YEAR * math.floor((float(every.min()) - 6) / YEAR)
    high = YEAR * math.ceil((float(every.max()) + 6) / YEAR)
    low = 0 if low < 0.3 * (high - low) else low
    return float(low), float(min(high, MAX_BONE_AGE_MONTHS))


def _scatter(axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], sexes: Sequence[Sex]) -> None:
    """Points by sex, smaller and fainter the more there are."""
    size = 26 if len(x) <= 100 else 14
    alpha = 0.85 if len(x) <= 100 else 0.55
    for sex, look in _LOOKS.items():
        here = np.array([one is sex for one in sexes], dtype=bool)
        if here.any():
            axes.scatter(
                x[here],
                y[here],
                s=size,
                marker=look.marker,
                color=look.colour,
                alpha=alpha,
                linewidths=0,
                zorder=2,
                label=f"{look.plural} ({int(here.sum())})",
            )


def _age_ticks(axes: Axes, which: str, *, years: bool) -> None:
    """Ticks every 24 months (12 on a short axis), and years on the far side."""
    from matplotlib.ticker import MultipleLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    step = YEAR if high - low <= 8 * YEAR else 2 * YEAR
    axis.set_major_locator(MultipleLocator(step))
    if years and which == "x":
        _years_above(axes)
    elif years:
        beside = axes.secondary_yaxis("right", functions=(_to_years, _to_months))
        beside.set_ylabel("Years", fontsize=9)
        beside.yaxis.set_major_locator(MultipleLocator(step / YEAR))
        beside.tick_params(labelsize=9)


def _years_above(axes: Axes) -> None:
    from matplotlib.ticker import MultipleLocator

    low, high = axes.get_xlim()
    above = axes.secondary_xaxis("top", functions=(_to_years, _to_months))
    above.set_xlabel("Years", fontsize=9)
    above.xaxis.set_major_locator(MultipleLocator(1 if high - low <= 8 * YEAR else 2))
    above.tick_params(labelsize=9)


def _to_years(months: Any) -> Any:
    return np.asarray(months) / YEAR


def _to_months(years: Any) -> Any:
    return np.asarray(years) * YEAR
