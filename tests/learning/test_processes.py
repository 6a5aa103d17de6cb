"""Several processes train as one would with all the films, and one that dies takes the others with it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bonexage.errors import BonexageError, MissingExtra, TrainingStopped, UnusableData, WrongUse
from bonexage.learning import processes
from bonexage.learning.checkpoint import load_checkpoint
from bonexage.learning.dataset import shares
from bonexage.learning.processes import Group, PeerLost, number_to_start, start, this_process
from bonexage.learning.recipe import Augmentation, NetworkRecipe, Parts, Recipe, Stage
from bonexage.learning.train import train
from learning.folders import data_folder_with
from learning.parties import COMPUTING_SECONDS, compare_notes, draw_alike, end_badly, take_steps
from trials.waiting import PATIENCE_SECONDS

# A backbone with BatchNorm and timm's BatchNorm with an activation; neither dropout nor augmentation.
PLAIN = Recipe(
    name="plain",
    network=NetworkRecipe(backbone="test_efficientnet", start="random", dropout=(0.0, 0.0)),
    parts=Parts(validation=0.2, calibration=0.2),
    stages=(Stage(height=64, width=64, epochs=2, batch=10, learning_rate=1e-3),),
)


@pytest.mark.parametrize(
    ("number", "batches", "rounding"),
    [(2, (8, 8, 5, 3), 2e-4), (3, (9, 2, 7), 1e-2)],  # BatchNorm over two films makes much of rounding
    ids=["two processes, even and uneven batches", "three, one of them without a film in the second step"],
)
def test_several_processes_are_equal_to_one_with_all_their_films(
    tmp_path: Path, number: int, batches: tuple[int, ...], rounding: float
) -> None:
    take_steps(Group(), PLAIN, batches, tmp_path / "one.pt")
    start(partial(take_steps, recipe=PLAIN, batches=batches, out=tmp_path / "many.pt"), number)
    one, many = (torch.load(tmp_path / f"{name}.pt") for name in ("one", "many"))
    for alone, together in zip(one["steps"], many["steps"], strict=True):
        assert torch.allclose(alone["tally"], together["tally"], rtol=1e-4)
        assert alone["gradients"].keys() == together["gradients"].keys()
        largest = max(float(gradient.abs().max()) for gradient in alone["gradients"].values())
        for name, gradient in alone["gradients"].items():
            assert torch.allclose(gradient, together["gradients"][name], atol=rounding * largest), name
    assert one["network"].keys() == many["network"].keys()
    moved = 0
    for name, value in one["network"].items():
        assert torch.allclose(value, many["network"][name], rtol=1e-3, atol=1e-4), name
        moved += "running" in name and not bool(torch.all((value == 0) | (value == 1)))
    assert moved > 20  # running statistics followed the films, in all layers


def test_a_film_changes_alike_however_many_processes_there_are(tmp_path: Path) -> None:
    recipe = replace(PLAIN, augmentation=Augmentation(rotation_degrees=20, shift=0.1))
    draw_alike(Group(), recipe, tmp_path / "one.pt")
    start(partial(draw_alike, recipe=recipe, out=tmp_path / "two.pt"), 2)
    assert torch.equal(torch.load(tmp_path / "one.pt"), torch.load(tmp_path / "two.pt"))


def test_processes_hear_of_one_another(tmp_path: Path) -> None:
    start(partial(compare_notes, out=tmp_path), 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert (first.pop("cut"), second.pop("cut")) == ([0, 1, 2], [3, 4])
    assert first == second == {"share": {"from": 0}, "sum": [2.0, 1.0], "largest": 10.0}


@given(count=st.integers(2, 60), parts=st.integers(1, 5), size=st.integers(1, 9))
def test_a_batch_is_cut_so_that_each_film_is_taken_once(count: int, parts: int, size: int) -> None:
    cut = [shares(count, parts, Group(rank, size)) for rank in range(size)]
    assert Counter(int(place) for mine in cut for some in mine for place in some) == Counter(range(count))
    for together in zip(*cut, strict=True):
        films = [len(some) for some in together]
        assert sum(films) >= 2
        assert max(films) - min(films) <= 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("failed", r"process 2 of 2 failed \(ZeroDivisionError: planted\)"),
        ("busy", r"process 2 of 2 failed \(ZeroDivisionError: planted\)"),
        ("killed", r"process 2 of 2 was killed \(signal 9\)"),
        ("told", "film.png: a planted fault. Take it out"),
        ("told at length", "x{300000}"),
        ("silent", "before it could say why"),
    ],
)
def test_a_process_that_dies_stops_the_others_with_its_error_long_before_they_end(
    how: str, said: str
) -> None:
    began = time.monotonic()
    with pytest.raises(UnusableData if how.startswith("told") else TrainingStopped, match=said):
        start(partial(end_badly, how=how), 2)
    assert time.monotonic() - began < COMPUTING_SECONDS / 2
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    "error", [UnusableData("a", remedy="b", subject="c"), MissingExtra("Training", "learn"), PeerLost()]
)
def test_an_error_travels_between_processes_whole(error: BonexageError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)


def test_one_process_is_started_for_each_visible_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in processes._TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (number_to_start(0), number_to_start(3)) == (1, 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert (number_to_start(0), number_to_start(1), number_to_start(4)) == (4, 1, 4)
    assert [processes._device(number).index for number in range(4)] == [0, 1, 2, 3]
    with pytest.raises(WrongUse, match="4 are visible"):
        number_to_start(5)
    with pytest.raises(WrongUse, match="no GPU"):
        processes._device(4)


def test_torchrun_has_started_the_processes_already(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(processes._TORCHRUN, ("0", "1", "0", "localhost", "29500"), strict=True):
        monkeypatch.setenv(name, value)
    assert number_to_start(0) == 1
    with pytest.raises(WrongUse, match="torchrun"):
        number_to_start(2)
    with this_process() as group:
        assert group.size == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 36)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run of two processes."""
    return train(PLAIN, [data], tmp_path_factory.mktemp("runs") / "pair", processes=2)


def test_a_run_of_two_processes_is_the_run_of_one(pair: Path, data: Path) -> None:
    alone = train(PLAIN, [data], pair.parent / "alone")
    kept = [load_checkpoint(run / "last.pt") for run in (alone, pair)]
    rows = [saved["progress"]["rows"] for saved in kept]
    for ours, theirs in zip(*rows, strict=True):
        for name in ("loss", "train_mae_months", "validation_mae_months"):
            assert ours[name] == pytest.approx(theirs[name], rel=2e-3)
    assert kept[0]["network"].keys() == kept[1]["network"].keys()
    assert {path.name for path in alone.iterdir()} == {path.name for path in pair.iterdir()}
    said = (pair / "log.txt").read_text(encoding="utf-8")
    assert said.count("Done") == 1
    assert said.count("validation MAE") == 2


DRIVER = """
import os, signal, sys
from pathlib import Path
from bonexage.learning import epoch
from bonexage.learning.train import train
from learning.test_processes import PLAIN

step, steps = epoch._step, iter(range(1, 100))

def dying(*arguments):
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and next(steps) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(*arguments)

epoch._step = dying
train(PLAIN, [Path(sys.argv[1])], Path(sys.argv[2]), cache_folder=Path(sys.argv[3]), keep_minutes=0)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")
def test_torchrun_restarts_a_run_whose_process_was_killed_and_it_goes_on(
    pair: Path, data: Path, tmp_path: Path
) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER, encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [
            *torchrun,
            "--max-restarts=1",
            str(driver),
            str(data),
            str(tmp_path / "run"),
            str(pair.parent / "cache"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    kept = r"Going on in stage 1 after (0 epochs and 2|1 epochs and 0) batches"
    assert re.search(kept, done.stderr), done.stderr
    torch.set_num_threads(torch.get_num_threads())
    whole, mended = load_checkpoint(pair / "last.pt"), load_checkpoint(tmp_path / "run" / "last.pt")
    for key, value in whole["network"].items():
        assert torch.allclose(value, mended["network"][key], atol=1e-3), key
    rows = [np.array([row["loss"] for row in each["progress"]["rows"]]) for each in (whole, mended)]
    assert np.allclose(*rows, rtol=1e-3)
