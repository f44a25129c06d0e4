"""The text that a model reads of a note, one way for training, classification, baselines and stress tests alike."""

from __future__ import annotations

import re

from medfuse.case import Note
from medfuse.config import TextConfig
from medfuse.notes.context import Status, assertions
from medfuse.notes.heading import heading
from medfuse.notes.read import note_from_text
from medfuse.notes.sections import places, select

# One letter a status behind a word makes it a word of its own. They are modifier letters (Unicode category Lm): every
# tokenizer that splits at blanks and marks leaves them in the word, and no English note has them.
MARKS: dict[Status, str] = {"negated": "ⁿ", "possible": "ᵖ", "historical": "ʰ", "hypothetical": "ʸ", "other": "ᵒ"}

_WORD = re.compile(r"\w+")


def model_text(note: Note, config: TextConfig, *, at: str | None = None) -> str:
    """What the config lets a model read of a note that was read: its sections, with assertions marked if it says so.

    Before them stands what the note is and when it was written, if that is known (see `heading`).

    Args:
        note: A note that was read.
        config: Which sections.
        at: The time of its case; None leaves out when the note was written.
    """
    text = select(_looked_at(note), exclude=config.exclude_sections)
    marked = with_marks(text) if config.assertions else text
    return _before(note, at) + marked if marked else ""


def model_places(note: Note, config: TextConfig, *, at: str | None = None) -> list[int]:
    """Where each character of `model_text` stands in the note; a mark where its word ends, a break or heading at -1."""
    before = [-1] * len(_before(note, at))
    note = _looked_at(note)
    found = places(note, exclude=config.exclude_sections)
    if config.assertions:
        marks = _marks(select(note, exclude=config.exclude_sections))
        for end in sorted(marks, reverse=True):
            found[end:end] = [found[end - 1]] * len(marks[end])
    return before + found if found else []


def _before(note: Note, at: str | None) -> str:
    line = heading(note, at=at)
    return f"{line}\n" if line else ""


def with_marks(text: str) -> str:
    """The text with every word that ConText finds denied, doubted or remembered as a word of its own.

    So a bag of words tells "no effusion" from "effusion". Source of the idea: Pang, Lee & Vaithyanathan, EMNLP 2002,
    section 5 (words between a negation and the next mark get a tag of their own, after Das & Chen 2001).

    Example:
        >>> with_marks("No effusion, but possible pneumonia.")
        'No effusionⁿ, but possible pneumoniaᵖ.'
    """
    pieces, last = [], 0
    for end, letters in sorted(_marks(text).items()):
        pieces += [text[last:end], letters]
        last = end
    return "".join([*pieces, text[last:]])


def _marks(text: str) -> dict[int, str]:
    """The marks of each word that is reached, by where it ends."""
    found: dict[int, set[Status]] = {}
    for one in assertions(note_from_text(text)):
        for word in _WORD.finditer(text, one.start, one.end):
            found.setdefault(word.end(), set()).add(one.status)
    return {end: "".join(MARKS[status] for status in MARKS if status in said) for end, said in found.items()}


def _looked_at(note: Note) -> Note:
    """The note with its sections, also if its text was only given."""
    if not note.text or note.sections:
        return note
    return note_from_text(note.text, kind=note.kind, time=note.time)
