"""One child's series is read as a person or predict writes it; a bad cell is named by row and column."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from bonexage.assessment import Assessment, Interval
from bonexage.errors import WrongUse
from bonexage.reading.series import SeriesRow, read_series
from bonexage.reports.table import record, write_table
from bonexage.subject import Sex, Subject
from films import write_film


@pytest.fixture
def write(tmp_path: Path):
    def write_csv(content: str) -> Path:
        path = tmp_path / "child.csv"
        path.write_text(content, encoding="utf-8")
        return path

    return write_csv


def test_bone_ages_and_films_come_by_age_with_the_sex_said_once(write):
    sex, rows = read_series(
        write("age_months,bone_age_months,file,sex\n120,110.5,,\n96,,later.png,girl\n108,99,x.png,\n")
    )
    assert sex is Sex.FEMALE
    assert rows == (
        SeriesRow(96.0, "later.png"),
        SeriesRow(108.0, "x.png", 99.0),
        SeriesRow(120.0, "", 110.5),
    )


def test_a_series_with_semicolons_and_decimal_commas_is_read_as_the_plain_one(write):
    names = "age_months,bone_age_months,interval_low_months,interval_high_months,coverage,sex"
    plain = read_series(write(f"{names}\n120.5,110.5,100.1,120.9,0.9,F\n"))
    semicolons = f"sep=;\n{names.replace(',', ';')};seen, if known\n120,5;110,5;100,1;120,9;0,9;F;\n"
    assert read_series(write(semicolons)) == plain


def test_dates_become_ages_by_the_date_of_birth_in_the_file_or_beside_it(write):
    text = "date,bone_age_months\n2021-03-31,70\n2022-09-30,90\n"
    _, rows = read_series(write(text), born=date(2015, 3, 31))
    assert [row.age_months for row in rows] == pytest.approx([72.0, 90.0], abs=0.05)
    inside = "date,bone_age_months,birth_date\n2021-03-31,70,2015-03-31\n2022-09-30,90,\n"
    assert read_series(write(inside)) == (Sex.UNKNOWN, rows)
    with pytest.raises(WrongUse, match="no date of birth"):
        read_series(write(text))


def test_an_age_is_taken_before_a_date(write):
    _, rows = read_series(write("date,age_months,bone_age_months\n2021-03-31,71,70\n"))
    assert rows[0].age_months == 71.0


def test_the_table_that_predict_writes_is_a_series(tmp_path):
    said = [
        Assessment(f"{age}.png", Subject(Sex.MALE, age), age - 3.0, Interval(age - 10, age + 9, 0.8), "m@0")
        for age in (60.0, 72.0)
    ]
    write_table([record(one) for one in said], tmp_path / "out.csv")
    sex, rows = read_series(tmp_path / "out.csv")
    assert sex is Sex.MALE
    assert [
        SeriesRow(one.subject.age_months, one.file, one.bone_age_months, one.interval, one.model)
        for one in said
    ] == list(rows)


def test_a_film_is_found_beside_the_file_too(write, tmp_path, monkeypatch):
    write_film(tmp_path / "f.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write("file,age_months\nf.png,60\nnowhere.png,72\n")
    _, rows = read_series(path)
    assert [row.file for row in rows] == [str(tmp_path / "f.png"), "nowhere.png"]


HEAD = "date,age_months,bone_age_months,file,sex,interval_low_months,interval_high_months,coverage\n"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",x,70,,,,,", "row 3, column 'age_months': 'x' is not an age"),
        (",,70,,,,,", "row 3, column 'age_months': '' is not an age"),
        (",1500,70,,,,,", "row 3, column 'age_months'.*from 0 to 1440"),
        ("31.3.2021,,70,,,,,", "row 3, column 'date': '31.3.2021' is not a date"),
        ("2010-01-01,,70,,,,,", "row 3, column 'date': 2010-01-01 lies before birth"),
        (",60,250,,,,,", "row 3, column 'bone_age_months'.*from 0 to 240"),
        (",60,,,,,,", "row 3, column 'file': there is neither a bone age nor a film"),
        (",60,70,,maybe,,,", "row 3, column 'sex': 'maybe' is not a sex"),
        (",60,70,,F,,,", "more than one child .both sexes"),
        (",60,70,,,60,80,", "row 3, column 'coverage': the interval's coverage"),
        (",60,70,,,60,80,90", "row 3, column 'coverage'"),
        (",60,70,,,72,80,0.9", "row 3, column 'interval_low_months': the bone age lies outside"),
        (",60,70,,,60,,0.9", "row 3, column 'interval_high_months'"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(write, row, problem):
    path = write(f"{HEAD},48,50,,M,,,\n{row}\n")
    with pytest.raises(WrongUse, match=problem) as caught:
        read_series(path, born=date(2015, 1, 1))
    assert caught.value.subject == str(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("age_months,sex\n60,F\n", "no column 'file' or 'bone_age_months'"),
        ("bone_age_months,sex\n60,F\n", "no column 'age_months' or 'date'"),
        ("bone_age_months,age_months\n", "no rows"),
        (
            "bone_age_months,date,birth_date\n60,2021-01-01,2016-01-01\n60,2021-01-01,2016-01-02\n",
            "dates of birth 2016-01-01, 2016-01-02",
        ),
    ],
)
def test_a_file_that_is_no_series_says_why(write, text, problem):
    with pytest.raises(WrongUse, match=problem):
        read_series(write(text))
