"""RTF to text, by striprtf."""

from __future__ import annotations

import re

from medfuse.imaging.boundary import UnreadableError, foreign
from medfuse.notes.document import Document

MOST_LETTERS = 1 << 20  # of a document without its pictures; striprtf goes letter by letter

_PICTURE = re.compile(r"(?:[0-9a-fA-F]{2}[\r\n ]{0,3}){64,}+")  # no text has 64 bytes in hexadecimal on end
_FONTS = re.compile(r"\{[^{}]*\\fonttbl")
_FONT = re.compile(r"\\f(\d{1,5})(?!\d)|\\fcharset(\d{1,3})(?!\d)")
_BRACE = re.compile(r"[{}]")


def read_rtf(content: bytes) -> Document:
    """The text of an RTF document; footnotes, headers and pictures are left out.

    Raises:
        UnreadableError: If it is damaged or too large.
    """
    text = _PICTURE.sub("", content.decode("cp1252", "replace"))
    if len(text) > MOST_LETTERS:
        reason = (
            f"an RTF document of more than {MOST_LETTERS >> 20} MiB without its pictures; give the note's text alone"
        )
        raise UnreadableError(reason)
    from striprtf.striprtf import rtf_to_text

    with foreign("a damaged RTF document; save the note again, as RTF or as text"):
        found: str = rtf_to_text(_tame(text), errors="replace")
    return Document(found)


def _tame(text: str) -> str:
    """The same document without what striprtf's regular expressions take quadratic time for.

    Its expression for links begins at a field's instruction, which is never shown: another hidden group takes its
    place. Its expression for fonts gets one font a line.
    """
    text = text.replace("\\fldinst", "\\fldtype")
    if (start := _FONTS.search(text)) is None:
        return text
    depth, end = 1, len(text)
    for brace in _BRACE.finditer(text, start.end()):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            end = brace.end()
            break
    fonts: dict[str, str] = {}
    last = ""
    for font, charset in _FONT.findall(text, start.end(), end):
        if charset and last:
            fonts[last] = charset
        last = font
    table = "".join(f"{{\\f{font}\\fcharset{charset} x;}}\n" for font, charset in fonts.items())
    return f"{text[: start.start()]}{{\\fonttbl{table}}}{text[end:]}"
