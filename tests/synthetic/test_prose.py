"""The notes state the history, and never the diagnosis."""

from __future__ import annotations

import re

import numpy as np
import pytest

from medfuse.synthetic import prose
from medfuse.synthetic.evidence import FINDINGS, LABELS, Categorical, of_modality

# The labels, and what a reader would take for them.
FORBIDDEN = re.compile(
    r"""\b(
    pneumoni\w* | pneumonitis | bronchopneumonia | pna | cap | hap | infect\w* | consolidat\w* | infiltrat\w* | lrti |
    heart.?failure | cardiac.?failure | hf | chf | ccf | lvf | decompensat\w* | congest\w* | (fluid|volume).?overload |
    pulmonary.?o?edema |
    atelecta\w* | collapse\w* | volume.?loss | mucus.?plug\w* | mucous.?plug\w* |
    embol\w* | pe | clot\w* | thromb\w* | dvt | vte | infarct(ed|s)? |
    no.?acute | normal\w* | unremarkable | negative | nothing.?acute | no.?finding\w* | clear | healthy |
    diagnos\w*
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
STATES = {name: FINDINGS[name].states for name in of_modality("text") if isinstance(FINDINGS[name], Categorical)}


def some_notes(count: int, seed: int = 3) -> list[tuple[dict[str, str], str]]:
    rng = np.random.default_rng(seed)
    findings = [{name: str(rng.choice(states)) for name, states in STATES.items()} for _ in range(count)]
    return [(one, prose.write_note(one, rng)) for one in findings]


def test_no_note_gives_the_answer_away() -> None:
    for _, text in some_notes(1500):
        assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
        for label in LABELS:
            assert label.replace("_", " ") not in text.lower()


def test_no_note_tells_sex_or_age() -> None:
    told = re.compile(r"\b(he|she|his|her|him|man|woman|male|female|mr|mrs|aged|year.?old|y/?o|lady|gentleman)\b", re.I)
    for _, text in some_notes(800):
        assert not told.search(text)


def test_every_state_can_be_worded_in_several_ways() -> None:
    pools = {
        "course": (prose.REASONS, prose.STORIES),
        "background": (prose.BACKGROUNDS,),
        "onset": (prose.ONSETS,),
    }
    for name, states in STATES.items():
        for pool in pools[name]:
            assert set(pool) == set(states)
            assert all(len(set(wordings)) >= 4 for wordings in pool.values())
            told = [wording for wordings in pool.values() for wording in wordings]
            assert len(set(told)) == len(told), "a wording that two states share says nothing"


def test_a_note_denies_only_what_is_not_its_course() -> None:
    denied_somewhere = 0
    for findings, text in some_notes(400):
        own = prose.DENIALS.get(findings["course"], ())
        assert not any(denial in text for denial in own)
        denied_somewhere += any(denial in text for other in prose.DENIALS.values() for denial in other)
    assert 100 < denied_somewhere < 300


def test_notes_vary_and_have_sections() -> None:
    notes = [text for _, text in some_notes(300)]
    assert len(set(notes)) == len(notes)
    first_lines = {text.splitlines()[0].split(":")[0] for text in notes}
    assert len(first_lines) >= 6
    assert all(re.search(r"history:", text, re.IGNORECASE) for text in notes)
    assert any("\n\n" in text for text in notes)
    assert any("\n\n" not in text for text in notes)


@pytest.mark.parametrize("course", STATES["course"])
def test_the_same_seed_gives_the_same_note(course: str) -> None:
    findings = {"course": course, "background": "none", "onset": "days"}
    first, second = (prose.write_note(findings, np.random.default_rng(9)) for _ in range(2))
    assert first == second
    assert prose.write_note(findings, np.random.default_rng(10)) != first
