"""DICOM documents to text: structured reports (PS3.3 C.17.3) and encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from typing import Any

from medfuse.imaging.boundary import FOREIGN, UnreadableError, foreign, hush
from medfuse.notes.document import Document
from medfuse.notes.front_matter import plain_kind
from medfuse.notes.pdf import read_pdf

MOST_ITEMS = 10_000
MOST_DEPTH = 40

_DAMAGED = "a damaged DICOM file; fetch it again"


def read_dicom_document(content: bytes) -> Document:
    """The content tree of a structured report as text, a heading a section; or the text of an encapsulated PDF.

    Names of persons, identifiers and references to images are left out.

    Raises:
        UnreadableError: If it is damaged, or a DICOM file of another kind.
    """
    from pydicom import dcmread
    from pydicom.errors import BytesLengthException, InvalidDicomError

    hush()
    with foreign(_DAMAGED, BytesLengthException, InvalidDicomError):
        dataset = dcmread(BytesIO(content), defer_size=None)
        sop_class = str(dataset.get("SOPClassUID", ""))
        title = plain_kind(_meaning(dataset, "ConceptNameCodeSequence"))
        time = _time(str(dataset.get("ContentDate") or ""), str(dataset.get("ContentTime") or ""))
        kind = title if "report" in title else f"{title} report".strip()
        if sop_class == "1.2.840.10008.5.1.4.1.1.104.1":
            pdf = read_pdf(bytes(dataset.EncapsulatedDocument))
            return Document(pdf.text, kind=kind, time=time, warnings=pdf.warnings)
        if not sop_class.startswith("1.2.840.10008.5.1.4.1.1.88."):
            reason = "a DICOM file that is no structured report or PDF; name it as a scan if it is an image"
            raise UnreadableError(reason)
        text = "\n".join(_lines(dataset))
    return Document(text, kind=kind, time=time)


def _lines(dataset: Any) -> Iterator[str]:
    """The lines of the tree, depth first; walked with a stack, so that no depth of it is too much for Python."""
    stack = [(item, 1) for item in reversed(_items(dataset))]
    seen = 0
    while stack:
        item, depth = stack.pop()
        seen += 1
        if seen > MOST_ITEMS or depth > MOST_DEPTH:
            reason = "a structured report larger than any note; export the part that is one"
            raise UnreadableError(reason)
        yield from _line(item)
        stack += [(child, depth + 1) for child in reversed(_items(item))]


def _line(item: Any) -> Iterator[str]:
    """A heading for a container, name and value for an item that holds one."""
    kind = str(item.get("ValueType") or "")
    name = re.sub(r"[^A-Za-z0-9 /&()',-]+", " ", _meaning(item, "ConceptNameCodeSequence"))
    heading = " ".join(name.split())[:60].upper()
    if kind == "CONTAINER":
        if heading:
            yield f"\n{heading}:"
        return
    value = ""
    if kind == "TEXT":
        value = str(item.get("TextValue") or "").strip()
    elif kind == "CODE":
        value = _meaning(item, "ConceptCodeSequence")
    elif kind == "NUM":
        measured = next(iter(item.get("MeasuredValueSequence") or ()), None)
        if measured is not None:
            unit = _meaning(measured, "MeasurementUnitsCodeSequence")
            value = f"{measured.get('NumericValue', '')} {unit}".strip()
    if value:
        yield f"{heading}: {value}" if heading else value


def _items(item: Any) -> list[Any]:
    return list(item.get("ContentSequence") or ())


def _meaning(item: Any, keyword: str) -> str:
    try:
        code = next(iter(item.get(keyword) or ()), None)
        return "" if code is None else " ".join(str(code.get("CodeMeaning") or "").split())
    except FOREIGN:
        return ""


def _time(date: str, time: str) -> str | None:
    """ISO 8601 of a date (VR DA) and a time (VR TM)."""
    try:
        day = datetime.strptime(date.strip(), "%Y%m%d")  # noqa: DTZ007 - DICOM's local time
    except ValueError:
        return None
    digits = time.split(".")[0].strip()
    try:
        clock = datetime.strptime(digits, "%H%M%S"[: len(digits)]).time()  # noqa: DTZ007
    except ValueError:
        return day.date().isoformat()
    return datetime.combine(day, clock).isoformat() if digits else day.date().isoformat()
