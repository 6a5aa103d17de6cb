"""The training command as first published: `python train.py` with the films under data/."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bonexage.errors import BonexageError, MissingExtra
from bonexage.terminal import printable_lines

HERE = Path(__file__).parent


def main() -> int:
    """Train, export and, where the test pair is there, evaluate once; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with the RSNA layout")
    parser.add_argument(
        "--recipe", type=Path, default=HERE / "recipes" / "published.toml", help="training recipe"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs") / "published", help="run folder; a run in it goes on"
    )
    parser.add_argument("--init", type=Path, help="weights to start from: safetensors or .pth")
    parser.add_argument(
        "--processes", type=int, default=0, help="how many processes train; 0: one a visible GPU, or one"
    )
    arguments = parser.parse_args()
    try:
        return run(arguments.recipe, arguments.data, arguments.out, arguments.init, arguments.processes)
    except BonexageError as problem:
        print(printable_lines(str(problem)), file=sys.stderr)
        return problem.exit_code


def run(recipe: Path, data: Path, out: Path, init: Path | None, processes: int) -> int:
    """Train as the recipe says into `out`; its bundle and evaluation go into the same folder."""
    try:
        from bonexage.learning.checkpoint import has_run
        from bonexage.learning.export import export_run
        from bonexage.learning.processes import leads
        from bonexage.learning.recipe import read_recipe
        from bonexage.learning.train import train
    except ModuleNotFoundError as missing:
        raise MissingExtra("Training", "learn") from missing
    from bonexage.evaluation.evaluate import evaluate_folders
    from bonexage.model.assessor import Assessor
    from bonexage.reading.folder import split_place

    train(read_recipe(recipe), [data], out, resume=has_run(out), init=init, processes=processes)
    if not leads():
        return 0
    bundle = export_run(out, out / "bundle")
    print(f"Bundle: {out / 'bundle'}, {bundle.model}")
    if all(split_place(data, "test")):
        found = evaluate_folders(Assessor(bundle), [data], out / "evaluation", split="test")
        print(
            f"Test MAE {found.overall.mae_months.value:.2f} months: {out / 'evaluation' / 'evaluation.html'}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
