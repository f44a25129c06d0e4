"""One file to a note."""

from __future__ import annotations

import codecs
import hashlib
import re
from pathlib import Path

from medfuse.case import Note
from medfuse.errors import NoteError
from medfuse.notes.front_matter import split_front_matter
from medfuse.notes.sections import find_sections

MOST_BYTES = 4 << 20  # a longer document is no clinical note
MOST_CONTROL = 0.02  # share of control characters above which a file is not text
EMPTY = "the note is empty"

_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_CONTROL_BYTES = bytes(code for code in range(32) if code not in b"\t\n\v\f\r")
_MARKS = (  # UTF-32 before UTF-16, whose mark it begins with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FORMATS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "an office document or archive",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"{\\rtf": "an RTF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"II*\x00": "a picture",
    b"MM\x00*": "a picture",
    b"\x1f\x8b": "a compressed file",
}
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def read_note(path: str | Path) -> Note:
    """Read a text file: UTF-8, UTF-16 with its mark, or else Windows-1252/Latin-1 (said in the note's warnings).

    Line ends become newlines and control characters are removed. A file without any text gives a note with the text ""
    and the warning "the note is empty"; for a model it is as if there were none.

    Raises:
        NoteError: If there is no such file, or it is no text or larger than 4 MiB; the message says what to do.
    """
    path = Path(path)
    try:
        if path.is_dir():
            message = f"{path.name}: a folder, not a file; name one file for each note"
            raise NoteError(message)
        if path.exists() and not path.is_file():
            message = f"{path.name}: not a regular file; name a plain-text file"
            raise NoteError(message)
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or type(error).__name__
        message = f"{path.name}: the note cannot be read ({reason}); check the path and its permissions"
        raise NoteError(message) from error
    if len(content) > MOST_BYTES:
        message = f"{path.name}: larger than {MOST_BYTES >> 20} MiB, which is no clinical note; give the text alone"
        raise NoteError(message)
    text, warnings = _decode(content, path)
    return _note(text, path=path, sha256=hashlib.sha256(content).hexdigest(), warnings=warnings)


def note_from_text(text: str) -> Note:
    """A note whose text is given directly; its digest is that of the UTF-8 bytes.

    Example:
        >>> [section.name for section in note_from_text("INDICATION: cough.").sections]
        ['INDICATION']
    """
    return _note(text, path=None, sha256=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), warnings=())


def _note(text: str, *, path: Path | None, sha256: str, warnings: tuple[str, ...]) -> Note:
    text, removed = _CONTROL.subn("", _NEWLINES.sub("\n", text))
    text, kind, time = split_front_matter(text)
    if removed:
        warnings = (*warnings, "control characters were removed")
    if not text.strip():
        return Note(path, text="", kind=kind, time=time, sha256=sha256, warnings=(*warnings, EMPTY))
    return Note(path, text=text, sections=find_sections(text), kind=kind, time=time, sha256=sha256, warnings=warnings)


def _decode(content: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    """The text, and what had to be assumed."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError:
                return content.decode(encoding, "replace"), ("characters that could not be decoded were replaced",)
    if (kind := _other_format(content)) is not None:
        message = f"{path.name}: {kind}, not plain text; save the note as a .txt file in UTF-8"
        raise NoteError(message)
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252"), ("not UTF-8; read as Windows-1252",)
    except UnicodeDecodeError:  # five bytes have no meaning in Windows-1252
        return content.decode("latin-1"), ("not UTF-8; read as Latin-1",)


def _other_format(content: bytes) -> str | None:
    if content[128:132] == b"DICM":  # DICOM PS3.10 section 7.1
        return "a DICOM file"
    for start, kind in _OTHER_FORMATS.items():
        if content.startswith(start):
            return kind
    if _HTML.match(content[:200]):
        return "an HTML page"
    control = len(content) - len(content.translate(None, _CONTROL_BYTES))
    return "a binary file" if control > MOST_CONTROL * len(content) + 1 else None
