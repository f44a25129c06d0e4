"""A note's kind and time, written on top of a plain-text file.

    ---
    kind: radiology report
    time: 2180-05-06T19:17
    ---
    INDICATION: ...

Either line may be missing. FHIR and DICOM documents say both themselves and need no such lines.
"""

from __future__ import annotations

import re
from datetime import datetime

_BLOCK = re.compile(r"\A---[ \t]*\n(?P<lines>(?:(?:kind|time):[^\n]{0,200}\n){1,2})---[ \t]*(?:\n|\Z)")


def front_matter(*, kind: str = "", time: str | None = None) -> str:
    """The lines to write before a note's text; "" if nothing is known.

    Example:
        >>> front_matter(kind="triage", time="2180-05-06").split()
        ['---', 'kind:', 'triage', 'time:', '2180-05-06', '---']
    """
    lines = [f"kind: {plain_kind(kind)}\n"] * bool(plain_kind(kind)) + [f"time: {time}\n"] * bool(time)
    return f"---\n{''.join(lines)}---\n" if lines else ""


def split_front_matter(text: str) -> tuple[str, str, str | None]:
    """The text without those lines, the kind, and the time; a time that is not ISO 8601 is None.

    Args:
        text: The whole text, its line ends newlines.
    """
    match = _BLOCK.match(text)
    if match is None:
        return text, "", None
    fields = dict(line.split(":", 1) for line in match["lines"].splitlines())
    return text[match.end() :], plain_kind(fields.get("kind", "")), iso_time(fields.get("time", ""))


def plain_kind(written: str) -> str:
    """The kind of a document in small letters and single blanks, at most 80 letters."""
    return " ".join(written.lower().split())[:80]


def iso_time(written: str) -> str | None:
    """The time if it is ISO 8601 (a day, or a day and time of day), else None."""
    written = written.strip()
    try:
        datetime.fromisoformat(written)
    except ValueError:
        return None
    return written
