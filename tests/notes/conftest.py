"""Documents made in code, as small as their formats allow."""

from __future__ import annotations

import base64
import json
import zlib
from io import BytesIO

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

PDF_REPORT, BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.88.11"


def _pdf(*pages: str, flate: bool = False, repeat: int = 1) -> bytes:
    """A PDF (ISO 32000-1, 7.5) with a page a text, a line a line; all of them `repeat` times."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for page in pages:
        shown = "".join(f"({line.translate({40: None, 41: None, 92: None})}) Tj T*\n" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td\n{shown}ET".encode("latin-1", "replace")
        stream = zlib.compress(stream) if flate else stream
        filters = b" /Filter /FlateDecode" if flate else b""
        objects.append(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(stream), filters, stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids * repeat)}] /Count {len(kids) * repeat} >>".encode()
    out = BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    xref = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, xref))
    return out.getvalue()


def _code(meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", meaning
    return [code]


def _item(kind: str, name: str = "", **elements: object) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", kind
    if name:
        item.ConceptNameCodeSequence = _code(name)
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _dicom(sop_class: str, **elements: object) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, "1.2.3"
    dataset.PatientName, dataset.PatientID = "Secret^Name", "SECRET-1"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _fhir(data: bytes | None = None, media_type: str = "text/plain", **elements: object) -> bytes:
    attachment = {"contentType": media_type}
    if data is not None:
        attachment["data"] = base64.b64encode(data).decode()
    resource = {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": attachment}]}
    return json.dumps(resource | elements).encode()


@pytest.fixture
def pdf():
    """`pdf(*pages, flate, repeat)`: the bytes of a PDF."""
    return _pdf


@pytest.fixture
def item():
    """`item(value_type, concept_name, **elements)`: a content item of a structured report."""
    return _item


@pytest.fixture
def code():
    """`code(meaning)`: a code sequence of one."""
    return _code


@pytest.fixture
def report(code):
    """`report(*items, **elements)`: the bytes of a structured report."""

    def make(*items: Dataset, **elements: object) -> bytes:
        given = {
            "ContentDate": "20200131", "ContentTime": "093015.5", "ValueType": "CONTAINER",
            "ConceptNameCodeSequence": code("Chest X-Ray"), "ContentSequence": list(items),
        }  # fmt: skip
        return _dicom(BASIC_TEXT, **(given | elements))

    return make


@pytest.fixture
def encapsulated(code):
    """`encapsulated(pdf)`: the bytes of a DICOM file with a PDF inside."""

    def make(content: bytes) -> bytes:
        return _dicom(
            PDF_REPORT, EncapsulatedDocument=content + b"\0" * (len(content) % 2), ContentDate="20200131",
            ConceptNameCodeSequence=code("Radiology Report"), MIMETypeOfEncapsulatedDocument="application/pdf",
        )  # fmt: skip

    return make


@pytest.fixture
def fhir():
    """`fhir(data, media_type, **elements)`: a DocumentReference with one attachment."""
    return _fhir


@pytest.fixture
def read(tmp_path):
    """Read bytes as a note whose name tells nothing."""
    from medfuse.notes import read_note

    def read(content: bytes):
        (tmp_path / "note").write_bytes(content)
        return read_note(tmp_path / "note")

    return read
