"""The scans are valid DICOM, of every kind that the reader has to cope with."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medfuse.synthetic.dicom import DEVICES, Device, write_scan

GREY = np.linspace(0, 1, 96 * 80, dtype=np.float32).reshape(96, 80)


def written(folder: Path, device: Device, identity: str = "1/0") -> Path:
    path = folder / f"{device.name.replace(' ', '-')}.dcm"
    write_scan(path, GREY, device=device, identity=identity, patient_id="P0001", day="20230405", view="PA")
    return path


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
class TestEveryDevice:
    def test_pixels_come_back_in_true_order(self, device: Device, tmp_path: Path) -> None:
        dataset = pydicom.dcmread(written(tmp_path, device))
        values = apply_rescale(dataset.pixel_array, dataset).astype(float)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            values = -values
        grey = (values - values.min()) / (values.max() - values.min())
        np.testing.assert_allclose(grey, GREY, atol=2e-3)
        assert dataset.pixel_array.max() < 2**dataset.BitsStored

    def test_window_spans_the_grey_scale(self, device: Device, tmp_path: Path) -> None:
        dataset = pydicom.dcmread(written(tmp_path, device))
        if not device.windows:
            assert "WindowCenter" not in dataset
            return
        centre, width = (np.atleast_1d(dataset[name].value)[0] for name in ("WindowCenter", "WindowWidth"))
        values = apply_rescale(dataset.pixel_array, dataset)
        inside = (values >= centre - width / 2) & (values <= centre + width / 2)
        assert inside.mean() > 0.9

    def test_attributes_are_valid(self, device: Device, tmp_path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            dataset = pydicom.dcmread(written(tmp_path, device))
            list(dataset.iterall())
        assert dataset.Modality == device.modality
        assert dataset.ViewPosition == "PA"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.SOPInstanceUID.is_valid
        assert len({dataset.SOPInstanceUID, dataset.SeriesInstanceUID, dataset.StudyInstanceUID}) == 3
        assert len(dataset.PixelSpacing) == 2
        assert dataset.PatientSex == ""
        assert "PatientAge" not in dataset

    def test_same_bytes_again(self, device: Device, tmp_path: Path) -> None:
        first = written(tmp_path / "a", device).read_bytes()
        assert first == written(tmp_path / "b", device).read_bytes()
        assert first != written(tmp_path / "c", device, identity="1/1").read_bytes()

    def test_dcmtk_reads_it(self, device: Device, tmp_path: Path) -> None:
        dcmdump = shutil.which("dcmdump")
        if dcmdump is None:
            pytest.skip("dcmdump (Debian package dcmtk) is not installed")
        done = subprocess.run([dcmdump, written(tmp_path, device)], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert not [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:", "W:"))]


def test_devices_differ_in_what_readers_stumble_over() -> None:
    assert {device.modality for device in DEVICES} == {"CR", "DX"}
    assert {device.inverted for device in DEVICES} == {False, True}
    assert {device.bits for device in DEVICES} >= {12, 14, 16}
    assert {RLELossless, JPEG2000Lossless, JPEGLSLossless} < {device.syntax for device in DEVICES}
    assert {device.syntax.is_implicit_VR for device in DEVICES} == {False, True}
    assert {len(device.windows) for device in DEVICES} == {0, 1, 2}
    for device in DEVICES:
        assert 0 <= device.low < device.high < 2**device.bits
