from __future__ import annotations

import pytest

from medfuse.case import Note
from medfuse.config import TextConfig
from medfuse.notes import by_time, model_places, model_text
from medfuse.notes.heading import heading


@pytest.mark.parametrize(
    ("time", "at", "line"),
    [
        ("2180-05-06T19:17", "2180-05-06T22:30", "triage, 3 hours before."),
        ("2180-05-06T22:00", "2180-05-07T01:00", "triage, 3 hours before."),
        ("2180-05-06T19:17", "2180-05-06T19:20", "triage, at the same time."),
        ("2180-05-06T23:00", "2180-05-06T22:00", "triage, 1 hour after."),
        ("2180-05-06", "2180-05-06T22:30", "triage, on the same day."),
        ("2180-05-06T23:59", "2180-05-07", "triage, 1 day before."),
        ("2180-05-01T08:00", "2180-05-06T22:30", "triage, 5 days before."),
        ("2180-05-06T19:00+02:00", "2180-05-06T18:00Z", "triage, 1 hour before."),
        ("2180-05-06", "2180", "triage."),
        ("2180-05-06", None, "triage."),
        (None, "2180-05-06", "triage."),
    ],
)
def test_it_says_the_kind_and_the_span(time: str | None, at: str | None, line: str) -> None:
    assert heading(Note(kind="triage", time=time), at=at) == line
    assert heading(Note(time=time), at=at) == line.removeprefix("triage, ").removeprefix("triage.")


def test_notes_stand_in_order_of_time_and_those_without_one_last() -> None:
    times = ("2180-05-06T22:30", None, "2180-05-06", "2180-05-06T22:30Z", "soon")
    assert by_time([Note(time=time) for time in times]) == [2, 0, 3, 1, 4]


@pytest.mark.parametrize("assertions", [False, True])
def test_what_a_model_reads_begins_with_it_and_it_is_no_place_of_the_note(assertions: bool) -> None:
    config = TextConfig(encoder="lsa", assertions=assertions)
    note = Note(text="HISTORY: no cough.\nFINDINGS: clear.", kind="triage", time="2180-05-06")
    text, places = (one(note, config, at="2180-05-08") for one in (model_text, model_places))
    assert text.startswith("triage, 2 days before.\nHISTORY: no cough")
    assert len(text) == len(places)
    assert set(places[: text.index("HISTORY")]) == {-1}
    assert places[text.index("HISTORY")] == 0


def test_where_nothing_is_known_or_left_nothing_is_said() -> None:
    config = TextConfig()
    assert model_text(Note(text="HISTORY: cough."), config, at="2180-05-08") == "HISTORY: cough."
    left_out = Note(text="FINDINGS: clear.", time="2180-05-06")
    assert model_text(left_out, config, at="2180-05-08") == ""
    assert model_places(left_out, config, at="2180-05-08") == []
    assert model_text(Note(text="HISTORY: cough.", kind="discharge summary"), config) == ""
