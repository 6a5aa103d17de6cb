"""The prediction command as first published: `python predict.py IMAGE_LIST M|F IMAGE_SIZE MODEL_PATH`."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))  # so that it also runs from a clone, not installed

from bonexage.assessment import DISCLAIMER, Assessment
from bonexage.errors import BonexageError, MissingExtra, WrongUse
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.reading.files import FILM_SUFFIXES, list_films
from bonexage.subject import Sex, Subject
from bonexage.terminal import printable_lines

USAGE = """usage: python predict.py <image_list> <M|F> <image_size> <model_path>
  <image_list>  a text file with the path of a film a line, or one film
  <M|F>         the sex of the children: M or F
  <image_size>  side of the square the films are squashed to, in pixels, such as 512
  <model_path>  a bundle (folder or zip), or a .pth checkpoint"""
CHECKPOINTS = {".pth", ".pt"}
LEAST_SIZE = 32


def main(arguments: Sequence[str]) -> int:
    """Print a line for each film; the exit code is 0, 2 for wrong use, 3 where a film could not be read."""
    match arguments:
        case [image_list, "M" | "F" as sex, size, model] if size.isdecimal() and int(size) >= LEAST_SIZE:
            try:
                return _predict(image_list, Sex(sex), int(size), Path(model))
            except BonexageError as error:
                _note(str(error))
                return error.exit_code
            except KeyboardInterrupt:
                _note("Stopped, as asked.")
                return 130
            except OSError as error:
                return _unwritten(error)
        case _:
            _note(USAGE)
            return 2


def _predict(image_list: str, sex: Sex, size: int, model: Path) -> int:
    if sys.stdout is None:
        raise WrongUse("the standard output is closed", remedy="Leave it open, or send it to /dev/null")
    assessor = Assessor(_load(model), size=(size, size))
    how = assessor.preprocessing
    if (how.height, how.width) != (size, size):
        _note(f"This model reads films at {how.height} x {how.width} pixels, not {size}.")
    film = Path(image_list).suffix.lower() in FILM_SUFFIXES
    films = [image_list] if film else list_films([f"@{image_list}"])
    unusable = 0
    for outcome in assess_many(assessor, films, lambda _: Subject(sex)):
        if isinstance(outcome, Assessment):
            sys.stdout.write(f"{outcome}\n")
            sys.stdout.flush()
        else:
            unusable += 1
            _note(str(outcome.error))
    _note(f"Model {assessor.model}. {DISCLAIMER}")
    return 3 if unusable else 0


def _unwritten(error: OSError) -> int:
    """The exit code where the standard output takes no more; what is left to be written there is dropped."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if error.errno == errno.EPIPE:  # the reader had enough
        return 1
    _note(f"The answers cannot be written: {error}.")
    return 2


def _load(model: Path) -> Bundle:
    """A bundle; a checkpoint is made one for the while, where PyTorch is installed."""
    if model.suffix.lower() not in CHECKPOINTS or not model.is_file():
        return load_bundle(model)
    try:
        from bonexage.learning.export import import_checkpoint
    except ModuleNotFoundError:
        raise MissingExtra("Reading a .pth checkpoint", "learn") from None
    _note(f"Importing {model}; to do this only once: bonexage import {model} --out BUNDLE")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "imported"
        import_checkpoint(model, out)
        return load_bundle(out)


def _note(text: str) -> None:
    sys.stderr.write(f"{printable_lines(text)}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
