"""Learning curves: how the error of a training run fell, from the rows of its metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonexage.reports import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")


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
    figure = sheet.new_figure(7.2, 5.2 if has_rate else 4.0)
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
    return sheet.as_png(figure)


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
    """'validation_mae_months_rsna-299px' becomes 'validation, rsna-299px'."""
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
                axes.axvline(at, color=sheet.FAINT, linewidth=0.9, linestyle=(0, (2, 2)))
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


def curves_of_runs(runs: Sequence[tuple[str, Sequence[Mapping[str, object]]]]) -> bytes:
    """Validation error by epoch of several runs, each a name and the rows of its `metrics.csv`.

    A ring marks the lowest error of a run's last stage.
    """
    from matplotlib.ticker import MaxNLocator

    figure = sheet.new_figure(8.0, 4.6)
    axes = figure.add_subplot()
    drawn: list[float] = []
    for place, (name, rows) in enumerate(runs):
        epochs = _running_epochs([_number(row.get("epoch")) for row in rows])
        errors = np.array([_number(row.get("validation_mae_months")) for row in rows])
        here = np.isfinite(errors) & (errors > 0)
        if not here.any():
            continue
        drawn += errors[here].tolist()
        colour = _COLOURS[place % len(_COLOURS)]
        dashes = ("-", "--", ":")[place // len(_COLOURS) % 3]
        axes.plot(epochs[here], errors[here], dashes, color=colour, linewidth=1.5, label=name)
        last = here & np.array([row.get("stage") == rows[-1].get("stage") for row in rows])
        if last.any():
            best = int(np.flatnonzero(last)[errors[last].argmin()])
            axes.plot(epochs[best], errors[best], "o", color=colour, mfc="none", markersize=9, mew=1.3)
    logarithmic = _error_scale(axes, drawn)
    axes.set_ylabel(f"Validation error (months{', log scale' if logarithmic else ''})")
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if drawn:
        legend = axes.legend(loc="upper right", frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return sheet.as_png(figure)
