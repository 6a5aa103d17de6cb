"""The page of the trials: each trial replaces its own section and no other."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from trials.__main__ import PAGE, TRIALS
from trials.reliability import HEAD, with_section

TITLES = st.sampled_from(["Training", "Training in two processes", "Serving", "A (b) [c]"])
TEXTS = (
    st.lists(st.sampled_from(["One of two.", "", "| a |", "### Deeper", r"\1 and \g<0>"]))
    .map("\n".join)
    .filter(str.strip)
)


@given(st.lists(st.tuples(TITLES, TEXTS), min_size=1))
def test_each_section_stands_once_in_its_first_place_with_its_newest_text(
    sections: list[tuple[str, str]],
) -> None:
    page = ""
    for title, text in sections:
        page = with_section(page, title, text)
    last = {title: text.strip() for title, text in sections}  # a dict keeps the place of the first
    wanted = HEAD + "".join(f"\n## {title}\n\n{text}\n" for title, text in last.items())
    assert page == wanted


def test_the_page_holds_a_section_of_every_trial_and_no_other() -> None:
    text = Path(PAGE).read_text(encoding="utf-8")
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert sorted(headings) == sorted(name.capitalize() for name in TRIALS)
