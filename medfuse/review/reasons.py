"""Reasons for the screen: words of notes with their weight and what is said of them, and maps to lay over a scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from medfuse.case import Note
from medfuse.notes.context import assertions, statuses
from medfuse.review.texts import Texts
from medfuse.review.viewer import Overlay, overlay_of

if TYPE_CHECKING:
    from medfuse.explain import Explanation, Stretch

WEAK = 0.15  # of the greatest weight: below, a word is not marked


def note_pieces(note: Note, words: Sequence[Stretch] = ()) -> list[dict[str, Any]]:
    """The whole note cut where its weight or status changes; joined, the pieces are the note's text.

    Args:
        note: A note that has been read.
        words: Words with what they add to the label, as `explain` gives them.

    Returns:
        Pieces with `text`, `weight` (−1 … 1, of the greatest; 0 where no word is marked), `status` (what is denied,
        doubted, … of it, in order; empty if it is stated) and `header` (whether it is a section's header).
    """
    assert note.text is not None
    text, found = note.text, assertions(note)
    greatest = max((abs(word.attribution) for word in words), default=0.0)
    inside = [(section.start, section.end) for section in note.sections]
    cuts = {0, len(text), *(place for pair in inside for place in pair)}
    cuts |= {place for one in found for place in (one.start, one.end)}
    strong = [word for word in words if greatest and abs(word.attribution) >= WEAK * greatest]
    cuts |= {place for word in strong for place in (word.start, word.end)}
    order = sorted(place for place in cuts if 0 <= place <= len(text))
    weights = {word.start: (word.end, word.attribution / greatest) for word in strong}
    pieces, until, weight = [], 0, 0.0
    for start, end in zip(order, order[1:], strict=False):
        if start in weights:
            until, weight = weights[start]
        pieces.append(
            {
                "text": text[start:end],
                "weight": round(weight, 3) if start < until else 0.0,
                "status": sorted(statuses(found, start, end)),
                "header": bool(inside) and not any(low <= start < high for low, high in inside),
            }
        )
    return pieces


def overlays(explanation: Explanation, scan: int, *, texts: Texts, numbers: Sequence[int]) -> list[Overlay]:
    """The maps of one scan, for and against; a map that fails its sanity check says so.

    Args:
        explanation: Of the case.
        scan: Place of the scan in the case.
        texts: The words.
        numbers: Which slices of a volume the network saw.
    """
    found = []
    for one in explanation.maps:
        if one.scan != scan:
            continue
        heat = one.original()
        failed = one.sanity is not None and not one.sanity.passed
        warning = texts("map_failed") if failed else texts("map_unchecked") if one.sanity is None else ""
        given = tuple(numbers) if heat.ndim == 3 else (1,)
        name = texts("map_for", method=one.method.replace("_", " "))
        found.append(overlay_of(name, heat, numbers=given, warning=warning))
        if float(heat.min()) < 0:
            against = texts("map_against", method=one.method.replace("_", " "))
            found.append(overlay_of(against, -heat, numbers=given, warning=warning))
    return found
