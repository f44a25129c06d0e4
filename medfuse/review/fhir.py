"""Decisions as FHIR R4: a DiagnosticReport a case with one Observation a label, in a Bundle.

Built with the classes of fhir.resources, which hold every resource to the standard's structure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.review.decision import Review

_SYSTEM = "urn:medfuse"  # of our own identifiers and codes
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_SAYS = {
    "accept": "The reader accepted the model's answer.",
    "override": "The reader overrode the model's answer.",
    "uncertain": "The reader is uncertain.",
    "bad_image": "The reader found the image not fit to be read.",
}


def fhir_bundle(cohort: Cohort, decisions: Mapping[str, Review], *, at: datetime | None = None) -> Any:
    """A `Bundle` of type collection (fhir.resources, R4B) with the decision that counts for each case.

    Comments are left out: they are free text and may name the patient.

    Args:
        cohort: The cases; decisions on others are left out.
        decisions: By case id, as `final_decisions` gives them.
        at: When the bundle was made; now if not given.
    """
    from fhir.resources.R4B.bundle import Bundle

    entries = []
    for case in cohort.cases:
        review = decisions.get(case.case_id)
        if review is not None and review.action in _SAYS:
            entries += [{"fullUrl": url, "resource": resource} for url, resource in _resources(case, review, cohort)]
    timestamp = (at or datetime.now(UTC)).isoformat()
    return Bundle.model_validate(
        {"resourceType": "Bundle", "type": "collection", "timestamp": timestamp, "entry": entries}
    )


def write_fhir(cohort: Cohort, decisions: Mapping[str, Review], out: Path) -> int:
    """Write the bundle as JSON.

    Returns:
        The number of reports.
    """
    bundle = fhir_bundle(cohort, decisions)
    partial = out.with_name(out.name + ".partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(bundle.model_dump_json(indent=2), encoding="utf-8")
    os.replace(partial, out)
    return sum(entry.resource.get_resource_type() == "DiagnosticReport" for entry in bundle.entry or ())


def _resources(case: Case, review: Review, cohort: Cohort) -> Iterable[tuple[str, dict[str, Any]]]:
    answer = review.answer(cohort.task)
    judged = cohort.labels if review.judged is None else review.judged
    status = "final" if review.corrects is None else "amended"
    common: dict[str, Any] = {
        "status": status,
        "subject": {"identifier": {"system": f"{_SYSTEM}:patient", "value": case.patient_id}},
        "issued": (review.created_at or datetime.now(UTC)).isoformat(),
    }
    reader = {"display": review.reader}
    observations = []
    for label in judged:
        said: dict[str, Any] = (
            {"valueBoolean": label in answer}
            if answer is not None
            else {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "unknown"}]}}
        )
        code = {"coding": [{"system": f"{_SYSTEM}:label", "code": label}], "text": label}
        observation = {"resourceType": "Observation", **common, "code": code, "performer": [reader], **said}
        observations.append((_url(case, review, label), observation))
    report = {
        "resourceType": "DiagnosticReport",
        **common,
        "identifier": [
            {"system": f"{_SYSTEM}:case", "value": case.case_id},
            {"system": f"{_SYSTEM}:entry", "value": str(review.id)},
        ],
        "code": {"text": "Reader's decision on a model's prediction"},
        "resultsInterpreter": [reader],
        "result": [{"reference": url} for url, _ in observations],
        "conclusion": _conclusion(review, answer),
    }
    return [(_url(case, review, ""), report), *observations]


def _conclusion(review: Review, answer: frozenset[str] | None) -> str:
    if answer is None:
        return _SAYS[review.action]
    return f"{_SAYS[review.action]} {', '.join(sorted(answer)) or 'None of the labels'}."


def _url(case: Case, review: Review, label: str) -> str:
    """The same resource has the same name in every export."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'medfuse:{review.study}:{case.case_id}:{review.id}:{label}')}"
