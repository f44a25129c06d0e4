"""Grey frames of 8 and 16 bits straight from a decoder, without the copies that pydicom makes on the way."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import cast

import numpy as np
from numpy import ndarray
from pydicom.uid import (
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from medfuse.imaging.elements import BROKEN

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_END = b"\xff\xd9"  # end of image (ISO 10918-1 B.1.1.3)
_PADDED = 64  # bytes that may follow it; one is allowed (PS3.5 A.4), some writers fill more
_MOST_SEGMENTS = 15  # of a run-length coded frame (PS3.5 G.5)


def decoded(stream: bytes, syntax: UID, *, rows: int, columns: int, bits_allocated: int) -> ndarray | None:
    """Decode a grey frame.

    libjpeg-turbo (by imagecodecs) is several times as fast as the decoders that pydicom knows for JPEG lossless and for
    12 bits; CharLS (pyjpegls) is the fastest for JPEG-LS.

    Args:
        stream: The compressed frame.
        syntax: Its transfer syntax.
        rows: Rows of the frame.
        columns: Columns of the frame.
        bits_allocated: Bits that a value takes up, 8 or 16.

    Returns:
        The values [rows, columns], unsigned, or None if this is for pydicom: it has other decoders and says what is
        wrong.

    Raises:
        ValueError: If a JPEG image ends too early, which its decoders fill up without a word.
    """
    if syntax in (*_JPEG, *_JPEG_LS) and _END not in stream[-_PADDED:]:
        message = "no end of image"
        raise ValueError(message)
    kind = np.dtype(f"<u{bits_allocated // 8}")
    try:
        if syntax in _JPEG:
            from imagecodecs import jpeg8_decode

            values = jpeg8_decode(stream)
        elif syntax in _JPEG_LS:
            from jpeg_ls import decode_pixel_data

            values = np.frombuffer(decode_pixel_data(stream)[0], kind)
        elif syntax == RLELossless:
            from imagecodecs import dicomrle_decode

            room = np.zeros(rows * columns * kind.itemsize, np.uint8)
            values = np.asarray(dicomrle_decode(stream, kind, out=cast(memoryview, room))).view(kind)
        else:
            return None
    except (*BROKEN, ImportError):
        return None
    if values.size != rows * columns or values.dtype != kind:
        return None
    return np.asarray(values).reshape(rows, columns)


def check_runs(stream: bytes, *, segments: int) -> None:
    """Look at the header of a run-length coded frame, on whose damage its decoder panics (PS3.5 G.3.1, G.5).

    Args:
        stream: The compressed frame.
        segments: How many there must be: bytes of a sample times samples.

    Raises:
        ValueError: If their number is another, or their offsets do not follow each other within the frame.
    """
    if len(stream) < 64:  # bytes of the header: the number of segments and fifteen offsets
        message = "a frame shorter than its header"
        raise ValueError(message)
    count, *offsets = struct.unpack("<16I", stream[:64])
    if count != segments or count > _MOST_SEGMENTS:
        message = "another number of segments than its pixels have bytes"
        raise ValueError(message)
    starts = [*offsets[:count], len(stream)]
    if starts[0] != 64 or any(start >= after for start, after in pairwise(starts)):
        message = "offsets that do not follow each other"
        raise ValueError(message)
