from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfuse.config import Config, TextConfig
from medfuse.encoders.text import build_text_encoder
from medfuse.errors import ConfigError
from medfuse.notes import assertions, model_places, model_text, note_from_text
from medfuse.notes.model_text import MARKS, with_marks

PLAIN, MARKED = TextConfig(encoder="lsa"), TextConfig(encoder="lsa", assertions=True)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("effusion", "effusion"),
        ("no effusion", "no effusionⁿ"),
        ("possible left-sided pneumonia", "possible leftᵖ-sidedᵖ pneumoniaᵖ"),
        ("denied a history of pneumonia", "denied aⁿ historyⁿ ofⁿʰ pneumoniaⁿʰ"),
        ("return if fever", "return if feverʸ"),
    ],
)
def test_words_in_reach_of_a_cue_are_words_of_their_own(text: str, marked: str) -> None:
    assert with_marks(text) == marked


def test_excluded_sections_stay_out_and_sections_have_their_status() -> None:
    note = note_from_text("INDICATION: no cough.\nPMH: asthma.\nFINDINGS: no effusion.")
    assert model_text(note, PLAIN) == "INDICATION: no cough.\nPMH: asthma."
    assert model_text(note, MARKED) == "INDICATION: no coughⁿ.\nPMH: asthmaʰ."


@pytest.mark.parametrize("config", [PLAIN, MARKED])
def test_every_character_is_found_in_the_note_again(config: TextConfig) -> None:
    note = note_from_text("INDICATION: no cough, no fever.\n\nFINDINGS: no effusion.\n\nPMH: asthma, h/o stroke.\n")
    text, found = model_text(note, config), model_places(note, config)
    assert len(text) == len(found)
    for letter, place in zip(text, found, strict=True):
        if letter in MARKS.values():
            assert note.text[place].isalnum()
        elif place >= 0:
            assert note.text[place] == letter
    assert "".join(note.text[place] for place in found[text.index("fever") :][:5]) == "fever"


@given(st.text(alphabet="no effusion but posible.,;:\n-", max_size=200))
def test_without_its_marks_the_text_is_as_it_was(text: str) -> None:
    marked = with_marks(text)
    assert "".join(letter for letter in marked if letter not in MARKS.values()) == text
    reached = any(any(c.isalnum() for c in text[one.start : one.end]) for one in assertions(note_from_text(text)))
    assert (marked != text) == reached


@pytest.mark.parametrize("encoder", ["lsa", "rnn"])
def test_word_encoders_tell_denied_from_seen(encoder: str) -> None:
    config = TextConfig(encoder=encoder, assertions=True)
    notes = [model_text(note_from_text(text), config) for text in ("an effusion", "no effusion") * 4]
    _, tokenizer, _ = build_text_encoder(config, notes=notes)
    words = tokenizer.tokenizer.get_vocab()
    assert {"effusion", "effusionⁿ"} <= set(words)
    read = [tokenizer.windows(model_text(note_from_text(text), config))[0][0] for text in ("effusion", "no effusion")]
    assert read[0] == [words["effusion"]]
    assert read[1] == [words["no"], words["effusionⁿ"]]


@pytest.mark.parametrize("encoder", ["minilm-l6", "transformers"])
def test_encoders_that_know_no_such_words_are_refused(encoder: str) -> None:
    with pytest.raises(ConfigError, match="assertions are words of their own"):
        Config.parse({"text": {"encoder": encoder, "assertions": True}}, source="x")
