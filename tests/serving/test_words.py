"""The catalogue is whole: every text in every language, and all that the package says of a film."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bonexage
from bonexage.assessment import Assessment, Interval, Reading, years_and_months
from bonexage.clinic.growth import score
from bonexage.clinic.sentence import plain_sentence
from bonexage.numbers import interval_name, percent, signed, span
from bonexage.serving import sentences
from bonexage.serving.words import LANGUAGES, catalogue, choose, words
from bonexage.subject import Sex, Subject

HOME = Path(bonexage.__file__).parent
PAGES = HOME / "serving" / "pages"
SPEAKERS = ("UnreadableFile", "RefusedRadiograph", "MissingExtra", "Caution", "TooManyPixels")
# The modules that an upload passes through; others speak on the command line alone.
ON_A_PAGE = {
    "reading": (
        *(
            "archives",
            "confined",
            "decoder",
            "dicom",
            "dicom_age",
            "dicom_contradictions",
            "dicom_film",
            "dicom_header",
            "dicom_pixels",
        ),
        *("files", "identity", "image_film", "images", "squares"),
    ),
    "model": ("assessor", "cautions", "stated"),
}

months = st.floats(0, 240)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_every_text_is_in_every_language_with_the_same_places():
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        for language, text in texts.items():
            assert text.strip(), (key, language)
            if not key.startswith("said."):
                assert places(text) == places(texts["en"]), (key, language)
            assert places(text) <= places(texts["en"]), (key, language)


def test_no_text_was_left_in_english():
    same = {key for key, texts in catalogue().items() for each in LANGUAGES[1:] if texts[each] == texts["en"]}
    allowed = {
        "form.age",
        "form.age_with_months",
        "form.named",
        "form.full_stop",
        "form.decimal",
        "form.share",
        "child.whom",
    }
    names = {"view.zoom", "result.model_hash", "result.sds", "said.validation", "said.test", "said.document"}
    assert same <= allowed | names | {"sentence.sds_interval"}


def test_every_text_that_the_page_and_its_scripts_ask_for_is_there_and_every_text_is_asked_for():
    page = (PAGES / "page.html").read_text(encoding="utf-8")
    scripts = "".join(each.read_text(encoding="utf-8") for each in sorted((PAGES / "static").glob("*.js")))
    sources = "".join(each.read_text(encoding="utf-8") for each in sorted((HOME / "serving").glob("*.py")))
    sources = re.sub(r"_SCRIPTED: Final = .*", "", sources)  # names groups, and asks for nothing
    asked = set(re.findall(r"\$\{([a-z]+\.\w+)\}", page))
    literal = r"[\"'`]((?:form|state|list|child|server|problem|result)\.\w+)"
    asked |= {key for key in re.findall(literal, scripts) if not key.endswith(("_", "."))}
    assert {key for key in asked if f"{key}_one" not in catalogue()} <= set(catalogue())
    groups = {key.partition(".")[0] for key in catalogue()} - {"said"}
    ended = set(re.findall(rf"[\"'`]((?:{'|'.join(groups)})\.\w*)", page + scripts + sources)) | asked
    ended |= {f"{key}_{many}" for key in ended for many in ("one", "other")}
    wanted = [each for each in ended if each[-1] in "._"]
    idle = {key for key in catalogue() if key not in ended and not key.startswith(("said.", *wanted))}
    assert idle == set(), "nothing asks for them"


def spoken() -> Iterator[tuple[str, str]]:
    """Every sentence that reading and the model can say of a film, its places filled in."""
    for room, name in [(room, name) for room, names in ON_A_PAGE.items() for name in names]:
        path = HOME / room / f"{name}.py"
        module = import_module(f"bonexage.{room}.{name}")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPEAKERS:
                if node.func.id == "MissingExtra":
                    yield path.stem, f"{ast.literal_eval(node.args[0])} needs packages that are not installed"
                    continue
                told = node.args[1] if node.func.id == "Caution" else node.args[0]
                remedies = [each.value for each in node.keywords if each.arg == "remedy"]
                for part in [told, *remedies]:
                    if (text := written(part, module)) is not None:
                        yield path.stem, text


def written(node: ast.expr, module: object) -> str | None:
    """A text as the program writes it, '7' in its places; None where it comes from elsewhere."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(filled(each) for each in node.values)
    if isinstance(node, ast.Name) and isinstance(getattr(module, node.id, None), str):
        return str(getattr(module, node.id))
    return None


def filled(part: ast.expr) -> str:
    """A part of a text; `_named` gives a name in brackets."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    return " (7)" if "_named(" in ast.unparse(part) else "7"


def test_what_the_package_says_of_a_film_is_known_in_every_language():
    pytest.importorskip("pydicom")
    said = set(spoken())
    assert len(said) > 60
    missing = {each for each in said for language in LANGUAGES if words(language).translated(each[1]) is None}
    assert sorted(missing) == []


def test_the_places_of_a_translated_sentence_are_filled_and_written_as_the_language_does():
    english = "The film's header says an age of 100.5 months; 120.0 months were taken, as asked."
    assert "100,5 Monaten" in str(words("de").translated(english))
    assert "120.0个月" in str(words("zh").translated(english))
    english = "The film's header says girl; it was assessed as a boy, as asked."
    assert str(words("fr").translated(english)).count("fille") == 1
    assert str(words("fr").translated(english)).count("garçon") == 1
    assert words("es").translated("A sentence that nobody translated.") is None


def test_no_two_english_sentences_are_taken_for_one_another():
    for key, texts in catalogue().items():
        if not key.startswith("said."):
            continue
        filled = texts["en"].format_map(
            {name: f"x{at}x" for at, name in enumerate(sorted(places(texts["en"])))}
        )
        for language in LANGUAGES[1:]:
            expected = texts[language].format_map(
                {name: f"x{at}x" for at, name in enumerate(sorted(places(texts["en"])))}
            )
            assert words(language).translated(filled) == expected, key


@st.composite
def assessments(draw: st.DrawFn) -> Assessment:
    sex = draw(st.sampled_from(Sex))
    subject = Subject(sex, draw(st.none() | st.floats(0, 260)))
    bone_age = draw(months)
    interval = None
    if draw(st.booleans()):
        interval = Interval(
            max(0.0, bone_age - 9), min(240.0, bone_age + 14), draw(st.sampled_from([0.8, 0.975]))
        )
    sexes = [Sex.FEMALE, Sex.MALE] if sex is Sex.UNKNOWN else [sex]
    readings = tuple(Reading(each.value, bone_age, interval) for each in sexes)
    sds = score(bone_age, subject, interval)
    return Assessment("a.png", subject, bone_age, interval, "m@0", (), sds, readings)


@given(assessments())
def test_the_english_sentence_is_that_of_the_reports(said: Assessment):
    assert sentences.plain_sentence(said, words("en")) == plain_sentence(said)


@given(assessments(), st.sampled_from(LANGUAGES))
def test_a_sentence_in_any_language_holds_the_ages_and_leaves_no_place_open(said: Assessment, language: str):
    told = sentences.plain_sentence(said, words(language))
    assert words(language).age(said.bone_age_months) in told
    assert not re.search(r"[{}]", told)
    if said.subject.sex is not Sex.UNKNOWN and said.subject.age_months is not None:
        assert words(language).age(said.subject.age_months) in told


@given(months, months)
def test_english_numbers_are_written_as_in_the_reports(one: float, other: float):
    english, interval = words("en"), Interval(min(one, other), max(one, other), 0.9)
    assert english.age(one) == years_and_months(one)
    assert english.span(interval.low_months, interval.high_months) == span(interval)
    assert english.share(one / 240) == percent(one / 240)
    assert sentences.interval_name(interval, english) == interval_name(interval)
    assert english.number(one - other, 2) == signed(one - other, 2).removeprefix("+")


def test_numbers_and_ages_are_written_as_each_language_does():
    assert words("de").number(-126.5) == "−126,5"
    assert words("fr").age(1) == "0 an 1 mois"
    assert words("de").age(13) == "1 Jahr 1 Monat"
    assert words("es").age(24.4) == "2 años y 0 meses"
    assert words("zh").age(126) == "10岁6个月"
    assert words("fr").share(0.975) == "97,5\u00a0%"


@pytest.mark.parametrize(
    ("asked", "accept", "language"),
    [
        ("fr", "de", "fr"),
        ("xx", "de-CH,de;q=0.9", "de"),
        (None, "pt-BR,zh-CN;q=0.8,en;q=0.5", "zh"),
        (None, "en;q=0.2, es ; q=0.9", "es"),
        (None, "de;q=0, pl", "en"),
        (None, "*;q=x,;;,", "en"),
        (None, None, "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_the_first_that_is_accepted(asked, accept, language):
    assert choose(asked, accept) == language
