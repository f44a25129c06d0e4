"""What a note's file is, told from its bytes: names and endings lie."""

from __future__ import annotations

import re
from typing import Literal

from medfuse.imaging.boundary import UnreadableError
from medfuse.notes.plain_text import has_mark

Kind = Literal["text", "RTF", "HTML", "PDF", "FHIR", "DICOM"]

MOST_CONTROL = 0.02  # share of control characters above which a file is not text

_CONTROL_BYTES = bytes(code for code in range(32) if code not in b"\t\n\v\f\r")
_LOOK = 1024  # bytes from the start that are looked at for a tag
_HTML = re.compile(rb"\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body|div|p|table)\b", re.IGNORECASE)
_XML = re.compile(rb"\s*<(?:\?xml|ClinicalDocument|DocumentReference|DiagnosticReport)\b")
_STRANGERS = {
    b"PK\x03\x04": "an office document or archive",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"II*\x00": "a picture",
    b"MM\x00*": "a picture",
    b"\x1f\x8b": "a compressed file",
}


def kind_of(content: bytes) -> Kind:
    """Tell what kind of document a file holds.

    Raises:
        UnreadableError: If it is none that is read here, saying what it is instead.
    """
    if content[128:132] == b"DICM":  # DICOM PS3.10 section 7.1
        return "DICOM"
    if b"%PDF-" in content[:_LOOK]:  # ISO 32000-1 annex H.3.4.1: readers accept it anywhere in the first 1024 bytes
        return "PDF"
    if content[:_LOOK].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return "RTF"
    if has_mark(content) and b"\x00" in content[:_LOOK]:  # UTF-16 or UTF-32: only its letters can tell
        letters = content[:_LOOK].replace(b"\x00", b"")[2:]
        return "HTML" if _HTML.match(letters) else "text"
    for start, kind in _STRANGERS.items():
        if content.startswith(start):
            raise UnreadableError(_refusal(kind))
    start = content[: 4 * _LOOK].removeprefix(b"\xef\xbb\xbf")
    if _HTML.match(start):
        return "HTML"
    if _XML.match(start):
        raise UnreadableError(_refusal("an XML document (CDA or FHIR)"))
    if start.lstrip().startswith(b"{") and b'"resourceType"' in content:
        return "FHIR"
    control = len(content) - len(content.translate(None, _CONTROL_BYTES))
    if control > MOST_CONTROL * len(content) + 1:
        raise UnreadableError(_refusal("a binary file"))
    return "text"


def _refusal(kind: str) -> str:
    return f"{kind}, not a note; save the note as text (.txt in UTF-8), RTF, HTML, PDF, FHIR JSON or DICOM SR"
