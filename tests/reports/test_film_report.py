"""The report of one film says all that was found, as a page and as PDF, and asks for nothing outside."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from datetime import date
from urllib.parse import unquote

import numpy as np
import pytest

from bonexage import __version__
from bonexage.assessment import (
    DISCLAIMER,
    Assessment,
    Caution,
    Failure,
    Interval,
    NearestPlate,
    Reading,
)
from bonexage.atlas.plates import Plate
from bonexage.clinic.growth import score
from bonexage.clinic.sentence import nearest_sentence, plain_sentence
from bonexage.errors import MissingExtra, UnreadableFile
from bonexage.reports import pdf, scale
from bonexage.reports.batch import Made, write_reports
from bonexage.reports.film import film_report
from bonexage.reports.film_page import film_page
from bonexage.reports.item import ReportItem
from bonexage.reports.pdf import film_pdf
from bonexage.subject import Sex, Subject
from films import write_film
from hands import drawn_hand
from pages import Page

HAND = drawn_hand(120, 90)
FIGURES = {"validation": {"all": {"films": 80, "mae_months": {"value": 9.5, "low": 9.0, "high": 10.0}}}}
DAY = date(2025, 1, 2)
INTERVAL = Interval(110.0, 143.0, 0.9)
GIRL = Subject(Sex.FEMALE, 100.0)
SAID = Assessment(
    "girls/hand <1>.png",
    GIRL,
    126.5,
    INTERVAL,
    "carried@0123456789ab",
    (Caution("mirrored", "It was turned round & read."), Caution("edge", "Few films of that age.")),
    score(126.5, GIRL, INTERVAL),
    (Reading("F", 126.5, INTERVAL),),
)
BOTH = replace(
    SAID, subject=Subject(), sds=None, readings=(Reading("F", 95.0, None), Reading("M", 157.0, None))
)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plate, ...]:
    folder = tmp_path_factory.mktemp("plates")
    return tuple(
        Plate(sex, months, 3.0, 20 + at, 0, 12.0, 640, write_film(folder / f"{sex}{at}.png", at), "0" * 64)
        for sex in (Sex.FEMALE, Sex.MALE)
        for at, months in enumerate((90.0, 108.0, 120.0, 132.0, 160.0))
    )


def page_of(said: Assessment, plates: tuple[Plate, ...]) -> Page:
    return Page(film_page(film_report(said, HAND, plates, FIGURES, made=DAY)))


def test_the_page_says_all_that_was_found(plates):
    found = page_of(SAID, plates)
    for wanted in (
        "girls/hand <1>.png",
        "10 years 6 months",
        "126.5 months",
        "110.0 to 143.0 months",
        plain_sentence(SAID),
        "It was turned round & read.",
        "Few films of that age.",
        "8 years 4 months (100.0 months)",
        "Greulich and Pyle 1959",
        "carried",
        "0123456789ab",
        "9.5 months (95% interval 9.0 to 10.0), 80 validation films, all",
        DISCLAIMER,
        "2025-01-02",
    ):
        assert wanted in found.text, wanted
    assert found.open == []


def test_the_plates_below_at_and_above_are_of_the_child_s_sex(plates):
    found = page_of(SAID, plates)
    caption = re.compile(r"(Girl|Boy), (\d+) years (\d+) months, (\d+) films")

    def shown(text: str) -> list[tuple[str, int, int]]:
        return [(sex, 12 * int(y) + int(m), int(films)) for sex, y, m, films in caption.findall(text)]

    assert shown(found.text) == [("Girl", 120, 22), ("Girl", 132, 23), ("Girl", 160, 24)]
    assert plates[3].path.read_bytes() in found.pictures()
    both = [(sex, months) for sex, months, _ in shown(page_of(BOTH, plates).text)]
    assert both == [("Girl", 90), ("Girl", 108), ("Boy", 132), ("Boy", 160)]


def test_the_plate_that_the_film_looks_most_like_is_shown_where_it_disagrees(plates):
    found, alone = plates[0], page_of(SAID, plates)
    unlike = replace(SAID, nearest=NearestPlate("1" * 64, found.sex, found.mean_months))
    marked = (replace(found, sha256="1" * 64), *plates[1:])
    page = page_of(unlike, marked)
    assert nearest_sentence(unlike) in page.text
    assert "the girls' plate of 7 years 6 months" in page.text
    assert found.path.read_bytes() in page.pictures()
    assert found.path.read_bytes() not in alone.pictures()
    assert "looks most like" not in alone.text
    report = film_report(unlike, HAND, marked, FIGURES, made=DAY)
    assert [plate.mean_months for plate in report.plates] == [120.0, 132.0, 160.0, 90.0]
    assert len(re.findall(rb"/Type /Page\b(?!s)", film_pdf(report))) == 1
    # A plate that is shown anyway is not shown twice.
    beside = replace(SAID, nearest=NearestPlate("1" * 64, plates[2].sex, plates[2].mean_months))
    again = (*plates[:2], replace(plates[2], sha256="1" * 64), *plates[3:])
    assert len(film_report(beside, HAND, again, FIGURES, made=DAY).plates) == 3


def test_the_chart_and_the_scale_are_there_and_told_in_words(plates):
    found = page_of(SAID, plates)
    (drawn,) = [image["alt"] for image in found.all("img") if image["alt"].startswith("Chart")]
    assert "at 8 years 4 months bone age 10 years 6 months" in drawn
    (svg,) = found.all("svg")
    assert svg["role"] == "img"
    for wanted in ("Bone age 10 years 6", "90% interval 110.0 to 143.0", "chronological age 100.0"):
        assert wanted in svg["aria-label"]
    without = page_of(replace(SAID, subject=Subject(Sex.FEMALE), sds=None), plates)
    assert "Chronological age not known" in " ".join(without.text.replace("age", "age ").split())
    assert not [image for image in without.all("img") if image["alt"].startswith("Chart")]


def test_a_map_of_what_moved_the_answer_lies_over_the_film_where_there_is_one(plates):
    months = np.zeros(HAND.shape, np.float32)
    months[90, 30] = -3.0
    report = film_report(SAID, HAND, plates, FIGURES, made=DAY, months=months)
    assert report.explanation is not None
    found = Page(film_page(report))
    assert report.explanation.png in found.pictures()
    assert "What moved the answer" in found.text
    (said,) = [image["alt"] for image in found.all("img") if image["alt"].startswith("Map")]
    assert "34% of the width from the left and 75% of the height from the top" in said
    assert "towards a younger hand" in said
    width, height = (int.from_bytes(report.explanation.png[at : at + 4], "big") for at in (16, 20))
    assert re.search(rb"/Height %d\b" % height, film_pdf(report))
    assert width < height
    assert "What moved the answer" not in page_of(SAID, plates).text
    assert film_report(SAID, None, plates, FIGURES, made=DAY, months=months).explanation is None


def test_a_screen_reader_finds_language_landmarks_headings_and_names(plates):
    found = page_of(SAID, plates)
    assert found.all("html") == [{"lang": "en"}]
    assert [len(found.all(landmark)) for landmark in ("header", "main", "footer")] == [1, 1, 1]
    levels = [int(tag[1]) for tag, _ in found.found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert all(image["alt"] for image in found.all("img"))
    assert not found.all("script")
    assert all(image["src"].startswith("data:image/png;base64,") for image in found.all("img"))
    assert not found.all("link")


def test_the_page_names_its_paper(plates):
    html = film_page(film_report(SAID, HAND, plates, FIGURES, made=DAY))
    assert "size: A4" in html
    assert 'name="viewport"' in html
    assert not re.search(r"""(src|href)=["']?(https?:|//|file:)""", html)


@pytest.mark.parametrize("said", [SAID, BOTH, replace(SAID, interval=None, sds=None, cautions=())])
def test_the_pdf_is_one_sheet_of_a4_the_same_each_time(plates, said):
    report = film_report(said, HAND, plates, FIGURES, made=DAY, months=HAND - np.float32(0.5))
    document = film_pdf(report)
    assert document.startswith(b"%PDF-")
    assert document == film_pdf(report)
    assert len(re.findall(rb"/Type /Page\b(?!s)", document)) == 1
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", document)
    assert [float(side) / 72 * 25.4 for side in box] == pytest.approx([210, 297], abs=0.1)
    assert b"/Lang (en)" in document


def test_the_pdf_says_what_the_page_says(plates, monkeypatch):
    told: list[str] = []
    original = pdf._text
    monkeypatch.setattr(pdf, "_text", lambda text: told.append(text) or original(text))
    report = film_report(SAID, HAND, plates, FIGURES, made=DAY)
    film_pdf(report)
    page = " ".join(film_page_text(report).split())
    assert [text for text in told if " ".join(text.removeprefix("• ").split()) not in page] == []
    for wanted in (plain_sentence(SAID), SAID.file, "0123456789ab", "110.0 to 143.0 months"):
        assert any(wanted in text for text in told), wanted


def film_page_text(report) -> str:
    html = film_page(report)
    return Page(re.sub(r"(</?(dt|dd|p|li|h\d|figcaption|small|title|footer)\b[^>]*>)", r"\1 ", html)).text


def test_a_report_that_names_no_day_says_what_made_it(plates):
    report = film_report(SAID, HAND, plates, FIGURES, made=None)
    assert f"Made with bonexage {__version__}." in film_page_text(report)
    assert "Made on" not in film_page_text(report)


def test_the_title_of_a_pdf_is_the_name_and_no_markup(plates):
    said = replace(SAID, file="Tom & Jerry.png")
    document = film_pdf(film_report(said, None, plates, {}, made=DAY))
    assert b"Tom & Jerry.png" in document
    assert b"&amp;" not in document


def test_a_pdf_bears_long_names_many_cautions_and_bytes_that_are_no_text(plates):
    many = tuple(Caution("c", f"{n} The film was <turned> & read again, at length.") for n in range(90))
    said = replace(SAID, file="x" * 300 + "\udcff.png", cautions=many)
    document = film_pdf(film_report(said, None, plates, {}, made=DAY))
    assert len(re.findall(rb"/Type /Page\b(?!s)", document)) > 1


def test_without_its_package_a_pdf_names_the_line_that_installs_it(plates, monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install .*\[report\]"):
        film_pdf(film_report(SAID, HAND, plates, FIGURES, made=DAY))
    with pytest.raises(MissingExtra):
        write_reports([ReportItem(SAID, HAND)], tmp_path, Made("m@0", FIGURES, plates, True, DAY))
    assert list(tmp_path.iterdir()) == []


def test_each_mark_of_the_scale_lies_where_its_months_are():
    marks = list(scale.marks(SAID, known_months=132.0))
    labels = {mark.text: mark.x for mark in marks if isinstance(mark, scale.Label)}
    a_year = (labels["20"] - labels["0"]) / 20
    strokes = [mark for mark in marks if isinstance(mark, scale.Stroke)]

    def years(x: float) -> float:
        return (x - labels["0"]) / a_year

    (answer,) = [mark for mark in strokes if mark.marked]
    assert years(answer.points[0][0]) == pytest.approx(126.5 / 12)
    (bar,) = [mark for mark in strokes if mark.width == 7]
    assert [years(x) for x, _ in bar.points] == pytest.approx([110 / 12, 143 / 12])
    (triangle,) = [mark for mark in strokes if mark.fill == "ink"]
    assert years(triangle.points[0][0]) == pytest.approx(100 / 12)
    (diamond,) = [mark for mark in strokes if mark.fill == "paper"]
    assert years(diamond.points[0][0]) == pytest.approx(132 / 12)
    assert all(0 <= x <= scale.WIDTH and 0 <= y <= scale.HEIGHT for mark in strokes for x, y in mark.points)


def test_a_batch_gets_a_report_a_film_and_a_page_of_all(plates, tmp_path):
    same = [ReportItem(replace(SAID, file=name), HAND) for name in ("a/x.png", "b/X.png", "ä ö/#?.png")]
    bad = ReportItem(Failure("bad.png", Subject(), UnreadableFile("it is empty", remedy="Mend it"), "m@0"))
    write_reports([*same, bad], tmp_path, Made("m@0", FIGURES, plates, True, DAY))
    index = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    links = {unquote(link["href"]) for link in index.all("a") if not link["href"].startswith("#")}
    made = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "films").iterdir()}
    assert made == links
    assert len(made) == 6
    assert len({name.casefold() for name in made}) == 6
    assert "bad.png, unreadable: it is empty. Mend it." in index.text
    for name, item in zip(("x", "X-2"), same, strict=False):
        assert item.title in Page((tmp_path / f"films/{name}.html").read_text(encoding="utf-8")).text


def test_a_film_without_a_picture_has_its_report(plates):
    found = Page(film_page(film_report(SAID, None, plates, {}, made=DAY)))
    assert not [image for image in found.all("img") if image["alt"].startswith("The radiograph")]
    assert "not measured" in found.text


def test_a_large_film_is_shown_small_enough(plates):
    report = film_report(SAID, np.zeros((3000, 2000), np.float32), plates, FIGURES, made=DAY)
    assert report.film is not None
    assert report.film.shape == (900, 600)
