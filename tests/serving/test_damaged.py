"""Whatever is sent: the answer is an assessment or a problem that names itself, and the service lives on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import positive_data_acceptance

from bonexage.serving.problems import KINDS, MEDIA_TYPE
from services import PATH, png, post, running, served
from services import settings as settings_of
from trials.mutations import KINDS as EDITS
from trials.mutations import Edit, damaged, sound_films

FILMS = sound_films()
EDITED = st.lists(
    st.builds(
        Edit,
        st.sampled_from(EDITS),
        st.one_of(st.floats(0, 0.02), st.floats(0, 1)),
        st.integers(1, 64),
        st.binary(min_size=1, max_size=16),
    ),
    min_size=1,
    max_size=4,
)
FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with running(settings_of(tmp_path_factory.mktemp("service"))) as made:
        yield made


@pytest.mark.parametrize("name", FILMS)
def test_a_sound_film_of_every_kind_is_assessed(client: TestClient, name: str) -> None:
    assert post(client, FILMS[name], name=name).json()[0]["status"] == "assessed"


@FEW
@given(name=st.sampled_from(sorted(FILMS)), edits=EDITED)
def test_a_damaged_film_is_assessed_or_named_unreadable(
    client: TestClient, name: str, edits: list[Edit]
) -> None:
    said = post(client, damaged(FILMS[name], edits), name=name)
    if said.status_code == 200:
        assert said.json()[0]["status"] == "assessed"
    else:
        problem = said.json()
        assert (said.status_code, said.headers["content-type"]) == (422, MEDIA_TYPE)
        assert KINDS[problem["code"]][0] == 422
        assert problem["row"]["status"] in {"refused", "unreadable"}


@FEW
@given(edits=EDITED, chunks=st.integers(1, 5))
def test_a_damaged_form_is_answered_by_a_problem_or_an_assessment(
    client: TestClient, edits: list[Edit], chunks: int
) -> None:
    boundary = "boundary-of-the-form"
    form = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="sex"\r\n\r\nF\r\n--{boundary}\r\n'
        'Content-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    ).encode()
    body = damaged(form + png(0, 32, 32) + f"\r\n--{boundary}--\r\n".encode(), edits)
    parts = (body[at::chunks] for at in range(1)) if chunks == 1 else iter([body[:40], body[40:]])
    said = client.post(
        PATH, content=parts, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert said.status_code == 200 or KINDS[said.json()["code"]][0] == said.status_code < 500


def test_the_service_answers_as_its_description_says(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        schema = schemathesis.openapi.from_url(f"{service.address}/openapi.json")
        for operation in schema.get_all_operations():
            made = operation.ok().as_strategy()

            @settings(max_examples=5, suppress_health_check=list(HealthCheck), database=None)
            @given(case=made)
            def conforms(case: schemathesis.Case) -> None:
                # What files hold is drawn too, and need not be a film.
                case.call_and_validate(excluded_checks=[positive_data_acceptance])

            conforms()


def test_the_description_has_an_example_of_every_problem(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    answers = document["paths"][PATH]["post"]["responses"]
    named = {
        code
        for answer in answers.values()
        for content in answer["content"].values()
        for code in content.get("examples", {})
        if "problem" in str(content["examples"][code].get("value", {}))
    }
    assert named == set(KINDS) - {"not-found", "wrong-method"}
