from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from medfuse.case import Case, Note
from medfuse.cohort import Cohort
from medfuse.deidentify import deidentify
from medfuse.deidentify.note import clean_note, moved_time, names_in_note
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.deidentify.text import Screen
from medfuse.errors import NoteError
from medfuse.notes import OUTCOME_SECTIONS, read_note, select
from tests.deidentify.test_cohort import every_byte
from tests.notes.conftest import BASIC_TEXT, PDF_REPORT, _code, _dicom, _fhir, _item, _pdf

KEY = Pseudonyms(b"k" * 32)
LINES = (
    "HISTORY: Mr Quillfeather, seen on 2021-03-04, has a cough.",
    "FINDINGS: Zebulon has an effusion.",
    "Reported by: Ida Vandersloot",
)
NAMED = ("quillfeather", "zebulon", "vandersloot", "2021-03-04", "20210304", "mrn778812")


def rtf() -> bytes:
    lines = "\\par\n".join(LINES)
    return f"{{\\rtf1\\ansi{{\\info{{\\author Zebulon Quillfeather}}}}{{\\header MRN778812}}{lines}}}".encode()


def html() -> bytes:
    lines = "".join(f"<p>{line}</p>" for line in LINES)
    head = "<head><title>MRN778812</title><meta name=author content='Quillfeather'></head>"
    return f"<html>{head}<!-- Zebulon --><body>{lines}</body></html>".encode()


def pdf() -> bytes:
    return _pdf("\n".join(LINES)).replace(b"/Root 1 0 R", b"/Root 1 0 R /Title (Quillfeather MRN778812)")


def fhir() -> bytes:
    people = {
        "subject": {"reference": "Patient/1", "display": "Quillfeather, Zebulon"},
        "author": [{"reference": "#doctor"}],
        "contained": [{"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Vandersloot"}]}],
        "custodian": {"reference": "Organization/1", "display": "History Findings Hospital"},
        "identifier": [{"system": "urn:x", "value": "MRN778812"}],
        "type": {"text": "radiology report of Quillfeather"},
        "date": "2021-03-04T10:15:00",
    }
    return _fhir("\n".join(LINES).encode(), **people)


def dicom_sr() -> bytes:
    content = [
        _item("PNAME", "Observer", PersonName="Vandersloot^Ida"),
        *(_item("TEXT", line.split(":")[0], TextValue=line.split(": ")[1]) for line in LINES),
    ]
    return _dicom(
        BASIC_TEXT, PatientName="Quillfeather^Zebulon", PatientID="MRN778812", ContentDate="20210304",
        ValueType="CONTAINER", ConceptNameCodeSequence=_code("Radiology Report"), ContentSequence=content,
    )  # fmt: skip


def dicom_pdf() -> bytes:
    return _dicom(
        PDF_REPORT, PatientName="Quillfeather^Zebulon", PatientID="MRN778812", ContentDate="20210304",
        EncapsulatedDocument=pdf() + b"\0" * (len(pdf()) % 2), ConceptNameCodeSequence=_code("Radiology Report"),
        MIMETypeOfEncapsulatedDocument="application/pdf",
    )  # fmt: skip


def text() -> bytes:
    return b"---\nkind: radiology report\ntime: 2021-03-04\n---\n" + "\n".join(LINES).encode()


FORMATS: tuple[Callable[[], bytes], ...] = (text, rtf, html, pdf, fhir, dicom_sr, dicom_pdf)


@pytest.mark.parametrize("made", FORMATS)
def test_nothing_planted_survives_in_a_note_of_any_format(tmp_path: Path, made) -> None:
    folder = tmp_path / "cohort"
    (folder / "notes").mkdir(parents=True)
    cases = []
    for number in range(2):
        path = folder / "notes" / f"quillfeather{number}"
        path.write_bytes(made())
        # Where the document names nobody beside its text, another file of the patient does.
        other = folder / "notes" / f"zebulon{number}"
        other.write_bytes(dicom_sr())
        notes = (Note(path.resolve()), Note(other.resolve()))
        cases.append(Case(f"c{number}", f"p{number}", notes=notes, labels={"a": number, "b": 1 - number}))
    Cohort(folder, "x", "multiclass", ("a", "b"), tuple(cases)).save()
    before = every_byte(folder).lower()
    assert b"quillfeather" in before
    done = deidentify(folder, tmp_path / "out", key=b"s" * 32)
    assert done.left_out == ()
    after = every_byte(tmp_path / "out").lower()
    for name in NAMED:
        assert name.encode() not in after, name
    note = read_note(done.cohort.cases[0].notes[0].path)
    assert "has a cough." in note.text
    assert [section.name for section in note.sections][:2] == ["HISTORY", "FINDINGS"]
    assert "effusion" not in select(note, exclude=OUTCOME_SECTIONS)


@pytest.mark.parametrize("made", FORMATS)
def test_a_name_beside_the_text_is_known_where_the_format_has_one(tmp_path: Path, made) -> None:
    path = tmp_path / "note"
    path.write_bytes(made())
    names = " ".join(names_in_note(path)).lower()
    if made in (fhir, dicom_sr, dicom_pdf):
        assert {"quillfeather", "zebulon", "mrn778812"} <= set(names.replace("^", " ").replace(",", " ").split())
        assert "hospital" not in names
    else:
        assert names == ""


def test_kind_and_time_stay_since_they_decide_what_a_model_reads(tmp_path: Path) -> None:
    """A summary is left out whole, and a report without headers is findings: de-identified ones too."""
    for number, kind in enumerate(("discharge summary", "radiology report")):
        path = tmp_path / f"{number}.txt"
        path.write_text(f"---\nkind: {kind}\ntime: 2021-03-04T10:15\n---\nPneumonia of the left lung.\n")
        made, _ = clean_note(path, patient="p", screen=Screen(), pseudonyms=KEY)
        path.write_text(made)
        note = read_note(path)
        assert (note.kind, note.time) == (kind, moved_time("2021-03-04T10:15", "p", KEY))
        assert note.text.strip() == "Pneumonia of the left lung."
        assert select(note, exclude=OUTCOME_SECTIONS) == ""


def test_times_move_as_all_dates_of_the_patient() -> None:
    day = KEY.moved(date(2021, 3, 4), "p").isoformat()
    assert moved_time("2021-03-04", "p", KEY) == day
    assert moved_time("20210304", "p", KEY) == day
    assert moved_time("2021-03-04T10:15", "p", KEY) == f"{day}T10:15:00"
    assert moved_time("2021-03-04 10:15+02:00", "p", KEY) == f"{day}T10:15:00+02:00"
    assert moved_time("day 3", "p", KEY) is moved_time(None, "p", KEY) is moved_time("", "p", KEY) is None


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04Quillfeather",
        b"<?xml version='1.0'?><ClinicalDocument>Quillfeather</ClinicalDocument>",
        _pdf(""),
        json.dumps({"resourceType": "Patient", "name": [{"family": "Quillfeather"}]}).encode(),
    ],
)
def test_what_is_not_read_is_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "note").write_bytes(content)
    with pytest.raises(NoteError) as raised:
        clean_note(tmp_path / "note", patient="p", screen=Screen(), pseudonyms=KEY)
    assert "\n" not in str(raised.value)
    assert "Quillfeather" not in str(raised.value)
    names_in_note(tmp_path / "note")


def test_the_made_documents_are_what_they_say() -> None:
    assert dcmread(BytesIO(dicom_sr())).PatientName == "Quillfeather^Zebulon"
    assert b"Zebulon" in rtf()
