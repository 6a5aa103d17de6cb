"""A radiograph and a subject become an assessment that keeps every promise made of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bonexage.assessment import Assessment, Caution, Failure
from bonexage.errors import BonexageError, BundleError, UnreadableFile, WrongUse
from bonexage.model import assessor as assessor_module
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.model.relevance import lay_on_film
from bonexage.radiograph import Radiograph
from bonexage.subject import Sex, Subject
from films import radiograph, write_film
from models import small_bundle, small_network

GIRL = Subject(Sex.FEMALE)


@pytest.fixture(scope="module")
def assessor(tmp_path_factory: pytest.TempPathFactory) -> Assessor:
    return Assessor(small_bundle(tmp_path_factory.mktemp("model") / "bundle"), threads=1)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "hand.png")


def _codes(assessment: Assessment) -> list[str]:
    return [caution.code for caution in assessment.cautions]


def test_the_bone_age_is_the_networks_answer_to_the_preprocessed_film(assessor: Assessor) -> None:
    hand, how = radiograph(), assessor.preprocessing
    mean = normalise(place(hand.pixels, how)[np.newaxis], how).mean()
    girl, boy = assessor.assess(hand, "F"), assessor.assess(hand, "male")
    assert girl.bone_age_months == pytest.approx(100 + 60 * mean, abs=1e-3)
    assert boy.bone_age_months == pytest.approx(112 + 60 * mean, abs=1e-3)


def test_a_file_and_the_radiograph_read_from_it_are_assessed_alike(assessor: Assessor, film: Path) -> None:
    from bonexage.reading.files import read_radiograph

    assert assessor.assess(film, "F") == assessor.assess(read_radiograph(film), "F")
    assert assessor.assess(str(film), "F").file == str(film)


def test_an_explanation_is_the_assessment_and_its_map_laid_on_the_film(assessor: Assessor) -> None:
    hand, how = radiograph(), assessor.preprocessing
    found = assessor.explain(hand, "F", 96.0)
    assert found.assessment == assessor.assess(hand, "F", 96.0)
    shown = normalise(place(hand.pixels, how)[np.newaxis], how)[0, 0]
    means = shown.reshape(how.height // 32, 32, how.width // 32, 32).mean(axis=(1, 3))
    assert found.cells == pytest.approx(means, abs=1e-5)
    assert np.array_equal(found.months, lay_on_film(found.cells, hand.pixels.shape, how))
    assert found.pixels is hand.pixels
    assert assessor.explain(hand).cells == pytest.approx(means, abs=1e-5)


def test_a_model_without_a_map_says_so(tmp_path: Path) -> None:
    bare = small_bundle(tmp_path / "bare", onnx=small_network(outputs=("months",)))
    with pytest.raises(BundleError, match="no map"):
        Assessor(bare, threads=1).explain(radiograph(), "F")


def test_the_assessment_names_model_subject_and_interval(assessor: Assessor) -> None:
    assessment = assessor.assess(radiograph(name="x.png"), Sex.MALE, 96.0, coverage=0.8)
    assert assessment.model == assessor.bundle.model
    assert assessment.subject == Subject(Sex.MALE, 96.0)
    assert assessment.file == "x.png"
    assert assessment.interval is not None
    assert assessment.interval.coverage == 0.8
    assert assessment.interval.low_months < assessment.bone_age_months < assessment.interval.high_months
    assert assessment.sds is not None
    assert assessment.sds.value == pytest.approx((assessment.bone_age_months - 96.0) / 10.8)


def test_unknown_sex_is_assessed_as_both_and_says_so(assessor: Assessor) -> None:
    unknown = assessor.assess(radiograph(), age_months=100.0)
    girl, boy = assessor.assess(radiograph(), "F"), assessor.assess(radiograph(), "M")
    assert "sex-unknown" in _codes(unknown)
    assert unknown.bone_age_months == pytest.approx((girl.bone_age_months + boy.bone_age_months) / 2)
    assert [reading.sex for reading in unknown.readings] == [Sex.FEMALE, Sex.MALE]
    assert unknown.readings[0].bone_age_months == pytest.approx(girl.bone_age_months)
    assert unknown.readings[1].bone_age_months == pytest.approx(boy.bone_age_months)
    assert unknown.interval is not None
    assert girl.interval is not None
    assert boy.interval is not None
    assert unknown.interval.low_months == pytest.approx(
        min(girl.interval.low_months, boy.interval.low_months)
    )
    assert unknown.interval.high_months == pytest.approx(
        max(girl.interval.high_months, boy.interval.high_months)
    )
    assert unknown.sds is None
    assert unknown.subject.sex is Sex.UNKNOWN


def test_sex_is_never_guessed(assessor: Assessor) -> None:
    assert assessor.assess(radiograph()).subject.sex is Sex.UNKNOWN
    with pytest.raises(WrongUse, match="not a sex"):
        assessor.assess(radiograph(), "X")


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90, -1, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(assessor: Assessor, coverage: float) -> None:
    with pytest.raises(WrongUse, match="coverage"):
        assessor.assess(radiograph(), "F", coverage=coverage)


def test_an_age_outside_the_norm_gives_no_sds_and_says_so(assessor: Assessor) -> None:
    assessment = assessor.assess(radiograph(), "F", 190.0)
    assert assessment.sds is None
    assert "outside-norm" in _codes(assessment)
    assert "outside-norm" not in _codes(assessor.assess(radiograph(), "M", 190.0))


def test_cautions_of_reading_are_kept(assessor: Assessor) -> None:
    hand = radiograph()
    inverted = Radiograph(hand.pixels, hand.provenance, cautions=(Caution("inverted", "Turned round."),))
    assert _codes(assessor.assess(inverted, "F")) == ["inverted"]


AGE_CODES = {"edge-of-training-ages", "outside-known-ages"}


@pytest.mark.parametrize(
    ("months", "expected", "open_to"),
    [
        (-20.0, {"outside-known-ages"}, 0.0),
        (12.5, {"edge-of-training-ages"}, None),
        (120.0, set(), None),
        (220.0, {"edge-of-training-ages"}, None),
        (300.0, {"outside-known-ages"}, 240.0),
    ],
)
def test_bone_ages_at_the_edge_of_the_known_ages_say_so_and_beyond_it_the_interval_opens(
    assessor: Assessor, tmp_path: Path, months: float, expected: set[str], open_to: float | None
) -> None:
    offset = 100.0 + months - assessor.assess(radiograph(), "F").bone_age_months
    edge = Assessor(small_bundle(tmp_path / "b", onnx=small_network(offset=offset)), threads=1)
    assessment = edge.assess(radiograph(), "F", coverage=0.5)
    assert set(_codes(assessment)) & AGE_CODES == expected
    assert assessment.bone_age_months == pytest.approx(min(max(months, 0), 240), abs=0.01)
    assert assessment.interval is not None
    if open_to is not None:
        assert open_to in (assessment.interval.low_months, assessment.interval.high_months)


def test_ages_that_the_network_never_learned_open_the_interval_whatever_it_was_calibrated_on(
    assessor: Assessor, tmp_path: Path
) -> None:
    at = assessor.assess(radiograph(), "F", coverage=0.5)
    assert at.interval is not None
    narrow = small_bundle(tmp_path / "b", data={"ages_months": [1.0, at.bone_age_months - 5]})
    beyond = Assessor(narrow, threads=1).assess(radiograph(), "F", coverage=0.5)
    assert beyond.interval is not None
    assert (beyond.interval.low_months, beyond.interval.high_months) == (at.interval.low_months, 240.0)
    assert "outside-known-ages" in _codes(beyond)


def test_what_a_bundle_lacks_the_assessment_does_without_and_says_so(tmp_path: Path) -> None:
    bare = Assessor(
        small_bundle(tmp_path / "b", onnx=small_network(outputs=("months",)), calibration=None, data={}),
        threads=1,
    )
    for sex in ("F", "U"):
        assessment = bare.assess(radiograph(), sex)
        assert assessment.interval is None
        assert "no-interval" in _codes(assessment)


def test_another_size_is_obeyed_only_where_the_model_squashes_and_takes_any(tmp_path: Path) -> None:
    squash = Preprocessing(geometry="squash", height=64, width=64)
    any_size = Assessor(small_bundle(tmp_path / "a", preprocessing=squash), threads=1, size=(96, 96))
    fixed = small_bundle(tmp_path / "b", onnx=small_network(size=(64, 64)), preprocessing=squash)
    keeps = small_bundle(tmp_path / "c")
    assert any_size.preprocessing == Preprocessing(geometry="squash", height=96, width=96)
    assert "other-input-size" in _codes(any_size.assess(radiograph(), "F"))
    assert Assessor(fixed, threads=1, size=(96, 96)).preprocessing == squash
    assert Assessor(keeps, threads=1, size=(96, 96)).preprocessing == keeps.description.preprocessing
    with pytest.raises(WrongUse, match="too small"):
        Assessor(any_size.bundle, threads=1, size=(8, 8))


def test_a_network_of_another_size_than_described_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="insists"):
        Assessor(small_bundle(tmp_path / "a", onnx=small_network(size=(96, 96))), threads=1)


def test_one_assessor_serves_many_threads(assessor: Assessor) -> None:
    hands = [radiograph(seed) for seed in range(6)]
    wanted = [assessor.assess(hand, sex) for hand in hands for sex in "FMU"]
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(assessor.assess, hand, sex) for _ in range(5) for hand in hands for sex in "FMU"]
    assert [job.result() for job in jobs] == wanted * 5


def test_a_stream_keeps_the_order_and_goes_on_past_bad_files(assessor: Assessor, tmp_path: Path) -> None:
    names = []
    for i in range(25):
        path = tmp_path / f"{24 - i:02}.png"
        if i % 4 == 1:
            path.write_bytes(b"" if i % 8 == 1 else b"not a picture")
        elif i % 9 != 2:
            write_film(path, seed=i, height=64 + 40 * (i % 3), width=64)
        names.append(str(path))
    subjects = {name: Subject(sex) for name, sex in zip(names, itertools.cycle(Sex), strict=False)}
    outcomes = list(assess_many(assessor, names, subjects.__getitem__, batch=3, workers=4))
    assert [outcome.file for outcome in outcomes] == names
    assert [outcome.subject for outcome in outcomes] == list(subjects.values())
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            assert isinstance(outcome.error, UnreadableFile)
            assert outcome.status == "unreadable"
            assert outcome.model == assessor.model
        else:
            alone = assessor.assess(outcome.file, outcome.subject.sex)
            assert outcome.bone_age_months == pytest.approx(alone.bone_age_months, abs=1e-3)
    assert sum(isinstance(outcome, Failure) for outcome in outcomes) == 9


def test_a_stream_reads_ahead_only_a_little(assessor: Assessor, film: Path) -> None:
    taken = 0

    def films() -> Iterator[str]:
        nonlocal taken
        for _ in range(100_000):
            taken += 1
            yield str(film)

    outcomes = assess_many(assessor, films(), lambda _: GIRL, batch=4, workers=2)
    for done in range(1, 40):
        next(outcomes)
        assert taken <= done + 4 + 2 * 4 + 2
    outcomes.close()
    assert taken < 60


def test_films_are_read_beside_the_network(
    assessor: Assessor, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = set()
    original = assessor_module.film_bytes

    def spy(path: str) -> bytes:
        readers.add(threading.current_thread())
        return original(path)

    monkeypatch.setattr(assessor_module, "film_bytes", spy)
    list(assess_many(assessor, [str(film)] * 12, lambda _: GIRL, workers=2))
    assert threading.current_thread() not in readers


def test_whatever_a_decoder_does_the_rest_go_on(
    assessor: Assessor, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = assessor_module.film_bytes

    def breaks(path: str) -> bytes:
        if path == "bad":
            raise RecursionError("too deep")
        return original(path)

    monkeypatch.setattr(assessor_module, "film_bytes", breaks)
    first, second = assess_many(assessor, ["bad", str(film)], lambda _: GIRL)
    assert isinstance(first, Failure)
    assert "RecursionError: too deep" in str(first.error)
    assert isinstance(second, Assessment)


def test_a_subject_that_cannot_be_told_is_that_films_failure(assessor: Assessor, film: Path) -> None:
    def subject_for(name: str) -> Subject:
        if name == "unknown":
            raise WrongUse("no subject", remedy="Name one")
        return GIRL

    first, second = assess_many(assessor, ["unknown", str(film)], subject_for)
    assert isinstance(first, Failure)
    assert isinstance(first.error, BonexageError)
    assert isinstance(second, Assessment)


def test_no_films_are_no_outcomes(assessor: Assessor) -> None:
    assert list(assess_many(assessor, [], lambda _: GIRL)) == []
    assert assessor.assess_placed([]) == []


def test_load_is_the_first_thing_to_call(tmp_path: Path, film: Path) -> None:
    import bonexage

    small_bundle(tmp_path / "b.zip")
    assessment = bonexage.load(tmp_path / "b.zip", threads=1).assess(film, sex="F")
    assert isinstance(assessment, bonexage.Assessment)
    assert str(assessment).startswith(f"{film}: ")


@pytest.mark.parametrize(
    ("sex", "months", "age_months", "mature"),
    [
        ("F", 120.0, None, False),
        ("F", 212.0, None, False),
        ("F", 216.5, None, True),
        ("M", 216.5, None, False),
        ("M", 228.5, None, True),
        ("U", 216.5, None, True),
        ("M", 120.0, 227.0, False),
        ("M", 120.0, 300.0, True),
    ],
)
def test_an_adult_s_hand_is_called_mature(
    tmp_path: Path, sex: str, months: float, age_months: float | None, mature: bool
) -> None:
    film = radiograph()
    plain = Assessor(small_bundle(tmp_path / "plain", calibration=None), threads=1)
    offset = 100.0 + months - plain.assess(film, "F" if sex == "U" else sex).bone_age_months
    moved = small_bundle(tmp_path / "moved", calibration=None, onnx=small_network(offset=offset))
    assert ("mature" in _codes(Assessor(moved, threads=1).assess(film, sex, age_months))) == mature
