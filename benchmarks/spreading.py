"""What spreading films over machines costs: a film, a part, a list, an actor; with Ray against one process.

Usage: python benchmarks/spreading.py [--films N] [--names N] [--no-ray]

Films are those of rsna-640px's test part where BONEXAGE_DATA names a folder, else the plates. The unit costs
in `benchmarks/results/spreading.json` are what the plan in docs/cluster.md is worked out from.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bonexage.cluster.films import FILMS, AskedFilm, blocks_of_list, keep_list
from bonexage.cluster.folder import Folder
from bonexage.model.assessor import Assessor, assess_many
from bonexage.model.bundle import load_bundle
from bonexage.model.runtime import usable_cores
from bonexage.reading.files import list_films
from bonexage.reports.table import record, write_parquet
from bonexage.subject import Sex, Subject
from yardstick import Row, films_to_read, keep, machine, most_held, seconds_of

BOY: Final = Subject(Sex.MALE)
PART: Final = 4096
GOAL_OF_RAY: Final = 0.9


def unit_costs(films: list[str], names: int) -> dict[str, float]:
    """Seconds and bytes of one film, name or row, in one process with one thread."""
    assessor = Assessor(load_bundle(), threads=1)
    began, busy = time.perf_counter(), time.process_time()
    outcomes = list(assess_many(assessor, films, lambda _: BOY, workers=1))
    costs = {
        "film_seconds": (time.perf_counter() - began) / len(films),
        "film_core_seconds": (time.process_time() - busy) / len(films),
        "film_bytes": sum(Path(film).stat().st_size for film in films) / len(films),
        "actor_megabytes": most_held(),
    }
    said = [record(outcome) for outcome in outcomes]
    draw = random.Random(0)
    rows = [
        {
            **said[at % len(said)],
            "file": f"/data/films/{at:08}.png",
            "bone_age_months": draw.randrange(2400) / 10,
        }
        for at in range(PART)
    ]
    with tempfile.TemporaryDirectory() as made:
        folder = Folder(made)

        def write() -> None:
            with folder.writing("part.parquet") as file:
                write_parquet(rows, file)

        costs["part_write_seconds"] = seconds_of(write)
        costs["row_bytes"] = (Path(made) / "part.parquet").stat().st_size / PART
        for number in range(names):
            (Path(made) / f"{number}.png").touch()
        listed: list[str] = []
        costs["name_list_seconds"] = seconds_of(lambda: listed.extend(list_films([made]))) / names
        asked = [AskedFilm(name, BOY) for name in listed]
        costs["name_keep_seconds"] = seconds_of(lambda: keep_list(asked, folder)) / names
        costs["name_bytes"] = (Path(made) / FILMS).stat().st_size / names
        costs["name_block_seconds"] = seconds_of(lambda: blocks_of_list(folder, PART)) / names
    return costs


def commanded(films: list[str], *options: str) -> float:
    """Films a second of one `bonexage predict`, from its start to its end, listing and all."""
    with tempfile.TemporaryDirectory() as made:
        names = Path(made) / "films.txt"
        names.write_text("\n".join(str(Path(film).resolve()) for film in films), encoding="utf-8")
        command = [sys.executable, "-m", "bonexage", "predict", str(names), "--sex", "M"]
        command += ["--out", str(Path(made) / "out.parquet"), *options]
        began = time.perf_counter()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode not in (0, 3):  # 3: some film was refused, which takes its time as well
            sys.exit(done.stderr)
        return len(films) / (time.perf_counter() - began)


def rows(given: argparse.Namespace, costs: dict[str, float]) -> Iterator[Row]:
    """One core, shares at once, and Ray's actors, against one process."""
    films = films_to_read(given.films)
    yield Row("one thread, warm", 1 / costs["film_seconds"], "films a second")
    one = commanded(films)
    yield Row("`predict`, from start to end", one, "films a second")
    if given.no_ray or importlib.util.find_spec("ray") is None:
        return
    part = str(max(1, len(films) // (8 * usable_cores())))
    spread = commanded(films, "--ray", "local", "--part", part)
    few = films[: usable_cores()]
    start = len(few) / commanded(few, "--ray", "local", "--part", "1")
    costs["ray_start_seconds"] = start
    yield Row(
        "`predict --ray local`, from start to end",
        spread,
        "films a second",
        "`predict`, from start to end",
        spread / one,
        remark=f"Ray and its actors take {start:.0f} s to start",
    )
    if len(films) / spread < 2 * start:
        return  # too few films for what is left to say anything
    alone = len(films) / (len(films) / spread - start)
    against = "`predict`, from start to end"
    yield Row("the same without that start", alone, "films a second", against, alone / one, GOAL_OF_RAY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--names", type=int, default=20000, help="empty files that are listed")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    given = parser.parse_args()
    about: dict[str, Any] = machine()
    costs = unit_costs(films_to_read(min(given.films, 200)), given.names)
    about["unit_costs"] = costs
    keep("spreading", "A cluster", rows(given, costs), about)
    print(json.dumps(costs, indent=1))


if __name__ == "__main__":
    main()
