"""Labels and subjects are read in every form they are written in; a bad cell is named by row and column."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonexage.errors import WrongUse
from bonexage.reading import cells, labels, series, subjects
from bonexage.reading.cells import KNOWN_COLUMNS, read_table
from bonexage.reading.labels import Label, LabelRow, read_labels, review_labels
from bonexage.reading.subjects import SubjectRow, read_subjects
from bonexage.subject import Sex, Subject


@pytest.fixture
def write(tmp_path: Path):
    def write_csv(content: str | bytes) -> Path:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_csv


EXPECTED = (Label("1377", 180.0, Sex.FEMALE), Label("1378", 12.5, Sex.MALE))
FORMS = {
    "training": "id,boneage,male\n1377,180,False\n1378,12.5,True\n",
    "test": "Case ID,Sex,Ground truth bone age (months)\n1377,F,180\n1378,M,12.5\n",
    "validation": "Image ID,male,Bone Age (months)\n1377,FALSE,180\n1378,TRUE,12.5\n",
    "numbers": "id,boneage,male\n1377,180,0\n1378,12.5,1\n",
    "words": "id,boneage,sex\n1377,180,female\n1378,12.5,boy\n",
    "reordered": "MALE, boneage ,note,ID\nfalse,180,x,1377\ntrue,12.5,,1378\n",
    "semicolons": "id;boneage;male\n1377;180;False\n1378;12.5;True\n",
    "tabs": "id\tboneage\tmale\n1377\t180\tFalse\n1378\t12.5\tTrue\n",
    "bars": "id|boneage|male\n1377|180|False\n1378|12.5|True\n",
    "decimal commas": "id;boneage;male\n1377;180,0;False\n1378;12,5;True\n",
    "a quoted decimal comma": 'id,boneage,male\n1377,180,False\n1378,"12,5",True\n',
    "a comma in a header": "id;boneage;male;note, if any\n1377;180;False;\n1378;12,5;True;a, b\n",
    "more commas than semicolons": "id;boneage;male;a, b, c, d\n1377;180;False;\n1378;12.5;True;\n",
    "a semicolon in a header of commas": "id,boneage,male,a; b; c; d\n1377,180,False,\n1378,12.5,True,\n",
    "quoted delimiters": '"id","boneage","male","a;b","c;d"\n"1377","180","False"\n"1378","12.5","True"\n',
    "named delimiter": "sep=;\nid;boneage;male\n1377;180;False\n1378;12,5;True\n",
    "named and quoted": '"SEP=,"\nid,boneage,male\n1377,180,False\n1378,12.5,True\n',
    "named tab": "sep=\t\nid\tboneage\tmale\n1377\t180\tFalse\n1378\t12,5\tTrue\n",
    "empty first rows": "\n;;\nid;boneage;male\n1377;180;False\n1378;12.5;True\n",
    "empty rows": "id,boneage,male\n1377,180,False\n\n,,\n1378,12.5,True,,\n\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", FORMS)
def test_labels_are_read_in_every_form(write, form, ends, encoding):
    assert read_labels(write(FORMS[form].replace("\n", ends).encode(encoding))) == EXPECTED


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("1,x,True", r"row 3, column 'boneage': 'x' is not an age in months"),
        ("1,nan,True", r"row 3, column 'boneage': 'nan'"),
        ("1,-1,True", r"row 3, column 'boneage'.*from 0 to 240"),
        ("1,241,True", r"row 3, column 'boneage'"),
        ("1,,True", r"row 3, column 'boneage'"),
        ("1,12,maybe", r"row 3, column 'male': 'maybe' is not a sex"),
        ("1,12,", r"row 3, column 'male': the sex is missing"),
        ("1,12", r"row 3, column 'male': the sex is missing"),
        ("1,12,U", r"row 3, column 'male': the sex is missing"),
        (",12,True", r"row 3, column 'id': the cell is empty"),
        ("0,12,True", r"row 3, column 'id': '0' stands in the file twice"),
        ("1,12,5,True", r"row 3 has 4 cells under 3 columns"),
        ("1,1_2,True", r"row 3, column 'boneage': '1_2' is not an age in months"),
    ],
)
def test_a_bad_row_is_named_by_row_and_column(write, rows, problem):
    path = write(f"id,boneage,male\n0,24,False\n{rows}\n")
    with pytest.raises(WrongUse, match=problem) as caught:
        read_labels(path)
    assert caught.value.subject == str(path)


def test_labels_with_two_columns_of_the_sex_agree_in_each_row(write):
    agreed = write("id,boneage,male,sex\n1,24,True,M\n2,36,,F\n3,48,True,\n")
    assert [label.sex for label in read_labels(agreed)] == [Sex.MALE, Sex.FEMALE, Sex.MALE]
    contradictory = write("id,boneage,male,sex\n1,24,True,F\n")
    with pytest.raises(WrongUse, match="row 2, column 'male': 'True' contradicts 'F' under 'sex'"):
        read_labels(contradictory)
    (row,) = review_labels(contradictory).rows
    assert [fault.code for fault in row.faults] == ["sex-out-of-range"]


@pytest.mark.parametrize("missing", ["id", "boneage", "male"])
def test_a_missing_column_is_named(write, missing):
    header = ",".join(column for column in ("id", "boneage", "male") if column != missing)
    with pytest.raises(WrongUse, match=rf"no column .*'{missing}'"):
        read_labels(write(f"{header}\n1,2\n"))


@pytest.mark.parametrize("content", ["", "\n", "id,boneage,male\n", "\ufeff"])
def test_a_table_without_rows_is_an_error(write, content):
    with pytest.raises(WrongUse, match="has no rows"):
        read_labels(write(content))


def test_a_file_that_is_not_there_or_not_text_is_an_error(write, tmp_path):
    with pytest.raises(WrongUse, match=r"gone\.csv: the file cannot be read"):
        read_labels(tmp_path / "gone.csv")
    with pytest.raises(WrongUse, match="cannot be read"):
        read_labels(tmp_path)
    with pytest.raises(WrongUse, match="CSV UTF-8"):
        read_labels(write("id,boneage,male,ward\n1,12,True,Sünching\n".encode("cp1252")))
    with pytest.raises(WrongUse, match="not a CSV table"):
        read_labels(write("id,boneage,male\n" + "9" * 200_000 + ",1,True\n"))


@pytest.mark.parametrize("start", [b"PK\3\4\x14\0\6\0", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_is_named_as_one(write, start):
    with pytest.raises(WrongUse, match=r"workbook.*CSV UTF-8"):
        read_labels(write(start + bytes(200)))


def test_no_more_is_read_than_a_table_may_have(write, monkeypatch):
    monkeypatch.setattr(cells, "MAX_TABLE_BYTES", 40)
    table = "id,sex\n" + "1,M\n" * 8
    assert len(table) < 40
    with pytest.raises(WrongUse, match="twice"):
        read_subjects(write(table))
    with pytest.raises(WrongUse, match="too large for a table"):
        read_subjects(write(table + "2,F\n"))
    with pytest.raises(WrongUse, match="too large for a table"):
        read_subjects(Path("/dev/zero"))


def test_a_number_that_may_be_two_is_none(write):
    row = 'file,sex,age_months\na.png,F,"1,200"\n'
    with pytest.raises(WrongUse, match="row 2, column 'age_months': '1,200' is not an age"):
        read_subjects(write(row))
    for text, months in (("1,25", 1.25), ("126,575", 126.575)):
        (read,) = read_subjects(write(row.replace("1,200", text)))
        assert read.subject.age_months == months


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", ["sep = {}", " Sep= {} ", 'sep="{}"', "sep='{}'", '"sep=""{}"""', "sep={} "])
def test_a_named_delimiter_may_be_written_with_blanks_and_quotes(write, line, delimiter):
    for written in (delimiter, "\\t") if delimiter == "\t" else (delimiter,):
        table = ("id|boneage|male\n1|100|True\n").replace("|", delimiter)
        labels = read_labels(write(line.replace("{}", written) + "\n" + table))
        assert [(label.id, label.bone_age_months, label.sex) for label in labels] == [("1", 100, Sex.MALE)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("title", ["Bone ages", "Bone ages, 2024", "Bone ages; 2024", "# ages\n", "A||\n||"])
def test_a_header_below_a_title_is_named_by_its_row(write, title, delimiter):
    above = title.replace("|", delimiter) + "\n"
    table = "id|boneage|male\n1|100|True\n".replace("|", delimiter)
    row = above.count("\n") + 1
    with pytest.raises(WrongUse, match=f"the names of the columns stand in row {row}, below other rows"):
        read_labels(write(above + table))


def test_a_row_under_a_named_delimiter_is_numbered_as_the_spreadsheet_shows_it(write):
    with pytest.raises(WrongUse, match="row 2, column 'boneage': 'x'"):
        read_labels(write("sep=;\nid;boneage;male\n1;x;True\n"))
    with pytest.raises(WrongUse, match="row 4, column 'boneage': 'x'"):
        read_labels(write("\n\nid;boneage;male\n1;x;True\n"))


texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=12)


@given(
    st.lists(st.tuples(texts, texts), min_size=1, max_size=6),
    texts.filter(lambda name: name.strip().lower() not in KNOWN_COLUMNS),
    st.sampled_from(",;\t|"),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(max_examples=300, deadline=None)
def test_a_table_comes_back_cell_by_cell_however_it_was_written(
    tmp_path_factory, rows, name, delimiter, named, encoding, quoting
):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting)
    writer.writerow(["id", "sex", name])
    writer.writerows(["x", *row] for row in rows)
    path.write_text(f"sep={delimiter}\n" * named + out.getvalue(), encoding=encoding, newline="")
    header, read = read_table(path)
    assert header == ("id", "sex", name.strip().lower())
    assert [tuple(cell.text for cell in row.values()) for row in read] == [
        ("x", *(text.strip() for text in row)) for row in rows
    ]


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_labels_or_the_one_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"id,boneage,male\n" + content)
    try:
        read_labels(path)
        read_subjects(path)
    except WrongUse:
        pass


def test_subjects_are_read_by_file_or_id_with_sex_and_known_age(write):
    by_file = write("file,sex,age_months\na.png,F,120\nb/c.png,,\nd.png,M,\n")
    assert read_subjects(by_file) == (
        SubjectRow("a.png", Subject(Sex.FEMALE, 120.0), 2),
        SubjectRow("b/c.png", Subject(Sex.UNKNOWN, None), 3),
        SubjectRow("d.png", Subject(Sex.MALE, None), 4),
    )
    by_id = write("\ufeffID,Male\r\n1377,False\r\n1378,1\r\n")
    assert [(row.name, row.subject) for row in read_subjects(by_id)] == [
        ("1377", Subject(Sex.FEMALE)),
        ("1378", Subject(Sex.MALE)),
    ]


def test_a_sex_stands_under_either_column_of_a_table_with_both(write):
    both = write("file,sex,male,note,note\na.png,F,,,\nb.png,,True,,\nc.png,M,1,,\nd.png,,,,\ne.png,U,0,,\n")
    expected = [Sex.FEMALE, Sex.MALE, Sex.MALE, Sex.UNKNOWN, Sex.FEMALE]
    assert [row.subject.sex for row in read_subjects(both)] == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("file,sex,age_months\na.png,F,old\n", r"row 2, column 'age_months': 'old' is not an age"),
        ("file,sex,age_months\na.png,F,1441\n", r"row 2, column 'age_months'"),
        ("file,sex\na.png,X\n", r"row 2, column 'sex': 'X' is not a sex"),
        ("file,sex\na.png,1\n", r"row 2, column 'sex': '1' is not a sex.*under 'male'"),
        ("file,sex\na.png,False\n", r"row 2, column 'sex': 'False' is not a sex"),
        ("file,sex\n./a.png,F\na.png,M\n", r"row 3, column 'file': 'a.png' stands in the file twice.* row 2"),
        ("file,sex\na.png,F\na.png,M\n", r"row 3, column 'file': 'a.png' stands in the file twice"),
        ("file,age_months\na.png,3\n", "no column 'sex' or 'male'"),
        (
            "file,sex,male\na.png,M,True\nb.png,F,1\n",
            r"row 3, column 'male': '1' contradicts 'F' under 'sex'",
        ),
        ("file,male,sex\na.png,False,M\n", r"row 2, column 'male': 'False' contradicts 'M' under 'sex'"),
        ("file,sex,Sex\na.png,F,M\n", "the column 'sex' stands in the header 2 times"),
        ("id,sex,id\n1,F,2\n", "the column 'id' stands in the header 2 times"),
        ("name,sex\na.png,F\n", "no column 'file' or 'id'"),
    ],
)
def test_a_bad_subject_is_named_by_row_and_column(write, content, problem):
    with pytest.raises(WrongUse, match=problem):
        read_subjects(write(content))


@pytest.mark.parametrize("form", FORMS)
def test_a_review_of_sound_labels_is_what_reading_gives(write, form: str) -> None:
    review = review_labels(write(FORMS[form]))
    assert review.faults == ()
    assert all(row.faults == () for row in review.rows)
    assert [(row.id, row.bone_age_months, row.sex) for row in review.rows] == [
        (label.id, label.bone_age_months, label.sex) for label in read_labels(write(FORMS[form]))
    ]


def test_a_review_goes_on_past_every_fault_and_names_its_row(write) -> None:
    review = review_labels(
        write(
            "id,boneage,male\n1,,True\n2,300,False\n3,12,\n4,12,x\n,12,True\n6,1,2,True\n7,x,y\n8,9,1\n8,9,1\n"
        )
    )
    codes = [[fault.code for fault in row.faults] for row in review.rows]
    assert codes == [
        ["age-missing"],
        ["age-out-of-range"],
        ["sex-missing"],
        ["sex-out-of-range"],
        ["id-missing"],
        ["wrong-row"],
        ["age-out-of-range", "sex-out-of-range"],
        [],
        [],
    ]
    said = [row.faults[0].sentence for row in review.rows if row.faults]
    assert all(f"row {number}" in sentence for number, sentence in enumerate(said, start=2))
    assert review.rows[1] == LabelRow("2", None, Sex.FEMALE, review.rows[1].faults)
    assert review.faults == ()


def test_a_review_names_every_column_that_lacks(write) -> None:
    review = review_labels(write("id,age\n1,12\n"))
    assert len(review.faults) == 2
    assert "boneage" in review.faults[0].problem
    assert "sex" in review.faults[1].problem
    assert review.rows == (LabelRow("1", None, None),)


def test_a_file_that_is_no_table_has_a_fault_and_no_rows(write, tmp_path: Path) -> None:
    for path in (write(b"\xff\xfe\x00"), tmp_path / "nowhere.csv", tmp_path):
        review = review_labels(path)
        assert review.rows == ()
        assert len(review.faults) == 1


def test_every_column_that_a_table_is_asked_for_helps_to_tell_its_delimiter() -> None:
    asked = {
        *subjects.SUBJECT_COLUMNS,
        *labels.AGE_COLUMNS,
        *labels.SEX_COLUMNS,
        subjects.AGE_COLUMN,
    }
    asked |= {
        series.FILM_COLUMN,
        series.BONE_AGE_COLUMN,
        series.AGE_COLUMN,
        series.DATE_COLUMN,
        series.BIRTH_COLUMN,
    }
    assert asked <= KNOWN_COLUMNS
