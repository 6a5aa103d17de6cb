"""An evaluation leaves a folder that tells all, of any number of films, and drops none silently."""

import csv
import io
import json
import re
from datetime import date
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bonexage.assessment import Assessment, Caution, Interval, Reading
from bonexage.errors import UnusableData, WrongUse
from bonexage.evaluation import pictures
from bonexage.evaluation.evaluate import evaluate, evaluate_folders
from bonexage.evaluation.metrics import agreement
from bonexage.model.assessor import PlacedFilm
from bonexage.model.bundle import Description
from bonexage.model.preprocess import Preprocessing
from bonexage.reading.folder import LabelledFilm
from bonexage.subject import Sex
from hands import drawn_hand

FILES = {
    "predictions.csv",
    "evaluation.json",
    "evaluation.html",
    "predicted-against-labelled.png",
    "bland-altman.png",
    "error-by-age.png",
}
DESCRIPTION = Description(
    name="stand-in",
    created="2025-01-01",
    preprocessing=Preprocessing(height=64, width=64),
    backbone="none",
    started_from="nothing <at all>",
    recipe={},
    data={"folders": [{"name": "drawn", "films": 12, "fingerprint": "0"}], "ages_months": [10, 200]},
)


class StandIn:
    """Reads the months off a film's name, as an assessor would off its pixels."""

    model = "stand-in@0123456789ab"
    bundle = SimpleNamespace(description=DESCRIPTION)

    def __init__(self, *, reach=20.0):
        self.reach = reach
        self.asked = []

    def place(self, radiograph, further=()):
        cautions = (*radiograph.cautions, *further)
        return PlacedFilm(radiograph.provenance.name, np.zeros((64, 64), np.uint8), cautions)

    def assess_placed(self, films, *, coverage=0.9):
        return [self._say(film, subject, coverage) for film, subject in films]

    def _say(self, film, subject, coverage):
        self.asked.append(subject)
        months = float(re.search(r"says(\d+)", film.file)[1])
        interval = None
        if self.reach:
            interval = Interval(max(0, months - self.reach), min(240, months + self.reach), coverage)
        cautions = (Caution("made-up", "A caution."),)
        readings = (Reading(subject.sex, months, interval),)
        return Assessment(film.file, subject, months, interval, self.model, cautions, None, readings)


@pytest.fixture(scope="module")
def hand():
    out = io.BytesIO()
    Image.fromarray((drawn_hand(96, 80) * 255).astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture
def film(tmp_path, hand):
    """Makes a labelled film that the stand-in will read as `says` months."""

    def make(identifier, says, labelled, sex=Sex.FEMALE, content=hand):
        path = tmp_path / "some-data" / "boneage-test-dataset" / f"{identifier}-says{says}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return LabelledFilm(str(identifier), path, float(labelled), sex)

    return make


@pytest.fixture
def films(film):
    rng = np.random.default_rng(3)
    made = []
    for number in range(40):
        labelled = 30 + 4 * number
        says = round(labelled + rng.normal(1, 9))
        made.append(film(number, says, labelled, Sex.MALE if number % 3 else Sex.FEMALE))
    return made


@pytest.fixture
def undrawn(monkeypatch):
    """Spares a test that looks at no figure the time to draw them."""
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, format="PNG")
    monkeypatch.setattr(pictures, "draw", lambda _: {pictures.SCATTER: out.getvalue()})


class Page(HTMLParser):
    """Collects what a page asks for and says."""

    def __init__(self, html):
        super().__init__()
        self.asked, self.alts, self.tags, self.lang, self.text = [], [], [], None, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.asked += [given[name] for name in ("src", "href", "srcset", "data") if given.get(name)]
        if tag == "img":
            self.alts.append(given.get("alt"))
        if tag == "html":
            self.lang = given.get("lang")

    def handle_data(self, data):
        self.text += data


def test_the_folder_holds_figures_predictions_pictures_and_a_page(films, tmp_path):
    done = evaluate(StandIn(), films, tmp_path / "out", split="test", made=date(2025, 2, 3), resamples=200)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["model"] == "stand-in@0123456789ab"
    assert (told["data"], told["split"], told["date"]) == ("some-data", "test", "2025-02-03")
    assert told["films"] == {"labelled": 40, "assessed": 40, "refused": 0, "unreadable": 0, "missing": 0}
    assert "not the official test set" in told["note"]
    assert told["all"]["mae_months"]["value"] == pytest.approx(done.overall.mae_months.value)
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(tmp_path / "out" / name) as picture:
                assert picture.format == "PNG"


@pytest.mark.usefixtures("undrawn")
def test_every_figure_is_that_of_the_films_of_its_group(films, tmp_path):
    evaluate(StandIn(), films, tmp_path, split="test", resamples=100)
    told = json.loads((tmp_path / "evaluation.json").read_text())
    groups = [told["all"], *told["by_sex"], *told["by_age"], *told["by_sex_and_age"]]
    assert sum(group["films"] for group in told["by_sex"]) == 40
    assert sum(group["films"] for group in told["by_age"]) == 40
    assert sum(group["films"] for group in told["by_sex_and_age"]) == 40
    for group in groups:
        here = [
            one
            for one in films
            if one.sex.value == group.get("sex", one.sex.value)
            and group.get("low_months", 0) <= one.bone_age_months < group.get("high_months", 999)
        ]
        says = [float(re.search(r"says(\d+)", one.path.name)[1]) for one in here]
        alone = agreement(
            says,
            [one.bone_age_months for one in here],
            intervals=[(max(0, month - 20), min(240, month + 20)) for month in says],
            children=[one.id for one in here],
            resamples=100,
        ).as_dict()
        assert {name: group[name] for name in alone} == alone


@pytest.mark.usefixtures("undrawn")
def test_predictions_have_a_row_a_film_in_order_with_one_decimal(films, tmp_path):
    evaluate(StandIn(), films, tmp_path, split="test", resamples=10)
    with (tmp_path / "predictions.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["id"] for row in rows] == [one.id for one in films]
    first = rows[0]
    assert first["file"] == films[0].path.name
    assert first["status"] == "assessed"
    assert first["labelled_months"] == "30.0"
    assert float(first["difference_months"]) == pytest.approx(float(first["bone_age_months"]) - 30)
    assert first["coverage"] == "0.9"
    assert first["cautions"] == "made-up"


@pytest.mark.usefixtures("undrawn")
def test_the_model_is_given_the_labelled_sex_and_no_age(films, tmp_path):
    assessor = StandIn()
    evaluate(assessor, films, tmp_path, split="test", resamples=10)
    assert [subject.sex for subject in assessor.asked] == [one.sex for one in films]
    assert all(subject.age_months is None for subject in assessor.asked)


@pytest.mark.usefixtures("undrawn")
def test_unreadable_and_missing_films_are_listed_everywhere_and_counted_nowhere(films, film, tmp_path):
    broken = film("broken", 100, 100, content=b"no picture")
    out = tmp_path / "out"
    gone = ["film 999: not there"]
    done = evaluate(StandIn(), [*films, broken], out, split="test", missing=gone, resamples=10)
    assert done.overall.films == 40
    told = json.loads((out / "evaluation.json").read_text())
    assert told["films"] == {"labelled": 42, "assessed": 40, "refused": 0, "unreadable": 1, "missing": 1}
    assert [one["id"] for one in told["not_assessed"]] == ["broken"]
    assert told["missing"] == gone
    text = Page((out / "evaluation.html").read_text()).text
    assert "broken (unreadable)" in text
    assert "film 999: not there" in text
    last = (out / "predictions.csv").read_text().splitlines()[-1]
    assert "broken" in last
    assert "unreadable" in last


def test_the_page_asks_for_nothing_outside_and_describes_every_picture(films, tmp_path):
    evaluate(StandIn(), films, tmp_path, split="test", resamples=10)
    page = Page((tmp_path / "evaluation.html").read_text())
    assert page.asked
    assert all(asked.startswith("data:image/png;base64,") for asked in page.asked)
    assert "script" not in page.tags
    assert len(page.alts) == 3
    assert all(page.alts)
    assert page.lang == "en"


def test_the_page_says_what_a_reviewer_asks_for(films, tmp_path):
    evaluate(StandIn(), films, tmp_path, split="test", resamples=10)
    html = (tmp_path / "evaluation.html").read_text()
    text = Page(html).text
    for wanted in (
        "stand-in@0123456789ab",
        "nothing <at all>",
        "drawn (12 films)",
        "64 x 64 pixels",
        "some-data",
        "40 labelled, 40 assessed (14 girls, 26 boys)",
        "Methods",
        "Limits",
        "not the official test set",
        "For research, not for diagnosis.",
        "percentile bootstrap",
        "Largest differences",
        "Labels inside the interval",
    ):
        assert wanted in text
    assert html.count("<figcaption>") == 3


def test_one_film_alone_can_be_evaluated(film, tmp_path):
    done = evaluate(StandIn(), [film("only", 100, 96)], tmp_path / "out", split="test", resamples=10)
    assert done.overall.mae_months.value == 4
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert told["all"]["r2"]["value"] is None
    assert len(told["by_age"]) == 1


def test_ages_at_both_ends_and_films_of_unknown_sex_have_their_place(film, tmp_path):
    ends = [film("a", 1, 0), film("b", 236, 240, Sex.UNKNOWN), film("c", 30, 24, Sex.MALE)]
    done = evaluate(StandIn(), ends, tmp_path / "out", split="test", resamples=10)
    bands = [(group.low_months, group.high_months) for group in done.select(by_sex=False, by_age=True)]
    assert bands == [(0, 24), (24, 48), (216, 240)]
    assert {group.sex for group in done.select(by_sex=True, by_age=False)} == set(Sex)


@pytest.mark.usefixtures("undrawn")
def test_a_model_without_intervals_has_none_in_its_figures(films, tmp_path):
    done = evaluate(StandIn(reach=0), films, tmp_path, split="test", resamples=10)
    assert done.overall.covered is None
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told["coverage"] is None
    assert "covered" not in told["all"]
    assert "carries no calibration" in Page((tmp_path / "evaluation.html").read_text()).text


@pytest.mark.usefixtures("undrawn")
def test_films_of_one_id_count_as_one_child(films, tmp_path):
    done = evaluate(StandIn(), [*films, *films], tmp_path, split="test", resamples=10)
    assert (done.overall.films, done.overall.children) == (80, 40)


@pytest.mark.usefixtures("undrawn")
def test_no_film_and_no_assessable_film_are_said_so(film, tmp_path):
    with pytest.raises(UnusableData, match="no film"):
        evaluate(StandIn(), [], tmp_path / "out", split="test")
    with pytest.raises(UnusableData, match="none of the 1 films"):
        evaluate(StandIn(), [film("broken", 1, 1, content=b"?")], tmp_path / "out", split="test")
    assert "unreadable" in (tmp_path / "out" / "predictions.csv").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_place_that_cannot_be_written_is_named(films, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(WrongUse, match="taken"):
        evaluate(StandIn(), films, tmp_path / "taken", split="test", resamples=10)
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.usefixtures("undrawn")
def test_progress_counts_every_film(films, tmp_path):
    seen = []
    evaluate(StandIn(), films, tmp_path, split="test", resamples=10, progress=lambda *at: seen.append(at))
    assert seen == [(done, 40) for done in range(1, 41)]


@pytest.mark.usefixtures("undrawn")
def test_folders_in_the_rsna_layout_are_evaluated_together(tmp_path, hand):
    for name, ids in (("first", (1, 2)), ("second", (2, 3))):
        split = tmp_path / name / "boneage-test-dataset"
        split.mkdir(parents=True)
        rows = ["Case ID,Sex,Ground truth bone age (months)"]
        for identifier in ids:
            (split / f"{identifier}says120.png").write_bytes(hand)
            rows.append(f"{identifier}says120,M,{110 + identifier}")
        rows.append("9says1,F,50")
        (tmp_path / name / "boneage-test-dataset.csv").write_text("\n".join(rows))
    folders = [tmp_path / "first", tmp_path / "second"]
    done = evaluate_folders(StandIn(), folders, tmp_path / "out", split="test", skip_unreadable=True)
    assert done.data == "first + second"
    assert (done.overall.films, done.overall.children, len(done.missing)) == (4, 3, 2)
    with pytest.raises(UnusableData, match="9says1"):
        evaluate_folders(StandIn(), folders, tmp_path / "out", split="test")
    assert "first + second" in str(done)


@pytest.mark.usefixtures("undrawn")
def test_labelled_films_in_no_layout_are_evaluated_too(tmp_path, hand):
    films = tmp_path / "elsewhere"
    films.mkdir()
    for identifier in (1, 2):
        (films / f"{identifier}says120.png").write_bytes(hand)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,boneage,male\n1says120,110,True\n2says120,120,False\n")
    done = evaluate_folders(StandIn(), [films], tmp_path / "out", split="test", labels=labels)
    assert (done.data, done.split, done.overall.films) == ("elsewhere", "labels.csv", 2)
    assert done.overall.mae_months.value == pytest.approx(5)
