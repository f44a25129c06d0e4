"""DICOM files made in code: every element is set by the test, so that the expected pixels follow from the standard."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)


def _dataset(stored: ndarray, **elements: Any) -> Dataset:
    """A CR image of these stored values; None as an element's value takes the element out."""
    stored = np.asarray(stored)
    item = stored.dtype.itemsize
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName = "Secret^Name"
    dataset.PatientID = "SECRET-1"
    dataset.Modality = "CR"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel = 1 if stored.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if stored.ndim == 2 else "RGB"
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * item
    dataset.BitsStored = elements.pop("BitsStored", 8 * item)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes() + b"\0" * (stored.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's about the invalid values that a test is after
        for keyword, value in elements.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    return dataset


def _save(path: Path, dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set of little endian pixels in a transfer syntax."""
    syntax = UID(syntax)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == JPEGLosslessSV1:
        from pydicom.encaps import encapsulate

        stored = np.frombuffer(dataset.PixelData, f"u{dataset.BitsAllocated // 8}", dataset.Rows * dataset.Columns)
        stored = stored.reshape(dataset.Rows, dataset.Columns) & (2**dataset.BitsStored - 1)
        dataset.PixelData = encapsulate([jpeg_lossless(stored, dataset.BitsStored)])
        dataset["PixelData"].is_undefined_length = True
    elif syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian and dataset.BitsAllocated > 8:
        dataset.PixelData = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}").byteswap().tobytes()
    elif syntax == ExplicitVRBigEndian:
        dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def jpeg_lossless(stored: ndarray, bits: int) -> bytes:
    """A JPEG lossless stream (ISO 10918-1 annex H, first-order prediction), since no installed package encodes it.

    The Huffman table is flat: the 17 categories 0 to 16 are 5-bit codes.
    """
    rows, columns = stored.shape
    values = stored.astype(int)
    left = np.empty_like(values)
    left[:, 1:] = values[:, :-1]
    left[1:, 0] = values[:-1, 0]
    left[0, 0] = 1 << (bits - 1)
    code = []
    for difference in ((values - left + 32768) % 65536 - 32768).ravel().tolist():
        size = abs(difference).bit_length()
        code.append(f"{size:05b}")
        if 0 < size < 16:
            code.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    text = "".join(code)
    text += "1" * (-len(text) % 8)
    body = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    frame = bytes([bits]) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    table = bytes([0, *[0] * 4, 17, *[0] * 11, *range(17)])

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    scan = segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
    return b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table) + scan + body + b"\xff\xd9"


AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def world_value(points: ndarray) -> ndarray:
    """A number for every point in RAS: a plane that no flip, swap or shift leaves as it is."""
    return 3.0 * points[..., 0] - 5.0 * points[..., 1] + 11.0 * points[..., 2]


def _series(
    folder: Path,
    *,
    slices: int = 6,
    rows: int = 7,
    columns: int = 5,
    spacing: tuple[float, float] = (1.5, 0.75),
    step: float = 2.5,
    orientation: tuple[float, ...] = AXIAL,
    origin: tuple[float, float, float] = (-31.0, 17.0, 5.0),
    uid: str = "1.2.3.1",
    number: int = 1,
    skip: tuple[int, ...] = (),
    seed: int = 0,
    syntax: str = ExplicitVRLittleEndian,
    slant: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **elements: Any,
) -> list[Dataset]:
    """A CT whose Hounsfield units are `world_value` of the place, to a tenth, written under shuffled names."""
    folder.mkdir(parents=True, exist_ok=True)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(row, column)
    names = np.random.default_rng(seed).permutation(slices)
    made = []
    for place in range(slices):
        if place in skip:
            continue
        position = np.array(origin) + place * (step * normal + np.array(slant))
        y, x = np.mgrid[:rows, :columns]
        lps = position + x[..., None] * spacing[1] * row + y[..., None] * spacing[0] * column
        units = world_value(lps * (-1, -1, 1))
        stored = np.rint((units + 1000) * 10).astype(np.int16)
        item = _dataset(
            stored,
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
            SOPInstanceUID=f"{uid}.{place + 1}",
            SeriesInstanceUID=uid,
            SeriesNumber=number,
            InstanceNumber=slices - place,
            Modality="CT",
            RescaleSlope="0.1",
            RescaleIntercept="-1000",
            ImagePositionPatient=[f"{value:.6f}" for value in position],
            ImageOrientationPatient=[f"{value:.10f}" for value in orientation],
            PixelSpacing=list(spacing),
        )
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        _save(folder / f"{uid}-{names[place]:03}.dcm", item, syntax)
        made.append(item)
    return made


@pytest.fixture(scope="session")
def ct() -> Callable[..., list[Dataset]]:
    """`ct(folder, **settings)`: a CT series on disk; see `_series`."""
    return _series


@pytest.fixture(scope="session")
def dataset() -> Callable[..., Dataset]:
    """`dataset(stored, **elements)`: a CR image of these stored values."""
    return _dataset


@pytest.fixture(scope="session")
def save() -> Callable[..., Path]:
    """`save(path, dataset, syntax)`: write it in a transfer syntax."""
    return _save
