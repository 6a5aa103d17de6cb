"""The page in a real browser: each film has its own child, and no film is read as another film's child."""

from __future__ import annotations

from windows import added, click, panel, read, rows, settled, states, text, whose, write

NOTHING = "Sex and age not stated"
GIRL = "Girl, 10 years 0 months"
STATES_SEEN = """
window.seen = [];
new MutationObserver((changes) => window.seen.push(...changes.map((each) => each.target.dataset.state)))
  .observe(document.getElementById("list"), { subtree: true, attributeFilter: ["data-state"] });
"""


def test_a_new_film_is_nobody_s_whatever_the_last_child_was(page, film, plain):
    read(page, film)
    assert (whose(page), panel(page)) == ([GIRL], ("plate.png", "F", "10", ""))
    added(page, plain)
    assert (whose(page), panel(page)) == ([GIRL, NOTHING], ("plain.png", "U", "", ""))
    click(page, "#read")
    settled(page)
    assert [(row["file"], row["sex"], row["age_months"]) for row in rows(page)] == [
        ("plate.png", "F", 120.0),
        ("plain.png", "U", None),
    ]
    assert text(page, "#result h2") == "plain.png", "what was read last is shown"
    click(page, "#remove")
    assert panel(page) == ("", "U", "", "")
    assert page.run("return document.getElementById('child').disabled")
    added(page, film)
    assert (whose(page), panel(page)) == ([NOTHING], ("plate.png", "U", "", ""))


def test_a_film_removed_while_it_is_written_about_leaves_nothing_to_the_next(page, film, plain):
    added(page, film)
    write(page, "#years", "7")
    click(page, ".drop-out")
    assert panel(page) == ("", "U", "", "")
    added(page, plain)
    assert whose(page) == [NOTHING]


def test_a_reload_forgets_the_child(page, film):
    added(page, film)
    click(page, "#child input[value=M]")
    write(page, "#years", "7")
    page.run(
        "window.onbeforeunload = null; window.addEventListener('beforeunload', "
        "(event) => event.stopImmediatePropagation(), true); location.reload()"
    )
    page.wait("return document.body.classList.contains('scripted-page') && !document.querySelector('.row')")
    assert panel(page) == ("", "U", "", "")


def test_what_a_header_states_is_shown_before_the_film_is_read_and_is_locked(page, girl, boy, plain, shots):
    added(page, girl, boy, plain)
    assert whose(page) == [f"{GIRL} (header)", "Boy (header), age not stated", NOTHING]
    locked = (
        "return [...document.querySelectorAll('#child .of-sex, #child .of-age')].map((each) => each.disabled)"
    )
    assert (panel(page), page.run(locked)) == (("girl.dcm", "F", "10", "0"), [True, True])
    click(page, "#after")
    assert (panel(page), page.run(locked)) == (("boy.dcm", "M", "", ""), [True, False])
    write(page, "#years", "9")
    click(page, "#after")
    assert (panel(page), page.run(locked)) == (("plain.png", "U", "", ""), [False, False])
    assert whose(page)[1] == "Boy (header), 9 years 0 months"
    (shots / "headers.png").write_bytes(page.picture())
    click(page, "#read")
    settled(page)
    results = rows(page)
    assert [(row["sex"], row["age_months"]) for row in results] == [("F", 120.0), ("M", 108.0), ("U", None)]
    assert not any("disagrees" in row["cautions"] for row in results)
    click(page, ".open")
    assert "Girl, as the film's header says" in text(page, "#result")


def test_a_header_is_overridden_by_a_deliberate_act_alone_and_the_result_says_so(page, girl):
    added(page, girl)
    assert "Override the header: Girl, 10 years 0 months" in text(page, "#child")
    click(page, "#child .over")
    assert panel(page) == ("girl.dcm", "F", "10", "0"), "the header's, to be changed"
    click(page, "#child input[value=M]")
    write(page, "#years", "8")
    overridden = "Boy, 8 years 0 months, instead of the header's: Girl, 10 years 0 months"
    assert whose(page) == [overridden]
    click(page, "#read")
    settled(page)
    assert whose(page) == [overridden]
    result = text(page, "#result")
    for told in (
        "in a boy aged 8 years 0 months",
        "The film's header says girl; it was assessed as a boy, as asked.",
        "Boy, as entered; the film's header says: Girl",
        "as entered; the film's header says: 10 years 0 months",
    ):
        assert told in result
    assert {"sex-disagrees", "age-disagrees"} <= set(rows(page)[0]["cautions"].split(";"))
    click(page, "#child .over")
    settled(page)
    assert whose(page) == [f"{GIRL} (header)"], "taken back, the film is read again as its header says"
    assert "in a girl aged 10 years 0 months" in text(page, "#result")


def test_the_small_editor_of_a_film_locks_its_header_too(page, girl, plain):
    added(page, girl, plain)
    click(page, ".edit")
    assert page.run(
        "return document.querySelector('.editor select').disabled || "
        "document.querySelector('.editor .of-sex').disabled"
    )
    click(page, ".editor .apply")
    assert whose(page)[0] == f"{GIRL} (header)"
    click(page, ".edit")
    click(page, ".editor .over")
    write(page, ".editor .years", "11")
    click(page, ".editor .apply")
    assert whose(page)[0] == f"Girl, 11 years 0 months, instead of the header's: {GIRL}"
    assert panel(page) == ("girl.dcm", "F", "11", "0"), "the panel shows the film as it is now"


def test_a_change_in_the_panel_reads_its_own_film_again_for_all_to_see(page, film, plain):
    read(page, film)
    added(page, plain)
    click(page, ".open")
    assert panel(page)[0] == "plate.png"
    page.run(STATES_SEEN)
    click(page, "#child input[value=M]")
    assert "plate.png is being read again. Boy, 10 years 0 months." in text(page, "#result")
    page.wait("return document.querySelector('#result .big')")
    assert "in a boy aged 10 years 0 months" in text(page, "#result")
    assert {"queued", "sending", "assessed"} <= set(page.run("return window.seen"))
    write(page, "#years", "8")
    page.wait("return document.querySelector('#result .big')")
    assert "in a boy aged 8 years 0 months" in text(page, "#result")
    assert whose(page) == ["Boy, 8 years 0 months", NOTHING]
    assert states(page) == ["assessed", "waiting"]
    write(page, "#years", "200")
    assert "cannot be" in text(page, "#age-problem")
    assert (states(page)[0], whose(page)[0]) == ("assessed", "Boy, 8 years 0 months")


def test_the_small_editor_of_a_film_takes_a_date_of_birth(page, film):
    read(page, film)
    click(page, ".edit")
    write(page, ".editor select.kind", "birth")
    write(page, ".editor .taken", "2020-03-01")
    write(page, ".editor .born", "2020-03-02")
    click(page, ".editor .apply")
    assert "cannot be older" in text(page, ".editor .problem")
    assert states(page) == ["assessed"]
    write(page, ".editor .born", "2011-03-01")
    click(page, ".editor .apply")
    settled(page)
    assert whose(page) == ["Girl, 9 years 0 months"]
    assert "in a girl aged 9 years 0 months" in text(page, "#result")
    click(page, ".edit")
    assert page.run("return document.querySelector('.editor .born').value") == "2011-03-01"


def test_selected_films_are_given_one_child_on_purpose_and_headers_stay(page, film, plain, girl, boy, shots):
    added(page, film, plain, girl, boy)
    for number in (1, 2, 3):
        click(page, ".pick input", number)
    assert "Sex and age for 3 selected films" in text(page, "#batch")
    click(page, "#set")
    assert "Give a sex or an age first" in text(page, "#batch .problem")
    write(page, "#batch select.sex", "M")
    write(page, "#batch .years", "12")
    assert text(page, "#batch .problem") == ""
    (shots / "several.png").write_bytes(page.picture())
    click(page, "#read")
    assert "not set yet" in text(page, "#batch .problem")
    assert set(states(page)) == {"waiting"}, "what is written and not set is not passed over"
    click(page, "#set")
    assert text(page, "#note") == "Films set: 3. Kept as their headers say: 2."
    assert whose(page) == [
        NOTHING,
        "Boy, 12 years 0 months",
        f"{GIRL} (header)",
        "Boy (header), 12 years 0 months",
    ]
    click(page, "#select-all")
    assert page.run("return document.querySelector('#batch .years').value") == "", "nothing is kept"
    write(page, "#batch .years", "6")
    click(page, "#over-headers")
    click(page, "#set")
    assert whose(page) == [
        "Sex not stated, 6 years 0 months",
        "Boy, 6 years 0 months",
        f"Girl, 6 years 0 months, instead of the header's: {GIRL}",
        "Boy, 6 years 0 months",
    ]
    click(page, "#read")
    settled(page)
    assert [(row["sex"], row["age_months"]) for row in rows(page)] == [(sex, 72.0) for sex in "UMFM"]


def test_children_are_written_and_films_selected_with_the_keyboard_alone(page, film, plain, girl):
    added(page, film, plain, girl)
    tab, enter, space = "\ue004", "\ue007", " "
    active = "const active = document.activeElement; return active.id || active.className || active.tagName"
    page.run("document.activeElement.blur()")

    def to(place: str) -> None:
        for _ in range(60):
            if page.run("return document.activeElement.matches(arguments[0])", place):
                return
            page.press(tab)
        raise AssertionError(f"no way to {place}; at {page.run(active)}")

    to("#years")
    page.press("7", enter)
    settled(page)
    assert whose(page)[0] == "Sex not stated, 7 years 0 months"
    to("#select-all")
    page.press(space)
    to("#batch select.sex")
    page.press("B")
    to("#set")
    page.press(space)
    settled(page)
    assert whose(page) == ["Boy, 7 years 0 months", "Boy, age not stated", f"{GIRL} (header)"]
    assert [row["sex"] for row in rows(page)] == ["M", "M", "F"]
