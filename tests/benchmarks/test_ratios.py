"""What benchmarks wrote becomes a page that shows a missed goal, and a ratio that fell is found."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import yardstick
from check_ratios import MOST_LOST, changes
from docs.write_benchmarks import CORES, FILMS, ORDER, cells, page, picture, plan, read_results
from yardstick import Row, covered, in_turns, keep

ROOT = Path(__file__).parents[2]
ROW = Row("ours", 250.0, "films a second", "theirs", 2.5, 2.0, 0.4, "a remark")
COSTS = {
    "film_seconds": 0.05,
    "film_core_seconds": 0.04,
    "film_bytes": 50_000.0,
    "actor_megabytes": 200.0,
    "part_write_seconds": 0.02,
    "row_bytes": 8.0,
    "name_list_seconds": 1e-5,
    "name_keep_seconds": 1e-5,
    "name_bytes": 100.0,
    "name_block_seconds": 1e-6,
}


def _kept(folder: Path, name: str, *rows: Row) -> None:
    about = {"cores": 2, "machine": "m", "load_before": 0.1}
    stored = {"title": "A title", "about": about, "rows": [asdict(row) for row in rows]}
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(stored), encoding="utf-8")


def test_a_benchmark_s_rows_are_kept_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(yardstick.RESULTS_VARIABLE, str(tmp_path))
    keep("some", "A title", iter([ROW]), {"cores": 2})
    assert json.loads((tmp_path / "some.json").read_text())["rows"] == [asdict(ROW)]
    assert "2.50" in capsys.readouterr().out


def test_the_page_has_every_row_and_shows_which_miss_their_goals(tmp_path: Path) -> None:
    missed = replace(ROW, what="too slow", ratio=1.5)
    _kept(tmp_path, ORDER[1], ROW)
    _kept(tmp_path, ORDER[0], missed, Row("alone", 0.123, "s"))
    results = read_results(tmp_path)
    assert list(results) == list(ORDER[:2])
    text = page(results)
    assert "| ours | 250 films a second | theirs | 2.50 | 2 | 40% | a remark |" in text
    assert "| too slow | 250 films a second | theirs | **1.50** | 2 | 40% | a remark |" in text
    assert "| alone | 0.123 s |  |  |  |  |  |" in text
    assert picture(results).startswith(b"\x89PNG")


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_ratio_is_marked_exactly_where_it_misses_its_goal(ratio: float, goal: float) -> None:
    said = cells(asdict(replace(ROW, ratio=ratio, goal=goal)))[3]
    assert said.startswith("**") == (ratio < goal)


def test_a_ratio_that_fell_or_is_gone_is_found_and_no_other(tmp_path: Path) -> None:
    then, now = tmp_path / "then", tmp_path / "now"
    names = ("as fast", "a little slower", "much slower", "gone")
    _kept(then, "some", *(replace(ROW, what=name, ratio=2.0) for name in names), Row("no ratio", 1.0, "s"))
    ratios = (2.2, 2.0 * (1 - MOST_LOST) + 0.01, 2.0 * (1 - MOST_LOST) - 0.01)
    _kept(then, "not run now", ROW)
    _kept(now, "some", *(replace(ROW, what=n, ratio=r) for n, r in zip(names, ratios, strict=False)))
    found = {change.what: change.slower for change in changes(then, now)}
    assert found == {"as fast": False, "a little slower": False, "much slower": True, "gone": True}


def test_the_plan_follows_from_the_unit_costs() -> None:
    text = plan(COSTS)
    hours = FILMS * COSTS["film_core_seconds"] / 3600
    assert f"{hours:,.0f} core hours" in text
    assert f"{hours / CORES:.1f} hours" in text
    assert f"{FILMS * COSTS['film_bytes'] / 1e12:.1f} TB" in text


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12))
def test_the_time_that_spans_cover_is_that_of_their_union(spans: list[tuple[int, int]]) -> None:
    seconds = {second for began, length in spans for second in range(began, began + length)}
    assert covered([(float(began), float(began + length)) for began, length in spans]) == len(seconds)


def test_ways_take_turns_and_the_fastest_run_of_each_counts() -> None:
    order: list[str] = []
    taken = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, times=2)
    assert "".join(order) == "ababab"
    assert set(taken) == {"a", "b"}


@pytest.mark.parametrize(
    "script",
    ["prediction", "eight_bits", "loading", "training_steps", "training_speed", "spreading", "footprint"],
)
def test_every_benchmark_that_make_runs_is_there_and_tells_what_it_takes(script: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = next(line for line in makefile.splitlines() if line.startswith("BENCHMARKS :="))
    assert script in listed.split()
    told = (ROOT / "benchmarks" / f"{script}.py").read_text(encoding="utf-8")
    assert f"python benchmarks/{script}.py" in told
    compile(told, script, "exec")


def test_a_check_against_nothing_measured_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "check_ratios.py", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 1
