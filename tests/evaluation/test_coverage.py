"""Coverage is tested exactly, corrected for the number of tests, and departures are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from bonexage.assessment import Assessment, Interval
from bonexage.evaluation.coverage import CoverageTest, Pairs, binomial_p, examine_coverage, holm
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex, Subject

SEXES = (Sex.FEMALE, Sex.MALE)


def assessed(readings: np.ndarray, labels: np.ndarray, reach: np.ndarray, *, films_a_child: int = 1) -> Pairs:
    """Films of girls and boys in turn, with intervals that reach so far either way."""
    pairs = []
    for i, (reading, label, half) in enumerate(zip(readings, labels, reach, strict=True)):
        child = i // films_a_child
        sex = SEXES[child % 2]
        interval = Interval(max(0.0, reading - half), min(240.0, reading + half), 0.9)
        film = LabelledFilm(str(child), Path(f"{i}.png"), float(label), sex)
        pairs.append((film, Assessment(f"{i}.png", Subject(sex), float(reading), interval, "m@0")))
    return pairs


def drawn(count: int, *, seed: int = 0, shift: float = 0.0, reach: float = 1.0) -> Pairs:
    """Readings with a normal error that grows much with age, and intervals that hold 90% of them."""
    rng = np.random.default_rng(seed)
    readings = rng.uniform(40, 200, count)
    scale = 1 + (readings / 45) ** 2
    labels = np.clip(readings + shift + rng.normal(0, scale), 0, 240)
    return assessed(readings, labels, reach * 1.645 * scale)


def examined(pairs: Pairs) -> CoverageTest:
    return examine_coverage(pairs, 0.9, resamples=200)


@given(children=st.integers(1, 400), data=st.data(), share=st.floats(0.05, 0.99))
def test_the_binomial_test_is_scipy_s(children: int, data: st.DataObject, share: float) -> None:
    held = data.draw(st.integers(0, children))
    assert binomial_p(held, children, share) == pytest.approx(
        binomtest(held, children, share).pvalue, rel=1e-6, abs=1e-12
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_s_correction_rejects_what_its_steps_reject(probabilities: list[float]) -> None:
    adjusted = holm(probabilities)
    for level in (0.01, 0.05, 0.3):
        rejected, order = set(), sorted(range(len(probabilities)), key=probabilities.__getitem__)
        for rank, at in enumerate(order):
            if probabilities[at] * (len(order) - rank) >= level:
                break
            rejected.add(at)
        assert {at for at, p in enumerate(adjusted) if p < level} == rejected


def test_intervals_that_hold_what_they_promise_do_not_depart() -> None:
    found = [examined(drawn(600, seed=seed)) for seed in range(5)]
    assert not any(test.departures for test in found)
    assert "No cell of sex and 24 months departs" in " ".join(found[0].sentences())


def test_every_child_is_in_one_cell_of_each_table() -> None:
    test = examined(drawn(300))
    for cells in (test.by_reading, test.by_label):
        assert cells[0].sex is None
        assert cells[0].children == 300
        assert sum(cell.children for cell in cells[1:]) == 300
        assert sum(cell.held for cell in cells[1:]) == cells[0].held


@pytest.mark.parametrize("fault", ["shifted labels", "too narrow", "too wide"])
def test_a_fault_in_the_intervals_is_a_departure(fault: str) -> None:
    pairs = {
        "shifted labels": drawn(400, shift=10.0),
        "too narrow": drawn(400, reach=0.6),
        "too wide": drawn(400, reach=1.6),
    }[fault]
    test = examined(pairs)
    assert test.by_reading[0].departs
    assert "Departures from 90%" in " ".join(test.sentences())


def test_a_fault_in_one_cell_alone_is_named() -> None:
    pairs = drawn(900, seed=3)
    planted = [
        (film, said)
        if film.sex is Sex.MALE or not 96 <= said.bone_age_months < 120
        else (LabelledFilm(film.id, film.path, film.bone_age_months + 20, film.sex), said)
        for film, said in pairs
    ]
    test = examined(planted)
    assert ("read", Sex.FEMALE, 96.0) in [(how, cell.sex, cell.low_months) for how, cell in test.departures]
    assert "girls, 96 to 120 months read" in " ".join(test.sentences())


def test_further_films_of_a_child_are_left_out() -> None:
    rng = np.random.default_rng(0)
    readings = np.repeat(rng.uniform(40, 200, 50), 4)
    pairs = assessed(readings, readings + 1, np.full(200, 5.0), films_a_child=4)
    test = examined(pairs)
    assert test.by_reading[0].children == 50
    assert [cell.as_dict() for cell in examined(pairs[::4]).by_reading] == [
        cell.as_dict() for cell in test.by_reading
    ]


def test_the_width_is_set_against_one_width_that_holds_as_many() -> None:
    pairs = drawn(2000)
    test = examined(pairs)
    missed = np.sort([abs(film.bone_age_months - said.bone_age_months) for film, said in pairs])
    half = missed[test.by_reading[0].held - 1]
    widths = [
        min(240, said.bone_age_months + half) - max(0, said.bone_age_months - half) for _, said in pairs
    ]
    assert test.constant_width_months == pytest.approx(np.mean(widths))
    assert test.width_ratio.value == pytest.approx(test.width_months / np.mean(widths))
    assert test.width_ratio.low < test.width_ratio.value < test.width_ratio.high < 1.0


def test_films_without_an_interval_are_no_test() -> None:
    film = LabelledFilm("1", Path("1.png"), 100.0, Sex.MALE)
    with pytest.raises(ValueError, match="interval"):
        examined([(film, Assessment("1.png", Subject(Sex.MALE), 100.0, None, "m@0"))])
    with pytest.raises(ValueError, match="interval"):
        examined([])
