"""One self-contained page of many films with their bone ages: what a batch is looked through by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Assessment, Failure, Interval
from bonexage.numbers import one_decimal, percent, signed, span
from bonexage.reports.cards import LARGE_PX, cards
from bonexage.reports.document import document, figure_html
from bonexage.reports.figures import ages_by_sex, readings_against_ages
from bonexage.reports.item import ReportItem, thumbnail
from bonexage.reports.sortable import SCRIPT, Cell, sortable
from bonexage.reports.writing import write_whole
from bonexage.subject import Sex

MOST_PICTURES: Final = 300
MOST_ROWS: Final = 2000
_LEAST_FOR_A_FIGURE: Final = 3

_SEX_TITLES: Final = {Sex.FEMALE: "Girls", Sex.MALE: "Boys", Sex.UNKNOWN: "Sex unknown"}


@dataclass(frozen=True)
class _Section:
    """A part of the page: its name in the address, its heading, its HTML."""

    name: str
    heading: str
    html: str


def write_report(
    items: Iterable[ReportItem],
    out: Path,
    *,
    model: str,
    title: str = "Bone ages",
    note: str = "",
    known: str = "Known bone age",
    made: date | None = None,
) -> None:
    """Write one page of all films: why some have no bone age, the ages, a table to sort, a card a film.

    Items are taken one after another and only thumbnails are kept. Beyond 300 films there are no more
    pictures, beyond 2,000 no more rows, beyond 2,000 without a bone age no more reasons; the page says how
    many are left out.

    Args:
        items: the films, in order.
        out: the HTML file; replaced in one step.
        model: name and hash of the model.
        title: heading of the page.
        note: a sentence under the heading, such as what the films are.
        known: what `known_age_months` is called, such as 'Plate's own age'.
        made: date to print; None for today.

    Raises:
        WrongUse: the page cannot be written there.
    """
    kept = _keep(items)
    sections = [section for section in _sections(kept, known) if section.html]
    links = " · ".join(f'<a href="#{one.name}">{escape(one.heading)}</a>' for one in sections)
    body = [
        f"<header><h1>{escape(title)}</h1>",
        f"<p>{escape(note)}</p>" if note else "",
        f'<p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p>{escape(_count_sentence(kept.counts))}</p>",
        f'<nav aria-label="On this page"><p>{links}</p></nav>' if len(sections) > 1 else "",
        "</header><main>",
        *(f'<section id="{one.name}"><h2>{escape(one.heading)}</h2>{one.html}</section>' for one in sections),
        "</main>",
        f'<footer><p class="soft">Model {escape(model)}, bonexage {escape(__version__)}, '
        f"{(made or date.today()).isoformat()}. {escape(DISCLAIMER)}</p></footer>",
    ]
    write_whole(out, document(title, "\n".join(part for part in body if part), script=SCRIPT))


def _sections(kept: _Kept, known: str) -> Iterator[_Section]:
    pictured = [item for item in kept.assessed if item.picture is not None]
    yield _Section("failures", "Films without a bone age", _failures_html(kept))
    yield _Section("readings", "Readings against ages", _readings_html(kept.assessed, known))
    yield _Section("ages", "Distribution of bone ages", _ages_html(kept.ages))
    yield _Section("all", "All readings", _table_html(kept, known))
    yield _Section("hands", "Hands", cards(pictured, known))


@dataclass(frozen=True)
class _Kept:
    """What of the items goes on the page.

    Attributes:
        counts: how many there were that are assessed, refused and unreadable.
        ages: bone age in months and sex of every film assessed.
        assessed: those shown.
        failed: those told of.
    """

    counts: Counter[str]
    ages: tuple[tuple[float, Sex], ...]
    assessed: tuple[ReportItem, ...]
    failed: tuple[ReportItem, ...]


def _keep(items: Iterable[ReportItem]) -> _Kept:
    counts: Counter[str] = Counter()
    ages: list[tuple[float, Sex]] = []
    assessed: list[ReportItem] = []
    failed: list[ReportItem] = []
    for item in items:
        said = item.outcome
        if isinstance(said, Failure):
            counts[said.status] += 1
            if len(failed) < MOST_ROWS:
                failed.append(replace(item, picture=None))
            continue
        counts["assessed"] += 1
        ages.append((said.bone_age_months, said.subject.sex))
        if len(assessed) < MOST_ROWS:
            shown = item.picture is not None and len(assessed) < MOST_PICTURES
            picture = thumbnail(item.picture, LARGE_PX) if shown and item.picture is not None else None
            assessed.append(replace(item, picture=picture, months=None))
    return _Kept(counts, tuple(ages), tuple(assessed), tuple(failed))


def _count_sentence(counts: Counter[str]) -> str:
    total = sum(counts.values())
    if counts["assessed"] == total:
        return f"{_films(total)}, all assessed."
    parts = [f"{counts['assessed']} assessed"]
    parts += [f"{counts[status]} {status}" for status in ("refused", "unreadable") if counts[status]]
    return f"{_films(total)}: {', '.join(parts)}."


def _films(number: int) -> str:
    return "1 film" if number == 1 else f"{number:,} films"


def _failures_html(kept: _Kept) -> str:
    """The films without a bone age, each with what is wrong and what to do."""
    if not kept.failed:
        return ""
    rows = "".join(
        f"<li><strong>{escape(item.title)}</strong>, {item.outcome.status}: "
        f"{escape(item.outcome.error.sentence)}</li>"
        for item in kept.failed
        if isinstance(item.outcome, Failure)
    )
    left_out = kept.counts["refused"] + kept.counts["unreadable"] - len(kept.failed)
    return f"<ul>{rows}</ul>{_left_out(left_out)}"


def _readings_html(items: Sequence[ReportItem], known: str) -> str:
    """A figure for each sex, beside one another where there is room."""
    compared = [item for item in items if item.difference_months is not None]
    if len(compared) < _LEAST_FOR_A_FIGURE:
        return ""
    figures = []
    for sex in Sex:
        of_sex = [item for item in compared if item.outcome.subject.sex is sex]
        if not of_sex:
            continue
        away = [abs(item.difference_months or 0.0) for item in of_sex]
        sentence = (
            f"{_SEX_TITLES[sex]}, {_films(len(of_sex))}: the readings lie {sum(away) / len(away):.1f} "
            f"months from the known ages on average and {max(away):.1f} months at most."
        )
        figures.append(
            figure_html(
                readings_against_ages(of_sex),
                alt=f"Scatter plot of readings against known ages, with hands. {sentence}",
                caption=f"{sentence} On the line both agree. Known age: {known[:1].lower()}{known[1:]}.",
            )
        )
    return f'<div class="pair">{"".join(figures)}</div>'


def _ages_html(ages: Sequence[tuple[float, Sex]]) -> str:
    """How many films there are of each year of bone age, girls and boys apart, drawn and in words."""
    if len(ages) < _LEAST_FOR_A_FIGURE:
        return ""
    parts = []
    for sex in Sex:
        years = Counter(int(months // 12) for months, of in ages if of is sex)
        told = ", ".join(f"{number} of {year}" for year, number in sorted(years.items()))
        parts += [f"{_SEX_TITLES[sex]}: {told} years"] if told else []
    return figure_html(
        ages_by_sex({"": ages}, of="Bone age as read"),
        alt=f"Histogram of bone ages by whole years. {'; '.join(parts)}.",
        caption=f"{_films(len(ages))} by year of bone age as read.",
    )


def _table_html(kept: _Kept, known: str) -> str:
    """Every assessed film as a row; columns that no film fills are left out."""
    items = kept.assessed
    if not items:
        return ""
    said = [item.outcome for item in items if isinstance(item.outcome, Assessment)]
    compared = any(item.known_age_months is not None for item in items)
    aged = any(one.subject.age_months is not None for one in said)
    cautioned = any(one.cautions for one in said)
    coverages = {one.interval.coverage for one in said if one.interval}
    interval = f"{percent(coverages.pop())} interval" if len(coverages) == 1 else "Interval"
    heads = ["Film", "Sex", "Bone age", f"{interval} (months)"]
    heads += [f"{known} (months)", "Difference (months)"] if compared else []
    heads += ["Chronological age (months)", "SDS"] if aged else []
    heads += ["Cautions"] if cautioned else []
    heads += ["PDF"] if any(item.pdf for item in items) else []
    rows = []
    for item, one in zip(items, said, strict=True):
        row = [
            Cell(item.title, leads_to=item.page),
            Cell(one.subject.sex.word),
            Cell(one.age_in_words, one.bone_age_months),
            _interval_cell(one.interval),
        ]
        if compared:
            row += [_cell(item.known_age_months, one_decimal), _cell(item.difference_months, signed)]
        if aged:
            row.append(_cell(one.subject.age_months, one_decimal))
            row.append(_sds_cell(one))
        if cautioned:
            row.append(Cell("; ".join(caution.code for caution in one.cautions)))
        if "PDF" in heads:
            row.append(Cell("PDF", leads_to=item.pdf))
        rows.append(row)
    return sortable("All readings", heads, rows) + _left_out(kept.counts["assessed"] - len(items))


def _left_out(films: int) -> str:
    more = "1 more film is" if films == 1 else f"{films:,} more films are"
    return f"<p>{more} not on this page; the table that predict writes has all.</p>" if films else ""


def _interval_cell(interval: Interval | None) -> Cell:
    """Sorted by its width, the surest first."""
    if interval is None:
        return Cell("none")
    return Cell(span(interval), interval.high_months - interval.low_months)


def _sds_cell(said: Assessment) -> Cell:
    if said.sds is None and said.subject.age_months is not None:
        return Cell("no reference")
    return _cell(said.sds.value if said.sds else None, signed)


def _cell(value: float | None, write: Callable[[float], str]) -> Cell:
    return Cell("") if value is None else Cell(write(value), value)
