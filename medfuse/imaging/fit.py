"""A scan as the network sees it: a square of its size, proportions kept, the rest black."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from PIL import Image

from medfuse.case import Scan, ScanReceipt
from medfuse.errors import ScanError
from medfuse.imaging.coarse import GAP
from medfuse.imaging.read import SLICES, scanned

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a scan lies in the square that a network sees.

    Attributes:
        rows: Height of the scan, pixels.
        columns: Width of the scan, pixels.
        size: Side of the square, pixels.
        top: First row of the square that the scan fills.
        left: First column of the square that the scan fills.
        height: Rows of the square that the scan fills.
        width: Columns of the square that the scan fills.
    """

    rows: int
    columns: int
    size: int
    top: int
    left: int
    height: int
    width: int

    def back(self, square: Float32[ndarray, "size size"]) -> Float32[ndarray, "rows columns"]:
        """What lies over the square, such as a heat map, in the scan's own pixels (bilinear)."""
        filled = np.ascontiguousarray(square[self.top : self.top + self.height, self.left : self.left + self.width])
        grown = Image.fromarray(filled.astype(np.float32)).resize((self.columns, self.rows), Image.Resampling.BILINEAR)
        return np.asarray(grown, dtype=np.float32)


def fit_scan(scan: Scan, size: int, *, equalise: bool = False) -> Scan:
    """Fit a scan into a square, without cropping and without stretching.

    The longer side in millimetres (in widths of a pixel, if the spacing is not known) fills the square; the image is
    centred and what is left over is 0. Shrinking is antialiased: whole blocks are averaged down to three times the
    wanted size (`GAP`), then a triangle filter as wide as the step follows (Pillow's BILINEAR), which cannot overshoot.
    Above twice the size the two are hardly told from the filter alone, and four times faster on a large radiograph.

    Example:
        >>> fit_scan(read_scan("chest.png"), 224).pixels.shape  # doctest: +SKIP
        (224, 224)

    Args:
        scan: A scan that has been read.
        size: Side of the square, pixels.
        equalise: Whether grey values are then spread evenly (see `spread`).

    Returns:
        The scan with `pixels` float32 [size, size], of a volume [slices, size, size], in 0…1, spacing of the new pixels
        in millimetres.

    Raises:
        ScanError: If the scan has not been read, or the size is below 1.
    """
    place = placed(scan, size)
    assert scan.pixels is not None
    assert scan.receipt is not None
    return _fitted(scan, scan.pixels, scan.receipt, place, equalise=equalise, block=(1, 1))


def placed(scan: Scan, size: int) -> Placement:
    """Where `fit_scan` puts a scan in the square.

    Raises:
        ScanError: If the scan has not been read, or the size is below 1.
    """
    if scan.pixels is None or scan.receipt is None:
        message = f"{scan.path.name}: not read yet; call read_scan first"
        raise ScanError(message)
    if size < 1:
        message = f"a scan cannot be fitted to {size} pixels; give a size of at least 1"
        raise ScanError(message)
    rows, columns = scan.pixels.shape[-2:]
    return placement_of(rows, columns, scan.spacing or (scan.receipt.aspect, 1.0), size)


def read_fitted(
    path: str | Path,
    size: int,
    *,
    equalise: bool = False,
    series: str = "largest",
    slices: int = SLICES,
    presentation: str | Path | None = None,
    sha256: str | None = None,
) -> Scan:
    """Read a scan as the network sees it: `fit_scan(read_scan(path), size)`, several times as fast on radiographs.

    Single grey DICOM images are averaged in blocks before their greys are computed, and JPEG 2000 is decoded no finer
    than is looked at (docs/imaging.md says how close the two ways are). The receipt is the same.

    Example:
        >>> read_fitted("chest.dcm", 224).pixels.shape  # doctest: +SKIP
        (224, 224)

    Args:
        path: The file or folder.
        size: Side of the square, pixels.
        equalise: Whether grey values are then spread evenly (see `spread`).
        series: Which of several series in a folder; see `read_scan`.
        slices: How many slices of a volume become pixels.
        presentation: A DICOM presentation state; see `read_scan`.
        sha256: Digest of the file or folder (`scan_digest`) for the receipt; None to compute it, which takes a third of
            the time of a large uncompressed file; empty to leave it out.

    Raises:
        ScanError: If it cannot be read, or the size is below 1.
    """
    if size < 1:
        message = f"a scan cannot be fitted to {size} pixels; give a size of at least 1"
        raise ScanError(message)
    path = Path(path)
    pixels, spacing, receipt, block = scanned(
        path, series=series, slices=slices, presentation=presentation, size=size, sha256=sha256
    )
    rows, columns = pixels.shape[-2:] if block == (1, 1) else (receipt.rows, receipt.columns)
    place = placement_of(rows, columns, spacing or (receipt.aspect, 1.0), size)
    return _fitted(Scan(path=path, spacing=spacing), pixels, receipt, place, equalise=equalise, block=block)


def placement_of(rows: int, columns: int, spacing: tuple[float, float], size: int) -> Placement:
    """Where rows and columns lie in a square, by their spacings, of which only the ratio counts."""
    down, across = spacing
    # Sides relative to each other, so that no product can overflow.
    tall, wide = (rows * (down / across), float(columns)) if down < across else (float(rows), columns * (across / down))
    scale = size / max(tall, wide)
    height, width = (min(size, max(1, round(side * scale))) for side in (tall, wide))
    return Placement(rows, columns, size, (size - height) // 2, (size - width) // 2, height, width)


def _fitted(
    scan: Scan, grey: ndarray, receipt: ScanReceipt, place: Placement, *, equalise: bool, block: tuple[int, int]
) -> Scan:
    """Put grey pixels, each of which stands for a block of those that the scan has, into the square."""
    rows, columns = place.rows, place.columns
    down, across = scan.spacing or (1.0, 1.0)
    pixels = np.zeros((*grey.shape[:-2], place.size, place.size), dtype=np.float32)
    top, left, height, width = place.top, place.left, place.height, place.width
    for slice_ in np.ndindex(grey.shape[:-2]):
        small = Image.fromarray(np.ascontiguousarray(grey[slice_])).resize(
            (width, height),
            Image.Resampling.BILINEAR,
            box=(0, 0, columns / block[1], rows / block[0]),
            reducing_gap=GAP,
        )
        shown = np.clip(np.asarray(small), 0, 1)
        pixels[(*slice_, slice(top, top + height), slice(left, left + width))] = spread(shown) if equalise else shown
    spacing = None if scan.spacing is None else (down * rows / height, across * columns / width)
    return replace(scan, pixels=pixels, spacing=spacing, receipt=receipt)


def spread(grey: Float32[ndarray, "h w"]) -> Float32[ndarray, "h w"]:
    """Histogram equalisation: the darkest value becomes 0, the brightest 1, and as many pixels lie in every range.

    It takes away how a scan was exposed and windowed, which differs from hospital to hospital. An image of one value
    becomes 0.

    Source: Gonzalez & Woods, "Digital Image Processing", section 3.3, with as many levels as there are values.
    """
    _, level, counts = np.unique(grey, return_inverse=True, return_counts=True)
    below = np.cumsum(counts)
    return np.asarray(((below - below[0]) / max(1, grey.size - below[0]))[level].reshape(grey.shape), dtype=np.float32)
