"""DICOM Part 10 files, and bare data sets, to stored values with their header (PS3.3, PS3.5, PS3.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from numpy import ndarray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    UID_dictionary,
)

from medfuse.imaging.boundary import CUT, UnreadableError, foreign, hush
from medfuse.imaging.decode import decode
from medfuse.imaging.elements import PYDICOMS
from medfuse.imaging.frames import promote
from medfuse.imaging.grey import Way
from medfuse.imaging.header import REFUSED, Header, read_header
from medfuse.imaging.inflate import inflate
from medfuse.imaging.memory import HeldFile
from medfuse.imaging.presentation import apply_state
from medfuse.imaging.reduced import halvings_of

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A data set with what its pixels are decoded by.

    Attributes:
        dataset: The pydicom data set.
        syntax: The transfer syntax of its pixels.
        name: The name of the one that the file is in.
        warnings: What was assumed.
        state: The data set of a presentation state whose greys take the place of its own.
    """

    dataset: Any
    syntax: UID
    name: str
    warnings: tuple[str, ...] = ()
    state: Any = None


@dataclass(frozen=True, slots=True)
class Image:
    """One frame.

    Attributes:
        stored: Values [rows, columns], or RGB [rows, columns, 3].
        header: What its header says of the whole image.
        name: The name of its transfer syntax.
        halvings: How often its sides were halved in decoding.
    """

    stored: ndarray
    header: Header
    name: str
    halvings: int = 0


def parse(data: bytes | memoryview) -> Parsed:
    """Parse a file.

    Args:
        data: The whole file; that it is DICOM has been seen.

    Raises:
        UnreadableError: If its header is damaged.
    """
    hush()
    warnings: tuple[str, ...] = ()
    with foreign(f"its header cannot be read; {CUT}", *PYDICOMS):
        inflated = _inflated(data)
        # `force` only spares the DICM prefix: `kind_of` has seen to it that this is DICOM.
        dataset = dcmread(cast(BinaryIO, HeldFile(data if inflated is None else inflated)), force=True)
        if inflated is not None:
            return Parsed(dataset, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian.name)
        stated = dataset.file_meta.get("TransferSyntaxUID")
        if stated:
            syntax = UID(str(stated))
        else:
            implicit, little = dataset.original_encoding
            syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            warnings = (f"no transfer syntax stated; taken as {syntax.name}",)
    known = str(syntax) in UID_dictionary
    return Parsed(dataset, syntax, syntax.name if known else "unknown", warnings)


def _inflated(data: bytes | memoryview) -> bytes | memoryview | None:
    """The data set of a deflated file (PS3.5 A.5), within the bound that pydicom does not keep; None for others."""
    if data[128:132] != b"DICM":
        return None
    stream = cast(BinaryIO, HeldFile(data))
    stream.seek(132)
    meta = read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2
    )
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    return inflate(memoryview(data)[stream.tell() :])


def image_of(parsed: Parsed, warnings: list[str], *, frame: int = 0, least: float | None = None) -> Image:
    """Decode one frame with its header.

    At a lower resolution only where that changes nothing but the resolution: where a straight line maps values to grey,
    it does not depend on the values, and none of them is padding.

    Args:
        parsed: A parsed file; the functional groups of the frame are put into its data set.
        warnings: Receives what was odd or assumed.
        frame: Which frame, from 0.
        least: Pixels that the longer side must keep where less than all is enough; None decodes all.

    Raises:
        UnreadableError: If it holds no image that is read, with the reason and what to do.
    """
    warnings.extend(parsed.warnings)
    keyword = _pixel_keyword(parsed.dataset)
    promote(parsed.dataset, frame)
    if parsed.state is not None:
        apply_state(parsed.dataset, parsed.state, warnings, frame=frame)
    header = read_header(parsed.dataset, pixel_keyword=keyword, warnings=warnings)
    rules = header.rules
    straight = bool(rules.windows) and Way(rules, "").line is not None and rules.padding is None
    halvings = halvings_of(header.rows, header.columns, least) if straight and least else 0
    stored = decode(
        parsed.dataset,
        header=header,
        syntax=parsed.syntax,
        keyword=keyword,
        warnings=warnings,
        frame=frame,
        halvings=halvings,
    )
    return Image(stored, header, parsed.name, 0 if stored.shape[:2] == (header.rows, header.columns) else halvings)


def _pixel_keyword(dataset: Any) -> str:
    present = [keyword for keyword in PIXEL_KEYWORDS if keyword in dataset]
    if len(present) == 1:
        return present[0]
    with foreign(CUT, *PYDICOMS):
        last = dataset.get_item(list(dataset.keys())[-1]) if len(dataset) else None
        cut = isinstance(last, RawDataElement) and last.value is not None and len(last.value) < last.length < 2**32 - 1
        if "Rows" in dataset or cut or not len(dataset):
            raise UnreadableError(CUT)
        kind = str(dataset.get("SOPClassUID", ""))
        if kind in REFUSED:
            raise UnreadableError(REFUSED[kind])
        what = f" ({UID_dictionary[kind][0]})" if kind in UID_dictionary else ""
    reason = f"this DICOM file{what} holds no image; leave it out of the scans"
    raise UnreadableError(reason)
