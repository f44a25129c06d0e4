"""What the audit needs of each file, and no more: digests, a thumbnail, how it was taken, or why it cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.case import Case, Note, Scan
from medfuse.errors import NoteError, ScanError
from medfuse.imaging import read_scan
from medfuse.notes import read_note
from medfuse.notes.redaction import TOKEN

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8
    from numpy import ndarray

SIDE = 32  # of a thumbnail, pixels
_READERS = 2  # threads
_CHUNK = 64  # cases read ahead
_FACETS = ("Manufacturer", "ManufacturerModelName", "BodyPartExamined")
_PLACEHOLDERS = ("", "0", "1", "anonymous", "anonymized", "anonymised", "anon", "unknown", "none", "patient", "test")


@dataclass(frozen=True, slots=True)
class ScanFacts:
    """A scan of a case.

    Attributes:
        row: The case's place in the cohort.
        path: Relative to the cohort.
        file: What tells that two paths are one file.
        pixels: Digest of the decoded pixels; "" if they were not read, or are all alike.
        thumbnail: [SIDE, SIDE]; None if there are no pixels to compare.
        taken: How it was taken: view, modality, manufacturer, size, …
        person: Digest of the header's Patient ID, "" if there is none.
        instance: Digest of the SOP Instance UID, "" if there is none.
        warnings: Of the receipt.
        error: Why it cannot be read; "" if it can.
    """

    row: int
    path: str
    file: str
    pixels: str = ""
    thumbnail: UInt8[ndarray, "h w"] | None = field(default=None, repr=False)
    taken: Mapping[str, str] = field(default_factory=dict)
    person: str = ""
    instance: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class NoteFacts:
    """A note of a case: `row`, `path` and `error` as for a scan; `text` is kept only while it is looked at."""

    row: int
    path: str
    text: str = field(default="", repr=False)
    error: str = ""


def scan_facts(
    cases: tuple[Case, ...], root: Path, *, pixels: bool, progress: Callable[[int], None] | None = None
) -> Iterator[ScanFacts]:
    """The facts of every scan in order. Without `pixels` only whether the file is there is looked at."""
    remaining = iter(enumerate(cases))
    with ThreadPoolExecutor(_READERS) as pool:
        while chunk := list(islice(remaining, _CHUNK)):
            scans = [scan for _, case in chunk for scan in case.scans]
            rows = [row for row, case in chunk for _ in case.scans]
            # Threads only to decode: to look whether a file is there takes less than to ask a thread.
            yield from (pool.map if pixels else map)(_read if pixels else _look, rows, scans, [root] * len(rows))
            if progress is not None:
                progress(len(chunk))


def note_facts(cases: tuple[Case, ...], root: Path) -> Iterator[NoteFacts]:
    """The facts of every note in order; marks of redaction are taken out of the text, as a model does not see them."""
    asked = ((row, note) for row, case in enumerate(cases) for note in case.notes)
    with ThreadPoolExecutor(_READERS) as pool:
        while chunk := list(islice(asked, _CHUNK)):
            yield from pool.map(_read_note, *zip(*chunk, strict=True), [root] * len(chunk))


def _read_note(row: int, note: Note, root: Path) -> NoteFacts:
    assert note.path is not None
    path = _relative(note.path, root)
    try:
        return NoteFacts(row, path, text=text_of(note))
    except NoteError as error:
        return NoteFacts(row, path, error=_reason(error, note.path))


def text_of(note: Note) -> str:
    """The whole text of a note without marks of redaction.

    Raises:
        NoteError: If it cannot be read.
    """
    text = note.text if note.text is not None or note.path is None else read_note(note.path).text
    return (text or "").replace(TOKEN, " ")


def small(pixels: Float32[ndarray, "*s h w"], side: int) -> Float32[ndarray, "s s"]:
    """The pixels, of a volume its middle slice, squeezed into a square, averaged over what falls together."""
    from PIL import Image

    if pixels.ndim == 3:
        pixels = pixels[len(pixels) // 2]
    shrunk = Image.fromarray(np.ascontiguousarray(pixels)).resize((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    return np.asarray(shrunk, dtype=np.float32)


def _look(row: int, scan: Scan, root: Path) -> ScanFacts:
    file = _file(scan.path)
    error = "" if file else "no such file; check the path in the cohort's table"
    return ScanFacts(row, _relative(scan.path, root), file, taken=_taken_from(scan.path.suffix), error=error)


@cache
def _taken_from(suffix: str) -> Mapping[str, str]:
    """What a name alone tells of how a scan was taken; one object for all scans of a kind."""
    return {"file type": suffix.lower().lstrip(".") or "none"}


def _read(row: int, scan: Scan, root: Path) -> ScanFacts:
    path, file = _relative(scan.path, root), _file(scan.path)
    try:
        read = read_scan(scan.path)
    except ScanError as error:
        return ScanFacts(row, path, file, error=_reason(error, scan.path))
    assert read.pixels is not None
    assert read.receipt is not None
    receipt = read.receipt
    taken = {
        "file type": receipt.format,
        "size": f"{receipt.rows} x {receipt.columns}",
        "bits": str(receipt.bits),
        "photometric interpretation": receipt.photometric,
        "transfer syntax": receipt.transfer_syntax or "",
        "modality": receipt.modality or "",
        "view position": receipt.view or "",
    }
    header: dict[str, str] = {}
    if receipt.format == "DICOM":
        header = _header(scan.path)
        taken |= {name: header.get(name, "") for name in _FACETS}
    flat = float(np.ptp(read.pixels)) < 1e-3
    stored = np.rint(read.pixels * 65535).astype(np.uint16)
    digest = hashlib.sha256(f"{stored.shape}".encode() + stored.tobytes()).hexdigest()
    return ScanFacts(
        row,
        path,
        file,
        pixels="" if flat else digest,
        thumbnail=None if flat else np.rint(small(read.pixels, SIDE) * 255).astype(np.uint8),
        taken=taken,
        person=_digest(header.get("PatientID", "")),
        instance=_digest(header.get("SOPInstanceUID", "")),
        warnings=receipt.warnings,
    )


def _header(path: Path) -> dict[str, str]:
    """Elements of a DICOM header as text; broken ones are left out."""
    from pydicom import dcmread

    from medfuse.imaging.elements import BROKEN

    tags = [*_FACETS, "PatientID", "SOPInstanceUID"]
    found: dict[str, str] = {}
    try:
        dataset: Any = dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=True)
    except BROKEN:
        return found
    for tag in tags:
        try:
            found[tag] = " ".join(str(dataset.get(tag) or "").split())
        except BROKEN:
            continue
    return found


def _digest(identity: str) -> str:
    plain = identity.strip().lower()
    return "" if plain in _PLACEHOLDERS else hashlib.sha256(plain.encode()).hexdigest()


def _reason(error: Exception, path: Path) -> str:
    """The message without the file's name, which the finding gives with its folder."""
    return str(error).removeprefix(f"{path.name}: ")


def _relative(path: Path, root: Path) -> str:
    """The path inside the cohort; both are resolved, so text is enough and quick."""
    return str(path).removeprefix(f"{root}/")


def _file(path: Path) -> str:
    """Device and number of the file, which links share; "" if there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as quick, and there may be a hundred thousand
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"
