"""Bytes to text: UTF-8, UTF-16 and UTF-32 with their marks, or else Windows-1252 or Latin-1."""

from __future__ import annotations

import codecs

_MARKS = (  # UTF-32 before UTF-16, whose mark it begins with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def has_mark(content: bytes) -> bool:
    """Whether the bytes begin with a byte order mark."""
    return content.startswith(tuple(mark for mark, _ in _MARKS))


def decode(content: bytes, *, charset: str = "") -> tuple[str, tuple[str, ...]]:
    """The text, and what had to be assumed.

    Args:
        content: The bytes.
        charset: What the file says that they are; a byte order mark is believed before it.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError:
                return content.decode(encoding, "replace"), ("characters that could not be decoded were replaced",)
    for encoding in (charset, "utf-8"):
        try:
            return content.decode(encoding), ()
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    try:
        return content.decode("cp1252"), ("not UTF-8; read as Windows-1252",)
    except UnicodeDecodeError:  # five bytes have no meaning in Windows-1252
        return content.decode("latin-1"), ("not UTF-8; read as Latin-1",)
