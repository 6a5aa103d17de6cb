"""The HTML document that every page is: its style, its pictures, and nothing asked for from outside."""

from __future__ import annotations

import base64
import hashlib
import io
from html import escape
from typing import Final

from PIL import Image

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --soft: #565656; --line: #c9c9c9;
  --card: #f6f6f4; --mark: #00558c; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #ececec; --soft: #b3b3b3;
  --line: #45494e; --card: #1e2125; --mark: #7cc3f2; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 76rem; padding: 1.25rem clamp(.75rem, 3vw, 2rem) 3rem;
  background: var(--paper); color: var(--ink); overflow-wrap: break-word;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2; margin: .25rem 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 46rem; }
a { color: var(--mark); }
.soft, small { color: var(--soft); }
.disclaimer { border: 2px solid currentColor; border-radius: .3rem; padding: .4rem .75rem; font-weight: 600;
  display: inline-block; }
.films { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(16.5rem, 100%), 1fr));
  padding: 0; margin: 1rem 0; list-style: none; }
.films.small { grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); }
.film { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; overflow: hidden;
  display: flex; flex-direction: column; height: 100%; }
.film .hand { background: #000; display: flex; justify-content: center; }
.film img { display: block; width: auto; max-width: 100%; height: 18rem; object-fit: contain; }
.films.small .film img { height: 11rem; }
.film .said { padding: .6rem .75rem .75rem; display: flex; flex-direction: column; gap: .25rem; }
.film p { margin: 0; }
.film h3 { font-weight: 500; color: var(--soft); font-size: .9rem; }
.film .age { font-size: 1.2rem; font-weight: 650; line-height: 1.25; }
.film .age span { font-size: .85rem; font-weight: 400; color: var(--soft); white-space: nowrap; }
.film dl { margin: 0; font-size: .85rem; }
.film dl div { display: flex; flex-wrap: wrap; justify-content: space-between; column-gap: .6rem; }
.film dt { color: var(--soft); }
.film dd { margin: 0; font-variant-numeric: tabular-nums; }
.film ul { margin: .2rem 0 0; padding-left: 1.1rem; font-size: .9rem; }
svg.scale { width: 100%; max-width: 24rem; height: auto; color: var(--ink); }
svg.scale text { font: 9px system-ui, "Liberation Sans", sans-serif; fill: var(--soft); }
.wide { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
table.sortable button { all: unset; cursor: pointer; text-decoration: underline dotted; font: inherit; }
table.sortable button:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
table.sortable th[aria-sort=ascending] button::after { content: " ▲"; }
table.sortable th[aria-sort=descending] button::after { content: " ▼"; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid currentColor; vertical-align: bottom; }
tbody th { font-weight: 500; }
td.n, th.n { text-align: right; white-space: nowrap; }
td small { white-space: nowrap; }
td .ci { display: block; }
figure { margin: 1rem 0; }
.pair { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }
.pair figure { max-width: 34rem; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; display: block; }
figcaption { font-size: .92rem; color: var(--soft); max-width: 46rem; margin-top: .35rem; }
.facts { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .15rem 1rem; margin: .75rem 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
  .facts { grid-template-columns: 1fr; }
  .facts dd { margin-bottom: .4rem; }
}
@media print {
  :root { --paper: #fff; --ink: #000; --soft: #333; --line: #999; --card: #fff; --mark: #000;
    color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  .film, figure, tr { break-inside: avoid; }
  .films, .films.small { grid-template-columns: repeat(4, 1fr); gap: 3mm; }
  .film img, .films.small .film img { height: 42mm; }
  .film .said { padding: 2mm; gap: .5mm; font-size: 8pt; }
  .film .age { font-size: 10pt; }
  .film h3, .film dl, .film ul, .film .age span { font-size: 7.5pt; }
  .pair { grid-template-columns: 1fr 1fr; }
  figure img { max-height: 100mm; width: auto; }
  figcaption { font-size: 8.5pt; }
  table.short { break-inside: avoid; }
  h2, h2 + p { break-after: avoid; }
  .wide { overflow: visible; }
  table { font-size: 7.6pt; }
  @page { margin: 12mm; }
}
"""


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole HTML document that asks for nothing from outside itself.

    Args:
        title: of the document, as text.
        body: as HTML.
        style: CSS after that of every page.
        script: the one script that may run, by its hash in the page's own policy; '' for none.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
    runs = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n{runs}</body>\n</html>\n"
    )


def png_uri(png: bytes) -> str:
    """PNG bytes as a data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def figure_html(png: bytes, *, alt: str, caption: str) -> str:
    """A figure with its caption; both texts are escaped."""
    with Image.open(io.BytesIO(png)) as image:
        width, height = image.size
    return (
        f'<figure><img src="{png_uri(png)}" alt="{escape(alt)}" width="{width // 2}" '
        f'height="{height // 2}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def scrolling(table: str, name: str) -> str:
    """A table that scrolls sideways on its own where the screen is narrow, by keyboard too."""
    return f'<div class="wide" role="region" aria-label="{escape(name)}" tabindex="0">{table}</div>'
