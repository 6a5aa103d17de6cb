"""What the locator is shown agrees with what it should answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

from bonexage.learning.hands import FoundHand
from bonexage.learning.locator import LocatorNetwork, locator_to_onnx, loss_of, train_locator
from bonexage.learning.views import BASE_SIDE, Hands, draw_views, gather_hands, matrices_of
from bonexage.model.frame import HandFrame
from bonexage.model.locate import ANSWER, LOCATOR_SIDE, Locator, read_answer
from hands import drawn_hand


def _hands(count: int = 4) -> Hands:
    """Drawn hands that fill their films."""
    height, width = BASE_SIDE, 208
    films = torch.zeros(count, BASE_SIDE, BASE_SIDE, dtype=torch.uint8)
    for number in range(count):
        drawn = drawn_hand(height, width, number)
        films[number, :height, :width] = torch.from_numpy(np.rint(drawn * 255).astype(np.uint8))
    return Hands(
        films,
        torch.tensor([[height, width]]).repeat(count, 1).float(),
        (torch.eye(2) * height).repeat(count, 1, 1),
        torch.tensor([[width / 2, height / 2]]).repeat(count, 1),
    )


OTHERS = (torch.rand(3, BASE_SIDE, BASE_SIDE, generator=Generator().manual_seed(1)) * 255).byte()


def test_the_hand_lies_in_the_picture_where_the_answer_says() -> None:
    """A film that is bright around one corner of its hand's frame alone: the corner that the answer gives."""
    hands = _hands(1)
    corner = torch.tensor([0.3, -0.3])
    x, y = (hands.matrices[0] @ corner + hands.middles[0]).round().int().tolist()
    hands.films[:] = 0
    hands.films[0, y - 9 : y + 10, x - 9 : x + 10] = 255
    views = draw_views(hands, OTHERS, 200, Generator().manual_seed(0))
    at = (
        matrices_of(views.answers, views.answers[:, 6]) @ corner + views.answers[:, :2] + 0.5
    ) * LOCATOR_SIDE
    brightest = [
        torch.nonzero(p[0] > 0.93 * p.max()).float().mean(dim=0).flip(0) + 0.5 for p in views.pictures
    ]
    inside = ((at > 12) & (at < LOCATOR_SIDE - 12)).all(dim=1) & (views.answers[:, 7] > 0.5)
    apart = torch.stack([(one - other).norm() for one, other in zip(at, brightest, strict=True)])[inside]
    assert inside.sum() > 60
    assert apart.median() < 3  # markers, crops and inversion spoil some of them


def test_chance_alone_decides_what_is_shown() -> None:
    one, same, other = (draw_views(_hands(), OTHERS, 8, Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.pictures, same.pictures)
    assert not torch.equal(one.pictures, other.pictures)
    assert one.pictures.shape == (8, 1, LOCATOR_SIDE, LOCATOR_SIDE)
    assert one.pictures.min() >= 0
    assert one.pictures.max() <= 1


def test_the_right_answer_costs_nothing_and_a_wrong_one_more_the_farther_it_is() -> None:
    wanted = draw_views(_hands(), OTHERS, 32, Generator().manual_seed(5)).answers
    right = wanted.clone()
    right[:, 6:] = (wanted[:, 6:] - 0.5) * 60  # logits
    cost, apart = loss_of(right, wanted)
    assert cost < 1e-3
    assert apart.max() < 1e-5
    costs = [loss_of(right + torch.eye(len(ANSWER))[0] * by, wanted)[0] for by in (0.05, 0.1, 0.2)]
    assert costs == sorted(costs)
    assert costs[0] > cost + 0.05


def test_training_and_use_read_an_answer_alike() -> None:
    answers = draw_views(_hands(), OTHERS, 16, Generator().manual_seed(6)).answers
    matrices = matrices_of(answers, answers[:, 6])
    for answer, matrix in zip(answers, matrices, strict=True):
        frame, _ = read_answer(np.append(answer[:6].numpy(), [answer[6] - 0.5, 0.0]).astype(np.float32))
        assert frame.matrix == pytest.approx(matrix.double().numpy(), abs=1e-5)


def test_a_few_steps_teach_it_where_a_hand_lies() -> None:
    said: list[str] = []
    network = train_locator(_hands(), OTHERS, steps=60, batch=24, progress=said.append)
    views = draw_views(_hands(), OTHERS, 64, Generator().manual_seed(9))
    with torch.no_grad():
        taught, _ = loss_of(network(views.pictures), views.answers)
        untaught, _ = loss_of(LocatorNetwork().eval()(views.pictures), views.answers)
    assert taught < 0.8 * untaught
    assert said[-1].startswith("step 60 of 60")


def test_the_graph_answers_as_the_network() -> None:
    torch.manual_seed(0)
    network = LocatorNetwork().eval()
    finding = Locator(locator_to_onnx(network), threads=1)
    picture = draw_views(_hands(), OTHERS, 1, Generator().manual_seed(2)).pictures
    with torch.no_grad():
        wanted = network(picture)[0].numpy()
    assert finding.answer(picture[0, 0].numpy()) == pytest.approx(wanted, abs=1e-4)


def test_films_are_gathered_with_their_frames_scaled_alike(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    Image.fromarray((drawn_hand(512, 400) * 255).astype(np.uint8)).save(path)
    hands = gather_hands({path: FoundHand(HandFrame(np.eye(2) * 500.0, np.array([200.0, 256.0])), 0.9)})
    assert hands.sizes.tolist() == [[256, 200]]
    assert hands.matrices[0].tolist() == [[250, 0], [0, 250]]
    assert hands.middles[0].tolist() == [100, 128]
