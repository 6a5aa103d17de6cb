"""The command that looks at data before it is used: check-data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bonexage.cli.front import SOME_UNUSABLE, Model, Threads, app
from bonexage.cli.outcomes import counting, note, say
from bonexage.errors import UnusableData

if TYPE_CHECKING:
    from bonexage.evaluation.findings import DataState

NAMED: Final = 20


@app.command(
    epilog="Examples:\n\nbonexage check-data rsna\n\n"
    "bonexage check-data rsna --out checked/ --write-clean clean.csv"
)
def check_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data folder in the RSNA layout.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for the page, its picture and check.json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    write_clean: Annotated[
        Path | None, typer.Option(help="CSV to write: the training labels without those at fault.")
    ] = None,
    model: Model = None,
    threads: Threads = None,
) -> None:
    """List every fault of a data folder: labels, files, duplicates, leakage, doubtful labels."""
    from bonexage.evaluation import checks_page
    from bonexage.evaluation.checks import check_folder, clean_csv
    from bonexage.model.assessor import Assessor
    from bonexage.model.bundle import load_bundle
    from bonexage.reports.text import footer
    from bonexage.reports.writing import write_whole

    assessor = Assessor(load_bundle(model), threads=threads)
    with counting() as advance:
        state = check_folder(folder, assessor, progress=advance, say=note)
    text = json.dumps(state.as_dict(), indent=1, allow_nan=False)
    if out is not None:
        drawn = checks_page.picture(state)
        write_whole(out / "ages-by-sex.png", drawn)
        write_whole(out / "check.json", text + "\n")
        write_whole(out / "check.html", checks_page.render(state, drawn))
        note(f"Page: {out / 'check.html'}")
    say(text if as_json else _told(state))
    if write_clean is not None:
        clean = state.clean_training_labels()
        if not clean:
            raise UnusableData(
                "no training label is left without a fault",
                remedy="Mend what is listed and check again",
                subject=str(folder),
            )
        write_whole(write_clean, clean_csv(clean))
        note(f"{len(clean)} training labels without a fault: {write_clean}")
    note(footer(state.model))
    if state.errors:
        raise typer.Exit(SOME_UNUSABLE)


def _told(state: DataState) -> str:
    """The state for a terminal: a page of lines, with so many findings of each kind."""
    from bonexage.evaluation.checks_page import facts, verdict
    from bonexage.evaluation.findings import KINDS

    lines = []
    for split in state.splits:
        lines += [
            f"{split.split.capitalize()} split",
            *(f"  {name}: {value}" for name, value in facts(split)),
        ]
    for code, findings in state.by_kind.items():
        kind = KINDS[code]
        weight = "ERROR" if kind.must_mend else "warning"
        lines.append(f"{weight}: {kind.heading} ({len(findings):,}). {kind.remedy}.")
        lines += [f"  {one.split or 'both splits'}: {one.sentence}" for one in findings[:NAMED]]
        if len(findings) > NAMED:
            lines.append(f"  and {len(findings) - NAMED:,} more, which --json or --out lists")
    lines.append(verdict(state))
    return "\n".join(lines)
