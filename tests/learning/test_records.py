"""What a run keeps of its epochs is the same for the table, the curves and TensorBoard."""

from __future__ import annotations

import csv
import json
import math
import platform
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bonexage.learning.records import METRICS, environment, processor, write_metrics


def row(stage: int, epoch: int, error: float) -> dict[str, Any]:
    return {**dict.fromkeys(METRICS, 1.5), "stage": stage, "epoch": epoch, "validation_mae_months": error}


def points(run: Path, tag: str) -> list[tuple[int, float]]:
    shown = EventAccumulator(str(run / "tensorboard"))
    shown.Reload()
    return [(point.step, point.value) for point in shown.Scalars(tag)]


def test_tensorboard_shows_every_epoch_of_all_stages(tmp_path: Path) -> None:
    rows = [row(1, 1, 20.0), row(1, 2, 15.0), row(2, 1, 12.0)]
    for done in range(1, 4):
        write_metrics(rows[:done], tmp_path)
        assert len(points(tmp_path, "loss")) == done
    assert points(tmp_path, "validation_mae_months") == [(1, 20.0), (2, 15.0), (3, 12.0)]
    assert points(tmp_path, "stage") == [(1, 1.0), (2, 1.0), (3, 2.0)]
    with (tmp_path / "metrics.csv").open(encoding="utf-8") as file:
        assert [float(each["validation_mae_months"]) for each in csv.DictReader(file)] == [20.0, 15.0, 12.0]


def test_an_epoch_that_is_run_again_replaces_its_point(tmp_path: Path) -> None:
    rows = [row(1, 1, 20.0), row(1, 2, 15.0)]
    for done in (rows[:1], rows, rows, rows[:1], [rows[0], row(1, 2, 14.5)]):
        write_metrics(done, tmp_path)
    assert points(tmp_path, "validation_mae_months") == [(1, 20.0), (2, 14.5)]


def test_what_is_no_number_has_no_point(tmp_path: Path) -> None:
    write_metrics([{**row(1, 1, 20.0), "memory_mb": math.nan}], tmp_path)
    assert points(tmp_path, "validation_mae_months") == [(1, 20.0)]
    with pytest.raises(KeyError):
        points(tmp_path, "memory_mb")


def test_without_tensorboard_the_table_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.delitem(sys.modules, name)
    write_metrics([row(1, 1, 20.0)], tmp_path)
    assert (tmp_path / "metrics.csv").exists()
    assert not (tmp_path / "tensorboard").exists()


def test_the_machine_is_said_by_its_processor_and_not_by_its_name() -> None:
    said = environment()
    assert said["processor"] == processor() != ""
    assert platform.node() not in json.dumps(said)
