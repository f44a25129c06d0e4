"""All voxels of a volume as a MONAI MetaTensor, for networks that look at volumes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from medfuse.case import ScanReceipt
from medfuse.errors import ScanError
from medfuse.imaging.boundary import MAX_VOXELS, UnreadableError
from medfuse.imaging.content import kind_of
from medfuse.imaging.geometry import Plane, affine_of, ordered
from medfuse.imaging.grey import levels_of
from medfuse.imaging.read import digest, refusal_line
from medfuse.imaging.sources import bytes_of, sources_of

if TYPE_CHECKING:
    from monai.data import MetaTensor


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of a case.

    Attributes:
        path: The file, or the folder of a series.
        voxels: MetaTensor [1, columns, rows, slices], float32: Hounsfield units for CT, else the values after the
            file's rescaling; padding takes the least value that is image. Its `affine` maps voxels to RAS, millimetres.
        receipt: What reading did.
    """

    path: Path
    voxels: MetaTensor
    receipt: ScanReceipt


def read_volume(path: str | Path, *, series: str = "largest") -> Volume:
    """Read all slices of a DICOM series, of a DICOM file of several frames or of a NIfTI file.

    Axes and affine are those of nibabel, of MONAI's readers and of dcm2niix: the first axis runs along a row of the
    image, the second down a column, the third from slice to slice; world coordinates are RAS in millimetres. Slices are
    sorted along the cross product of their row and column directions.

    Example:
        >>> volume = read_volume("ct/")  # doctest: +SKIP
        >>> volume.voxels.shape, volume.voxels.pixdim  # doctest: +SKIP
        (torch.Size([1, 512, 512, 120]), tensor([0.7, 0.7, 2.5]))

    Args:
        path: The folder, zip archive, DICOMDIR or file.
        series: Which of several series in a folder: `largest`, `first`, or `description:` with a pattern.

    Raises:
        ScanError: If it cannot be read, or does not say where its slices lie; one line without header values.
    """
    path = Path(path)
    try:
        voxels, affine, receipt = _read(path, series)
    except UnreadableError as refusal:
        raise ScanError(refusal_line(path, refusal)) from refusal
    import torch
    from monai.data import MetaTensor
    from monai.utils import MetaKeys, SpaceKeys

    meta = {
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_AFFINE: affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.array(voxels.shape),
    }
    tensor = MetaTensor(torch.from_numpy(voxels[None]), affine=torch.from_numpy(affine), meta=meta)
    return Volume(path, tensor, receipt)


def _read(path: Path, series: str) -> tuple[ndarray, ndarray, ScanReceipt]:
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises on a name that is too long
        return _series(path, series, digest(path))
    data = bytes_of(path)
    kind, sha256 = kind_of(data), hashlib.sha256(data).hexdigest()
    if kind == "NIfTI":
        from medfuse.imaging.nifti import voxels_of

        warnings: list[str] = []
        voxels, affine, header = voxels_of(data, warnings)
        bits = header.get_data_dtype().itemsize * 8
        return voxels, affine, ScanReceipt(
            sha256=sha256,
            format="NIfTI",
            rows=voxels.shape[1],
            columns=voxels.shape[0],
            bits=bits,
            photometric="MONOCHROME2",
            frames=voxels.shape[2],
            shown=tuple(range(1, voxels.shape[2] + 1)),
            warnings=tuple(warnings),
        )  # fmt: skip
    if kind == "zip":
        return _series(path, series, sha256)
    if kind != "DICOM":
        reason = f"this is a {kind} picture, not a volume; read it with read_scan"
        raise UnreadableError(reason)
    from medfuse.imaging.dicom import parse
    from medfuse.imaging.frames import planes_of
    from medfuse.imaging.sources import is_directory

    parsed = parse(data)
    if is_directory(parsed.dataset):
        return _series(path, series, sha256)
    warnings = []
    planes = ordered(planes_of(parsed.dataset, 0), warnings)
    return _stack(lambda _: data, planes, warnings, sha256=sha256, series=None)


def _series(path: Path, rule: str, sha256: str) -> tuple[ndarray, ndarray, ScanReceipt]:
    from medfuse.imaging.dicom import parse
    from medfuse.imaging.series import choose, find_series, slices_of
    from medfuse.imaging.sources import listed_by

    archive = path.is_dir() or kind_of(bytes_of(path)) == "zip"
    sources = sources_of(path) if archive else listed_by(parse(bytes_of(path)).dataset, path)
    warnings: list[str] = []
    chosen, words = choose(find_series(sources, warnings), rule)
    planes = slices_of(chosen, warnings)
    return _stack(lambda place: sources[place].read(), planes, warnings, sha256=sha256, series=words)


def _stack(
    read: Callable[[int], bytes], planes: Sequence[Plane], warnings: list[str], *, sha256: str, series: str | None
) -> tuple[ndarray, ndarray, ScanReceipt]:
    from medfuse.imaging.scanned import receipt_of
    from medfuse.imaging.stack import images

    first = planes[0]
    if not first.placed:
        reason = "it does not say where its slices lie in the patient, so it is no volume; read it with read_scan"
        raise UnreadableError(reason)
    if len(planes) * first.rows * first.columns > MAX_VOXELS:
        reason = f"the series holds more than {MAX_VOXELS} voxels; read it with read_scan"
        raise UnreadableError(reason)
    affine = affine_of(planes, warnings)
    voxels = np.empty((first.columns, first.rows, len(planes)), dtype=np.float32)
    image = None
    for place, image in enumerate(images(read, planes, warnings)):
        if image.header.samples > 1:
            reason = "its slices are colour pictures, not measurements; read it with read_scan"
            raise UnreadableError(reason)
        voxels[:, :, place] = levels_of(image.stored, image.header.rules).T
    assert image is not None
    empty = ~np.isfinite(voxels)
    if empty.any():
        voxels[empty] = voxels[~empty].min() if not empty.all() else 0
    shown = tuple(range(1, len(planes) + 1))
    receipt = receipt_of(image, warnings, sha256=sha256, voi="none", series=series, frames=len(planes), shown=shown)
    return voxels, affine, receipt
