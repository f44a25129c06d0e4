"""What a reader of one format gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """The text of a file, and what the file itself says of it.

    Attributes:
        text: The text.
        kind: What document it is, in small letters; "" if not stated.
        time: ISO 8601; None if not stated.
        warnings: What was odd or assumed, one line each.
    """

    text: str
    kind: str = ""
    time: str | None = None
    warnings: tuple[str, ...] = ()
