"""TRUST.md is what its command writes, and says of which model each section is."""

from __future__ import annotations

from pathlib import Path

from write_trust import of_another, page

TRUST = Path(__file__).parents[2] / "TRUST.md"


def test_the_page_is_what_was_measured() -> None:
    assert TRUST.read_text(encoding="utf-8") == page()


def test_a_section_of_another_model_says_so_and_others_do_not() -> None:
    assert "`before`" in "".join(of_another("before", "carried"))
    assert not list(of_another("carried", "carried"))
