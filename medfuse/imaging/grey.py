"""Stored values to grey in 0…1, in the order of PS3.3: modality transform, VOI transform, inversion, padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped

LUMA = np.array([0.299, 0.587, 0.114])  # red, green, blue: the Y of YBR_FULL (PS3.3 C.7.6.3.1.2)
SPREAD = (0.005, 0.995)  # quantiles taken as black and white where a file states no window
DISPLAY_BITS = 8  # up to here stored values are display values already, and their full range is shown
NEARLY_CONSTANT = 1 / 64  # grey range of 98 of 100 pixels, below which an image shows nothing


@dataclass(frozen=True, slots=True)
class Lut:
    """A lookup table (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5); beyond either end the end's entry holds.

    Attributes:
        entries: Float64 [n].
        first: The value that the first entry stands for.
        bits: Bits of an entry; `2**bits - 1` is white.
    """

    entries: ndarray
    first: float
    bits: int

    def __call__(self, values: ndarray) -> ndarray:
        """The entry for every value."""
        index = np.clip(np.rint(values - self.first), 0, len(self.entries) - 1)
        return self.entries[index.astype(np.intp)]


@dataclass(frozen=True, slots=True)
class GreyRules:
    """What a file says about the way from its stored values to grey.

    Attributes:
        bits: Bits stored.
        signed: Whether stored values are signed.
        palette: Palette colours as luminance in 0…1; nothing else applies then.
        modality_lut: First item of the Modality LUT Sequence; excludes `rescale` (C.11.1).
        rescale: Slope and intercept.
        voi_lut: First item of the VOI LUT Sequence; goes before the windows.
        windows: Centre and width of each window that makes sense, with its number in the file (from 1).
        function: VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID.
        stated_windows: How many windows the file has.
        assumed: Whether the window is not the file's but the one that its modality is looked at with.
        inverted: Whether black and white change places after the VOI transform.
        padding: Lowest and highest stored value that is no image (C.7.5.1.1.2).
    """

    bits: int
    signed: bool = False
    palette: Lut | None = None
    modality_lut: Lut | None = None
    rescale: tuple[float, float] | None = None
    voi_lut: Lut | None = None
    windows: tuple[tuple[float, float, int], ...] = ()
    function: str = "LINEAR"
    stated_windows: int = 0
    assumed: bool = False
    inverted: bool = False
    padding: tuple[float, float] | None = None


def render(stored: Shaped[ndarray, "*s h w"], rules: GreyRules, warnings: list[str]) -> tuple[ndarray, str]:
    """Turn stored values into grey.

    Stored integers of up to 16 bits go through a table of every value that they can have: the transforms are computed
    in float64 on at most 65536 numbers, and the image is touched once.

    Args:
        stored: Values as decoded, integer or float.
        rules: What the file says.
        warnings: Receives what was odd or assumed.

    Returns:
        Grey float32 of the same shape in 0…1, and in words what mapped values to grey.
    """
    index: ndarray | None = None
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        native = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
        unsigned = np.dtype(f"u{native.dtype.itemsize}")
        index = native.view(unsigned)
        values = np.arange(256**unsigned.itemsize).astype(unsigned).view(native.dtype).astype(np.float64)
    else:
        values = stored.astype(np.float64)
    with np.errstate(all="ignore"):  # what overflows becomes black or white
        outside = ~np.isfinite(values)
        if rules.padding is not None:
            outside |= (values >= rules.padding[0]) & (values <= rules.padding[1])
        if rules.palette is not None:
            return _finish(rules.palette(values), outside, rules, index), "palette colours as luminance"
        levels, prefix = _modality(values, rules)
        grey, words = _voi(levels, rules)
        if grey is not None:
            pixels = _finish(grey, outside, rules, index)
            if pixels.min() < pixels.max():
                if rules.assumed:
                    warnings.append(f"no window in the file; {words} assumed, for soft tissue in Hounsfield units")
                return pixels, prefix + words
        low, high, assumed = _assumed_range(levels, outside, index, rules)
        if low < high:
            if grey is not None:
                warnings.append(f"the {words} shows nothing; grey range assumed instead: {assumed}")
            elif rules.bits > DISPLAY_BITS:
                warnings.append(f"no usable window in the file; grey range assumed: {assumed}")
            return _finish((levels - low) / (high - low), outside, rules, index), prefix + assumed
        grey = np.zeros(levels.shape) if grey is None else grey
        return _finish(grey, outside, rules, index), prefix + (words or assumed)


def levels_of(stored: Shaped[ndarray, "h w"], rules: GreyRules) -> Float32[ndarray, "h w"]:
    """Stored values after the modality transform (Hounsfield units of a CT), padding as NaN.

    Args:
        stored: Values as decoded, integer or float.
        rules: What the file says.
    """
    values = stored.astype(np.float64)
    with np.errstate(all="ignore"):
        levels = _modality(values, rules)[0].astype(np.float32)
    if rules.padding is not None:
        levels[(values >= rules.padding[0]) & (values <= rules.padding[1])] = np.nan
    return levels


def luminance(stored: Shaped[ndarray, "h w 3"], *, bits: int) -> Float32[ndarray, "h w"]:
    """Red, green and blue of so many bits as grey in 0…1."""
    grey: ndarray = np.clip(stored @ (LUMA / (2**bits - 1)).astype(np.float32), 0, 1, dtype=np.float32)
    return grey


def warn_if_constant(pixels: Float32[ndarray, "*s h w"], warnings: list[str]) -> None:
    """Say so if an image shows nothing, judged on a grid of about 256 x 256 pixels."""
    step = [max(1, side // 256) for side in pixels.shape[-2:]]
    low, high = np.quantile(pixels[..., :: step[0], :: step[1]], (0.01, 0.99))
    if pixels.min() == pixels.max():
        warnings.append("constant image: every pixel has the same grey")
    elif high - low < NEARLY_CONSTANT:
        warnings.append("nearly constant image: 98 of 100 pixels have almost the same grey")


def _modality(values: ndarray, rules: GreyRules) -> tuple[ndarray, str]:
    """PS3.3 C.11.1: lookup table, or slope and intercept."""
    if rules.modality_lut is not None:
        return rules.modality_lut(values), "modality LUT, then "
    if rules.rescale is not None:
        return values * rules.rescale[0] + rules.rescale[1], ""
    return values, ""


def _voi(levels: ndarray, rules: GreyRules) -> tuple[ndarray | None, str]:
    """PS3.3 C.11.2: lookup table, or the first window that makes sense; None if there is neither."""
    if rules.voi_lut is not None:
        return rules.voi_lut(levels) / (2**rules.voi_lut.bits - 1), "VOI LUT"
    if not rules.windows:
        return None, ""
    centre, width, number = rules.windows[0]
    grey = window(levels, centre=centre, width=width, function=rules.function)
    of = f", {number} of {rules.stated_windows}" if rules.stated_windows > 1 else ""
    return grey, f"window {centre:g}/{width:g} ({rules.function}){of}"


def window(levels: ndarray, *, centre: float, width: float, function: str) -> ndarray:
    """Window values to 0…1.

    Args:
        levels: Values after the modality transform.
        centre: Window Center.
        width: Window Width, at least 1 for LINEAR, above 0 for the others.
        function: LINEAR (C.11.2.1.2.1), SIGMOID (C.11.2.1.3.1) or LINEAR_EXACT (C.11.2.1.3.2) of PS3.3.
    """
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (levels - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:  # LINEAR of width 1 is a threshold
        return (levels > centre).astype(np.float64)
    return np.clip((levels - centre) / width + 0.5, 0, 1)


def _assumed_range(
    levels: ndarray, outside: ndarray, index: ndarray | None, rules: GreyRules
) -> tuple[float, float, str]:
    """Black and white where the file states neither window nor VOI LUT.

    Up to 8 bits the values are display values, and the identity of PS3.3 C.11.2.1.2.2 shows them as they were made.
    Above, detectors use a part of the range only. The range between quantiles is taken rather than between extremes,
    because a lead marker or one dead pixel is an extreme. If it is empty (a drawing), the extremes are taken.
    """
    if rules.bits <= DISPLAY_BITS and rules.modality_lut is None:
        ends = (-(2 ** (rules.bits - 1)), 2 ** (rules.bits - 1) - 1) if rules.signed else (0, 2**rules.bits - 1)
        slope, intercept = rules.rescale or (1.0, 0.0)
        low, high = sorted(slope * end + intercept for end in ends)
        return low, high, f"full range of {rules.bits} bits"
    inside = ~outside & np.isfinite(levels)
    weights: ndarray | None = None
    if index is not None:  # `levels` is a table: each value counts as often as pixels have it
        counts = np.bincount(index.ravel(), minlength=len(levels))
        inside &= counts > 0
        weights = counts[inside]
    if not inside.any():
        return 0.0, 0.0, "none: no pixel holds image"
    low, high = (float(end) for end in np.quantile(levels[inside], SPREAD, method="inverted_cdf", weights=weights))
    words = f"percentiles 0.5 to 99.5 of the values ({low:g} to {high:g})"
    if low == high:
        low, high = float(levels[inside].min()), float(levels[inside].max())
        words = f"least to greatest value ({low:g} to {high:g})"
    return low, high, words if low < high else "none: constant"


def _finish(grey: ndarray, outside: ndarray, rules: GreyRules, index: ndarray | None) -> Float32[ndarray, "*s h w"]:
    """Invert, make padding black, and look every pixel up."""
    grey = np.nan_to_num(1 - grey if rules.inverted else grey, nan=0, posinf=1, neginf=0)
    grey = np.clip(np.where(outside, 0, grey), 0, 1).astype(np.float32)
    return grey if index is None else grey[index]
