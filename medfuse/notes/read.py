"""One file to a note: text, RTF, HTML, PDF, FHIR JSON or a DICOM structured report, told apart by content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from medfuse.case import Note
from medfuse.errors import NoteError
from medfuse.imaging.boundary import UnreadableError
from medfuse.notes.content import kind_of
from medfuse.notes.document import Document
from medfuse.notes.front_matter import split_front_matter
from medfuse.notes.html import read_html
from medfuse.notes.plain_text import decode
from medfuse.notes.sections import find_sections

MOST_BYTES = 4 << 20  # of a text; a longer one is no clinical note
MOST_PACKED = 32 << 20  # of a format that holds pictures too
EMPTY = "the note is empty"

_NEWLINES = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")


def read_note(path: str | Path) -> Note:
    """Read one document; its content decides what it is, not its ending.

    Text is UTF-8, UTF-16 with its mark, or else Windows-1252/Latin-1 (said in the note's warnings); RTF, HTML, PDF,
    FHIR JSON (DocumentReference, DiagnosticReport) and DICOM (structured reports, encapsulated PDF) become text. `kind`
    and `time` are as the document states them, a text by lines on top (docs/notes.md).

    Line ends become newlines and control characters are removed. A file without any text gives a note with the text ""
    and the warning "the note is empty"; for a model it is as if there were none.

    Raises:
        NoteError: If there is no such file, it is none of these, it is damaged, or it is larger than 4 MiB (text) or 32
            MiB (PDF, RTF, FHIR and DICOM); the message is one line, says what to do, and quotes nothing of the note.
    """
    path = Path(path)
    name = " ".join(
        "".join(c if c.isprintable() else " " for c in path.name).split()
    )  # one line, whatever it is called
    try:
        content = _bytes_of(path)
        document = _document(content)
    except UnreadableError as refusal:
        message = f"{name}: {refusal}"
        raise NoteError(message) from refusal
    return _note(document, path=path, sha256=hashlib.sha256(content).hexdigest())


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            reason = "a folder, not a file; name one file for each note"
            raise UnreadableError(reason)
        if path.exists() and not path.is_file():
            reason = "not a regular file; name a file with the note"
            raise UnreadableError(reason)
        with path.open("rb") as stream:
            content = stream.read(MOST_PACKED + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or type(error).__name__
        reason = f"the note cannot be read ({why}); check the path and its permissions"
        raise UnreadableError(reason) from error
    return content


def _document(content: bytes, *, media_type: str = "", inside: bool = False) -> Document:
    """The document; `inside` another one, FHIR and DICOM are not looked into again."""
    kind = kind_of(content)
    most = MOST_BYTES if kind in ("text", "HTML") else MOST_PACKED
    if len(content) > most:
        reason = f"larger than {most >> 20} MiB, which is no clinical note; give the text alone"
        raise UnreadableError(reason)
    charset = re.search(r"charset=\"?([\w-]{1,40})", media_type, re.IGNORECASE)
    # Each reader imports its library only when such a file comes.
    if kind == "HTML":
        return read_html(content, charset=charset[1] if charset else "")
    if kind == "RTF":
        from medfuse.notes.rtf import read_rtf

        return read_rtf(content)
    if kind == "PDF":
        from medfuse.notes.pdf import read_pdf

        return read_pdf(content)
    if kind == "FHIR" and not inside:
        from medfuse.notes.fhir import read_fhir

        return read_fhir(content, attached=lambda data, kind: _document(data, media_type=kind, inside=True))
    if kind == "DICOM" and not inside:
        from medfuse.notes.structured_report import read_dicom_document

        return read_dicom_document(content)
    text, warnings = decode(content, charset=charset[1] if charset else "")
    return Document(text, warnings=warnings)


def note_from_text(text: str, *, kind: str = "", time: str | None = None) -> Note:
    """A note whose text is given directly; its digest is that of the UTF-8 bytes.

    Args:
        text: The text.
        kind: What document it is; "" if not known, or if lines on top of the text say so.
        time: When it was written, ISO 8601; None likewise.

    Example:
        >>> [section.name for section in note_from_text("INDICATION: cough.").sections]
        ['INDICATION']
    """
    document = Document(text, kind=kind, time=time)
    return _note(document, path=None, sha256=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())


def _note(document: Document, *, path: Path | None, sha256: str) -> Note:
    text, removed = _CONTROL.subn("", _NEWLINES.sub("\n", document.text))
    text, kind, time = split_front_matter(text)
    kind, time = document.kind or kind, document.time or time
    warnings = (*document.warnings, "control characters were removed") if removed else document.warnings
    if not text.strip():
        return Note(path, text="", kind=kind, time=time, sha256=sha256, warnings=(*warnings, EMPTY))
    return Note(
        path, text=text, sections=find_sections(text, kind=kind), kind=kind, time=time, sha256=sha256, warnings=warnings
    )
