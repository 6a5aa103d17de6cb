"""Write BENCHMARKS.md and its picture, and the plan in docs/cluster.md, from `benchmarks/results/`.

Usage: python docs/write_benchmarks.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from bonexage.assessment import DISCLAIMER
from bonexage.reports import sheet
from bonexage.reports.region import with_region

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results"
PICTURE: Final = "docs/benchmarks.png"
PLAN: Final = "plan"
ORDER: Final = ("prediction", "eight_bits", "loading", "training_steps", "training", "spreading", "footprint")
FILMS: Final = 10_000_000
CORES: Final = 100
FILMS_A_PART: Final = 4096

Stored: TypeAlias = Mapping[str, Any]


def read_results(folder: Path) -> dict[str, Stored]:
    """What each benchmark wrote, in the order in which the page tells it; what was not run is missing."""
    paths = {name: folder / f"{name}.json" for name in ORDER}
    return {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.is_file()}


def page(results: Mapping[str, Stored]) -> str:
    """The whole page."""
    parts = [part for name, stored in results.items() for part in section(name, stored)]
    lines = [
        "# Speed",
        "",
        f"Written by `make bench`, which takes about twenty minutes. {DISCLAIMER}",
        "Each ratio is of two things measured in one run, more is better; in bold where it misses its goal.",
        "The limit is what this machine measurably does: multiply-adds of a plain float32 matrix product of",
        "as many threads, or bytes moved in memory. `make bench-check` measures again and fails where a",
        "ratio has fallen by more than a fifth. Above 100% of a limit, the limit was measured a little low.",
        "Films are JPEG of 640 pixels, some 30 kB each; a scanner's DICOM film is many times larger and",
        "takes longer to read.",
        "",
        f"![The ratios, each against what it is measured against]({PICTURE})",
        "",
        *parts,
    ]
    return "\n".join(lines).rstrip() + "\n"


def section(name: str, stored: Stored) -> Iterator[str]:
    """One benchmark's rows."""
    about = stored["about"]
    load = about["load_before"]
    busy = "" if load is None else f", load {load:.1f} before"
    yield from (f"## {stored['title']}", "")
    yield f"{about['cores']} cores, {about['machine']}{busy}: `benchmarks/results/{name}.json`."
    if "multiply_adds_a_second" in about:
        product, moved = about["multiply_adds_a_second"] / 1e9, about["memory_bytes_a_second"] / 1e9
        yield f"Limits: {product:.0f} billion multiply-adds and {moved:.0f} GB a second."
    yield ""
    yield "| | measured | against | ratio | goal | of the limit | |"
    yield "|---|---:|---|---:|---:|---:|---|"
    for row in stored["rows"]:
        yield f"| {' | '.join(cells(row))} |"
    yield ""


def cells(row: Stored) -> Sequence[str]:
    """One row of the table."""
    ratio, goal = row["ratio"], row["goal"]
    said = "" if ratio is None else f"{ratio:.2f}"
    missed = ratio is not None and goal is not None and ratio < goal
    return (
        row["what"],
        f"{number(row['speed'])} {row['unit']}",
        row["against"],
        f"**{said}**" if missed else said,
        "" if goal is None else f"{goal:g}",
        "" if row["of_limit"] is None else f"{row['of_limit']:.0%}",
        row["remark"],
    )


def number(value: float) -> str:
    """Three figures of a number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def picture(results: Mapping[str, Stored]) -> bytes:
    """Each ratio as a bar from 1, on a logarithmic scale, its goal as a mark: PNG."""
    rows = [row for stored in results.values() for row in stored["rows"] if row["ratio"] is not None]
    figure = sheet.new_figure(9.0, 1.2 + 0.26 * len(rows))
    axes = figure.add_subplot()
    places = range(len(rows), 0, -1)
    ratios = [row["ratio"] for row in rows]
    colours = ["#0072b2" if ratio >= 1 else "#8a8a8a" for ratio in ratios]
    axes.barh(list(places), [ratio - 1 for ratio in ratios], left=1.0, color=colours, height=0.62)
    goals = [(row["goal"], place) for row, place in zip(rows, places, strict=True) if row["goal"]]
    if goals:
        axes.plot(*zip(*goals, strict=True), "|", color="#d55e00", markersize=11, mew=2, label="goal")
        axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.set_xscale("log")
    axes.axvline(1.0, color=sheet.INK, lw=0.8)
    axes.set_yticks(list(places), [shortened(row["what"]) for row in rows])
    axes.set_ylim(0.3, len(rows) + 0.7)
    axes.set_xlabel("times as fast as what it is measured against (shares: of the whole)", fontsize=8.5)
    return sheet.as_png(figure)


def shortened(what: str) -> str:
    """A row's name as it fits beside a bar."""
    plain = what.replace("`", "")
    return plain if len(plain) <= 66 else f"{plain[:65]}…"


def plan(costs: Mapping[str, float]) -> str:
    """Ten million films, worked out from what one film, name, row and part measurably cost."""
    core_hours = FILMS * costs["film_core_seconds"] / 3600
    hours = core_hours / CORES
    parts = -(-FILMS // FILMS_A_PART)
    listing = FILMS * (costs["name_list_seconds"] + costs["name_keep_seconds"] + costs["name_block_seconds"])
    part_minutes = FILMS_A_PART * costs["film_core_seconds"] / 60
    memory, writing = costs["actor_megabytes"], 1000 * costs["part_write_seconds"]
    film, row, name = costs["film_bytes"], costs["row_bytes"], costs["name_bytes"]
    rows = [
        ("a film, one core", f"{1000 * costs['film_core_seconds']:.0f} ms", f"{core_hours:,.0f} core hours"),
        (f"so with {CORES} cores", "", f"{hours:.1f} hours"),
        ("bytes of a film", f"{film / 1e3:.0f} kB", f"{FILMS * film / 1e12:.1f} TB"),
        ("read by those cores together", "", f"{FILMS * film / hours / 3600e6:,.0f} MB a second"),
        ("memory of an actor", f"{memory:.0f} MB", f"{CORES * memory / 1e3:,.0f} GB"),
        ("naming a film in the list", f"{1e6 * listing / FILMS:.0f} µs", f"{listing / 60:.0f} minutes, once"),
        ("the list", f"{name:.0f} bytes", f"{FILMS * name / 1e9:.1f} GB"),
        ("a row", f"{row:.0f} bytes", f"{FILMS * row / 1e9:.2f} GB"),
        (f"a part of {FILMS_A_PART:,} films", f"{part_minutes:.1f} minutes", f"{parts:,} parts"),
        ("writing a part", f"{writing:.0f} ms", f"{parts * writing / 60e3:.1f} minutes of a core"),
    ]
    table = [f"| {what} | {one} | {all_of_them} |" for what, one, all_of_them in rows]
    return "\n".join(
        [
            "| | measured, each | ten million films |",
            "|---|---:|---:|",
            *table,
            "",
            f"A lost actor costs a part's time at most, {part_minutes:.1f} minutes of one core; a lost",
            "driver no more for each actor. The last parts keep few actors busy, so take a `--part` that",
            "gives each actor twenty or more. A store of objects lists more slowly than this disk, where",
            "empty files were listed.",
        ]
    )


def main() -> None:
    """Write what there are results for, and name each file."""
    results = read_results(RESULTS)
    if not results:
        raise SystemExit(f"There is nothing in {RESULTS}: make bench measures first.")
    written = {"BENCHMARKS.md": page(results).encode(), PICTURE: picture(results)}
    if costs := results.get("spreading", {}).get("about", {}).get("unit_costs"):
        text = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
        written["docs/cluster.md"] = with_region(text, PLAN, plan(costs)).encode()
    for name, content in written.items():
        (ROOT / name).write_bytes(content)
        print(name)


if __name__ == "__main__":
    main()
