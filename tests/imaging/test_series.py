"""Series in a folder: what is found, which one is chosen, in what order its slices come, and what is said."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from medfuse import read_scan, read_volume
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan, scan_digest
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.sources import sources_of
from tests.imaging.conftest import AXIAL

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def heights(volume) -> list[float]:
    """Where the slices lie along the third axis, millimetres."""
    affine = np.asarray(volume.voxels.affine)
    return [float(affine[2, 3] + affine[2, 2] * place) for place in range(volume.voxels.shape[3])]


def said(receipt, words: str) -> bool:
    return any(words in line for line in receipt.warnings)


def test_slices_are_sorted_by_place_not_by_name_or_number(tmp_path, ct):
    ct(tmp_path / "ct")
    first = read_volume(tmp_path / "ct")
    assert heights(first) == pytest.approx([5, 7.5, 10, 12.5, 15, 17.5])
    for place, file in enumerate(sorted((tmp_path / "ct").iterdir())):
        item = dcmread(file)
        item.InstanceNumber = place * 7 % 5
        item.save_as(tmp_path / "ct" / f"again-{9 - place}.dcm")
        file.unlink()
    again = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(np.asarray(again.voxels), np.asarray(first.voxels))


def test_gap_is_found(tmp_path, ct):
    ct(tmp_path / "ct", slices=9, skip=(4, 5))
    assert said(read_scan(tmp_path / "ct").receipt, "gap in the stack: 2 slices missing")
    ct(tmp_path / "whole", slices=9)
    assert not said(read_scan(tmp_path / "whole").receipt, "gap")


def test_duplicates_are_found(tmp_path, ct):
    ct(tmp_path / "ct")
    whole = read_volume(tmp_path / "ct")
    file = min((tmp_path / "ct").iterdir())
    shutil.copy(file, tmp_path / "ct" / "copy.dcm")
    item = dcmread(file)
    item.SOPInstanceUID, item.InstanceNumber = "1.2.9", 99
    item.save_as(tmp_path / "ct" / "other.dcm")
    again = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(np.asarray(again.voxels), np.asarray(whole.voxels))
    assert said(again.receipt, "1 of 8 files are copies")
    assert said(again.receipt, "1 slice at the place of another set aside")


def test_mixed_orientations_and_sizes_are_found(tmp_path, ct):
    ct(tmp_path / "ct", slices=6)
    ct(tmp_path / "ct", slices=3, orientation=SAGITTAL, uid="1.2.3.1.7")
    ct(tmp_path / "ct", slices=2, rows=9, uid="1.2.3.1.8")
    for file in (tmp_path / "ct").iterdir():
        item = dcmread(file)
        item.SeriesInstanceUID = "1.2.3.1"
        item.save_as(file)
    volume = read_volume(tmp_path / "ct")
    assert volume.voxels.shape == (1, 5, 7, 6)
    assert said(volume.receipt, "mixed orientations: 3 slices")
    assert said(volume.receipt, "2 slices of another size")


def test_localisers_are_set_aside(tmp_path, ct):
    ct(tmp_path / "ct", slices=3)
    ct(tmp_path / "ct", slices=9, uid="1.2.8", number=0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    volume = read_volume(tmp_path / "ct")
    assert (volume.voxels.shape[3], volume.receipt.series) == (3, "1, by the rule 'largest' of 2 series")
    for file in (tmp_path / "ct").glob("1.2.8-00[0-1]*"):
        item = dcmread(file)
        item.SeriesInstanceUID = "1.2.3.1"
        item.save_as(file)
    assert said(read_volume(tmp_path / "ct").receipt, "2 localisers set aside")


@pytest.mark.parametrize(
    ("rule", "number", "slices"),
    [("largest", 3, 5), ("first", 2, 3), ("description:*LUNG*", 4, 4), ("description:bone 1?0", 2, 3)],
)
def test_the_rule_chooses(tmp_path, ct, rule, number, slices):
    ct(tmp_path / "ct", slices=5, uid="1.1", number=3, SeriesDescription="soft")
    ct(tmp_path / "ct", slices=3, uid="1.2", number=2, SeriesDescription="Bone 1.0")
    ct(tmp_path / "ct", slices=4, uid="1.3", number=4, SeriesDescription="Secret lung B70")
    scan = read_scan(tmp_path / "ct", series=rule)
    assert (scan.receipt.series, scan.receipt.frames) == (f"{number}, by the rule '{rule}' of 3 series", slices)
    assert "Secret" not in repr(scan)


def test_a_rule_that_fits_nothing(tmp_path, ct):
    ct(tmp_path / "ct", SeriesDescription="Secret")
    with pytest.raises(ScanError, match=r"ct: none of its 1 series fits the rule 'description:x\*'") as error:
        read_scan(tmp_path / "ct", series="description:x*")
    assert "Secret" not in str(error.value)


def test_evenly_spaced_slices_in_one_window(tmp_path, ct):
    made = ct(tmp_path / "ct", slices=10, WindowCenter=250, WindowWidth=400)
    scan = read_scan(tmp_path / "ct", slices=3)
    assert (scan.pixels.shape, scan.receipt.shown, scan.spacing) == ((3, 7, 5), (2, 6, 9), (1.5, 0.75))
    for pixels, place in zip(scan.pixels, (1, 5, 8), strict=True):
        units = np.frombuffer(made[place].PixelData, "<i2").reshape(7, 5) * 0.1 - 1000
        np.testing.assert_allclose(pixels, np.clip((units - 249.5) / 399 + 0.5, 0, 1), atol=1e-6)
    fitted = fit_scan(scan, 32)
    assert fitted.pixels.shape == (3, 32, 32)
    assert Image.open(BytesIO(fitted.thumbnail)).size == (96, 32)


def test_ct_without_a_window_is_shown_as_soft_tissue(tmp_path, ct):
    made = ct(tmp_path / "ct", slices=1)
    scan = read_scan(tmp_path / "ct")
    units = np.frombuffer(made[0].PixelData, "<i2").reshape(7, 5) * 0.1 - 1000
    np.testing.assert_allclose(scan.pixels, np.clip((units - 39.5) / 399 + 0.5, 0, 1), atol=1e-6)
    assert said(scan.receipt, "no window in the file; window 40/400 (LINEAR) assumed")
    assert scan.pixels.shape == (7, 5)  # a series of one slice is an image


def test_slices_that_are_rescaled_differently_share_a_window(tmp_path, ct, save):
    ct(tmp_path / "ct", WindowCenter=250, WindowWidth=400)
    plain = read_scan(tmp_path / "ct")
    for file in sorted((tmp_path / "ct").iterdir())[::2]:
        item = dcmread(file)
        item.RescaleSlope = "0.05"
        item.PixelData = (np.frombuffer(item.PixelData, "<i2") * 2).astype("<i2").tobytes()
        save(file, item)
    np.testing.assert_allclose(read_scan(tmp_path / "ct").pixels, plain.pixels, atol=1e-5)


def test_a_dicomdir_names_the_images(tmp_path, ct):
    ct(tmp_path / "loose")
    files = FileSet()
    for file in (tmp_path / "loose").iterdir():
        item = dcmread(file)
        item.StudyInstanceUID, item.StudyDate, item.StudyTime, item.StudyID = "1.2.5", "20200101", "101010", "1"
        item.AccessionNumber = ""
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        files.add(item)
    files.write(tmp_path / "disc")
    volume = read_volume(tmp_path / "disc" / "DICOMDIR")
    np.testing.assert_array_equal(np.asarray(volume.voxels), np.asarray(read_volume(tmp_path / "loose").voxels))
    assert read_scan(tmp_path / "disc" / "DICOMDIR").receipt.frames == 6
    assert read_scan(tmp_path / "disc").receipt.frames == 6
    shutil.move(tmp_path / "disc" / "DICOMDIR", tmp_path / "DICOMDIR")
    with pytest.raises(ScanError, match="names no image that lies beside it"):
        read_scan(tmp_path / "DICOMDIR")


def test_a_dicomdir_leads_out_of_no_folder(tmp_path, ct, save):
    ct(tmp_path / "outside", slices=1)
    (tmp_path / "disc").mkdir()
    name = next((tmp_path / "outside").iterdir()).name
    (tmp_path / "disc" / "LINK").symlink_to(tmp_path / "outside" / name)
    record, link = Dataset(), Dataset()
    record.DirectoryRecordType = link.DirectoryRecordType = "IMAGE"
    record.ReferencedFileID, link.ReferencedFileID = ["..", "outside", name], ["LINK"]
    directory = Dataset()
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.DirectoryRecordSequence = [record, link]
    directory.SOPInstanceUID = "1.2"
    with pytest.raises(ScanError, match="names no image that lies beside it"):
        read_scan(save(tmp_path / "disc" / "DICOMDIR", directory))


def test_links_out_of_the_folder_are_not_followed(tmp_path, ct):
    ct(tmp_path / "outside")
    ct(tmp_path / "ct", slices=3, uid="1.2.6")
    (tmp_path / "ct" / "link.dcm").symlink_to(next((tmp_path / "outside").iterdir()))
    (tmp_path / "ct" / "folder").symlink_to(tmp_path / "outside")
    assert read_scan(tmp_path / "ct").receipt.series == "1"


def test_what_a_folder_holds_besides(tmp_path, ct):
    ct(tmp_path / "ct")
    (tmp_path / "ct" / "notes.txt").write_text("secret")
    (tmp_path / "ct" / ".DS_Store").write_bytes(b"\0" * 10)
    file = min((tmp_path / "ct").glob("*.dcm"))
    file.write_bytes(file.read_bytes()[:150])
    receipt = read_scan(tmp_path / "ct").receipt
    assert receipt.frames == 5
    assert said(receipt, "1 of 7 files cannot be read")
    assert said(receipt, "1 of 7 files are no DICOM images")


def test_a_folder_without_images(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ScanError, match="no DICOM image that can be read among 1 files; name a picture"):
        read_scan(tmp_path)


def test_radiographs_of_one_series(tmp_path, dataset, save):
    """Projections have no position: the images of the commonest size in the order of their numbers."""
    rng = np.random.default_rng(0)
    for number in (2, 1, 3):
        stored = rng.integers(0, 4096, (8, 6 if number < 3 else 9)).astype(np.uint16)
        made = dataset(stored, BitsStored=12, InstanceNumber=number, WindowCenter=2048, WindowWidth=4096)
        made.SOPInstanceUID, made.SeriesInstanceUID = f"1.2.{number}", "1.2"
        save(tmp_path / f"{number}.dcm", made)
    scan = read_scan(tmp_path)
    assert scan.pixels.shape == (2, 8, 6)
    np.testing.assert_allclose(scan.pixels[0], read_scan(tmp_path / "1.dcm").pixels, atol=1e-6)
    assert said(scan.receipt, "1 slice of another size set aside")
    assert said(scan.receipt, "state no position")


def test_digest_covers_names_and_bytes(tmp_path, ct):
    ct(tmp_path / "ct", slices=2)
    before = scan_digest(tmp_path / "ct")
    assert read_scan(tmp_path / "ct").receipt.sha256 == before
    file = min((tmp_path / "ct").iterdir())
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert scan_digest(tmp_path / "ct") != before
    assert scan_digest(file) == hashlib.sha256(data).hexdigest()


def test_orientation_that_makes_no_sense_is_no_position(tmp_path, ct):
    ct(tmp_path / "ct", ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    assert said(read_scan(tmp_path / "ct").receipt, "state no position")
    with pytest.raises(ScanError, match="does not say where its slices lie"):
        read_volume(tmp_path / "ct")
    assert AXIAL


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_whose_unpacking_cannot_be_bounded_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.dcm", b"\0" * 10_000)
    with pytest.raises(ScanError, match="cannot be bounded"):
        read_scan(tmp_path / "a.zip")


def test_a_member_is_never_inflated_beyond_what_the_archive_says(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", b"\0" * 3_000_000)
    data = (tmp_path / "a.zip").read_bytes().replace((3_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(data)
    (source,) = sources_of(tmp_path / "a.zip")
    tracemalloc.start()
    with contextlib.suppress(UnreadableError):  # its checksum does not fit either
        source.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000
