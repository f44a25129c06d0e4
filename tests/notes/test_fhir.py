from __future__ import annotations

import base64
import json

import pytest

from medfuse.errors import NoteError
from medfuse.notes import OUTCOME_SECTIONS, select


def test_an_attached_text_with_type_and_date(read, fhir):
    content = fhir(
        b"HISTORY: caf\xe9",
        "text/plain; charset=ISO-8859-1",
        type={"text": " Progress  Note "},
        date="2020-01-31T09:30:00Z",
    )
    note = read(content)
    assert (note.text, note.kind, note.time) == ("HISTORY: café", "progress note", "2020-01-31T09:30:00Z")
    assert note.warnings == ()


def test_an_attachment_is_told_by_its_bytes(read, fhir, pdf):
    for data in (rb"{\rtf1 cough}", b"<html><p>cough", pdf("cough"), b"cough"):
        assert "cough" in read(fhir(data, "application/octet-stream")).text


def test_the_first_attachment_that_can_be_read_is_taken(read, fhir):
    def attachment(data, **rest):
        return {"attachment": {"data": base64.b64encode(data).decode(), **rest}}

    content = [
        {"attachment": {"url": "https://example.org/note.txt"}}, attachment(b"\x89PNG"), attachment(b" "), {"x": 1},
        attachment(b"cough"), attachment(b"fever"),
    ]  # fmt: skip
    assert read(fhir(content=content)).text == "cough"


def test_a_discharge_summary_is_not_read_by_default(read, fhir):
    coded = {"coding": [{"system": "http://loinc.org", "code": "18842-5", "display": "Discharge summary"}]}
    note = read(fhir(b"HISTORY: asthma", type=coded))
    assert note.kind == "discharge summary"
    assert select(note, exclude=OUTCOME_SECTIONS) == ""


def test_a_radiology_report_without_headers_is_findings(read, fhir):
    report = {
        "resourceType": "DiagnosticReport",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}]}],
        "code": {"text": "Chest X-ray"},
        "effectiveDateTime": "2020-01-31",
        "presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(b"Pneumonia.").decode()}],
    }
    note = read(json.dumps(report).encode())
    assert (note.kind, note.time) == ("radiology report", "2020-01-31")
    assert [section.name for section in note.sections] == ["FINDINGS"]
    assert select(note, exclude=OUTCOME_SECTIONS) == ""


def test_a_report_without_attachment_is_its_narrative_and_conclusion(read):
    report = {
        "resourceType": "DiagnosticReport",
        "code": {"coding": [{"display": "Echo"}]},
        "issued": "not a time",
        "text": {"div": "<div xmlns='http://www.w3.org/1999/xhtml'><p>INDICATION: murmur</p></div>"},
        "conclusion": "Normal.",
    }
    note = read(json.dumps(report, indent=2).encode())
    assert (note.kind, note.time) == ("echo report", None)
    assert note.text == "INDICATION: murmur\n\nCONCLUSION: Normal."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"resourceType": "Patient", "name": [{"family": "Secret"}]}', "neither a DocumentReference nor"),
        (b'{"resourceType": "DocumentReference", "content": [{"attachment": {"url": "x"}}]}', "without a text"),
        (b'{"resourceType": "DocumentReference", "content": "Secret"}', "without a text"),
        (b'{"resourceType": "DiagnosticReport", "presentedForm": [null, {"data": 7}]}', "without a text"),
        (b'{"resourceType": "DocumentReference", "Secret', "FHIR JSON that is damaged"),
        (b'{"resourceType": ' + b"[" * 100_000, "FHIR JSON that is damaged"),
        (b'{"resourceType": "DocumentReference", "a": "\xff"}', "FHIR JSON that is damaged"),
    ],
)
def test_what_cannot_be_read_is_one_line(read, content, message):
    with pytest.raises(NoteError, match=message) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert "Secret" not in str(caught.value)


def test_fhir_inside_fhir_is_text_and_goes_no_deeper(read, fhir):
    inner = fhir(b"cough")
    assert read(fhir(inner)).text == inner.decode()
