from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.errors import NoteError
from medfuse.notes import note_from_text, read_note


def written(tmp_path, content: bytes):
    path = tmp_path / "note.txt"
    path.write_bytes(content)
    return path


def test_utf8_is_read_as_it_is(tmp_path):
    content = "INDICATION: Übelkeit, 39 °C.\nFINDINGS: clear.".encode()
    note = read_note(written(tmp_path, content))
    assert note.text == content.decode()
    assert note.sha256 == hashlib.sha256(content).hexdigest()
    assert [section.name for section in note.sections] == ["INDICATION", "FINDINGS"]
    assert note.warnings == ()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_honoured(tmp_path, encoding):
    note = read_note(written(tmp_path, "HISTORY: café".encode(encoding)))
    assert note.text == "HISTORY: café"
    assert note.warnings == ()


def test_utf16_big_endian(tmp_path):
    note = read_note(written(tmp_path, b"\xfe\xff" + "café".encode("utf-16-be")))
    assert note.text == "café"


@pytest.mark.parametrize(
    ("content", "text", "name"),
    [(b"caf\xe9 \x96 39\xb0", "café – 39°", "Windows-1252"), (b"a\x81b\xe9", "abé", "Latin-1")],
)
def test_other_encodings_are_read_with_a_warning(tmp_path, content, text, name):
    note = read_note(written(tmp_path, content))
    assert note.text == text
    assert any(name in warning for warning in note.warnings)


def test_newlines_and_control_characters(tmp_path):
    note = read_note(written(tmp_path, b"a\r\nb\rc\x0cd" + b"x" * 200 + b"\x00\x07"))
    assert note.text == "a\nb\nc\nd" + "x" * 200
    assert note.warnings == ("control characters were removed",)


@pytest.mark.parametrize("content", [b"", b"  \r\n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_note_is_a_note_with_a_warning(tmp_path, content):
    note = read_note(written(tmp_path, content))
    assert note.text == ""
    assert note.sections == ()
    assert note.warnings == ("the note is empty",)


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04text",
        b"\x89PNG\r\n",
        b"<?xml version='1.0'?><ClinicalDocument/>",
        bytes(range(256)) * 8,
        "no mark".encode("utf-16-le") * 20,
    ],
)
def test_what_is_no_text_is_an_error_of_one_line(tmp_path, content):
    with pytest.raises(NoteError, match=r"note\.txt: .*, not a note; save") as caught:
        read_note(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_missing_folder_and_too_large(tmp_path):
    with pytest.raises(NoteError, match=r"none\.txt: the note cannot be read"):
        read_note(tmp_path / "none.txt")
    with pytest.raises(NoteError, match="a folder"):
        read_note(tmp_path)
    with pytest.raises(NoteError, match="larger than 4 MiB"):
        read_note(written(tmp_path, b"a" * (4 * 2**20 + 1)))
    with pytest.raises(NoteError, match="cannot be read"):
        read_note("a\x00b")


def test_exactly_the_bound_is_read(tmp_path):
    assert len(read_note(written(tmp_path, b"a" * (4 * 2**20))).text) == 4 * 2**20


def test_text_given_directly():
    note = note_from_text("HISTORY: asthma.\r\n")
    assert (note.path, note.text) == (None, "HISTORY: asthma.\n")
    assert note.sections[0].name == "HISTORY"
    assert note_from_text("\ud800").text == ""


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=400))
def test_any_bytes_are_a_note_or_a_note_error(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("n"), content)
    try:
        note = read_note(path)
    except NoteError:
        return
    assert "\x00" not in note.text
    assert "\r" not in note.text


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=200))
def test_what_is_written_as_utf8_is_read_back_as_given(tmp_path_factory, text):
    content = text.encode("utf-8", "replace")
    try:
        note = read_note(written(tmp_path_factory.mktemp("n"), b"\xef\xbb\xbf" + content))
    except NoteError:
        return
    assert note.text == note_from_text(text.encode("utf-8", "replace").decode()).text
