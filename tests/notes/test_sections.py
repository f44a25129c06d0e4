from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.notes import OUTCOME_SECTIONS, find_sections, note_from_text, select
from medfuse.notes.sections import HEADERS

HEADER_WORDS = [written for all_written in HEADERS.values() for written in all_written]


def named(text: str) -> list[tuple[str, str]]:
    return [(section.name, text[section.start : section.end]) for section in find_sections(text)]


@pytest.mark.parametrize("name", HEADERS)
def test_every_wording_has_its_one_name(name):
    for written in HEADERS[name]:
        for header in (written.upper(), written.capitalize(), written):
            assert named(f"{header}: it is so.") == [(name, "it is so.")]
            assert named(f"{header}\nit is so.") == [(name, "it is so.")]
            assert named(f"3. {header} :\n  it is so.\n") == [(name, "it is so.")]


def test_a_radiology_report():
    text = (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n INDICATION:  cough.\n\n"
        " TECHNIQUE:  Chest PA and lateral\n\n COMPARISON:  None.\n\n FINDINGS:\n \n Lungs are clear.\n\n IMPRESSION:\n"
        " \n No acute process.\n"
    )
    assert named(text) == [
        ("", "FINAL REPORT"),
        ("EXAMINATION", "CHEST (PA AND LAT)"),
        ("INDICATION", "cough."),
        ("TECHNIQUE", "Chest PA and lateral"),
        ("COMPARISON", "None."),
        ("FINDINGS", "Lungs are clear."),
        ("IMPRESSION", "No acute process."),
    ]


def test_headers_inside_a_line():
    assert named("INDICATION: cough. FINDINGS: clear. Impression: normal") == [
        ("INDICATION", "cough."),
        ("FINDINGS", "clear."),
        ("IMPRESSION", "normal"),
    ]
    assert named("INDICATION: cough FINDINGS: clear") == [("INDICATION", "cough"), ("FINDINGS", "clear")]


def test_words_that_are_no_headers():
    for text in ("the patient has a history: smoker", "We plan to discharge.", "history of smoking", "at 10:30 seen"):
        assert named(text) == [("", text)]


def test_unknown_capitals_are_a_section_of_their_own():
    assert named("SEDATION PLAN B: none\nAt 5: rest") == [("SEDATION PLAN B", "none\nAt 5: rest")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("CHEST FINDINGS", "FINDINGS"),
        ("FINAL IMPRESSION", "IMPRESSION"),
        ("IMPRESSION AND PLAN", "IMPRESSION"),
        ("Findings (chest)", "FINDINGS"),
        ("**Impression**", "IMPRESSION"),
        ("## Assessment and Plan", "ASSESSMENT"),
        ("PHYSICAL EXAM FINDINGS", "PHYSICAL EXAM"),
    ],
)
def test_variants_of_telling_headers_do_not_slip_through(header, name):
    note = note_from_text(f"HISTORY: asthma.\n{header}: pneumonia.")
    assert note.sections[1].name == name
    assert ("pneumonia" in select(note, exclude=OUTCOME_SECTIONS)) == (name not in OUTCOME_SECTIONS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FINDINGS The lungs are clear.\nIMPRESSION Normal", ["FINDINGS", "IMPRESSION"]),
        ("INDICATION Cough. FINDINGS Clear. IMPRESSION No change", ["INDICATION", "FINDINGS", "IMPRESSION"]),
        ("Impression - normal heart\nFindings \u2013 clear", ["IMPRESSION", "FINDINGS"]),
        ("FINDINGS OF THE LAST EXAM", [""]),
        ("HISTORY\nasthma\n\n2) IMPRESSION\nnormal", ["HISTORY", "IMPRESSION"]),
        ("DISCHARGE INSTRUCTIONS: rest\nADMISSION DIAGNOSIS: flu", ["DISCHARGE DIAGNOSIS", "ASSESSMENT"]),
    ],
)
def test_headers_without_a_colon(text, found):
    assert [section.name for section in find_sections(text)] == found


def test_what_follows_a_comparison_is_findings_with_a_header_or_without():
    text = "INDICATION: cough.\n\nCOMPARISON:\n\n None.\n \nThe lungs are clear.\n\nNo effusion.\n\nIMPRESSION: normal"
    assert named(text) == [
        ("INDICATION", "cough."),
        ("COMPARISON", "None."),
        ("FINDINGS", "The lungs are clear.\n\nNo effusion."),
        ("IMPRESSION", "normal"),
    ]


def test_a_report_without_headers_is_all_findings():
    text = "FINAL REPORT\n\nThe lungs are clear.\nINDICATION: cough.\n\nThere is an opacity."
    assert [section.name for section in find_sections(text)] == ["", "INDICATION"]
    assert [section.name for section in find_sections(text, kind="radiology report")] == [
        "FINDINGS",
        "INDICATION",
        "FINDINGS",
    ]
    note = note_from_text(f"---\nkind: Radiology  Report\n---\n{text}")
    assert note.kind == "radiology report"
    assert select(note, exclude=OUTCOME_SECTIONS) == "INDICATION: cough."


def test_a_kind_of_note_can_be_left_out_whole():
    note = note_from_text("---\nkind: discharge summary\ntime: 2020-01-31T10:00\n---\nHISTORY: asthma.")
    assert (note.text, note.time) == ("HISTORY: asthma.", "2020-01-31T10:00")
    assert select(note, exclude=OUTCOME_SECTIONS) == ""
    assert select(note, exclude=["FINDINGS"]) == "HISTORY: asthma."


def test_a_header_with_nothing_behind_it_is_kept_empty():
    assert named("HISTORY:\nFINDINGS: clear") == [("HISTORY", ""), ("FINDINGS", "clear")]


def test_select_keeps_headers_and_leaves_out_sections():
    note = note_from_text("Seen today.\nIndication: cough.\nFINDINGS: opacity.\nHX: asthma. IMPRESSION: pneumonia.")
    assert select(note, exclude=OUTCOME_SECTIONS) == "Seen today.\nIndication: cough.\nHX: asthma."
    assert select(note, exclude=["history", "Impressions"]) == "Seen today.\nIndication: cough.\nFINDINGS: opacity."
    assert "pneumonia" in select(note, exclude=())


def test_select_takes_out_marks_of_redaction():
    note = note_from_text("Elderly male, [redacted] positive. [redacted]")
    assert select(note, exclude=()) == "Elderly male, positive."


def test_select_of_nothing():
    assert select(note_from_text(""), exclude=()) == ""
    assert select(note_from_text("FINDINGS: clear"), exclude=OUTCOME_SECTIONS) == ""


pieces = st.lists(
    st.sampled_from([*HEADER_WORDS[:40], "FINDINGS", "IMPRESSION:", ":", "\n", " ", ". ", "1. ", "ABC:", "word", "é"])
    | st.text(max_size=6),
    max_size=30,
).map("".join)


@settings(deadline=None, max_examples=60)
@given(text=pieces, kind=st.sampled_from(["", "radiology report"]))
def test_sections_are_in_order_and_cover_all_but_headers(text, kind):
    last = 0
    for section in find_sections(text, kind=kind):
        assert last <= section.start <= section.end <= len(text)
        body = text[section.start : section.end]
        assert body == body.strip()
        assert section.name or body
        between = text[last : section.start].strip()
        assert len(between) < 150  # no more than a header
        assert section.name or not between
        assert between or section.name in ("", "FINDINGS")
        last = section.end
    assert not text[last:].strip()


@settings(deadline=None, max_examples=60)
@given(text=pieces)
def test_select_of_all_loses_no_word(text):
    note = note_from_text(text)
    assert select(note, exclude=()).split() == note.text.split()


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\n",
        "\n ",
        "A ",
        "A",
        ":",
        "*",
        "1. ",
        "history ",
        "REASON FOR ",
        ". Findings",
        "findings (",
        "A:\n",
        "FINDINGS ",
        ". FINDINGS a",
        "COMPARISON:\n\n",
        "COMPARISON: a\n \n",
        "findings - ",
    ],
)
def test_time_is_linear_in_the_text(unit):
    text = (unit * (2**18 // len(unit)))[: 2**18]
    start = time.process_time()
    find_sections(text)
    assert time.process_time() - start < 3  # 0.4 s at most on an idle core; quadratic time would be minutes


def test_a_mebibyte_of_near_headers_takes_seconds():
    start = time.process_time()
    find_sections("REASON FOR THE A " * 2**16)
    assert time.process_time() - start < 6
