"""A comparison finds a difference that is there, none that is not, and tells what it left out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bonexage.errors import UnusableData, WrongUse
from bonexage.evaluation.compare import (
    Predicted,
    Predictions,
    compare,
    paired_difference,
    read_predictions,
)
from bonexage.evaluation.compare_page import write_comparison
from bonexage.subject import Sex

FEW = 500


def drawn(model: str, spread: float, *, seed: int, films: int = 300) -> Predictions:
    """Predictions that miss the same labels by so many months; the same seed misses alike."""
    labelled = np.random.default_rng(1).uniform(12, 228, films)
    said = np.clip(labelled + np.random.default_rng(seed).normal(0, spread, films), 0, 240)
    return Predictions(
        model,
        tuple(
            Predicted(str(number), f"{number}.png", Sex("FM"[number % 2]), *map(float, months))
            for number, months in enumerate(zip(labelled, said, strict=True))
        ),
    )


def noisier(of: Predictions, model: str, spread: float) -> Predictions:
    noise = np.random.default_rng(9).normal(0, spread, len(of.films))
    films = [
        replace(film, said_months=min(240.0, max(0.0, (film.said_months or 0.0) + float(more))))
        for film, more in zip(of.films, noise, strict=True)
    ]
    return Predictions(model, tuple(films))


def test_identical_models_do_not_differ() -> None:
    one = drawn("one", 10, seed=2)
    found = compare(one, replace(one, model="two"), resamples=FEW)
    assert found.overall.verdict == "none"
    assert (found.overall.difference.low, found.overall.difference.high) == (0, 0)
    assert "there is no difference: one and two say the same" in str(found)


def test_a_model_with_noise_added_is_found_whichever_side_it_stands_on() -> None:
    clean = drawn("clean", 8, seed=2)
    noisy = noisier(clean, "noisy", 12)
    there, back = compare(clean, noisy, resamples=FEW), compare(noisy, clean, resamples=FEW)
    assert (there.overall.verdict, back.overall.verdict) == ("first", "second")
    for found in (there, back):
        assert "the two differ: clean lies closer to the labels than noisy" in str(found)
    assert there.overall.difference.low == pytest.approx(-back.overall.difference.high)


def test_models_that_miss_alike_are_not_told_apart_and_pairing_narrows_the_interval() -> None:
    one, other = drawn("one", 10, seed=2), drawn("other", 10, seed=3)
    assert "no difference between one and other is shown" in str(compare(one, other, resamples=FEW))
    near = noisier(one, "near", 1.0)
    paired = compare(one, near, resamples=FEW).overall.difference
    unpaired = compare(one, other, resamples=FEW).overall.difference
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 3


def test_the_interval_is_that_of_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(4)
    first = rng.exponential(9, 120)
    second = first + rng.normal(0.8, 5, 120)

    def gap(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return a.mean(axis=axis) - b.mean(axis=axis)

    reference = stats.bootstrap(
        (first, second), gap, paired=True, vectorized=True, n_resamples=9999, method="percentile", rng=3
    ).confidence_interval
    found = paired_difference(first, second, [str(n) for n in range(120)])
    assert found.value == pytest.approx(first.mean() - second.mean())
    wide = reference.high - reference.low
    assert found.low == pytest.approx(reference.low, abs=0.05 * wide)
    assert found.high == pytest.approx(reference.high, abs=0.05 * wide)


def test_films_of_a_child_are_drawn_together() -> None:
    # Each child ten times over says no more than each child once, and must not look like more.
    rng = np.random.default_rng(5)
    first, second = rng.exponential(9, 60), rng.exponential(9, 60)
    children = [str(n) for n in range(60)]
    once = paired_difference(first, second, children)
    often = paired_difference(np.repeat(first, 10), np.repeat(second, 10), np.repeat(children, 10).tolist())
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=1e-6)


MONTHS = st.floats(0, 240)


@settings(max_examples=30)
@given(st.lists(st.tuples(MONTHS, MONTHS, st.sampled_from("abcd")), min_size=1, max_size=9), st.randoms())
def test_order_changes_nothing_and_turning_round_only_the_sign(
    films: Sequence[tuple[float, float, str]], random: object
) -> None:
    first, second, children = (list(column) for column in zip(*films, strict=True))
    found = paired_difference(first, second, children, resamples=50)
    back = paired_difference(second, first, children, resamples=50)
    shuffled = list(films)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = paired_difference(*(list(column) for column in zip(*shuffled, strict=True)), resamples=50)
    for one, other in ((found.value, -back.value), (found.low, -back.high), (found.value, again.value)):
        assert one == pytest.approx(other, abs=1e-9, nan_ok=True)
    assert again.low == pytest.approx(found.low, abs=1e-9, nan_ok=True)


def test_one_child_alone_decides_nothing() -> None:
    one, other = drawn("one", 10, seed=2, films=1), drawn("other", 10, seed=3, films=1)
    assert "cannot be told" in str(compare(one, other))


def test_films_that_are_not_in_both_are_told() -> None:
    one, other = drawn("one", 10, seed=2), drawn("other", 10, seed=3)
    silent = replace(one.films[0], said_months=None)
    found = compare(
        replace(one, films=(silent, *one.films[1:-2])), replace(other, films=other.films[:-1]), resamples=FEW
    )
    assert found.overall.films == 297
    assert (found.only_first, found.only_second) == ((), ("0", "298"))
    assert found.as_dict()["only_in_second"] == ["0", "298"]


def test_what_cannot_be_compared_is_said() -> None:
    one, other = drawn("one", 10, seed=2), drawn("other", 10, seed=3)
    with pytest.raises(UnusableData, match="no film in common"):
        compare(one, replace(other, films=tuple(replace(film, id="x") for film in other.films)))
    relabelled = replace(other.films[3], labelled_months=other.films[3].labelled_months / 2)
    with pytest.raises(UnusableData, match="film 3 is labelled"):
        compare(one, replace(other, films=(*other.films[:3], relabelled)))


def write_csv(path: Path, said: Predictions, *, without: str = "") -> Path:
    names = [name for name in ("id", "file", "sex", "labelled_months", "bone_age_months") if name != without]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*names, "model"])
        for film in said.films:
            row = dict(
                zip(
                    ("id", "file", "sex", "labelled_months", "bone_age_months"),
                    vars(film).values(),
                    strict=True,
                )
            )
            table.writerow([*(row[name] for name in names), said.model])
    return path


def test_predictions_come_back_from_a_table_as_they_were(tmp_path: Path) -> None:
    said = drawn("one", 10, seed=2, films=20)
    said = replace(said, films=(replace(said.films[0], said_months=None), *said.films[1:]))
    write_csv(tmp_path / "predictions.csv", said)
    assert read_predictions(tmp_path) == said == read_predictions(tmp_path / "predictions.csv")


def test_predictions_that_a_spreadsheet_saved_with_semicolons_are_the_same(tmp_path: Path) -> None:
    said = drawn("one", 10, seed=2, films=20)
    said = replace(said, films=tuple(replace(film, labelled_months=12.5) for film in said.films))
    table = write_csv(tmp_path / "predictions.csv", said)
    text = table.read_text(encoding="utf-8").replace(",", ";").replace(".", ",").replace(",png", ".png")
    table.write_text(f"sep=;\n{text}", encoding="utf-16")
    assert read_predictions(table) == said


def test_a_table_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    said = drawn("one", 10, seed=2, films=3)
    with pytest.raises(WrongUse, match="cannot be read"):
        read_predictions(tmp_path)
    with pytest.raises(WrongUse, match="no labelled_months"):
        read_predictions(write_csv(tmp_path / "a.csv", said, without="labelled_months"))
    odd = replace(said.films[1], said_months=900.0)
    with pytest.raises(WrongUse, match="film 1 has a bone age outside"):
        read_predictions(write_csv(tmp_path / "b.csv", replace(said, films=(odd,))))


def test_a_comparison_leaves_page_picture_and_json(tmp_path: Path) -> None:
    clean = drawn("<clean>", 8, seed=2)
    found = compare(clean, noisier(clean, "noisy", 12), resamples=FEW)
    write_comparison(found, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.html",
        "comparison.json",
        "comparison.png",
    }
    told = json.loads((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert told["verdict"] == "first"
    assert told["difference_months"]["high"] < 0
    assert {group["name"] for group in told["groups"]} >= {"girls", "boys", "24 to 48 months"}
    assert sum(group["films"] for group in told["groups"]) == 2 * told["films"]
    page = (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert "&lt;clean&gt;" in page
    assert "<clean>" not in page
    assert not re.search(r"src=\"(?!data:)", page)
