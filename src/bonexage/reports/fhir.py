"""Outcomes as a FHIR transaction, R4B within what R4 servers read, that may be posted again and again."""

from __future__ import annotations

import importlib.util
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from bonexage import __version__
from bonexage.assessment import DISCLAIMER, Assessment, Interval
from bonexage.clinic.sentence import plain_sentence
from bonexage.errors import MissingExtra
from bonexage.numbers import interval_name
from bonexage.reports import codes
from bonexage.reports.codes import Concept
from bonexage.reports.result import MAKER, METHOD, FilmResult, derived_uid

Resource = dict[str, Any]

UID_SYSTEM: Final = "urn:dicom:uid"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_SECTION: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
_ABSENT: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"


def check_fhir_installed() -> None:
    """Say before any work whether FHIR can be written.

    Raises:
        MissingExtra: fhir.resources is not installed.
    """
    if importlib.util.find_spec("fhir") is None:
        raise MissingExtra("FHIR output", "fhir")


def transaction(results: Iterable[FilmResult]) -> str:
    """The results as one transaction bundle, JSON, validated against R4B.

    Each film gives an Observation of the bone age, one of the SDS where there is one, and a DiagnosticReport,
    all preliminary; each model a Device. Every resource is created only where none has its identifier yet.
    """
    from fhir.resources.R4B.bundle import Bundle

    entries: dict[str, Resource] = {}
    for result in results:
        for entry in _entries(result):
            entries.setdefault(entry["fullUrl"], entry)
    said: Resource = {"resourceType": "Bundle", "type": "transaction"}
    if entries:
        said["entry"] = list(entries.values())
    return f"{Bundle.model_validate(said).model_dump_json(indent=1)}\n"


def together(transactions: Iterable[str | bytes]) -> str:
    """Several transactions as one, each resource once."""
    found = [json.loads(each).get("entry", []) for each in transactions]
    entries = list({entry["fullUrl"]: entry for each in found for entry in each}.values())
    said: Resource = {"resourceType": "Bundle", "type": "transaction"}
    return f"{json.dumps({**said, 'entry': entries} if entries else said, indent=1)}\n"


def _entries(result: FilmResult) -> Iterator[Resource]:
    device = derived_uid("device", result.outcome.model, __version__)
    bone_age, sds, report = (result.uid(kind) for kind in ("observation", "sds observation", "fhir report"))
    results = [_reference(bone_age)]
    yield _entry("Device", device, _device(result))
    yield _entry("Observation", bone_age, {**_observation(result, device), **_bone_age(result)})
    if result.assessment and result.assessment.sds:
        results.append(_reference(sds))
        score = {**_observation(result, device), **_sds(result.assessment), "derivedFrom": results[:1]}
        yield _entry("Observation", sds, score)
    yield _entry("DiagnosticReport", report, {**_report(result), "result": results})


def _entry(kind: str, uid: str, content: Resource) -> Resource:
    identifier = {"system": UID_SYSTEM, "value": f"urn:oid:{uid}"}
    return {
        "fullUrl": _url(uid),
        "resource": {"resourceType": kind, "identifier": [identifier], **content},
        "request": {
            "method": "POST",
            "url": kind,
            "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
        },
    }


def _device(result: FilmResult) -> Resource:
    return {
        "deviceName": [{"name": MAKER, "type": "manufacturer-name"}],
        "modelNumber": result.model_name,
        "serialNumber": result.model_hash,
        "version": [{"type": {"text": "software"}, "value": __version__}],
        "note": [{"text": DISCLAIMER}],
    }


def _observation(result: FilmResult, device: str) -> Resource:
    """What the observations of a film have in common."""
    return {
        **_about(result),
        "category": [{"coding": [{"system": _CATEGORY, "code": "imaging"}]}],
        "bodySite": _concept(codes.HAND),
        "method": {"text": METHOD},
        "device": _reference(device),
        "derivedFrom": [_study(result)],
    }


def _about(result: FilmResult) -> Resource:
    said: Resource = {"status": "preliminary"}
    if not result.deidentified and result.film.patient_id:
        said["subject"] = {"type": "Patient", "identifier": {"value": result.film.patient_id}}
    date = result.film.moment[0]
    if date:
        said["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return said


def _bone_age(result: FilmResult) -> Resource:
    said: Resource = {"code": _concept(codes.BONE_AGE)}
    outcome = result.outcome
    if not isinstance(outcome, Assessment):
        why = outcome.error.sentence
        said["dataAbsentReason"] = {"coding": [{"system": _ABSENT, "code": "unknown"}], "text": why}
        return said
    said["valueQuantity"] = _quantity(outcome.bone_age_months, 1, codes.MONTH)
    if outcome.interval:
        said["component"] = [_interval(outcome.interval)]
    if outcome.cautions:
        said["note"] = [{"text": caution.sentence} for caution in outcome.cautions]
    return said


def _interval(interval: Interval) -> Resource:
    low, high = interval.low_months, interval.high_months
    return {
        "code": {"text": interval_name(interval)},
        "valueRange": {"low": _quantity(low, 1, codes.MONTH), "high": _quantity(high, 1, codes.MONTH)},
    }


def _sds(said: Assessment) -> Resource:
    assert said.sds
    return {
        "code": _concept(codes.Z_SCORE),
        "valueQuantity": _quantity(said.sds.value, 2, codes.ONE),
        "note": [{"text": f"Reference: {said.sds.norm}"}],
    }


def _report(result: FilmResult) -> Resource:
    outcome = result.outcome
    if isinstance(outcome, Assessment):
        conclusion = plain_sentence(outcome)
    else:
        conclusion = f"No bone age is given: {outcome.error.problem}."
    return {
        **_about(result),
        "category": [{"coding": [{"system": _SECTION, "code": "RAD"}]}],
        "code": _concept(codes.PROCEDURE),
        "imagingStudy": [_study(result)],
        "conclusion": f"{conclusion} {DISCLAIMER}",
    }


def _study(result: FilmResult) -> Resource:
    """The imaging study by its UID: the server that holds it knows its own address for it."""
    identifier = {"system": UID_SYSTEM, "value": f"urn:oid:{result.film.study_uid}"}
    return {"type": "ImagingStudy", "identifier": identifier}


def _quantity(value: float, decimals: int, unit: Concept) -> Resource:
    return {
        "value": round(value, decimals) + 0.0,
        "unit": unit.meaning,
        "system": unit.system,
        "code": unit.code,
    }


def _concept(concept: Concept) -> Resource:
    return {"coding": [{"system": concept.system, "code": concept.code}], "text": concept.meaning}


def _reference(uid: str) -> Resource:
    return {"reference": _url(uid)}


def _url(uid: str) -> str:
    return f"urn:uuid:{uuid.UUID(int=int(uid.removeprefix('2.25.')))}"
