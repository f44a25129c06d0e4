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
GLANCE = 256  # rows and columns that are looked at to tell whether an image shows anything
ENOUGH = 512  # rows and columns that quantiles are taken of
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


@dataclass(frozen=True, slots=True)
class Way:
    """How stored values become grey, once it is known what is black and white where the file does not say.

    Attributes:
        rules: What the file says.
        words: What maps values to grey, in words.
        span: Values after the modality transform that are black and white; None if the window or VOI LUT says it.
    """

    rules: GreyRules
    words: str
    span: tuple[float, float] | None = None

    @property
    def line(self) -> tuple[float, float] | None:
        """The stored values of grey 0 and of grey 1, between which grey is a straight line; None if it is none."""
        rules = self.rules
        if rules.palette is not None or rules.modality_lut is not None:
            return None
        if self.span is not None:
            black, white = self.span
        elif rules.windows and rules.voi_lut is None and rules.function != "SIGMOID":
            centre, width, _ = rules.windows[0]
            if rules.function == "LINEAR":
                centre, width = centre - 0.5, width - 1
            black, white = centre - width / 2, centre + width / 2
        else:
            return None
        slope, intercept = rules.rescale or (1.0, 0.0)
        ends = (black - intercept) / slope, (white - intercept) / slope
        return ends[::-1] if rules.inverted else ends


def render(stored: Shaped[ndarray, "*s h w"], rules: GreyRules, warnings: list[str]) -> tuple[ndarray, str]:
    """Turn stored values into grey.

    Args:
        stored: Values as decoded, integer or float.
        rules: What the file says.
        warnings: Receives what was odd or assumed.

    Returns:
        Grey float32 of the same shape in 0…1, and in words what mapped values to grey.
    """
    way = way_of(stored, rules, warnings)
    return grey_of(stored, way), way.words


def way_of(stored: Shaped[ndarray, "*s h w"], rules: GreyRules, warnings: list[str]) -> Way:
    """Find the way to grey: what the file says, or a range of values where that is nothing or shows nothing.

    Args:
        stored: Values as decoded, integer or float.
        rules: What the file says.
        warnings: Receives what was odd or assumed.
    """
    if rules.palette is not None:
        return Way(rules, "palette colours as luminance")
    prefix = "modality LUT, then " if rules.modality_lut is not None else ""
    words = _voi_words(rules)
    if words:
        own = Way(rules, prefix + words)
        if any(_shows(part, own) for part in (glance(stored), stored)):
            if rules.assumed:
                warnings.append(f"no window in the file; {words} assumed, for soft tissue in Hounsfield units")
            return own
    low, high, assumed = _assumed_range(stored, rules)
    if low < high:
        if words:
            warnings.append(f"the {words} shows nothing; grey range assumed instead: {assumed}")
        elif rules.bits > DISPLAY_BITS:
            warnings.append(f"no usable window in the file; grey range assumed: {assumed}")
        return Way(rules, prefix + assumed, (low, high))
    return Way(rules, prefix + (words or assumed), None if words else (0.0, 0.0))


def _shows(stored: ndarray, way: Way) -> bool:
    """Whether pixels differ in grey; on a straight line that is seen from the least and the greatest value."""
    if way.line is not None and way.rules.padding is None and stored.dtype.kind in "iu":
        stored = np.array([stored.min(), stored.max()])
    return bool(np.ptp(grey_of(stored, way)) > 0)


def grey_of(stored: Shaped[ndarray, "*s h w"], way: Way) -> Float32[ndarray, "*s h w"]:
    """Map stored values to grey float32 in 0…1.

    Stored integers of up to 16 bits go through a table of every value that they can have: the transforms are computed
    in float64 on at most 65536 numbers, and the image is touched once.
    """
    if stored.dtype.kind in "iu" and 2 * 256**stored.dtype.itemsize <= min(stored.size, 2**17):
        native = np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("="))
        unsigned = np.dtype(f"u{native.dtype.itemsize}")
        every = np.arange(256**unsigned.itemsize).astype(unsigned).view(native.dtype)
        table = _grey(every, way)
        pixels: ndarray = table[native.view(unsigned)]
        return pixels
    return _grey(stored, way)


def glance(image: Shaped[ndarray, "*s h w"]) -> Shaped[ndarray, "*s h2 w2"]:
    """A grid of about 256 x 256 pixels, on which it is judged what an image shows."""
    step = [max(1, side // GLANCE) for side in image.shape[-2:]]
    return image[..., :: step[0], :: step[1]]


def levels_of(stored: Shaped[ndarray, "h w"], rules: GreyRules) -> Float32[ndarray, "*s"]:
    """Stored values after the modality transform (Hounsfield units of a CT), padding as NaN.

    Args:
        stored: Values as decoded, integer or float.
        rules: What the file says.
    """
    values = stored.astype(np.float64)
    with np.errstate(all="ignore"):
        levels = _modality(values, rules).astype(np.float32)
    if rules.padding is not None:
        levels[(values >= rules.padding[0]) & (values <= rules.padding[1])] = np.nan
    return levels


def luminance(stored: Shaped[ndarray, "h w 3"], *, bits: int) -> Float32[ndarray, "*s"]:
    """Red, green and blue of so many bits as grey in 0…1."""
    grey: ndarray = np.clip(stored @ (LUMA / (2**bits - 1)).astype(np.float32), 0, 1, dtype=np.float32)
    return grey


def warn_if_constant(pixels: Float32[ndarray, "*s h w"], warnings: list[str]) -> None:
    """Say so if an image shows nothing, judged at a glance."""
    some = glance(pixels).ravel()
    ends = some.size // 100, some.size - 1 - some.size // 100
    low, high = np.partition(some, ends)[list(ends)]
    if high - low >= NEARLY_CONSTANT:
        return
    if pixels.min() == pixels.max():
        warnings.append("constant image: every pixel has the same grey")
    else:
        warnings.append("nearly constant image: 98 of 100 pixels have almost the same grey")


def _grey(stored: ndarray, way: Way) -> Float32[ndarray, "*s"]:
    rules, values = way.rules, stored.astype(np.float64)
    with np.errstate(all="ignore"):  # what overflows becomes black or white
        outside = _outside(values, rules)
        if rules.palette is not None:
            grey = rules.palette(values)
        elif way.span is None:
            grey = _voi(_modality(values, rules), rules)
        elif way.span[0] < way.span[1]:
            grey = (_modality(values, rules) - way.span[0]) / (way.span[1] - way.span[0])
        else:
            grey = np.zeros(values.shape)
        grey = np.nan_to_num(1 - grey if rules.inverted else grey, nan=0, posinf=1, neginf=0)
        return np.clip(np.where(outside, 0, grey), 0, 1).astype(np.float32)


def _outside(values: ndarray, rules: GreyRules) -> ndarray:
    """Where no image is: padding (PS3.3 C.7.5.1.1.2), and what is no number."""
    outside: ndarray = ~np.isfinite(values)
    if rules.padding is not None:
        outside |= (values >= rules.padding[0]) & (values <= rules.padding[1])
    return outside


def _modality(values: ndarray, rules: GreyRules) -> ndarray:
    """PS3.3 C.11.1: lookup table, or slope and intercept."""
    if rules.modality_lut is not None:
        return rules.modality_lut(values)
    if rules.rescale is not None:
        return values * rules.rescale[0] + rules.rescale[1]
    return values


def _voi(levels: ndarray, rules: GreyRules) -> ndarray:
    """PS3.3 C.11.2: lookup table, or the first window that makes sense."""
    if rules.voi_lut is not None:
        return np.asarray(rules.voi_lut(levels) / (2**rules.voi_lut.bits - 1))
    centre, width, _ = rules.windows[0]
    return window(levels, centre=centre, width=width, function=rules.function)


def _voi_words(rules: GreyRules) -> str:
    """The VOI transform of the file in words; empty if it has none."""
    if rules.voi_lut is not None:
        return "VOI LUT"
    if not rules.windows:
        return ""
    centre, width, number = rules.windows[0]
    of = f", {number} of {rules.stated_windows}" if rules.stated_windows > 1 else ""
    return f"window {centre:g}/{width:g} ({rules.function}){of}"


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


def _assumed_range(stored: ndarray, rules: GreyRules) -> tuple[float, float, str]:
    """Black and white where the file states neither window nor VOI LUT, after the modality transform, with words.

    Up to 8 bits the values are display values, and the identity of PS3.3 C.11.2.1.2.2 shows them as they were made.
    Above, detectors use a part of the range only. The range between quantiles is taken rather than between extremes,
    because a lead marker or one dead pixel is an extreme. If it is empty (a drawing), the extremes are taken. Of a
    large image the quantiles are those of a grid of `ENOUGH` rows and columns: on a side of 1024 every second.
    """
    if rules.bits <= DISPLAY_BITS and rules.modality_lut is None:
        ends = (-(2 ** (rules.bits - 1)), 2 ** (rules.bits - 1) - 1) if rules.signed else (0, 2**rules.bits - 1)
        slope, intercept = rules.rescale or (1.0, 0.0)
        low, high = sorted(slope * end + intercept for end in ends)
        return low, high, f"full range of {rules.bits} bits"
    step = [max(1, side // ENOUGH) for side in stored.shape[-2:]]
    some = _inside(stored[..., :: step[0], :: step[1]], rules)
    if some.size:
        low, high = (float(end) for end in np.quantile(some, SPREAD, method="inverted_cdf"))
        if low < high:
            return low, high, f"percentiles 0.5 to 99.5 of the values ({low:g} to {high:g})"
    some = _inside(np.unique(stored), rules)
    if not some.size:
        return 0.0, 0.0, "none: no pixel holds image"
    low, high = float(some.min()), float(some.max())
    return low, high, f"least to greatest value ({low:g} to {high:g})" if low < high else "none: constant"


def _inside(stored: ndarray, rules: GreyRules) -> ndarray:
    """Values after the modality transform [n] where there is image."""
    values = stored.astype(np.float64).ravel()
    with np.errstate(all="ignore"):
        levels = _modality(values, rules)
        return np.asarray(levels[~_outside(values, rules) & np.isfinite(levels)])
