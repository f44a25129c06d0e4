"""Volumes: every voxel at its place in the patient, and in agreement with MONAI's and nibabel's readers."""

from __future__ import annotations

import itertools
import zipfile

import nibabel
import numpy as np
import pytest
from monai.transforms import LoadImage
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from medfuse import read_volume
from medfuse.errors import ScanError
from tests.imaging.conftest import world_value

NOT_SQUARE = "pixels are not square; fitting to a network makes up for it"
ORIENTATIONS = {
    "axial": (1, 0, 0, 0, 1, 0),
    "sagittal": (0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, -1),
    "feet first": (-1, 0, 0, 0, 1, 0),
    "oblique": (0.8, 0.6, 0.0, -0.36, 0.48, 0.8),
}


def assert_each_voxel_is_where_the_affine_says(voxels, atol: float = 0.06) -> None:
    """The values are `world_value` of their place, so a wrong sign, order or step cannot pass."""
    array, affine = np.asarray(voxels)[0], np.asarray(voxels.affine)
    grid = np.stack(np.meshgrid(*[np.arange(side) for side in array.shape], indexing="ij"), axis=-1)
    points = grid @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(array, world_value(points), atol=atol)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_hounsfield_units_at_their_place(tmp_path, ct, orientation):
    ct(tmp_path / "ct", orientation=orientation)
    volume = read_volume(tmp_path / "ct")
    assert volume.voxels.shape == (1, 5, 7, 6)
    assert volume.voxels.pixdim.tolist() == pytest.approx([0.75, 1.5, 2.5])
    assert_each_voxel_is_where_the_affine_says(volume.voxels)
    assert volume.receipt.warnings == (NOT_SQUARE,)
    assert (volume.receipt.frames, volume.receipt.series, volume.receipt.modality) == (6, "1", "CT")


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_agrees_with_monais_pydicom_reader(tmp_path, ct, orientation):
    ct(tmp_path / "ct", orientation=orientation)
    ours = read_volume(tmp_path / "ct").voxels
    theirs = LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)(tmp_path / "ct")
    # MONAI sorts by distance from the first file, so its stack may run the other way; its affine says so.
    if not np.allclose(theirs.affine, ours.affine, atol=1e-4):
        ours = ours.flip(3)
        flip = np.eye(4)
        flip[2, 2], flip[2, 3] = -1, ours.shape[3] - 1
        ours.affine = np.asarray(ours.affine) @ flip
    np.testing.assert_allclose(theirs.affine, ours.affine, atol=1e-4)
    np.testing.assert_allclose(np.asarray(theirs), np.asarray(ours), atol=1e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS.values(), ids=ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_of_the_same_volume(tmp_path, ct, orientation, suffix):
    ct(tmp_path / "ct", orientation=orientation)
    dicom = read_volume(tmp_path / "ct").voxels
    nibabel.save(nibabel.Nifti1Image(np.asarray(dicom)[0], np.asarray(dicom.affine)), tmp_path / f"x{suffix}")
    nifti = read_volume(tmp_path / f"x{suffix}")
    theirs = LoadImage(reader="NibabelReader", image_only=True, ensure_channel_first=True)(tmp_path / f"x{suffix}")
    for other in (dicom, theirs):
        np.testing.assert_allclose(nifti.voxels.affine, other.affine, atol=1e-4)
        np.testing.assert_array_equal(np.asarray(nifti.voxels), np.asarray(other))
    assert_each_voxel_is_where_the_affine_says(nifti.voxels)
    assert nifti.receipt.format == "NIfTI"


def test_tilted_gantry_stays_in_place(tmp_path, ct):
    ct(tmp_path / "ct", slant=(0.0, 0.8, 0.0))
    volume = read_volume(tmp_path / "ct")
    assert_each_voxel_is_where_the_affine_says(volume.voxels)
    assert any("tilted gantry" in line for line in volume.receipt.warnings)


def test_each_slice_is_rescaled_by_its_own_slope(tmp_path, ct, save):
    ct(tmp_path / "ct")
    for path in sorted((tmp_path / "ct").iterdir())[::2]:
        item = dcmread(path)
        item.RescaleSlope = "0.05"
        item.PixelData = (np.frombuffer(item.PixelData, "<i2") * 2).astype("<i2").tobytes()
        save(path, item)
    assert_each_voxel_is_where_the_affine_says(read_volume(tmp_path / "ct").voxels)


def enhanced(made: list[Dataset], order: list[int]) -> Dataset:
    """One enhanced CT file of a series' slices, its frames in any order (PS3.3 A.38)."""
    whole = made[0].copy()
    whole.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.NumberOfFrames = len(order)
    whole.PixelData = b"".join(made[place].PixelData for place in order)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = made[0].PixelSpacing
    orientation.ImageOrientationPatient = made[0].ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for place in order:
        frame, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = made[place].ImagePositionPatient
        values.RescaleSlope, values.RescaleIntercept = "0.1", "-1000"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [values]
        whole.PerFrameFunctionalGroupsSequence.append(frame)
    for keyword in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "RescaleSlope"):
        delattr(whole, keyword)
    del whole.RescaleIntercept
    return whole


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"])
def test_enhanced_file_is_the_same_volume(tmp_path, ct, save, syntax):
    made = ct(tmp_path / "ct")
    path = save(tmp_path / "x.dcm", enhanced(made, [3, 0, 5, 1, 4, 2]), syntax)
    one, many = read_volume(path), read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(np.asarray(one.voxels), np.asarray(many.voxels))
    np.testing.assert_allclose(one.voxels.affine, many.voxels.affine)
    assert (one.receipt.frames, one.receipt.series) == (6, None)


def test_dose_grid(tmp_path):
    volume = read_volume(get_testdata_file("rtdose.dcm", download=False))
    assert volume.voxels.shape[-1] == 15
    assert volume.voxels.pixdim.tolist() == pytest.approx([10, 10, 5])  # its offsets are 5 mm apart


def test_padding_is_the_least_that_is_image(tmp_path, ct):
    ct(tmp_path / "ct", PixelPaddingValue=12345)
    plain = np.asarray(read_volume(tmp_path / "ct").voxels)
    made = ct(tmp_path / "padded", PixelPaddingValue=round(float(plain.max() + 1000) * 10))
    padded = np.asarray(read_volume(tmp_path / "padded").voxels)
    assert made
    assert padded.max() < plain.max()
    assert padded.min() == plain.min()


@pytest.mark.parametrize("how", ["folder", "nested", "zip"])
def test_the_same_from_folder_nested_and_zip(tmp_path, ct, how):
    ct(tmp_path / "ct", syntax="1.2.840.10008.1.2.1.99")
    path = tmp_path / "ct"
    if how == "nested":
        for number, file in enumerate(sorted(path.iterdir())):
            (path / str(number)).mkdir()
            file.rename(path / str(number) / "IM")
        (path / "readme.txt").write_text("hello")
    if how == "zip":
        with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in path.iterdir():
                archive.write(file, f"../../{file.name}")  # a name is never a path on this disk
        path = tmp_path / "x.zip"
    volume = read_volume(path)
    assert_each_voxel_is_where_the_affine_says(volume.voxels)
    assert (len(volume.receipt.warnings) > 1) == (how == "nested")


def test_what_is_no_volume(tmp_path, ct, dataset, save):
    with pytest.raises(ScanError, match=r"x.dcm: it does not say where its slices lie"):
        read_volume(save(tmp_path / "x.dcm", dataset(np.arange(64, dtype=np.uint8).reshape(8, 8))))
    with pytest.raises(ScanError, match="no such file"):
        read_volume(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="empty: there is no file in it"):
        read_volume(tmp_path / "empty")


@pytest.mark.parametrize(("axis", "side"), list(itertools.product(range(3), (1, 2))))
def test_thin_nifti(tmp_path, axis, side):
    shape = [4, 5, 6]
    shape[axis] = side
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / "x.nii")
    assert read_volume(tmp_path / "x.nii").voxels.shape == (1, *shape)
