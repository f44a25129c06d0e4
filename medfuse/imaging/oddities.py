"""What looks wrong with a radiograph's pixels, although the file could be read: said, never mended.

The bounds were set so that hardly a sound image is called odd: see docs/imaging.md for how often each was right and
wrong on 212 radiographs of covid-chestxray and on the same images turned dark to bright.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Float32

SIDE = 128  # pixels of the square that is looked at
SATURATED = 0.10  # share of pixels at white; the most of a sound image was 0.06
EMPTY = 0.75  # share of pixels at black, or at white; the most of a sound image was 0.50
BORDER = 0.10  # share of the area that a blank border must take up to be said
_BLACK, _WHITE = 0.02, 0.98
# Chest wall, heart and spine are brighter than lungs, and the abdomen below is bright. A radiograph of the chest that
# has both the other way round is likely inverted; either alone happens (free air, a white lung, a large heart).
_DARKER = -0.08  # middle less lungs, grey
_DARK_BELOW = 0.58  # grey of the middle of the lowest sixth


def oddities(pixels: Float32[ndarray, "h w"], *, frontal: bool) -> list[str]:
    """Say what is odd about a radiograph.

    Args:
        pixels: Grey values in 0…1, 1 is white.
        frontal: Whether it may be a frontal view, so that inverted greys can be told.

    Returns:
        One line for each thing that is odd.
    """
    if min(pixels.shape) < SIDE:  # a thumbnail or a detail, on which the bounds were not set
        return []
    small = _small(pixels)
    found = []
    inner = _inside(small)
    if inner.size == 0 or max((small < _BLACK).mean(), (small > _WHITE).mean()) > EMPTY:
        return ["nearly empty: most of the image is black or white"]
    if (blank := 1 - inner.size / small.size) > BORDER:
        found.append(f"a blank border (collimation or padding) takes up {blank:.0%} of the image")
    if (inner > _WHITE).mean() > SATURATED:
        found.append(f"saturated: {(inner > _WHITE).mean():.0%} of the image is at white")
    if frontal and _inverted(inner):
        found.append(
            "likely inverted (for a frontal chest radiograph): lungs are brighter than the middle of the chest"
        )
    return found


def _small(pixels: ndarray) -> ndarray:
    step = [max(1, side // (2 * SIDE)) for side in pixels.shape]
    coarse = np.ascontiguousarray(pixels[:: step[0], :: step[1]])
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BOX))


def _inside(small: ndarray) -> ndarray:
    """The image without rows and columns at its edges that are black or white throughout."""
    for axis in (0, 1):
        if not small.size:
            break
        blank = (small.max(axis=1 - axis) < _BLACK) | (small.min(axis=1 - axis) > _WHITE)
        kept = np.flatnonzero(~blank)
        if not kept.size:
            return small[:0]
        small = small.take(range(kept[0], kept[-1] + 1), axis=axis)
    return small


def _inverted(inner: ndarray) -> bool:
    rows, columns = inner.shape

    def mean(top: float, bottom: float, left: float, right: float) -> float:
        part = inner[int(top * rows) : int(bottom * rows) + 1, int(left * columns) : int(right * columns) + 1]
        return float(part.mean())

    lungs = (mean(0.25, 0.6, 0.2, 0.36), mean(0.25, 0.6, 0.64, 0.8))
    darker = mean(0.25, 0.7, 0.44, 0.56) - sum(lungs) / 2
    return darker < _DARKER and mean(0.85, 1.0, 0.3, 0.7) < _DARK_BELOW
