"""What DICOM and FHIR results are made of: an outcome, the film it is about, identifiers that stay."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Final

from bonexage import __version__
from bonexage.assessment import Assessment, Failure
from bonexage.reading.identity import FilmIdentity

MAKER: Final = "bonexage"
METHOD: Final = "Automatic reading by a neural network"
# Where a header tells no date and where none may be told: what is required must not change from run to run.
NO_DATE: Final = "19000101"
NO_TIME: Final = "000000"


@dataclass(frozen=True)
class FilmResult:
    """One film's outcome on its way to the archive and the record.

    Attributes:
        outcome: the assessment, or why there is none.
        film: the film as the result is to name it.
        deidentified: whether `film` is without the patient's identity.
        page: the page of the film that was read; None for its only one.
    """

    outcome: Assessment | Failure
    film: FilmIdentity
    deidentified: bool = False
    page: int | None = None

    @property
    def assessment(self) -> Assessment | None:
        """The assessment, or None."""
        return self.outcome if isinstance(self.outcome, Assessment) else None

    @property
    def model_name(self) -> str:
        """The model's name without its hash."""
        return self.outcome.model.partition("@")[0]

    @property
    def model_hash(self) -> str:
        """The model's hash."""
        return self.outcome.model.partition("@")[2]

    @property
    def moment(self) -> tuple[str, str]:
        """Date and time of the result: the film's, so that the same film gives the same result."""
        date, time = self.film.moment
        return date or NO_DATE, time or NO_TIME

    @property
    def may_show_picture(self) -> bool:
        """Whether a picture of the film may go out: not with letters burnt into it that may name someone."""
        return not self.deidentified or self.film.burnt_in == "NO"

    def uid(self, kind: str) -> str:
        """A UID for this kind of object: always the same for the same film, model, subject and version.

        For a film without an answer it also depends on why there is none: another file may come under the
        same SOP Instance UID later. Derived from a UUID, as PS3.5 annex B.2 allows.
        """
        interval = self.assessment.interval if self.assessment else None
        subject = self.outcome.subject
        told = (
            self.film.sop_uid,
            self.outcome.model,
            subject.sex.value,
            repr(subject.age_months),
            repr(interval.coverage if interval else None),
            repr(self.page),
            repr(self.deidentified),
            __version__,
            kind,
            *((self.outcome.error.sentence,) if isinstance(self.outcome, Failure) else ()),
        )
        return derived_uid(*told)


def derived_uid(*told: str) -> str:
    """The UID that stands for these texts, always the same."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, chr(0).join((MAKER, *told))).int}"


def without_identity(film: FilmIdentity) -> FilmIdentity:
    """The film as it may be named where nobody may be recognised.

    Names, identifiers, dates and descriptions are gone, the patient's identifier is one of the study alone,
    and UIDs are replaced by ones derived from them, as the basic profile of PS3.15 annex E asks; sex and side
    stay, as its option for patient characteristics allows.
    """
    return replace(
        FilmIdentity(),
        study_uid=derived_uid("study", film.study_uid),
        series_uid=derived_uid("series", film.series_uid),
        sop_uid=derived_uid("film", film.sop_uid),
        sop_class=film.sop_class,
        patient_id=derived_uid("patient", film.study_uid)[-16:],
        patient_sex=film.patient_sex,
        image_laterality=film.laterality,
        burnt_in=film.burnt_in,
    )
