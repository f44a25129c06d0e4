from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medfuse.bundle import Bundle
from medfuse.case import Scan
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.evaluation import evaluate
from medfuse.evaluation.overlap import Overlap
from tests.conftest import make_tiny


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.load(tiny_bundle)


def _named(cohort: Cohort, *, patient: str = "other-{}", name: str = "elsewhere") -> Cohort:
    """The same files under other patients' names, without splits."""
    cases = (replace(case, patient_id=patient.format(case.patient_id), split=None) for case in cohort.cases)
    return replace(cohort, cases=tuple(cases), name=name)


def test_the_cohort_of_training_keeps_only_what_was_held_out(bundle: Bundle, tiny_cohort: Cohort) -> None:
    unsplit = replace(tiny_cohort, cases=tuple(replace(case, split=None) for case in tiny_cohort.cases))
    for cohort in (tiny_cohort, unsplit):
        seen = Overlap(bundle, cohort)
        assert {case.case_id for case in seen.candidates()} == {c.case_id for c in tiny_cohort.in_split("test")}
        assert (seen.problems(), seen.notes()) == ([], [])


def test_patients_of_training_in_another_cohort_are_refused(bundle: Bundle, tiny_cohort: Cohort) -> None:
    other = _named(tiny_cohort, patient="{}")
    with pytest.raises(CohortError, match=r"40 of 48 cases are of patients that this bundle was trained"):
        Overlap(bundle, other).candidates()
    left = Overlap(bundle, other, "leave-out")
    assert len(left.candidates()) == 8
    assert left.problems() == ["40 test cases left out: training saw their patients"]
    kept = Overlap(bundle, other, "keep")
    assert len(kept.candidates()) == 48
    assert kept.problems() == []
    assert "40 of these cases" in kept.notes()[0]


def test_the_same_files_under_other_names_are_refused(bundle: Bundle, tiny_cohort: Cohort, token_cache: Path) -> None:
    with pytest.raises(CohortError, match="holds a scan or note that this bundle was trained"):
        evaluate(bundle, _named(tiny_cohort), draws=0, cache=token_cache)


def test_left_out_or_kept_on_request_and_then_said_on_top(
    bundle: Bundle, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    left = evaluate(bundle, _named(tiny_cohort), overlap="leave-out", draws=0, cache=token_cache)
    assert left.metrics["summary"]["n_cases"] == 8
    assert left.metrics["notes"] == []
    assert any("40 test cases left out: they hold a scan" in line for line in left.metrics["problems"])
    kept = evaluate(bundle, _named(tiny_cohort), overlap="keep", draws=0, cache=token_cache)
    assert kept.metrics["summary"]["n_cases"] == 48
    html = (kept.save(tmp_path / "kept") / "report.html").read_text(encoding="utf-8")
    assert html.index("40 of these cases") < html.index("Not a medical device")


def test_a_bundle_of_before_knows_patients_alone(
    bundle: Bundle, tiny_bundle: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    import hashlib
    import json

    folder = Path(shutil.copytree(tiny_bundle, tmp_path / "old"))
    content = json.loads((folder / "bundle.json").read_text())
    assert len(content.pop("contents")) >= 40
    (folder / "bundle.json").write_text(json.dumps(content))
    receipt = json.loads((folder / "receipt.json").read_text())
    receipt["bundle.json"] = hashlib.sha256((folder / "bundle.json").read_bytes()).hexdigest()
    (folder / "receipt.json").write_text(json.dumps(receipt))
    old = Bundle.load(folder)
    assert old.contents is None
    found = evaluate(old, _named(tiny_cohort), draws=0, cache=token_cache)
    assert found.metrics["summary"]["n_cases"] == 48
    assert "before contents were kept" in found.metrics["problems"][-1]
    assert Bundle.load(tiny_bundle).contents == bundle.contents


def test_a_case_of_the_own_cohort_that_repeats_a_training_scan_costs_that_case(
    bundle: Bundle, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    shutil.copy(tiny_cohort.in_split("train")[0].scans[0].path, copy)
    first, *others = tiny_cohort.in_split("test")
    cases = (replace(first, scans=(Scan(copy),)), *others)
    found = evaluate(bundle, replace(tiny_cohort, cases=cases), draws=0, cache=token_cache)
    assert found.metrics["summary"]["n_cases"] == len(others)
    assert any(first.case_id in line and "medfuse audit" in line for line in found.metrics["problems"])


def test_new_files_are_no_overlap(bundle: Bundle, token_cache: Path, tmp_path: Path) -> None:
    new = _named(make_tiny(tmp_path / "new", cases=12, seed=5))
    assert evaluate(bundle, new, draws=0, cache=token_cache).metrics["summary"]["n_cases"] == 12
