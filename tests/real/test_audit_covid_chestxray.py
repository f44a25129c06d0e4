"""The audit on the real collection, as imported and as it is before anything was joined or redacted."""

from __future__ import annotations

import csv
import os
import time
from collections import defaultdict
from pathlib import Path

import pytest

from medfuse.audit import Audit, audit
from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.importers import import_cohort

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def source() -> Path:
    root = os.environ.get("MEDFUSE_REAL_DATA")
    if not root:
        pytest.skip("MEDFUSE_REAL_DATA is not set; it names the folder that holds covid-chestxray/")
    return Path(root) / "covid-chestxray"


@pytest.fixture(scope="module")
def rows(source: Path) -> list[dict[str, str]]:
    with (source / "metadata.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def naive(source: Path, rows: list[dict[str, str]], folder: Path, task: str) -> Cohort:
    """A case a row, notes as they are, splits row by row: what a hasty reader of the collection would make."""
    (folder / "scans").mkdir(parents=True)
    (folder / "notes").mkdir()
    cases = []
    for number, row in enumerate(rows):
        scan, note = folder / "scans" / row["filename"], folder / "notes" / f"{number}.txt"
        if not scan.exists():
            scan.write_bytes((source / "images" / row["filename"]).read_bytes())
        note.write_text(row["clinical_notes"], encoding="utf-8")
        answer = {"Y": 1, "N": 0, "": None}[row["went_icu"]] if task == "icu" else int("COVID-19" in row["finding"])
        cases.append(
            Case(
                f"row{number}",
                row["patientid"],
                split=("train", "train", "validation", "calibration", "test")[number % 5],
                scans=(Scan(scan.resolve()),),
                notes=(Note(note.resolve()),) if row["clinical_notes"].strip() else (),
                labels={task: answer},
                groups={"view": row["view"]},
            )
        )
    cohort = Cohort(folder, "naive", "multilabel", (task,), tuple(cases), groups=("view",))
    cohort.save()
    return Cohort.load(folder)


def of(found: Audit, check: str) -> str:
    """All that the findings of a check say."""
    return "\n".join("\n".join((f.severity, f.what, *f.evidence)) for f in found.findings if f.check == check)


@pytest.mark.parametrize("task", ["icu", "covid"])
def test_before_redaction_rows_files_patients_and_terms_are_found(source, rows, tmp_path, task) -> None:
    cohort = naive(source, rows, tmp_path / "raw", task)
    begun = time.monotonic()
    found = audit(cohort)
    assert time.monotonic() - begun < 90
    shared = defaultdict(list)
    for number, row in enumerate(rows):
        shared[row["filename"]].append(f"row{number}")
    told = of(found, "duplicate-file")
    for cases in (cases for cases in shared.values() if len(cases) > 1):
        assert any(all(f"{case} [" in line for case in cases) for line in told.splitlines()), cases
    about = {case for f in found.findings if f.check == "patient-across-splits" for group in f.about for case in group}
    sides = defaultdict(set)
    for case in cohort.cases:
        sides[case.patient_id].add(case.split)
    assert about == {case.case_id for case in cohort.cases if len(sides[case.patient_id]) > 1}
    assert any(f.check == "duplicate-file" and f.severity == "error" for f in found.findings)
    leak = next(f for f in found.findings if f.check == "label-in-notes")
    assert leak.severity in ("error", "warning")
    for term in {"icu": ("intensive care", "intubat"), "covid": ("covid",)}[task]:
        assert any(term in line for line in leak.evidence), leak.evidence
    view = next(f for f in found.findings if f.check == "label-in-acquisition")
    assert "view" in view.figures


@pytest.mark.parametrize("task", ["icu", "covid"])
def test_as_imported_nothing_is_called_an_error(source, tmp_path, task) -> None:
    cohort = import_cohort("covid-chestxray", source, tmp_path / task, task=task).with_splits(0)
    begun = time.monotonic()
    found = audit(cohort)
    assert time.monotonic() - begun < 90
    assert found.errors == ()
    view = next(f for f in found.findings if f.check == "label-in-acquisition")
    assert 0.4 < view.figures["view"]["value"] < 0.8
