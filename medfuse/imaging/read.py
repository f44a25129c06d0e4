"""One path to a Scan: files are read once, told apart by content, and refused in one line if they are no good."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from medfuse.case import Scan, ScanReceipt
from medfuse.errors import ScanError
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.content import kind_of
from medfuse.imaging.sources import bytes_of, scan_digest, sources_of, view_of

if TYPE_CHECKING:
    from numpy import ndarray

SLICES = 8  # of a volume, that a network for single images is given


class Scanned(NamedTuple):
    """An image as it was read.

    Attributes:
        pixels: Grey values in 0…1, [rows, columns] or [slices, rows, columns].
        spacing: Millimetres between rows and between columns of the whole image.
        receipt: What reading did.
        block: Rows and columns of the whole image that a pixel stands for.
    """

    pixels: ndarray
    spacing: tuple[float, float] | None
    receipt: ScanReceipt
    block: tuple[int, int] = (1, 1)


def read_scan(
    path: str | Path, *, series: str = "largest", slices: int = SLICES, presentation: str | Path | None = None
) -> Scan:
    """Read one image, or one volume as evenly spaced slices.

    A single image is a DICOM, PNG, JPEG or TIFF file. A volume is a folder, zip archive or DICOMDIR with the slices of
    a DICOM series, a DICOM file of several frames, or a NIfTI file; `read_volume` gives all of its voxels.

    Example:
        >>> read_scan("chest.dcm").receipt.voi  # doctest: +SKIP
        'window 2048/4096 (LINEAR)'

    Args:
        path: The file or folder; its content decides what it is, not its ending.
        series: Which of several series in a folder: `largest`, `first`, or `description:` with a pattern.
        slices: How many slices of a volume become pixels, each from the middle of an equal share; all if it has fewer.
        presentation: A DICOM presentation state whose greys take the place of those in a single image's file.

    Returns:
        The scan with `pixels` [rows, columns], of a volume [slices, rows, columns], float32 in 0…1 (1 is white: denser
        on a radiograph), `spacing` in millimetres between rows and between columns if it is stated, and its receipt.

    Raises:
        ScanError: If it cannot be read; the message is one line with the name of the file or folder, what is wrong and
            what to do, and holds no value of a header.
    """
    path = Path(path)
    pixels, spacing, receipt, _ = scanned(path, series=series, slices=slices, presentation=presentation)
    return Scan(path=path, pixels=pixels, spacing=spacing, receipt=receipt)


def scanned(
    path: Path,
    *,
    series: str,
    slices: int,
    presentation: str | Path | None = None,
    size: int | None = None,
    sha256: str | None = None,
) -> Scanned:
    """As `read_scan`; given the side of the square that it will be fitted to, no finer than that needs.

    A digest that is known already (`scan_digest`) is not computed again; an empty one is left out.

    Raises:
        ScanError: If it cannot be read.
    """
    try:
        state = None if presentation is None else bytes_of(Path(presentation))
        return _read(path, series, max(1, slices), state, size, sha256)
    except UnreadableError as refusal:
        raise ScanError(refusal_line(path, refusal)) from refusal


def refusal_line(path: Path, refusal: UnreadableError) -> str:
    """The one line that tells why a path is not read, whatever it is called."""
    name = " ".join("".join(c if c.isprintable() else " " for c in path.name).split())
    return f"{name}: {refusal}"


def _read(path: Path, series: str, slices: int, state: bytes | None, size: int | None, known: str | None) -> Scanned:
    # Each reader imports its library only when such a file comes: pydicom alone takes half a second.
    folder = os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises on a name that is too long
    data = memoryview(b"") if folder else view_of(path)
    kind = None if folder else kind_of(data)
    if state is not None and kind != "DICOM":
        reason = "a presentation state can be given with one DICOM image only"
        raise UnreadableError(reason)
    if kind is None:
        from medfuse.imaging.scanned import read_series

        sha256 = digest(path) if known is None else known
        return read_series(sources_of(path), sha256=sha256, rule=series, slices=slices, size=size)
    sha256 = hashlib.sha256(data).hexdigest() if known is None else known
    if kind == "DICOM":
        from medfuse.imaging.scanned import read_dicom

        return read_dicom(data, path=path, sha256=sha256, rule=series, slices=slices, state=state, size=size)
    if kind == "zip":
        from medfuse.imaging.scanned import read_series

        return read_series(sources_of(path), sha256=sha256, rule=series, slices=slices, size=size)
    if kind == "NIfTI":
        from medfuse.imaging.nifti import read_nifti

        return Scanned(*read_nifti(data.tobytes(), sha256=sha256, slices=slices))
    from medfuse.imaging.picture import read_picture

    return Scanned(*read_picture(data.tobytes(), kind=kind, sha256=sha256))


def digest(path: Path) -> str:
    """The digest of a scan.

    Raises:
        UnreadableError: If one of its files cannot be read.
    """
    try:
        return scan_digest(path)
    except OSError as error:
        reason = f"one of its files cannot be opened ({error.strerror}); check path and rights"
        raise UnreadableError(reason) from error
