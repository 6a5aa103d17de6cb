"""The page in a real browser: dropped, read, refused, cut off, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bonexage.reading.files import read_radiograph
from bonexage.reports.table import FIELDS, row_writer
from bonexage.serving.words import LANGUAGES, words
from browser import Browser
from dicoms import as_bytes, dataset
from films import write_film
from services import png, served
from windows import dropped, opened, read, saved, settled, states, text

TAB, ENTER, SHIFT, RIGHT, SPACE = "\ue004", "\ue007", "\ue008", "\ue014", " "


def test_films_that_are_dropped_are_read_and_the_first_is_shown_as_in_its_report(page, film, shots):
    dropped(page, [("plate.png", film.read_bytes()), ("other.png", png(2))])
    page.wait("return document.querySelectorAll('.row').length === 2")
    assert states(page) == ["waiting", "waiting"]
    page.run("document.querySelector('input[name=sex][value=F]').click()")
    page.run("document.getElementById('years').value = 9; document.getElementById('months').value = 6")
    page.run("document.getElementById('read').click()")
    settled(page)
    assert states(page) == ["assessed", "assessed"]
    assert text(page, "#result h2") == "plate.png"
    result = text(page, "#result")
    for told in ("Bone age", "90% interval", "in a girl aged 9 years 6 months", "Composite plates", "small"):
        assert told in result
    assert page.run("return document.querySelectorAll('#result svg.scale, #result svg.growth').length") == 2
    pictures = "return [...document.images].every((image) => image.complete && image.naturalWidth > 0)"
    page.wait(pictures)
    (shots / "result.png").write_bytes(page.picture())


def test_a_film_that_cannot_be_read_and_one_that_is_refused_say_why_and_the_others_go_on(
    page, folder, film, shots
):
    bad, wrong = folder / "notes.png", folder / "mr.dcm"
    bad.write_bytes(b"no picture at all")
    wrong.write_bytes(as_bytes(dataset(Modality="MR")))
    read(page, bad, wrong, film)
    assert states(page) == ["unreadable", "refused", "assessed"]
    assert "Not a PNG" not in text(page, "#result")
    assert "This is not a PNG, JPEG, TIFF, BMP, WebP, AVIF or HEIC picture that can be read." in text(
        page, "#result"
    )
    assert "Save it anew as an 8- or 16-bit grey PNG" in text(page, "#result")
    page.run("document.querySelectorAll('.open')[1].click()")
    assert "is no radiograph" in text(page, "#result")
    assert "What to do" in text(page, "#result")
    assert "1 read, 2 not read" in text(page, "#said")
    (shots / "refused.png").write_bytes(page.picture())


def test_fifty_films_are_read_with_their_progress_and_saved_as_one_table(page, folder, shots):
    films = [write_film(folder / f"film-{number:02}.png", number, 60, 48) for number in range(50)]
    page.run(
        "window.counts = new Set();"
        "new MutationObserver(() => window.counts.add(document.getElementById('count').textContent))"
        ".observe(document.getElementById('count'), { childList: true });"
    )
    read(page, *films, years=None)
    assert states(page) == ["assessed"] * 50
    assert text(page, "#count") == "50 of 50 films done"
    assert page.run("return window.counts.size") > 20
    page.run("document.getElementById('csv').click()")
    rows = list(csv.DictReader(io.StringIO(saved(page).decode())))
    assert list(rows[0]) == list(FIELDS)
    assert [row["file"] for row in rows] == [film.name for film in films]
    page.run("document.getElementById('json').click()")
    same = json.loads(saved(page, 1))
    assert [row["bone_age_months"] for row in same] == [float(row["bone_age_months"]) for row in rows]
    (shots / "fifty.png").write_bytes(page.picture())


def test_reading_can_be_cancelled_and_taken_up_again(page, folder):
    films = [write_film(folder / f"film-{number:02}.png", number, 60, 48) for number in range(20)]
    page.choose("#files", films)
    page.wait("return document.querySelectorAll('.row').length === 20")
    page.run("document.getElementById('read').click()")
    page.wait("return document.querySelector('.row[data-state=assessed]')")
    page.run("document.getElementById('cancel').click()")
    settled(page)
    assert {"assessed", "cancelled"} == set(states(page))
    assert page.run("return document.getElementById('cancel').hidden")
    page.run("document.getElementById('read').click()")
    settled(page)
    assert set(states(page)) == {"assessed"}
    page.run("document.querySelector('.row .drop-out').click()")
    assert len(states(page)) == 19
    page.run("document.getElementById('remove').click()")
    assert states(page) == []


def test_the_results_are_stepped_through_as_the_list_is_at_that_moment(page, folder):
    films = [write_film(folder / f"step-{number}.png", number, 60, 48) for number in range(3)]
    read(page, *films)
    heading = "return document.querySelector('#result h2').textContent"
    assert page.run(heading) == "step-0.png"
    page.run("document.querySelector('#result .next').click()")
    assert page.run(heading) == "step-1.png"
    page.run("document.querySelectorAll('.row .drop-out')[2].click()")
    assert page.run("return document.querySelector('#result .next').disabled")
    page.run("document.querySelectorAll('.row .drop-out')[0].click()")
    assert page.run("return document.querySelector('#result .previous').disabled")
    assert page.run(heading) == "step-1.png"


def test_a_film_in_an_archive_that_unpacks_to_too_much_is_told_of_and_the_others_go_on(page, folder):
    study = folder / "large.zip"
    with zipfile.ZipFile(study, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.png", bytes(40_000_000))
        archive.writestr("small.png", png(1))
    page.choose("#files", [study])
    page.wait("return document.querySelectorAll('.row').length === 2")
    page.run("document.getElementById('read').click()")
    settled(page)
    assert states(page) == ["failed", "assessed"]
    page.run("document.querySelectorAll('.open')[0].click()")
    assert "larger than this server takes" in text(page, "#result")


def test_a_zip_archive_stands_for_the_films_in_it(page, folder):
    study = folder / "study.zip"
    with zipfile.ZipFile(study, "w") as archive:
        archive.writestr("CT/IM1", as_bytes(dataset()), zipfile.ZIP_DEFLATED)
        archive.writestr("b.png", png(1), zipfile.ZIP_STORED)
        archive.writestr("./c/a.png", png(2), zipfile.ZIP_STORED)
        archive.writestr("c\\d", png(3), zipfile.ZIP_DEFLATED)
        archive.writestr("__MACOSX/b.png", b"litter")
        archive.writestr("README", b"text", zipfile.ZIP_DEFLATED)
        archive.writestr("DICOMDIR", b"index")
        archive.writestr("e/more.zip", b"an archive", zipfile.ZIP_DEFLATED)
    broken, empty = folder / "broken.zip", folder / "empty.zip"
    broken.write_bytes(study.read_bytes()[:200])
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("README", b"text")
    page.choose("#files", [study, broken, empty])
    page.wait("return document.querySelectorAll('.row').length === 7")
    names = page.run("return [...document.querySelectorAll('.row .name')].map((name) => name.textContent)")
    assert names == [
        *("study.zip/CT/IM1", "study.zip/b.png", "study.zip/c/a.png", "study.zip/c/d"),
        *("study.zip/e/more.zip", "broken.zip", "empty.zip"),
    ]
    page.run("document.getElementById('read').click()")
    settled(page)
    assert states(page) == ["assessed"] * 4 + ["failed"] * 3
    page.run("document.querySelectorAll('.open')[4].click()")
    assert "an archive in an archive" in text(page, "#result")
    page.run("document.querySelectorAll('.open')[5].click()")
    assert "cannot be unpacked" in text(page, "#result")
    page.run("document.querySelectorAll('.open')[6].click()")
    assert "holds no film" in text(page, "#result")


def test_a_table_and_ages_are_written_by_the_page_as_by_the_command_line(window, service):
    rows = [
        {**dict.fromkeys(FIELDS), "file": 'a "b", c.png', "age_months": 126.0, "sds": 0.47, "coverage": 0.9},
        {**dict.fromkeys(FIELDS), "file": "d.png", "message": "two\nlines", "bone_age_months": 100.5},
    ]
    stream = io.StringIO()
    with row_writer(stream, "csv") as write:
        for row in rows:
            write(row)
    script = "return import('/page/static/saving.js').then((made) => made.asCsv(arguments[0], arguments[1]))"
    months = [at / 2 for at in range(500)]
    ages = "return import('/page/static/words.js').then((made) => arguments[0].map(made.age))"
    for language in LANGUAGES:
        page = opened(window, service, language)
        assert page.run(script, rows, list(FIELDS)) == stream.getvalue()
        assert page.run(ages, months) == [words(language).age(each) for each in months]


def test_a_server_that_goes_away_is_told_of_and_reading_goes_on_when_it_is_back(window, folder, film, shots):
    with served(folder) as first:
        port = first.address.rpartition(":")[2]
        page = opened(window, first)
        read(page, film)
        page.choose("#files", [film, film])
    page.wait("return document.querySelectorAll('.row').length === 3")
    page.run("document.getElementById('read').click()")
    page.wait("return !document.getElementById('gone').hidden")
    page.wait(
        "return document.querySelectorAll('.row[data-state=held], .row[data-state=queued]').length === 2"
    )
    assert "The server does not answer" in text(page, "#gone")
    assert "Waiting for the server" in text(page, "#list")
    assert "Bone age" not in text(page, "#result"), "no other child's result stands there meanwhile"
    page.run("document.querySelector('.open').click()")
    assert "Bone age" in text(page, "#result"), "what was read stays"
    (shots / "gone.png").write_bytes(page.picture())
    with served(folder, "--port", port):
        page.run("document.getElementById('try').click()")
        settled(page)
        assert states(page) == ["assessed"] * 3
        assert page.run("return document.getElementById('gone').hidden")


def test_a_server_with_a_token_is_used_by_who_gives_it_to_the_browser(window, folder, film):
    token = "a-token-that-is-long-enough"
    with served(folder, BONEXAGE_TOKEN=token) as service:
        window.go(service.address)
        assert not window.run("return document.getElementById('files')")
        known = service.address.replace("//", f"//anyone:{token}@")
        page = opened(window, replace(service, address=known))
        read(page, film)
        assert states(page) == ["assessed"]
        there = "return import('/page/static/server.js').then((made) => made.isThere())"
        assert page.run(there) is True


def test_sex_and_age_of_a_film_can_be_changed_and_it_is_read_again(page, film):
    read(page, film, sex="U", years=None)
    assert "without the sex it cannot be compared" in text(page, "#result")
    page.run("document.querySelector('.edit').click()")
    page.run("document.querySelector('.editor select').value = 'M'")
    page.run("document.querySelector('.editor .years').value = 200")
    page.run("document.querySelector('.editor button').click()")
    assert "cannot be" in text(page, ".editor .problem")
    page.run("document.querySelector('.editor .years').value = 8")
    page.run("document.querySelector('.editor button').click()")
    settled(page)
    page.wait("return document.querySelector('.big')")
    assert "in a boy aged 8 years 0 months" in text(page, "#result")
    assert text(page, ".row .whom") == "Boy, 8 years 0 months"


def test_a_date_of_birth_becomes_an_age_in_the_page_and_is_not_sent(page, film):
    page.run(
        "window.sent = []; const real = XMLHttpRequest.prototype.send;"
        "XMLHttpRequest.prototype.send = function (form) { window.sent.push([...form.entries()]"
        ".map(([name, value]) => [name, typeof value === 'string' ? value : value.name]));"
        " real.call(this, form); };"
    )
    page.choose("#files", [film])
    page.run("document.querySelector('#age-kind input[value=birth]').click()")
    page.run("document.getElementById('taken').value = '2020-03-01'")
    page.run("document.getElementById('born').value = '2020-03-02'")
    page.run("document.getElementById('read').click()")
    assert "cannot be older" in text(page, "#age-problem")
    assert states(page) == ["waiting"]
    page.run("document.getElementById('born').value = '2010-03-01'")
    page.run("document.getElementById('read').click()")
    settled(page)
    (sent,) = page.run("return window.sent")
    days = 3653
    assert dict(sent) == {"file": "plate.png", "sex": "U", "age_months": f"{days / (365.25 / 12):.3f}"}


def test_a_result_is_copied_as_text_and_saved_as_json_and_pdf(page, film):
    pytest.importorskip("reportlab")
    read(page, film)
    page.run("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }")
    page.run("document.querySelector('.copy').click()")
    copied = page.wait("return window.copied")
    assert copied.startswith("plate.png\nThe bone age is ")
    assert copied.endswith("For research, not for diagnosis.")
    assert page.wait("return document.getElementById('note').textContent") == "Copied."
    page.run("document.querySelector('.as-json').click()")
    (row,) = json.loads(saved(page))
    assert (row["file"], row["status"], row["sex"]) == ("plate.png", "assessed", "F")
    page.run("document.querySelector('.pdf').click()")
    assert saved(page, 1).startswith(b"%PDF-")


def seen(page: Browser) -> dict[str, object]:
    """How the film is shown."""
    told: dict[str, object] = page.run(
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "const canvas = document.querySelector('canvas.film');"
        "const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
        "let sum = 0; for (let at = 0; at < all.length; at += 4) sum += all[at];"
        "done({ mean: 4 * sum / all.length, turned: document.querySelector('.turned').style.transform,"
        " map: document.querySelector('.map').style.opacity,"
        " window: document.querySelector('.window-range').value,"
        " level: document.querySelector('.level-range').value,"
        " zoom: document.querySelector('.zoom-range').value }); })))"
    )
    return told


def test_the_film_is_windowed_zoomed_moved_and_turned_by_keyboard_and_mouse(page, film):
    read(page, film)
    mean = 255 * float(read_radiograph(film).pixels.mean())
    first = seen(page)
    assert float(str(first["mean"])) == pytest.approx(mean, abs=0.6)
    assert (first["window"], first["level"], first["zoom"], first["map"]) == ("100", "50", "100", "0.6")
    page.run("document.querySelector('.stage').focus()")
    page.press("i")
    assert float(str(seen(page)["mean"])) == pytest.approx(255 - mean, abs=0.6)
    page.press("i", "+", "]", "m", RIGHT)
    after = seen(page)
    assert (after["zoom"], after["map"]) == ("125", "0")
    assert after["turned"] == "translate(40px, 0px) rotate(5deg) scale(1.25)"
    page.press("0")
    page.press(RIGHT, RIGHT, holding=SHIFT)
    assert (seen(page)["window"], seen(page)["mean"]) != (first["window"], first["mean"])
    page.press("0", "m")
    place = page.run(
        "document.querySelector('.stage').scrollIntoView({ block: 'center' });"
        "const box = document.querySelector('.stage').getBoundingClientRect();"
        "return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)]"
    )
    page.drag((place[0], place[1]), (30, -60), button=2)
    windowed = seen(page)
    assert (windowed["window"], windowed["level"]) == ("110", "70")
    page.press("0")
    page.drag((place[0], place[1]), (25, 35))
    assert str(seen(page)["turned"]).startswith("translate(25px, 35px)")
    page.run(
        "const slider = document.querySelector('.map-range'); slider.value = 30;"
        "slider.dispatchEvent(new Event('input'))"
    )
    assert seen(page)["map"] == "0.3"
    page.run("document.querySelector('.reset').click()")
    assert seen(page) == first


def test_two_fingers_zoom_the_film_and_one_moves_the_page_until_it_is_zoomed(window, service, film):
    page = opened(window, service, width=320)
    read(page, film)
    style = "return getComputedStyle(document.querySelector('.stage')).touchAction"
    assert page.run(style) == "pan-y"
    place = page.run(
        "document.querySelector('.stage').scrollIntoView({ block: 'center' });"
        "const box = document.querySelector('.stage').getBoundingClientRect();"
        "return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)]"
    )
    page.pinch((place[0], place[1]), 60, 120)
    assert int(str(seen(page)["zoom"])) == pytest.approx(200, abs=12)
    assert page.run(style) == "none"


def test_all_of_it_is_done_with_the_keyboard_alone(page, film):
    page.choose("#files", [film])
    page.run("document.activeElement.blur()")
    active = "const active = document.activeElement; return active.id || active.value || active.className"
    met: list[str] = []
    while not met or met[-1] != "read":
        page.press(TAB)
        met.append(page.run(active))
        assert len(met) < 40, met
        ring = "const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none'"
        beside = (
            "return getComputedStyle(document.activeElement.nextElementSibling ?? document.activeElement)"
        )
        hidden = "return document.activeElement.matches('.choice input, #files')"
        assert page.run(f"{beside}.outlineStyle !== 'none'" if page.run(hidden) else ring), met
        if met[-1] == "U":
            page.press("\ue012", "\ue012")  # left, to the girl
        if met[-1] == "years":
            page.press("1", "1")
    assert met[0] == "skip"
    page.press(ENTER)
    settled(page)
    assert "in a girl aged 11 years 0 months" in text(page, "#result")
    while page.run(active) != "open":
        page.press(TAB)
    page.press(ENTER)
    assert page.run("return document.activeElement === document.querySelector('#result h2')")
    while page.run(active) != "stage":
        page.press(TAB)
    page.press("+")
    assert seen(page)["zoom"] == "125"


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_sticks_out_of_a_phone_of_320_pixels(window, service, film, shots, language):
    page = opened(window, service, language, width=320)
    assert page.run("return document.documentElement.scrollWidth") == 320
    read(page, film)
    assert page.run("return document.documentElement.scrollWidth") == 320
    assert words(language)("result.plates") in text(page, "#result")
    page.run("document.querySelector('.edit').click()")
    assert page.run("return document.documentElement.scrollWidth") == 320
    (shots / f"phone-{language}.png").write_bytes(page.picture())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320])
def test_axe_finds_nothing_serious(window, service, folder, film, shots, scheme, width):
    where = os.environ.get("AXE_CORE")
    if not where:
        pytest.skip("AXE_CORE does not name axe.min.js: accessibility is not checked by axe")
    page = opened(window, service, "de", width)
    page.colours(scheme)
    bad = folder / "bad.png"
    bad.write_bytes(b"none")
    read(page, film, bad, sex="U")
    page.run("document.querySelector('.edit').click(); document.querySelector('details').open = true")
    axe = (
        Path(where).read_text(encoding="utf-8")
        + ";return axe.run(document, {resultTypes: ['violations']})"
        + ".then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 120)]))"
    )
    found = page.run(axe)
    page.run("document.querySelectorAll('.open')[1].click()")
    found += page.run(axe)
    assert [each for each in found if each[0] in ("serious", "critical")] == []
    (shots / f"{scheme}-{width}.png").write_bytes(page.picture())


def test_nothing_is_asked_of_others_nothing_is_stored_and_no_rule_of_the_page_is_broken(page, service, film):
    page.complaints()
    read(page, film)
    names = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [each for each in names if not each.startswith((service.address, "data:"))] == []
    stored = page.run(
        "return Promise.all([indexedDB.databases(), caches.keys()]).then(([bases, kept]) =>"
        " [localStorage.length, sessionStorage.length, document.cookie, bases.length, kept.length])"
    )
    assert stored == [0, 0, "", 0, 0]
    assert [each for each in page.complaints() if "beforeunload" not in each] == []


def test_a_result_is_printed_on_one_sheet_with_its_purpose(page, film):
    read(page, film)
    printed = page.printed()
    assert printed.count(b"/Type /Page\n") == 1


def test_live_regions_tell_what_happens(page, film):
    heard = (
        "window.heard = []; new MutationObserver(() =>"
        " window.heard.push(document.getElementById('said').textContent))"
        ".observe(document.getElementById('said'), { childList: true });"
    )
    page.run(heard)
    read(page, film)
    told = page.run("return window.heard")
    assert told[0] == "Films added: 1"
    assert told[-1] == "All done: 1 read, 0 not read"
    assert page.run("return document.getElementById('said').getAttribute('role')") == "status"
