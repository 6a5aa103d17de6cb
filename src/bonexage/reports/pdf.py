"""The report of one film as PDF: the same words and pictures as its page, on A4."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from PIL import Image

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, years_and_months
from bonexage.clinic.sentence import plain_sentence
from bonexage.errors import MissingExtra
from bonexage.reports import scale
from bonexage.reports.film import (
    NO_CAUTIONS,
    TITLE,
    Drawn,
    FilmReport,
    chart,
    facts,
    made_in_words,
    model_facts,
    plate_caption,
    plates_note,
)

if TYPE_CHECKING:
    from reportlab.platypus import Flowable

_POINTS_A_MM: Final = 72 / 25.4
_MARGIN: Final = 12 * _POINTS_A_MM
_WIDTH: Final = 186 * _POINTS_A_MM
_GAP: Final = 6 * _POINTS_A_MM
_HALF: Final = (_WIDTH - _GAP) / 2
_FONT: Final = "DejaVuSans"
_BOLD: Final = "DejaVuSans-Bold"


def check_pdf() -> None:
    """Say before any work whether PDFs can be made.

    Raises:
        MissingExtra: reportlab is not installed.
    """
    if importlib.util.find_spec("reportlab") is None:
        raise MissingExtra("A report as PDF", "report")


def film_pdf(report: FilmReport) -> bytes:
    """The report as the bytes of a PDF; the same report gives the same bytes.

    Raises:
        MissingExtra: reportlab is not installed.
    """
    check_pdf()
    from reportlab.platypus import SimpleDocTemplate, Spacer

    _register_fonts()
    said = report.said
    out = io.BytesIO()
    title = f"{TITLE}: {said.file}, {years_and_months(said.bone_age_months)}"
    sheet = SimpleDocTemplate(
        out,
        pagesize=(210 * _POINTS_A_MM, 297 * _POINTS_A_MM),
        leftMargin=_MARGIN - 6,  # its frame keeps 6 points on each side
        rightMargin=_MARGIN - 6,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=_sound(title),
        subject=DISCLAIMER,
        creator=f"bonexage {__version__}",
        lang="en",
        invariant=1,
    )
    story = [
        _words(TITLE, 15, bold=True),
        _words(said.file, 9),
        _words(DISCLAIMER, 10, bold=True),
        Spacer(1, 4),
        _side_by_side([_words("Bone age", 10.5, bold=True), *_answer(report)], _found(report)),
    ]
    for row in _rows(report):
        story += [Spacer(1, 6), row]
    story += [Spacer(1, 6), _words("The model", 10.5, bold=True), _pairs(model_facts(report), _WIDTH)]
    sheet.build([*story, Spacer(1, 3), _words(made_in_words(report), 7.5)])
    return out.getvalue()


def _answer(report: FilmReport) -> list[Flowable]:
    said = report.said
    return [
        _words(years_and_months(said.bone_age_months), 17, bold=True),
        _words(f"{said.bone_age_months:.1f} months", 9),
        _scale(report),
        _words(scale.legend(said), 7.5),
        _words(plain_sentence(said), 9),
    ]


def _found(report: FilmReport) -> list[Flowable]:
    cautions = [_words(f"• {one.sentence}", 9) for one in report.said.cautions]
    return [
        _pairs(facts(report)[1:], _HALF),
        _words("Cautions", 10.5, bold=True),
        *(cautions or [_words(NO_CAUTIONS, 9)]),
    ]


def _rows(report: FilmReport) -> Iterator[Flowable]:
    """What there is to see, two beside one another; plates that are left over in the whole width."""
    against = chart(report)
    seen: list[list[Flowable]] = []
    tall = (64 if report.explanation and against else 78) * _POINTS_A_MM
    if report.film is not None:
        out = io.BytesIO()
        Image.fromarray(report.film).save(out, format="PNG")
        seen.append([_words("Film", 10.5, bold=True), _picture(out.getvalue(), _HALF, tall)])
    if report.explanation:
        seen.append(_drawn("What moved the answer", report.explanation, tall))
    if against:
        seen.append(_drawn("Against chronological age", against, 60 * _POINTS_A_MM))
    left_over = len(seen) % 2 == 0
    if not left_over:
        seen.append(_plates(report, _HALF, across=3))
    for left, right in zip(seen[::2], seen[1::2], strict=True):
        yield _side_by_side(left, right)
    if left_over:
        yield from _plates(report, _WIDTH, across=6)


def _drawn(heading: str, drawn: Drawn, height: float) -> list[Flowable]:
    return [_words(heading, 10.5, bold=True), _picture(drawn.png, _HALF, height), _words(drawn.caption, 7.5)]


def _plates(report: FilmReport, width: float, across: int) -> list[Flowable]:
    if not report.plates:
        return []
    each = width / across
    height = (18 if len(report.plates) > across else 36) * _POINTS_A_MM
    cells = [
        [
            _picture(plate.path.read_bytes(), each - 6, height),
            _words(plate_caption(plate), 7),
        ]
        for plate in report.plates
    ]
    rows = [cells[at : at + across] for at in range(0, len(cells), across)]
    grid = [row + [[]] * (across - len(row)) for row in rows]
    return [
        _words("Beside the atlas", 10.5, bold=True),
        _table(grid, [each] * across, right_padding=6),
        _words(plates_note(report), 7.5),
    ]


def _scale(report: FilmReport) -> Flowable:
    """The marks of the scale, as wide as half the sheet."""
    from reportlab.graphics.shapes import Drawing, Group, Polygon, PolyLine, String
    from reportlab.lib.colors import Color

    times = _HALF / scale.WIDTH
    drawing = Drawing(_HALF, scale.HEIGHT * times)
    group = Group(transform=(times, 0, 0, -times, 0, scale.HEIGHT * times))
    for mark in scale.marks(report.said):
        if isinstance(mark, scale.Label):
            drawing.add(
                String(
                    mark.x * times,
                    (scale.HEIGHT - mark.y) * times,
                    mark.text,
                    fontName=_FONT,
                    fontSize=8,
                    textAnchor="middle",
                )
            )
            continue
        corners = [number for point in mark.points for number in point]
        ink = Color(0, 0, 0, alpha=mark.tone)
        line = {"strokeColor": ink if mark.width else None, "strokeWidth": mark.width}
        if mark.fill == "none":
            group.add(PolyLine(corners, **line))
        else:
            group.add(Polygon(corners, fillColor=ink if mark.fill == "ink" else Color(1, 1, 1), **line))
    drawing.add(group)
    return drawing


def _picture(png: bytes, width: float, height: float) -> Flowable:
    """A picture as large as fits, in its own shape."""
    from reportlab.platypus import Image as Placed

    with Image.open(io.BytesIO(png)) as opened:
        times = min(width / opened.width, height / opened.height)
        size = (times * opened.width, times * opened.height)
    return Placed(io.BytesIO(png), *size, hAlign="LEFT")


def _pairs(pairs: Sequence[tuple[str, str]], width: float) -> Flowable:
    first = min(34 * _POINTS_A_MM, width / 3)
    rows = [[_words(name, 8.5, soft=True), _words(value, 8.5)] for name, value in pairs]
    return _table(rows, [first, width - first], right_padding=4)


def _side_by_side(left: list[Flowable], right: list[Flowable]) -> Flowable:
    return _table([[left, "", right]], [_HALF, _GAP, _HALF])


def _table(rows: Sequence[Sequence[Any]], widths: Sequence[float], *, right_padding: float = 0) -> Flowable:
    """Cells with no lines around them."""
    from reportlab.platypus import Table, TableStyle

    plain = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), right_padding),
        ("TOPPADDING", (0, 0), (-1, -1), 0),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ]
    return Table(
        [list(row) for row in rows], list(widths), style=TableStyle(plain), hAlign="LEFT", splitInRow=1
    )


def _words(text: str, size: float, *, bold: bool = False, soft: bool = False) -> Flowable:
    from reportlab.platypus import Paragraph

    return Paragraph(_text(text), _style(size, bold=bold, soft=soft))


def _style(size: float, *, bold: bool = False, soft: bool = False) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.lib.styles import ParagraphStyle

    return ParagraphStyle(
        "words",
        fontName=_BOLD if bold else _FONT,
        fontSize=size,
        leading=1.28 * size,
        spaceBefore=size / 3 if bold else 0,
        spaceAfter=1.5,
        textColor=HexColor("#444444") if soft else HexColor("#000000"),
        splitLongWords=1,
    )


def _text(text: str) -> str:
    """Text for a paragraph, in which nothing is markup."""
    return escape(_sound(text))


def _sound(text: str) -> str:
    """Text with an escape for what no text can hold."""
    return text.encode(errors="backslashreplace").decode()


def _register_fonts() -> None:
    """The fonts that Matplotlib brings: they have every sign that reports use, and may be embedded."""
    import matplotlib as mpl
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    known = pdfmetrics.getRegisteredFontNames()
    for font in (_FONT, _BOLD):
        if font not in known:
            pdfmetrics.registerFont(
                TTFont(font, str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"))
            )
