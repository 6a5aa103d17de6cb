"""Each caution is counted on films that were spoilt for it, and refused films are counted apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from write_trust import cautions as told

from bonexage.assessment import Assessment, Caution, Failure
from bonexage.errors import RefusedRadiograph
from bonexage.evaluation.result import Measured
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex, Subject
from cautions import CODES, Trial, far_apart, ordinary, said_of, trials
from films import radiograph

GIRL = Subject(Sex.FEMALE)


class Judge:
    """Calls a film blurred where it is brighter than another, and refuses one that is black."""

    def place(self, film):
        if film.pixels.max() == 0:
            raise RefusedRadiograph("nothing", remedy="Give a film", subject="film")
        given = (Caution("blurred", "It is blurred."),) if film.pixels.mean() > 0.5 else ()
        return SimpleNamespace(cautions=given)


def all_of(level: int):
    return lambda film, rng: Image.new("L", film.size, level)


@pytest.mark.parametrize(("level", "refused", "share"), [(255, 0, 1.0), (20, 0, 0.0), (0, 3, 0.0)])
def test_a_caution_is_counted_on_films_that_are_read(level: int, refused: int, share: float) -> None:
    films = [radiograph(seed) for seed in range(3)]
    found = said_of(Judge(), Trial("blurred", "much", all_of(level)), films)
    assert (found.films, found.refused, found.share) == (3, refused, share)
    other = said_of(Judge(), Trial("compressed", "much", all_of(level)), films)
    assert other.share == 0.0


def test_every_way_to_spoil_a_film_changes_it_and_brings_about_a_caution_that_is_counted() -> None:
    film = Image.fromarray(np.rint(radiograph().pixels * 255).astype(np.uint8))
    for trial in trials():
        spoilt = trial.spoil(film, np.random.default_rng(0))
        assert trial.code in CODES
        assert spoilt.size != film.size or np.any(np.asarray(spoilt) != np.asarray(film)), trial


def measured(months: float, *codes: str) -> Measured:
    given = tuple(Caution(code, "A sentence.") for code in codes)
    said = Assessment("film.png", GIRL, months, None, "m@0", given)
    return Measured(LabelledFilm("1", Path("film.png"), 100.0, Sex.FEMALE), said)


def test_shares_are_of_all_films_and_readings_far_apart_are_told_with_and_without_the_caution() -> None:
    refused = Failure("film.png", GIRL, RefusedRadiograph("no", remedy="Give one", subject="f"), "m@0")
    read = [
        measured(125.0, "likely-to-disagree", "mature"),
        measured(105.0, "mature"),
        measured(95.0),
        Measured(LabelledFilm("2", Path("film.png"), 100.0, Sex.FEMALE), refused),
    ]
    assert ordinary(read)["mature"] == 0.5
    assert ordinary(read)["blurred"] == 0.0
    found = far_apart(read)
    assert (found["with"]["films"], found["without"]["films"]) == (1, 2)
    assert found["with"]["mae_months"]["value"] == 25.0
    assert (found["with"]["far_apart"]["value"], found["without"]["far_apart"]["value"]) == (1.0, 0.0)


def test_the_page_tells_how_often_each_is_given() -> None:
    spoilt = {"code": "blurred", "strength": "by 1%", "share": 0.893}
    page = "\n".join(
        told(
            {
                "films": 1921,
                "spoilt_films": 67,
                "ordinary": {"blurred": 0.0046, "mature": 0.016},
                "spoilt": [spoilt, spoilt | {"strength": "by 2%", "share": 1.0}],
                "far_apart_months": 18.0,
                "likely_to_disagree": far_apart([measured(125.0, "likely-to-disagree"), measured(95.0)]),
            }
        )
    )
    assert "| `blurred` | 0.5 | by 1%: 89; by 2%: 100 |" in page
    assert "| `mature` | 1.6 |  |" in page
    assert "more than 18 months apart on 100" in page
