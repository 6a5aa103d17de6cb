"""One child's series as people and programs read it: lines, JSON, a self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from html import escape
from typing import Any, Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Caution, Failure, months_in_words, years_and_months
from bonexage.clinic.growth import NORM
from bonexage.clinic.sentence import series_sentence
from bonexage.clinic.series import Rate, Series, Visit
from bonexage.numbers import interval_name, percent, score, span, unsigned
from bonexage.reports.document import document, figure_html, scrolling
from bonexage.reports.growth_chart import growth_chart, in_words
from bonexage.reports.text import footer
from bonexage.subject import Sex
from bonexage.terminal import printable

CHART_INCHES: Final = (7.2, 5.4)
_HOW: Final = (
    f"The reference is that of {NORM}, as printed in one secondary copy: the standard deviation of skeletal "
    "age, on the line between the ages of the table. The rate is the slope of the line through the bone "
    "ages, each weighted by its error; its interval takes the errors of readings to be independent, "
    "which makes it rather too wide."
)


@dataclass(frozen=True)
class Followed:
    """What is told of one child.

    Attributes:
        series: its bone ages and their rate.
        failures: the films that could not be read.
        model: what made the bone ages: a model's name and hash, or where they were given.
        made: the day.
    """

    series: Series
    failures: tuple[Failure, ...]
    model: str
    made: date

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """About the series, then about its films, each film named."""
        films = (
            Caution(caution.code, f"{visit.file}: {caution.sentence}")
            for visit in self.series.visits
            for caution in visit.cautions
        )
        return (*self.series.cautions, *films)


def as_dict(followed: Followed) -> dict[str, Any]:
    """For JSON: months and rates with one decimal, scores with two, None where there is nothing."""
    series = followed.series
    return {
        "sex": series.sex.value,
        "visits": [
            {
                **_visit_dict(visit),
                "months_a_year_since_last": _rate_dict(step),
                "cautions": ";".join(caution.code for caution in visit.cautions),
            }
            for visit, step in zip(series.visits, (None, *series.steps), strict=True)
        ],
        "months_a_year": _rate_dict(series.rate),
        "coverage": series.coverage,
        "sentence": series_sentence(series),
        "cautions": [{"code": one.code, "sentence": one.sentence} for one in followed.cautions],
        "failures": [
            {"file": one.file, "status": one.status, "message": one.error.sentence}
            for one in followed.failures
        ],
        "norm": NORM,
        "model": followed.model,
        "disclaimer": DISCLAIMER,
    }


def lines(followed: Followed) -> Iterator[str]:
    """For a terminal: a line a bone age, the sentence, the cautions, the films that could not be read."""
    series = followed.series
    for visit, step in zip(series.visits, (None, *series.steps), strict=True):
        parts = [f"bone age {months_in_words(visit.bone_age_months)}"]
        if visit.interval:
            parts.append(f"{interval_name(visit.interval)} {span(visit.interval)} months")
        parts.append(f"SDS {score(visit.sds)}" if visit.sds else "no reference")
        if step:
            parts.append(f"{unsigned(step.months_a_year)} months a year since the last")
        yield f"{years_and_months(visit.age_months)}: {', '.join(parts)}"
    yield series_sentence(series)
    yield from (f"Caution: {printable(one.sentence)}" for one in followed.cautions)
    yield from (
        f"{printable(one.file)}: {one.status}: {printable(one.error.sentence)}" for one in followed.failures
    )


def chart(followed: Followed) -> bytes:
    """The chart with its small print: PNG."""
    series = followed.series
    return growth_chart(series.visits, series.sex, note=footer(followed.model), size=CHART_INCHES)


def render(followed: Followed, drawn: bytes) -> str:
    """The page as HTML; `drawn` is the chart."""
    series = followed.series
    child = "a child of unknown sex" if series.sex is Sex.UNKNOWN else f"a {series.sex.word}"
    cautions = "".join(f"<li>{escape(one.sentence)}</li>" for one in followed.cautions)
    failures = "".join(
        f"<li><strong>{escape(one.file)}</strong>, {one.status}: {escape(one.error.sentence)}</li>"
        for one in followed.failures
    )
    body = [
        f"<header><h1>Bone age of {child} over time</h1>",
        f'<p class="disclaimer">{escape(DISCLAIMER)}</p></header><main>',
        f"<p>{escape(series_sentence(series))}</p>",
        f"<section><h2>Cautions</h2><ul>{cautions}</ul></section>" if cautions else "",
        f"<section><h2>Films without a bone age</h2><ul>{failures}</ul></section>" if failures else "",
        "<section><h2>Chart</h2>",
        figure_html(
            drawn,
            alt=in_words(series.visits, series.sex),
            caption="Bone age against chronological age. Grey: 2 SD either way. Bars: intervals.",
        ),
        "</section>",
        f"<section><h2>Bone ages</h2>{scrolling(_table(series), 'Bone ages')}</section>",
        f"<section><h2>How it was worked out</h2><p>{escape(_HOW)}</p></section></main>",
        f'<footer><p class="soft">{escape(footer(followed.model))} bonexage {escape(__version__)}, '
        f"{followed.made.isoformat()}.</p></footer>",
    ]
    return document(f"Bone age of {child} over time", "\n".join(part for part in body if part))


def _table(series: Series) -> str:
    heads = ["Age", "Bone age", "Its interval (months)", "SDS", "Months a year since the last"]
    films = any(visit.file for visit in series.visits)
    heads += ["Film"] if films else []
    rows = []
    for visit, step in zip(series.visits, (None, *series.steps), strict=True):
        interval = (
            f"{span(visit.interval)} ({percent(visit.interval.coverage)})" if visit.interval else "none"
        )
        cells = [
            months_in_words(visit.bone_age_months),
            interval,
            score(visit.sds) if visit.sds else "no reference",
            f"{unsigned(step.months_a_year)} ({unsigned(step.low)} to {unsigned(step.high)})" if step else "",
            *([visit.file] if films else []),
        ]
        row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{escape(years_and_months(visit.age_months))}</th>{row}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    caption = f"In brackets: {percent(series.coverage)} intervals of the rates, and those of the scores."
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f"<table><caption>{caption}</caption>{body}</table>"


def _visit_dict(visit: Visit) -> dict[str, Any]:
    interval, sds = visit.interval, visit.sds
    return {
        "file": visit.file or None,
        "age_months": round(visit.age_months, 1),
        "bone_age_months": round(visit.bone_age_months, 1),
        "interval_low_months": round(interval.low_months, 1) if interval else None,
        "interval_high_months": round(interval.high_months, 1) if interval else None,
        "coverage": interval.coverage if interval else None,
        "sds": round(sds.value, 2) + 0.0 if sds else None,
        "sds_low": round(sds.low, 2) + 0.0 if sds and sds.low is not None else None,
        "sds_high": round(sds.high, 2) + 0.0 if sds and sds.high is not None else None,
    }


def _rate_dict(rate: Rate | None) -> dict[str, float] | None:
    if rate is None:
        return None
    return {"value": round(rate.months_a_year, 1), "low": round(rate.low, 1), "high": round(rate.high, 1)}
