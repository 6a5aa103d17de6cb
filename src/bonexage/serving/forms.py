"""The forms of an outcome that are made in a worker, beside its row: a report as page or PDF, and FHIR."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from typing import Final

from bonexage.assessment import Caution, Failure
from bonexage.atlas.plates import read_plates
from bonexage.errors import MissingExtra, UnreadableFile, WrongUse
from bonexage.radiograph import NOTHING_STATED
from bonexage.reading.confined import Limits
from bonexage.reading.files import identity_in, stated_in
from bonexage.reports.film import FilmReport, film_report
from bonexage.serving.looking import Asked, Look


def _report(look: Look) -> FilmReport:
    assert not isinstance(look.outcome, Failure)
    return film_report(
        look.outcome,
        look.radiograph.pixels if look.radiograph else None,
        read_plates(),
        look.assessor.bundle.description.figures,
        made=date.today(),
        months=look.moved_months,
    )


def _html(look: Look) -> bytes:
    from bonexage.reports.film_page import film_page

    return film_page(_report(look)).encode()


def _pdf(look: Look) -> bytes:
    from bonexage.reports.pdf import film_pdf

    return film_pdf(_report(look))


def _fhir(look: Look) -> bytes:
    from bonexage.reports.fhir import check_fhir_installed, transaction
    from bonexage.reports.result import FilmResult

    check_fhir_installed()
    try:
        film = identity_in(look.data, look.asked.name)
    except UnreadableFile as error:
        if isinstance(look.outcome, Failure):
            return transaction([]).encode()
        raise WrongUse(error.problem, remedy=error.remedy) from None
    if film is None:
        raise WrongUse(
            "a FHIR result refers to a film in an archive, and this is no DICOM film",
            remedy="Give the DICOM film, or ask for JSON",
        )
    return transaction([FilmResult(look.outcome, film, page=look.asked.page)]).encode()


def _pane(look: Look) -> bytes:
    from bonexage.serving.pane import Seen, panes

    film, stated = None, NOTHING_STATED
    if look.radiograph:
        film, stated = look.radiograph.pixels, look.radiograph.stated
    seen = Seen(look.outcome, film, look.moved_months, stated)
    return panes(seen, read_plates(), look.assessor.bundle.description.figures)


PANE: Final = "pane"
"""What is called the form that the page shows."""
FORMS: Final[Mapping[str, Callable[[Look], bytes]]] = {"html": _html, "pdf": _pdf, "fhir": _fhir, PANE: _pane}
OF_FAILURES: Final = frozenset({"fhir", PANE})
"""The forms that also a film without an assessment has."""
HEADER: Final = "header"
"""What is called the form that a film has before it is looked at: what its header states of the child."""


def header(data: bytes, asked: Asked, limits: Limits) -> bytes:
    """`sex`, `age_months` (None where neither is stated) and `cautions`, sentences in English, as JSON."""
    stated = NOTHING_STATED
    cautions: tuple[Caution, ...] = ()
    with suppress(UnreadableFile, MissingExtra):  # assessing the film says so
        stated, cautions = stated_in(data, asked.name, limits=limits)
    subject, sentences = stated.subject, [each.sentence for each in cautions]
    message = {"sex": subject.sex.value, "age_months": subject.age_months, "cautions": sentences}
    return json.dumps(message).encode()


def made(look: Look) -> list[tuple[str, bytes]]:
    """The forms that were asked for, as far as the outcome has them.

    Raises:
        WrongUse: there is no such form of this film.
        MissingExtra: what makes it is not installed.
    """
    failed = isinstance(look.outcome, Failure)
    return [(name, FORMS[name](look)) for name in look.asked.forms if not failed or name in OF_FAILURES]
