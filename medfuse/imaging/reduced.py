"""JPEG 2000 decoded no finer than it is looked at (ISO 15444-1: each decomposition level halves the sides)."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from PIL import Image

from medfuse.imaging.codestream import stated_depth
from medfuse.imaging.elements import BROKEN
from medfuse.imaging.grey import GLANCE

if TYPE_CHECKING:
    from jaxtyping import Integer

_END = b"\xff\xd9"  # end of codestream (A.4.4)


def halvings_of(rows: int, columns: int, least: float) -> int:
    """How often sides can be halved so that the longer keeps so many pixels, and the shorter as many as a glance."""
    return max(0, math.floor(math.log2(min(max(rows, columns) / least, min(rows, columns) / GLANCE))))


def reduced(
    stream: bytes, *, halvings: int, rows: int, columns: int, bits: int, signed: bool
) -> Integer[ndarray, "h w"] | None:
    """Decode a grey JPEG 2000 or HTJ2K image at a half, a quarter, … of its resolution.

    Args:
        stream: The codestream.
        halvings: How often its sides are halved, at least once.
        rows: Rows of the whole image.
        columns: Columns of the whole image.
        bits: Bits stored.
        signed: Whether stored values are signed.

    Returns:
        Stored values, or None where that does not go (fewer resolutions, cut short, another depth than the header's):
        it is to be decoded in full then, which also finds what is wrong.
    """
    if not 8 <= bits <= 16 or stated_depth(stream) != (1, bits, signed) or _END not in stream[-64:]:
        return None
    try:
        image = Image.open(BytesIO(stream), formats=("JPEG2000",))
        image.reduce = halvings  # type: ignore[method-assign, assignment]
        image.load()
        stored = np.asarray(image)
    except BROKEN:
        return None
    if stored.dtype.kind != "u" or stored.shape != tuple(-(-side // 2**halvings) for side in (rows, columns)):
        return None
    values = stored >> (8 * stored.dtype.itemsize - bits)  # Pillow moves values to the top of 8 or 16 bits
    return (values.astype(np.int32) - 2 ** (bits - 1)).astype(np.int16) if signed else values
