"""NIfTI slices as radiologists look at them, and damaged files."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medfuse import read_scan, read_volume
from medfuse.errors import ScanError
from tests.imaging.test_volume import ORIENTATIONS


@pytest.mark.parametrize("name", ["axial", "sagittal", "coronal"])
def test_shown_as_the_dicom_series_it_came_from(tmp_path, ct, name):
    ct(tmp_path / "ct", orientation=ORIENTATIONS[name], step=3.5, slices=5)
    dicom = read_volume(tmp_path / "ct").voxels
    image = nibabel.Nifti1Image(np.asarray(dicom)[0], np.asarray(dicom.affine))
    # Stored in any order and direction of its axes, the patient stays where he is.
    for turned in (image, nibabel.as_closest_canonical(image)):
        nibabel.save(turned, tmp_path / "x.nii.gz")
        scan = read_scan(tmp_path / "x.nii.gz", slices=5)
        array = np.asarray(dicom)[0].transpose(2, 1, 0)  # slices, rows, columns as DICOM stores them
        assert scan.spacing == pytest.approx((1.5, 0.75))
        low, high = (float(part.split(")")[0]) for part in scan.receipt.voi.split("(")[1].split(" to "))
        wanted = np.clip((array - low) / (high - low), 0, 1)
        np.testing.assert_allclose(scan.pixels, wanted, atol=2e-3)


def test_first_of_several_volumes(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 5, 6, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "x.nii")
    volume = read_volume(tmp_path / "x.nii")
    np.testing.assert_array_equal(np.asarray(volume.voxels)[0], values[..., 0])
    assert "several volumes" in volume.receipt.warnings[0]


def test_slope_and_intercept(tmp_path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(2, -10)
    nibabel.save(image, tmp_path / "x.nii")
    assert np.asarray(read_volume(tmp_path / "x.nii").voxels).max() == 59 * 2 - 10


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    nibabel.save(nibabel.Nifti1Image(np.zeros((64, 64, 64), np.int16), np.eye(4)), tmp_path / "x.nii.gz")
    monkeypatch.setattr("medfuse.imaging.inflate.MAX_BYTES", 2**16)
    with pytest.raises(ScanError, match="inflates to more than"):
        read_scan(tmp_path / "x.nii.gz")


def test_a_header_that_promises_too_much(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), tmp_path / "x.nii")
    data = bytearray((tmp_path / "x.nii").read_bytes())
    data[42:48] = b"\xff\x7f" * 3
    (tmp_path / "x.nii").write_bytes(data)
    with pytest.raises(ScanError, match="promises"):
        read_scan(tmp_path / "x.nii")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("length", [348, 400, 545])
def test_a_header_that_is_cut_short_is_refused(tmp_path, kind, length):
    data = kind(np.zeros((6, 7, 8), np.int16), np.eye(4)).to_bytes()
    (tmp_path / "x.nii").write_bytes(data[:length])
    with pytest.raises(ScanError, match="cut short"):
        read_scan(tmp_path / "x.nii")


@pytest.fixture(scope="module")
def original():
    values = np.random.default_rng(0).integers(0, 1000, (6, 7, 8)).astype(np.int16)
    data = nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0])).to_bytes()
    return lambda: data  # a function, since Hypothesis prints what a failing test was given


@given(data=st.data())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mutation_is_refused_or_read(tmp_path, original, data, capfd):
    mutant = bytearray(original())
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 360), st.integers(0, 255)), max_size=6)):
        mutant[at] = byte
    cut = data.draw(st.integers(300, len(mutant)))
    packed = data.draw(st.booleans())
    (tmp_path / "x").write_bytes(gzip.compress(bytes(mutant)) if packed else bytes(mutant[:cut]))
    try:
        scan = read_scan(tmp_path / "x")
    except ScanError as error:
        message = str(error)
    else:
        message = ""
        assert np.isfinite(scan.pixels).all()
        assert 0 <= scan.pixels.min() <= scan.pixels.max() <= 1
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")
