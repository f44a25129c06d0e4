"""What the text encoder may read of the notes of some cases, for those that learn from text alone."""

from __future__ import annotations

from collections.abc import Iterable

from medfuse.case import Case
from medfuse.config import TextConfig
from medfuse.errors import NoteError
from medfuse.notes import model_text, read_note


def texts_of(cases: Iterable[Case], config: TextConfig) -> list[str]:
    """The texts of all notes that can be read, without the excluded sections."""
    texts = []
    for case in cases:
        for note in case.notes:
            try:
                whole = note if note.text is not None or note.path is None else read_note(note.path)
            except NoteError:
                continue  # reading it for training names it
            texts.append(model_text(whole, config, at=case.time))
    return texts
