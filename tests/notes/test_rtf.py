from __future__ import annotations

import contextlib
import time

import pytest

from medfuse.errors import NoteError

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fnil\fcharset204 Arial;}}"


def test_text_accents_and_paragraphs(read):
    note = read(HEAD + rb"\b HISTORY:\b0  caf\'e9 \u8211- \f1\'e4\'e0\f0\par FINDINGS: clear\par}")
    assert note.text == "HISTORY: café – да\nFINDINGS: clear\n"
    assert [section.name for section in note.sections] == ["HISTORY", "FINDINGS"]


def test_pictures_links_and_hidden_groups_are_left_out(read):
    picture = rb"{\pict\pngblip " + b"89504e47" * 400 + b"}"
    link = rb'{\field{\*\fldinst{HYPERLINK "http://x.org/secret"}}{\fldrslt{see there}}}'
    note = read(HEAD + rb"{\info{\author Dr. Secret}}{\header Secret}" + picture + b"Cough, " + link + rb".\par}")
    assert note.text.strip() == "Cough, see there."


def test_a_large_picture_does_not_make_a_note_too_large(read):
    assert read(HEAD + rb"{\pict " + b"0f" * (3 << 20) + b"}Cough}").text == "Cough"
    with pytest.raises(NoteError, match="RTF document of more than 1 MiB"):
        read(HEAD + b"Cough. " * (1 << 18) + b"}")


@pytest.mark.parametrize(
    "content", [rb"{\rtf1", rb"{\rtf1}", rb"{\rtf1 \u99999999999999 a}", rb"{\rtf1\bin99 a", b"{\\rtf1 }}}}a"]
)
def test_damaged_rtf_is_a_note_or_one_line(read, content):
    try:
        told = read(content).text
    except NoteError as error:
        told = str(error)
    assert "\n" not in told
    assert "\\" not in told


@pytest.mark.parametrize(
    "unit",
    [
        rb"{\field{\*\fldinst{",
        rb"{\field{\*\fldinst{HYPERLINK " + b'"',
        rb"{\fonttbl\f1",
        rb"\f1\fcharset0a",
        rb"\'e9",
        rb"\u8211?",
        b"{",
        b"}",
    ],
)
def test_time_is_linear_in_the_text(read, unit):
    content = rb"{\rtf1{\fonttbl" + (unit * (2**18 // len(unit)))
    start = time.process_time()
    with contextlib.suppress(NoteError):
        read(content)
    assert time.process_time() - start < 3  # 0.5 s on an idle core; quadratic time would be minutes
