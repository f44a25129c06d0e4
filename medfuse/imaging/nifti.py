"""NIfTI volumes, read by nibabel to the convention of DICOM series."""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from medfuse.case import ScanReceipt
from medfuse.imaging.boundary import MAX_PIXELS, MAX_VOXELS, UnreadableError, foreign
from medfuse.imaging.geometry import evenly
from medfuse.imaging.grey import GreyRules, render, warn_if_constant
from medfuse.imaging.inflate import within_bound

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

_STEPS = 1e-4, 1e4  # millimetres between voxels that can be
_DAMAGED = "this NIfTI file cannot be read; it is damaged or cut short, fetch it again"


def voxels_of(data: bytes, warnings: list[str]) -> tuple[Float32[ndarray, "x y z"], Float64[ndarray, "4 4"], Any]:
    """Read all voxels as they are stored, scaled by the header's slope and intercept.

    Args:
        data: The whole file, `.nii` or `.nii.gz`.
        warnings: Receives what was odd or assumed.

    Returns:
        Voxels, the affine to RAS in millimetres, and the header.

    Raises:
        UnreadableError: If it is damaged, too large or no volume of real numbers.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it quotes header values
    data = unpacked(data)
    with foreign(_DAMAGED, ImageFileError, HeaderDataError, WrapStructError):
        kind = nibabel.Nifti2Image if data[4:8] == b"n+2\x00" else nibabel.Nifti1Image
        image = kind.from_bytes(data)
        shape = image.shape
        count = 1
        for side in shape:
            count *= int(side)
        if not shape or min(shape) < 1 or count > MAX_VOXELS:
            reason = (
                f"the header promises no voxels, or more than {MAX_VOXELS}; the file is damaged or no single volume"
            )
            raise UnreadableError(reason)
        if image.get_data_dtype().kind not in "iuf" or count * image.get_data_dtype().itemsize > len(data):
            raise UnreadableError(_DAMAGED)
        chosen = (slice(None),) * min(3, len(shape)) + (0,) * max(0, len(shape) - 3)
        if any(side > 1 for side in shape[3:]):
            warnings.append("it has several volumes (time or direction); the first was taken")
        voxels = np.array(image.dataobj[chosen], dtype=np.float32)
        affine = np.asarray(image.affine, dtype=np.float64)
    voxels = voxels.reshape(voxels.shape + (1,) * (3 - voxels.ndim))
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and _STEPS[0] < sides.min() and sides.max() < _STEPS[1]) or (
        np.linalg.cond(affine[:3, :3] / sides) > 100  # axes that do not span space
    ):
        reason = "its affine makes no sense; convert the volume again from its DICOM files"
        raise UnreadableError(reason)
    if image.header["qform_code"] == 0 and image.header["sform_code"] == 0:
        warnings.append("no orientation stated; that of the file's axes was assumed")
    return voxels, affine, image.header


def read_nifti(
    data: bytes, *, sha256: str, slices: int
) -> tuple[Float32[ndarray, "s h w"], tuple[float, float] | None, ScanReceipt]:
    """Read evenly spaced slices of a volume, turned as radiologists look at them.

    Slices lie across the axis with the largest step (the one it was acquired along; foot to head if the steps are
    alike), in the order and the view of a DICOM series of that plane: axial slices run towards the head and show the
    left at the right edge, coronal ones run towards the back, sagittal ones towards the right and show the back there.

    Args:
        data: The whole file.
        sha256: Its digest, for the receipt.
        slices: How many slices become pixels.

    Raises:
        UnreadableError: If it cannot be read.
    """
    import nibabel
    from nibabel.affines import voxel_sizes

    warnings: list[str] = []
    voxels, affine, header = voxels_of(data, warnings)
    stored = voxels.shape
    codes = nibabel.orientations.axcodes2ornt(("L", "P", "S"))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), codes)
    voxels = nibabel.apply_orientation(voxels, turn)
    steps = voxel_sizes(affine @ nibabel.orientations.inv_ornt_aff(turn, stored))
    across = 2 if steps.max() < 1.01 * steps[2] else int(np.argmax(steps))
    if voxels.shape[2] == 1:
        across = 2
    voxels, down, right = _planes(voxels, across)
    if min(slices, len(voxels)) * voxels[0].size > MAX_PIXELS:
        reason = f"its slices hold more than {MAX_PIXELS} pixels; set a smaller number of slices in the config"
        raise UnreadableError(reason)
    places = evenly(len(voxels), slices)
    bits = header.get_data_dtype().itemsize * 8
    pixels, voi = render(voxels[list(places)], GreyRules(bits=max(bits, 16)), warnings)
    warn_if_constant(pixels, warnings)
    receipt = ScanReceipt(
        sha256=sha256,
        format="NIfTI",
        rows=pixels.shape[1],
        columns=pixels.shape[2],
        bits=bits,
        photometric="MONOCHROME2",
        voi=voi,
        frames=len(voxels),
        shown=tuple(place + 1 for place in places),
        warnings=tuple(warnings),
    )
    spacing = float(steps[down]), float(steps[right])
    return pixels if len(voxels) > 1 else pixels[0], spacing, receipt


def _planes(voxels: ndarray, across: int) -> tuple[ndarray, int, int]:
    """Voxels [L, P, S] as slices [slices, rows, columns], and which axes rows and columns lie along."""
    if across == 2:  # axial: rows towards the back, columns towards the left
        return voxels.transpose(2, 1, 0), 1, 0
    if across == 1:  # coronal: rows towards the feet
        return voxels.transpose(1, 2, 0)[:, ::-1], 2, 0
    return voxels.transpose(0, 2, 1)[::-1, ::-1], 2, 1  # sagittal: slices towards the right


def unpacked(data: bytes) -> bytes:
    """The content of a `.nii.gz`, within `MAX_BYTES`; of a `.nii` as it is.

    Raises:
        UnreadableError: If it is damaged or too large.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    with foreign(_DAMAGED):
        return within_bound(data, zlib.MAX_WBITS | 16, damaged=_DAMAGED)
