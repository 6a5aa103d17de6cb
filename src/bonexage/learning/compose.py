"""Composes an atlas: for each sex and age, the median of training films of that age, in their mean shape."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonexage.atlas.plates import LEAST_FILMS, Plate, plate_pixels, write_table
from bonexage.disk import write_atomically
from bonexage.errors import UnreadableFile, UnusableData
from bonexage.learning.aspect import are_squeezed, restored, sizes_of
from bonexage.learning.registration import ROUNDS, bring_together, median_hand, on_dark_ground
from bonexage.learning.template import template_of
from bonexage.reading.files import read_radiograph
from bonexage.reading.folder import LabelledFilm, read_split
from bonexage.subject import Sex

AGES_MONTHS: Final = tuple(range(12, 229, 12))
PLATE_ROWS: Final = 512
MOST_FILMS: Final = 26
TRIED_FILMS: Final = 26
REACH_MONTHS: Final = 12.0
REACH_SHARE: Final = 0.25
"""Nor may a film lie further from a plate's age than this share of it: infants' bones change fastest."""

METHOD: Final = 3
"""Raised when the way of composing changes, so that plates are made again."""

RECORD: Final = "made.json"
ENLARGED_ROWS: Final = 320
LEAST_STEP_MONTHS: Final = 3.0


@dataclass(frozen=True)
class Source:
    """Films of one data folder.

    Attributes:
        films: its training films.
        long_side: of a film in pixels.
        squeezed: whether all films are squares of one size, so that their aspect ratio is lost.
    """

    films: tuple[LabelledFilm, ...]
    long_side: int
    squeezed: bool


@dataclass(frozen=True)
class Choice:
    """The films of one source that one plate is made from, nearest in bone age first."""

    films: tuple[LabelledFilm, ...]
    source: Source
    window_months: float


Choices: TypeAlias = dict[tuple[Sex, float], tuple[Choice, ...]]


def compose_atlas(
    data: Sequence[Path],
    out: Path,
    *,
    ages_months: Sequence[float] = AGES_MONTHS,
    workers: int = 2,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[Plate, ...]:
    """Compose the plates of both sexes from the training films of data folders, and write their table.

    A plate is the median of 20 to 26 films, those nearest to its age that can be brought onto one another,
    from the folder with the largest films that has as many within a year, and within a quarter of that age,
    either way; where none has, there is no plate. The plate whose films are closest in age comes first, of
    either sex; each other one starts from its neighbour's hand. A plate that was composed from the same films
    is not made again, so a composition that was stopped goes on where it was. No test film is read.

    Args:
        data: folders in the layout of the RSNA challenge.
        out: folder for the plates (`F-120.png` ...), `plates.csv` and `made.json`, which tells what each was
            made from.
        ages_months: the ages at which there should be plates.
        workers: 2 composes the sexes beside one another.
        progress: told how each plate went.

    Raises:
        UnusableData: a folder has no training films, or there is no plate at all.
    """
    sources = tuple(sorted((_source(folder) for folder in data), key=lambda source: -source.long_side))
    record = _Record(out / RECORD, progress)
    with ExitStack() as stack:
        pool = None
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        threads = stack.enter_context(ThreadPoolExecutor(max(1, workers)))
        choices = {
            (sex, age): found
            for sex in (Sex.FEMALE, Sex.MALE)
            for age in sorted(ages_months)
            if (found := tuple(_choices(sources, sex, age)))
        }
        first = _first(choices, out, record, pool)
        work = partial(_compose_sex, choices, first, out, record, pool)
        plates = _rising([plate for found in threads.map(work, (Sex.FEMALE, Sex.MALE)) for plate in found])
    if not plates:
        raise UnusableData(
            f"no age has {LEAST_FILMS} films of one sex within a year that can be brought onto one another",
            remedy="Give more training films",
            subject=", ".join(str(folder) for folder in data),
        )
    write_table(plates, out)
    return plates


class _Record:
    """What each plate was made from, on disk after each; told to whoever watches."""

    def __init__(self, path: Path, progress: Callable[[str], None]) -> None:
        self._path = path
        self._progress = progress
        self._lock = Lock()
        try:
            self._entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._entries = {}

    def plate(self, name: str, key: str) -> tuple[bool, Plate | None]:
        """Whether that plate was tried from the same inputs, and the plate if it came about."""
        entry = self._entries.get(name, {})
        if entry.get("key") != key:
            return False, None
        if entry["plate"] is None:
            return True, None
        path = self._path.parent / f"{name}.png"
        plate = Plate(**{**entry["plate"], "sex": Sex(entry["plate"]["sex"]), "path": path})
        whole = plate.path.is_file() and hashlib.sha256(plate.path.read_bytes()).hexdigest() == plate.sha256
        return (True, plate) if whole else (False, None)

    def keep(self, name: str, key: str, plate: Plate | None, said: str) -> None:
        """Note how a plate came out."""
        values = asdict(plate) if plate else None
        if values:
            del values["path"]
        with self._lock:
            self._entries[name] = {"key": key, "said": said, "plate": values}
            text = json.dumps(dict(sorted(self._entries.items())), indent=1) + "\n"
            write_atomically(self._path, text.encode("utf-8"))
        self._progress(f"{name}: {said}")


def _first(
    choices: Choices, out: Path, record: _Record, pool: ProcessPoolExecutor | None
) -> dict[tuple[Sex, float], Plate]:
    """The plate from which all others start: made of the largest films, those closest to one age."""
    best = {key: (-found[0].source.long_side, found[0].window_months, key) for key, found in choices.items()}
    first = min(best, key=best.__getitem__, default=None)
    plate = first and _compose_once(*first, choices[first], None, out, record, pool)
    return {first: plate} if first and plate else {}


def _compose_sex(
    choices: Choices,
    first: dict[tuple[Sex, float], Plate],
    out: Path,
    record: _Record,
    pool: ProcessPoolExecutor | None,
    sex: Sex,
) -> list[Plate]:
    """The plates of one sex: from the age of the first plate to the oldest, then to the youngest."""
    plates = {age: plate for (each, age), plate in first.items() if each is sex}
    begun = max((age for _, age in first), default=0.0)
    able = [age for each, age in choices if each is sex and age not in plates]
    for age in [each for each in able if each >= begun] + [each for each in able[::-1] if each < begun]:
        known = plates or {age: plate for (_, age), plate in first.items()}
        start = known[min(known, key=lambda other: abs(other - age))].path if known else None
        plate = _compose_once(sex, age, choices[sex, age], start, out, record, pool)
        if plate:
            plates[age] = plate
    return list(plates.values())


def _compose_once(
    sex: Sex,
    age: float,
    choices: Sequence[Choice],
    start: Path | None,
    out: Path,
    record: _Record,
    pool: ProcessPoolExecutor | None,
) -> Plate | None:
    name, key = f"{sex}-{age:03.0f}", _key(choices, start)
    known, plate = record.plate(name, key)
    if known:
        return plate
    task = (age, sex, choices, start, out / f"{name}.png")
    plate, said = pool.submit(_compose_plate, *task).result() if pool else _compose_plate(*task)
    record.keep(name, key, plate, said)
    return plate


def _compose_plate(
    age: float, sex: Sex, choices: Sequence[Choice], start: Path | None, path: Path
) -> tuple[Plate | None, str]:
    """Compose one plate from the first choice that gives enough films, and say how it went."""
    begun = time.monotonic()
    template = None if start is None else template_of(plate_pixels(start))
    counts = []
    for choice in choices:
        films = [film for film in choice.films if _readable(film.path)]
        pixels = [_film_pixels(film, choice.source) for film in films]
        # A neighbour's hand is near the mean shape already.
        group = bring_together(pixels, template, most=MOST_FILMS, rounds=ROUNDS - (template is not None))
        left_out = len(choice.films) - len(group.fits)
        counts.append(f"{len(group.fits)} of {len(choice.films)} films of {choice.source.long_side} px")
        if len(group.fits) < LEAST_FILMS:
            continue
        hand = median_hand(pixels, group.fits, group.template, PLATE_ROWS)
        content = _png(on_dark_ground(hand, group.template))
        write_atomically(path, content)
        months = np.array([films[fit.film].bone_age_months for fit in group.fits])
        plate = Plate(
            sex=sex,
            mean_months=round(float(months.mean()), 1),
            sd_months=round(float(months.std()), 1),
            films=len(months),
            left_out=left_out,
            window_months=float(np.abs(months - age).max()),
            source_px=choice.source.long_side,
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        return plate, f"{', '.join(counts)}; {plate.mean_months} months; {time.monotonic() - begun:.0f} s"
    return None, f"no plate: {', '.join(counts) or 'no films'}; {time.monotonic() - begun:.0f} s"


def _source(folder: Path) -> Source:
    films, _ = read_split(folder, "training")
    sizes = sizes_of([film.path for film in films])
    return Source(films, max(max(size) for size in sizes), are_squeezed(sizes))


def _choices(sources: Sequence[Source], sex: Sex, age: float) -> Iterator[Choice]:
    """For each source with enough films within reach: those nearest in age, first from the largest films."""
    reach = min(REACH_MONTHS, REACH_SHARE * age)
    for source in sources:
        near = [film for film in source.films if film.sex is sex and abs(film.bone_age_months - age) <= reach]
        near.sort(key=lambda film: (abs(film.bone_age_months - age), film.id))
        if len(near) >= LEAST_FILMS:
            chosen = tuple(near[:TRIED_FILMS])
            yield Choice(chosen, source, abs(chosen[-1].bone_age_months - age))


def _rising(plates: Sequence[Plate]) -> tuple[Plate, ...]:
    """The plates without those that are hardly older than the one before; their files are removed."""
    kept: list[Plate] = []
    for plate in sorted(plates, key=lambda plate: (plate.sex, plate.mean_months)):
        same = kept and kept[-1].sex is plate.sex
        if same and plate.mean_months - kept[-1].mean_months < LEAST_STEP_MONTHS:
            plate.path.unlink(missing_ok=True)
        else:
            kept.append(plate)
    return tuple(kept)


def _key(choices: Sequence[Choice], start: Path | None) -> str:
    """A hash of all that a plate depends on: its films, the plate it starts from, and how it is made."""
    parts: list[object] = [METHOD, PLATE_ROWS, MOST_FILMS]
    for choice in choices:
        parts += [choice.source.squeezed]
        parts += [hashlib.sha256(film.path.read_bytes()).hexdigest() for film in choice.films]
    parts.append(hashlib.sha256(start.read_bytes()).hexdigest() if start else None)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _readable(path: Path) -> bool:
    try:
        read_radiograph(path)
    except UnreadableFile:
        return False
    return True


def _film_pixels(film: LabelledFilm, source: Source) -> NDArray[np.float32]:
    """A film; where it was squeezed to a square, stretched to the mean aspect and enlarged."""
    pixels = read_radiograph(film.path).pixels
    if not source.squeezed:
        return pixels
    return restored(pixels, max(pixels.shape[0], ENLARGED_ROWS))


def _png(pixels: NDArray[np.float32]) -> bytes:
    """A plate as an 8-bit grey PNG."""
    grey = np.rint(np.clip(pixels / max(float(np.quantile(pixels, 0.998)), 1e-6), 0, 1) * 255).astype(
        np.uint8
    )
    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG", optimize=True)
    return out.getvalue()
