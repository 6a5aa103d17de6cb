"""The challenge's own validation and test sets as RSNA distributes them, and the figures that papers give.

RSNA Pediatric Bone Age Challenge 2017 (Halabi SS, et al. Radiology 2019;290(2):498-503): 1,425 validation
radiographs, and 200 test radiographs whose labels come from six readers. The downloads are called
`Bone Age Validation Set` (`Validation Dataset.csv`, radiographs in `boneage-validation-dataset-1` and
`-2`) and `Bone Age Test Set` (`Bone age ground truth.xlsx`, radiographs in `Test Set Images`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

from PIL import Image

from bonexage.errors import UnusableData
from bonexage.evaluation.result import Evaluation
from bonexage.numbers import with_interval
from bonexage.reading.files import FILM_SUFFIXES
from bonexage.reading.folder import LabelledFilm, films_of_labels
from bonexage.reading.labels import read_labels
from bonexage.subject import Sex

OfficialName = Literal["validation", "test"]

RADIOGRAPHS: Final[dict[OfficialName, int]] = {"validation": 1425, "test": 200}
"""How many radiographs each set has."""

_LABELS: Final[dict[OfficialName, tuple[str, ...]]] = {
    "validation": ("validation dataset.csv", "boneage-validation-dataset.csv"),
    "test": ("bone age ground truth.csv",),
}
_SPREADSHEETS: Final = ("bone age ground truth.xlsx",)
_FOLDERS: Final[dict[OfficialName, tuple[str, ...]]] = {
    "validation": (
        "boneage-validation-dataset",
        "boneage-validation-dataset-1",
        "boneage-validation-dataset-2",
    ),
    "test": ("test set images",),
}


@dataclass(frozen=True)
class OfficialSet:
    """One of the challenge's sets, found on disk.

    Attributes:
        name: 'validation' or 'test'.
        films: its labelled radiographs, in the order of the labels.
        missing: a sentence for each label without a radiograph.
        pixels: median longer side of the radiographs, in pixels.
    """

    name: OfficialName
    films: tuple[LabelledFilm, ...]
    missing: tuple[str, ...]
    pixels: int

    @property
    def complete(self) -> bool:
        """Whether the set has exactly the radiographs that the challenge had."""
        return not self.missing and len(self.films) == RADIOGRAPHS[self.name]


@dataclass(frozen=True)
class PublishedResult:
    """A published mean absolute error on the challenge's test set of 200 radiographs.

    Attributes:
        who: what the field calls it.
        mae_months: as published.
        source: the paper.
    """

    who: str
    mae_months: float
    source: str


PUBLISHED: Final = (
    PublishedResult(
        "Deeplasia, an ensemble of three EfficientNets",
        3.87,
        "Rassmann S, et al. Pediatric Radiology 2024;54:82-95",
    ),
    PublishedResult(
        "The challenge's winner (16 Bit), Inception V3",
        4.27,
        "Halabi SS, et al. Radiology 2019;290(2):498-503",
    ),
    PublishedResult("ianpan, an open model", 4.16, "Hugging Face, ianpan/bone-age"),
)
"""Published results on the same 200 radiographs at full resolution."""


def find_official(folder: Path, *, skip_unreadable: bool = False) -> tuple[OfficialSet, ...]:
    """The official sets in a folder, however deep the downloads were unpacked in it; validation first.

    Args:
        folder: where the downloads were unpacked; the archives in them have to be unpacked too.
        skip_unreadable: go on without radiographs that are missing.

    Raises:
        UnusableData: there is no such set in it, the test set's labels are still a spreadsheet, or
            radiographs are missing.
        WrongUse: labels cannot be read.
    """
    if not folder.is_dir():
        raise UnusableData(
            "there is no such folder", remedy="Name the one the downloads are in", subject=str(folder)
        )
    tree = sorted(folder.rglob("*"))
    found = [_official_set(name, tree, folder, skip_unreadable) for name in RADIOGRAPHS]
    sets = tuple(each for each in found if each is not None)
    if not sets:
        spreadsheet = next((path for path in tree if path.name.lower() in _SPREADSHEETS), None)
        raise UnusableData(
            "there is no official validation or test set in it"
            + (f", but {spreadsheet.name} is a spreadsheet" if spreadsheet else ""),
            remedy=(
                f"Save it as 'Bone age ground truth.csv' beside {spreadsheet.name}"
                if spreadsheet
                else "Unpack RSNA's 'Bone Age Validation Set' or 'Bone Age Test Set', inner archives too"
            ),
            subject=str(folder),
        )
    return sets


def _official_set(
    name: OfficialName, tree: Sequence[Path], folder: Path, skip_unreadable: bool
) -> OfficialSet | None:
    """One set, or None where its labels or its radiographs are not there."""
    labels = next((path for path in tree if path.name.lower() in _LABELS[name]), None)
    folders = _FOLDERS[name]
    paths: dict[str, Path] = {}
    for path in tree:
        if path.suffix.lower() in FILM_SUFFIXES and _below(path, folder, folders):
            paths.setdefault(path.stem, path)
    if labels is None or not paths:
        return None
    films, missing = films_of_labels(
        read_labels(labels), paths, folder, labels.name, skip_unreadable=skip_unreadable
    )
    return OfficialSet(name, films, missing, _longer_side(films))


def _below(path: Path, folder: Path, names: tuple[str, ...]) -> bool:
    return any(parent.name.lower() in names for parent in path.relative_to(folder).parents)


def _longer_side(films: Sequence[LabelledFilm]) -> int:
    sides = []
    for film in films:
        try:
            with Image.open(film.path) as picture:
                sides.append(max(picture.size))
        except OSError:  # an unreadable radiograph is listed by the evaluation
            continue
    return round(median(sides)) if sides else 0


def official_row(evaluation: Evaluation, official: OfficialSet) -> tuple[str, ...]:
    """The row that papers give, as lines: error, root mean square, shares within 6 and 12 months, both sexes.

    The first line says on which radiographs of what size, and whether the set is complete.
    """
    overall = evaluation.overall
    whole = "complete" if official.complete else f"not the whole set of {RADIOGRAPHS[official.name]:,}"
    by_sex = {group.sex: group.agreement for group in evaluation.select(by_sex=True, by_age=False)}
    sexes = ", ".join(
        f"{who} {with_interval(by_sex[sex].mae_months.as_dict())}"
        for sex, who in ((Sex.FEMALE, "girls"), (Sex.MALE, "boys"))
        if sex in by_sex
    )
    return (
        f"RSNA's official {official.name} set, {overall.films:,} radiographs ({whole}), "
        f"{official.pixels:,} pixels on the longer side in the median:",
        f"  mean absolute error {with_interval(overall.mae_months.as_dict(), unit=' months')}",
        f"  root mean squared error {with_interval(overall.rmse_months.as_dict(), unit=' months')}",
        f"  within 6 months {overall.within_6_months.value:.1%}, "
        f"within 12 months {overall.within_12_months.value:.1%}",
        f"  mean absolute error by sex: {sexes} months",
    )


def official_note(official: OfficialSet) -> str:
    """What the page says of the set, a sentence or two."""
    if not official.complete:
        return (
            f"These are {len(official.films):,} of the {RADIOGRAPHS[official.name]:,} radiographs of the "
            f"challenge's official {official.name} set. Do not rank these figures against results on the "
            "whole set."
        )
    words = (
        f"These are the {RADIOGRAPHS[official.name]:,} radiographs of the challenge's official "
        f"{official.name} set, {official.pixels:,} pixels on the longer side in the median. Do not rank "
        "results on smaller copies against results at full resolution."
    )
    if official.name == "test":
        listed = "; ".join(f"{one.who}: {one.mae_months:.2f} months ({one.source})" for one in PUBLISHED)
        words += f" Published mean absolute errors on the same set at full resolution: {listed}."
    return words
