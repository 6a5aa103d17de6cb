"""Figures as PNG: readings against ages, agreement with labels, error by age and sex, learning curves.

Matplotlib is used through its objects alone (a figure and an Agg canvas), so that figures may be drawn in
any thread and nothing of the caller's own plots changes. Girls are circles and boys squares, in blue and
orange of the Okabe-Ito palette, which stay apart for colour-blind readers and in grey.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonexage.assessment import MAX_BONE_AGE_MONTHS
from bonexage.reports.item import ReportItem, thumbnail
from bonexage.subject import Sex

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI: Final = 160
YEAR: Final = 12
INK: Final = "#1a1a1a"
FAINT: Final = "#8a8a8a"


@dataclass(frozen=True)
class _Look:
    """How one sex is drawn."""

    plural: str
    colour: str
    marker: str


_LOOKS: Final[Mapping[Sex, _Look]] = {
    Sex.FEMALE: _Look("girls", "#d55e00", "o"),
    Sex.MALE: _Look("boys", "#0072b2", "s"),
    Sex.UNKNOWN: _Look("sex unknown", "#555555", "D"),
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
    figure = _figure(5.6, 5.6)
    axes = figure.add_subplot()
    low, high = _span(x, y)
    ends = np.array([low, high])
    axes.fill_between(
        ends, ends - 12, ends + 12, color="#000000", alpha=0.07, linewidth=0, label="±12 months"
    )
    axes.plot(ends, ends, color=INK, linewidth=0.9, label="identity", zorder=1)
    _scatter(axes, x, y, sexes)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel("Labelled bone age (months)")
    axes.set_ylabel("Predicted bone age (months)")
    _age_ticks(axes, "x", years=True)
    _age_ticks(axes, "y", years=True)
    if note:
        axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize=9, parse_math=False)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return _png(figure)


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
    figure = _figure(7.2, 4.5)
    axes = figure.add_subplot()
    axes.axhline(0, color=FAINT, linewidth=0.8)
    for level, name, style in (
        (high, "+1.96 SD", (0, (5, 3))),
        (bias, "mean", "solid"),
        (low, "−1.96 SD", (0, (5, 3))),
    ):
        if not math.isfinite(level.value):
            continue
        axes.axhline(level.value, color=INK, linewidth=1.1, linestyle=style, zorder=3)
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
    return _png(figure)


def error_by_age(bands: Sequence[Band]) -> bytes:
    """Mean absolute difference, mean difference and number of films by band of labelled age and sex.

    Intervals are drawn as bars; bands of fewer than ten films are hollow.
    """
    figure = _figure(7.2, 6.6)
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
    bias.axhline(0, color=FAINT, linewidth=0.8)
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
        handles += error.plot([], [], "o", color=FAINT, mfc="white", label="fewer than 10 films")
    if handles:
        error.legend(handles=handles, loc="upper right", frameon=False, fontsize=9, ncols=len(handles))
    return _png(figure)


def learning_curves(rows: Iterable[Mapping[str, object]], *, title: str = "") -> bytes:
    """Mean absolute difference and learning rate by epoch, from the rows of a run's `metrics.csv`.

    Columns: `epoch`; `stage` (a new one is marked); `train_mae_months`; every column that starts with
    `validation_mae_months`; `learning_rate`. Values may be text; a column or value that is missing, empty or
    not a number is left out. Epochs that start again with a stage are counted on.
    """
    from matplotlib.ticker import MaxNLocator

    table = list(rows)
    epochs = _running_epochs([_number(row.get("epoch")) for row in table])
    has_rate = any(math.isfinite(_number(row.get("learning_rate"))) for row in table)
    figure = _figure(7.2, 5.2 if has_rate else 4.0)
    panels = (
        figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1)) if has_rate else [figure.add_subplot()]
    )
    axes = panels[0]

    names = list(dict.fromkeys(name for row in table for name in row))
    validation = [name for name in names if name.startswith("validation_mae_months")]
    drawn: list[float] = []
    looks = [(name, "#0072b2", "-", "o") for name in validation[:1]]
    looks += [
        (name, colour, "-", marker)
        for name, colour, marker in zip(
            validation[1:], ("#009e73", "#cc79a7", "#56b4e9", "#555555"), "s^Dv", strict=False
        )
    ]
    if "train_mae_months" in names:
        looks.append(("train_mae_months", "#d55e00", "--", ""))
    for name, colour, style, marker in looks:
        values = np.array([_number(row.get(name)) for row in table])
        here = np.isfinite(values) & (values > 0)
        if not here.any():
            continue
        drawn += values[here].tolist()
        axes.plot(
            epochs[here],
            values[here],
            color=colour,
            linestyle=style,
            marker=marker if len(table) <= 60 else "",
            markersize=3.5,
            linewidth=1.5,
            label=_curve_name(name),
        )
        if name == "validation_mae_months":
            best = int(np.flatnonzero(here)[values[here].argmin()])
            axes.plot(epochs[best], values[best], "o", color=colour, mfc="none", markersize=10, mew=1.4)
            axes.annotate(
                f"best {values[best]:.1f} months, epoch {epochs[best]:g}",
                (epochs[best], values[best]),
                xytext=(-6, -14),
                textcoords="offset points",
                ha="right" if epochs[best] > epochs.mean() else "left",
                va="top",
                fontsize=9,
                color=colour,
            )
    logarithmic = _error_scale(axes, drawn)
    axes.set_ylabel(f"Mean absolute difference (months{', log scale' if logarithmic else ''})")
    if drawn:
        axes.legend(loc="upper right", frameon=False, fontsize=9)
    _mark_stages(panels, epochs, [str(row.get("stage") or "") for row in table])
    if has_rate:
        rates = np.array([_number(row.get("learning_rate")) for row in table])
        here = np.isfinite(rates)
        panels[1].plot(epochs[here], rates[here], color="#555555", linewidth=1.4)
        panels[1].set_ylim(bottom=0)
        panels[1].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        panels[1].set_ylabel("Learning rate")
    panels[-1].set_xlabel("Epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    if title:
        axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    return _png(figure)


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
    figure = _figure(6.4 * len(sexes) + 0.3, 6.6)
    panels = figure.subplots(1, len(sexes), squeeze=False)[0]
    for axes, sex in zip(panels, sexes, strict=True):
        _reading_panel(axes, sex, [item for item in shown if item.outcome.subject.sex is sex], span)
    return _png(figure)


def _reading_panel(axes: Axes, sex: Sex, items: Sequence[ReportItem], span: tuple[float, float]) -> None:
    """One sex of `readings_against_ages`."""
    look = _LOOKS[sex]
    known, read = _columns(items)
    low, high = span
    axes.plot(span, span, color=FAINT, linewidth=0.9, zorder=1, label="identity")
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
            axes.plot([x, x], [bottom if up else bottom + height, y], color=FAINT, linewidth=0.6, zorder=1)
            free = x + half + edge if up else x - half - edge
            taken.append(item)
        waiting = [item for item in waiting if item not in taken]
    axes.set(xlim=span, ylim=span, aspect="equal")


def _columns(items: Sequence[ReportItem]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Known ages and readings, months `[n]` each."""
    known = [item.known_age_months for item in items if item.known_age_months is not None]
    read = [item.assessment.bone_age_months for item in items if item.assessment is not None]
    return _months(known), _months(read)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    for axes in figure.axes:
        axes.tick_params(labelsize=9)
        axes.spines[["top", "right"]].set_linewidth(0.6)
        axes.spines[["bottom", "left"]].set_linewidth(0.8)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
    return out.getvalue()


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


def _number(value: object) -> float:
    """The number a table holds, as a number or as text; NaN where there is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _running_epochs(epochs: Sequence[float]) -> NDArray[np.float64]:
    """Epochs as they are where they rise throughout; otherwise one after the other from 1."""
    rising = all(before < after for before, after in pairwise(epochs)) and all(map(math.isfinite, epochs))
    return np.array(epochs, dtype=np.float64) if rising else np.arange(1.0, len(epochs) + 1)


def _curve_name(column: str) -> str:
    """'validation_mae_months_rsna-100px' becomes 'validation, rsna-100px'."""
    part, _, rest = column.partition("_mae_months")
    return part.replace("train", "training") + (f", {rest.strip('_ ')}" if rest.strip("_ ") else "")


def _error_scale(axes: Axes, values: Sequence[float]) -> bool:
    """From zero; logarithmic (then True) where the first epochs would flatten the last."""
    from matplotlib.ticker import FixedLocator, NullFormatter, ScalarFormatter

    logarithmic = bool(values) and max(values) > 3 * min(values)
    if logarithmic:
        axes.set_yscale("log")
        low, high = min(values) / 1.5, max(values) * 1.15
        axes.set_ylim(low, high)
        ticks = [
            tick for tick in (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 80, 120) if low <= tick <= high
        ]
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", color="#000000", alpha=0.12, linewidth=0.6)
    return logarithmic


def _mark_stages(panels: Sequence[Axes], epochs: NDArray[np.float64], stages: Sequence[str]) -> None:
    """A line and a name where a new stage begins."""
    if len(set(stages)) < 2:
        return
    for number, stage in enumerate(stages):
        if number and stage == stages[number - 1]:
            continue
        at = epochs[number] - 0.5 if number else epochs[0]
        if number:
            for axes in panels:
                axes.axvline(at, color=FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
        panels[0].annotate(
            f"stage {stage}" if stage.isdigit() else stage,
            (at, 0.02),
            xycoords=panels[0].get_xaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            color="#555555",
            parse_math=False,
        )
