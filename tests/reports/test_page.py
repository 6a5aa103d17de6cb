"""The page shows every hand with its bone age, asks for nothing outside, and can be read by everyone."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from PIL import Image

from bonexage.assessment import DISCLAIMER, Assessment, Caution, Failure, Interval, StandardDeviationScore
from bonexage.errors import RefusedRadiograph, UnreadableFile, WrongUse
from bonexage.reports import page
from bonexage.reports.item import ReportItem
from bonexage.reports.page import write_report
from bonexage.subject import Sex, Subject
from hands import drawn_hand
from pages import Page

HAND = drawn_hand(120, 90)
MODEL = "carried@0123456789ab"


def assessed(name="hand.png", months=126.5, *, sex=Sex.FEMALE, age=None, picture=HAND, known=None, **more):
    interval = Interval(max(0, months - 12), min(240, months + 12), 0.9)
    said = Assessment(name, Subject(sex, age), months, interval, MODEL, **more)
    return ReportItem(said, picture, known)


def failed(name="bad.png", error=UnreadableFile):
    return ReportItem(Failure(name, Subject(), error("it is no picture", remedy="Give a PNG"), MODEL), HAND)


@pytest.fixture
def written(tmp_path):
    def write(items, **options):
        out = tmp_path / "deep" / "report.html"
        write_report(items, out, model=MODEL, **options)
        return Page(out.read_text(encoding="utf-8"))

    return write


def test_a_card_says_age_interval_cautions_and_score(written):
    found = written(
        [
            assessed(
                age=110.0,
                cautions=(Caution("film-inverted", "The film was turned round."),),
                sds=StandardDeviationScore(1.25, "Greulich and Pyle"),
                known=120.0,
            )
        ],
        known="Plate's own age",
        made=date(2025, 1, 2),
    )
    for wanted in (
        "hand.png",
        "10 years 6 months",
        "(126.5 months)",
        "90% interval",
        "114.5 to 138.5 months",
        "The film was turned round.",
        "+1.2 (Greulich and Pyle)",
        "Plate's own age",
        "120.0 months (+6.5)",
        MODEL,
        DISCLAIMER,
        "2025-01-02",
        "1 film, all assessed.",
    ):
        assert wanted in found.text


@pytest.mark.parametrize(
    ("months", "words"),
    [
        (11.6, "1 year 0 months"),
        (13.0, "1 year 1 month"),
        (0.0, "0 years 0 months"),
        (240.0, "20 years 0 months"),
    ],
)
def test_rounded_months_never_reach_twelve(written, months, words):
    assert words in written([assessed(months=months)]).text


def test_the_page_asks_for_nothing_outside_and_runs_only_the_script_that_its_policy_names(written, tmp_path):
    found = written([assessed(known=120.0, name=f"{n}.png") for n in range(4)] + [failed()])
    assert len(found.all("img")) == 6
    assert all(image["src"].startswith("data:image/png;base64,") for image in found.all("img"))
    assert all(link["href"].startswith("#") for link in found.all("a"))
    assert not found.all("link")
    policy = next(meta["content"] for meta in found.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy
    html = (tmp_path / "deep" / "report.html").read_text(encoding="utf-8")
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2]
    assert not re.search(r"https?:|fetch|XMLHttp|import\b", script)


def test_the_distribution_of_ages_is_drawn_and_told_for_all_films(written, monkeypatch):
    monkeypatch.setattr(page, "MOST_ROWS", 2)
    boys = [assessed(f"b{n}.png", 100.0, sex=Sex.MALE) for n in range(3)]
    found = written([assessed(months=126.5), assessed(months=13.0), *boys, failed()])
    (chart,) = [image["alt"] for image in found.all("img") if "Histogram" in image["alt"]]
    assert "Girls: 1 of 1, 1 of 10 years; Boys: 3 of 8 years." in chart
    assert "5 films by year of bone age as read." in found.text
    assert "Distribution" not in written([assessed(), assessed()]).text


def test_each_film_leads_to_its_own_report(written):
    items = [
        replace(assessed("a.png"), page="films/a.html", pdf="films/a.pdf"),
        replace(assessed("b.png"), page="films/b%20%22.html"),
    ]
    found = written(items)
    links = [link["href"] for link in found.all("a") if not link["href"].startswith("#")]
    assert {"films/a.html", "films/a.pdf", "films/b%20%22.html"} == set(links)


def test_a_cell_carries_the_number_that_its_column_is_sorted_by(written):
    found = written([assessed(months=126.5, age=110.0, sds=StandardDeviationScore(-1.25, "norm"))])
    values = [float(cell["data-value"]) for cell in found.all("td") if "data-value" in cell]
    assert values == [126.5, 24.0, 110.0, -1.25]
    assert [table["class"] for table in found.all("table")] == ["sortable"]


def test_why_films_failed_is_told_before_all_else_and_is_not_crowded_out(written, monkeypatch):
    monkeypatch.setattr(page, "MOST_ROWS", 1)
    found = written([*(assessed(f"{n}.png") for n in range(3)), failed("a.png"), failed("b.png")])
    assert "a.png, unreadable: it is no picture. Give a PNG." in found.text
    assert "1 more film is not on this page" in found.text
    assert "2 more films are not on this page" in found.text
    assert found.text.index("Films without a bone age") < found.text.index("All readings")


def test_names_from_outside_cannot_become_markup(written):
    nasty = '<img src=x onerror=alert(1)>".png'
    found = written([assessed(nasty), failed(nasty)], title=nasty, note=nasty)
    assert found.text.count(nasty) >= 5
    assert not any("onerror" in attrs for _, attrs in found.found)


def test_screen_readers_find_language_texts_headers_and_names(written):
    found = written([assessed(age=100.0, known=120.0)])
    assert found.all("html") == [{"lang": "en"}]
    assert all(image.get("alt") for image in found.all("img"))
    assert all(head.get("scope") in ("col", "row") for head in found.all("th"))
    (scale,) = found.all("svg")
    assert scale["role"] == "img"
    for said in (
        "Bone age 10 years",
        "90% interval 114.5",
        "known bone age 120.0",
        "chronological age 100.0",
    ):
        assert said in scale["aria-label"]
    assert next(level for level, _ in found.found if re.fullmatch(r"h\d", level)) == "h1"
    assert all(region.get("aria-label") for region in found.all("div") if region.get("role") == "region")


def test_every_element_is_closed(written):
    assert written([assessed(known=1.0) for _ in range(4)] + [failed()]).open == []


def test_pages_suit_paper_phones_and_dark_rooms(written, tmp_path):
    written([assessed()])
    html = (tmp_path / "deep" / "report.html").read_text(encoding="utf-8")
    assert "@media print" in html
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_films_without_a_bone_age_are_told_with_what_to_do(written):
    found = written([assessed(), failed(), failed("chest.png", RefusedRadiograph)])
    assert "bad.png, unreadable: it is no picture. Give a PNG." in found.text
    assert "chest.png, refused" in found.text
    assert "3 films: 1 assessed, 1 refused, 1 unreadable." in found.text


def test_films_of_known_age_are_drawn_against_it(written):
    girls = [assessed(f"{n}.png", 100 + n, known=100.0) for n in range(3)]
    found = written([*girls, assessed("boy.png", 90, sex=Sex.MALE, known=88.0)])
    assert "Girls, 3 films: the readings lie 1.0 months from the known ages" in found.text
    assert "Boys, 1 film" in found.text
    assert len([image for image in found.all("img") if "Scatter plot" in image["alt"]]) == 2
    assert "Readings against ages" not in written(girls[:2]).text


def test_hundreds_of_films_make_a_page_of_bearable_size(written, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MOST_PICTURES", 70)
    monkeypatch.setattr(page, "MOST_ROWS", 80)
    found = written(assessed(f"{n}.png", picture=HAND) for n in range(100))
    assert len([image for image in found.all("img") if image["alt"].startswith("Hand")]) == 70
    assert "20 more films" in found.text
    assert "100 films, all assessed." in found.text
    assert (tmp_path / "deep" / "report.html").stat().st_size < 3_000_000


def test_large_films_are_embedded_small(written):
    found = written([assessed(picture=np.random.default_rng(0).random((900, 700), np.float32))])
    source = found.all("img")[0]["src"].removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(source))) as embedded:
        assert embedded.size == (311, 400)
        assert embedded.mode == "L"


def test_of_what_a_film_looked_like_only_its_thumbnail_is_kept():
    large = np.zeros((900, 700), np.float32)
    (item,) = page._keep([replace(assessed(picture=large), months=large)]).assessed
    assert item.picture.nbytes < large.nbytes / 4
    assert item.months is None


def test_nothing_assessed_and_nothing_at_all_are_pages_too(written):
    assert "1 film: 0 assessed, 1 unreadable." in written([failed()]).text
    assert "0 films" in written([]).text


def test_a_film_without_interval_or_picture_has_its_row(written):
    said = Assessment("plain.png", Subject(), 50.0, None, MODEL)
    found = written([ReportItem(said)])
    assert "4 years 2 months (50.0 months)" in found.text
    assert "unknown sex" in found.text
    assert not found.all("img")


def test_a_page_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(WrongUse, match="file"):
        write_report([assessed()], tmp_path / "file" / "report.html", model=MODEL)
    out = tmp_path / "report.html"
    out.write_text("old")

    def stops():
        yield assessed()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(stops(), out, model=MODEL)
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "report.html"}
