"""The page's texts in one language, from the one catalogue of all of them, and numbers as it writes them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Final

CATALOGUE: Final = "words.toml"
LANGUAGES: Final = ("en", "de", "fr", "es", "zh")
DEFAULT: Final = "en"
TAGS: Final[Mapping[str, str]] = {**{each: each for each in LANGUAGES}, "zh": "zh-Hans"}
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Words:
    """The texts of one language.

    Attributes:
        language: one of `LANGUAGES`.
        texts: every text by its key, such as 'drop.here'.
        said: what the package itself says in English, as a pattern, with its text in this language.
    """

    language: str
    texts: Mapping[str, str] = field(repr=False)
    said: tuple[tuple[re.Pattern[str], str], ...] = field(repr=False)

    def __call__(self, key: str, **values: object) -> str:
        """A text with its places filled in."""
        return self.texts[key].format_map(values)

    @property
    def tag(self) -> str:
        """The language as HTML names it."""
        return TAGS[self.language]

    def number(self, value: float, decimals: int = 1) -> str:
        """A number as the language writes it, with a minus where it has one: '126.5', '126,5'."""
        written = f"{round(value, decimals) + 0.0:.{decimals}f}"
        return written.replace("-", "−").replace(".", self("form.decimal"))

    def signed(self, value: float) -> str:
        """A score whose direction counts: '+1.3', '−0.4', and '0.0' for what rounds to nothing."""
        return ("+" if round(value, 1) > 0 else "") + self.number(value)

    def share(self, value: float) -> str:
        """A share as a percentage, with as many digits as it has, up to three."""
        return self("form.share", number=f"{value * 100:.3g}".replace(".", self("form.decimal")))

    def span(self, low_months: float, high_months: float) -> str:
        """The ends of an interval in months, without the unit."""
        return self("form.span", low=self.number(low_months), high=self.number(high_months))

    def months(self, months: float) -> str:
        """'126.5 months'."""
        return self("result.months", number=self.number(months))

    def age(self, months: float) -> str:
        """'10 years 6 months', rounded to whole months first so that they never reach 12."""
        years, rest = divmod(round(months), 12)
        told = {"years": self.counted("form.years", years), "months": self.counted("form.months", rest)}
        return self("form.age", **told)

    def age_with_months(self, months: float) -> str:
        """'10 years 6 months (126.5 months)'."""
        return self("form.age_with_months", age=self.age(months), months=self.months(months))

    def counted(self, key: str, number: int) -> str:
        """A text for one or for several, such as 'state.cautions'."""
        one = number == 1 or (self.language == "fr" and number == 0)
        return self(f"{key}_{'one' if one else 'other'}", number=number)

    def translated(self, english: str) -> str | None:
        """What the package said in English, in this language; None where the catalogue does not have it."""
        if self.language == DEFAULT:
            return english
        for pattern, text in self.said:
            if found := pattern.fullmatch(english):
                return text.format_map({name: self._value(part) for name, part in found.groupdict().items()})
        return None

    def as_sentence(self, text: str) -> str:
        """A text that begins with a capital and ends in a full stop."""
        stop = "" if text.endswith((".", "?", "。")) else self("form.full_stop")
        return text[:1].upper() + text[1:] + stop

    def _value(self, part: str) -> str:
        if _NUMBER.fullmatch(part):
            return part.replace(".", self("form.decimal"))
        return self.translated(part) or part


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every text by its key, in each language."""
    table = files("bonexage.serving").joinpath("pages", CATALOGUE).read_text(encoding="utf-8")
    return {
        f"{group}.{name}": texts
        for group, entries in tomllib.loads(table).items()
        for name, texts in entries.items()
    }


@cache
def words(language: str) -> Words:
    """The texts of a language, one of `LANGUAGES`."""
    texts = {key: each[language] for key, each in catalogue().items()}
    said = [(each[DEFAULT], each[language]) for key, each in catalogue().items() if key.startswith("said.")]
    said.sort(key=lambda pair: -sum(len(letters) for letters, _ in _parts(pair[0])))
    return Words(language, texts, tuple((_pattern(english), text) for english, text in said))


def choose(asked: str | None, accept: str | None) -> str:
    """The language of a page: the one that is asked for, or the first of Accept-Language that there is.

    Args:
        asked: a language by name; one that there is not counts for nothing.
        accept: the header (RFC 9110, section 12.5.4), as it came.
    """
    if asked in LANGUAGES:
        return asked
    ranges = [each.partition(";") for each in (accept or "").split(",")]
    ordered = sorted(ranges, key=lambda each: -_quality(each[2]))  # stable: the first of equals wins
    for tag, _, parameters in ordered:
        language = tag.strip().lower().partition("-")[0]
        if language in LANGUAGES and _quality(parameters) > 0:
            return language
    return DEFAULT


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    return float(value) if re.fullmatch(r"[01](\.\d{0,3})?", value.strip()) else 0.0


def _pattern(english: str) -> re.Pattern[str]:
    """What matches an English text with anything in its places."""
    parts = [
        re.escape(letters) + (f"(?P<{name}>.+?)" if name is not None else "")
        for letters, name in _parts(english)
    ]
    return re.compile("".join(parts), re.DOTALL)


def _parts(text: str) -> Iterator[tuple[str, str | None]]:
    """The letters of a text, each with the name of the place after them."""
    for letters, name, _, _ in Formatter().parse(text):
        yield letters, name
