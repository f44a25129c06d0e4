"""FHIR R4 DocumentReference and DiagnosticReport in JSON to text, with the kind and time that they state."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from medfuse.imaging.boundary import UnreadableError
from medfuse.notes.document import Document
from medfuse.notes.front_matter import iso_time, plain_kind
from medfuse.notes.html import text_of_html

# Categories by which a diagnostic report is one of radiology: v2-0074 and LOINC.
_RADIOLOGY = frozenset({"RAD", "RX", "CT", "CUS", "NMR", "NMS", "OUS", "RUS", "VUS", "XRC", "LP29684-5", "18748-4"})
_DAMAGED = "FHIR JSON that is damaged; fetch it again"


def read_fhir(content: bytes, *, attached: Callable[[bytes, str], Document]) -> Document:
    """The first attachment that can be read, since all are the same document; or else the conclusion and narrative.

    Nothing is fetched: an attachment that is only a URL is left out.

    Args:
        content: One resource.
        attached: Reads an attachment's bytes, given its media type.

    Raises:
        UnreadableError: If the resource is another one, damaged, or holds no text.
    """
    try:
        resource = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(_DAMAGED) from error
    if not isinstance(resource, dict):
        raise UnreadableError(_DAMAGED)
    name = resource.get("resourceType")
    if name == "DocumentReference":
        attachments = [part.get("attachment") for part in _objects(resource, "content")]
        written = "" if attachments else _narrative(resource)
        kind, time = _kind(resource, "type"), _text(resource, "date")
    elif name == "DiagnosticReport":
        attachments = _objects(resource, "presentedForm")
        written = "\n\n".join(filter(None, (_narrative(resource), _conclusion(resource))))
        kind = "radiology report" if _codes(resource, "category") & _RADIOLOGY else _kind(resource, "code") or "report"
        kind = kind if "report" in kind else f"{kind} report"
        time = _text(resource, "effectiveDateTime") or _text(resource, "issued")
    else:
        reason = "FHIR, but neither a DocumentReference nor a DiagnosticReport; export the resource with the note"
        raise UnreadableError(reason)
    document = _first_readable(attachments, attached)
    if document is None and not written:
        reason = f"a FHIR {name} without a text that can be read inside it; embed the attachment as data"
        raise UnreadableError(reason)
    text, warnings = (document.text, document.warnings) if document is not None else (written, ())
    return Document(text, kind=kind, time=iso_time(time), warnings=warnings)


def _first_readable(attachments: list[Any], attached: Callable[[bytes, str], Document]) -> Document | None:
    for attachment in attachments:
        data = _text(attachment, "data")
        if not data:
            continue
        try:
            document = attached(base64.b64decode(data, validate=False), _text(attachment, "contentType"))
        except (binascii.Error, ValueError, UnreadableError):
            continue
        if document.text.strip():
            return document
    return None


def _narrative(resource: dict[str, Any]) -> str:
    return text_of_html(_text(resource.get("text"), "div"))


def _conclusion(resource: dict[str, Any]) -> str:
    conclusion = _text(resource, "conclusion").strip()
    return f"CONCLUSION: {conclusion}" if conclusion else ""


def _kind(resource: dict[str, Any], element: str) -> str:
    """The text of a CodeableConcept, or the first of its displays."""
    concept = resource.get(element)
    displays = (_text(coding, "display") for coding in _objects(concept, "coding"))
    return plain_kind(_text(concept, "text") or next(filter(None, displays), ""))


def _codes(resource: dict[str, Any], element: str) -> set[str]:
    """The codes of CodeableConcepts."""
    return {_text(coding, "code") for concept in _objects(resource, element) for coding in _objects(concept, "coding")}


def _objects(parent: Any, element: str) -> list[Any]:
    found = parent.get(element) if isinstance(parent, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(parent: Any, element: str) -> str:
    found = parent.get(element) if isinstance(parent, dict) else None
    return found if isinstance(found, str) else ""
