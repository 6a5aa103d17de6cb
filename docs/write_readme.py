"""Write the table of results into the README, from every `evaluation/*/evaluation.json`.

Usage: python docs/write_readme.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bonexage.numbers import with_interval
from bonexage.reports.region import with_region

ROOT = Path(__file__).parents[1]
REGION = "results"

HEADINGS = (
    "folder",
    "films",
    "mean absolute error, months",
    "bias, months",
    "within 12 months, %",
    "in the 90% interval, %",
)


def results() -> dict[str, dict[str, Any]]:
    """What was measured, by the name of the data folder."""
    written = sorted((ROOT / "evaluation").glob("*/evaluation.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in written}


def ends(figure: dict[str, float], factor: float = 1, digits: int = 1) -> str:
    """A figure, so many times over, with its interval: '8.6 (8.1 to 9.1)'."""
    return with_interval(figure, lambda value: f"{factor * value:.{digits}f}", name="")


def row(name: str, measured: dict[str, Any]) -> str:
    """One data folder as a row of the table."""
    figures = measured["all"]
    cells = [
        f"[`{name}`](evaluation/{name}/evaluation.html)",
        f"{figures['films']:,}",
        f"**{ends(figures['mae_months'])}**",
        ends(figures["bias_months"]),
        ends(figures["within_12_months"], 100, 0),
        ends(figures["covered"], 100, 0) if figures.get("covered") else "",
    ]
    return f"| {' | '.join(cells)} |"


def table(measured: dict[str, dict[str, Any]]) -> str:
    """The whole table in Markdown, and which model it is of."""
    models = sorted({one["model"] for one in measured.values()})
    return "\n".join(
        [
            f"| {' | '.join(HEADINGS)} |",
            f"|---|{'---:|' * (len(HEADINGS) - 1)}",
            *(row(name, one) for name, one in measured.items()),
            "",
            f"Model `{'`, `'.join(models)}`.",
        ]
    )


def with_results(readme: str) -> str:
    """The README's text with the table between its two markers."""
    measured = results()
    return with_region(readme, REGION, table(measured) if measured else "Nothing was measured yet.")


def main() -> None:
    """Rewrite README.md in place."""
    path = ROOT / "README.md"
    path.write_text(with_results(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
