"""DICOM Part 10 files, and bare data sets, to grey pixels with a receipt (PS3.3, PS3.5, PS3.10)."""

from __future__ import annotations

import math
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    UID_dictionary,
)

from medfuse.case import ScanReceipt
from medfuse.imaging.boundary import MAX_BYTES, UnreadableError, foreign, hush
from medfuse.imaging.codestream import stated_size
from medfuse.imaging.grey import LUMA, render, warn_if_constant
from medfuse.imaging.header import PYDICOMS, Header, read_header

if TYPE_CHECKING:
    from jaxtyping import Float32

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_CUT = "the file is cut short or damaged (a broken transfer); fetch it again"


def read_dicom(data: bytes, *, sha256: str) -> tuple[Float32[ndarray, "h w"], tuple[float, float] | None, ScanReceipt]:
    """Read one DICOM image.

    Args:
        data: The whole file.
        sha256: Its digest, for the receipt.

    Returns:
        Grey pixels in 0…1, spacing in millimetres, and the receipt.

    Raises:
        UnreadableError: If it is not one readable image, with the reason and what to do.
    """
    hush()
    warnings: list[str] = []
    dataset, syntax, name = _parse(data, warnings)
    keyword = _pixel_keyword(dataset)
    header = read_header(dataset, pixel_keyword=keyword, warnings=warnings)
    stored = _decode(dataset, header=header, syntax=syntax, keyword=keyword, warnings=warnings)
    if header.samples == 1:
        pixels, voi = render(stored, header.rules, warnings)
    else:
        full = float(2**header.bits_stored - 1)
        pixels = np.clip(stored @ (LUMA / full).astype(np.float32), 0, 1, dtype=np.float32)
        voi = "colours as luminance"
    warn_if_constant(pixels, warnings)
    receipt = ScanReceipt(
        sha256=sha256,
        format="DICOM",
        rows=header.rows,
        columns=header.columns,
        bits=header.bits_stored,
        photometric=header.photometric,
        inverted=header.rules.inverted,
        transfer_syntax=name,
        modality=header.modality,
        view=header.view,
        rescale=header.rules.rescale,
        voi=voi,
        warnings=tuple(warnings),
    )
    return pixels, header.spacing, receipt


def _parse(data: bytes, warnings: list[str]) -> tuple[Any, UID, str]:
    """The data set, the transfer syntax that its pixels are decoded by, and the name of the one the file is in."""
    with foreign(f"its header cannot be read; {_CUT}", *PYDICOMS):
        inflated = _inflated(data)
        # `force` only spares the DICM prefix: `kind_of` has seen to it that this is DICOM.
        dataset = dcmread(BytesIO(data if inflated is None else inflated), force=True)
        if inflated is not None:
            return dataset, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian.name
        stated = dataset.file_meta.get("TransferSyntaxUID")
        if stated:
            syntax = UID(str(stated))
        else:
            implicit, little = dataset.original_encoding
            syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
            warnings.append(f"no transfer syntax stated; taken as {syntax.name}")
    known = str(syntax) in UID_dictionary
    return dataset, syntax, syntax.name if known else "unknown"


def _inflated(data: bytes) -> bytes | None:
    """The data set of a deflated file (PS3.5 A.5), within the bound that pydicom does not keep; None for others."""
    if data[128:132] != b"DICM":
        return None
    stream = BytesIO(data)
    stream.seek(132)
    meta = read_dataset(
        stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, _vr, _length: tag >> 16 != 2
    )
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return None
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(data[stream.tell() :], MAX_BYTES)
    if inflater.unconsumed_tail:
        reason = f"it inflates to more than {MAX_BYTES >> 20} MiB, which no single image needs; check what it is"
        raise UnreadableError(reason)
    if not inflater.eof:
        raise UnreadableError(_CUT)
    return inflated


def _pixel_keyword(dataset: Any) -> str:
    present = [keyword for keyword in PIXEL_KEYWORDS if keyword in dataset]
    if len(present) == 1:
        return present[0]
    with foreign(_CUT, *PYDICOMS):
        last = dataset.get_item(list(dataset.keys())[-1]) if len(dataset) else None
        cut = isinstance(last, RawDataElement) and last.value is not None and len(last.value) < last.length < 2**32 - 1
        if "Rows" in dataset or cut or not len(dataset):
            raise UnreadableError(_CUT)
        kind = str(dataset.get("SOPClassUID", ""))
        what = f" ({UID_dictionary[kind][0]})" if kind in UID_dictionary else ""
    reason = f"this DICOM file{what} holds no image; leave it out of the scans"
    raise UnreadableError(reason)


def _decode(dataset: Any, *, header: Header, syntax: UID, keyword: str, warnings: list[str]) -> ndarray:
    """Stored values [rows, columns] or, converted to RGB, [rows, columns, 3].

    The decoder is given our header's values, not the data set, so that an element that was repaired stays so.
    """
    name = syntax.name if str(syntax) in UID_dictionary else "a private transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        video = any(word in name for word in ("MPEG", "HEVC", "SMPTE"))
        what = "holds video; export the frame you want" if video else "is not read; convert it with `gdcmconv --raw`"
        reason = f"{name} {what}"
        raise UnreadableError(reason) from error
    if not decoder.is_available:
        reason = f"no decoder for {name} is installed; install pylibjpeg with its plugins"
        raise UnreadableError(reason)
    damaged = f"its pixels ({name}) cannot be decoded: damaged, cut short or not to the standard; fetch it again"
    with foreign(damaged, *PYDICOMS):
        element = dataset[keyword]
        source = element.value
        if not isinstance(source, bytes):
            raise UnreadableError(damaged)
        if syntax.is_encapsulated:
            _check_size(get_frame(source, 0, number_of_frames=1), header)
        else:
            if element.is_undefined_length:
                reason = f"its pixels are compressed but it says {name}; export it again with its true transfer syntax"
                raise UnreadableError(reason)
            _check_length(len(source), header)
        shifted = header.high_bit != header.bits_stored - 1 and (syntax == RLELossless or not syntax.is_encapsulated)
        stored, _ = decoder.as_array(
            source,
            index=0,
            rows=header.rows,
            columns=header.columns,
            samples_per_pixel=header.samples,
            bits_allocated=header.bits_allocated,
            bits_stored=header.bits_stored,
            pixel_representation=int(header.signed),
            photometric_interpretation=header.photometric,
            planar_configuration=header.planar,
            number_of_frames=1,
            pixel_keyword=keyword,
            pixel_vr=element.VR,
            allow_excess_frames=False,
            # CharLS decodes JPEG-LS four times as fast as libjpeg, which pydicom would try first.
            decoding_plugin="pyjpegls" if "pyjpegls" in decoder.available_plugins else "",
            **({"correct_unused_bits": False} if shifted else {}),
        )
        if shifted:  # values do not begin at bit 0, as ACR-NEMA allowed: PS3.5 8.1.1 before its High Bit was fixed
            stored = stored << (header.bits_allocated - 1 - header.high_bit)
            stored = stored >> (header.bits_allocated - header.bits_stored)
            warnings.append("values do not begin at the lowest bit; they were moved there")
    return np.asarray(stored)


def _check_size(stream: bytes, header: Header) -> None:
    """Refuse a compressed image of another size than the header's before a decoder takes memory for it."""
    size = stated_size(stream)
    if size is not None and size != (header.rows, header.columns):
        reason = "the compressed image has another size than the header says; the file is damaged, fetch it again"
        raise UnreadableError(reason)


def _check_length(length: int, header: Header) -> None:
    bits = header.rows * header.columns * header.samples * header.bits_allocated
    if header.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3  # two of three colour samples are left out (PS3.3 C.7.6.3.1.2)
    expected = math.ceil(bits / 8)
    if length < expected:
        reason = f"it holds {length} of {expected} bytes of pixels; {_CUT}"
        raise UnreadableError(reason)
