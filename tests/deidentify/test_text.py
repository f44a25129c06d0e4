from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.deidentify.text import Screen, words_of


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Seen by Dr. A. B. Marchetti today.", "Marchetti"),
        ("Mrs Okonkwo-Hale was breathless.", "Okonkwo"),
        ("Patient: Zebulon Quillfeather, cough.", "Quillfeather"),
        ("Electronically signed by Thornapple, Ida", "Thornapple"),
        ("CT on 2021-03-04 at noon", "2021-03-04"),
        ("X-ray of 3/4/21", "3/4/21"),
        ("since 4th of March 2021", "March"),
        ("on March 4, 2021 he fell", "March 4"),
        ("in Sept 2019", "Sept"),
        ("lives at 12 Old Mill Lane", "Old Mill Lane"),
        ("postcode SW1A 1AA", "SW1A"),
        ("Springfield, IL 62704", "62704"),
        ("call (212) 555-0187", "555"),
        ("phone 020 7946 0958", "7946"),
        ("MRN: A12345", "12345"),
        ("record number 4711-22", "4711"),
        ("hospital number 99887766", "99887766"),
        ("mail ida.thorn@example.org please", "ida.thorn"),
        ("see https://example.org/p/17", "example.org"),
        ("sent from Saint Mary General Hospital", "Mary"),
        ("a 94-year-old woman", "94"),
        ("93 y/o", "93"),
    ],
)
def test_patterns_are_replaced(text: str, gone: str) -> None:
    screened, counts = Screen().apply(text)
    assert gone not in screened
    assert sum(counts.values()) >= 1


@pytest.mark.parametrize(
    "text",
    [
        "71-year-old with cough for 3 days, temperature 38.5, SpO2 92 %, BP 120/80.",
        "WBC 12500, CRP 143 mg/L, lactate 2.4; T4-T6 fracture, L5/S1.",
        "Right lower zone 3 x 4 cm opacity, unchanged since 2019.",
        "INDICATION: chest pain. HISTORY: COPD, stage 3. Patient has had pneumonia twice.",
    ],
)
def test_medicine_stays(text: str) -> None:
    assert Screen(["Quillfeather^Zebulon", "patient-1"]).apply(text) == (text, {})


def test_known_names_go_in_any_case_and_spelling() -> None:
    screen = Screen(["Müller^Zoë", "O'Brien", "MRN778812"])
    text = "ZOE MULLER's cough; müller, Zoë. brien; file_muller_1; mrn778812; mullerian stays"
    screened, counts = screen.apply(text)
    assert screened == "[name] cough; [name]. [name]; file_[name]_1; [name]; mullerian stays"
    assert counts["name"] == 7


def test_words_of_ids_and_placeholders() -> None:
    assert words_of("Quillfeather^Zebulon^^Mr") == {"quillfeather", "zebulon"}
    assert words_of("Anonymous^Patient") == set()
    assert words_of("case-0001") == {"0001"}


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200))
def test_any_text_is_screened_and_screening_again_changes_little(text: str) -> None:
    once, _ = Screen(["Quillfeather"]).apply(text)
    assert "quillfeather" not in once.lower()
    Screen(["Quillfeather"]).apply(once)


def test_time_is_linear_in_the_text() -> None:
    for stuff in ("Mr A. A. A. " * 20000, "1-2-3 " * 30000, "12 Aa Aa Aa " * 20000, "a.a@" * 40000, "Mar 1 " * 30000):
        begun = time.monotonic()
        Screen(["Aaa"]).apply(stuff)
        assert time.monotonic() - begun < 5
