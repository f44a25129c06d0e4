"""Large grey images as means over blocks of their pixels, taken on stored integers before there are any floats.

A network of 224 pixels sees a radiograph of 2048 as means over nine by nine pixels. Fitting averages blocks of three by
three first (`fit.py`). Where grey is a straight line between two stored values, the mean of greys is the grey of the
mean of stored values that were clipped to the two, so only the means have to become floats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from medfuse.imaging.grey import Way

if TYPE_CHECKING:
    from jaxtyping import Float32, Integer

GAP = 3.0  # blocks are averaged down to this many times the wanted size; see `fit.py`
_STEPS = 128  # stored values that the line must span: its ends are cut at whole numbers, which costs up to one of them
_BAND = 2**18  # bytes of the image that are clipped and summed at a time


def factors_of(rows: float, columns: float, height: int, width: int) -> tuple[int, int]:
    """How many rows and columns a block has on the way to this height and width."""
    return max(1, int(rows / height / GAP)), max(1, int(columns / width / GAP))


def coarse_grey(
    stored: Integer[ndarray, "h w"], way: Way, *, down: int, across: int
) -> Float32[ndarray, "h2 w2"] | None:
    """The means over blocks of `grey_of(stored, way)`, several times as fast.

    They differ by less than one stored value, at most 1/128 of grey, and by nothing but rounding where black and white
    are whole numbers.

    Args:
        stored: Values as decoded.
        way: Their way to grey.
        down: Rows of a block; the last one averages the rows that are left.
        across: Columns of a block.

    Returns:
        Grey in 0…1, or None if the way is not a straight line, so that greys have to be averaged themselves.
    """
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2 or way.line is None:
        return None
    black, white = way.line
    if not _STEPS <= abs(white - black) < math.inf or down * across >= 2**31 // 2**16:
        return None
    stored = np.asarray(stored, dtype=stored.dtype.newbyteorder("="))
    if way.rules.padding is not None and _any_within(stored, way.rules.padding):
        return None
    limits = np.iinfo(stored.dtype)
    low, high = max(limits.min, math.floor(min(black, white))), min(limits.max, math.ceil(max(black, white)))
    if low > limits.max or high < limits.min:
        return None
    grey = block_means(stored, down=down, across=across, low=low, high=high)
    grey -= np.float32(black)
    grey /= np.float32(white - black)
    return grey.clip(0, 1, out=grey)


def block_means(
    stored: Integer[ndarray, "h w"], *, down: int, across: int, low: int, high: int
) -> Float32[ndarray, "h2 w2"]:
    """Means over blocks of values clipped to low and high; the last block of a side averages what is left.

    It goes through the image in bands that stay in the processor's cache.
    """
    rows, columns = stored.shape
    means = np.empty((-(-rows // down), -(-columns // across)), np.float32)
    whole, last = columns // across, columns % across
    blocks = max(1, _BAND // (2 * columns * down))
    # In the image's own type where no sum leaves it, as of 12 bits in 16: adding is several times as fast then.
    limits, most = np.iinfo(stored.dtype), down * across
    kind = stored.dtype if limits.min <= low * most and high * most <= limits.max else np.dtype(np.int32)
    # Both are used again for every band: large arrays that are made and dropped cost more than what is done in them.
    clipped, summed = np.empty((blocks * down, columns), stored.dtype), np.empty((blocks, columns), kind)
    for first in range(0, len(means), blocks):
        band = stored[first * down : (first + blocks) * down]
        if band.min() < low or band.max() > high:
            band = np.clip(band, low, high, out=clipped[: len(band)])
        full = len(band) // down
        sums = summed[: -(-len(band) // down)]
        np.copyto(sums[:full], band[: full * down : down])
        for place in range(1, down):
            sums[:full] += band[place : full * down : down]
        if full < len(sums):
            sums[full] = band[full * down :].sum(axis=0, dtype=kind)
        out = sums[:, : whole * across : across]
        for place in range(1, across):
            out += sums[:, place : whole * across : across]
        means[first : first + blocks, :whole] = out
        if last:
            means[first : first + blocks, whole] = sums[:, whole * across :].sum(axis=1)
    means[: rows // down] /= down
    means[rows // down :] /= max(1, rows % down)
    means[:, :whole] /= across
    means[:, whole:] /= max(1, last)
    return means


def _any_within(stored: ndarray, padding: tuple[float, float]) -> bool:
    low, high = padding
    return bool((stored == low).any() if low == high else ((stored >= low) & (stored <= high)).any())
