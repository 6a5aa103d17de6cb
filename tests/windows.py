"""The page of `bonexage serve` in a browser's window: opened, given films, read, and asked what it shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from browser import Browser
from services import Served

ENDED = "['assessed', 'refused', 'unreadable', 'failed', 'cancelled']"
SAVED = """
window.saved = [];
const real = URL.createObjectURL;
URL.createObjectURL = (blob) => { window.saved.push(blob); return real.call(URL, blob); };
"""
DROP = """
const transfer = new DataTransfer();
for (const [name, text] of arguments[0]) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], name));
}
document.getElementById("drop").dispatchEvent(
  new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
"""


def opened(window: Browser, service: Served, language: str = "en", width: int = 1280) -> Browser:
    window.narrow(width)
    window.colours("light")
    window.go(f"{service.address}/?lang={language}")
    window.run(SAVED)
    return window


def read(window: Browser, *films: Path, sex: str = "F", years: int | None = 10) -> None:
    """Choose films, say whose the first is, and wait until each has come to an end."""
    added(window, *films)
    window.run("document.querySelector(`input[name=sex][value=${arguments[0]}]`).click()", sex)
    window.run("document.getElementById('years').value = arguments[0] ?? ''", years)
    window.run("document.getElementById('read').click()")
    settled(window)


def added(window: Browser, *films: Path) -> None:
    """Choose films, and wait until they are in the list and what their headers state is known."""
    there = len(states(window)) + len(films)
    window.choose("#files", films)
    window.wait("return document.querySelectorAll('.row').length === arguments[0]", there)
    window.wait("return !document.querySelector('.row[data-header=unknown]:not([data-state=failed])')")


def click(window: Browser, selector: str, number: int = 0) -> None:
    window.run("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, number)


def write(window: Browser, selector: str, value: str) -> None:
    """Write into a field or choose in a select as a person does, and leave it."""
    window.run(
        "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
        "for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, { bubbles: true }))",
        selector,
        value,
    )


def whose(window: Browser) -> list[str]:
    """What the list says of each film's child."""
    lines: list[str] = window.run(
        "return [...document.querySelectorAll('.row .whom')].map((each) => each.textContent)"
    )
    return lines


def rows(window: Browser) -> list[dict[str, Any]]:
    """The results as the page saves them."""
    before = window.run("return window.saved.length")
    click(window, "#json")
    made: list[dict[str, Any]] = json.loads(saved(window, before))
    return made


def settled(window: Browser) -> None:
    ended = f"[...document.querySelectorAll('.row')].every((row) => {ENDED}.includes(row.dataset.state))"
    window.wait(f"return {ended}")
    window.wait("return !document.querySelector('.viewer') || document.querySelector('canvas.film')")


def states(window: Browser) -> list[str]:
    given: list[str] = window.run(
        "return [...document.querySelectorAll('.row')].map((row) => row.dataset.state)"
    )
    return given


def text(window: Browser, selector: str) -> str:
    return str(window.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))


def saved(window: Browser, number: int = 0) -> bytes:
    """What the page gave to be saved."""
    window.wait("return window.saved.length > arguments[0]", number)
    coded = window.run(
        "return window.saved[arguments[0]].arrayBuffer()"
        ".then((all) => btoa(Array.from(new Uint8Array(all), (one) => String.fromCharCode(one)).join('')))",
        number,
    )
    return base64.b64decode(coded)


def dropped(window: Browser, films: Sequence[tuple[str, bytes]]) -> None:
    window.run(DROP, [[name, base64.b64encode(content).decode()] for name, content in films])


def panel(page: Browser) -> tuple[str, str, str, str]:
    """The panel's film, sex, years and months."""
    held: list[str] = page.run(
        "return [document.getElementById('whose').textContent,"
        " document.querySelector('#child input[name=sex]:checked').value,"
        " document.getElementById('years').value, document.getElementById('months').value]"
    )
    return held[0], held[1], held[2], held[3]
