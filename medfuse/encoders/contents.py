"""What files hold, as digests: the same scan or note is known again whatever it or its patient is called."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

WORDS = 20  # a note of fewer words ("normal chest") is written of many a patient, and says nothing of its source


def contents_of_scan(sha256: str, pixels: Float32[ndarray, "*slices h w"]) -> tuple[str, ...]:
    """Of a scan's bytes, and of the pixels that a model sees of it in 256 greys.

    The first knows a copied file again, the second a file whose header was rewritten (other names, another syntax;
    but not large images across JPEG 2000 and others, since it is decoded at a lower resolution).
    A picture of one grey is no one's, so that it has no second digest.

    Args:
        sha256: Of the bytes; empty if they are not known.
        pixels: After fitting, 0…1.
    """
    greys = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    told = [f"bytes {sha256}"] if sha256 else []
    if greys.size and greys.min() < greys.max():
        told.append(f"pixels {greys.shape} {hashlib.sha256(greys.tobytes()).hexdigest()}")
    return tuple(map(_digest, told))


def contents_of_note(text: str) -> tuple[str, ...]:
    """Of a note's words, whatever their case and the space between them; nothing for fewer than `WORDS` of them."""
    words = text.casefold().split()
    return (_digest(f"note {' '.join(words)}"),) if len(words) >= WORDS else ()


def _digest(told: str) -> str:
    return hashlib.sha256(f"medfuse content {told}".encode()).hexdigest()[:16]
