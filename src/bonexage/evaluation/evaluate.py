"""A model is measured on labelled films: figures, predictions, pictures and a page in one folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from bonexage.assessment import MAX_BONE_AGE_MONTHS, Assessment
from bonexage.errors import UnusableData
from bonexage.evaluation import page, pictures
from bonexage.evaluation.coverage import CoverageTest, examine_coverage
from bonexage.evaluation.metrics import agreement
from bonexage.evaluation.result import NOT_OFFICIAL, Evaluation, Group, Measured
from bonexage.evaluation.strata import BAND_MONTHS, bands_of
from bonexage.model.assessor import DEFAULT_COVERAGE, Assessor, assess_many
from bonexage.reading.folder import LabelledFilm, Split, read_films, read_split
from bonexage.reports.table import FIELDS, record
from bonexage.reports.writing import write_whole
from bonexage.spreadsheet import TableWriter
from bonexage.subject import Sex, Subject

RESAMPLES: Final = 2000
COLUMNS: Final = ("id", *FIELDS[:4], "labelled_months", "bone_age_months", "difference_months", *FIELDS[5:])


def evaluate_folders(
    assessor: Assessor,
    folders: Sequence[Path],
    out: Path,
    *,
    split: Split,
    labels: Path | None = None,
    coverage: float = DEFAULT_COVERAGE,
    skip_unreadable: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """As `evaluate`, on a split of data folders in the RSNA layout, or on any labelled films.

    Args:
        assessor: the model.
        folders: data folders; with `labels`, one folder of films called after their ids.
        out: the folder to write.
        split: 'training' or 'test'; nothing with `labels`.
        labels: the films' labels, where they are not in the RSNA layout.
        coverage: share of children the intervals are to hold.
        skip_unreadable: go on without the films that are missing.
        progress: called with films done and films in all, after each.

    Raises:
        UnusableData: a folder has no such split, films are missing and `skip_unreadable` is not given, or
            no film could be assessed.
        WrongUse: the labels cannot be read, or `out` cannot be written.
    """
    films: list[LabelledFilm] = []
    missing: list[str] = []
    for folder in folders:
        found, skipped = (
            read_films(folder, labels, skip_unreadable=skip_unreadable)
            if labels
            else read_split(folder, split, skip_unreadable=skip_unreadable)
        )
        films += found
        missing += skipped
    return evaluate(
        assessor,
        films,
        out,
        split=labels.name if labels else split,
        data=" + ".join(folder.resolve().name for folder in folders),
        coverage=coverage,
        missing=missing,
        progress=progress,
    )


def evaluate(
    assessor: Assessor,
    films: Sequence[LabelledFilm],
    out: Path,
    *,
    split: str,
    data: str = "",
    coverage: float = DEFAULT_COVERAGE,
    missing: Sequence[str] = (),
    standing: str = NOT_OFFICIAL,
    seed: int = 0,
    resamples: int = RESAMPLES,
    made: date | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a model on labelled films and write all that came of it to a folder.

    `out` gets `predictions.csv`, `evaluation.json`, `evaluation.html`, `predicted-against-labelled.png`,
    `bland-altman.png` and `error-by-age.png`, each whole or not at all. A film that cannot be assessed stays
    in the table and is listed with its reason; it is in no figure.

    Args:
        assessor: the model.
        films: labelled films; films of the same id are of the same child.
        out: the folder, made where it is not there.
        split: name of the split, to be written down.
        data: name of the data folder; empty for that of the folder the films lie in.
        coverage: share of children the intervals are to hold.
        missing: a sentence for every label whose film is not there.
        standing: what the films are beside the challenge's official sets.
        seed: of the bootstrap.
        resamples: of the bootstrap.
        made: the day to write down; None for today.
        progress: called with films done and films in all, after each.

    Raises:
        UnusableData: there is no film, or none could be assessed (`predictions.csv` then tells why).
        WrongUse: the folder cannot be written, or the coverage is out of range.
    """
    if not films:
        raise UnusableData("there is no film to evaluate on", remedy="Name a data folder with labelled films")
    return write_evaluation(
        measure(assessor, films, coverage=coverage, progress=progress),
        out,
        model=assessor.model,
        model_facts=page.model_facts(assessor.bundle.description),
        data=data or _data_name(films),
        split=split,
        coverage=coverage,
        missing=missing,
        standing=standing,
        seed=seed,
        resamples=resamples,
        made=made,
    )


def write_evaluation(
    measured: Sequence[Measured],
    out: Path,
    *,
    model: str,
    model_facts: Sequence[tuple[str, str]] = (),
    data: str,
    split: str,
    coverage: float = DEFAULT_COVERAGE,
    missing: Sequence[str] = (),
    note: str = "",
    standing: str = NOT_OFFICIAL,
    seed: int = 0,
    resamples: int = RESAMPLES,
    made: date | None = None,
) -> Evaluation:
    """Work out the figures of films that were measured, and write what `evaluate` writes.

    Arguments and errors are those of `evaluate`; `note` is said of the model on the page.
    """
    write_whole(out / "predictions.csv", predictions_csv(measured))
    if not any(isinstance(one.outcome, Assessment) for one in measured):
        raise UnusableData(
            f"none of the {len(measured)} films could be assessed",
            remedy=f"See the reasons in {out / 'predictions.csv'}",
            subject=data or None,
        )
    done = Evaluation(
        model=model,
        model_facts=tuple(model_facts),
        data=data,
        split=split,
        coverage=coverage,
        made=made or date.today(),
        seed=seed,
        resamples=resamples,
        measured=tuple(measured),
        missing=tuple(missing),
        groups=_groups(measured, seed=seed, resamples=resamples),
        note=note,
        standing=standing,
        intervals=_intervals(measured, coverage, seed=seed, resamples=resamples),
    )
    drawn = pictures.draw(done)
    for file, png in drawn.items():
        write_whole(out / file, png)
    write_whole(out / "evaluation.json", json.dumps(done.as_dict(), indent=1, allow_nan=False) + "\n")
    write_whole(out / "evaluation.html", page.render(done, drawn))
    return done


def predictions_csv(measured: Sequence[Measured]) -> str:
    """One row a film in the films' order; months have one decimal, and files go by their bare names."""
    text = io.StringIO(newline="")
    table = TableWriter(text, COLUMNS)
    for one in measured:
        row = record(one.outcome)
        row |= {
            "id": one.film.id,
            "file": one.film.path.name,
            "labelled_months": round(one.film.bone_age_months, 1),
        }
        if isinstance(one.outcome, Assessment):
            row["difference_months"] = round(one.outcome.bone_age_months - one.film.bone_age_months, 1) + 0.0
        table.write(row)
    return text.getvalue()


def measure(
    assessor: Assessor,
    films: Sequence[LabelledFilm],
    *,
    coverage: float = DEFAULT_COVERAGE,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Measured, ...]:
    """Assess each film with its labelled sex, in order; what cannot be assessed is a `Failure`.

    Raises:
        WrongUse: the coverage is out of range.
    """
    sexes = {str(film.path): film.sex for film in films}
    outcomes = assess_many(
        assessor,
        (str(film.path) for film in films),
        lambda path: Subject(sexes[path]),
        coverage=coverage,
    )
    measured = []
    for film, outcome in zip(films, outcomes, strict=True):
        measured.append(Measured(film, outcome))
        if progress is not None:
            progress(len(measured), len(films))
    return tuple(measured)


def _intervals(
    measured: Sequence[Measured], coverage: float, *, seed: int, resamples: int
) -> CoverageTest | None:
    pairs = [(one.film, one.outcome) for one in measured if isinstance(one.outcome, Assessment)]
    if not all(said.interval for _, said in pairs):
        return None
    return examine_coverage(pairs, coverage, seed=seed, resamples=resamples)


def _groups(measured: Sequence[Measured], *, seed: int, resamples: int) -> tuple[Group, ...]:
    """All films first; then by sex, by band, by both."""
    pairs = [(one.film, one.outcome) for one in measured if isinstance(one.outcome, Assessment)]
    predicted = np.array([said.bone_age_months for _, said in pairs])
    labelled = np.array([film.bone_age_months for film, _ in pairs])
    children = np.array([film.id for film, _ in pairs])
    intervals = None
    if all(said.interval for _, said in pairs):
        intervals = np.array([(i.low_months, i.high_months) for _, said in pairs if (i := said.interval)])
    band_of = bands_of(labelled)

    def group(sex: Sex | None, low: float | None) -> Group | None:
        here = np.array([sex is None or film.sex is sex for film, _ in pairs], dtype=bool)
        if low is not None:
            here &= band_of == low
        if not here.any():
            return None
        found = agreement(
            predicted[here],
            labelled[here],
            intervals=None if intervals is None else intervals[here],
            children=children[here].tolist(),
            seed=seed,
            resamples=resamples,
        )
        return Group(sex, low, None if low is None else low + BAND_MONTHS, found)

    lows = [float(low) for low in range(0, int(MAX_BONE_AGE_MONTHS), BAND_MONTHS)]
    wanted: list[tuple[Sex | None, float | None]] = [(None, None)]
    wanted += [(sex, None) for sex in Sex]
    wanted += [(None, low) for low in lows]
    wanted += [(sex, low) for low in lows for sex in Sex]
    return tuple(made for sex, low in wanted if (made := group(sex, low)) is not None)


def _data_name(films: Sequence[LabelledFilm]) -> str:
    """The name of the folder around the films' split folder."""
    if not films:
        return ""
    folder = films[0].path.resolve().parent
    while folder.name.startswith("boneage-"):
        folder = folder.parent
    return folder.name
