"""The commands that make models and plates: train, export, import, compose-atlas."""

from __future__ import annotations

import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bonexage.cli.front import BundleOut, Data, SkipUnreadable, app
from bonexage.cli.outcomes import counting, note, say
from bonexage.errors import MissingExtra

if TYPE_CHECKING:
    from bonexage.model.bundle import Bundle


class Normalise(StrEnum):
    """Mean and standard deviation of a checkpoint's input: 0.5, or ImageNet's."""

    HALF = "half"
    IMAGENET = "imagenet"


@app.command(
    epilog="Examples:\n\nbonexage train recipes/quick.toml --data rsna --out runs/first\n\n"
    "bonexage train recipes/quick.toml --data rsna --out runs/first --resume\n\n"
    "bonexage train recipes/quick.toml --data rsna --out runs/folds --folds 5"
)
def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe, TOML.")],
    *,
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    init: Annotated[Path | None, typer.Option(help="Weights to start from: safetensors or .pth.")] = None,
    require_init: Annotated[
        bool, typer.Option("--require-init", help="Stop where training would start from random weights.")
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder for preprocessed films.")] = None,
    locator: Annotated[
        Path | None,
        typer.Option(
            help="The network that finds hands, for a recipe that reads them.",
            show_default="the carried model's",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    skip_unreadable: SkipUnreadable = False,
    processes: Annotated[
        int, typer.Option(min=0, help="How many processes train; 0: one a visible GPU, or this one alone.")
    ] = 0,
    keep_minutes: Annotated[
        float,
        typer.Option(min=0.0, help="Minutes between checkpoints within an epoch."),
    ] = 10.0,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Train a network for each of so many folds of the children; measure all out of fold.",
            show_default="one network",
        ),
    ] = None,
) -> None:
    """Train a network as a recipe says."""
    _need_learning("Training")
    from bonexage.learning.processes import leads
    from bonexage.learning.recipe import read_recipe

    asked: dict[str, Any] = {
        "resume": resume,
        "init": init,
        "require_init": require_init,
        "cache_folder": cache,
        "locator": locator,
        "skip_unreadable": skip_unreadable,
        "processes": processes,
        "keep_minutes": keep_minutes,
    }
    if folds is None:
        from bonexage.learning.train import train as run

        run(read_recipe(recipe), data, out, **asked)
    else:
        from bonexage.learning.folds import train_folds
        from bonexage.reports.text import footer

        found = train_folds(read_recipe(recipe), data, out, folds=folds, **asked)
        if leads():
            say(str(found))
            note(f"All figures: {out / 'evaluation.html'}. {footer(found.model)}")
    if leads():
        note(f"Run: {out}. Make a bundle of it with: bonexage export {out} --out BUNDLE")


@app.command(
    epilog="Example:\n\nbonexage train-locator --data rsna-299px --data rsna-640px "
    "--others not-a-hand/ --out locator.onnx"
)
def train_locator(
    *,
    data: Data,
    others: Annotated[Path, typer.Option(help="A folder of pictures that show no hand.")],
    out: Annotated[Path, typer.Option(help="The locator to write, ONNX.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps of training, with 64 pictures each.")] = 3000,
) -> None:
    """Train the network that finds the hand, from films of all ages."""
    _need_learning("Training")
    from bonexage.learning.locator import make_locator
    from bonexage.reading.files import list_films

    found = make_locator(
        data, [Path(name) for name in list_films([str(others)])], out, steps=steps, progress=note
    )
    say(
        f"Locator: {out}. Of {found.films} films that it did not learn from, it finds the hand in "
        f"{found.found:.1%}; its frame lies {found.median:.3f} frame heights off that of registration "
        f"(median), and at most 0.1 in {found.within:.1%}."
    )


@app.command(
    epilog="Examples:\n\nbonexage export runs/first --out first.zip\n\n"
    "bonexage export runs/seed-1 runs/seed-2 runs/seed-3 --out three.zip\n\n"
    "bonexage export runs/folds --out folds.zip"
)
def export(
    run: Annotated[
        list[Path],
        typer.Argument(
            help="A run folder that `bonexage train` made; several, or one with folds, make an ensemble."
        ),
    ],
    *,
    out: BundleOut,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="The run's data folders, if they are no longer where it found them."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Answer with the mean of the film and of its mirror image.")
    ] = False,
    views: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="Views of the hand that are read by default; figures and intervals are of so many.",
        ),
    ] = 1,
    with_weights: Annotated[
        bool, typer.Option("--with-weights", help="Put the weights in too, to start another training from.")
    ] = False,
) -> None:
    """Make a bundle of a run's best checkpoint, or an ensemble of several runs' in one."""
    _need_learning("Export")
    from bonexage.learning.export import export_run

    with counting() as advance:
        bundle = export_run(
            run,
            out,
            data=data or (),
            mirror=mirror,
            views=views,
            with_weights=with_weights,
            progress=advance,
        )
    _tell_bundle(bundle, out)


@app.command("import", epilog="Example:\n\nbonexage import bone_age.pth --out bone_age.zip")
def import_(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of the published network, .pth.")],
    *,
    out: BundleOut,
    normalise: Annotated[
        Normalise, typer.Option(help="How films were normalised when it was trained.")
    ] = Normalise.HALF,
) -> None:
    """Make a bundle of a published checkpoint."""
    _need_learning("Import")
    from bonexage.learning.export import import_checkpoint

    _tell_bundle(import_checkpoint(checkpoint, out, normalise=normalise.value), out)


@app.command(epilog="Example:\n\nbonexage compose-atlas --data rsna --out plates/")
def compose_atlas(
    *,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the plates and their table.")],
) -> None:
    """Compose an atlas: the median hand of many children for each sex and age."""
    _need_learning("Composing an atlas")
    from bonexage.learning.compose import compose_atlas as compose

    plates = compose(data, out, progress=note)
    note(f"{len(plates)} plates in {out}. Look at each of them before it is used.")


def _need_learning(feature: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra(feature, "learn")


def _tell_bundle(bundle: Bundle, out: Path) -> None:
    note(f"Bundle: {out}, {bundle.model}. Try it with: bonexage predict FILM --model {out}")
