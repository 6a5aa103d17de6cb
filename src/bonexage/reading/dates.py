"""Days as headers write them: as the standard asks, and as exporters write them all the same."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

# What may follow a day where a date and a time stand in one element (DT of PS3.5 section 6.2, or ISO 8601).
_TIME: Final = r"(?:[T ]?\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_FORMS: Final = (
    re.compile(r"(\d{4})(\d{2})(\d{2})" + _TIME),
    re.compile(r"(\d{4})[-./](\d{1,2})[-./](\d{1,2})" + _TIME),
)


def day_in(text: str) -> date | None:
    """The day that a text names: 20100131, 2010.01.31, 2010-01-31 or 2010/1/31, perhaps with a time.

    The year comes first: 01/02/2010 is two different days to two different readers, so it is None, as is
    every text that names no day of the calendar.
    """
    for form in _FORMS:
        match = form.fullmatch(text.strip())
        if match:
            try:
                return date(*(int(part) for part in match.groups()))
            except ValueError:
                return None
    return None
