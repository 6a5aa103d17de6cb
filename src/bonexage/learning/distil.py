"""A teacher's readings of the training films are mixed into their labels, if it never saw those held out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bonexage.disk import write_atomically
from bonexage.errors import WrongUse
from bonexage.learning.cache import build_cache
from bonexage.learning.dataset import Part, TrainingFilm
from bonexage.learning.dealt import parts_of
from bonexage.learning.recipe import Distil
from bonexage.model.bundle import Bundle, load_bundle
from bonexage.model.preprocess import normalise
from bonexage.model.runtime import Runtime
from bonexage.subject import Sex

READINGS = "teacher.csv"
COLUMNS = ("teacher", "sha256", "sex", "bone_age_months")
AT_ONCE = 16
KEEP_EVERY = 16

Readings = dict[tuple[str, Sex], float]
# A part here, and where a teacher may have had its children.
HELD_OUT_THERE = {
    Part.VALIDATION: {Part.VALIDATION, Part.CALIBRATION},
    Part.CALIBRATION: {Part.CALIBRATION},
}


@dataclass(frozen=True)
class Lesson:
    """What a teacher is asked about.

    Attributes:
        films: all films of the run, in its parts.
        hashes: content hash of each film that can be read, by its path.
        out: the run folder, which keeps the readings.
        cache_folder: where placed films are kept.
    """

    films: Sequence[TrainingFilm]
    hashes: Mapping[Path, str]
    out: Path
    cache_folder: Path


def taught(
    how: Distil,
    lesson: Lesson,
    say: Callable[[str], None],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[TrainingFilm, ...]:
    """The films that can be read; the labels of those to learn from moved towards the teacher's readings.

    Readings are kept in the run folder as they are made, and a run that goes on makes none twice.

    Raises:
        BundleError: the teacher is no bundle, or cannot read a film of the size it names.
        WrongUse: it was taught or chosen by children that are held out here, or that cannot be told; or the
            run had another teacher before.
    """
    teacher = load_bundle(how.teacher)
    check_teacher(teacher, lesson.films, lesson.hashes)
    usable = [film for film in lesson.films if film.film.path in lesson.hashes]
    training = [film for film in usable if film.part is Part.TRAINING]
    readings = _read_all(teacher, training, lesson, progress)

    def reading(film: TrainingFilm) -> float:
        return readings[lesson.hashes[film.film.path], film.film.sex]

    away = np.mean([abs(reading(film) - film.film.bone_age_months) for film in training])
    say(
        f"Taught by {teacher.model}, with a share of {how.weight:g}: its readings of {len(training)} "
        f"training films lie {away:.2f} months from their labels"
    )
    return tuple(
        _mixed(film, reading(film), how.weight) if film.part is Part.TRAINING else film for film in usable
    )


def check_teacher(teacher: Bundle, films: Sequence[TrainingFilm], hashes: Mapping[Path, str]) -> None:
    """Refuse a teacher that knows what a run holds out, or of which that cannot be told.

    Every child held out for validation here must have been held out by it, and every child for calibration
    here for calibration.

    Raises:
        WrongUse: it is refused.
    """
    part_of = parts_of(teacher, films, hashes)
    if part_of is None:
        raise WrongUse(
            "it cannot be told which of these children the teacher learned from",
            remedy="Take one that was trained on the same films as they are now, and not in folds",
            subject=teacher.model,
        )
    known = {
        film.film.id
        for film in films
        if film.part is not Part.TRAINING and part_of.get(film.film.id) not in HELD_OUT_THERE[film.part]
    }
    if known:
        raise WrongUse(
            f"the teacher did not hold out {len(known)} of the children that this recipe holds out",
            remedy="Take one that was trained with the same [parts] on the same data folders",
            subject=teacher.model,
        )


def _read_all(
    teacher: Bundle, films: Sequence[TrainingFilm], lesson: Lesson, progress: Callable[[int, int], None]
) -> Readings:
    """What the teacher says of each film in months, by its content and sex."""
    done = _kept(lesson.out / READINGS, teacher)
    waiting = {(lesson.hashes[film.film.path], film.film.sex): film.film.path for film in films}
    waiting = {key: path for key, path in waiting.items() if key not in done}
    if not waiting:
        return done
    how = teacher.description.preprocessing
    cache = build_cache(
        list(waiting.values()), how, lesson.cache_folder, locator=teacher.locator, progress=progress
    )
    runtime = Runtime(teacher.onnx)
    keys = list(waiting)
    for number, start in enumerate(range(0, len(keys), AT_ONCE), start=1):
        some = keys[start : start + AT_ONCE]
        placed = cache.pixels[[cache.row_of[waiting[key]] for key in some]]
        male = np.array([[sex is Sex.MALE] for _, sex in some], dtype=np.float32)
        months = runtime.run(normalise(placed, how), male).months
        done |= dict(zip(some, months.tolist(), strict=True))
        if number % KEEP_EVERY == 0 or start + AT_ONCE >= len(keys):
            _keep(done, teacher, lesson.out / READINGS)
        progress(start + len(some), len(keys))
    return done


def _keep(readings: Readings, teacher: Bundle, path: Path) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows((teacher.model, digest, sex.value, months) for (digest, sex), months in readings.items())
    write_atomically(path, text.getvalue().encode())


def _kept(path: Path, teacher: Bundle) -> Readings:
    """The readings that a run has kept; raises WrongUse where they are another teacher's, or damaged."""
    if not path.exists():
        return {}
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
        found = {(row["sha256"], Sex(row["sex"])): float(row["bone_age_months"]) for row in rows}
        teachers = {row["teacher"] for row in rows}
    except (ValueError, KeyError, TypeError) as problem:
        raise WrongUse(
            "the teacher's readings are damaged",
            remedy="Remove the file: they are then made anew",
            subject=str(path),
        ) from problem
    if teachers - {teacher.model}:
        raise WrongUse(
            f"the run's teacher was {min(teachers)} and is {teacher.model}",
            remedy="Put it back to go on, or start anew in another folder",
            subject=str(path),
        )
    return found


def _mixed(film: TrainingFilm, reading: float, share: float) -> TrainingFilm:
    months = (1 - share) * film.film.bone_age_months + share * reading
    return replace(film, film=replace(film.film, bone_age_months=months))
