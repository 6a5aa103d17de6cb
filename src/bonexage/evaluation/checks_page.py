"""A checked data folder as one self-contained page: what there is, its ages by sex, and every finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER
from bonexage.evaluation.findings import KINDS, DataState, Finding, SplitState
from bonexage.reports.document import document, figure_html
from bonexage.reports.figures import ages_by_sex
from bonexage.subject import Sex

MOST_LISTED: Final = 500
MOST_SIZES: Final = 5

_SEXES: Final = ((Sex.FEMALE, "girls"), (Sex.MALE, "boys"))


def picture(state: DataState) -> bytes:
    """The labelled ages by sex, a panel for each split: PNG."""
    return ages_by_sex(
        {
            f"{one.split.capitalize()} split": [(label.bone_age_months, label.sex) for label in one.labels]
            for one in state.splits
        }
    )


def render(state: DataState, drawn: bytes) -> str:
    """The page as HTML; `drawn` is the picture. It names films by their ids and shows none."""
    title = f"Data check: {state.folder}"
    errors = [findings for code, findings in state.by_kind.items() if KINDS[code].must_mend]
    warnings = [findings for code, findings in state.by_kind.items() if not KINDS[code].must_mend]
    body = [
        f'<header><h1>{escape(title)}</h1><p class="disclaimer">{escape(DISCLAIMER)}</p>',
        f"<p>{escape(verdict(state))}</p></header><main>",
        "<section><h2>What is there</h2>",
        _splits_html(state.splits),
        f"<p>Checked on {state.made.isoformat()} with bonexage {escape(__version__)}; the films were read by "
        f"{escape(state.model)}.</p>",
        figure_html(
            drawn,
            alt="Histogram of labelled bone ages, girls and boys apart. The table gives its figures.",
            caption="Films by year of labelled bone age, girls and boys apart.",
        ),
        "</section>",
        _findings_html("To be mended", errors, "Nothing: training can start."),
        _findings_html("Worth a look", warnings, "Nothing."),
        "</main>",
    ]
    return document(title, "\n".join(body))


def verdict(state: DataState) -> str:
    """One sentence on whether anything must be mended."""
    warnings = len(state.findings) - state.errors
    looks = f"{_counted(warnings, 'thing')} to look at" if warnings else "nothing else to look at"
    if state.errors:
        return f"{_counted(state.errors, 'fault')} to mend before this data is used, and {looks}."
    return f"Nothing must be mended; {looks}."


def facts(state: SplitState) -> Iterator[tuple[str, str]]:
    """What there is in a split, each with its name."""
    yield "Rows in the labels file", f"{state.rows:,}"
    yield "Labels that can be used", f"{len(state.labels):,}"
    yield "Films", f"{state.films:,}, of which {state.read:,} can be read"
    for sex, plural in _SEXES:
        ages = state.ages(sex)
        if ages:
            yield (
                plural.capitalize(),
                f"{ages.labels:,}, {ages.youngest_months:.1f} to {ages.oldest_months:.1f} months, "
                f"median {ages.median_months:.1f}",
            )
    if state.sizes:
        yield "Sizes, height x width", _sizes(state)
    depths = (f"{films:,} {depth}" for depth, films in sorted(state.depths.items()))
    yield "Kinds of file", "; ".join(depths) or "none"


def _sizes(state: SplitState) -> str:
    """The commonest sizes, or the span of all where there are many."""
    if len(state.sizes) <= MOST_SIZES:
        common = sorted(state.sizes.items(), key=lambda item: (-item[1], item[0]))
        return "; ".join(f"{films:,} of {height} x {width}" for (height, width), films in common)
    heights, widths = (sorted({size[axis] for size in state.sizes}) for axis in (0, 1))
    return (
        f"{len(state.sizes):,} sizes, heights {heights[0]} to {heights[-1]}, "
        f"widths {widths[0]} to {widths[-1]}"
    )


def _splits_html(splits: Sequence[SplitState]) -> str:
    parts = []
    for state in splits:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts(state))
        parts.append(f'<h3>{escape(state.split.capitalize())} split</h3><dl class="facts">{rows}</dl>')
    return "".join(parts)


def _findings_html(heading: str, kinds: Sequence[Sequence[Finding]], none: str) -> str:
    parts = [f"<section><h2>{escape(heading)}</h2>"]
    if not kinds:
        parts.append(f"<p>{escape(none)}</p>")
    for findings in kinds:
        kind = KINDS[findings[0].code]
        listed = "".join(
            f"<li>{escape(finding.split or 'both splits')}: {escape(finding.sentence)}</li>"
            for finding in findings[:MOST_LISTED]
        )
        rest = len(findings) - MOST_LISTED
        more = f"<p>{rest:,} more are listed in check.json.</p>" if rest > 0 else ""
        parts.append(
            f"<h3>{escape(kind.heading)}: {len(findings):,}</h3>"
            f"<p>{escape(kind.remedy)}.</p><ul>{listed}</ul>{more}"
        )
    return "".join(parts) + "</section>"


def _counted(number: int, thing: str) -> str:
    return f"1 {thing}" if number == 1 else f"{number:,} {thing}s"
