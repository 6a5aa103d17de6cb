"""Hands are looked at again where they were found, and what is not found for certain is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bonexage.errors import BundleError, RefusedRadiograph, WrongUse
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.frame import HandFrame, views_of, whole_film
from bonexage.model.likeness import pack_hands
from bonexage.model.locate import ANSWER, CLOSER, LOCATOR_SIDE, Finding, Locator, distance, read_answer
from bonexage.model.preprocess import Preprocessing, normalise, place
from bonexage.model.relevance import lay_on_film
from bonexage.model.runtime import Runtime
from bonexage.reading.files import read_radiograph
from bonexage.subject import Subject
from hands import drawn_hand
from models import small_bundle, small_network

SURE = 5.0


def fixed_locator(answer: list[float]) -> bytes:
    """A graph that gives the same answer whatever it is shown."""
    nodes = [
        helper.make_node("ReduceMean", ["film", "space"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "fixed"], ["answer"]),
    ]
    side = LOCATOR_SIDE
    graph = helper.make_graph(
        nodes,
        "fixed",
        [helper.make_tensor_value_info("film", TensorProto.FLOAT, ["batch", 1, side, side])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", len(ANSWER)])],
        [
            numpy_helper.from_array(np.array([2, 3], np.int64), "space"),
            numpy_helper.from_array(np.zeros((1, 1), np.float32), "nothing"),
            numpy_helper.from_array(np.array([answer], np.float32), "fixed"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def at_rest(**changes: float) -> list[float]:
    """The answer of a locator that sees the hand where it looks for it."""
    scale = float(np.log(CLOSER))
    known = dict(zip(ANSWER, [0.0, 0.0, scale, scale, 1.0, 0.0, -SURE, SURE], strict=True)) | changes
    return list(known.values())


def test_another_network_than_a_locator_is_refused() -> None:
    with pytest.raises(BundleError, match="finds hands"):
        Locator(small_network())


def test_a_hand_that_stays_where_it_was_found_is_found() -> None:
    finding = Locator(fixed_locator(at_rest()), threads=1).find(drawn_hand(200, 160))
    assert finding.found
    assert finding.unrest == pytest.approx(0, abs=1e-6)
    assert finding.frame.height == pytest.approx(CLOSER * 200, rel=1e-5)
    assert finding.frame.middle == pytest.approx([80, 100])
    assert finding.score > 0.99


@pytest.mark.parametrize("change", [{"hand": -SURE}, {"x": 0.2}, {"mirror": SURE}, {"sine": 1.0}])
def test_what_is_no_hand_or_does_not_come_to_rest_is_read_as_a_whole_film(change: dict[str, float]) -> None:
    film = drawn_hand(200, 160)
    finding = Locator(fixed_locator(at_rest(**change)), threads=1).find(film)
    assert not finding.found
    assert distance(finding.frame, whole_film(film.shape)) == 0


def test_an_answer_out_of_all_bounds_is_still_a_frame() -> None:
    frame, score = read_answer(np.array([9, -9, 99, -99, 0, 0, 99, -999], dtype=np.float32))
    assert np.isfinite(frame.matrix).all()
    assert frame.height > 0
    assert score == pytest.approx(0)


@pytest.fixture
def assessor_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Finding], Assessor]:
    """An assessor whose locator says what the test wants."""
    how = Preprocessing("hand", 64, 64)
    bundle = small_bundle(tmp_path / "model", preprocessing=how, locator=fixed_locator(at_rest()))

    def make(finding: Finding) -> Assessor:
        monkeypatch.setattr(Locator, "find", lambda self, pixels: finding)
        return Assessor(bundle, threads=1)

    return make


def _film(path: Path, pixels: NDArray[np.float32]) -> Path:
    Image.fromarray((pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("degrees", "mirrored", "codes"),
    [
        (10, False, set()),
        (40, False, {"rotated"}),
        (-170, False, {"rotated"}),
        (0, True, {"mirrored"}),
        (90, True, {"mirrored", "rotated"}),
    ],
)
def test_a_turned_or_mirrored_hand_is_a_caution(
    tmp_path: Path,
    assessor_with: Callable[[Finding], Assessor],
    degrees: float,
    mirrored: bool,
    codes: set[str],
) -> None:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    frame = HandFrame(150 * turn @ np.diag([-1.0 if mirrored else 1.0, 1.0]), np.array([80.0, 100.0]))
    assessor = assessor_with(Finding(frame, True, 0.9, 0.01))
    said = assessor.assess(_film(tmp_path / "film.png", drawn_hand(200, 160)), "F").cautions
    assert {each.code for each in said} & {"rotated", "mirrored"} == codes


def test_a_film_without_a_hand_is_refused_and_the_others_go_on(
    tmp_path: Path, assessor_with: Callable[[Finding], Assessor]
) -> None:
    assessor = assessor_with(Finding(whole_film((200, 160)), False, 0.1, 1.0))
    film = str(_film(tmp_path / "knee.png", drawn_hand(200, 160)))
    with pytest.raises(RefusedRadiograph, match=r"knee\.png: no single hand"):
        assessor.assess(film, "F")
    outcomes = list(assess_many(assessor, [film, str(tmp_path / "missing.png")], lambda name: Subject()))
    assert [each.status for each in outcomes] == ["refused", "unreadable"]


def test_what_is_found_and_is_not_like_a_hand_is_refused(tmp_path: Path) -> None:
    hand = drawn_hand(200, 160)
    bundle = small_bundle(
        tmp_path / "model",
        preprocessing=Preprocessing("hand", 64, 64),
        locator=fixed_locator(at_rest()),
        hands=pack_hands([(hand, HandFrame(np.eye(2) * CLOSER * 200, np.array([80.0, 100.0])))]),
    )
    assessor = Assessor(bundle, threads=1)
    assessor.assess(_film(tmp_path / "hand.png", hand), "F")
    with pytest.raises(RefusedRadiograph, match="no single hand"):
        assessor.assess(_film(tmp_path / "other.png", np.roll(hand, 70, axis=0)), "F")


def test_a_second_hand_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = drawn_hand(200, 160)
    frame = HandFrame(np.eye(2) * 200.0, np.array([80.0, 100.0]))
    bundle = small_bundle(
        tmp_path / "model",
        preprocessing=Preprocessing("hand", 64, 64),
        locator=fixed_locator(at_rest()),
        hands=pack_hands([(one, frame)]),
    )
    places = [frame, HandFrame(np.eye(2) * 200.0, np.array([240.0, 100.0]))]

    def find(self: Locator, pixels: NDArray[np.float32]) -> Finding:
        """The first of the two places that shows something, at whatever size the film is."""
        scale = pixels.shape[0] / 200
        for place_ in places:
            here = HandFrame(place_.matrix * scale, place_.middle * scale)
            left = int(here.middle[0] - 80 * scale)
            strip = pixels[:, left : left + int(160 * scale)]
            if strip.size and strip.std() > 0.1:
                return Finding(here, True, 1.0, 0.0)
        return Finding(whole_film(pixels.shape), False, 0.0, 1.0)

    monkeypatch.setattr(Locator, "find", find)
    assessor = Assessor(bundle, threads=1)
    alone = np.hstack([one, np.full_like(one, 0.1)])
    assert assessor.assess(_film(tmp_path / "one.png", alone), "F").bone_age_months >= 0
    with pytest.raises(RefusedRadiograph, match="more than one hand"):
        assessor.assess(_film(tmp_path / "two.png", np.hstack([one, one])), "F")


def test_a_hand_is_placed_alike_however_bright_the_film_is() -> None:
    film, how = drawn_hand(300, 240), Preprocessing("hand", 96, 80)
    frame = HandFrame(np.eye(2) * 180.0, np.array([120.0, 150.0]))
    placed = place(film, how, frame).astype(int)
    darker = place((film * 0.35 + 0.2).astype(np.float32), how, frame).astype(int)
    assert np.abs(placed - darker).mean() < 3
    assert placed.max() > 200


def test_the_geometry_hand_needs_to_know_where_the_hand_is() -> None:
    with pytest.raises(ValueError, match="where the hand is"):
        place(drawn_hand(100, 80), Preprocessing("hand", 64, 64))


def test_what_lies_outside_the_film_has_no_say_in_the_tones_of_the_hand() -> None:
    grey = (0.3 + 0.2 * drawn_hand(200, 160)).astype(np.float32)  # a hand on a grey ground
    how = Preprocessing("hand", 96, 80)
    frame = HandFrame(np.eye(2) * 260.0, np.array([80.0, 100.0]))
    hand = place(grey, how, frame)[30:66, 28:52].astype(int)
    alone = place(grey, how, HandFrame(np.eye(2) * 150.0, np.array([80.0, 100.0]))).astype(int)
    assert hand.max() - hand.min() > 0.6 * (alone.max() - alone.min())


def test_several_views_are_read_as_their_mean_and_say_so(tmp_path: Path) -> None:
    hand = drawn_hand(200, 160)
    bundle = small_bundle(
        tmp_path / "model",
        preprocessing=Preprocessing("hand", 64, 64),
        locator=fixed_locator(at_rest()),
    )
    film = _film(tmp_path / "hand.png", hand)
    once, thrice = Assessor(bundle, threads=1), Assessor(bundle, threads=1, views=3)
    frame = once.place(read_radiograph(film)).frame
    assert frame is not None
    pixels = [place(read_radiograph(film).pixels, once.preprocessing, view) for view in views_of(frame, 3)]
    alone = Runtime(bundle.onnx).run(
        normalise(np.stack(pixels), once.preprocessing), np.zeros((3, 1), np.float32)
    )
    said = thrice.assess(film, "F")
    assert np.ptp(alone.months) > 0
    assert said.bone_age_months == pytest.approx(float(alone.months.mean()), abs=1e-4)
    assert said.model == f"{bundle.model}+3views"
    both = thrice.assess(film)
    assert both.readings[0].bone_age_months == pytest.approx(said.bone_age_months, abs=1e-4)
    explained = thrice.explain(film, "F")
    assert explained.assessment == said
    assert alone.activation_map is not None
    laid = [
        lay_on_film(cells, (200, 160), once.preprocessing, view)
        for cells, view in zip(alone.activation_map, views_of(frame, 3), strict=True)
    ]
    assert explained.months == pytest.approx(np.mean(laid, axis=0), abs=1e-4)
    assert not np.array_equal(explained.months, once.explain(film, "F").months)


def test_a_model_is_read_in_the_views_that_it_was_made_for(tmp_path: Path) -> None:
    film = _film(tmp_path / "hand.png", drawn_hand(200, 160))
    bundle = small_bundle(
        tmp_path / "model",
        preprocessing=Preprocessing("hand", 64, 64),
        locator=fixed_locator(at_rest()),
        default_views=3,
    )
    own, thrice, once = (Assessor(bundle, threads=1, views=views) for views in (None, 3, 1))
    said = own.assess(film, "F")
    assert said == thrice.assess(film, "F")
    assert said.model == bundle.model
    assert "other-views" not in {each.code for each in said.cautions}
    alone = once.assess(film, "F")
    assert alone.bone_age_months != said.bone_age_months
    assert alone.model == f"{bundle.model}+1views"
    (caution,) = [each for each in alone.cautions if each.code == "other-views"]
    assert "mean of 1 views" in caution.sentence
    assert "made for 3" in caution.sentence


def test_views_of_a_hand_that_is_not_found_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="views"):
        Assessor(small_bundle(tmp_path / "model"), views=2)
