"""The page in a real browser while much happens at once: answers out of order, other languages, odd names."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest

from bonexage.reports.table import FIELDS, row_writer
from bonexage.serving.words import LANGUAGES, words
from browser import Browser
from services import png, served
from windows import (
    added,
    click,
    dropped,
    opened,
    panel,
    read,
    rows,
    saved,
    settled,
    states,
    text,
    whose,
    write,
)

CELLS = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@a", "'@a"),
    ("＝1", "'＝1"),
    ("\tx", "'\tx"),
    ("\rx", '"\'\rx"'),
    (" =1", "' =1"),
    ("x ", "'x "),
    ("'=1", "''=1"),
    ("'x", "'x"),
    ("x;=1", '"x;=1"'),
    ('x"=1', '"x""=1"'),
    ("x,=1", '"x,=1"'),
    ("x-1", "x-1"),
    ("", ""),
]
NOTHING = "Sex and age not stated"
GIRL = "Girl, 10 years 0 months"
# The answers about films are withheld from the page until the test shows them.
WITHHELD = """
window.answers = [];
const send = XMLHttpRequest.prototype.send, open = XMLHttpRequest.prototype.open;
XMLHttpRequest.prototype.open = function (method, address) {
  this.address = address;
  open.apply(this, arguments);
};
XMLHttpRequest.prototype.send = function (form) {
  if (this.address !== "page/films") return send.call(this, form);
  const onload = this.onload;
  this.onload = () => window.answers.push({ sex: form.get("sex"), show: () => onload.call(this) });
  return send.call(this, form);
};
"""
REQUESTS = (
    "return performance.getEntriesByType('resource').filter((one) => one.name.endsWith('page/films')).length"
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_another_language_keeps_films_children_and_results_and_is_as_if_the_page_had_begun_in_it(
    window, service, film, girl, plain, folder, language
):
    bad = folder / "bad.png"
    bad.write_bytes(b"none")

    def filled(page: Browser) -> Browser:
        read(page, film)
        added(page, girl, plain, bad)
        click(page, "#child .over")
        click(page, "#child input[value=M]")
        click(page, "#read")
        settled(page)
        click(page, ".open", 1)
        click(page, ".edit", 2)
        click(page, ".pick input", 2)
        return page

    def shown(page: Browser) -> list[str]:
        outputs = "[...document.querySelectorAll('.sliders output')]"
        page.wait(f"return {outputs}.length && {outputs}.every((each) => each.textContent)")
        page.run("document.getElementById('said').textContent = ''")
        seen: list[str] = page.run(
            "return [document.title, document.documentElement.lang, document.body.innerText,"
            " ...[...document.querySelectorAll('[aria-label], canvas')].map((each) => each.ariaLabel),"
            " ...[...document.querySelectorAll('img')].map((each) => each.alt),"
            " document.querySelector('nav [aria-current]').textContent]"
        )
        return [line for each in seen if each for line in each.splitlines()]

    page = filled(opened(window, service, language))
    expected = shown(page)
    page = filled(opened(window, service, "fr" if language == "en" else "en"))
    write(page, ".row:nth-child(3) .editor .years", "5")
    before = rows(page)
    sent = page.run(REQUESTS)
    click(page, f"nav a[href='?lang={language}']")
    page.wait("return document.documentElement.lang === arguments[0]", words(language).tag)
    assert shown(page) == expected
    assert rows(page) == before
    assert page.run("return document.querySelector('.row:nth-child(3) .editor .years').value") == "5"
    assert page.run("return location.search") == f"?lang={language}"
    again = page.run(REQUESTS)
    assert again == sent, "no film is read again for it"


def test_another_language_while_films_are_read_changes_no_answer(page, film, plain):
    added(page, film, plain)
    click(page, "#child input[value=F]")
    write(page, "#years", "9")
    page.run(WITHHELD)
    click(page, "#read")
    page.wait("return window.answers.length === 2")
    click(page, "nav a[href='?lang=de']")
    page.wait("return document.documentElement.lang === 'de'")
    page.run("window.answers.reverse().forEach((answer) => answer.show())")
    settled(page)
    assert [(row["sex"], row["age_months"]) for row in rows(page)] == [("F", 108.0), ("U", None)]
    assert "bei einem Mädchen" in text(page, "#result")
    assert text(page, "#result h2") == "plate.png"


def test_the_last_of_two_languages_counts_and_a_server_that_is_away_leaves_the_page_as_it_is(
    window, folder, film
):
    with served(folder) as service:
        page = opened(window, service)
        page.run(
            "const real = window.fetch; window.waiting = [];"
            "window.fetch = (...all) =>"
            " new Promise((done) => window.waiting.push(() => done(real(...all))));"
        )
        click(page, "nav a[href='?lang=de']")
        click(page, "nav a[href='?lang=fr']")
        page.run("window.waiting[1]()")
        page.wait("return document.documentElement.lang === 'fr'")
        page.run("window.waiting[0]()")
        page.run("return new Promise((done) => setTimeout(done, 300))")
        assert page.run("return document.documentElement.lang") == "fr"
        read(opened(window, service), film)
    click(window, "nav a[href='?lang=es']")
    window.wait("return /does not answer/.test(document.getElementById('note').textContent)")
    assert window.run("return document.documentElement.lang") == "en"
    assert "Bone age" in text(window, "#result")


def test_answers_that_come_out_of_order_go_to_their_own_films_also_of_one_name(page, film, folder):
    twin = folder / "twin" / film.name
    twin.parent.mkdir(exist_ok=True)
    twin.write_bytes(png(4))
    added(page, film, twin)
    names = page.run("return [...document.querySelectorAll('.row .name')].map((name) => name.textContent)")
    assert names == ["plate.png", "plate (2).png"]
    click(page, "#child input[value=F]")
    write(page, "#years", "9")
    click(page, "#after")
    click(page, "#child input[value=M]")
    write(page, "#years", "13")
    page.run(WITHHELD)
    click(page, "#read")
    page.wait("return window.answers.length === 2")
    page.run("window.answers.sort((one, other) => (one.sex < other.sex ? 1 : -1))")
    page.run("window.answers.forEach((answer) => answer.show())")
    settled(page)
    assert [(row["file"], row["sex"], row["age_months"]) for row in rows(page)] == [
        ("plate.png", "F", 108.0),
        ("plate (2).png", "M", 156.0),
    ]
    click(page, ".open", 1)
    assert "in a boy aged 13 years" in text(page, "#result")


def test_an_answer_for_what_was_changed_meanwhile_is_let_go(page, film):
    added(page, film)
    click(page, "#child input[value=F]")
    page.run(WITHHELD)
    click(page, "#read")
    page.wait("return window.answers.length === 1")
    click(page, "#child input[value=M]")
    page.wait("return window.answers.length === 2")
    page.run("window.answers[0].show()")
    assert states(page) != ["assessed"]
    page.run("window.answers[1].show()")
    settled(page)
    page.run("window.answers[0].show()")
    assert [row["sex"] for row in rows(page)] == ["M"]
    assert text(page, ".row .whom") == "Boy, age not stated"


def test_an_answer_for_another_child_than_was_shown_is_not_taken(page, girl):
    page.run(
        "const open = XMLHttpRequest.prototype.open;"
        "XMLHttpRequest.prototype.open = function (method, address) { open.apply(this, arguments);"
        " if (address === 'page/headers') Object.defineProperty(this, 'response',"
        " { value: { header: { sex: 'U', months: null, notes: {} } } }); };"
    )
    added(page, girl)
    assert whose(page) == [NOTHING]
    click(page, "#child input[value=M]")
    click(page, "#read")
    settled(page)
    assert states(page) == ["failed"], "the server read it as a boy of ten: the age was never shown"
    assert whose(page) == [f"{GIRL} (header)"]
    assert "another sex or age than was shown" in text(page, "#result")
    click(page, ".edit")
    click(page, ".editor .apply")
    settled(page)
    assert [(row["sex"], row["age_months"]) for row in rows(page)] == [("F", 120.0)]


def test_films_that_come_late_do_not_take_the_panel_from_who_writes(page, film, folder):
    added(page, film)
    page.run(
        "window.later = []; const real = Blob.prototype.arrayBuffer;"
        "Blob.prototype.arrayBuffer = function () { return /zip$/.test(this.name ?? '')"
        " ? new Promise((done) => window.later.push(() => done(real.call(this)))) : real.call(this); };"
    )
    archive = folder / "late.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("late.png", png(5))
    page.choose("#files", [archive])
    page.wait("return window.later.length === 1")
    write(page, "#years", "7")
    page.run("window.later[0]()")
    page.wait("return document.querySelectorAll('.row').length === 2")
    assert panel(page)[0] == "plate.png"
    assert whose(page) == ["Sex not stated, 7 years 0 months", NOTHING]
    added(page, film)
    assert panel(page)[0] == "plate (2).png", "a film that is added now is the one to write about"


def test_a_film_is_not_read_before_its_header_is_known(window, folder, girl, film):
    with served(folder) as first:
        port = first.address.rpartition(":")[2]
        page = opened(window, first)
        read(page, film)
    page.choose("#files", [girl])
    page.wait("return !document.getElementById('gone').hidden")
    assert whose(page)[1] == "The film's header is being looked at"
    assert "being looked at" in text(page, "#child-hint")
    click(page, "#child input[value=M]")
    click(page, "#read")
    assert states(page)[1] in ("queued", "held")
    with served(folder, "--port", port):
        click(page, "#try")
        settled(page)
        assert whose(page)[1] == f"{GIRL} (header)", "not what was written before the header was known"
        assert text(page, "#note") == f"girl.dcm: the header says {GIRL}; what was written is not used."
        assert panel(page) == ("girl.dcm", "F", "10", "0")
        assert [(row["sex"], row["age_months"]) for row in rows(page)][1] == ("F", 120.0)


def test_names_show_no_control_signs_and_are_all_different(page):
    names = [
        "a\u202egnp.png",
        "a\u2066gnp.png",
        "tab\there\r\n.png",
        "\u0007",
        "same.png",
        "same.png",
        "Ö\u200d.png",
    ]
    dropped(page, [(name, png(at)) for at, name in enumerate(names)])
    page.wait("return document.querySelectorAll('.row').length === arguments[0]", len(names))
    shown = page.run("return [...document.querySelectorAll('.row .name')].map((name) => name.textContent)")
    assert shown == [
        "a\ufffdgnp.png",
        "a\ufffdgnp (2).png",
        "tab\ufffdhere\ufffd\ufffd.png",
        "\ufffd",
        "same.png",
        "same (2).png",
        "Ö\u200d.png",
    ]
    click(page, "#read")
    settled(page)
    assert states(page) == ["assessed"] * len(names)
    assert [row["file"] for row in rows(page)] == shown
    click(page, "#csv")
    table = saved(page, page.run("return window.saved.length - 1")).decode()
    assert [row["file"] for row in csv.DictReader(io.StringIO(table))] == shown


def test_text_that_a_spreadsheet_would_take_for_a_formula_is_none_in_the_page_s_table(page):
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png", "a=1.png", "'a.png"]
    dropped(page, [(name, png(at)) for at, name in enumerate(names)])
    page.wait("return document.querySelectorAll('.row').length === arguments[0]", len(names))
    click(page, "#select-all")
    write(page, "#batch select.sex", "F")
    write(page, "#batch .years", "15")
    click(page, "#set")
    click(page, "#read")
    settled(page)
    click(page, "#csv")
    table = list(csv.DictReader(io.StringIO(saved(page).decode())))
    assert [row["file"] for row in table] == [
        "'=1+1.png",
        "'+a.png",
        "'-a.png",
        "'@a.png",
        "a=1.png",
        "'a.png",
    ]
    assert all(float(row["sds"]) < 0 for row in table), "a number is no formula"
    script = (
        "return import('/page/static/saving.js').then((made) => made.asCsv(arguments[0], ['file', 'sds']))"
    )
    for name, cell in CELLS:
        assert page.run(script, [{"file": name, "sds": -1.5}]) == f"file,sds\n{cell},-1.5\n"
    made = [{**dict.fromkeys(FIELDS), "file": name, "message": name, "sds": -1.5} for name, _ in CELLS]
    stream = io.StringIO()
    with row_writer(stream, "csv") as write_row:
        for row in made:
            write_row(row)
    script = script.replace("['file', 'sds']", "arguments[1]")
    assert page.run(script, made, list(FIELDS)) == stream.getvalue(), "as the command line writes it"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_axe_finds_nothing_serious_where_children_are_written(
    window, service, film, girl, shots, scheme, width
):
    page = opened(window, service, "de", width)
    page.colours(scheme)
    added(page, girl, film)
    for number in (0, 1):
        click(page, ".edit", number)
    click(page, ".editor .over")
    write(page, ".editor select.kind", "birth")
    click(page, ".pick input", 1)
    click(page, "#set")
    assert page.run("return document.documentElement.scrollWidth") == width
    (shots / f"children-{scheme}-{width}.png").write_bytes(page.picture())
    where = os.environ.get("AXE_CORE")
    if not where:
        pytest.skip("AXE_CORE does not name axe.min.js: accessibility is not checked by axe")
    axe = Path(where).read_text(encoding="utf-8") + (
        ";return axe.run(document, {resultTypes: ['violations']})"
        ".then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 120)]))"
    )
    assert [each for each in page.run(axe) if each[0] in ("serious", "critical")] == []
