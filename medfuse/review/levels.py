"""A scan's values for the viewer: 16 bits each, in real units where the file has them, with the file's windows.

What the network is given has been windowed once and for all; a reader wants to choose the window. So a DICOM file's values
are taken after the modality transform (PS3.3 C.11.1: Hounsfield units of a CT), before the VOI transform, and the inversion
of MONOCHROME1 is left to the display, which applies it after the window as C.7.6.3.1.2 asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from medfuse.case import Scan, ScanReceipt
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.content import kind_of
from medfuse.imaging.dicom import Image, parse
from medfuse.imaging.frames import planes_of
from medfuse.imaging.geometry import Plane, evenly, ordered
from medfuse.imaging.grey import SPREAD, GreyRules, levels_of
from medfuse.imaging.read import read_scan
from medfuse.imaging.series import choose, find_series, slices_of
from medfuse.imaging.sources import bytes_of, is_directory, listed_by, sources_of
from medfuse.imaging.stack import images

if TYPE_CHECKING:
    from jaxtyping import UInt16

MAX_VALUES = 24_000_000  # sent to the browser; a radiograph of 4900 × 4900 pixels, or 90 slices of a CT
SAMPLE = 2_000_000  # values that quantiles are taken of
TOP = 65535  # the greatest value of 16 bits

Name = Literal["file", "assumed", "spread", "full", "lung", "soft", "bone", "brain", "liver"]
# Centre and width in Hounsfield units, as they are usual for reading CT.
CT_WINDOWS: tuple[tuple[Name, float, float], ...] = (
    ("lung", -600, 1500),
    ("soft", 40, 400),
    ("bone", 400, 1800),
    ("brain", 40, 80),
    ("liver", 60, 160),
)


@dataclass(frozen=True, slots=True)
class Window:
    """A range of values that the screen shows from black to white.

    Attributes:
        name: Where it comes from, or what it is for.
        lower: The value that becomes black.
        upper: The value that becomes white.
        sigmoid: Whether the curve between them is a sigmoid (PS3.3 C.11.2.1.3.1) and not a line.
        number: Which of the file's windows it is, from 1; 0 for others.
    """

    name: Name
    lower: float
    upper: float
    sigmoid: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True)
class Levels:
    """A scan as the viewer takes it: value = `codes` × `slope` + `intercept`.

    Attributes:
        codes: uint16 [slices, rows, columns].
        slope: Above 0.
        intercept: The value of code 0.
        unit: `HU`, `grey` (0 black … 1 white, as the network's reading has it), or "" for values without a unit.
        inverted: Whether black and white change places after the window.
        windows: At least one; the first shows the scan as reading it did.
        numbers: Which slices these are, from 1, along the volume.
        spacing: Millimetres between rows and between columns; None if not stated.
        aspect: Height of a pixel over its width, where no spacing is stated.
    """

    codes: UInt16[np.ndarray, "s h w"]
    slope: float
    intercept: float
    unit: str
    inverted: bool
    windows: tuple[Window, ...]
    numbers: tuple[int, ...]
    spacing: tuple[float, float] | None
    aspect: float = 1.0

    def shown(self, window: Window) -> np.ndarray:
        """Grey in 0…1 [slices, rows, columns] by a window, as the viewer draws it."""
        values = self.codes * self.slope + self.intercept
        middle, width = (window.lower + window.upper) / 2, window.upper - window.lower
        if window.sigmoid:
            grey = 1 / (1 + np.exp(-4 * (values - middle) / width))
        else:
            grey = np.clip((values - window.lower) / max(width, 1e-9), 0, 1)
        return np.asarray(1 - grey if self.inverted else grey, dtype=np.float32)


def scan_levels(path: str | Path, *, series: str = "largest", slices: int = 8) -> tuple[Scan, Levels]:
    """Read a scan for the network and for the viewer.

    Args:
        path: The file or folder.
        series: Which of several series in a folder, as `read_scan` has it.
        slices: How many slices of a volume the network is given.

    Returns:
        The scan as `read_scan` gives it, and its values; of a volume all slices, or as many as `MAX_VALUES` allow.

    Raises:
        ScanError: If it cannot be read, as `read_scan` says.
    """
    path = Path(path)
    scan = read_scan(path, series=series, slices=slices)
    receipt = scan.receipt
    assert receipt is not None
    if receipt.format == "DICOM":
        try:
            if (stored := _stored(path, series, receipt)) is not None:
                return scan, stored
        except UnreadableError:
            pass  # what reads as greys but not as values is shown as greys
    wanted = max(1, min(receipt.frames, MAX_VALUES // (receipt.rows * receipt.columns)))
    whole = scan if wanted <= len(receipt.shown) else read_scan(path, series=series, slices=wanted)
    return scan, grey_levels(whole)


def grey_levels(scan: Scan) -> Levels:
    """The greys of a scan that has been read, for files whose stored values mean nothing else."""
    assert scan.pixels is not None
    assert scan.receipt is not None
    pixels = scan.pixels.reshape(-1, *scan.pixels.shape[-2:])
    codes = np.rint(pixels * np.float32(TOP)).astype(np.uint16)
    numbers = scan.receipt.shown if len(scan.receipt.shown) == len(codes) else tuple(range(1, len(codes) + 1))
    full = (Window("full", 0.0, 1.0),)
    return Levels(codes, 1 / TOP, 0.0, "grey", False, full, numbers, scan.spacing, scan.receipt.aspect)  # noqa: FBT003


def _stored(path: Path, series: str, receipt: ScanReceipt) -> Levels | None:
    """Values after the modality transform; None for colours, palettes and VOI tables, whose values are no quantity."""
    read, planes = _planes(path, series)
    places = evenly(len(planes), max(1, MAX_VALUES // (receipt.rows * receipt.columns)))
    codes, middle = [], None
    limits: tuple[float, float] | None = None
    found: list[np.ndarray] = []
    for image in images(read, [planes[place] for place in places], []):
        if image.header.samples != 1 or image.header.rules.palette or image.header.rules.voi_lut:
            return None
        found.append(levels_of(image.stored, image.header.rules))
        middle = image if len(found) <= len(places) // 2 + 1 else middle
    assert middle is not None
    limits = _limits(found)
    if limits is None:
        return None
    low, high = limits
    whole = high - low <= TOP and all(_integers(values) for values in found)
    slope = 1.0 if whole else (high - low) / TOP or 1.0
    blank = high if middle.header.rules.inverted else low  # padding is black
    for values in found:
        filled = np.nan_to_num(values, nan=blank, posinf=high, neginf=low)
        codes.append(np.rint((np.clip(filled, low, high) - low) / slope).astype(np.uint16))
    return Levels(
        codes=np.stack(codes),
        slope=slope,
        intercept=low,
        unit="HU" if middle.header.modality == "CT" else "",
        inverted=middle.header.rules.inverted,
        windows=_windows(middle, receipt, found, limits),
        numbers=tuple(place + 1 for place in places),
        spacing=middle.header.spacing,
        aspect=middle.header.aspect,
    )


def _planes(path: Path, series: str) -> tuple[Callable[[int], bytes], Sequence[Plane]]:
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        sources = sources_of(path)
    else:
        data = bytes_of(path)
        if kind_of(data) == "zip":
            sources = sources_of(path)
        else:
            dataset = parse(data).dataset
            if not is_directory(dataset):
                return (lambda _: data), ordered(planes_of(dataset, 0), [])
            sources = listed_by(dataset, path)
    chosen, _ = choose(find_series(sources, []), series)
    return (lambda place: sources[place].read()), slices_of(chosen, [])


def _windows(
    middle: Image, receipt: ScanReceipt, found: Sequence[np.ndarray], limits: tuple[float, float]
) -> tuple[Window, ...]:
    rules, (low, high) = middle.header.rules, limits
    windows = [_window(rules, place) for place in range(len(rules.windows))]
    if "window" not in receipt.voi:  # the file's window shows nothing, or there is none: as `render` shows it then
        windows = []
        if rules.bits > 8:
            every = max(1, sum(values.size for values in found) // SAMPLE)
            sample = np.concatenate([values.ravel()[::every] for values in found])
            inside = sample[np.isfinite(sample)]
            lower, upper = (float(end) for end in np.quantile(inside, SPREAD, method="inverted_cdf"))
            windows = [Window("spread", lower, upper)] if lower < upper else []
    usual = CT_WINDOWS if middle.header.modality == "CT" else ()
    windows += [Window(name, centre - width / 2, centre + width / 2) for name, centre, width in usual]
    full = (low, high) if rules.bits > 8 or rules.rescale or rules.signed else (0.0, 2.0**rules.bits - 1)
    return (*windows, Window("full", full[0], full[1] if full[1] > full[0] else full[0] + 1))


def _window(rules: GreyRules, place: int) -> Window:
    """A window as the values that become black and white (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    centre, width, number = rules.windows[place]
    if rules.function == "LINEAR":
        centre, width = centre - 0.5, max(width - 1, 1e-3)
    name: Name = "assumed" if rules.assumed else "file"
    half = width / 2
    return Window(name, centre - half, centre + half, rules.function == "SIGMOID", 0 if rules.assumed else number)


def _limits(found: Sequence[np.ndarray]) -> tuple[float, float] | None:
    finite = [values[np.isfinite(values)] for values in found]
    finite = [values for values in finite if values.size]
    if not finite:
        return None
    return float(min(values.min() for values in finite)), float(max(values.max() for values in finite))


def _integers(values: np.ndarray) -> bool:
    return bool(np.all((values == np.rint(values)) | ~np.isfinite(values)))
