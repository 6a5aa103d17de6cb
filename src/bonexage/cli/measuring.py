"""The commands that measure models on labelled films: evaluate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bonexage.cli.front import Coverage, Data, SkipUnreadable, Threads, app, as_share, conclude
from bonexage.cli.outcomes import Tally, counting
from bonexage.errors import WrongUse


class Split(StrEnum):
    """The parts of a data folder."""

    TEST = "test"
    TRAINING = "training"


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
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Measure a model on labelled films: figures with intervals, pictures, a page."""
    from bonexage.evaluation.evaluate import evaluate_folders
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle
    from bonexage.reports.numbers import two_decimals, with_interval

    share = as_share(coverage)
    if labels and len(data) > 1:
        raise WrongUse("--labels names films of one folder", remedy="Give --data once with it")
    assessor = Assessor(load_bundle(model), threads=threads)
    with counting() as advance:
        found = evaluate_folders(
            assessor,
            data,
            out,
            split="test" if split is Split.TEST else "training",
            labels=labels,
            coverage=share,
            skip_unreadable=skip_unreadable,
            progress=advance,
        )
    error = with_interval(found.overall.mae_months.as_dict(), two_decimals, unit=" months")
    typer.echo(
        f"Mean absolute error {error}, {found.overall.films} films. All figures: {out / 'evaluation.html'}"
    )
    conclude(Tally(len(found.measured), len(found.failures)), assessor.model)
