"""Results made in the test: an assessment, a refusal, and the film that they are about."""

from __future__ import annotations

from typing import Any

from bonexage.assessment import Assessment, Caution, Failure, Interval
from bonexage.clinic.growth import score
from bonexage.errors import RefusedRadiograph
from bonexage.reading.identity import FilmIdentity
from bonexage.reports.result import FilmResult
from bonexage.subject import Sex, Subject
from dicoms import DX, ROOT

MODEL = "small@0123456789ab"


def identity(**changes: str) -> FilmIdentity:
    """A film's identity; keywords replace its fields."""
    given = {
        "study_uid": f"{ROOT}.1",
        "series_uid": f"{ROOT}.2",
        "sop_uid": f"{ROOT}.3.1",
        "sop_class": DX,
        "patient_name": "Drawn^Händ",
        "patient_id": "P-17",
        "patient_birth_date": "20150101",
        "patient_sex": "F",
        "study_date": "20260115",
        "study_time": "101112",
        "study_id": "S1",
        "accession_number": "A1",
        "referring_physician": "Ref^Doctor",
        "study_description": "Hand left",
        "image_laterality": "L",
    }
    return FilmIdentity(**{**given, **changes})


def assessed(**changes: Any) -> FilmResult:
    """An assessment with all there can be; keywords replace what it is made of."""
    sex, age = changes.pop("sex", Sex.FEMALE), changes.pop("age_months", 132.5)
    months, interval = changes.pop("months", 126.54), changes.pop("interval", Interval(110.23, 140.71, 0.9))
    subject = Subject(sex, age)
    outcome = Assessment(
        file="film.dcm",
        subject=subject,
        bone_age_months=months,
        interval=interval,
        model=changes.pop("model", MODEL),
        cautions=(Caution("drawn", "It was drawn by hand."),),
        sds=score(months, subject, interval),
    )
    return FilmResult(outcome, changes.pop("film", identity()), **changes)


def refused(**changes: Any) -> FilmResult:
    """A refusal of the same film."""
    error = RefusedRadiograph(
        "no single hand and wrist was found in it", remedy="Give a whole hand", subject="film.dcm"
    )
    outcome = Failure("film.dcm", Subject(Sex.FEMALE, 132.5), error, MODEL)
    return FilmResult(outcome, changes.pop("film", identity()), **changes)
