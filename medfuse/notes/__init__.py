"""Files to text, sections and what of them a model may read."""

from __future__ import annotations

from medfuse.notes.context import Assertion, assertions, statuses
from medfuse.notes.front_matter import front_matter
from medfuse.notes.heading import by_time
from medfuse.notes.model_text import model_places, model_text
from medfuse.notes.read import note_from_text, read_note
from medfuse.notes.redaction import Redaction
from medfuse.notes.sections import (
    OUTCOME_SECTIONS,
    find_sections,
    kept_sections,
    places,
    select,
    without_sections,
)

__all__ = [
    "OUTCOME_SECTIONS",
    "Assertion",
    "Redaction",
    "assertions",
    "by_time",
    "find_sections",
    "front_matter",
    "kept_sections",
    "model_places",
    "model_text",
    "note_from_text",
    "places",
    "read_note",
    "select",
    "statuses",
    "without_sections",
]
