"""The words and weights of what a check of a data folder finds, and the folder's state as a whole."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from bonexage.reading.folder import Split
from bonexage.reading.labels import Label
from bonexage.subject import Sex


@dataclass(frozen=True)
class Kind:
    """One kind of finding: its heading, whether it must be mended before training, and what to do."""

    heading: str
    must_mend: bool
    remedy: str


KINDS: Final[Mapping[str, Kind]] = {
    "labels-missing": Kind("No labels file", True, "Put the labels there, under the name that is given"),
    "films-missing": Kind("No folder of films", True, "Put the films there, each called after its id"),
    "folder-unreadable": Kind("A folder that cannot be read", True, "Ask for the right to read it"),
    "wrong-header": Kind("A labels file that cannot be read as one", True, "Mend the file as the line says"),
    "wrong-row": Kind("Rows with too many cells", True, "Write a point in numbers, quote cells with commas"),
    "id-missing": Kind("Rows without an id", True, "Write which film the row is about, or leave it out"),
    "age-missing": Kind("Labels without an age", True, "Complete the label or leave it out"),
    "age-out-of-range": Kind("Ages out of range", True, "Write months from 0 to 240, or leave the label out"),
    "sex-missing": Kind("Labels without a sex", True, "Complete the label or leave it out"),
    "sex-out-of-range": Kind("Sexes that are none", True, "Write True or False, M or F"),
    "duplicated-id": Kind("Ids that are labelled more than once", True, "Leave one row for each film"),
    "two-files": Kind("Ids with more than one file", True, "Leave one file for each id"),
    "label-without-film": Kind("Labels without a film", True, "Add the film or leave the label out"),
    "unreadable": Kind("Films that cannot be read", True, "Copy them again, or leave their labels out"),
    "leakage": Kind("Films in training and test", True, "Leave them out of training"),
    "exact-duplicate": Kind("The same file under several ids", True, "Leave one, and its right label"),
    "split-missing": Kind("No such split", False, "Nothing, if it is not wanted"),
    "film-without-label": Kind("Films without a label", False, "Label them; training leaves them out"),
    "near-duplicate": Kind("Films that are nearly the same", False, "Look whether they are one film"),
    "far-from-label": Kind("Read far off their labels", False, "Look whether the label is wrong"),
    "refused": Kind("Films that the model refuses", False, "Leave out what is no left hand and wrist"),
    "mirrored": Kind("Right hands, or mirrored films", False, "Look whether they are left hands"),
    "rotated": Kind("Hands that seem to lie turned", False, "Look at them, and turn them upright"),
    "inverted": Kind("Inverted films", False, "Nothing: they are turned round on reading"),
    "damaged-header": Kind("Headers that are damaged in part", False, "Copy them again if they look wrong"),
    "bits-lost": Kind("16-bit colour read as 8 bits", False, "Save them as grey 16-bit files"),
    "read-with-care": Kind("Other cautions of reading", False, "Look at them"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        code: one of `KINDS`.
        split: the split it is in; None where it lies across both.
        ids: the films it is about; empty where it is about a file or a row as a whole.
        sentence: what is found, without a full stop.
        drop: ids of training labels to leave out so that it is mended.
    """

    code: str
    split: Split | None
    ids: tuple[str, ...]
    sentence: str
    drop: tuple[str, ...] = ()

    @property
    def must_mend(self) -> bool:
        """Whether training or a measurement would stop at it or be wrong by it."""
        return KINDS[self.code].must_mend

    def as_dict(self) -> dict[str, Any]:
        """The finding for JSON."""
        return {
            "code": self.code,
            "severity": "error" if self.must_mend else "warning",
            "split": self.split,
            "ids": list(self.ids),
            "message": self.sentence,
        }


@dataclass(frozen=True)
class Ages:
    """How many labels there are of one sex, and their bone ages in months."""

    labels: int
    youngest_months: float
    median_months: float
    oldest_months: float


@dataclass(frozen=True)
class SplitState:
    """What there is in one split.

    Attributes:
        split: which.
        rows: rows of its labels file.
        labels: those that can be used, each id once.
        films: picture files.
        read: films that could be read.
        sizes: number of films by height and width in pixels.
        depths: number of films by kind of file and bits of a value, such as 'png, 8 bits'.
    """

    split: Split
    rows: int
    labels: tuple[Label, ...]
    films: int
    read: int
    sizes: Mapping[tuple[int, int], int]
    depths: Mapping[str, int]

    def ages(self, sex: Sex) -> Ages | None:
        """The labelled ages of one sex, or None where there are none."""
        months = [label.bone_age_months for label in self.labels if label.sex is sex]
        return Ages(len(months), min(months), statistics.median(months), max(months)) if months else None

    def as_dict(self) -> dict[str, Any]:
        """The split for JSON."""
        ages = {sex: self.ages(sex) for sex in (Sex.FEMALE, Sex.MALE)}
        return {
            "split": self.split,
            "rows": self.rows,
            "labels": len(self.labels),
            "films": self.films,
            "films_read": self.read,
            "ages": {sex.value: vars(of_sex) for sex, of_sex in ages.items() if of_sex},
            "sizes": [
                {"height": height, "width": width, "films": films}
                for (height, width), films in sorted(self.sizes.items(), key=lambda item: (-item[1], item[0]))
            ],
            "depths": dict(self.depths),
        }


@dataclass(frozen=True)
class DataState:
    """A data folder as a check found it.

    Attributes:
        folder: its name.
        made: the day of the check.
        model: name and hash of the model that read the films.
        splits: the splits that are there.
        findings: what was found.
    """

    folder: str
    made: date
    model: str
    splits: tuple[SplitState, ...]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many findings must be mended."""
        return sum(finding.must_mend for finding in self.findings)

    @property
    def by_kind(self) -> dict[str, tuple[Finding, ...]]:
        """The findings by their code, in the order of `KINDS`; kinds that were not found are left out."""
        found = {code: tuple(one for one in self.findings if one.code == code) for code in KINDS}
        return {code: findings for code, findings in found.items() if findings}

    def clean_training_labels(self) -> tuple[Label, ...]:
        """The training labels that can be used, without those that an error names."""
        dropped = {name for finding in self.findings if finding.must_mend for name in finding.drop}
        usable = [label for state in self.splits if state.split == "training" for label in state.labels]
        return tuple(label for label in usable if label.id not in dropped)

    def as_dict(self) -> dict[str, Any]:
        """The whole for JSON."""
        return {
            "schema": 1,
            "folder": self.folder,
            "made": self.made.isoformat(),
            "model": self.model,
            "errors": self.errors,
            "warnings": len(self.findings) - self.errors,
            "splits": [state.as_dict() for state in self.splits],
            "findings": [finding.as_dict() for finding in self.findings],
        }
