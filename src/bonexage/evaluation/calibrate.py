"""A site's own calibration: a bundle's intervals from films of the place where it is to be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bonexage.assessment import Assessment
from bonexage.errors import UnusableData
from bonexage.evaluation.coverage import CoverageTest, Pairs, examine_coverage
from bonexage.evaluation.evaluate import measure
from bonexage.model.assessor import DEFAULT_COVERAGE, Assessor
from bonexage.model.bundle import Bundle, write_bundle
from bonexage.model.calibration import LEAST_FILMS, Calibration, fit_calibration
from bonexage.model.parts import NETWORK_PART
from bonexage.model.spread import HeldOut
from bonexage.reading.folder import Split, read_split
from bonexage.reports.text import calibrated
from bonexage.subject import Sex

_CARD_LINES: Final = ("- Intervals", "- It gives no intervals")


@dataclass(frozen=True)
class SiteCalibration:
    """A bundle calibrated anew, and how its own intervals did on the films.

    Attributes:
        bundle: the new one.
        own: the test of the old bundle's intervals on the films, or None where it had none.
        films: how many children's films the new intervals come from.
        left_out: how many films were not assessed, or are further ones of a child.
    """

    bundle: Bundle
    own: CoverageTest | None
    films: int
    left_out: int

    @property
    def departs(self) -> bool:
        """Whether the old intervals depart from their coverage here, by predicted age, significant at 1%."""
        return self.own is not None and any(cell.departs for cell in self.own.by_reading)

    def sentences(self) -> Iterator[str]:
        """What was found, for people."""
        if self.own is not None:
            yield from self.own.sentences()
            yield (
                "So the model's own intervals do not hold their share here: use the new ones."
                if self.departs
                else "So nothing shows that the model's own intervals do not hold their share here."
            )
        calibration = self.bundle.description.calibration
        yield f"New intervals: {calibrated(calibration)}."
        for sex in (Sex.FEMALE, Sex.MALE) if calibration else ():
            yield from _shortage(calibration, sex)


def calibrate(
    assessor: Assessor,
    folders: Sequence[Path],
    out: Path,
    *,
    split: Split = "training",
    coverage: float = DEFAULT_COVERAGE,
    skip_unreadable: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SiteCalibration:
    """Calibrate a bundle on labelled films that its network never saw, and test its own intervals on them.

    The network and the spread stay as they are; the scores are those of the films, the first of each child.

    Args:
        assessor: the model.
        folders: data folders in the RSNA layout.
        out: the new bundle, a folder or a `.zip`.
        split: of the folders.
        coverage: share at which the bundle's own intervals are tested.
        skip_unreadable: go on without films that are missing.
        progress: called with films done and films in all.

    Raises:
        UnusableData: fewer than 40 children are left, or films are missing and not to be skipped.
        WrongUse: labels cannot be read, the coverage is out of range, or `out` is there and is no bundle.
    """
    films = [
        film for folder in folders for film in read_split(folder, split, skip_unreadable=skip_unreadable)[0]
    ]
    measured = measure(assessor, films, coverage=coverage, progress=progress)
    first: dict[str, int] = {}
    for at, one in enumerate(measured):
        if isinstance(one.outcome, Assessment):
            first.setdefault(one.film.id, at)
    pairs: Pairs = [
        (one.film, one.outcome)
        for one in (measured[at] for at in first.values())
        if isinstance(one.outcome, Assessment)
    ]
    names = " + ".join(folder.resolve().name for folder in folders)
    if len(pairs) < LEAST_FILMS:
        raise UnusableData(
            f"only {len(pairs)} children have a film that was assessed",
            remedy=f"A calibration needs {LEAST_FILMS} or more, better some hundreds",
            subject=names,
        )
    bundle = assessor.bundle
    said = bundle.description
    calibration = fit_calibration(
        [_held_out(film.id, film.sex, film.bone_age_months, each) for film, each in pairs],
        spread=said.calibration.spread if said.calibration else None,
        heaping=said.calibration.heaping if said.calibration else None,
        rounding=said.calibration.rounding if said.calibration else None,
        network=said.sha256[NETWORK_PART],
        of=f"{names}, {split} split",
    )
    own = examine_coverage(pairs, coverage) if said.calibration else None
    made = write_bundle(
        out,
        replace(said, calibration=calibration),
        onnx=bundle.onnx,
        card=_card(bundle.card, calibration),
        locator=bundle.locator,
        hands=bundle.hands,
        plates=bundle.plates,
        weights=bundle.weights,
    )
    return SiteCalibration(made, own, len(pairs), len(measured) - len(pairs))


def _held_out(child: str, sex: Sex, label_months: float, said: Assessment) -> HeldOut:
    return HeldOut(child, sex, said.bone_age_months, label_months, said.readings[0].disagreement_months)


def _card(card: str, calibration: Calibration) -> str:
    """The card with what it says of intervals put right."""
    line = f"- Intervals: {calibrated(calibration)}."
    lines = [line if each.startswith(_CARD_LINES) else each for each in card.splitlines()]
    return "\n".join(lines if line in lines else [*lines, line]) + "\n"


def _shortage(calibration: Calibration | None, sex: Sex) -> Iterator[str]:
    """Where a sex has so few films that intervals of high coverage are the whole scale."""
    films = [len(cell.scores) for cell in calibration.cells if cell.sex is sex] if calibration else []
    if not films:
        yield f"There is no {sex.word}'s film: every {sex.word}'s interval is the whole scale."
    elif min(films) < LEAST_FILMS:
        yield (
            f"There are only {min(films)} {sex.word}s' films: an interval that is to hold more than "
            f"{min(films) / (min(films) + 1):.0%} is the whole scale."
        )
