from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from medfuse.case import Case, Scan
from medfuse.cohort import Cohort
from medfuse.deidentify import deidentify
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.deidentify.scan import Rules, clean_scan, names_in_scan
from medfuse.errors import ScanError
from medfuse.imaging import read_scan, read_volume
from tests.deidentify.test_cohort import every_byte
from tests.deidentify.test_dicom import PLANTED, planted

RULES = Rules(Pseudonyms(b"k" * 32))
SLICES = 6


def one_slice(place: int, *, series: str = "1.2.3.1") -> Dataset:
    """A slice with names in every corner, that lies `place` steps along the patient."""
    dataset = planted()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", series, "1.2.4"
    dataset.SOPInstanceUID = f"{series}.{place + 1}"
    dataset.StudyID = "1"
    dataset.SeriesNumber, dataset.InstanceNumber = int(series[-1]), SLICES - place
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-3, 7, 2.5 * place], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [0.5, 0.75]
    dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1000"
    dataset.WindowCenter, dataset.WindowWidth = "-900", "500"
    dataset.PixelData = (np.arange(256, dtype=np.uint16) + 100 * place).tobytes()
    return dataset


def series(folder: Path, **settings: str) -> Path:
    """A series under shuffled names with those of the patient in them, half of it in a folder of its own."""
    for place in range(SLICES):
        name = f"quillfeather {(place * 5) % SLICES}.dcm"
        path = folder / ("Thornapple" if place % 2 else ".") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        one_slice(place, **settings).save_as(path, enforce_file_format=True)
    return folder


def zipped(folder: Path) -> Path:
    """A zip archive of a folder, with its paths as names."""
    path = folder.with_name("Zebulon.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.dcm")):
            archive.write(file, file.relative_to(folder.parent))
    return path


def as_it_is(folder: Path) -> Path:
    return folder


def with_directory(folder: Path) -> Path:
    """A DICOMDIR beside copies of the files."""
    files = FileSet()
    for path in folder.rglob("*.dcm"):
        files.add(path)
    files.write(folder.with_name("medium"))
    return folder.with_name("medium") / "DICOMDIR"


@pytest.mark.parametrize("stored_as", [as_it_is, zipped, with_directory])
def test_a_series_is_cleaned_file_by_file_and_reads_to_the_same_pixels(tmp_path: Path, stored_as) -> None:
    source = stored_as(series(tmp_path / "source"))
    out = tmp_path / "out"
    (out / "scans").mkdir(parents=True)
    known = names_in_scan(source)
    assert {"Quillfeather^Zebulon^^Mr", "MRN778812", "Acc991231"} <= known
    done = clean_scan(source, out=out, name="case1", patient="p", known=known, rules=RULES)
    assert (done.path, done.burned_in, done.left_out) == (Path("scans/case1"), "", ())
    content = every_byte(out).lower()
    for name in PLANTED:
        assert name.lower() not in content, name
    before, after = read_scan(source, slices=SLICES), read_scan(out / done.path, slices=SLICES)
    assert after.receipt.frames == SLICES
    assert np.array_equal(before.pixels, after.pixels)
    assert (before.spacing, before.receipt.voi) == (after.spacing, after.receipt.voi)
    old, new = read_volume(source).voxels, read_volume(out / done.path).voxels
    assert np.array_equal(old.numpy(), new.numpy())
    assert np.allclose(old.affine, new.affine)
    made = [dcmread(path) for path in sorted((out / done.path).iterdir())]
    assert {item.SeriesInstanceUID for item in made} == {RULES.pseudonyms.uid("1.2.3.1")}
    assert len({item.SOPInstanceUID for item in made}) == SLICES


def test_series_of_one_folder_stay_apart_and_of_one_study_together(tmp_path: Path) -> None:
    series(tmp_path / "both" / "a")
    for place in range(2):
        one_slice(place, series="1.2.3.2").save_as(tmp_path / "both" / f"x{place}.dcm", enforce_file_format=True)
    series(tmp_path / "other", series="1.2.3.3")
    (tmp_path / "out" / "scans").mkdir(parents=True)
    for name in ("both", "other"):
        clean_scan(tmp_path / name, out=tmp_path / "out", name=name, patient="p", known=set(), rules=RULES)
    both = tmp_path / "out" / "scans" / "both"
    assert "of 2 series" in read_scan(both).receipt.series
    assert read_scan(both).receipt.frames == SLICES
    frames = {dcmread(path).FrameOfReferenceUID for path in (tmp_path / "out").rglob("*.dcm")}
    assert frames == {RULES.pseudonyms.uid("1.2.4")}


def test_a_cohort_of_series_loses_no_scan_and_keeps_no_name(tmp_path: Path) -> None:
    folder = tmp_path / "cohort"
    cases = []
    for number in range(4):
        place = series(folder / "scans" / f"Quillfeather{number}")
        if number % 2:
            packed = zipped(place)
            shutil.rmtree(place)
            place = packed.rename(folder / "scans" / f"Zebulon{number}.zip")
        cases.append(
            Case(
                f"c{number}",
                f"Vandersloot-{number}",
                time="2021-03-04T10:15",
                scans=(Scan(place.resolve()),),
                labels={"a": number % 2, "b": 1 - number % 2},
            )
        )
    # One more slice is damaged, and a letter lies among the files.
    broken = folder / "scans" / "Quillfeather0" / "quillfeather 9.dcm"
    broken.write_bytes((folder / "scans" / "Quillfeather0" / "quillfeather 0.dcm").read_bytes()[:200])
    (folder / "scans" / "Quillfeather2" / "letter.pdf").write_bytes(b"%PDF-1.4 Dear Ms Quillfeather")
    Cohort(folder, "named", "multiclass", ("a", "b"), tuple(cases)).save()
    done = deidentify(folder, tmp_path / "out", key=b"s" * 32)
    assert [line.split(",")[0] for line in done.left_out] == ["row 2", "row 4"]
    assert all("1 of 7 files" in line for line in done.left_out)
    content = every_byte(tmp_path / "out").lower()
    for name in PLANTED:
        assert name.lower() not in content, name
    for old, new in zip(Cohort.load(folder).cases, done.cohort.cases, strict=True):
        assert np.array_equal(read_scan(old.scans[0].path).pixels, read_scan(new.scans[0].path).pixels)
        assert new.time[10:] == "T10:15:00"
        assert new.time[:10] < "2021-03-04"


@pytest.mark.parametrize("content", [b"", b"Zebulon Quillfeather was here", b"%PDF-1.4 Quillfeather"])
def test_a_folder_without_a_dicom_image_is_refused_in_a_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "Quillfeather").mkdir()
    if content:
        (tmp_path / "Quillfeather" / "Zebulon.txt").write_bytes(content)
    (tmp_path / "out" / "scans").mkdir(parents=True)
    with pytest.raises(ScanError) as raised:
        clean_scan(tmp_path / "Quillfeather", out=tmp_path / "out", name="x", patient="p", known=set(), rules=RULES)
    assert "\n" not in str(raised.value)
    assert not {"Quillfeather", "Zebulon"} & set(str(raised.value).replace(":", " ").split())
    assert list((tmp_path / "out" / "scans").iterdir()) == []
    assert names_in_scan(tmp_path / "Quillfeather") == set()


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_volume_keeps_its_voxels_and_loses_its_words(tmp_path: Path, kind: type, suffix: str) -> None:
    stored = np.random.default_rng(0).integers(-1000, 1000, (5, 6, 7)).astype(np.int16)
    image = kind(stored, np.diag([0.7, 0.8, 2.5, 1.0]))
    image.header.set_slope_inter(0.5, -3)
    image.header["descrip"] = image.header["intent_name"] = b"Quillfeather"
    image.header["aux_file"] = b"Thornapple"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"Zebulon MRN778812"))
    path = tmp_path / f"Vandersloot{suffix}"
    image.to_filename(path)
    if suffix == ".nii":
        path.write_bytes(path.read_bytes() + b"Acc991231")
    (tmp_path / "out" / "scans").mkdir(parents=True)
    done = clean_scan(path, out=tmp_path / "out", name="x", patient="p", known=set(), rules=RULES)
    content = (tmp_path / "out" / done.path).read_bytes().lower()
    for name in PLANTED:
        assert name.lower() not in content, name
    old, new = nibabel.load(path), nibabel.load(tmp_path / "out" / done.path)
    assert np.array_equal(old.get_fdata(), new.get_fdata())
    assert np.array_equal(old.affine, new.affine)
    assert np.array_equal(read_scan(path).pixels, read_scan(tmp_path / "out" / done.path).pixels)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ScanError):
        clean_scan(path, out=tmp_path / "out", name="y", patient="p", known=set(), rules=RULES)
