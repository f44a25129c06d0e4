"""The text that a model reads of a note, one way for training, classification, baselines and stress tests alike."""

from __future__ import annotations

import re

from medfuse.case import Note
from medfuse.config import TextConfig
from medfuse.notes.context import Status, assertions
from medfuse.notes.read import note_from_text
from medfuse.notes.sections import select

# One letter a status behind a word makes it a word of its own. They are modifier letters (Unicode category Lm): every
# tokenizer that splits at blanks and marks leaves them in the word, and no English note has them.
MARKS: dict[Status, str] = {"negated": "ⁿ", "possible": "ᵖ", "historical": "ʰ", "hypothetical": "ʸ", "other": "ᵒ"}

_WORD = re.compile(r"\w+")


def model_text(note: Note, config: TextConfig) -> str:
    """What the config lets a model read of a note that was read: its sections, with assertions marked if it says so."""
    if note.text and not note.sections:  # its text was given, and not looked at yet
        note = note_from_text(note.text)
    text = select(note, exclude=config.exclude_sections)
    return with_marks(text) if config.assertions else text


def with_marks(text: str) -> str:
    """The text with every word that ConText finds denied, doubted or remembered as a word of its own.

    So a bag of words tells "no effusion" from "effusion", as negation-tagged features do in sentiment analysis (Das &
    Chen 2001; Pang, Lee & Vaithyanathan, EMNLP 2002, section 5) and with NegEx in clinical text.

    Example:
        >>> with_marks("No effusion, but possible pneumonia.")
        'No effusionⁿ, but possible pneumoniaᵖ.'
    """
    letters: dict[int, set[str]] = {}  # of each word that is reached, by where it ends
    for found in assertions(note_from_text(text)):
        for word in _WORD.finditer(text, found.start, found.end):
            letters.setdefault(word.end(), set()).add(MARKS[found.status])
    pieces, last = [], 0
    for end in sorted(letters):
        pieces += [text[last:end], *(mark for mark in MARKS.values() if mark in letters[end])]
        last = end
    return "".join([*pieces, text[last:]])
