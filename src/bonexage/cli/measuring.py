"""The commands that measure models on labelled films: evaluate, calibrate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonexage.assessment import DISCLAIMER
from bonexage.cli.front import (
    BundleOut,
    Coverage,
    Data,
    SkipUnreadable,
    Threads,
    Views,
    app,
    as_share,
    conclude,
)
from bonexage.cli.outcomes import Tally, counting, note, say
from bonexage.errors import WrongUse

if TYPE_CHECKING:
    from bonexage.model.assessor import Assessor


class Split(StrEnum):
    """The parts of a data folder."""

    TEST = "test"
    TRAINING = "training"

    @property
    def of_folder(self) -> Literal["test", "training"]:
        """As `bonexage.reading.folder` names it."""
        return "test" if self is Split.TEST else "training"


@app.command(
    epilog="Examples:\n\nbonexage evaluate model.zip --data rsna --split test --out evaluation/\n\n"
    "bonexage evaluate model.zip --official downloads/ --out official/"
)
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model to measure.")],
    *,
    data: Annotated[
        list[Path] | None, typer.Option(help="A data folder in the RSNA layout; may be given several times.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the page.")],
    split: Annotated[Split, typer.Option(help="The split to read.")] = Split.TEST,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels (id, boneage, male) of the films in --data, where that is not in the RSNA layout."
        ),
    ] = None,
    official: Annotated[
        Path | None,
        typer.Option(
            help="Folder with RSNA's downloads: measure on the challenge's own validation and test sets."
        ),
    ] = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    views: Views = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Measure a model on labelled films: figures with intervals, pictures, a page."""
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    share = as_share(coverage)
    if bool(data) == bool(official):
        raise WrongUse("evaluate needs either --data or --official", remedy="Name the films with one of them")
    if labels and (official or len(data or ()) > 1):
        raise WrongUse("--labels names films of one folder", remedy="Give --data once with it")
    assessor = Assessor(load_bundle(model), threads=threads, views=views)
    if official:
        _evaluate_official(assessor, official, out, share, skip_unreadable=skip_unreadable)
    else:
        _evaluate_data(assessor, data or [], out, split, labels, share, skip_unreadable=skip_unreadable)


def _evaluate_data(
    assessor: Assessor,
    data: list[Path],
    out: Path,
    split: Split,
    labels: Path | None,
    coverage: float,
    *,
    skip_unreadable: bool,
) -> None:
    """Measure on data folders, or on the films that a table labels."""
    from bonexage.evaluation.evaluate import evaluate_folders
    from bonexage.numbers import two_decimals, with_interval

    with counting() as advance:
        evaluation = evaluate_folders(
            assessor,
            data,
            out,
            split=split.of_folder,
            labels=labels,
            coverage=coverage,
            skip_unreadable=skip_unreadable,
            progress=advance,
        )
    error = with_interval(evaluation.overall.mae_months.as_dict(), two_decimals, unit=" months")
    say(
        f"Mean absolute error {error}, {evaluation.overall.films} films. "
        f"All figures: {out / 'evaluation.html'}"
    )
    for sentence in evaluation.intervals.sentences() if evaluation.intervals else ():
        say(sentence)
    conclude(Tally(len(evaluation.measured), len(evaluation.failures)), assessor.model)


def _evaluate_official(
    assessor: Assessor, folder: Path, out: Path, coverage: float, *, skip_unreadable: bool
) -> None:
    """Measure on each official set in RSNA's downloads, and print the row that papers give."""
    from bonexage.evaluation.evaluate import evaluate as measure
    from bonexage.evaluation.official import find_official, official_note, official_row

    tally = Tally(0, 0)
    for official in find_official(folder, skip_unreadable=skip_unreadable):
        place = out / official.name
        with counting() as advance:
            evaluation = measure(
                assessor,
                official.films,
                place,
                split=f"official {official.name}",
                data="RSNA Pediatric Bone Age Challenge 2017",
                coverage=coverage,
                missing=official.missing,
                standing=official_note(official),
                progress=advance,
            )
        for line in official_row(evaluation, official):
            say(line)
        say(f"  All figures: {place / 'evaluation.html'}")
        tally = Tally(tally.done + len(evaluation.measured), tally.unusable + len(evaluation.failures))
    conclude(tally, assessor.model)


@app.command(epilog="Example:\n\nbonexage calibrate model.zip --data our-films --out ours.zip")
def calibrate(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model to calibrate.")],
    *,
    data: Data,
    out: BundleOut,
    split: Annotated[Split, typer.Option(help="The split to read.")] = Split.TRAINING,
    coverage: Coverage = 90,
    threads: Threads = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Make a site's own intervals from its labelled films, and say whether the model's own hold there."""
    from bonexage.evaluation.calibrate import calibrate as make
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    share = as_share(coverage)
    assessor = Assessor(load_bundle(model), threads=threads)
    learned = {folder.get("name") for folder in assessor.bundle.description.data.get("folders", ())}
    if known := sorted(learned & {folder.resolve().name for folder in data}):
        note(
            f"The model learned from a folder of the name {known[0]}: films it has seen make no calibration."
        )
    with counting() as advance:
        made = make(
            assessor,
            data,
            out,
            split=split.of_folder,
            coverage=share,
            skip_unreadable=skip_unreadable,
            progress=advance,
        )
    for sentence in made.sentences():
        say(sentence)
    if made.left_out:
        note(f"Not used: {made.left_out} films that were not assessed or are further films of a child.")
    note(f"Bundle: {out}, {made.bundle.model}. {DISCLAIMER}")
