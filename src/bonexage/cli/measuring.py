"""The commands that measure models on labelled films: evaluate, calibrate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

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
from bonexage.cli.outcomes import Tally, counting, note
from bonexage.errors import WrongUse


class Split(StrEnum):
    """The parts of a data folder."""

    TEST = "test"
    TRAINING = "training"

    @property
    def of_folder(self) -> Literal["test", "training"]:
        """As `bonexage.reading.folder` names it."""
        return "test" if self is Split.TEST else "training"


@app.command(epilog="Example:\n\nbonexage evaluate model.zip --data rsna --split test --out evaluation/")
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model to measure.")],
    *,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the page.")],
    split: Annotated[Split, typer.Option(help="The split to read.")] = Split.TEST,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Labels (id, boneage, male) of the films in --data, where that is not in the RSNA layout."
        ),
    ] = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    views: Views = 1,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Measure a model on labelled films: figures with intervals, pictures, a page."""
    from bonexage.evaluation.evaluate import evaluate_folders
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle
    from bonexage.numbers import two_decimals, with_interval

    share = as_share(coverage)
    if labels and len(data) > 1:
        raise WrongUse("--labels names films of one folder", remedy="Give --data once with it")
    assessor = Assessor(load_bundle(model), threads=threads, views=views)
    with counting() as advance:
        found = evaluate_folders(
            assessor,
            data,
            out,
            split=split.of_folder,
            labels=labels,
            coverage=share,
            skip_unreadable=skip_unreadable,
            progress=advance,
        )
    error = with_interval(found.overall.mae_months.as_dict(), two_decimals, unit=" months")
    typer.echo(
        f"Mean absolute error {error}, {found.overall.films} films. All figures: {out / 'evaluation.html'}"
    )
    for sentence in found.intervals.sentences() if found.intervals else ():
        typer.echo(sentence)
    conclude(Tally(len(found.measured), len(found.failures)), assessor.model)


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
        typer.echo(sentence)
    if made.left_out:
        note(f"Not used: {made.left_out} films that were not assessed or are further films of a child.")
    note(f"Bundle: {out}, {made.bundle.model}. {DISCLAIMER}")
