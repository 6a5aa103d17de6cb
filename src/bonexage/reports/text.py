"""Assessments as people read them in a terminal: a line, a few lines, or a table."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bonexage.assessment import (
    DISCLAIMER,
    Assessment,
    Failure,
    months_in_words,
)
from bonexage.clinic.growth import describe
from bonexage.clinic.sentence import nearest_sentence, plain_sentence
from bonexage.model.bundle import Bundle
from bonexage.model.calibration import Calibration
from bonexage.numbers import interval_name, signed, span, with_interval
from bonexage.subject import Sex
from bonexage.terminal import printable

if TYPE_CHECKING:
    from rich.table import Table


def line(outcome: Assessment | Failure) -> str:
    """One line: file, bone age, interval, SDS and the codes of the cautions; or why there is none."""
    if isinstance(outcome, Failure):
        return f"{printable(outcome.file)}: {outcome.status}: {printable(outcome.error.sentence)}"
    parts = [outcome.age_in_words]
    if outcome.interval:
        parts.append(f"{interval_name(outcome.interval)} {span(outcome.interval)} months")
    if outcome.sds:
        parts.append(f"SDS {signed(outcome.sds.value)}")
    codes = "; ".join(caution.code for caution in outcome.cautions)
    return f"{printable(outcome.file)}: {', '.join(parts)}" + (f" [{codes}]" if codes else "")


def paragraph(outcome: Assessment | Failure) -> str:
    """A few lines for one film: all that is said of it, each caution as its sentence."""
    if isinstance(outcome, Failure):
        return line(outcome)
    subject = outcome.subject
    rows = [("Bone age", outcome.age_in_words)]
    if outcome.interval:
        rows.append((interval_name(outcome.interval), f"{span(outcome.interval)} months"))
    rows.append(("Assessed as", subject.sex.word if subject.sex is not Sex.UNKNOWN else "a girl and a boy"))
    if len(outcome.readings) > 1:
        rows.extend(
            (f"  as a {Sex(reading.sex).word}", months_in_words(reading.bone_age_months))
            for reading in outcome.readings
        )
    if subject.age_months is not None:
        rows.append(("Age", months_in_words(subject.age_months)))
        rows.append(("SDS", _score(outcome) if outcome.sds else "no reference"))
    rows.append(("In words", plain_sentence(outcome)))
    if unlike := nearest_sentence(outcome):
        rows.append(("Atlas", unlike))
    rows.extend(("Caution", caution.sentence) for caution in outcome.cautions)
    return "\n".join([printable(outcome.file), *(_hanging(name, value) for name, value in rows)])


def footer(model: str) -> str:
    """Which model said it, and the disclaimer."""
    return f"Model {model}. {DISCLAIMER}"


def model_facts(bundle: Bundle) -> str:
    """What a model is, a fact a line."""
    said = bundle.description
    how = said.preprocessing
    mean, std = (", ".join(f"{number:g}" for number in numbers) for numbers in (how.mean, how.std))
    normalised = f"mean {mean}, std {std}"
    rows = [
        ("Model", bundle.model),
        ("Made", f"{said.created}, bonexage {said.version}"),
        ("Network", f"{said.backbone}, started from {said.started_from}"),
        *((("Members", f"{len(said.members)} networks, whose mean it gives"),) if said.members else ()),
        ("Input", f"{how.height} x {how.width} pixels, {how.geometry}, {normalised}"),
        ("Gives", ", ".join(said.outputs)),
    ]
    for folder in said.data.get("folders", ()):
        rows.append(("Learned from", f"{folder['films']} films, {folder['name']}"))
    if ages := said.data.get("ages_months"):
        rows.append(("Bone ages", f"{ages[0]:g} to {ages[1]:g} months"))
    rows.append(("Intervals", calibrated(said.calibration)))
    if said.onnx_difference_months is not None:
        rows.append(("ONNX", f"at most {said.onnx_difference_months:.4f} months from the trained network"))
    rows.extend(("Mean error", error) for error in model_errors(said.figures))
    rows.append(("Hash", bundle.hash))
    return "\n".join([*(f"{name:<14}{value}" for name, value in rows), DISCLAIMER])


def calibrated(calibration: Calibration | None) -> str:
    """What a model's intervals come from, and which ages had too few films to stand alone."""
    if calibration is None:
        return "none: no calibration"
    how = "of one width a group" if calibration.spread is None else "whose width follows the film"
    how += ", that end where labels heap" if calibration.heaping else ""
    how += ", that hold the bone ages which labels were rounded from" if calibration.rounding else ""
    films = f", {calibration.films}" if calibration.films else ""
    merged = [
        f"{cell.sex.word}s {cell.low_months:g} to {cell.high_months:g}"
        for cell in calibration.cells
        if cell.bands > 1
    ]
    groups = f"{calibration.count} films in {len(calibration.cells)} groups of sex and predicted age"
    said = f"{'out of fold' if calibration.out_of_fold else 'split-conformal'}, {how}, from {groups}{films}"
    return said + (f"; merged, in months: {', '.join(merged)}" if merged else "")


def model_errors(figures: Mapping[str, Any]) -> Iterator[str]:
    """The mean absolute error on each group of films that was measured, with its interval."""
    for split, groups in figures.items():
        for name, group in groups.items():
            error = with_interval(group["mae_months"], unit=" months")
            yield f"{error}, {group['films']} {split} films, {name}"


def table(
    outcomes: Sequence[Assessment | Failure],
    *,
    names: Sequence[str] = (),
    known_months: Sequence[float] = (),
    film: str = "Film",
    known: str = "Known bone age",
) -> Table:
    """A table for the terminal, a row a film, with a column only for what there is; not why a film failed.

    Args:
        outcomes: the films, in order.
        names: what to call them; their files if there are none.
        known_months: bone ages known from elsewhere, one a film, for a column of their own; or none.
        film: heading of the first column.
        known: heading of the known ages.
    """
    from rich.table import Table
    from rich.text import Text

    assessed = [outcome for outcome in outcomes if isinstance(outcome, Assessment)]
    interval = next((each.interval for each in assessed if each.interval), None)
    scores = any(each.sds for each in assessed)
    cautions = any(each.cautions for each in assessed)
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.add_column(film, overflow="fold")
    made.add_column("Sex")
    made.add_column("Bone age", no_wrap=True)
    if interval:
        made.add_column(interval_name(interval), justify="right", no_wrap=True)
    if known_months:
        made.add_column(known, no_wrap=True)
    if scores:
        made.add_column("SDS", justify="right")
    if cautions:
        made.add_column("Cautions", overflow="fold")
    for at, outcome in enumerate(outcomes):
        cells = {film: names[at] if names else outcome.file, "Sex": outcome.subject.sex.value}
        if known_months:
            cells[known] = months_in_words(known_months[at])
        if isinstance(outcome, Failure):
            cells["Bone age"] = outcome.status
        else:
            cells |= {
                "Bone age": outcome.age_in_words,
                "SDS": signed(outcome.sds.value) if outcome.sds else "",
                "Cautions": "; ".join(caution.code for caution in outcome.cautions),
            }
            if interval and outcome.interval:
                cells[interval_name(interval)] = span(outcome.interval)
        style = "red" if isinstance(outcome, Failure) else ""
        made.add_row(*(Text(printable(cells.get(str(column.header), "")), style) for column in made.columns))
    return made


def _hanging(name: str, value: str) -> str:
    """A name and what is said of it, wrapped beside the name."""
    return textwrap.fill(value, 96, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16)


def _score(said: Assessment) -> str:
    """'+2.8, advanced (norm); 90% interval +1.2 to +4.4'."""
    if said.sds is None:
        return ""
    words = f"{signed(said.sds.value)}, {describe(said.sds)} ({said.sds.norm})"
    if said.interval is None or said.sds.low is None or said.sds.high is None:
        return words
    return f"{words}; {interval_name(said.interval)} {signed(said.sds.low)} to {signed(said.sds.high)}"
