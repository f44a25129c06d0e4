from __future__ import annotations

import zlib

import numpy as np
import openpyxl
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers import import_cohort
from medfuse.notes import read_note

IMAGE, REPORT, RAW = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.66"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "export").mkdir()
    return tmp_path / "export"


@pytest.fixture
def dicom(source):
    """Write a small DICOM file into the export, as a PACS does: a folder a series, names that say nothing."""

    def write(name: str, *, sop_class: str = IMAGE, **elements):
        elements = {
            "StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.1", "PatientID": "P-1", "Modality": "DX",
            "StudyDate": "20200131", "StudyTime": "0930", "PatientAge": "061Y", "PatientSex": "F",
        } | elements  # fmt: skip
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, f"1.2.9.{zlib.crc32(name.encode())}"
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        if sop_class == IMAGE:
            dataset.Rows = dataset.Columns = 4
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit, dataset.PixelRepresentation = 7, 0
            seed = sum(map(ord, name))
            dataset.PixelData = np.random.default_rng(seed).integers(0, 255, 16, np.uint8).tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def made(source, tmp_path):
    count = iter(range(99))

    def make(rows: str, **options: str) -> Cohort:
        (source / "list.csv").write_text(rows)
        return import_cohort("dicom-folder", source, tmp_path / f"out{next(count)}", **options)

    return make


def stems(case):
    return [scan.path.name for scan in case.scans]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("file,diagnosis\nS1/IM0001,flu\nS2/IM0001,clear\n", "path"),
        ("filename,diagnosis\nIM0001.A,flu\nIM0001.B,clear\n", "name"),
        ("StudyInstanceUID,diagnosis\n1.2.1,flu\n1.2.2,clear\n", "study"),
        ("AccessionNumber,diagnosis\n007,flu\n8,clear\n", "accession"),
        ("accession,diagnosis\n7,flu\n8,clear\n", "zeros"),
        ("PatientID,diagnosis\nP-1,flu\nP-2,clear\n", "patient"),
        ("mrn;dx\nP-1;flu\nP-2;clear\n", "options"),
    ],
)
def test_rows_are_matched_by_whatever_they_name(dicom, made, table, column):
    endings = (".A", ".B") if column == "name" else ("", "")
    dicom(f"S1/IM0001{endings[0]}", AccessionNumber="007")
    dicom(
        f"S2/IM0001{endings[1]}", StudyInstanceUID="1.2.2", SeriesInstanceUID="1.2.2.1", PatientID="P-2",
        AccessionNumber="8", StudyDate="20210101",
    )  # fmt: skip
    cohort = made(table, **({"patient": "mrn", "label": "dx"} if column == "options" else {}))
    assert cohort.labels == ("clear", "flu")
    assert [(case.case_id, case.patient_id, case.labels["flu"]) for case in cohort.cases] == [
        ("study00001", "P-1", 1),
        ("study00002", "P-2", 0),
    ]
    assert cohort.cases[0].time == "2020-01-31T09:30:00"
    assert len(cohort.cases[0].scans) == 1
    assert cohort.problems == ()


def test_a_study_is_a_case_and_a_ct_series_one_scan(dicom, made):
    for number in (3, 1, 2):
        dicom(f"CT/{number}", Modality="CT", SeriesInstanceUID="1.2.1.5", InstanceNumber=str(number))
    dicom("DX/1", SeriesInstanceUID="1.2.1.6", ViewPosition="PA")
    dicom("DX/2", SeriesInstanceUID="1.2.1.6", ViewPosition="LL")
    dicom("other/1", StudyInstanceUID="1.2.7", SeriesInstanceUID="1.2.7.1")
    cohort = made("patient_id,label,bmi\nP-1,1,22\nP-9,0,30\n", tabular="bmi", task="multilabel")
    first, second = cohort.cases
    series = [scan for scan in first.scans if scan.path.is_dir()]
    assert len(first.scans) == 3
    assert len(series) == 1
    numbers = [dataset_number(path) for path in sorted(series[0].path.iterdir())]
    assert numbers == [1, 2, 3]
    assert second.patient_id == first.patient_id == "P-1"
    assert (first.values, second.values) == ({"bmi": 22.0}, {"bmi": 22.0})
    assert cohort.problems == ("list.csv row 3: no DICOM file for what is in 'patient_id'; left out",)


def dataset_number(path):
    from pydicom import dcmread

    return int(dcmread(path, stop_before_pixels=True).InstanceNumber)


def test_header_columns_are_values_and_groups(dicom, made):
    dicom("1", Manufacturer="Acme")
    dicom("2", StudyInstanceUID="1.2.2", PatientID="P-2", PatientAge="006M", PatientSex="M", Manufacturer="Other")
    table = "patient_id,label\nP-1,a\nP-2,b\n"
    cohort = made(table, tabular="PatientAge,PatientSex", groups="Manufacturer")
    assert [case.values for case in cohort.cases] == [
        {"PatientAge": 61.0, "PatientSex": "F"},
        {"PatientAge": 0.5, "PatientSex": "M"},
    ]
    assert [case.groups["Manufacturer"] for case in cohort.cases] == ["Acme", "Other"]


def test_text_of_the_table_and_reports_among_the_files_are_notes(dicom, made):
    item = Dataset()
    item.ValueType, item.RelationshipType, item.TextValue = "TEXT", "CONTAINS", "Pneumonia."
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121070", "DCM", "Findings"
    item.ConceptNameCodeSequence = [code]
    dicom("1")
    dicom("sr", sop_class=REPORT, Modality="SR", ContentSequence=[item], ValueType="CONTAINER")
    dicom("2", PatientID="P-2", StudyInstanceUID="1.2.2")
    cohort = made("patient_id,history,label\nP-1,Cough.,a\nP-2,,b\n", text="history", redact="cough")
    text, report = (read_note(note.path) for note in cohort.cases[0].notes)
    assert text.text == "[redacted].\n"
    assert [section.name for section in report.sections] == ["FINDINGS"]
    assert "Pneumonia." in report.text
    assert cohort.cases[1].notes == ()


def test_what_is_damaged_or_not_dicom_costs_only_itself(dicom, made, source):
    dicom("1")
    dicom("2", StudyInstanceUID="1.2.2", PatientID="P-2")
    dicom("raw", sop_class=RAW, StudyInstanceUID="1.2.2", PatientID="P-2")
    dicom("nobody", StudyInstanceUID="1.2.3", PatientID="P-3")
    (source / "broken.dcm").write_bytes(b"junk" * 50)
    (source / "readme.txt").write_text("hello")
    (source / "gone").symlink_to(source / "nowhere")
    cohort = made("patient_id,label\nP-1,a\nP-2,b\n,c\n")
    assert [len(case.scans) for case in cohort.cases] == [1, 1]
    assert cohort.problems == (
        "'broken.dcm' is no DICOM that can be read; left out",
        "list.csv row 4: nothing in 'patient_id'; left out",
        "1 of 3 DICOM files belong to no row of list.csv; left out",
    )
    assert "P-3" not in " ".join(cohort.problems)


def test_an_ambiguous_name_is_told(dicom, made):
    dicom("S1/IM0001")
    dicom("S2/IM0001", StudyInstanceUID="1.2.2")
    dicom("S2/IM0002", StudyInstanceUID="1.2.2")
    cohort = made("file,label\nIM0001,a\nIM0002,b\nS1\\IM0001,c\n")
    assert len(cohort.cases) == 2
    assert cohort.problems[0] == "list.csv row 2: 2 files have the name in 'file'; give their paths; left out"


def test_an_excel_sheet(dicom, source, tmp_path):
    dicom("1", AccessionNumber="0012")
    dicom("2", AccessionNumber="13", StudyInstanceUID="1.2.2", PatientID="P-2")
    book = openpyxl.Workbook()
    for line in (["Accession", "label", None, "age"], [12, "a", None, 61.5], [13.0, "b", None, None], [None] * 4):
        book.active.append(line)
    book.save(source / "list.xlsx")
    cohort = import_cohort("dicom-folder", source, tmp_path / "out", tabular="age")
    assert [case.values["age"] for case in cohort.cases] == [61.5, None]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("colour,label\nred,a\n", {}, "which column names the DICOM files?"),
        ("patient_id,label\nP-7,a\nP-8,b\n", {}, "no row names a DICOM file"),
        ("patient_id,label\nP-1,a\n", {"study": "uid"}, "no column 'uid'"),
        ("patient_id,dx\nP-1,a\n", {}, "which column is the label?"),
        ("patient_id,label\nP-1,a\n", {"table": "none.csv"}, "cannot be read"),
    ],
)
def test_a_table_that_will_not_do(dicom, made, table, options, message):
    dicom("1")
    with pytest.raises(CohortError) as caught:
        made(table, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_dicom_or_no_table(source, tmp_path):
    with pytest.raises(CohortError, match="0 tables in the folder"):
        import_cohort("dicom-folder", source, tmp_path / "out")
    (source / "list.csv").write_text("patient_id,label\nP-1,a\n")
    with pytest.raises(CohortError, match="no DICOM files"):
        import_cohort("dicom-folder", source, tmp_path / "out")
    (source / "list.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(CohortError, match="not an Excel workbook"):
        import_cohort("dicom-folder", source, tmp_path / "out", table="list.xlsx")
