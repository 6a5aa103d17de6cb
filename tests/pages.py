"""An HTML page as a machine reads it."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

PNG = "data:image/png;base64,"


class Page(HTMLParser):
    """A page's elements with their attributes, its text, and what is left open."""

    VOID = ("meta", "img", "path", "br", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.found if name == tag]

    def pictures(self) -> list[bytes]:
        """The PNGs it embeds."""
        return [base64.b64decode(one["src"].removeprefix(PNG)) for one in self.all("img")]
