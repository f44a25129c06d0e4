"""Ten planted faults of different kinds, and cohorts without any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from medfuse.audit import audit
from medfuse.audit.repair import DONE, repair
from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.notes import read_note
from medfuse.splits import split_by_patient

WORDS = (  # noqa: SIM905
    "cough fever chills breath short pain chest left right lower upper zone day week month since history known smoker "
    "former works farm lives alone walks slowly tired sleeps badly eats drinks tea weight loss gain sweats night "
    "morning legs swollen ankles hands cold warm mild severe new old better worse stable sudden gradual after travel"
).split()


def picture(rng: np.random.Generator) -> np.ndarray:
    """Broad shapes that all share, as radiographs do, and fine detail of its own."""
    rows, columns = np.mgrid[-1:1:160j, -1:1:160j]
    body = np.exp(-((rows**2 + columns**2) / 0.6)) - 0.5 * np.exp(-(rows**2 + (np.abs(columns) - 0.4) ** 2) / 0.08)
    detail = sum(gaussian_filter(rng.normal(size=(160, 160)), width) * width for width in (2, 6, 16))
    image = 100 + 90 * body + 12 * detail
    return np.clip(image, 0, 255).astype(np.uint8)


def innocent(folder: Path, *, cases: int = 120, seed: int = 0) -> Cohort:
    """Two cases a patient, labels that nothing tells."""
    rng = np.random.default_rng(seed)
    (folder / "scans").mkdir(parents=True)
    (folder / "notes").mkdir()
    made = []
    for number in range(cases):
        scan, note = folder / "scans" / f"c{number}.png", folder / "notes" / f"c{number}.txt"
        Image.fromarray(picture(rng)).save(scan)
        words = " ".join(rng.choice(WORDS, size=45))
        note.write_text(f"HISTORY: {words}.\nFINDINGS: {' '.join(rng.choice(WORDS, size=10))}.\n", encoding="utf-8")
        label = int(rng.random() < 0.45)
        made.append(
            Case(
                case_id=f"c{number}",
                patient_id=f"p{number // 2}",
                time=f"2021-{rng.integers(1, 13):02}-{rng.integers(1, 29):02}",
                scans=(Scan(scan.resolve()),),
                notes=(Note(note.resolve()),),
                values={"age": float(rng.integers(20, 90)), "crp": None if rng.random() < 0.2 else 5.0},
                labels={"effusion": label, "oedema": int(rng.random() < 0.4)},
                groups={"site": str(rng.choice(["east", "west"])), "view": str(rng.choice(["PA", "AP"]))},
            )
        )
    cohort = Cohort(
        folder,
        "innocent",
        "multilabel",
        ("effusion", "oedema"),
        tuple(made),
        tabular={"age": "number", "crp": "number"},
        groups=("site", "view"),
    )
    return cohort.in_splits(split_by_patient(made, seed=seed), by="patient", seed=seed)


def saved(cohort: Cohort) -> Cohort:
    cohort.save()
    return Cohort.load(cohort.folder)


def changed(cohort: Cohort, case_id: str, **fields: object) -> Cohort:
    cases = tuple(replace(case, **fields) if case.case_id == case_id else case for case in cohort.cases)  # type: ignore[arg-type]
    return replace(cohort, cases=cases)


def pair_across(cohort: Cohort, taken: set[str]) -> tuple[Case, Case]:
    """A training and a test case of patients that were not used yet, labelled alike."""
    train, test = (
        [c for c in cohort.cases if c.split == split and c.patient_id not in taken] for split in ("train", "test")
    )
    first, second = next((a, b) for b in test for a in train if a.labels == b.labels)
    taken |= {first.patient_id, second.patient_id}
    return first, second


def planted(folder: Path) -> tuple[Cohort, dict[str, set[str]]]:
    """A cohort with ten faults, and by check the cases that are to be named (none: a fault of the whole cohort)."""
    cohort = innocent(folder, cases=160)
    taken: set[str] = set()
    expected: dict[str, set[str]] = {}
    # 1: the same pixels under two patients, in another file format
    a, b = pair_across(cohort, taken)
    target = b.scans[0].path.with_suffix(".tiff")
    Image.open(a.scans[0].path).save(target)
    cohort = changed(cohort, b.case_id, scans=(Scan(target),))
    expected["duplicate-pixels"] = {a.case_id, b.case_id}
    # 2: nearly the same pixels: smaller, brighter, compressed
    a, b = pair_across(cohort, taken)
    small = Image.open(a.scans[0].path).resize((120, 120), Image.Resampling.LANCZOS)
    target = b.scans[0].path.with_suffix(".jpg")
    small.point(lambda grey: int(grey * 0.9 + 20)).save(target, quality=70)
    cohort = changed(cohort, b.case_id, scans=(Scan(target),))
    expected["near-duplicate-pixels"] = {a.case_id, b.case_id}
    # 3: the same note; 4: nearly the same note
    a, b = pair_across(cohort, taken)
    b.notes[0].path.write_text("  " + a.notes[0].path.read_text().replace(" ", "  "))
    expected["duplicate-note"] = {a.case_id, b.case_id}
    a, b = pair_across(cohort, taken)
    b.notes[0].path.write_text(a.notes[0].path.read_text().rstrip(".\n") + " seen again.\n")
    expected["near-duplicate-note"] = {a.case_id, b.case_id}
    # 5: a patient on both sides
    one = next(c for c in cohort.cases if c.split == "train" and c.patient_id not in taken)
    taken.add(one.patient_id)
    cohort = changed(cohort, one.case_id, split="test")
    expected["patient-across-splits"] = {c.case_id for c in cohort.cases if c.patient_id == one.patient_id}
    # 6: an unreadable scan
    lost = next(c for c in cohort.cases if c.patient_id not in taken)
    lost.scans[0].path.write_bytes(lost.scans[0].path.read_bytes()[:200])
    taken.add(lost.patient_id)
    expected["unreadable"] = {lost.case_id}
    # 7: an impossible age; 8: a date in the future
    old = next(c for c in cohort.cases if c.patient_id not in taken)
    cohort = changed(cohort, old.case_id, values={**old.values, "age": 430.0}, time="2090-02-03")
    taken.add(old.patient_id)
    expected["value-impossible"] = expected["date-impossible"] = {old.case_id}
    # 9: the label in the notes; 10: the label in the site
    for case in cohort.cases:
        if case.labels["effusion"] and "seen again" not in case.notes[0].path.read_text():
            text = case.notes[0].path.read_text()
            if case.case_id not in expected["duplicate-note"]:
                case.notes[0].path.write_text(text.replace("HISTORY:", "HISTORY: known effusion,", 1))
        cohort = changed(
            cohort, case.case_id, groups={**case.groups, "site": "ward" if case.labels["oedema"] else "home"}
        )
    expected["label-in-notes"] = expected["label-in-acquisition"] = set()
    # The splits are taken as they are now: that a case was moved after they were recorded is another fault.
    return saved(replace(cohort, splits={})), expected


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> tuple[Cohort, dict[str, set[str]]]:
    return planted(tmp_path_factory.mktemp("faulty") / "cohort")


@pytest.fixture(scope="module")
def found(faulty):
    return audit(faulty[0])


def test_ten_planted_faults_are_found_and_nothing_else_is_an_error(faulty, found) -> None:
    _, expected = faulty
    assert len(expected) == 10
    errors = {finding.check: finding for finding in found.errors}
    assert set(errors) == set(expected)
    for check, cases in expected.items():
        named = {part for group in errors[check].about for part in group if part.startswith("c")}
        assert not cases or named & {c for c in named if c[1:].isdigit()} == cases, check
        assert errors[check].evidence
        assert errors[check].fix
    assert errors["label-in-notes"].about == (("effusion",),)
    assert any("effusion" in line and "name" in line for line in errors["label-in-notes"].evidence)
    assert errors["label-in-acquisition"].about == (("oedema",),)
    assert errors["label-in-acquisition"].figures["site"]["low"] > 0.9


@pytest.mark.parametrize("seed", [1, 2])
def test_an_innocent_cohort_has_neither_error_nor_warning(tmp_path: Path, seed: int) -> None:
    found = audit(saved(innocent(tmp_path / "c", seed=seed)))
    assert [f for f in found.findings if f.severity != "note"] == []
    assert {f.check for f in found.findings} >= {"cases", "splits", "balance", "missing", "label-in-notes"}


def test_the_report_holds_every_finding_escaped_and_the_json_is_whole(faulty, found, tmp_path: Path) -> None:
    odd = replace(found, cohort="<script>alert(1)</script>")
    odd.save(tmp_path)
    html = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "<script>" not in html
    assert "http" not in html.replace("http-equiv", "")
    record = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert record["summary"]["error"] == len(found.errors)
    assert len(record["findings"]) == len(found.findings)
    for finding in found.findings:
        assert finding.check in html


def test_no_evidence_quotes_a_note(faulty, found) -> None:
    cohort, _ = faulty
    said = json.dumps(found.record())
    for case in cohort.cases:
        words = read_note(case.notes[0].path).text.split()
        for start in range(0, len(words) - 3, 5):
            assert " ".join(words[start : start + 4]) not in said


def test_fix_writes_a_cohort_without_what_a_machine_can_mend(faulty, found, tmp_path: Path) -> None:
    cohort, expected = faulty
    before = (cohort.folder / "cases.csv").read_bytes()
    done = repair(cohort, found, tmp_path / "fixed")
    assert (cohort.folder / "cases.csv").read_bytes() == before
    assert all(line in (tmp_path / "fixed" / DONE).read_text() for line in done)
    fixed = Cohort.load(tmp_path / "fixed")
    assert fixed.problems == ()
    again = audit(fixed)
    assert {finding.check for finding in again.errors} == {"label-in-notes", "label-in-acquisition"}
    by_id = {case.case_id: case for case in fixed.cases}
    for check in ("duplicate-pixels", "near-duplicate-pixels", "duplicate-note", "near-duplicate-note"):
        assert len({by_id[case_id].patient_id for case_id in expected[check]}) == 1
    (old,) = expected["value-impossible"]
    assert by_id[old].values["age"] is None
    assert by_id[old].time is None
    (lost,) = expected["unreadable"]
    assert by_id[lost].scans == ()
    assert len(fixed.cases) == len(cohort.cases)


def test_fix_refuses_a_folder_that_is_taken_or_inside(faulty, found, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(CohortError, match="already there"):
        repair(faulty[0], found, tmp_path)
    with pytest.raises(CohortError, match="inside the cohort"):
        repair(faulty[0], found, faulty[0].folder / "fixed")


def test_without_pixels_files_are_only_looked_for(faulty) -> None:
    cohort, expected = faulty
    found = audit(cohort, pixels=False)
    checks = {finding.check for finding in found.errors}
    assert checks == set(expected) - {"duplicate-pixels", "near-duplicate-pixels", "unreadable"}
