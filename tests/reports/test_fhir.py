"""A FHIR transaction says what was found, holds together, is valid, and adds nothing when posted again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from bonexage.reports.fhir import transaction
from bonexage.reports.result import without_identity
from results import assessed, identity, refused


def entries(*results: Any) -> list[dict[str, Any]]:
    said = transaction(results)
    Bundle.model_validate_json(said)
    return json.loads(said)["entry"]


def of_kind(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in found if entry["resource"]["resourceType"] == kind]


def test_a_film_gives_bone_age_sds_report_and_device_all_preliminary():
    found = entries(assessed())
    bone_age, sds = of_kind(found, "Observation")
    (report,), (device,) = of_kind(found, "DiagnosticReport"), of_kind(found, "Device")
    assert bone_age["valueQuantity"] == {
        "value": 126.5,
        "unit": "month",
        "system": "http://unitsofmeasure.org",
        "code": "mo",
    }
    assert bone_age["code"]["coding"][0] == {"system": "http://loinc.org", "code": "85151-9"}
    limits = bone_age["component"][0]["valueRange"]
    assert (limits["low"]["value"], limits["high"]["value"]) == (110.2, 140.7)
    assert sds["valueQuantity"]["value"] == round(assessed().assessment.sds.value, 2)
    assert "Greulich and Pyle" in sds["note"][0]["text"]
    assert {one["status"] for one in (bone_age, sds, report)} == {"preliminary"}
    assert device["serialNumber"] == "0123456789ab"
    assert bone_age["derivedFrom"][0]["identifier"]["value"] == f"urn:oid:{identity().study_uid}"
    assert "For research, not for diagnosis." in report["conclusion"]


def test_a_refusal_is_an_observation_without_a_value_that_says_why():
    (observation,) = of_kind(entries(refused()), "Observation")
    assert "valueQuantity" not in observation
    assert "no single hand" in observation["dataAbsentReason"]["text"]


def test_every_reference_within_leads_to_an_entry_and_a_device_comes_once():
    found = entries(
        assessed(), assessed(film=identity(sop_uid="1.2.3")), refused(film=identity(sop_uid="1.2.4"))
    )
    urls = [entry["fullUrl"] for entry in found]
    assert len(set(urls)) == len(urls)
    said = json.dumps(found)
    inner = {part.split('"')[0] for part in said.split('"reference": "')[1:]}
    assert inner
    assert inner <= set(urls)
    assert len(of_kind(found, "Device")) == 1


def test_what_is_posted_again_is_the_same_and_created_only_where_it_is_not_there():
    assert transaction([assessed()]) == transaction([assessed()])
    conditions = [entry["request"]["ifNoneExist"] for entry in entries(assessed())]
    assert len(set(conditions)) == len(conditions)
    for entry in entries(assessed()):
        (identifier,) = entry["resource"]["identifier"]
        assert entry["request"]["ifNoneExist"] == f"identifier={identifier['system']}|{identifier['value']}"


def test_no_films_make_a_transaction_without_entries():
    assert "entry" not in json.loads(transaction([]))


@pytest.mark.parametrize("sop_uid", ["1.2.3", "1.2.4"])
def test_without_identity_there_is_no_patient_and_no_date(sop_uid):
    film = identity(sop_uid=sop_uid)
    said = transaction([assessed(film=without_identity(film), deidentified=True)])
    for told in (film.patient_id, film.patient_name, film.study_uid, sop_uid, "2026", "2015"):
        assert f'"{told}"' not in said
        assert f':{told}"' not in said
    assert "subject" not in said
