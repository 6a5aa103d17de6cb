"""A table whose rows a reader can sort by any column; without scripts it stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from bonexage.reports.document import scrolling

# Each heading becomes a button. Numbers are compared by `data-value`, texts by their words; an empty cell,
# and one without a number in a column of numbers, stay last whichever way the column is sorted.
SCRIPT: Final = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const compare = new Intl.Collator(undefined, {numeric: true}).compare;
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const keyed = [...table.tBodies[0].rows].map(row => {
        const cell = row.cells[column];
        const number = cell.dataset.value;
        return {row, text: cell.textContent.trim(), number: number === undefined ? null : Number(number)};
      });
      const numeric = keyed.some(each => each.number !== null);
      const empty = each => each.number === null && (numeric || each.text === "");
      keyed.sort((a, b) => empty(a) - empty(b) || way * (
        a.number !== null && b.number !== null ? a.number - b.number : compare(a.text, b.text)));
      table.tBodies[0].append(...keyed.map(each => each.row));
    });
  });
}
"""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the number it is sorted by if it has one, and where it leads to."""

    text: str
    value: float | None = None
    leads_to: str = ""


def sortable(name: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The table as HTML, its first column as the rows' headings; it scrolls on its own where it is wide."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(f"<tr>{_row(cells)}</tr>" for cells in rows)
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return scrolling(table, name)


def _row(cells: Sequence[Cell]) -> str:
    first, *rest = cells
    return f'<th scope="row"{_value(first)}>{_inside(first)}</th>' + "".join(
        f"<td{_value(cell)}>{_inside(cell)}</td>" for cell in rest
    )


def _value(cell: Cell) -> str:
    return "" if cell.value is None else f' data-value="{cell.value:g}"'


def _inside(cell: Cell) -> str:
    text = escape(cell.text)
    return f'<a href="{escape(cell.leads_to)}">{text}</a>' if text and cell.leads_to else text
