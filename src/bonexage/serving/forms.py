"""The forms of an outcome that are made in a worker, beside its row: a report as page or PDF, and FHIR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import Final

from bonexage.assessment import Failure
from bonexage.atlas.plates import read_plates
from bonexage.errors import UnreadableFile, WrongUse
from bonexage.reading.files import identity_in
from bonexage.reports.film import FilmReport, film_report
from bonexage.serving.looking import Look
from bonexage.serving.words import LANGUAGES


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
    except UnreadableFile:
        return transaction([]).encode()
    if film is None:
        raise WrongUse(
            "a FHIR result refers to a film in an archive, and this is no DICOM film",
            remedy="Give the DICOM film, or ask for JSON",
        )
    return transaction([FilmResult(look.outcome, film, page=look.asked.page)]).encode()


def _pane(look: Look, language: str) -> bytes:
    from bonexage.serving.pane import Seen, pane
    from bonexage.serving.words import words

    film = look.radiograph.pixels if look.radiograph else None
    seen = Seen(look.outcome, film, look.moved_months)
    return pane(seen, read_plates(), look.assessor.bundle.description.figures, words(language))


PANES: Final = {language: f"pane-{language}" for language in LANGUAGES}
"""What is called the form that the page shows in a language."""
FORMS: Final[Mapping[str, Callable[[Look], bytes]]] = {
    "html": _html,
    "pdf": _pdf,
    "fhir": _fhir,
    **{name: partial(_pane, language=language) for language, name in PANES.items()},
}
OF_FAILURES: Final = frozenset({"fhir", *PANES.values()})
"""The forms that also a film without an assessment has."""


def made(look: Look) -> list[tuple[str, bytes]]:
    """The forms that were asked for, as far as the outcome has them.

    Raises:
        WrongUse: there is no such form of this film.
        MissingExtra: what makes it is not installed.
    """
    failed = isinstance(look.outcome, Failure)
    return [(name, FORMS[name](look)) for name in look.asked.forms if not failed or name in OF_FAILURES]
