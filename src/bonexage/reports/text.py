"""Assessments as people read them in a terminal: a line, a few lines, or a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bonexage.assessment import (
    DISCLAIMER,
    Assessment,
    Failure,
    Interval,
    StandardDeviationScore,
    months_in_words,
)
from bonexage.clinic.growth import describe
from bonexage.subject import Sex

if TYPE_CHECKING:
    from rich.table import Table


def line(outcome: Assessment | Failure) -> str:
    """One line: file, bone age, interval, SDS and the codes of the cautions; or why there is none."""
    if isinstance(outcome, Failure):
        return f"{outcome.file}: {outcome.status}: {outcome.error.problem}. {outcome.error.remedy}."
    parts = [outcome.age_in_words]
    if outcome.interval:
        parts.append(f"{_interval_name(outcome.interval)} {_interval(outcome.interval)} months")
    if outcome.sds:
        parts.append(f"SDS {outcome.sds.value:+.1f}")
    codes = "; ".join(caution.code for caution in outcome.cautions)
    return f"{outcome.file}: {', '.join(parts)}" + (f" [{codes}]" if codes else "")


def paragraph(outcome: Assessment | Failure) -> str:
    """A few lines for one film: all that is said of it, each caution as its sentence."""
    if isinstance(outcome, Failure):
        return line(outcome)
    subject = outcome.subject
    rows = [("Bone age", outcome.age_in_words)]
    if outcome.interval:
        rows.append((_interval_name(outcome.interval), f"{_interval(outcome.interval)} months"))
    rows.append(("Assessed as", subject.sex.word if subject.sex is not Sex.UNKNOWN else "a girl and a boy"))
    if len(outcome.readings) > 1:
        rows.extend(
            (f"  as a {Sex(reading.sex).word}", months_in_words(reading.bone_age_months))
            for reading in outcome.readings
        )
    if subject.age_months is not None:
        rows.append(("Age", months_in_words(subject.age_months)))
    if outcome.sds:
        rows.append(("SDS", f"{_score(outcome.sds)} ({outcome.sds.norm})"))
    rows.extend(("Caution", caution.sentence) for caution in outcome.cautions)
    return "\n".join([outcome.file, *(f"  {name:<14}{value}" for name, value in rows)])


def footer(model: str) -> str:
    """Which model said it, and the disclaimer."""
    return f"Model {model}. {DISCLAIMER}"


def table(outcomes: Sequence[Assessment | Failure]) -> Table:
    """A table for the terminal, a row a film, with a column only for what there is."""
    from rich.table import Table
    from rich.text import Text

    assessed = [outcome for outcome in outcomes if isinstance(outcome, Assessment)]
    interval = next((each.interval for each in assessed if each.interval), None)
    scores = any(each.sds for each in assessed)
    cautions = any(each.cautions for each in assessed) or len(assessed) < len(outcomes)
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column("Film", overflow="fold")
    made.add_column("Sex")
    made.add_column("Bone age")
    if interval:
        made.add_column(_interval_name(interval), justify="right")
    if scores:
        made.add_column("SDS", justify="right")
    if cautions:
        made.add_column("Cautions", overflow="fold")
    for outcome in outcomes:
        cells = {"Film": outcome.file, "Sex": outcome.subject.sex.value}
        if isinstance(outcome, Failure):
            cells |= {
                "Bone age": outcome.status,
                "Cautions": f"{outcome.error.problem}. {outcome.error.remedy}.",
            }
        else:
            cells |= {
                "Bone age": outcome.age_in_words,
                "SDS": f"{outcome.sds.value:+.1f}" if outcome.sds else "",
                "Cautions": "; ".join(caution.code for caution in outcome.cautions),
            }
            if interval and outcome.interval:
                cells[_interval_name(interval)] = _interval(outcome.interval)
        style = "red" if isinstance(outcome, Failure) else ""
        made.add_row(*(Text(cells.get(str(column.header), ""), style) for column in made.columns))
    return made


def _interval(interval: Interval) -> str:
    return f"{interval.low_months:.1f} to {interval.high_months:.1f}"


def _interval_name(interval: Interval) -> str:
    return f"{interval.coverage * 100:.3g}% interval"


def _score(sds: StandardDeviationScore) -> str:
    return f"{sds.value:+.1f}, {describe(sds)}"
