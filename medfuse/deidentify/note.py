"""A note of any format that is read, as a text without what names its patient."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from medfuse.deidentify.dicom import identifiers, open_dicom
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.deidentify.text import Screen
from medfuse.errors import ScanError
from medfuse.imaging.boundary import UnreadableError
from medfuse.notes import front_matter, read_note
from medfuse.notes.content import kind_of

# Elements of DocumentReference and DiagnosticReport that refer to people, and what they refer to; not to a hospital.
_REFERENCES = ("subject", "patient", "author", "performer", "resultsInterpreter", "authenticator", "sourcePatientInfo")
_PEOPLE = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person", "")
_NAMING = "(name)"


def names_in_note(path: Path) -> set[str]:
    """Identifiers that a document has beside its text: of a DICOM header, or of the people in a FHIR resource."""
    try:
        content = path.read_bytes()
        kind = kind_of(content)
        if kind == "DICOM":
            return identifiers(open_dicom(content))
        if kind == "FHIR":
            return set(_people(json.loads(content.decode("utf-8-sig"))))
    except (OSError, UnreadableError, ScanError, ValueError, RecursionError):
        return set()  # reading the note says what is wrong with it
    return set()


def clean_note(path: Path, *, patient: str, screen: Screen, pseudonyms: Pseudonyms) -> tuple[str, Counter[str]]:
    """The text with its kind and moved time on top, screened; and how many of each kind were replaced.

    Kind and time decide what a model may read of it, so they are kept.

    Raises:
        NoteError: If it cannot be read.
    """
    note = read_note(path)
    text, counts = screen.apply(note.text or "")
    kind, more = screen.apply(note.kind)
    return front_matter(kind=kind, time=moved_time(note.time, patient, pseudonyms)) + text, counts + more


def moved_time(time: str | None, patient: str, pseudonyms: Pseudonyms) -> str | None:
    """An ISO 8601 date or date-time with its day moved as all of the patient's; None for anything else."""
    try:
        moment = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    day = pseudonyms.moved(moment.date(), patient)
    # In the extended format, a time of day stands behind the ten letters of the date.
    clock = time is not None and ("T" in time or " " in time.strip())
    return datetime.combine(day, moment.timetz()).isoformat() if clock else day.isoformat()


def _people(resource: Any) -> Iterator[str]:
    """Names and numbers in a FHIR R4 resource: Reference.display of people, HumanName, and Identifier.value."""
    waiting = [("", resource)]
    while waiting:
        key, part = waiting.pop()
        if isinstance(part, list):
            waiting += [(key, one) for one in part]
        elif isinstance(part, dict):
            of_people = key in _REFERENCES and _kind_of_reference(part) in _PEOPLE
            for of, one in part.items():
                named = of in ("family", "given") or (of == "text" and key == "name") or (of == "display" and of_people)
                waiting.append((_NAMING if named or (of == "value" and key == "identifier") else of, one))
        elif key == _NAMING:
            yield str(part)


def _kind_of_reference(reference: dict[str, Any]) -> str:
    """`Patient` of `https://host/Patient/1`; "" if it does not say."""
    parts = str(reference.get("reference") or "").split("/")
    return parts[-2] if len(parts) > 1 else ""
