"""A form is taken whole or refused, and its fields mean what they mean on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bonexage.cli.app import app
from bonexage.serving.multipart import FormReader, Part
from bonexage.serving.problems import Problem
from services import PATH, png, post, running, settings

MEDIA = "multipart/form-data; boundary=XX"
DISPOSITION = b"Content-Disposition: form-data; "
FILM = b"--XX\r\n" + DISPOSITION + b'name="file"; filename="a.png"\r\n\r\n' + png() + b"\r\n"
END = b"--XX--\r\n"


def text_part(name: str, value: str, head: bytes = b"") -> bytes:
    return b"--XX\r\n" + DISPOSITION + f'name="{name}"\r\n'.encode() + head + f"\r\n{value}\r\n".encode()


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with running(settings(folder)) as made:
        yield made


def sent(client: TestClient, body: bytes, media: str = MEDIA) -> tuple[int, dict[str, object]]:
    """The status of the answer to a body, and the first row or the problem."""
    answer = client.post(PATH, content=body, headers={"Content-Type": media})
    content = answer.json()
    return answer.status_code, content[0] if isinstance(content, list) else content


def test_a_whole_form_is_read_to_its_last_field(client: TestClient) -> None:
    status, row = sent(client, FILM + text_part("age_months", "126") + text_part("sex", "F") + END)
    assert (status, row["sex"], row["age_months"]) == (200, "F", 126.0)


@pytest.mark.parametrize(
    "end", [b"", b"--XX", b"--XX\r\n", b"--XX-", b"--xx--", b"--XY--", b"--X\r\nX--", b"XX--", b"--XX--"[:-1]]
)
def test_a_form_without_its_closing_boundary_is_refused(client: TestClient, end: bytes) -> None:
    status, problem = sent(client, FILM + text_part("sex", "F") + end)
    assert (status, problem["code"]) == (400, "wrong-use")


WHOLE = (
    b"--XX\r\n"
    + DISPOSITION
    + b'name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\r\n--X\r--XX--\r\n\r\n'
    + text_part("sex", "F")
    + END
)
PARTS = (Part("file", b"\r\n--X\r--XX--\r\n", "a.png"), Part("sex", b"F"))


def read(*chunks: bytes) -> tuple[Part, ...]:
    reader = FormReader(MEDIA, most_files=2)
    for chunk in chunks:
        reader.write(chunk)
    return reader.parts()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6).map(sorted))
def test_a_form_is_the_same_in_whatever_chunks_it_comes(cuts: list[int]) -> None:
    ends = [*cuts, len(WHOLE)]
    assert read(*(WHOLE[start:end] for start, end in zip([0, *cuts], ends, strict=True))) == PARTS


@given(st.integers(0, len(WHOLE) - len(b"\r\n") - 1), st.integers(1, 40))
def test_no_beginning_of_a_form_is_taken_for_the_whole(length: int, step: int) -> None:
    begun = WHOLE[:length]
    with pytest.raises(Problem) as raised:
        read(*(begun[at : at + step] for at in range(0, length, step)))
    assert raised.value.status == 400


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("after", "status"),
    [
        (b"", 200),
        (b"\r\n\r\n", 200),
        (b"an epilogue, as RFC 2046 allows it", 200),
        (END, 200),
        (text_part("sex", "M") + END, 400),
        (b"\r\n" + text_part("sex", "M"), 400),
        (b"--XX \t\r\n", 400),
    ],
)
def test_a_field_after_the_closing_boundary_is_no_field_that_is_lost(
    after: bytes, status: int, chunk: int
) -> None:
    body = WHOLE + after
    chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    if status == 200:
        assert read(*chunks) == PARTS
        return
    with pytest.raises(Problem) as raised:
        read(*chunks)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "body",
    [
        END,
        FILM + b"--XX\r\n" + text_part("sex", "F") + END,  # a boundary twice
        b"--XX\r\n\r\nF\r\n" + FILM + END,  # a part without a header
        b"--XX\r\n" + DISPOSITION[:-2] + b"\r\n\r\nF\r\n" + FILM + END,  # without a name
        b"--XX\r\n" + DISPOSITION + b'name=""\r\n\r\nF\r\n' + FILM + END,
        b"--XX\r\nContent-Type: text/plain\r\n\r\nF\r\n" + FILM + END,
        text_part("sex", "F", head=DISPOSITION + b'name="page"\r\n') + FILM + END,  # with two names
        text_part("sex", "F", head=b"X-Much: " + b"y" * 9000 + b"\r\n") + FILM + END,
        text_part("sex", "F", head=b"X: y\r\n" * 100) + FILM + END,
        b"".join(text_part(f"field_{number}", "1") for number in range(5000)) + FILM + END,
        FILM + text_part("sex", "F" * 5000) + END,
        FILM.replace(b"\r\n", b"\n") + END,
    ],
)
def test_a_form_that_is_not_well_made_is_wrong_use(client: TestClient, body: bytes) -> None:
    status, problem = sent(client, body)
    assert (status, problem["code"]) == (400, "wrong-use")


@pytest.mark.parametrize(
    "media",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary=YY; Boundary=XX",
        f"multipart/form-data; boundary={'X' * 300}",
    ],
)
def test_a_form_needs_one_boundary(client: TestClient, media: str) -> None:
    status, problem = sent(client, FILM + END, media)
    assert (status, problem["code"]) == (400, "wrong-use")


def test_two_content_types_are_no_form(client: TestClient) -> None:
    headers = [("Content-Type", MEDIA), ("Content-Type", "multipart/form-data; boundary=YY")]
    assert client.post(PATH, content=FILM + END, headers=headers).status_code == 415


CHARSETS = (
    *("undefined", "idna", "punycode", "utf-16", "utf-7", "utf-32", "hex", "base64", "zlib", "bz2", "rot13"),
    *("unicode_escape", "raw_unicode_escape", "mbcs", "oem", "cp037", "ascii", "", '"', "a\\b", "x" * 500),
    *("../etc", "encodings", "none", "utf_8_sig", "iso-2022-kr", "hz", "\xff", "%00", "utf-8; charset=hex"),
)


@pytest.mark.parametrize("charset", CHARSETS)
def test_whatever_charset_a_form_names_its_texts_are_utf8(client: TestClient, charset: str) -> None:
    media = f"{MEDIA}; charset={charset}".encode("latin-1")
    film = FILM.replace(b"a.png", "Händchen.png".encode())
    answer = client.post(PATH, content=film + text_part("sex", "F") + END, headers=[(b"Content-Type", media)])
    assert answer.status_code == 200, answer.text
    assert (answer.json()[0]["sex"], answer.json()[0]["file"]) == ("F", "Händchen.png")


@pytest.mark.parametrize("own", ["charset=undefined", "charset=utf-16", "charset=hex"])
def test_a_part_s_own_charset_is_no_harm(client: TestClient, own: str) -> None:
    head = f"Content-Type: text/plain; {own}\r\n".encode()
    status, row = sent(client, FILM + text_part("sex", "F", head=head) + END)
    assert (status, row["sex"]) == (200, "F")


def test_a_name_in_latin_1_is_read_too(client: TestClient) -> None:
    _, row = sent(client, FILM.replace(b"a.png", "Händchen.png".encode("latin-1")) + END)
    assert row["file"] == "Händchen.png"


# Text of a field, and what it means; None where it is refused.
AGES = {
    "126.57494866529774": 126.6,
    "126.5": 126.5,
    " 126 ": 126.0,
    "\t126\r": 126.0,
    "1.26e2": 126.0,
    "+126": 126.0,
    ".5": 0.5,
    "126.": 126.0,
    "0": 0.0,
    "1440": 1440.0,
    "000126": 126.0,
    "126." + "5" * 400: 126.6,
    "126,5": 126.5,
    "126,575": 126.6,
    "1,200": None,  # 1.2 or 1200
    "1,440": None,
    "1,2,3": None,
    "126,5.0": None,
    ",5": None,
    "12_6": None,
    "١٢٦": None,
    "126 months": None,
    "10y6m": None,
    "0x7e": None,
    "nan": None,
    "inf": None,
    "-1": None,
    "1440.1": None,
    "1e400": None,
    "ten": None,
}
SEXES = {
    **dict.fromkeys(("F", "f", "female", "Female", "FEMALE", " f ", "girl"), "F"),
    **dict.fromkeys(("M", "m", "male", "MALE", "boy"), "M"),
    **dict.fromkeys(("U", "u", "unknown", "Unknown", "", "  "), "U"),
    **dict.fromkeys(("X", "1", "true", "fem", "F M", "F,M", "♀", "F\x00", "None", "null"), None),
}
COVERAGES = {
    "80": 0.8,
    "97.5": 0.975,
    " 95 ": 0.95,
    "0.9": 0.9,
    "100": None,
    "0": None,
    "1": None,
    "nan": None,
}


@pytest.mark.parametrize(("text", "age"), AGES.items())
def test_an_age_is_read_as_the_command_line_reads_it(
    client: TestClient, text: str, age: float | None
) -> None:
    check_field(client, "age_months", text, "age_months", age)


@pytest.mark.parametrize(("text", "sex"), SEXES.items())
def test_a_sex_is_read_as_the_command_line_reads_it(client: TestClient, text: str, sex: str | None) -> None:
    check_field(client, "sex", text, "sex", sex)


@pytest.mark.parametrize(("text", "share"), COVERAGES.items())
def test_a_coverage_is_read_as_the_command_line_reads_it(
    client: TestClient, text: str, share: float | None
) -> None:
    check_field(client, "coverage", text, "coverage", share)


@pytest.mark.parametrize(("text", "status"), {"1": 200, "1.0": 200, "": 200, "1.5": 400, "0": 400, "-1": 400,
                                              "1e1": 400, "99999": 400, "first": 400}.items())  # fmt: skip
def test_a_page_is_a_whole_number(client: TestClient, text: str, status: int) -> None:
    answer = post(client, png(), page=text)
    assert answer.status_code == status
    assert status == 200 or answer.json()["field"] == "page"


def check_field(client: TestClient, name: str, text: str, member: str, value: object) -> None:
    """Send a field; see that its value is in the row, or the field's name in the problem."""
    status, content = sent(client, FILM + text_part(name, text) + END)
    if value is None:
        assert (status, content["field"]) == (400, name)
        assert str(content["detail"]).startswith(f"{name}: ")
    else:
        assert (status, content[member]) == (200, value)


@pytest.mark.parametrize(
    ("option", "field", "text"),
    [
        *(
            ("--age-months", "age_months", text)
            for text in ("126.57494866529774", " 126", "", "126,5", "nan")
        ),
        *(("--sex", "sex", text) for text in ("f", "female", " ", "X")),
        *(("--coverage", "coverage", text) for text in ("0.8", "95", "100")),
    ],
)
def test_a_field_is_what_the_option_of_the_command_line_is(
    client: TestClient, folder: Path, option: str, field: str, text: str
) -> None:
    (folder / "a.png").write_bytes(png())
    command = ["predict", str(folder / "a.png"), "--model", str(folder / "small.zip"), "--format", "json"]
    done = CliRunner().invoke(app, [*command, option, text])
    status, content = sent(client, FILM + text_part(field, text) + END)
    assert (done.exit_code == 0) == (status == 200), done.output
    if status == 200:
        assert {**json.loads(done.stdout)[0], "file": "a.png"} == content
    else:
        assert done.exit_code == 2


def test_blank_fields_are_fields_left_out(client: TestClient) -> None:
    blank = "".join(text_part(name, " ").decode() for name in ("sex", "age_months", "coverage", "page"))
    assert sent(client, FILM + blank.encode() + END) == sent(client, FILM + END)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (text_part("sex", "F") * 2, "sex"),
        (text_part("sex", "F") + text_part("sex", ""), "sex"),
        (text_part("sex", "F") + text_part("sex", "M"), "sex"),
        (text_part("Sex", "F"), "'Sex'"),
        (text_part("sexe", "F"), "sexe"),
        (text_part("age", "126"), "age"),
        (text_part("\x1b[2J", "126"), "'\\x1b[2J'"),
        (text_part("file", "a.png"), "file"),
        (text_part("sex", "F").replace(b'name="sex"', b'name="sex"; filename="sex"'), "sex"),
        (text_part("age_months", "1" * 2000), "age_months"),
    ],
)
def test_the_field_that_is_wrong_is_named(client: TestClient, more: bytes, field: str) -> None:
    status, problem = sent(client, FILM + more + END)
    assert (status, problem["code"], problem["field"]) == (400, "wrong-use", field)


def test_a_file_field_where_no_file_was_chosen_is_left_out(client: TestClient) -> None:
    none = b"--XX\r\n" + DISPOSITION + b'name="file"; filename=""\r\n\r\n\r\n'
    assert sent(client, none + FILM + none + END) == sent(client, FILM + END)
    status, problem = sent(client, none + END)
    assert (status, problem["field"]) == (400, "file")


def test_an_empty_file_is_a_film_that_cannot_be_read(client: TestClient) -> None:
    empty = b"--XX\r\n" + DISPOSITION + b'name="file"; filename="a.png"\r\n\r\n\r\n'
    status, problem = sent(client, empty + END)
    assert (status, problem["code"]) == (422, "unreadable")
    assert "empty" in str(problem["detail"])
