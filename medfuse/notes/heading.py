"""What a note is and when it was written, said in a line before it, so that a model can tell the last of several."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from medfuse.case import Note


def heading(note: Note, *, at: str | None) -> str:
    """Kind of a note and how long before the case it was written; "" where neither is known.

    A span and no date, because a model must not learn by heart what happened when.

    Example:
        >>> heading(Note(kind="triage", time="2180-05-06T19:17"), at="2180-05-06T22:30")
        'triage, 3 hours before.'

    Args:
        note: A note that was read.
        at: The time of its case, ISO 8601; None if not known.
    """
    parts = [part for part in (note.kind, _span(note.time, at)) if part]
    return f"{', '.join(parts)}." if parts else ""


def by_time(notes: Sequence[Note]) -> list[int]:
    """Places of the notes in order of time; those of one time, and all without one, stay in their order, these last."""
    moments = {place: moment for place, note in enumerate(notes) if (moment := _moment(note.time)) is not None}
    return [*sorted(moments, key=moments.__getitem__), *(place for place in range(len(notes)) if place not in moments)]


def _span(time: str | None, at: str | None) -> str:
    """A time before or after another: in days, or in hours where both say them and a day has not gone by."""
    one, other = _moment(time), _moment(at)
    if one is None or other is None or time is None or at is None:
        return ""
    before = "before" if one <= other else "after"
    hours = round(abs((other - one).total_seconds()) / 3600)
    if len(time) > 10 and len(at) > 10 and hours < 24:
        return _counted(hours, "hour", before) if hours else "at the same time"
    days = abs((other.date() - one.date()).days)
    return _counted(days, "day", before) if days else "on the same day"


def _counted(count: int, unit: str, before: str) -> str:
    return f"{count} {unit}{'s' * (count > 1)} {before}"


def _moment(time: str | None) -> datetime | None:
    """In UTC where a zone is stated; a clock without one is taken as it stands."""
    try:
        found = datetime.fromisoformat(time) if time else None
    except ValueError:
        return None
    return found.astimezone(UTC).replace(tzinfo=None) if found is not None and found.tzinfo else found
