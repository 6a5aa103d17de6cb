"""The page as the service gives it: in the reader's language, under its own policy, with a film's result."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from bonexage import __version__
from bonexage.assessment import Assessment, Caution, Failure, Interval, Reading
from bonexage.atlas.plates import read_plates
from bonexage.clinic.growth import score, standard_deviation_months
from bonexage.errors import RefusedRadiograph, UnreadableFile
from bonexage.radiograph import Stated
from bonexage.reading import images
from bonexage.reports.heat import overlay
from bonexage.reports.table import FIELDS
from bonexage.serving.growth_svg import growth_svg
from bonexage.serving.page import HOME, POLICY, named, page_html
from bonexage.serving.pane import Seen, panes
from bonexage.serving.words import LANGUAGES, words
from bonexage.subject import Sex, Subject
from dicoms import as_bytes, dataset
from hands import drawn_hand
from services import png, running, settings

HAND = drawn_hand(240, 180)
VOID = {"meta", "link", "input", "img", "br", "rect"}


class Balance(HTMLParser):
    """Whether every element is closed where it was opened, and what attributes there are."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag, tag


def said(months: float = 134.4, age: float | None = 120.0, sex: Sex = Sex.FEMALE) -> Assessment:
    subject, interval = Subject(sex, age), Interval(months - 20, months + 20, 0.9)
    sexes = (Sex.FEMALE, Sex.MALE) if sex is Sex.UNKNOWN else (sex,)
    readings = tuple(Reading(each.value, months, interval) for each in sexes)
    cautions = (Caution("rotated", "The hand lay turned by 40 degrees: it was set upright."),)
    sds = score(months, subject, interval)
    return Assessment("<b>.png", subject, months, interval, "small@0123456789ab", cautions, sds, readings)


def shown(seen: Seen, language: str = "en") -> dict[str, str]:
    made: dict[str, dict[str, str]] = json.loads(panes(seen, read_plates(), {}))["panes"]
    return made[language]


def pictures(seen: Seen) -> dict[str, Image.Image]:
    made = json.loads(panes(seen, read_plates(), {}))["pictures"]
    prefix = "data:image/png;base64,"
    return {
        name: Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(prefix)))) for name, uri in made.items()
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with running(settings(tmp_path_factory.mktemp("page"))) as made:
        yield made


def test_the_page_is_in_the_language_that_the_browser_asks_for_or_the_reader_chose(client: TestClient):
    for language in LANGUAGES:
        for answer in (
            client.get("/", headers={"Accept-Language": f"{language},en;q=0.1"}),
            client.get("/", params={"lang": language}, headers={"Accept-Language": "pl"}),
        ):
            assert f'<html lang="{words(language).tag}">' in answer.text
            assert f">{words(language)('page.title')}</h1>" in answer.text
            assert answer.headers["content-language"] == words(language).tag
            assert answer.headers["vary"] == "Accept-Language"


def test_the_page_names_model_and_purpose_and_links_every_language(client: TestClient):
    page = client.get("/", params={"lang": "fr"}).text
    assert client.get("/v1/model").json()["name"] in page
    assert page.count(words("fr")("page.disclaimer")) >= 2
    assert re.findall(r'href="\?lang=(\w+)"', page) == list(LANGUAGES)
    assert re.search(r'lang=fr" [^>]*aria-current="true"', page)
    assert "$" not in page
    assert Balance(page).open == []


def test_the_page_says_whether_the_service_keeps_what_it_is_sent(tmp_path: Path):
    template = (HOME / "page.html").read_text(encoding="utf-8")
    model = SimpleNamespace(model="m@0")
    for kept, key in ((None, "page.privacy"), (tmp_path, "page.kept")):
        service = SimpleNamespace(settings=settings(tmp_path, keep=kept), bundle=model)
        for language in LANGUAGES:
            assert escape(words(language)(key)) in page_html(template, words(language), service)


@pytest.mark.parametrize("heic", [True, False])
def test_the_page_offers_only_what_is_installed(
    monkeypatch: pytest.MonkeyPatch, client: TestClient, heic: bool
):
    monkeypatch.setattr(images, "_reads_heic", lambda: heic)
    for language in LANGUAGES:
        given = client.get("/", params={"lang": language}).text
        switched = client.get(f"/page/words/{language}").json()["texts"]["drop.kinds"]
        assert "WebP, AVIF" in switched
        assert ("HEIC" in switched) is heic
        assert escape(switched) in given


def test_the_page_s_policy_lets_nothing_in_from_elsewhere_and_nothing_inline(client: TestClient):
    answer = client.get("/")
    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    assert not re.search(r"https?://", answer.text)
    assert not re.search(r"<style|<script(?![^>]*src=)", answer.text)
    inline = {each for each in Balance(answer.text).attributes if each == "style" or each.startswith("on")}
    assert inline == set()


def test_all_that_the_page_asks_for_is_there_and_nothing_else(client: TestClient):
    page = client.get("/").text
    asked = re.findall(r'(?:href|src)="(page/[^"]+)"', page)
    scripts = {name.split("/")[-1] for name in asked if name.endswith(".js")}
    for _ in range(3):
        texts = [client.get(f"/page/static/{name}").text for name in scripts]
        scripts |= {name for text in texts for name in re.findall(r'from "\./(\w+\.js)"', text)}
    for path in [f"/{name}" for name in asked] + [f"/page/static/{name}" for name in scripts]:
        assert client.get(path).status_code == 200, path
    assert client.get("/page/static/page.css").headers["content-type"].startswith("text/css")
    assert client.get("/page/static/page.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/page/plates/F-120.png").headers["content-type"] == "image/png"
    for path in ("/page/static/none.js", "/page/plates/plates.csv", "/page/static/..%2fpage.html"):
        assert client.get(path).status_code == 404, path


def test_a_film_s_result_has_its_row_and_what_the_page_shows_of_it_in_every_language(client: TestClient):
    fields = {"sex": "F", "age_months": "120"}
    files = {"file": ("hand.png", png(3))}
    answer = client.post("/page/films", files=files, data=fields)
    assert answer.status_code == 200
    made = answer.json()
    assert made["row"] == client.post("/v1/assessments", files=files, data=fields).json()[0]
    assert set(made["panes"]) == set(LANGUAGES)
    for language, pane in made["panes"].items():
        texts = words(language)
        assert pane["age"] == texts.age(made["row"]["bone_age_months"])
        assert pane["age"] in pane["html"]
        assert made["row"]["model"] in pane["text"]
        assert texts("page.disclaimer") in pane["text"]
        assert "hand.png" not in pane["html"] + pane["text"], "the page knows which film it sent"
    assert made["panes"]["de"]["text"].startswith("Das Knochenalter beträgt ")
    assert set(made["pictures"]) == set(re.findall(r'data-picture="(\w+)"', made["panes"]["en"]["html"]))


HEADERS = [
    ({"PatientSex": "F", "PatientAge": "010Y"}, "F", 120.0),
    ({"PatientSex": "M", "PatientAge": "030D"}, "M", 30 / (365.25 / 12)),
    ({"PatientSex": "M", "PatientBirthDate": "20160115"}, "M", 3653 / (365.25 / 12)),
    ({"PatientSex": "O"}, "U", None),
    ({}, "U", None),
]


@pytest.mark.parametrize(("elements", "sex", "months"), HEADERS)
def test_what_a_header_states_is_told_before_the_film_is_read_and_is_what_it_is_then_read_as(
    client: TestClient, elements: dict[str, str], sex: str, months: float | None
):
    files = {"file": ("a.dcm", as_bytes(dataset(**elements)))}
    header = client.post("/page/headers", files=files).json()["header"]
    assert (header["sex"], header["months"]) == (sex, pytest.approx(months) if months else None)
    made = client.post("/page/films", files=files).json()
    assert made["header"] == {**header, "notes": made["header"]["notes"]}
    assert made["row"]["sex"] == sex
    assert made["row"]["age_months"] == (round(months, 1) if months else None)


def test_what_to_be_wary_of_in_a_header_is_told_before_the_film_is_read_in_every_language(client: TestClient):
    film = as_bytes(dataset(PatientSex="F", PatientAge="999Y"))
    header = client.post("/page/headers", files={"file": ("a.dcm", film)}).json()["header"]
    assert header["months"] is None
    for language in LANGUAGES:
        (note,) = header["notes"][language]
        row = client.post("/v1/assessments", files={"file": ("a.dcm", film)}).json()[0]
        (english,) = [each for each in row["caution_sentences"] if "header's age" in each]
        assert note == words(language).as_sentence(words(language).translated(english) or "")


@pytest.mark.parametrize("film", [png(), b"", b"no picture", as_bytes(dataset())[:200]])
@pytest.mark.parametrize("name", ["a.png", "a.dcm", "a"])
def test_a_file_without_a_header_that_can_be_read_states_nothing(client: TestClient, film: bytes, name: str):
    answer = client.post("/page/headers", files={"file": (name, film)})
    assert answer.status_code == 200
    nothing = {"sex": "U", "months": None, "notes": {language: [] for language in LANGUAGES}}
    assert answer.json() == {"header": nothing}


def test_a_look_at_a_header_is_no_assessment_and_is_not_kept(tmp_path: Path):
    kept = tmp_path / "kept"
    with running(settings(tmp_path, keep=kept)) as client:
        files = {"file": ("a.dcm", as_bytes(dataset(PatientSex="F")))}
        assert client.post("/page/headers", files=files).json()["header"]["sex"] == "F"
        assert not kept.exists()
        assert 'bonexage_films_total{status="assessed"} 1' not in client.get("/metrics").text
        assert client.post("/page/films", files=files).status_code == 200
        assert len(list(kept.glob("*/*/1.film"))) == 1
        assert 'bonexage_films_total{status="assessed"} 1' in client.get("/metrics").text


def test_the_texts_of_another_language_are_those_of_the_page_in_it(client: TestClient):
    for language in LANGUAGES:
        texts = client.get(f"/page/words/{language}").json()
        page = client.get("/", params={"lang": language}).text
        assert texts["tag"] == words(language).tag
        assert escape(json.dumps(texts["texts"], ensure_ascii=False)) in page
        named = re.findall(r'data-say="([\w.]+)"[^>]*>([^<]*)<', page)
        named += [
            (key, text) for text, key in re.findall(r'aria-label="([^"]*)" data-label="([\w.]+)"', page)
        ]
        assert len(named) > 60
        for key, text in named:
            assert escape(texts["texts"][key]) == text, key
    assert client.get("/page/words/xx").status_code == 404


def test_every_text_of_the_page_stands_where_the_scripts_can_change_its_language():
    template = (HOME / "page.html").read_text(encoding="utf-8")
    left = re.sub(
        r"data-say=\"[\w.]+\">\$\{[\w.]+\}|aria-label=\"\$\{[\w.]+\}\" data-label", "", named(template)
    )
    assert re.findall(r"\$\{([\w.]+)\}", left) == ["page.title"], "the title, which the scripts write"


@pytest.mark.parametrize(
    ("film", "status", "key"),
    [
        (b"no picture", "unreadable", "said.not_a_picture"),
        (as_bytes(dataset(Modality="MR")), "refused", "said.no_radiograph_of"),
    ],
)
def test_a_film_without_a_bone_age_says_why_and_what_to_do(client: TestClient, film, status, key):
    answer = client.post(
        "/page/films",
        files={"file": ("a.dcm" * (film != b"no picture") or "a.png", film)},
    )
    given = answer.json()["panes"]["es"]
    assert (answer.status_code, answer.json()["row"]["status"], given["age"]) == (200, status, "")
    why = words("es").texts[key].partition("{")[0]
    assert why in given["html"]
    assert why in given["text"]
    assert words("es")("result.what_to_do") in given["html"]
    assert 'lang="en"' not in given["html"]


def test_a_request_that_cannot_be_obeyed_is_a_problem_told_in_the_page_s_language(client: TestClient):
    answer = client.post("/page/films", files={"file": ("a.png", png())}, data={"sex": "X"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()["said"]) == set(LANGUAGES)
    two = client.post("/page/films", files=[("file", ("a.png", png())), ("file", ("b.png", png()))])
    assert (two.status_code, two.json()["said"]["en"]) == (
        400,
        "A result is of one film. Send the films one by one.",
    )
    big = client.post(
        "/page/headers",
        content=b"x" * 40_000_000,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert big.status_code == 413
    assert big.json()["said"]["de"].startswith("Die Datei hat mehr als 32 MB. ")


def test_without_scripts_the_form_itself_gives_a_report(client: TestClient):
    page = client.get("/").text
    form = page[page.index('<form id="entry"') : page.index("</form>")]
    assert 'action="v1/assessments" method="post" enctype="multipart/form-data"' in form
    assert set(re.findall(r'name="(\w+)"', form)) == {"file", "sex"}
    accept = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    files = {"file": ("hand.png", png(3))}
    report = client.post("/v1/assessments", files=files, data={"sex": "F"}, headers=accept)
    assert report.headers["content-type"].startswith("text/html")
    assert "Bone age report" in report.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sex", Sex)
def test_a_result_is_well_formed_and_escapes_what_it_is_given(language: str, sex: Sex):
    for age in (None, 0.0, 120.0, 1440.0):
        given = shown(Seen(said(age=age, sex=sex), HAND, (HAND - 0.5) * 4), language)
        balance = Balance(given["html"])
        assert balance.open == []
        assert not {each for each in balance.attributes if each == "style" or each.startswith("on")}
        assert "<b>" not in given["html"]
        assert "b>.png" not in given["html"] + given["text"]
        assert "small" in given["html"]
        assert "0123456789ab" in given["html"]
        assert __version__ in given["html"]
        turned = words(language).translated("The hand lay turned by 40 degrees: it was set upright.")
        assert turned
        assert turned in given["html"]
        assert turned in given["text"]


def test_the_plates_beside_a_result_are_the_nearest_of_each_reading():
    girls = re.findall(r"page/plates/(\w)-(\d+)\.png", shown(Seen(said(), HAND))["html"])
    assert [sex for sex, _ in girls] == ["F", "F", "F"]
    assert min(abs(float(age) - 134.4) for _, age in girls) <= 6
    both = re.findall(r"page/plates/(\w)-", shown(Seen(said(sex=Sex.UNKNOWN), HAND))["html"])
    assert sorted(both) == ["F", "F", "F", "M", "M", "M"]


def test_the_film_of_a_result_is_the_picture_itself_and_its_map_has_its_shape():
    made = pictures(Seen(said(), HAND, (HAND - 0.5) * 4))
    film, laid = made["film"], made["map"]
    assert np.array_equal(np.asarray(film), np.rint(HAND * 255).astype(np.uint8))
    assert laid.mode == "RGBA"
    assert laid.width / laid.height == pytest.approx(film.width / film.height, rel=0.02)


def test_a_map_alone_is_clear_where_nothing_moved_the_answer_and_coloured_where_something_did():
    months = np.zeros((100, 80), np.float32)
    months[20:30, 40:50] = -2.0
    laid = overlay(months, 100)
    pixels = np.asarray(Image.open(io.BytesIO(laid.png)))
    assert pixels.shape == (100, 80, 4)
    assert pixels[80, 10, 3] == 0
    red, _, blue, opacity = pixels[25, 45].tolist()
    assert opacity > 150
    assert blue > red
    assert (laid.most_months, laid.older) == (2.0, False)
    assert laid.across == pytest.approx(40.5 / 80)
    assert laid.down == pytest.approx(20.5 / 100)


def test_a_failure_without_a_worker_s_word_and_one_in_no_catalogue_are_shown_in_english_and_marked_so():
    failed = Failure("a.png", Subject(), UnreadableFile("it is <odd>", remedy="Do this"), "m@0")
    html = shown(Seen(failed), "zh")["html"]
    assert '<span lang="en">It is &lt;odd&gt;。</span>' in html
    refused = Failure(
        "a.png", Subject(), RefusedRadiograph("it shows more than one hand", remedy="Check the path"), "m@0"
    )
    assert words("zh")("state.refused") in shown(Seen(refused, HAND), "zh")["html"]


AS_HEADER, ENTERED = "as the film's header says", "as entered; the film's header says:"
STATED = [
    (Subject(Sex.FEMALE, 120.0), f"Girl, {AS_HEADER}", f"(120.0 months), {AS_HEADER}"),
    (Subject(Sex.MALE, 120.04), f"Girl, {ENTERED} Boy", AS_HEADER),
    (Subject(Sex.UNKNOWN, 126.0), "<dd>Girl</dd>", f"{ENTERED} 10 years 6 months (126.0 months)"),
    (Subject(Sex.FEMALE, None), f"Girl, {AS_HEADER}", "<dd>10 years 0 months (120.0 months)</dd>"),
    (Subject(), "<dd>Girl</dd>", "<dd>10 years 0 months (120.0 months)</dd>"),
]


@pytest.mark.parametrize(("stated", "sex", "age"), STATED)
def test_a_result_tells_what_its_film_s_header_says_of_sex_and_age(stated: Subject, sex: str, age: str):
    html = unescape(shown(Seen(said(), stated=Stated(stated)))["html"])
    assert sex in html
    assert age in html
    for language in LANGUAGES:
        other = shown(Seen(said(), stated=Stated(Subject(Sex.MALE, 90.0))), language)["html"]
        assert words(language).age_with_months(90.0) in unescape(other)


def point(svg: str, kind: str) -> list[float]:
    found = re.search(rf'class="{kind}" d="M([^"]+)"', svg)
    assert found
    return [float(number) for number in re.findall(r"-?[\d.]+", found[1])]


@pytest.mark.parametrize("age", [30.0, 120.0, 170.0])
def test_the_chart_puts_age_bone_age_interval_and_band_where_its_own_numbers_say(age: float):
    svg = growth_svg(said(months=age + 14, age=age), words("en"))
    ticks = [
        (float(x), int(year))
        for x, year in re.findall(r'<text x="([\d.]+)" y="292" text-anchor="middle">(\d+)<', svg)
    ]
    (x0, year0), (x1, year1) = ticks[0], ticks[-1]
    scale = (x1 - x0) / (year1 - year0) / 12
    cx, cy = (float(each) for each in re.findall(r'class="point" cx="([\d.]+)" cy="([\d.]+)"', svg)[0])
    assert cx == pytest.approx(x0 + scale * (age - 12 * year0), abs=0.2)
    heights = {int(y): float(at) for at, y in re.findall(r'y="([\d.]+)" text-anchor="end">(\d+)<', svg)}
    tall = (heights[year0] - heights[year1]) / (year1 - year0) / 12
    assert cy == pytest.approx(heights[year0] - 4 - tall * (age + 14 - 12 * year0), abs=0.2)
    _, low, high, *_ = point(svg, "whisker")
    assert low - high == pytest.approx(40 * tall, abs=0.3)
    band = point(svg, "band")
    corners = list(zip(band[::2], band[1::2], strict=True))
    at_age = [y for x, y in corners if abs(x - cx) < 1.6 * scale]
    spread = standard_deviation_months(age, Sex.FEMALE)
    assert spread
    assert max(at_age) - min(at_age) == pytest.approx(4 * spread * tall, rel=0.15)


def test_without_a_chronological_age_there_is_no_chart():
    assert growth_svg(said(age=None), words("en")) == ""
    assert 'class="growth"' not in shown(Seen(said(age=None), HAND))["html"]
    assert 'class="band"' not in growth_svg(said(sex=Sex.UNKNOWN), words("en"))


def test_the_page_hands_its_scripts_the_fields_and_the_limit_of_the_service(client: TestClient):
    page = client.get("/").text
    assert f'data-fields="{",".join(FIELDS)}"' in page
    most = int(re.findall(r'data-most-bytes="(\d+)"', page)[0])
    assert 0.99 * 32_000_000 < most < 32_000_000
