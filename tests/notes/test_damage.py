"""Documents of every format with bytes changed, cut and repeated: a note or one line, soon, never the note's words."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medfuse.errors import NoteError

KINDS = ["text", "utf-16", "rtf", "html", "pdf", "packed pdf", "fhir", "fhir with rtf", "sr", "dicom pdf"]
SECRET = "Zebrafinch"  # stands in every document, and must stand in no error


@pytest.fixture
def documents(pdf, fhir, report, item, encapsulated):
    sentence = f"HISTORY: {SECRET} coughs.\nFINDINGS: clear."
    return {
        "text": f"---\nkind: {SECRET}\ntime: {SECRET}\n---\n{sentence}".encode(),
        "utf-16": sentence.encode("utf-16"),
        "rtf": rf"{{\rtf1\ansi{{\fonttbl{{\f0\fcharset0 {SECRET};}}}}\f0 {sentence}\par\u8211?\'e9}}".encode(),
        "html": f"<!doctype html><html><meta charset=utf-8><p title={SECRET}>{sentence}</p><table><td>&amp;".encode(),
        "pdf": pdf(sentence),
        "packed pdf": pdf(sentence, sentence, flate=True),
        "fhir": fhir(sentence.encode(), type={"text": SECRET}, date=SECRET),
        "fhir with rtf": fhir(rf"{{\rtf1 {sentence}}}".encode()),
        "sr": report(item("TEXT", SECRET, TextValue=sentence), PatientName=SECRET, ContentDate="20200131"),
        "dicom pdf": encapsulated(pdf(sentence)),
    }


changes = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "repeat", "insert", "drop"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(1, 64),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from([b"{", b"}", b"<", b"\\", b"\0", b"endobj", b"\\u-9", b'"']),
    ),
    min_size=1,
    max_size=6,
)


def changed(content: bytes, edits) -> bytes:
    for edit, where, length, new in edits:
        place = int(where * len(content))
        part = content[place : place + length]
        content = {
            "flip": content[:place] + bytes(255 - byte for byte in part) + content[place + length :],
            "cut": content[:place],
            "repeat": content[:place] + part * 20 + content[place:],
            "insert": content[:place] + new + content[place:],
            "drop": content[:place] + content[place + length :],
        }[edit]
    return content


@pytest.mark.parametrize("kind", KINDS)
@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(edits=changes)
def test_changed_documents_are_a_note_or_one_line(documents, read, capfd, kind, edits):
    content = changed(documents[kind], edits)
    start = time.process_time()
    note = None
    try:
        note = read(content)
        told = " ".join(note.warnings)
    except NoteError as error:
        told = str(error)
    assert "\n" not in told
    assert SECRET.lower() not in told.lower()
    if note is not None:
        assert "\x00" not in note.text
        assert all(section.end <= len(note.text) for section in note.sections)
    assert time.process_time() - start < 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
def test_whole_documents_are_read(documents, read, kind):
    note = read(documents[kind])
    assert SECRET in note.text
    assert "HISTORY" in {section.name for section in note.sections}
