"""The command line: one function a command."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from bonexage import __version__
from bonexage.cli.outcomes import Form, Tally, counting, note, to_stdout, to_table, told, use_up
from bonexage.errors import BonexageError, MissingExtra, WrongUse

if TYPE_CHECKING:
    from bonexage.model.bundle import Bundle
    from bonexage.subject import Subject

WRONG_USE: Final = 2
SOME_UNUSABLE: Final = 3
INTERRUPTED: Final = 130


class _Front(TyperGroup):
    """Turns what a command raises into one line and an exit code; `--debug` may stand anywhere."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = args[: args.index("--")] if "--" in args else args
        if "--debug" in rest:
            args = ["--debug", *(each for each in args if each != "--debug")]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (BonexageError, OSError, KeyboardInterrupt) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:  # the reader had enough
                raise
            if ctx.params.get("debug"):
                note("".join(traceback.format_exception(error)))
            said, code = _sentence(error)
            note(said)
            raise typer.Exit(code) from None


def _sentence(error: BaseException) -> tuple[str, int]:
    """What a person is told of an error, and the exit code."""
    if isinstance(error, BonexageError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "Stopped, as asked.", INTERRUPTED
    return f"{error}. Check the path, its permissions and the disk.", WRONG_USE


app = typer.Typer(
    cls=_Front,
    name="bonexage",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be text
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bonexage {__version__}")
        raise typer.Exit


@app.callback()
def bonexage(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where in the code an error arose.")] = False,
) -> None:
    """Bone age from a radiograph of the left hand. For research, not for diagnosis."""


# Options that several commands take, each written once.
Model = Annotated[
    Path | None, typer.Option(help="The model: a bundle, folder or zip.", show_default="the carried one")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads of the network.", show_default="all there are")
]
Coverage = Annotated[
    float,
    typer.Option(help="Share of children the intervals are to hold: 80, 90, 95 or any other percentage."),
]
Data = Annotated[
    list[Path], typer.Option(help="A data folder in the RSNA layout; may be given several times.")
]
BundleOut = Annotated[Path, typer.Option(help="The bundle to write: a folder, or a zip if it ends in .zip.")]
SkipUnreadable = Annotated[bool, typer.Option(help="Go on without films that are missing or unreadable.")]


class Split(StrEnum):
    """The parts of a data folder."""

    TEST = "test"
    TRAINING = "training"


class Normalise(StrEnum):
    """Mean and standard deviation of a checkpoint's input: 0.5, or ImageNet's."""

    HALF = "half"
    IMAGENET = "imagenet"


@app.command(
    epilog="Examples:\n\n"
    "bonexage predict hand.png --sex F --age-months 126\n\n"
    "bonexage predict films/ --subjects subjects.csv --out readings.csv\n\n"
    "bonexage predict 'films/**/*.png' --sex M --report page/\n\n"
    "find films -name '*.png' | bonexage predict - --format jsonl"
)
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Films, folders, patterns, a list file (@names or .txt), or - for stdin."
        ),
    ],
    *,
    subjects: Annotated[
        Path | None, typer.Option(help="CSV with `file` or `id`, `sex` or `male`, perhaps `age_months`.")
    ] = None,
    sex: Annotated[
        str, typer.Option(metavar="F|M|U", help="Sex where --subjects gives none; U: unknown.")
    ] = "U",
    age_months: Annotated[
        float | None, typer.Option(help="Chronological age where --subjects gives none.")
    ] = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option(help="Table to write: .csv, .json, .jsonl or .parquet.")] = None,
    form: Annotated[
        Form, typer.Option("--format", help="Form of the standard output, without --out.")
    ] = Form.TEXT,
    report: Annotated[Path | None, typer.Option(help="Folder for a page of the films and readings.")] = None,
    coverage: Coverage = 90,
    threads: Threads = None,
    page: Annotated[int | None, typer.Option(min=1, help="Page of files with several pages.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted --out.")] = False,
) -> None:
    """Estimate the bone age of films."""
    from bonexage.model.assessor import Assessor, assess_many
    from bonexage.model.bundle import load_bundle
    from bonexage.reading.files import list_films
    from bonexage.subject import Sex, Subject

    if resume and (out is None or report is not None):
        raise WrongUse(
            "--resume goes on with a table", remedy="Give --out, and make a --report without --resume"
        )
    share = _share(coverage)
    subject_for = _subject_lookup(subjects, Subject(Sex.parse(sex), age_months))
    assessor = Assessor(load_bundle(model), threads=threads)
    settings = {
        "model": assessor.model,
        "coverage": share,
        "subjects": _hash(subjects),
        "sex": Sex.parse(sex).value,
        "age_months": age_months,
        "page": page,
    }
    tally = Tally()
    films = list_films(paths)
    with to_table(out, settings, tally, resume) if out else to_stdout(form, tally) as sink:
        outcomes = assess_many(assessor, sink.remaining(films), subject_for, coverage=share, page=page)
        use_up(told(outcomes, sink.add, tally), report, assessor.model, page)
    if not tally.done:
        raise WrongUse(
            "there is no film", remedy="Name films, or a folder with some", subject=" ".join(paths)
        )
    _conclude(tally, assessor.model)


@app.command(epilog="Examples:\n\nbonexage demo\n\nbonexage demo films/")
def demo(
    films: Annotated[
        list[str] | None, typer.Argument(metavar="[PATH]...", help="Films to read in place of the plates.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the page and the picture.")] = Path("demo"),
    model: Model = None,
) -> None:
    """Show what it does: read the plates of the carried atlas, or films of one's own."""
    from bonexage.cli.demo import show_plates

    if films:
        predict(films, model=model, report=out)
        return
    show_plates(model, out)


@app.command(epilog="Examples:\n\nbonexage info\n\nbonexage info model.zip --json")
def info(
    model: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A bundle; the carried one if none is named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the bundle's whole description.")] = False,
) -> None:
    """Tell what a model is: name, hash, input, data, figures."""
    from bonexage.model.bundle import describe, load_bundle
    from bonexage.reports.text import model_facts

    bundle = load_bundle(model)
    typer.echo(describe(bundle) if as_json else model_facts(bundle))


@app.command(epilog="Example:\n\nbonexage evaluate model.zip --data rsna --split test --out evaluation/")
def evaluate(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model to measure.")],
    *,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the figures and the page.")],
    split: Annotated[Split, typer.Option(help="The split to read.")] = Split.TEST,
    coverage: Coverage = 90,
    threads: Threads = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Measure a model on labelled films: figures with intervals, pictures, a page."""
    from bonexage.evaluation.evaluate import evaluate_folders
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle

    share = _share(coverage)
    assessor = Assessor(load_bundle(model), threads=threads)
    with counting() as advance:
        found = evaluate_folders(
            assessor,
            data,
            out,
            split="test" if split is Split.TEST else "training",
            coverage=share,
            skip_unreadable=skip_unreadable,
            progress=advance,
        )
    error = found.overall.mae_months
    typer.echo(
        f"Mean absolute error {error.value:.2f} months (95% interval {error.low:.2f} to {error.high:.2f}), "
        f"{found.overall.films} films. All figures: {out / 'evaluation.html'}"
    )
    _conclude(Tally(len(found.measured), len(found.failures)), assessor.model)


@app.command(
    epilog="Examples:\n\nbonexage train recipes/quick.toml --data rsna --out runs/first\n\n"
    "bonexage train recipes/quick.toml --data rsna --out runs/first --resume"
)
def train(
    recipe: Annotated[Path, typer.Argument(help="A training recipe, TOML.")],
    *,
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder to make.")],
    init: Annotated[Path | None, typer.Option(help="Weights to start from: safetensors or .pth.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for preprocessed films.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Train a network as a recipe says."""
    _need_learning("Training")
    from bonexage.learning.recipe import read_recipe
    from bonexage.learning.train import train as run

    made = run(
        read_recipe(recipe),
        data,
        out,
        resume=resume,
        init=init,
        cache_folder=cache,
        skip_unreadable=skip_unreadable,
    )
    note(f"Run: {made}. Make a bundle of it with: bonexage export {made} --out BUNDLE")


@app.command(epilog="Example:\n\nbonexage export runs/first --out first.zip")
def export(
    run: Annotated[Path, typer.Argument(help="A run folder that `bonexage train` made.")],
    *,
    out: BundleOut,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="The run's data folders, if they are no longer where it found them."),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Answer with the mean of the film and of its mirror image.")
    ] = False,
    with_weights: Annotated[
        bool, typer.Option("--with-weights", help="Put the weights in too, to start another training from.")
    ] = False,
) -> None:
    """Make a bundle of a run's best checkpoint."""
    _need_learning("Export")
    from bonexage.learning.export import export_run

    with counting() as advance:
        bundle = export_run(
            run, out, data=data or (), mirror=mirror, with_weights=with_weights, progress=advance
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


def _conclude(tally: Tally, model: str) -> None:
    from bonexage.reports.text import footer

    if tally.unusable:
        note(f"{tally.unusable} of {tally.done} films could not be assessed.")
    note(footer(model))
    if tally.unusable:
        raise typer.Exit(SOME_UNUSABLE)


def _share(coverage: float) -> float:
    """A percentage as a share; what is below 1 is taken as a share already."""
    if 0 < coverage < 1:
        return coverage
    if not 1 < coverage < 100:
        raise WrongUse(f"an interval cannot cover {coverage:g}%", remedy="Give --coverage 80, 90 or 95")
    return coverage / 100


def _subject_lookup(table: Path | None, otherwise: Subject) -> Callable[[str], Subject]:
    """Who a film shows, by its path as given, its file name or its name without the suffix."""
    from bonexage.reading.labels import read_subjects

    given = read_subjects(table) if table else {}
    known = {PurePath(name).as_posix(): subject for name, subject in given.items()}

    def look_up(film: str) -> Subject:
        path = PurePath(film)
        names = (path.as_posix(), path.name, path.stem)
        return next((known[name] for name in names if name in known), otherwise)

    return look_up


def _hash(table: Path | None) -> str | None:
    return None if table is None else hashlib.sha256(table.read_bytes()).hexdigest()
