from __future__ import annotations

import csv
import gzip

import pytest

from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers import import_cohort
from medfuse.importers.mimic_cxr import LABELS
from medfuse.notes import OUTCOME_SECTIONS, read_note, select

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with new onset ascites  // eval for infection

 COMPARISON:  None.

 FINDINGS:

 There is no focal consolidation, pleural effusion or pneumothorax.

 IMPRESSION:

 No acute cardiopulmonary process.
"""
METADATA = [
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
]  # fmt: skip
STAYS = [
    "subject_id", "hadm_id", "stay_id", "intime", "outtime", "gender", "race", "arrival_transport", "disposition",
]  # fmt: skip
TRIAGE = [
    "subject_id", "stay_id", "temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp", "pain", "acuity",
    "chiefcomplaint",
]  # fmt: skip


def write(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


class Mimic:
    """A tree as PhysioNet lays it out: MIMIC-CXR-JPG with the reports of MIMIC-CXR inside, and MIMIC-IV-ED beside."""

    def __init__(self, root):
        self.root, self.ed = root / "mimic-cxr-jpg", root / "mimic-iv-ed" / "ed"
        self.metadata, self.labels, self.splits, self.stays, self.triage = [], [], [], [], []

    def study(
        self, subject, study, views=("PA",), split="train", date="21800506", time="213014.531", report=REPORT, **labels
    ):
        place = self.root / "files" / f"p{str(subject)[:2]}" / f"p{subject}"
        (place / f"s{study}").mkdir(parents=True)
        ids = {"subject_id": subject, "study_id": study}
        for number, view in enumerate(views):
            dicom_id = f"{study:08x}-{number:08x}"
            (place / f"s{study}" / f"{dicom_id}.jpg").write_bytes(dicom_id.encode())
            self.metadata.append(
                ids | {"dicom_id": dicom_id, "ViewPosition": view, "StudyDate": date, "StudyTime": time}
            )
            self.splits.append(ids | {"dicom_id": dicom_id, "split": split})
        if report:
            (place / f"s{study}.txt").write_text(report)
        self.labels.append(ids | {name.replace("_", " "): value for name, value in labels.items()})
        return place

    def stay(self, subject, stay, arrived, left, **triage):
        self.stays.append({"subject_id": subject, "stay_id": stay, "intime": arrived, "outtime": left, "gender": "F"})
        self.triage.append({"subject_id": subject, "stay_id": stay} | triage)

    def save(self):
        write(self.root / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA, self.metadata)
        write(self.root / "mimic-cxr-2.0.0-chexpert.csv.gz", ["subject_id", "study_id", *LABELS], self.labels)
        write(self.root / "mimic-cxr-2.0.0-split.csv.gz", ["dicom_id", "study_id", "subject_id", "split"], self.splits)
        write(self.ed / "edstays.csv.gz", STAYS, self.stays)
        write(self.ed / "triage.csv.gz", TRIAGE, self.triage)
        return self.root


@pytest.fixture
def mimic(tmp_path):
    return Mimic(tmp_path)


def test_a_study_is_a_case_with_frontal_images_first(mimic, tmp_path):
    mimic.study(10000032, 50414267, ("LATERAL", "PA"), Edema="1.0", Pneumonia="-1.0", Fracture="0.0")
    mimic.study(10000032, 53189527, ("AP",), time="60403.0", No_Finding="1.0", report="")
    first, second = (cohort := import_cohort("mimic-cxr", mimic.save(), tmp_path / "out")).cases
    assert (first.case_id, first.patient_id, first.time) == ("s50414267", "p10000032", "2180-05-06T21:30:14")
    assert second.time == "2180-05-06T06:04:03"
    assert [scan.path.read_text()[-1] for scan in first.scans] == ["1", "0"]
    assert (first.groups, second.groups) == ({"view": "PA"}, {"view": "AP"})
    assert (first.labels["Edema"], first.labels["Fracture"], first.labels["Pneumonia"]) == (1, 0, None)
    assert (first.labels["Pneumothorax"], first.labels["No Finding"], second.labels["No Finding"]) == (0, 0, 1)
    assert second.notes == ()
    assert (cohort.labels, cohort.tabular, cohort.problems) == (LABELS, {}, ())


def test_the_report_keeps_its_sections_and_only_its_indication_is_read(mimic, tmp_path):
    mimic.study(10000032, 50414267)
    note = read_note(import_cohort("mimic-cxr", mimic.save(), tmp_path / "out").cases[0].notes[0].path)
    assert (note.kind, note.time) == ("radiology report", "2180-05-06T21:30:14")
    assert {"FINDINGS", "IMPRESSION"} <= {section.name for section in note.sections}
    read = select(note, exclude=OUTCOME_SECTIONS)
    assert "eval for infection" in read
    assert "consolidation" not in read
    assert "process" not in read


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, [None, 0]),
        ({"uncertain": "positive"}, [1, 0]),
        ({"uncertain": "negative", "unmentioned": "blank"}, [0, None]),
    ],
)
def test_uncertain_and_unmentioned_are_choices(mimic, tmp_path, options, values):
    mimic.study(10000032, 50414267, Pneumonia="-1.0")
    cohort = import_cohort("mimic-cxr", mimic.save(), tmp_path / "out", labels="Pneumonia|Edema", **options)
    assert list(cohort.cases[0].labels.values()) == values


def test_uncertain_may_stay_uncertain(mimic, tmp_path):
    mimic.study(10000032, 50414267, Pneumonia="-1.0")
    import_cohort("mimic-cxr", mimic.save(), tmp_path / "out", labels="Pneumonia|Edema", uncertain="kept")
    (case,) = Cohort.load(tmp_path / "out").cases
    assert (dict(case.labels), case.uncertain) == ({"Pneumonia": None, "Edema": 0}, {"Pneumonia"})


def test_a_study_without_a_row_of_labels_is_unlabelled(mimic, tmp_path):
    mimic.study(10000032, 50414267, Edema="1.0")
    mimic.study(10000032, 50414268)
    mimic.labels.pop()
    cohort = import_cohort("mimic-cxr", mimic.save(), tmp_path / "out")
    assert [case.labelled for case in cohort.cases] == [True, False]


def test_triage_joins_by_patient_and_time(mimic, tmp_path):
    vitals = {"temperature": "98.2", "heartrate": "85", "pain": "UTA", "acuity": "3", "sbp": "", "o2sat": "98"}
    mimic.study(10000032, 1, time="213014.5")
    mimic.study(10000032, 2, time="70000.0")
    mimic.study(10000099, 3, time="213014.5")
    mimic.stay(10000032, 11, "2180-05-06 19:17:00", "2180-05-06 23:30:00", chiefcomplaint="Abd pain, fever", **vitals)
    mimic.stay(10000032, 12, "2180-05-06 21:31:00", "2180-05-07 23:30:00", chiefcomplaint="later", pain="11")
    cohort = import_cohort("mimic-cxr", mimic.save(), tmp_path / "out", ed=str(mimic.ed.parent))
    during, before, other = cohort.cases
    assert during.values["temperature"] == 98.2
    assert (during.values["pain"], during.values["sbp"], during.values["sex"]) == (None, None, "F")
    assert (during.values["acuity"], during.values["heartrate"]) == (3.0, 85.0)
    triage, report = (read_note(note.path) for note in during.notes)
    assert (triage.text, triage.kind, triage.time) == (
        "CHIEF COMPLAINT: Abd pain, fever\n", "triage", "2180-05-06T19:17:00"
    )  # fmt: skip
    assert report.kind == "radiology report"
    for case in (before, other):
        assert set(case.values.values()) == {None}
        assert len(case.notes) == 1


def test_official_splits_hold_and_calibration_comes_from_training(mimic, tmp_path):
    for number in range(30):
        mimic.study(10000000 + number // 2, number, split="train", Edema=str(number % 4 // 2))
    for number, split in enumerate(("validate", "test", "test"), start=30):
        mimic.study(10000000 + number, number, split=split, Edema="1")
    cohort = import_cohort("mimic-cxr", mimic.save(), tmp_path / "out")
    splits = [case.split for case in cohort.cases]
    assert splits[30:] == ["validation", "test", "test"]
    assert set(splits[:30]) == {"train", "calibration"}
    assert splits[:30:2] == splits[1:30:2]  # the two studies of a patient
    assert cohort.with_splits(0) == cohort
    free = import_cohort("mimic-cxr", mimic.root, tmp_path / "free", split="none")
    assert {case.split for case in free.cases} == {None}


def test_dicom_files_and_reports_of_another_folder(mimic, tmp_path):
    mimic.study(10000032, 50414267, report="")
    place = tmp_path / "mimic-cxr" / "p10" / "p10000032"
    (place / "s50414267").mkdir(parents=True)
    (place / "s50414267" / "0301423b-00000000.dcm").write_bytes(b"dicom")
    (place / "s50414267.txt").write_text("IMPRESSION: clear")
    root = mimic.save()
    mimic.metadata[0]["dicom_id"] = "0301423b-00000000"
    mimic.save()
    elsewhere = str(tmp_path / "mimic-cxr")
    cohort = import_cohort("mimic-cxr", root, tmp_path / "out", images=elsewhere, reports=elsewhere)
    assert cohort.cases[0].scans[0].path.read_bytes() == b"dicom"
    assert len(cohort.cases[0].notes) == 1


def test_a_part_of_the_download_is_a_smaller_cohort(mimic, tmp_path):
    mimic.study(10000032, 1)
    place = mimic.study(10000033, 2)
    for path in (place / "s2").iterdir():
        path.unlink()
    mimic.study(10000034, 3, split="")
    mimic.metadata.append(mimic.metadata[0] | {"study_id": "../4"})
    cohort = import_cohort("mimic-cxr", mimic.save(), tmp_path / "out")
    assert [case.case_id for case in cohort.cases] == ["s1"]
    assert cohort.problems == (
        "mimic-cxr-2.0.0-metadata.csv.gz: 1 rows without proper ids; left out",
        "2 of 3 studies have no image on disk, or no split; left out",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uncertain": "maybe"}, "option uncertain is 'maybe'; it is one of blank, positive, negative"),
        ({"split": "mine"}, "it is official or none"),
        ({"labels": "Odema"}, "no column 'Odema'; nearest: Edema"),
        ({"ed": "nowhere"}, "no edstays.csv.gz"),
        ({"images": "nowhere"}, "nowhere: no such folder"),
        ({"task": "negbio"}, "no mimic-cxr-2.0.0-negbio.csv.gz"),
    ],
)
def test_wrong_options_are_one_line(mimic, tmp_path, options, message):
    mimic.study(10000032, 50414267)
    with pytest.raises(CohortError) as caught:
        import_cohort("mimic-cxr", mimic.save(), tmp_path / "out", **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_cut_short_is_one_line(mimic, tmp_path):
    for number in range(200):
        mimic.study(10000032 + number, number, report="")
    table = mimic.save() / "mimic-cxr-2.0.0-chexpert.csv.gz"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(CohortError, match=r"chexpert\.csv\.gz: the table cannot be read"):
        import_cohort("mimic-cxr", mimic.root, tmp_path / "out")
