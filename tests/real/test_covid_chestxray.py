"""The real collection: counts are established here by csv alone, not by the importer."""

from __future__ import annotations

import csv
import filecmp
import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

from medfuse.cohort import Cohort
from medfuse.importers import import_cohort
from medfuse.importers.covid_chestxray import TERMS
from medfuse.notes import Redaction, read_note

pytestmark = pytest.mark.real

# Written out once more, so that a fault in the term lists or in the matching does not hide itself.
FORBIDDEN = {
    "icu": r"\bicu\b|\bitu\b|intensive care|intubat|extubat|ventilat|\becmo\b|endotracheal|\bett\b|\bet tube|\bniv\b|"
    r"\bcpap\b|\bdied\b|\bdeath|deceased|discharge|nasogastric|\bng tube|central line|central venous|\bhdu\b",
    "covid": r"covid|sars|corona|\bpcr\b|swab|\brna\b|wuhan|\b20[12]\d\b|pneumonia|\bards\b|strepto|pneumocyst|jirovec|"
    r"legionell|klebsiell|influenza|tubercul|aspergill|\bpcp\b|lipoid|bacteri|viral|virus",
}


@pytest.fixture(scope="module")
def source() -> Path:
    root = os.environ.get("MEDFUSE_REAL_DATA")
    if not root:
        pytest.skip("MEDFUSE_REAL_DATA is not set; it names the folder that holds covid-chestxray/")
    folder = Path(root) / "covid-chestxray"
    assert folder.is_dir(), f"MEDFUSE_REAL_DATA is set, but {folder} is not there"
    return folder


@pytest.fixture(scope="module")
def rows(source: Path) -> list[dict[str, str]]:
    with (source / "metadata.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module", params=["icu", "covid"])
def cohort(request, source: Path, tmp_path_factory) -> Cohort:
    out = tmp_path_factory.mktemp("cohort") / request.param
    return import_cohort("covid-chestxray", source, out, task=request.param)


def days(rows: list[dict[str, str]]) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """Rows by patient and day, the two pairs of patients that are one person taken together."""
    same = {"339": "285", "340": "287"}
    found = defaultdict(list)
    for row in rows:
        patient = same.get(row["patientid"], row["patientid"])
        undated = (row["date"], " ".join(row["clinical_notes"].split()))
        found[(patient, row["offset"]) if row["offset"] else (patient, "", *undated)].append(row)
    return found


def test_the_collection_is_the_one_that_was_counted(rows):
    assert len(rows) == 218
    assert len({row["patientid"] for row in rows}) == 118
    assert len({row["filename"] for row in rows}) == 213
    assert sum(not row["clinical_notes"].strip() for row in rows) == 67


def test_cases_patients_and_images(cohort, rows):
    assert len(cohort.cases) == len(days(rows)) == 191
    assert len({case.patient_id for case in cohort.cases}) == 118 - 2
    assert sum(len(case.scans) for case in cohort.cases) == 213
    assert all(case.scans for case in cohort.cases)
    assert sum(bool(case.notes) for case in cohort.cases) == sum(
        any(row["clinical_notes"].strip() for row in group) for group in days(rows).values()
    )


def test_labels_are_the_tables_and_blanks_stay_blank(cohort, rows):
    expected = []
    for group in days(rows).values():
        if cohort.labels == ("icu",):
            (answer,) = {row["went_icu"] for row in group}
            expected.append({"Y": 1, "N": 0, "": None}[answer])
        else:
            (answer,) = {"COVID-19" in row["finding"] for row in group}
            expected.append(int(answer))
    found = [case.labels[cohort.labels[0]] for case in cohort.cases]
    assert sorted(map(str, found)) == sorted(map(str, expected))
    counts = {"icu": (68, 51, 72), "covid": (145, 46, 0)}[cohort.labels[0]]
    assert (found.count(1), found.count(0), found.count(None)) == counts


def test_it_loads_without_problems_and_names_its_own(cohort):
    assert Cohort.load(cohort.folder).problems == ()
    assert cohort.problems == (
        "patients 285, 339 share a file; taken as one patient, 285+339",
        "patients 287, 340 share a file; taken as one patient, 287+340",
    )


def test_no_file_stands_under_two_patients(cohort):
    owners = defaultdict(set)
    for case in cohort.cases:
        for scan in case.scans:
            owners[scan.path.read_bytes()].add(case.patient_id)
    assert all(len(patients) == 1 for patients in owners.values())


def test_no_patient_is_split(cohort):
    sides = defaultdict(set)
    for case in cohort.with_splits(0).cases:
        sides[case.patient_id].add(case.split)
    assert all(len(splits) == 1 for splits in sides.values())


def test_frontal_images_come_first(cohort):
    views = [[scan.path.stem.rsplit("_", 1)[-1] for scan in case.scans] for case in cohort.cases]
    assert sum(view.count("L") for view in views) == 18 - 1  # one lateral image stands under two patients
    assert all(view == sorted(view, key=lambda name: name == "L") for view in views)


def test_no_note_names_the_answer(cohort):
    task = cohort.labels[0]
    redaction = Redaction(TERMS[task])
    for case in cohort.cases:
        for note in case.notes:
            text = read_note(note.path).text
            assert redaction.apply(text) == (text, {}), case.case_id
            assert not re.search(FORBIDDEN[task], text, re.IGNORECASE), case.case_id
    assert sum(cohort.redaction["replaced"].values()) > 90


def test_values_are_the_tables(cohort, rows):
    groups = days(rows).values()
    for column in ("age", "temperature", "pO2_saturation", "neutrophil_count"):
        given = [case.values[column] for case in cohort.cases if case.values[column] is not None]
        first = [next((row[column] for row in group if row[column]), "") for group in groups]
        assert sorted(given) == sorted(float(cell) for cell in first if cell)


def test_importing_again_gives_the_same(cohort, source, tmp_path):
    again = import_cohort("covid-chestxray", source, tmp_path / "again", task=cohort.labels[0])
    files = sorted(str(path.relative_to(again.folder)) for path in again.folder.rglob("*") if path.is_file())
    assert len(files) == 213 + 126 + 2
    assert filecmp.cmpfiles(cohort.folder, again.folder, files, shallow=False)[1:] == ([], [])
