"""The first window shows a scan as reading does, whatever the file says, and the values are those of the standard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from medfuse.errors import ScanError
from medfuse.imaging import read_scan
from medfuse.review.levels import Levels, scan_levels

RAMP = (np.arange(40 * 30).reshape(40, 30) * 3).astype(np.uint16)


def made(path: Path, stored: np.ndarray, **elements: Any) -> Path:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ComputedRadiographyImageStorage, f"1.2.{path.stem.__hash__() % 10**8}"
    dataset.SeriesInstanceUID, dataset.Modality, dataset.PhotometricInterpretation = "1.2.9", "CR", "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, int(stored.dtype.kind == "i")
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored = elements.pop("BitsStored", dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    return path


CASES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "window": (RAMP, {"WindowCenter": 1200, "WindowWidth": 900, "BitsStored": 12}),
    "inverted": (RAMP, {"WindowCenter": 700, "WindowWidth": 300, "PhotometricInterpretation": "MONOCHROME1"}),
    "two windows": (RAMP, {"WindowCenter": [900, 200], "WindowWidth": [800, 60]}),
    "exact": (RAMP, {"WindowCenter": 1200, "WindowWidth": 900, "VOILUTFunction": "LINEAR_EXACT"}),
    "sigmoid": (RAMP, {"WindowCenter": 1800, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}),
    "no window": (RAMP, {}),
    "no window, inverted": (RAMP, {"PhotometricInterpretation": "MONOCHROME1"}),
    "eight bits": ((RAMP // 16).astype(np.uint8), {}),
    "window of nothing": (RAMP, {"WindowCenter": 60000, "WindowWidth": 10}),
    "CT": ((RAMP.astype(np.int16) - 1000), {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -24}),
    "signed, slope": (
        RAMP.astype(np.int16) - 900,
        {"RescaleSlope": 0.37, "RescaleIntercept": 5.5, "WindowCenter": 90, "WindowWidth": 500},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_window_shows_what_reading_shows(tmp_path: Path, name: str) -> None:
    stored, elements = CASES[name]
    scan, levels = scan_levels(made(tmp_path / "scan.dcm", stored, **dict(elements)))
    assert scan.pixels is not None
    np.testing.assert_allclose(levels.shown(levels.windows[0])[0], scan.pixels, atol=2e-3)


def test_the_values_are_hounsfield_units(tmp_path: Path) -> None:
    stored, elements = CASES["CT"]
    _, levels = scan_levels(made(tmp_path / "scan.dcm", stored, **dict(elements)))
    assert levels.unit == "HU"
    np.testing.assert_array_equal(levels.codes[0] * levels.slope + levels.intercept, stored.astype(float) - 24)
    assert [window.name for window in levels.windows] == ["assumed", "lung", "soft", "bone", "brain", "liver", "full"]
    lung = levels.windows[1]
    assert (lung.lower, lung.upper) == (-1350, 150)


def test_values_that_are_no_integers_lose_at_most_half_a_step(tmp_path: Path) -> None:
    stored, elements = CASES["signed, slope"]
    _, levels = scan_levels(made(tmp_path / "scan.dcm", stored, **dict(elements)))
    wanted = stored * 0.37 + 5.5
    assert np.abs(levels.codes[0] * levels.slope + levels.intercept - wanted).max() <= levels.slope
    assert levels.slope < 0.03


def test_padding_is_black_with_and_without_inversion(tmp_path: Path) -> None:
    stored = RAMP.copy()
    stored[:, :5] = 65000
    for photometric in ("MONOCHROME1", "MONOCHROME2"):
        elements = {"PixelPaddingValue": 65000, "PhotometricInterpretation": photometric}
        _, levels = scan_levels(made(tmp_path / "scan.dcm", stored, **elements))
        assert np.all(levels.shown(levels.windows[-1])[0, :, :5] == 0)
        assert levels.intercept + levels.slope * levels.codes.max() <= RAMP.max()


def test_a_series_has_all_slices_in_the_order_of_the_patient(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place, name in enumerate(rng.permutation(20)):
        made(
            tmp_path / f"{name:02}.dcm", np.full((12, 10), place * 10, np.int16), Modality="CT", SOPInstanceUID=f"1.3.{place}",
            RescaleSlope=1, RescaleIntercept=-100, InstanceNumber=20 - place, PixelSpacing=[0.7, 0.8],
            ImagePositionPatient=[0, 0, 2.5 * place], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip
    scan, levels = scan_levels(tmp_path, slices=4)
    assert scan.receipt is not None
    assert (levels.codes.shape, levels.spacing) == ((20, 12, 10), (0.7, 0.8))
    values = levels.codes[:, 0, 0] * levels.slope + levels.intercept
    np.testing.assert_array_equal(values, np.arange(20) * 10 - 100)
    assert levels.numbers == tuple(range(1, 21))
    assert set(scan.receipt.shown) < set(levels.numbers)


def test_a_volume_too_large_to_send_loses_slices_and_not_its_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medfuse.review.levels.MAX_VALUES", 5 * 120)
    for place in range(20):
        made(
            tmp_path / f"{place:02}.dcm", np.full((12, 10), place, np.int16), SOPInstanceUID=f"1.3.{place}",
            ImagePositionPatient=[0, 0, place], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], PixelSpacing=[1, 1],
        )  # fmt: skip
    _, levels = scan_levels(tmp_path, slices=4)
    assert levels.numbers == (3, 7, 11, 15, 19)


def test_pictures_are_shown_by_their_greys(tmp_path: Path) -> None:
    Image.fromarray((RAMP // 16).astype(np.uint8)).save(tmp_path / "scan.png")
    scan, levels = scan_levels(tmp_path / "scan.png")
    assert isinstance(levels, Levels)
    assert levels.unit == "grey"
    assert scan.pixels is not None
    np.testing.assert_allclose(levels.shown(levels.windows[0])[0], scan.pixels, atol=1e-4)


def test_what_cannot_be_read_is_refused_as_reading_does(tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_bytes(b"nothing")
    with pytest.raises(ScanError) as read:
        read_scan(tmp_path / "scan.dcm")
    with pytest.raises(ScanError) as shown:
        scan_levels(tmp_path / "scan.dcm")
    assert str(read.value) == str(shown.value)
