"""Write TRUST.md: what was measured of intervals, refusal, robustness and explanation, from `evaluation/`.

Usage: python docs/write_trust.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from write_readme import ends, results

from bonexage.assessment import DISCLAIMER
from bonexage.model.bundle import load_bundle

ROOT = Path(__file__).parents[1]
EVALUATION = ROOT / "evaluation"
Stored = dict[str, Any]


def read(name: str) -> Stored | None:
    """What a command wrote to `evaluation/NAME/NAME.json`; None where it was not run."""
    path = EVALUATION / name / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown, numbers to the right."""
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def head(title: str, *text: str) -> Iterator[str]:
    """A section's head and what is said before its table."""
    yield from (f"## {title}", "", *text, "")


def percent(figure: Stored, digits: int = 0) -> str:
    """A share with its interval in per cent."""
    return ends(figure, 100, digits)


def intervals(measured: dict[str, Stored]) -> Iterator[str]:
    """Coverage and width of the intervals, by data folder."""
    yield from head(
        "Intervals",
        "How many labels lie in the 90% interval, and how wide it is: `make evaluate`. Departures are cells",
        "of sex and 24 months, by predicted or labelled age, whose share differs from 90%, significant at 1%",
        "in a binomial test with Holm's correction. The last column is the mean width over that of intervals",
        "of one width for all that hold as many labels.",
    )
    yield from table(
        ("folder", "films", "in the interval, %", "mean width, months", "departures", "of one width"),
        (
            (
                f"[`{name}`](evaluation/{name}/evaluation.html)",
                f"{one['all']['films']:,}",
                percent(one["all"]["covered"]),
                ends(one["all"]["interval_width_months"]),
                departures(one["intervals"]),
                ends(one["intervals"]["width_ratio"], digits=2),
            )
            for name, one in measured.items()
            if one.get("intervals")
        ),
    )


def departures(test: Stored) -> str:
    """The cells whose coverage departs from what is promised, in words."""
    found = [
        f"{cell['cell']} {how} ({cell['share']:.0%} of {cell['children']})"
        for how in ("predicted", "labelled")
        for cell in test[f"by_{how}_age"]
        if cell["departs"]
    ]
    return "; ".join(found) or "none"


def widths(measured: Stored) -> Iterator[str]:
    """How wide intervals of other kinds are, on held-out films of the training."""
    yield from head(
        "Kinds of interval",
        "Mean width over that of one width for all, share of labels held, and the cell of sex and 24 months",
        f"held least, on {measured['films']:,} films that the network did not learn from, in "
        f"{measured['divisions']} divisions of the children: `python benchmarks/intervals.py`.",
        "No test film is read. Signs of the film foretell little of the error. Readers answer with ages of",
        "the atlas: an interval that ends at such an age is narrower and holds fewer of the labels between",
        "them (off the heaps), and of bone ages, which do not heap. The carried model's intervals therefore",
        "hold what the labels were rounded from. The ± is",
        "how much the division of the children makes of it, not how much other children would.",
    )
    yield from table(
        (
            "intervals",
            "coverage",
            "width",
            "held, %",
            "off the heaps, %",
            "least by predicted age, %",
            "by labelled age, %",
        ),
        (
            (
                name,
                coverage,
                f"{one['width']:.3f} ± {one['width_error']:.3f}",
                f"{100 * one['held']:.1f}",
                f"{100 * one['held_off_heaps']:.1f}",
                *(
                    f"{100 * one[f'least_by_{how}_age'][1]:.0f}, {one[f'least_by_{how}_age'][0]}"
                    for how in ("predicted", "labelled")
                ),
            )
            for name, by_coverage in measured["methods"].items()
            for coverage, one in by_coverage.items()
        ),
    )


def refusal(measured: Stored) -> Iterator[str]:
    """What is read and what is refused, by kind of picture."""
    yield from head(
        "Refusal",
        "What is read, and what is refused as showing no single hand: `python benchmarks/refusal.py`. In",
        "brackets: exact 95% intervals. The locator learned from the pictures of `not-a-hand`, and from",
        "halves and exchanged tiles of other hands: those rows flatter it; `benchmarks/refusal_left_out.py`",
        "measures it on kinds that it did not learn from.",
    )
    yield from table(
        ("pictures", "number", "rightly read or refused, %"),
        (
            (
                f"{each['kind']}{' (hands)' if each['hands'] else ''}",
                f"{each['pictures']:,}",
                percent({"value": each["share"], "low": each["low"], "high": each["high"]}, 1),
            )
            for each in measured["kinds"]
        ),
    )


def left_out(measured: Stored) -> Iterator[str]:
    """What is refused of kinds that the locator did not learn from."""
    yield from head(
        "Refusal of kinds that were left out",
        "What is refused of a kind of picture by a locator that was trained without it and kinds like it",
        f"({measured['steps']:,} steps), and what passes of hands then: "
        "`python benchmarks/refusal_left_out.py`.",
        "In brackets: exact 95% intervals.",
    )
    yield from table(
        ("without", "pictures", "refused, %", "hands that pass, %"),
        (
            (
                f"{one['kind']}{f' ({group})' if group != one['kind'] else ''}",
                str(one["pictures"]),
                percent({"value": one["share"], "low": one["low"], "high": one["high"]}),
                f"{100 * found['hands']['share']:.0f} of {found['hands']['pictures']}",
            )
            for group, found in measured["groups"].items()
            for one in found["refused"]
        ),
    )


def cautions(measured: Stored) -> Iterator[str]:
    """How often each caution is given, on ordinary films and on those spoilt for it."""
    yield from head(
        "Cautions",
        f"On how many of {measured['films']:,} ordinary films that the network did not learn from a caution",
        f"is given, and on how many of {measured['spoilt_films']} that were spoilt for it: "
        "`python benchmarks/cautions.py`.",
        "No test film is read.",
    )
    spoilt: dict[str, list[Stored]] = {}
    for each in measured["spoilt"]:
        spoilt.setdefault(each["code"], []).append(each)
    yield from table(
        ("caution", "on ordinary films, %", "on spoilt films, %"),
        (
            (
                f"`{code}`",
                f"{100 * share:.1f}",
                "; ".join(
                    f"{each['strength']}: {100 * each['share']:.0f}".removeprefix(": ")
                    for each in spoilt.get(code, ())
                ),
            )
            for code, share in measured["ordinary"].items()
        ),
    )
    apart = measured["likely_to_disagree"]
    if "with" in apart and "without" in apart:
        far, near = (percent(apart[given]["far_apart"]) for given in ("with", "without"))
        yield from (
            f"Model and reader are more than {measured['far_apart_months']:g} months apart on {far} % of the "
            "films with",
            f"`likely-to-disagree`, and on {near} % of the others.",
            "",
        )


def robustness(measured: Stored) -> Iterator[str]:
    """How far readings move under changes of the film."""
    yield from head(
        "Robustness",
        f"How far the readings of {measured['films']} real films move when the film is changed, in months:",
        "`python benchmarks/robustness.py`. Mild changes may move the median by 2 and the 95th percentile",
        "by 6.",
        "",
        "![Shift of the reading by strength of each change](evaluation/robustness/robustness.png)",
    )
    yield from table(
        ("mild change", "strength", "median", "95th percentile", "refused", ""),
        (
            (
                each["change"],
                f"{each['strength']:g}",
                f"{each['median_months']:.1f}",
                f"{each['percentile_95_months']:.1f}",
                str(each["refused"]),
                "**too much**" if each["too_much"] else "",
            )
            for each in measured["shifts"]
            if each["mild"]
        ),
    )


def precision(measured: Stored) -> Iterator[str]:
    """How well readings of a child repeat, by the number of views."""
    pictures = list(next(iter(measured["views"].values()))["precision_months"])
    yield from head(
        "Precision",
        "How well two readings of one child repeat: the standard deviation of their difference over √2, in",
        f"months, on {measured['children']} children who were not learned from. The error is that on",
        f"{measured['validation_films']} validation films: `python benchmarks/precision.py`. The model reads",
        f"{measured['default_views']} views of a hand where nobody asks for another number. In brackets: 95%",
        "bootstrap intervals.",
    )
    yield from table(
        ("views", *pictures, "error, months", "times the time of one view"),
        (
            (
                views,
                *(ends(one["precision_months"][picture], digits=1) for picture in pictures),
                f"{one['validation_mae_months']:.2f}",
                f"{one['time']:.1f}",
            )
            for views, one in measured["views"].items()
        ),
    )


def resolution(measured: Stored) -> Iterator[str]:
    """The error by resolution."""
    yield from head(
        "Resolution",
        f"The error on {measured['films']} films as they lose pixels: `python benchmarks/resolution.py`.",
        "",
        "![Mean absolute difference by the longer side](evaluation/resolution/resolution.png)",
    )


def explanation(measured: Stored) -> Iterator[str]:
    """Whether the map of an explanation shows what moved the answer."""
    yield from head(
        "Explanation",
        "Whether the map of `bonexage explain` shows what moved the answer, on",
        f"{measured['films']} films whose bones were outlined by hand: `python benchmarks/explanation.py`,",
        "which says what each figure is. In brackets: 95% bootstrap intervals.",
    )
    yield from table(
        ("figure", "mean"),
        ((name, ends(figure, digits=2)) for name, figure in measured["figures"].items()),
    )
    yield from (
        "Concentration is the map's share in outlined bone over that bone's share of the film: 1 is chance.",
        "Pointing is the share of films whose strongest place lies at bone. Deletion and insertion are mean",
        "shifts of the reading in months, while the strongest places are blurred first (more is better) or",
        "shown first (less is better). Where the middle of the film does as well or better, the map tells no",
        "more than where the hand lies: take it as a hint.",
        "",
    )


def of_another(model: str, carried: str) -> Iterator[str]:
    """The line that says so where a section was measured with a model that is no longer carried."""
    if model != carried:
        yield from ("", f"Measured with `{model}`, a model before the carried one.")


def page() -> str:
    """The whole page."""
    measured = results()
    parts = {
        "intervals": widths,
        "refusal": refusal,
        "left-out": left_out,
        "cautions": cautions,
        "robustness": robustness,
        "precision": precision,
        "resolution": resolution,
        "explanation": explanation,
    }
    carried = load_bundle().model
    lines = [
        "# What was measured",
        "",
        f"Model `{carried}`. Written by `make trust`; kinds left out, by their own",
        f"command. {DISCLAIMER} The `rsna-*` films are RSNA *training* radiographs kept apart, not the",
        "challenge's own test set; the others are from elsewhere.",
        "",
        *intervals(measured),
    ]
    for name, part in parts.items():
        if found := read(name):
            title, *rest = part(found)
            lines += [title, *of_another(found["model"], carried), *rest]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write TRUST.md."""
    (ROOT / "TRUST.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
