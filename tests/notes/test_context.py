from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.notes import assertions, note_from_text, statuses
from medfuse.notes.context import _lexicon


def said_of(text: str, finding: str) -> list[str]:
    note = note_from_text(text)
    start = note.text.index(finding)
    return sorted(statuses(assertions(note), start, start + len(finding)))


@pytest.mark.parametrize(
    ("text", "finding", "expected"),
    [
        # NegEx (2001): negation before and behind, pseudo-negation, and the conjunction that ends it.
        ("The chest X-ray showed no infiltrates.", "infiltrates", ["negated"]),
        ("The patient denied experiencing chest pain on exertion.", "chest pain", ["negated"]),
        ("Extremities showed no cyanosis, clubbing, or edema.", "edema", ["negated"]),
        ("Myocardial infarction was ruled out.", "Myocardial infarction", ["negated"]),
        ("There was no increase in the pleural effusion.", "pleural effusion", []),
        ("Gram negative pneumonia.", "pneumonia", []),
        ("No fever, but cough for a day.", "cough", []),
        ("No fever, but cough for a day.", "fever", ["negated"]),
        ("Rule out pulmonary embolism.", "pulmonary embolism", ["possible"]),
        ("Pulmonary embolism must be ruled out.", "Pulmonary embolism", ["possible"]),
        # ConText (2009) and the examples published with its implementations.
        ("The patient denied a history of pneumonia.", "pneumonia", ["historical", "negated"]),
        ("History of COPD, presenting with shortness of breath.", "COPD", ["historical"]),
        ("History of COPD, presenting with shortness of breath.", "shortness of breath", []),
        ("She will return if she experiences any worsening pain.", "worsening pain", ["hypothetical"]),
        ("Call for fever because he has neutropenia.", "neutropenia", []),
        ("Her mother had breast cancer.", "breast cancer", ["other"]),
        ("Family history of breast cancer.", "breast cancer", ["other"]),
        ("Social history: smoker with cough.", "cough", []),
        ("Previous myocardial infarction with angina.", "myocardial infarction", ["historical"]),
        ("Previous myocardial infarction with angina.", "angina", []),
        ("PAST MEDICAL HISTORY: 1. Coronary artery disease. 2. MI. 3. CHF. 4. Diabetes.", "CHF", ["historical"]),
        ("FAMILY HISTORY: stroke. Diabetes.", "Diabetes", ["other"]),
        ("Was done on Monday, and there was no thrombus within the femoral or popliteal veins.", "veins", ["negated"]),
        ("Cough for 3 weeks.", "Cough", ["historical"]),
        ("Cough for 3 days.", "Cough", []),
        ("Food impaction eight years ago which required endoscopy.", "impaction", ["historical"]),
        # Radiology.
        ("No evidence of pneumothorax.", "pneumothorax", ["negated"]),
        ("h/o asthma, s/p appendectomy", "asthma", ["historical"]),
        ("h/o asthma, s/p appendectomy", "appendectomy", ["historical"]),
        ("No pneumothorax, possible effusion", "effusion", ["possible"]),
        ("No pneumothorax, possible effusion", "pneumothorax", ["negated"]),
        ("Effusion is not seen.", "Effusion", ["negated"]),
        ("Pneumonia unlikely. Effusion.", "Effusion", []),
        ("An early pneumonia cannot be excluded.", "pneumonia", ["possible"]),
        ("No focal\nconsolidation", "consolidation", ["negated"]),
        ("No consolidation\n- effusion", "effusion", []),
        ("Dr. Smith denies no. Cough", "Cough", []),
    ],
)
def test_published_and_usual_examples(text, finding, expected):
    assert said_of(text, finding) == expected


def test_cues_and_stretches_stand_where_they_say():
    note = note_from_text("INDICATION: r/o pneumonia.\n\nFINDINGS: There is no effusion.")
    found = [(one.status, note.text[slice(*one.cue)], note.text[one.start : one.end]) for one in assertions(note)]
    assert found == [("possible", "r/o", "pneumonia"), ("negated", "no", "effusion")]


def test_a_cue_does_not_reach_into_the_next_section():
    note = note_from_text("HISTORY: no fever\nFINDINGS: effusion")
    assert statuses(assertions(note), note.text.index("effusion"), len(note.text)) == frozenset()


def test_the_lexicon_is_whole():
    terms = _lexicon()
    assert len(terms) > 250
    assert not [term for term in terms if set(term) & set("[]|;") or "  " in term]
    assert dict.fromkeys(terms["history"]) == {("historical", "before"): None}
    assert set(terms["patient"]) == {("hypothetical", "stop"), ("other", "stop")}
    for term in terms:
        assert note_from_text(term).text == term


words = st.sampled_from(
    [
        *sorted(_lexicon())[::7],
        "cough",
        "pneumonia",
        ".",
        ",",
        "\n",
        "\n\n",
        "HISTORY:",
        "FINDINGS:",
        "é",
        "for 3 weeks",
    ]
)


@settings(deadline=None, max_examples=60)
@given(text=st.lists(words | st.text(max_size=4), max_size=30).map(" ".join))
def test_stretches_lie_in_sections_and_beside_their_cues(text):
    note = note_from_text(text)
    for one in assertions(note):
        assert any(section.start <= one.start < one.end <= section.end for section in note.sections)
        stretch = note.text[one.start : one.end]
        assert stretch == stretch.strip()
        assert one.cue == (one.start, one.end) or one.end <= one.cue[0] or one.cue[1] <= one.start


@pytest.mark.parametrize(
    "unit", ["no ", "a", " ", "\n", "no evidence ", "history of. ", "ruled out ", "for 3 ", "x, ", "'s", "prior "]
)
def test_time_is_linear_in_the_text(unit):
    note = note_from_text((unit * (2**18 // len(unit)))[: 2**18])
    start = time.process_time()
    assertions(note)
    assert time.process_time() - start < 4  # 1.5 s at most on an idle core; quadratic time would be minutes


def test_the_example_of_the_docs_is_true(capsys):
    docs = (Path(__file__).resolve().parents[2] / "docs" / "notes.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", docs, re.DOTALL)[1]
    exec(example, {})
    assert capsys.readouterr().out.strip() == example.strip().splitlines()[-1].split("# ")[1]


def test_a_stretch_begins_at_a_word_whatever_the_blank_before_it():
    note = note_from_text("no \u00a0 effusion, no\u2003- fever")
    assert [note.text[one.start : one.end] for one in assertions(note)] == ["effusion,", "fever"]
