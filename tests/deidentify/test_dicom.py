from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.data import DATA_ROOT
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

from medfuse.deidentify.dicom import burned_in, clean, identifiers, open_dicom
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.errors import ScanError
from medfuse.imaging import read_scan

KEY = Pseudonyms(b"k" * 32)
PLANTED = (b"Quillfeather", b"Zebulon", b"MRN778812", b"Vandersloot", b"Thornapple", b"Acc991231")


def planted(*, modality: str = "CT", sop: str = CTImageStorage) -> Dataset:
    """A data set with names in every corner: known elements, sequences, private ones, comments, curves, padding."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop, generate_uid(entropy_srcs=["sop"])
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = (
        generate_uid(entropy_srcs=["a"]),
        generate_uid(entropy_srcs=["b"]),
    )
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["c"])
    dataset.PatientName, dataset.PatientID = "Quillfeather^Zebulon^^Mr", "MRN778812"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19310405", "F", "093Y"
    dataset.OtherPatientNames = "Thornapple^Zeb"
    dataset.ReferringPhysicianName, dataset.AccessionNumber = "Vandersloot^Ida", "Acc991231"
    dataset.StudyDate, dataset.StudyTime, dataset.AcquisitionDateTime = "20210304", "101530", "20210304101530.5"
    dataset.SeriesDescription = "chest of ZEBULON QUILLFEATHER"
    dataset.AcquisitionDeviceProcessingDescription = "for Quillfeather"  # in no table
    dataset.ImageComments, dataset.StationName = "seen by Dr Vandersloot", "CT-ROOM-4"
    dataset.Modality, dataset.Manufacturer, dataset.BodyPartExamined = modality, "Acme", "CHEST"
    inner = Dataset()
    inner.PatientName, inner.PatientID = "Quillfeather^Zebulon", "MRN778812"
    inner.ContentDate, inner.ReferencedSOPInstanceUID = "20210305", dataset.SOPInstanceUID
    inner.TextValue = "Thornapple, formerly"
    dataset.ReferencedImageSequence = Sequence([deepcopy(inner)])
    dataset.SourceImageSequence = Sequence([inner])
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "X", "asked by Vandersloot"
    dataset.DerivationCodeSequence = Sequence([code])
    block = dataset.private_block(0x0011, "ACME", create=True)
    block.add_new(0x01, "LO", "Quillfeather")
    dataset.add_new(0x00291010, "UN", b"Zebulon in bytes")
    dataset.add_new(0x60003000, "OW", b"MRN778812 drawn.")
    dataset.add_new(0xFFFCFFFC, "OB", b"Quillfeather again")
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 16, 16, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.arange(256, dtype=np.uint16).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.SourceApplicationEntityTitle = "QUILLFEATHER"
    dataset.preamble = b"Quillfeather".ljust(128, b"\0")
    return dataset


def cleaned(dataset: Dataset, patient: str = "p1", **options) -> bytes:
    known = identifiers(dataset)
    return clean(dataset, patient=patient, pseudonyms=KEY, known=known, **options).content


def test_planted_names_are_in_no_byte() -> None:
    content = cleaned(planted())
    for name in PLANTED:
        assert name.lower() not in content.lower(), name


def test_the_object_stays_an_image_of_the_same_pixels(tmp_path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(cleaned(planted()))
    assert read_scan(path).pixels.shape == (16, 16)
    found = dcmread(path)
    assert np.array_equal(found.pixel_array.ravel(), np.arange(256))
    assert (found.Manufacturer, found.BodyPartExamined, found.Modality) == ("Acme", "CHEST", "CT")
    assert found.PatientIdentityRemoved == "YES"
    assert [item.CodeValue for item in found.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    assert "StationName" not in found or found.StationName != "CT-ROOM-4"
    assert found.get("PatientAge", "") in ("", "000Y")


def test_uids_are_renamed_alike_everywhere_and_class_uids_stay() -> None:
    before = planted()
    sop = str(before.SOPInstanceUID)
    found = dcmread(BytesIO(cleaned(before)))
    assert found.SOPInstanceUID == KEY.uid(sop) == found.file_meta.MediaStorageSOPInstanceUID
    assert found.SOPInstanceUID.is_valid
    assert found.SOPInstanceUID != sop
    assert found.SOPClassUID == CTImageStorage
    references = [item.ReferencedSOPInstanceUID for item in found.get("SourceImageSequence", [])]
    assert set(references) <= {found.SOPInstanceUID}
    assert Pseudonyms(b"other" * 8).uid(sop) != KEY.uid(sop)


def test_dates_move_by_patient_and_intervals_hold() -> None:
    found = dcmread(BytesIO(cleaned(planted())))
    assert found.StudyDate != "20210304"
    assert found.AcquisitionDateTime == found.StudyDate + "101530.5"
    assert found.StudyTime == "101530"
    assert found.get("PatientBirthDate", "") == ""
    assert KEY.days("p1") != KEY.days("p2")
    assert -364 <= KEY.days("p1") <= -1


def test_what_is_kept_is_said() -> None:
    found = dcmread(BytesIO(cleaned(planted(), keep=("characteristics", "device"))))
    assert (found.PatientSex, found.PatientAge, found.StationName) == ("F", "090Y", "CT-ROOM-4")
    codes = {item.CodeValue for item in found.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113107", "113108", "113109"}


def test_burned_in_text_is_suspected_by_header_and_device() -> None:
    dataset = planted()
    assert burned_in(dataset) == ""
    dataset.BurnedInAnnotation = "YES"
    assert "burned in" in burned_in(dataset)
    assert "ultrasound" in burned_in(planted(modality="US"))
    assert "secondary capture" in burned_in(planted(sop="1.2.840.10008.5.1.4.1.1.7"))
    ruled_out = planted(modality="US")
    ruled_out.BurnedInAnnotation = "NO"
    assert burned_in(ruled_out) == ""


def test_ultrasound_is_blanked_outside_its_regions() -> None:
    dataset = planted(modality="US", sop=UltrasoundImageStorage)
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 4, 6
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = 11, 13
    dataset.SequenceOfUltrasoundRegions = Sequence([region])
    found = clean(dataset, patient="p", pseudonyms=KEY, known=identifiers(dataset), blank=True)
    assert found.blanked
    pixels = dcmread(BytesIO(found.content)).pixel_array
    expected = np.zeros((16, 16), dtype=int)
    expected[6:14, 4:12] = np.arange(256).reshape(16, 16)[6:14, 4:12]
    assert np.array_equal(pixels, expected)


def test_every_file_of_pydicom_is_cleaned_or_refused_in_a_line(tmp_path) -> None:
    done = 0
    for path in sorted((Path(DATA_ROOT) / "test_files").rglob("*.dcm")):
        content = None
        with suppress(ScanError):
            dataset = open_dicom(path.read_bytes())
            names = identifiers(dataset)
            content = clean(dataset, patient="p", pseudonyms=KEY, known=names).content
        if content is None:
            continue
        done += 1
        again = dcmread(BytesIO(content))
        left = identifiers(again) - {KEY.patient("p")}
        assert left == set(), path
    assert done > 60
