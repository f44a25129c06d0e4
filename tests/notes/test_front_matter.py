from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.notes import front_matter, note_from_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nkind: Triage  Note\ntime: 2180-05-06T19:17\n---\ncough", ("cough", "triage note", "2180-05-06T19:17")),
        ("---\r\ntime: 2020-01-31\r\nkind:x\r\n---\r\n\r\ncough", ("\ncough", "x", "2020-01-31")),
        ("---\nkind: triage\n---", ("", "triage", None)),
        ("---\ntime: yesterday\n---\ncough", ("cough", "", None)),
        ("---\nname: x\n---\ncough", ("---\nname: x\n---\ncough", "", None)),
        ("---\nkind: x\ncough", ("---\nkind: x\ncough", "", None)),
        ("cough\n---\nkind: x\n---\n", ("cough\n---\nkind: x\n---\n", "", None)),
        ("---\n---\ncough", ("---\n---\ncough", "", None)),
    ],
)
def test_kind_and_time_on_top_of_a_text(text, expected):
    note = note_from_text(text)
    assert (note.text, note.kind, note.time) == expected


def test_nothing_known_is_nothing_written():
    assert front_matter() == ""
    assert front_matter(kind=" \n ", time="") == ""


@settings(deadline=None, max_examples=60)
@given(
    kind=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=90),
    time=st.none() | st.datetimes().map(lambda time: time.isoformat()) | st.dates().map(lambda day: day.isoformat()),
    text=st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).map(str.strip),
)
def test_what_is_written_is_read_back(kind, time, text):
    note = note_from_text(front_matter(kind=kind, time=time) + text)
    assert note.time == time
    assert note.kind == " ".join(kind.lower().split())[:80].strip()
    if text and "\ufeff" not in text:
        assert note.text == text
