"""A region of a page is replaced whole, and nothing else of the page."""

from __future__ import annotations

import pytest

from bonexage.reports.region import with_region, write_region

TEXT = "before\n<!-- it: written by `make it` -->\nold\n<!-- end of it -->\nafter\n"


def test_a_region_is_replaced_and_nothing_else(tmp_path):
    assert with_region(TEXT, "it", "new \\1 | text") == TEXT.replace("old", "new \\1 | text")
    (tmp_path / "page.md").write_text(TEXT)
    write_region(tmp_path / "page.md", "it", "two\nlines")
    assert (tmp_path / "page.md").read_text() == TEXT.replace("old", "two\nlines")


@pytest.mark.parametrize(("text", "name"), [(TEXT, "other"), (TEXT * 2, "it"), (TEXT[:-20], "it")])
def test_a_region_that_is_not_there_once_is_an_error(text, name):
    with pytest.raises(ValueError, match="one region"):
        with_region(text, name, "new")
