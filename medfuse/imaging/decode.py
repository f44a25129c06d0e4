"""Encoded pixels to stored values: one frame at a time, and nothing is decoded that does not fit the header."""

from __future__ import annotations

import contextlib
import math
from typing import Any, BinaryIO, cast

import numpy as np
from numpy import ndarray
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import UID, JPEG2000TransferSyntaxes, RLELossless, UID_dictionary

from medfuse.imaging.boundary import CUT, UnreadableError, foreign
from medfuse.imaging.codestream import stated_size
from medfuse.imaging.direct import check_runs, decoded
from medfuse.imaging.elements import BROKEN, PYDICOMS
from medfuse.imaging.header import Header
from medfuse.imaging.memory import HeldFile
from medfuse.imaging.reduced import reduced

PLUGINS = ("pyjpegls", "pillow", "pylibjpeg", "pydicom")  # of pydicom, the faster before the slower
_RUNS = (RLELossless,)


def decode(
    dataset: Any,
    *,
    header: Header,
    syntax: UID,
    keyword: str,
    warnings: list[str],
    frame: int = 0,
    halvings: int = 0,
) -> ndarray:
    """Decode one frame.

    The decoder is given our header's values, not the data set, so that an element that was repaired stays so.

    Args:
        dataset: The data set with the pixels.
        header: What was read of it.
        syntax: The transfer syntax of the pixels.
        keyword: `PixelData`, `FloatPixelData` or `DoubleFloatPixelData`.
        warnings: Receives what was odd or assumed.
        frame: Which frame, from 0.
        halvings: How often the sides of a grey image may be halved, if it can be decoded so.

    Returns:
        Stored values [rows, columns], both halved or neither, or, converted to RGB, [rows, columns, 3].

    Raises:
        UnreadableError: If no decoder is there or the pixels are damaged, with the reason and what to do.
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
        if not isinstance(source, (bytes, memoryview)):
            raise UnreadableError(damaged)
        if syntax.is_encapsulated:
            offsets = _extended_offsets(dataset)
            held = cast(BinaryIO, HeldFile(source))
            stream = get_frame(held, frame, number_of_frames=header.frames, extended_offsets=offsets)
            _check_size(stream, header)
            if syntax == RLELossless:
                check_runs(stream, segments=header.samples * math.ceil(header.bits_allocated / 8))
        else:
            if element.is_undefined_length:
                reason = f"its pixels are compressed but it says {name}; export it again with its true transfer syntax"
                raise UnreadableError(reason)
            _check_length(len(source), header)
        grey = header.samples == 1 and keyword == "PixelData"
        shifted = header.high_bit != header.bits_stored - 1 and (syntax == RLELossless or not syntax.is_encapsulated)
        plain = not syntax.is_encapsulated and syntax.is_little_endian and keyword == "PixelData"
        if header.samples == 1 and (plain or (header.bits_allocated == 1 and not syntax.is_encapsulated)):
            return _unpacked(source, header, frame, shifted=shifted, warnings=warnings)
        if grey and halvings and syntax in JPEG2000TransferSyntaxes:
            coarse = reduced(
                stream, halvings=halvings, rows=header.rows, columns=header.columns,
                bits=header.bits_stored, signed=header.signed,
            )  # fmt: skip
            if coarse is not None:
                return coarse
        if grey and syntax.is_encapsulated and header.bits_allocated in (8, 16):
            values = decoded(
                stream, syntax, rows=header.rows, columns=header.columns, bits_allocated=header.bits_allocated
            )
            if values is not None:
                return _unpacked(values, header, 0, shifted=shifted, warnings=warnings)
        stored = _first_that_can(
            decoder,
            bytes(source),
            index=frame,
            rows=header.rows,
            columns=header.columns,
            samples_per_pixel=header.samples,
            bits_allocated=header.bits_allocated,
            bits_stored=header.bits_stored,
            pixel_representation=int(header.signed),
            photometric_interpretation=header.photometric,
            planar_configuration=header.planar,
            number_of_frames=header.frames,
            pixel_keyword=keyword,
            pixel_vr=element.VR,
            allow_excess_frames=False,
            **({"correct_unused_bits": False} if shifted else {}),
            **({"extended_offsets": offsets} if syntax.is_encapsulated and offsets else {}),
        )
        return _at_bit_0(stored, header, warnings) if shifted else stored


def _unpacked(
    source: bytes | memoryview | ndarray, header: Header, frame: int, *, shifted: bool, warnings: list[str]
) -> ndarray:
    """Values of one sample a pixel as they lie in memory, without a copy where none of their bits must change.

    pydicom is not asked, since it copies twice and cannot take a frame of 1-bit pixels that begins within a byte.
    """
    count = header.rows * header.columns
    shape = header.rows, header.columns
    if header.bits_allocated == 1:  # PS3.5 8.1.1: the first pixel in the lowest bit, frames without a gap
        first = frame * count
        packed = np.frombuffer(source, np.uint8)[first // 8 : (first + count + 7) // 8]
        return np.unpackbits(packed, bitorder="little")[first % 8 : first % 8 + count].reshape(shape)
    item = header.bits_allocated // 8
    kind = np.dtype(f"<{'i' if header.signed else 'u'}{item}")
    stored = np.frombuffer(source, kind, count, frame * count * item).reshape(shape)
    if shifted:
        return _at_bit_0(stored, header, warnings)
    unused = header.bits_allocated - header.bits_stored
    if not unused:
        return stored
    low, high = (-(2 ** (header.bits_stored - 1)), 2 ** (header.bits_stored - 1) - 1) if header.signed else (
        0, 2**header.bits_stored - 1
    )  # fmt: skip
    if stored.max() <= high and stored.min() >= low:
        return stored
    return (stored << unused) >> unused  # what stands above Bits Stored, such as an overlay, is no part of the value


def _at_bit_0(stored: ndarray, header: Header, warnings: list[str]) -> ndarray:
    """Values that begin above bit 0, as ACR-NEMA allowed and PS3.5 8.1.1 did before its High Bit was fixed."""
    warnings.append("values do not begin at the lowest bit; they were moved there")
    moved: ndarray = stored << (header.bits_allocated - 1 - header.high_bit)
    return moved >> (header.bits_allocated - header.bits_stored)


def _first_that_can(decoder: Decoder, source: bytes, **options: Any) -> ndarray:
    """Decode with the first plugin that does, the fastest before the others.

    CharLS (pyjpegls) decodes JPEG-LS four times as fast as libjpeg, and Pillow's libjpeg-turbo JPEG of 8 bits faster
    than libjpeg, which decodes 12 bits too. pydicom would try GDCM first, which was seen to end the whole process.
    """
    plugins = [plugin for plugin in PLUGINS if plugin in decoder.available_plugins]
    if decoder.UID in _RUNS:
        plugins = ["pydicom"]  # slower, but pylibjpeg panics on damaged runs, and prints it
    for plugin in plugins[:-1]:
        with contextlib.suppress(*BROKEN):
            return np.asarray(decoder.as_array(source, decoding_plugin=plugin, **options)[0])
    return np.asarray(decoder.as_array(source, decoding_plugin=plugins[-1] if plugins else "", **options)[0])


def _extended_offsets(dataset: Any) -> tuple[bytes, bytes] | None:
    """Extended Offset Table and its lengths (PS3.3 C.7.6.3.1.8)."""
    table, lengths = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    return (table, lengths) if isinstance(table, bytes) and isinstance(lengths, bytes) else None


def _check_size(stream: bytes, header: Header) -> None:
    """Refuse a compressed image of another size than the header's before a decoder takes memory for it."""
    size = stated_size(stream)
    if size is not None and size != (header.rows, header.columns):
        reason = "the compressed image has another size than the header says; the file is damaged, fetch it again"
        raise UnreadableError(reason)


def _check_length(length: int, header: Header) -> None:
    bits = header.rows * header.columns * header.samples * header.bits_allocated * header.frames
    if header.photometric == "YBR_FULL_422":
        bits = bits * 2 // 3  # two of three colour samples are left out (PS3.3 C.7.6.3.1.2)
    expected = math.ceil(bits / 8)
    if length < expected:
        reason = f"it holds {length} of {expected} bytes of pixels; {CUT}"
        raise UnreadableError(reason)
