from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from medfuse.errors import NoteError
from medfuse.notes import OUTCOME_SECTIONS, select


def test_headings_are_sections_and_values_are_lines(read, report, item, code):
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", code("mm")
    content = report(
        item("PNAME", "Observer", PersonName="Secret^Doctor"),
        item("CONTAINER", "History", ContentSequence=[item("TEXT", TextValue="Cough, fièvre.")]),
        item(
            "CONTAINER", "Findings",
            ContentSequence=[
                item("NUM", "Nodule: diameter", MeasuredValueSequence=[measured]),
                item("CODE", "Side", ConceptCodeSequence=code("Left")),
                item("TEXT", "Finding", TextValue="Opacity."),
                item("IMAGE", "Source"),
                item("UIDREF", "Ref", UID="1.2.3.4"),
            ],
        ),
        item("CONTAINER", "Impressions", ContentSequence=[item("TEXT", TextValue="Pneumonia.")]),
        SpecificCharacterSet="ISO_IR 192",
    )  # fmt: skip
    note = read(content)
    assert (note.kind, note.time) == ("chest x-ray report", "2020-01-31T09:30:15")
    assert "NODULE DIAMETER: 12.5 mm\nSIDE: Left" in note.text
    assert "Cough, fièvre." in note.text
    assert "Secret" not in note.text
    assert "1.2.3.4" not in note.text
    assert select(note, exclude=[*OUTCOME_SECTIONS, "SIDE", "NODULE DIAMETER"]) == "HISTORY:\nCough, fièvre."


def test_a_report_without_headings_is_findings(read, report, item):
    note = read(report(item("TEXT", TextValue="Pneumonia."), ConceptNameCodeSequence=[], ContentTime=""))
    assert (note.kind, note.time) == ("report", "2020-01-31")
    assert select(note, exclude=OUTCOME_SECTIONS) == ""


def test_an_encapsulated_pdf(read, encapsulated, pdf):
    note = read(encapsulated(pdf("INDICATION: cough", "IMPRESSION: pneumonia")))
    assert (note.kind, note.time) == ("radiology report", "2020-01-31")
    assert select(note, exclude=OUTCOME_SECTIONS) == "INDICATION: cough"


def test_an_empty_report_is_an_empty_note(read, report):
    assert read(report()).warnings == ("the note is empty",)


def test_deep_and_large_trees_are_refused(read, report, item):
    deep = item("TEXT", TextValue="cough")
    for _ in range(60):
        deep = item("CONTAINER", "a", ContentSequence=[deep])
    with pytest.raises(NoteError, match="larger than any note"):
        read(report(deep))
    with pytest.raises(NoteError, match="larger than any note"):
        read(report(*[item("CONTAINER")] * 10_001))


def test_other_dicom_and_damaged_dicom_are_one_line(read, report, item, encapsulated):
    whole = report(item("TEXT", TextValue="Secret words."), PatientName="Secret^Name")
    image = whole.replace(b"1.2.840.10008.5.1.4.1.1.88.11", b"1.2.840.10008.5.1.4.1.1.7\0\0\0\0")
    for content in (image, whole[:200], b"\0" * 128 + b"DICM" + b"text" * 50, encapsulated(b"no pdf")):
        with pytest.raises(NoteError) as caught:
            read(content)
        assert str(caught.value).lower().startswith("note: a d")
        assert "Secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
