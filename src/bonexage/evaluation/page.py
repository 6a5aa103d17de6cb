"""An evaluation as one self-contained page: what was measured, on what, how, the figures, their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from bonexage import __version__, numbers
from bonexage.assessment import DISCLAIMER
from bonexage.evaluation import pictures
from bonexage.evaluation.coverage import HeldCell
from bonexage.evaluation.metrics import SHARES, Agreement, Figure
from bonexage.evaluation.result import Evaluation, Group
from bonexage.model.bundle import Description
from bonexage.reports.document import document, figure_html
from bonexage.subject import Sex

FEW_FILMS: Final = 10
WORST: Final = 10
MOST_LISTED: Final = 500

_MONTHS: Final = ("mae_months", "median_months", "rmse_months", "bias_months")
_NAMES: Final = {
    "mae_months": "Mean absolute difference (MAD, also MAE)",
    "median_months": "Median absolute difference",
    "rmse_months": "Root mean squared difference",
    "bias_months": "Bias: mean of predicted − labelled",
    "r2": "R², coefficient of determination",
    "limit_low_months": "Lower limit of agreement (bias − 1.96 SD)",
    "limit_high_months": "Upper limit of agreement (bias + 1.96 SD)",
    "within_6_months": "Within 6 months",
    "within_12_months": "Within 12 months",
    "within_24_months": "Within 24 months",
    "covered": "Labels inside the interval",
    "interval_width_months": "Mean width of the interval",
}
_HEADS: Final = {
    "mae_months": "MAD",
    "median_months": "Median",
    "rmse_months": "RMSE",
    "bias_months": "Bias",
    "r2": "R²",
    "limit_low_months": "Lower limit",
    "limit_high_months": "Upper limit",
    "within_6_months": "≤ 6 months",
    "within_12_months": "≤ 12 months",
    "within_24_months": "≤ 24 months",
    "covered": "In interval",
    "interval_width_months": "Interval width",
}
_SEXES: Final = {Sex.FEMALE: "girls", Sex.MALE: "boys", Sex.UNKNOWN: "sex unknown"}


def model_facts(description: Description) -> tuple[tuple[str, str], ...]:
    """What a reviewer asks of a model first: backbone, start, input, training films."""
    how = description.preprocessing
    facts = [
        ("Backbone", description.backbone),
        ("Backbone started from", description.started_from),
        ("Input", f"{how.height} x {how.width} pixels, {how.geometry}"),
        ("Model made", description.created),
    ]
    folders = description.data.get("folders") or ()
    trained = [
        f"{one['name']} ({one['films']:,} films)" for one in folders if "name" in one and "films" in one
    ]
    if trained:
        facts.append(("Trained on", ", ".join(trained)))
    ages = description.data.get("ages_months")
    if ages:
        facts.append(("Bone ages trained on", f"{ages[0]:g} to {ages[1]:g} months"))
    return tuple((name, value) for name, value in facts if value)


def render(evaluation: Evaluation, drawn: Mapping[str, bytes]) -> str:
    """The page as HTML; `drawn` holds the figures by file name."""
    title = f"Bone age: {evaluation.model} on {evaluation.data or 'labelled films'}, {evaluation.split} split"
    body = [
        f'<header><h1>{escape(title)}</h1><p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p>{escape(_summary(evaluation))}</p></header><main>",
        _facts_html(evaluation),
        "<section><h2>Over all films</h2>",
        _overall_html(evaluation.overall),
        "</section>",
        _figures_html(evaluation, drawn),
        "<section><h2>By sex and age</h2>",
        _groups_note(evaluation),
        _groups_html(
            evaluation, (*_MONTHS, "limit_low_months", "limit_high_months"), "Differences in months"
        ),
        _groups_html(
            evaluation,
            ("r2", *SHARES, "interval_width_months"),
            "R², shares of films, and intervals",
        ),
        "</section>",
        _intervals_html(evaluation),
        _worst_html(evaluation),
        _missing_html(evaluation),
        f"<section><h2>Methods</h2><p>{_methods(evaluation)}</p></section>",
        f"<section><h2>Limits</h2>{_limits(evaluation)}</section>",
        "</main>",
    ]
    return document(title, "\n".join(part for part in body if part))


def _summary(evaluation: Evaluation) -> str:
    overall = evaluation.overall
    return (
        f"The mean absolute difference from the labels is {_plain(overall.mae_months)} months over "
        f"{_films(overall.films)}; {_plain(overall.within_12_months, percent=True)} of the films lie "
        "within 12 months."
    )


def _facts_html(evaluation: Evaluation) -> str:
    assessed = evaluation.assessed
    ages = [film.bone_age_months for film, _ in assessed]
    by_sex = ", ".join(
        f"{group.agreement.films:,} {_SEXES[group.sex]}"
        for group in evaluation.select(by_sex=True, by_age=False)
        if group.sex is not None
    )
    labelled = len(evaluation.measured) + len(evaluation.missing)
    facts = [
        ("Model", evaluation.model),
        *evaluation.model_facts,
        ("Data folder", evaluation.data or "not named"),
        ("Split", evaluation.split),
        ("Films", f"{labelled:,} labelled, {len(assessed):,} assessed ({by_sex})"),
        ("Children", f"{evaluation.overall.children:,}"),
        ("Labelled bone ages", f"{min(ages):.1f} to {max(ages):.1f} months"),
        ("Date", f"{evaluation.made.isoformat()}, with bonexage {__version__}"),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f'<section><h2>What was measured</h2><dl class="facts">{rows}</dl></section>'


def _overall_html(overall: Agreement) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(_NAMES[name])}</th><td class="n">{_value(name, figure)}</td>'
        f'<td class="n">{_ends(name, figure)}</td></tr>'
        for name, figure in overall.figures()
    )
    return _scrolling(
        f'<table class="short"><caption>{_films(overall.films)}. Differences are in months; '
        'intervals are 95% bootstrap intervals over children.</caption><thead><tr><th scope="col">Figure</th>'
        '<th scope="col" class="n">Value</th><th scope="col" class="n">95% interval</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>",
        "Figures over all films",
    )


def _figures_html(evaluation: Evaluation, drawn: Mapping[str, bytes]) -> str:
    overall = evaluation.overall
    films = _films(overall.films)
    captions = {
        pictures.SCATTER: (
            "Scatter plot of predicted against labelled bone age",
            f"Predicted against labelled bone age of {films}. The line is identity, the grey band ±12 "
            "months.",
        ),
        pictures.BLAND_ALTMAN: (
            "Bland-Altman plot",
            f"Bland–Altman plot of {films}: mean difference {_plain(overall.bias_months, signed=True)} "
            f"months, limits of agreement {_plain(overall.limit_low_months, signed=True)} and "
            f"{_plain(overall.limit_high_months, signed=True)} months. Grey bands are 95% intervals of "
            "the lines.",
        ),
        pictures.BY_AGE: (
            "Mean absolute difference, mean difference and number of films by band of labelled bone "
            "age and sex",
            "Mean absolute difference (above), mean difference (middle) and number of films (below) by "
            "band of 24 months of the labelled bone age, girls and boys apart. Bars are 95% intervals.",
        ),
    }
    parts = [
        figure_html(
            png,
            alt=f"{captions[name][0]}. The tables give its figures.",
            caption=f"Figure {number}. {captions[name][1]}",
        )
        for number, (name, png) in enumerate(drawn.items(), start=1)
    ]
    return f"<section><h2>Figures</h2>{''.join(parts)}</section>"


def _groups_note(evaluation: Evaluation) -> str:
    few = any(group.agreement.films < FEW_FILMS for group in evaluation.groups)
    mark = f" An asterisk marks fewer than {FEW_FILMS} films: such intervals are too narrow to rely on."
    return (
        "<p>Bands are of the labelled bone age, from the first age up to but without the last; bands "
        "without films are left out. R² within a band says little, because the labels there hardly "
        f"vary.{mark if few else ''}</p>"
    )


def _groups_html(evaluation: Evaluation, names: Sequence[str], caption: str) -> str:
    shown = [name for name in names if getattr(evaluation.overall, name) is not None]
    head = "".join(f'<th scope="col" class="n">{escape(_HEADS[name])}</th>' for name in shown)
    rows = "".join(_group_row(group, shown) for group in evaluation.groups)
    return _scrolling(
        f"<table><caption>{escape(caption)}, with 95% intervals.</caption><thead><tr>"
        f'<th scope="col">Films of</th><th scope="col" class="n">Films</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
        caption,
    )


def _group_row(group: Group, names: Sequence[str]) -> str:
    films = group.agreement.films
    cells = "".join(
        f'<td class="n">{_value(name, figure)}<small class="ci">{_ends(name, figure)}</small></td>'
        for name in names
        if isinstance(figure := getattr(group.agreement, name), Figure)
    )
    mark = "*" if films < FEW_FILMS else ""
    return (
        f'<tr><th scope="row">{escape(_group_name(group))}</th><td class="n">{films:,}{mark}</td>{cells}</tr>'
    )


def _group_name(group: Group) -> str:
    who = "all" if group.sex is None else _SEXES[group.sex]
    if group.low_months is None or group.high_months is None:
        return who
    ages = f"{group.low_months:.0f} to {group.high_months:.0f} months"
    return ages if group.sex is None else f"{who}, {ages}"


def _intervals_html(evaluation: Evaluation) -> str:
    """What the model's own intervals hold, cell by cell."""
    test = evaluation.intervals
    if test is None:
        return ""
    said = " ".join(test.sentences())
    tables = "".join(
        _scrolling(_cells_html(cells, f"Labels in the {test.coverage:.0%} interval by {how} age"), how)
        for how, cells in (("predicted", test.by_reading), ("labelled", test.by_label))
    )
    note = (
        "The promise is made by predicted age, the only age known of a new film. By labelled age the "
        "intervals of any model tend to hold more in the frequent ages and less at both ends."
    )
    return f"<section><h2>Intervals</h2><p>{escape(said)}</p><p>{escape(note)}</p>{tables}</section>"


def _cells_html(cells: Sequence[HeldCell], caption: str) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(cell.name)}</th><td class="n">{cell.children:,}</td>'
        f'<td class="n">{cell.share:.1%}</td><td class="n">{cell.p:.2g}</td>'
        f'<td class="n">{cell.adjusted:.2g}</td><td>{"departs" if cell.departs else ""}</td></tr>'
        for cell in cells
    )
    heads = ("Children", "In interval", "p", "p (Holm)")
    return (
        f'<table><caption>{escape(caption)}; binomial tests.</caption><thead><tr><th scope="col">Cell</th>'
        + "".join(f'<th scope="col" class="n">{head}</th>' for head in heads)
        + f'<th scope="col">At 1%</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _worst_html(evaluation: Evaluation) -> str:
    far = sorted(evaluation.assessed, key=lambda one: -abs(one[1].bone_age_months - one[0].bone_age_months))
    rows = "".join(
        f'<tr><th scope="row">{escape(film.id)}</th><td>{_SEXES[film.sex]}</td>'
        f'<td class="n">{film.bone_age_months:.1f}</td><td class="n">{said.bone_age_months:.1f}</td>'
        f'<td class="n">{numbers.signed(said.bone_age_months - film.bone_age_months)}</td>'
        f"<td>{escape('; '.join(caution.code for caution in said.cautions))}</td></tr>"
        for film, said in far[:WORST]
    )
    return (
        "<section><h2>Largest differences</h2>"
        + _scrolling(
            f"<table><caption>The {min(WORST, len(far))} films furthest from their labels, in months."
            '</caption><thead><tr><th scope="col">Film</th><th scope="col">Sex</th>'
            '<th scope="col" class="n">Labelled</th><th scope="col" class="n">Predicted</th>'
            '<th scope="col" class="n">Difference</th><th scope="col">Cautions</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>",
            "Largest differences",
        )
        + "</section>"
    )


def _missing_html(evaluation: Evaluation) -> str:
    lines = [
        f"{film.id} ({failure.status}): {failure.error.sentence}" for film, failure in evaluation.failures
    ]
    lines += [f"missing: {line}" for line in evaluation.missing]
    if not lines:
        return "<section><h2>Films not assessed</h2><p>None: every film is in the figures.</p></section>"
    labelled = len(evaluation.measured) + len(evaluation.missing)
    rest = len(lines) - MOST_LISTED
    more = f"<p>{rest:,} more are listed in evaluation.json.</p>" if rest > 0 else ""
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines[:MOST_LISTED])
    return (
        f"<section><h2>Films not assessed</h2><p>{len(lines):,} of {_films(labelled)} "
        f"are in no figure above.</p><ul>{listed}</ul>{more}</section>"
    )


def _methods(evaluation: Evaluation) -> str:
    data = escape(evaluation.data) or "the data"
    text = (
        f"Each film of the {escape(evaluation.split)} split of {data} was assessed once by "
        f"{escape(evaluation.model)}, given the film and the labelled sex, without the chronological age. "
        f"{escape(evaluation.note)}{' ' if evaluation.note else ''}"
        "A difference is predicted minus labelled bone age in months. "
        "R² is 1 − SSE/SST about the labels' mean. Limits of agreement are the mean difference ± 1.96 "
        "standard deviations (Bland and Altman, Lancet 1986;1:307–310). All intervals are 95% percentile "
        f"bootstrap intervals: children were drawn with replacement {evaluation.resamples:,} times (seed "
        f"{evaluation.seed}), each with all their films; films of the same id are of the same child. "
        "A share of 0% or 100%, which no draw moves, has the exact interval (Clopper and Pearson 1934)."
    )
    if evaluation.overall.covered:
        text += (
            f" The model's own intervals, built to hold {evaluation.coverage:.0%} of labels, come from "
            "films kept out of the training of the network that read them, by sex and band of predicted "
            "age. They are tested on the first film of each child."
        )
    else:
        text += " The model carries no calibration, so there is no interval of its own to check."
    return text


def _limits(evaluation: Evaluation) -> str:
    lines = [
        evaluation.standing,
        "The labels are readings by people. On the challenge's official test set single radiologists lay "
        "about 5 to 7 months from the reference on average: a difference is not all the model's.",
        "A data folder comes from few hospitals and machines. The figures say nothing of other "
        "populations, machines, diseases of the skeleton, or films that are not left hands.",
        "In bands of labelled age, the youngest tend to be read too old and the oldest too young, for any "
        "model with error: part of the bias at both ends is that.",
    ]
    if evaluation.split == "training":
        lines.append("A model that was trained on these films looks better on them than on any others.")
    if evaluation.failures or evaluation.missing:
        lines.append(
            "Films that were not assessed are in no figure, which favours the model if they were hard."
        )
    listed = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{listed}</ul><p><strong>{escape(DISCLAIMER)}</strong></p>"


def _scrolling(table: str, name: str) -> str:
    return f'<div class="wide" role="region" aria-label="{escape(name)}" tabindex="0">{table}</div>'


def _films(number: int) -> str:
    return "1 film" if number == 1 else f"{number:,} films"


def _value(name: str, figure: Figure) -> str:
    return _number(name, figure.value)


def _ends(name: str, figure: Figure) -> str:
    if math.isnan(figure.low):
        return ""
    return f"{_number(name, figure.low)} to {_number(name, figure.high)}"


def _number(name: str, value: float) -> str:
    """A figure as its kind is written: months with one decimal, shares in per cent, R² with three."""
    if math.isnan(value):
        return "–"
    if name == "r2":
        return f"{value:.3f}".replace("-", "−")
    if name in SHARES:
        return f"{value:.1%}"
    return (
        numbers.signed(value)
        if name in ("bias_months", "limit_low_months", "limit_high_months")
        else f"{value:.1f}"
    )


def _plain(figure: Figure, *, percent: bool = False, signed: bool = False) -> str:
    """'8.6 (95% CI 8.1 to 9.1)' for running text."""
    write = (lambda value: f"{value:.0%}") if percent else numbers.signed if signed else numbers.one_decimal
    return numbers.with_interval(figure.as_dict(), write, name="95% CI")
