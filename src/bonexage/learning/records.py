"""What a run keeps for people and programs: recipe, environment, films, metrics, curves, lines of the log."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

import bonexage
from bonexage.disk import write_atomically
from bonexage.learning.cache import Cache
from bonexage.learning.dataset import Part, TrainingFilm, fingerprint, write_films
from bonexage.learning.recipe import Recipe, Stage, recipe_to_table
from bonexage.reports.curves import learning_curves

TENSORBOARD = "tensorboard"
METRICS_TABLE = "metrics.csv"
METRICS = (
    "stage",
    "epoch",
    "learning_rate",
    "loss",
    "train_mae_months",
    "validation_mae_months",
    "films_per_second",
    "seconds",
    "waiting_share",
    "memory_mb",
)


def write_metrics(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the run's `METRICS_TABLE`, a row an epoch, its curves, and its last row for TensorBoard."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, METRICS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(out / METRICS_TABLE, table.getvalue().encode())
    write_atomically(out / "curves.png", learning_curves(rows))
    write_events(rows, out)


def write_events(rows: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write what TensorBoard shows of the epochs: `tensorboard/`, a file an epoch, which it reads in order.

    An epoch's file has a name of its own, so an epoch that is run again replaces its point and doubles none.
    Epochs of earlier stages count on. Without the package tensorboard nothing is written.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ModuleNotFoundError:
        return
    folder = out / TENSORBOARD
    for number, row in enumerate(rows, start=1):
        file = folder / f"events.out.tfevents.{number:06d}"
        if file.exists() and number < len(rows):
            continue
        values = [
            Summary.Value(tag=name, simple_value=row[name])
            for name in METRICS
            if name != "epoch" and math.isfinite(row[name])
        ]
        now, records = time.time(), io.BytesIO()
        writer = RecordWriter(records)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        event = Event(wall_time=now, step=number, summary=Summary(value=values))
        writer.write(event.SerializeToString())
        write_atomically(file, records.getvalue())


def write_records(
    recipe: Recipe, films: Sequence[TrainingFilm], cache: Cache, skipped: Sequence[str], out: Path
) -> None:
    """Write what the run depends on: recipe, environment, and the films with their parts."""
    folders = {film.folder for film in films}
    data = {
        "fingerprint": fingerprint(films, cache.hashes),
        "folders": [
            {"name": folder.name, "films": sum(film.folder == folder for film in films)}
            for folder in sorted(folders)
        ],
        "ages_months": [
            min(film.film.bone_age_months for film in films),
            max(film.film.bone_age_months for film in films),
        ],
        "skipped": list(skipped),
    }
    for name, content in {
        "recipe.json": recipe_to_table(recipe),
        "environment.json": environment()
        | {"data_folders": sorted(str(folder.resolve()) for folder in folders)},
        "data.json": data,
    }.items():
        write_atomically(out / name, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    write_films(films, cache.hashes, out / "films.csv")


def environment() -> dict[str, Any]:
    """The machine and the versions a run was made with."""
    packages = ("torch", "torchvision", "timm", "numpy", "pillow")
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "bonexage": bonexage.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
        "packages": {name: version(name) for name in packages},
    }


def processor() -> str:
    """The model of the CPU as it names itself, or what Python can say of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def introduction(
    recipe: Recipe,
    films: Sequence[TrainingFilm],
    network: nn.Module,
    started_from: str,
    device: torch.device,
    autocast: torch.dtype | None,
) -> str:
    """What is about to be trained, in a line."""
    counts = ", ".join(f"{sum(film.part is part for film in films)} for {part}" for part in Part)
    weights = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    kind = "float32" if autocast is None else str(autocast).removeprefix("torch.")
    return (
        f"{recipe.name}: {recipe.network.backbone}, {weights:.1f} million weights, started from "
        f"{started_from}; {counts}; {device.type}, {kind}"
    )


def epoch_line(row: Mapping[str, Any], stage: Stage, *, is_best: bool) -> str:
    """An epoch, in a line."""
    return (
        f"stage {row['stage']}, epoch {row['epoch']} of {stage.epochs}: training MAE "
        f"{row['train_mae_months']:.2f}, validation MAE {row['validation_mae_months']:.2f} months"
        f"{' (lowest)' if is_best else ''}, {row['films_per_second']:.1f} films/s, "
        f"{row['waiting_share']:.1%} of the time waiting for films, {row['memory_mb']:.0f} MB, "
        f"{row['seconds']:.0f} s"
    )
