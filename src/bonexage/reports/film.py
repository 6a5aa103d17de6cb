"""What the report of one film says and shows, the same in every form of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Assessment, months_in_words, years_and_months
from bonexage.atlas.plates import Plate, surrounding_plates
from bonexage.clinic.growth import describe
from bonexage.clinic.sentence import nearest_sentence
from bonexage.clinic.series import visit
from bonexage.numbers import interval_name, score, span
from bonexage.reports.growth_chart import growth_chart, in_words
from bonexage.reports.heat import map_picture, strongest_in_words
from bonexage.reports.item import Grey, Picture, thumbnail
from bonexage.reports.text import model_errors
from bonexage.subject import Sex

TITLE: Final = "Bone age report"
FILM_PX: Final = 900
CHART_INCHES: Final = (4.3, 3.7)
NO_CAUTIONS: Final = "None."
MAP_CAPTION: Final = (
    "To first order. Blue, dashed line: towards a younger hand; red, solid line: towards an older one."
)
PLATES_NOTE: Final = (
    "Composite plates next to this bone age; each is the median of that many films and shows no child."
)


@dataclass(frozen=True)
class Drawn:
    """A picture made for a report, as PNG, with what it shows in words and its caption."""

    png: bytes
    alt: str
    caption: str


@dataclass(frozen=True, eq=False)
class FilmReport:
    """One film's report.

    Attributes:
        said: the assessment.
        film: the film, uint8 `[height, width]`, bone bright; None where there is no picture of it.
        plates: composite plates to compare it with, by sex and age; last the one that the film looks most
            like to the network, where that is none of these and disagrees with the answer.
        model_errors: how far the model errs, a sentence each.
        made: the day; None where the report is to be the same on every day.
        explanation: what in the film moved the answer; None where the model cannot tell.
    """

    said: Assessment
    film: Grey | None
    plates: tuple[Plate, ...]
    model_errors: tuple[str, ...]
    made: date | None
    explanation: Drawn | None = None


def film_report(
    said: Assessment,
    film: Picture | None,
    plates: Iterable[Plate],
    figures: Mapping[str, Any],
    *,
    made: date | None,
    months: NDArray[np.float32] | None = None,
) -> FilmReport:
    """Put a report together.

    Args:
        said: the assessment.
        film: as a `ReportItem` holds it.
        plates: the atlas, of which the nearest are taken: for each reading those of its sex.
        figures: as the model's bundle describes them.
        made: as the report holds it.
        months: what each place of the film moved the answer by, as a `ReportItem` holds it.
    """
    atlas = tuple(plates)
    asked = [(Sex(one.sex), one.bone_age_months) for one in said.readings]
    shown = tuple(
        plate
        for sex, months in asked or [(said.subject.sex, said.bone_age_months)]
        for plate in surrounding_plates(sex, months, atlas)
    )
    nearest = said.nearest.sha256 if said.nearest else None
    shown += tuple(plate for plate in atlas if plate.sha256 == nearest and plate not in shown)
    picture = None if film is None else thumbnail(film, FILM_PX)
    return FilmReport(said, picture, shown, tuple(model_errors(figures)), made, _explanation(film, months))


def _explanation(film: Picture | None, months: NDArray[np.float32] | None) -> Drawn | None:
    if film is None or months is None:
        return None
    return Drawn(map_picture(film, months), strongest_in_words(months), MAP_CAPTION)


def facts(report: FilmReport) -> list[tuple[str, str]]:
    """What is known and found, each with its name."""
    said = report.said
    found = [("Bone age", said.age_in_words)]
    if said.interval:
        found.append((interval_name(said.interval), f"{span(said.interval)} months"))
    found.append(
        ("Sex", "not known, read as both" if said.subject.sex is Sex.UNKNOWN else said.subject.sex.word)
    )
    if len(said.readings) > 1:
        found += [
            (f"Read as a {Sex(one.sex).word}'s", months_in_words(one.bone_age_months))
            for one in said.readings
        ]
    age = said.subject.age_months
    found.append(("Chronological age", "not known" if age is None else months_in_words(age)))
    if said.sds:
        found += [("SDS", f"{score(said.sds)}, {describe(said.sds)}"), ("Reference", said.sds.norm)]
    elif age is not None:
        found.append(("SDS", "no reference"))
    return found


def model_facts(report: FilmReport) -> list[tuple[str, str]]:
    """Which model said it, and how far it errs."""
    name, _, digest = report.said.model.partition("@")
    errors = "; ".join(report.model_errors) or "not measured"
    return [("Model", name), ("Hash", digest), ("Mean absolute error", errors)]


def made_in_words(report: FilmReport) -> str:
    """When and with what the report was made."""
    day = f" on {report.made.isoformat()}" if report.made else ""
    return f"Made{day} with bonexage {__version__}. {DISCLAIMER}"


def chart(report: FilmReport) -> Drawn | None:
    """The bone age against the chronological age; None without one."""
    point = visit(report.said)
    if point is None:
        return None
    sex = report.said.subject.sex
    band = " Grey: 2 SD either way of the reference." if report.said.sds else ""
    caption = f"Bone age against chronological age.{band}"
    return Drawn(growth_chart([point], sex, size=CHART_INCHES), in_words([point], sex), caption)


def film_alt(report: FilmReport) -> str:
    """The film in words."""
    return f"The radiograph, {report.said.file}"


def plates_note(report: FilmReport) -> str:
    """What the plates are, and which one the film looks most like to the network where that disagrees."""
    return f"{PLATES_NOTE} {nearest_sentence(report.said)}".rstrip()


def plate_caption(plate: Plate) -> str:
    """What a plate is: whose, of which age, from how many films."""
    films = f"{plate.films} films of {plate.source_px} px"
    return f"{plate.sex.word.capitalize()}, {years_and_months(plate.mean_months)}, {films}"
