"""A run that was killed, damaged or out of room goes on as if nothing had been, or says why it cannot."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bonexage.errors import BonexageError, TrainingStopped, UnusableData, WrongUse
from bonexage.learning import epoch as passing
from bonexage.learning.checkpoint import keep_checkpoint, load_checkpoint, newest_checkpoint
from bonexage.learning.recipe import Recipe
from bonexage.learning.resume import films_difference
from bonexage.learning.train import train
from films import write_film
from learning.folders import data_folder_with
from trials.killing import SMALL, differences, run_apart
from trials.waiting import eventually

killing = pytest.mark.skipif(os.name == "nt", reason="no SIGKILL here")

MOMENTS = {
    "before the films are recorded": ("films.csv", 1),
    "before the first checkpoint is in its place": ("last.pt", 1),
    "in the first step": ("follow", 1),
    "within an epoch": ("follow", 5),
    "while a checkpoint is written": ("footer", 4),
    "when the last checkpoint has become the one before": ("last.pt", 7),
    "during validation": ("predict_films", 2),
    "between last.pt and best.pt": ("best.pt", 1),
    "between best.pt and metrics.csv": ("metrics.csv", 2),
    "in the last epoch": ("follow", 11),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_folder_with(tmp_path_factory.mktemp("data") / "drawn", 34)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that was never killed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert run_apart(data, out) == 0
    return out


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that was killed at the end of its second epoch, with both checkpoints."""
    out = tmp_path_factory.mktemp("runs") / "killed"
    assert run_apart(data, out, die_at=("follow", 6)) == -signal.SIGKILL
    return out


@pytest.fixture
def copy(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "run")


@killing
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on_to_the_very_weights_of_one_never_killed(
    whole: Path, data: Path, tmp_path: Path, moment: str
) -> None:
    out = tmp_path / "run"
    assert run_apart(data, out, die_at=MOMENTS[moment]) == -signal.SIGKILL
    assert run_apart(data, out, resume=True) == 0
    assert differences(whole, out) == []
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


@killing
def test_a_damaged_last_checkpoint_is_recognised_and_the_one_before_taken(
    whole: Path, data: Path, copy: Path
) -> None:
    damage_in_the_middle(copy / "last.pt")
    assert run_apart(data, copy, resume=True) == 0
    assert differences(whole, copy) == []
    said = (copy / "log.txt").read_text(encoding="utf-8")
    assert said.count("last.pt is damaged: its hash does not fit. The run goes on from the checkpoint") == 1


def damage_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_in_the_middle, cut_off, empty])
def test_every_damage_to_a_checkpoint_is_seen(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    for number in (1, 2):
        keep_checkpoint(tmp_path, {"number": number, "weights": torch.ones(100)})
    said: list[str] = []
    assert newest_checkpoint(tmp_path, said.append)["number"] == 2
    assert said == []
    damage(tmp_path / "last.pt")
    assert newest_checkpoint(tmp_path, said.append)["number"] == 1
    assert len(said) == 1
    keep_checkpoint(tmp_path, {"number": 3})  # does not push out the good one
    assert load_checkpoint(tmp_path / "previous.pt")["number"] == 1
    for name in ("last.pt", "previous.pt"):
        damage(tmp_path / name)
    with pytest.raises(WrongUse, match="both checkpoints of the run are damaged") as error:
        newest_checkpoint(tmp_path, said.append)
    assert "best.pt" in error.value.remedy


@killing
def test_both_checkpoints_damaged_is_an_error_and_touches_neither(copy: Path, data: Path) -> None:
    for name in ("last.pt", "previous.pt"):
        cut_off(copy / name)
    before = {name: (copy / name).read_bytes() for name in ("last.pt", "previous.pt")}
    with pytest.raises(WrongUse, match="both checkpoints"):
        train(SMALL, [data], copy, resume=True)
    assert {name: (copy / name).read_bytes() for name in before} == before


def with_room_for(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """A disk that takes so many bytes more."""
    left = [room]
    before = Path.open

    def opened(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        file = before(path, mode, *rest, **more)
        return _FullDisk(file, left) if mode == "xb" else file

    monkeypatch.setattr(Path, "open", opened)


class _FullDisk:
    def __init__(self, file: Any, left: list[int]) -> None:
        self.file, self.left = file, left

    def __enter__(self) -> _FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: bytes) -> int:
        if len(content) > self.left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.left[0] -= len(content)
        return int(self.file.write(content))


@killing
def test_a_full_disk_stops_cleanly_and_the_run_goes_on_when_there_is_room(
    monkeypatch: pytest.MonkeyPatch, whole: Path, data: Path, copy: Path
) -> None:
    size = (copy / "last.pt").stat().st_size
    with monkeypatch.context() as full:
        with_room_for(full, 2 * size + size // 2)
        with pytest.raises(TrainingStopped, match="No space left on device") as error:
            train(SMALL, [data], copy, resume=True, keep_minutes=0.0)
    assert "--resume" in error.value.remedy
    assert error.value.exit_code == 3
    for name in ("last.pt", "previous.pt"):
        load_checkpoint(copy / name)
    assert [path.name for path in copy.iterdir() if path.name.startswith(".")] == []
    assert run_apart(data, copy, resume=True) == 0
    assert differences(whole, copy) == []


def test_a_disk_that_is_full_from_the_start_is_said(
    monkeypatch: pytest.MonkeyPatch, data: Path, tmp_path: Path
) -> None:
    with_room_for(monkeypatch, 100)
    with pytest.raises(TrainingStopped, match="No space left on device"):
        train(SMALL, [data], tmp_path / "run")


@killing
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(SMALL, seed=5), "seed was 0 and is 5"),
        (
            replace(SMALL, stages=(SMALL.stages[0], replace(SMALL.stages[1], epochs=9))),
            "stages.2.epochs was 2 and is 9",
        ),
        (replace(SMALL, stages=SMALL.stages[:1]), "stages.2.height was 96 and is not there"),
        (
            replace(SMALL, augmentation=replace(SMALL.augmentation, flip=0.25)),
            "augmentation.flip was 0.5 and is 0.25",
        ),
    ],
)
def test_a_changed_recipe_is_refused_with_what_changed(
    copy: Path, data: Path, changed: Recipe, said: str
) -> None:
    before = (copy / "last.pt").read_bytes()
    with pytest.raises(WrongUse, match="the recipe is no longer the run's") as error:
        train(changed, [data], copy, resume=True)
    assert said in str(error.value)
    assert (copy / "last.pt").read_bytes() == before


@killing
def test_stages_added_to_a_finished_run_give_the_weights_of_one_that_had_them_from_the_start(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run_apart(data, out, recipe=replace(SMALL, stages=SMALL.stages[:1])) == 0
    assert run_apart(data, out, resume=True) == 0
    assert differences(whole, out) == []


def relabel(folder: Path) -> str:
    table = folder / "boneage-training-dataset.csv"
    text = table.read_text(encoding="utf-8")
    assert "1001,49," in text
    table.write_text(text.replace("1001,49,", "1001,50,"), encoding="utf-8")
    return r"1 film is of another label \(1001: 49.0, now 50.0\)"


def redraw(folder: Path) -> str:
    write_film(folder / "boneage-training-dataset" / "1002.png", 77, 48, 40)
    return r"1 film is of another content \(1002\)"


def lose(folder: Path) -> str:
    table = folder / "boneage-training-dataset.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("1003,")), encoding="utf-8")
    return r"1 film is gone \(1003\)"


@killing
@pytest.mark.parametrize("change", [relabel, redraw, lose])
def test_changed_data_are_refused_with_what_changed(
    copy: Path, data: Path, tmp_path: Path, change: Callable[[Path], str]
) -> None:
    other = shutil.copytree(data, tmp_path / "moved")
    said = change(other)
    before = {name: (copy / name).read_bytes() for name in ("last.pt", "films.csv")}
    with pytest.raises(UnusableData, match=said):
        train(SMALL, [other], copy, resume=True)
    assert {name: (copy / name).read_bytes() for name in before} == before


@killing
def test_data_in_another_place_are_the_same_data(
    copy: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stepped(Exception):
        """It went on."""

    def step(*_: Any) -> None:
        raise Stepped

    moved = shutil.copytree(data, tmp_path / "moved")
    monkeypatch.setattr(passing, "_step", step)
    with pytest.raises(Stepped):
        train(SMALL, [moved], copy, resume=True)


def test_no_difference_is_told_of_films_that_are_the_same() -> None:
    rows = [
        {"folder": folder, "id": str(name), "bone_age_months": "12.0", "sex": "F", "part": "training"}
        | {"sha256": f"{folder}{name}"}
        for folder in "ab"
        for name in range(9)
    ]
    assert films_difference(rows, [dict(row) for row in rows]) == ""
    assert films_difference(rows, rows[::-1]) != ""
    assert "9 films are gone (0, 1, 2, 3, 4 and 4 more)" in films_difference(rows, rows[:9])


@killing
@pytest.mark.parametrize("lost", ["recipe.json", "films.csv"])
def test_a_run_whose_beginnings_are_lost_is_not_gone_on_with(copy: Path, data: Path, lost: str) -> None:
    (copy / lost).unlink()
    with pytest.raises(BonexageError, match="what the run began with cannot be read") as error:
        train(SMALL, [data], copy, resume=True)
    assert error.value.subject == str(copy / lost)


STARTER = """
from functools import partial
from pathlib import Path
import sys
from bonexage.learning.processes import start
from learning.parties import note_and_wait

if __name__ == "__main__":
    start(partial(note_and_wait, out=Path(sys.argv[1])), 2)
"""


@killing
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(STARTER, encoding="utf-8")
    tests = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(starter), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([tests, *sys.path])},
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    started = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    process.kill()
    process.wait()
    eventually(lambda: not any(map(is_running, started)))


def is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
