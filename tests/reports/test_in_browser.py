"""Pages in a real browser: they sort, fit a phone and a sheet of A4, ask for nothing; axe finds no fault."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bonexage.assessment import Assessment, Caution, Failure, Interval, Reading
from bonexage.atlas.plates import read_plates
from bonexage.clinic.growth import score
from bonexage.clinic.series import follow, given_visit
from bonexage.errors import RefusedRadiograph
from bonexage.evaluation.drift import drift
from bonexage.evaluation.drift_page import PAGE, write_drift
from bonexage.evaluation.month import Month
from bonexage.reports.batch import Made, write_reports
from bonexage.reports.item import ReportItem
from bonexage.reports.series import Followed, chart, render
from bonexage.subject import Sex, Subject
from browser import Browser, browser
from hands import drawn_hand
from models import small_bundle

HAND = drawn_hand(240, 180)
DAY = date(2025, 1, 2)
A_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")


def item(name: str, months: float, age: float | None) -> ReportItem:
    subject = Subject(Sex.MALE, age)
    interval = Interval(months - 15, months + 15, 0.9)
    cautions = (Caution("rotated", "The hand lay turned by 40 degrees: it was set upright."),)
    said = Assessment(
        name,
        subject,
        months,
        interval,
        "small@0123456789ab",
        cautions,
        score(months, subject, interval),
        (Reading("M", months, interval),),
    )
    return ReportItem(said, HAND, months=(HAND - 0.5) * 4)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of all, a report of one film, a child's series, and what has moved."""
    folder = tmp_path_factory.mktemp("pages")
    items = [item("b10.png", 99.0, 100.0), item("b9.png", 120.0, None), item("a.png", 31.5, 44.0)]
    error = RefusedRadiograph("no single hand was found in it", remedy="Give a film of one hand")
    bad = ReportItem(Failure("foot.png", Subject(), error, "small@0123456789ab"))
    write_reports([*items, bad], folder, Made("small@0123456789ab", {}, read_plates(), False, DAY))
    visits = [given_visit(age, age - 4, Sex.FEMALE, Interval(age - 20, age + 9, 0.9)) for age in (60, 80, 99)]
    followed = Followed(follow([*visits, given_visit(110, 90, Sex.FEMALE)], Sex.FEMALE, 0.9), (), "none", DAY)
    series = folder / "series.html"
    series.write_text(render(followed, chart(followed)), encoding="utf-8")
    ages = {sex: tuple(float(months) for months in range(30, 210, 6)) for sex in ("F", "M")}
    month = Month("small@0", {"assessed": 60}, {"F": 30, "M": 30}, {"outside-known-ages": 3}, ages)
    moved = drift(month, small_bundle(folder / "small"), month)
    write_drift(moved, folder)
    films = {"all": folder / "report.html", "film": folder / "films/b10.html"}
    return {**films, "series": series, "drift": folder / PAGE}


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def test_a_column_is_sorted_by_its_numbers_up_and_then_down_and_gaps_stay_last(window, pages):
    window.narrow(1000)
    window.open(pages["all"])
    assert window.run("return document.querySelectorAll('table.sortable th button').length") == len(
        window.run("return [...document.querySelectorAll('table.sortable thead th')].map(h => h.textContent)")
    )

    def sorted_by(head: str) -> tuple[list[str], str]:
        window.run(
            "[...document.querySelectorAll('thead button')].find(b => b.innerText === arguments[0]).click()",
            head,
        )
        names = window.run("return [...document.querySelectorAll('tbody th')].map(h => h.textContent)")
        return names, window.run("return document.querySelector('th[aria-sort]').getAttribute('aria-sort')")

    assert sorted_by("Bone age") == (["a.png", "b10.png", "b9.png"], "ascending")
    assert sorted_by("Bone age") == (["b9.png", "b10.png", "a.png"], "descending")
    assert sorted_by("Film") == (["a.png", "b9.png", "b10.png"], "ascending")
    age = "Chronological age (months)"
    assert sorted_by(age) == (["a.png", "b10.png", "b9.png"], "ascending")
    assert sorted_by(age) == (["b10.png", "a.png", "b9.png"], "descending")
    assert {sorted_by("SDS")[0][-1], sorted_by("SDS")[0][-1]} == {"b9.png"}, "what has no score stays last"


@pytest.mark.parametrize("name", ["all", "film", "series", "drift"])
def test_nothing_sticks_out_of_a_phone_of_320_pixels(window, pages, name):
    window.narrow(320)
    window.open(pages[name])
    assert window.run("return document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("name", ["all", "film", "series", "drift"])
def test_a_page_asks_for_nothing_and_breaks_none_of_its_own_rules(window, pages, name):
    window.open(pages[name])
    asked = window.run(
        "return performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))"
    )
    assert asked == []
    assert window.run("return [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert window.complaints() == []


def test_the_report_of_a_film_is_one_sheet_of_a4(window, pages):
    window.narrow(1000)
    window.open(pages["film"])
    printed = window.printed()
    assert len(A_PAGE.findall(printed)) == 1
    box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", printed)
    assert box
    assert [float(side) / 72 * 25.4 for side in box.groups()] == pytest.approx([210, 297], abs=0.5)


@pytest.mark.parametrize("width", [1000, 320])
@pytest.mark.parametrize("name", ["all", "film", "series", "drift"])
def test_axe_finds_nothing_serious(window, pages, name, width):
    where = os.environ.get("AXE_CORE")
    if not where:
        pytest.skip("AXE_CORE does not name axe.min.js: accessibility is not checked by axe")
    window.narrow(width)
    window.open(pages[name])
    found = window.run(
        Path(where).read_text(encoding="utf-8")
        + ";return axe.run(document, {resultTypes: ['violations']})"
        + ".then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 90)]))"
    )
    assert [each for each in found if each[0] in ("serious", "critical")] == []


def test_a_fault_planted_in_a_page_is_found(window, pages, tmp_path):
    page = tmp_path / "wide.html"
    html = pages["film"].read_text(encoding="utf-8")
    page.write_text(
        html.replace("<main>", '<main><img src="https://example.org/x.png"><div style="width:900px">x</div>')
    )
    window.narrow(320)
    window.open(page)
    assert window.run("return document.documentElement.scrollWidth") > 320
    assert any("Content Security Policy" in said for said in window.complaints())


def test_an_item_without_an_age_has_a_page_that_fits_too(window, pages, tmp_path):
    both = (Reading("F", 90.0, None), Reading("M", 110.0, None))
    given = item("u.png", 100.0, None)
    said = replace(given.outcome, subject=Subject(), readings=both)
    write_reports([replace(given, outcome=said)], tmp_path, Made("m@0", {}, read_plates(), False, DAY))
    window.narrow(320)
    window.open(tmp_path / "films/u.html")
    assert window.run("return document.documentElement.scrollWidth") == 320
    assert len(A_PAGE.findall(window.printed())) == 1
