from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.drift import Reference, inputs_of
from medfuse.encoders.cache import TokenCache
from medfuse.errors import BundleError, CohortError
from medfuse.inference import Predictor
from medfuse.monitor import monitor
from medfuse.training.fit import facts_wanted


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tiny_cohort: Cohort, token_cache: Path) -> Bundle:
    """The tiny bundle with a reference of 24 patients; its own calibration split has but a few."""
    loaded = Bundle.load(tiny_bundle)
    facts, said = [], []
    cases = [case for case in tiny_cohort.cases if int(case.case_id[1:]) % 2 == 0]
    for batch, _, probability in Predictor(loaded, cache=TokenCache(token_cache)).probabilities(cases):
        facts += [inputs_of(one.case, one.parts, **facts_wanted(loaded.model)) for one in batch]
        said.append(probability[-1])
    import numpy as np

    return replace(loaded, reference=Reference.of(facts, np.concatenate(said)))


@pytest.fixture(scope="module")
def coming(tiny_cohort: Cohort) -> Cohort:
    """The other case of each patient, as of new patients."""
    cases = [replace(case, patient_id=f"new-{case.case_id}") for case in tiny_cohort.cases]
    return replace(tiny_cohort, cases=tuple(case for case in cases if int(case.case_id[1:]) % 2), name="<b>coming</b>")


def test_a_trained_bundle_holds_a_reference(tiny_bundle: Path, tiny_cohort: Cohort) -> None:
    held = Bundle.load(tiny_bundle).reference
    assert held is not None
    assert held.cases == len({case.patient_id for case in tiny_cohort.in_split("calibration")})
    assert set(held.inputs) == {"modalities", "image mean", "image spread", "text tokens", "age", "sex"}


def test_like_cases_have_not_drifted_and_the_report_escapes(
    bundle: Bundle, coming: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    found = monitor(bundle, coming, cache=token_cache)
    assert found.cases == 24
    assert {check.what for check in found.drifted} <= {"sex"}  # the tiny cohort's two visits differ in sex
    found.save(tmp_path)
    assert json.loads((tmp_path / "drift.json").read_text())["cases"] == 24
    page = (tmp_path / "drift.html").read_text()
    assert "&lt;b&gt;coming" in page
    assert "<b>coming" not in page


def test_notes_that_are_gone_and_an_older_population_are_found(
    bundle: Bundle, coming: Cohort, token_cache: Path
) -> None:
    changed = [
        replace(case, notes=(), values={"age": 95.0, "sex": "F"}, labels=dict.fromkeys(case.labels))
        for case in coming.cases
    ]
    found = monitor(bundle, replace(coming, cases=tuple(changed)), cache=token_cache)
    assert {"modalities", "text tokens", "age"} <= {check.what for check in found.drifted}
    assert not any(check.kind == "calibration" for check in found.checks)
    assert "age" in found.verdict


def test_patients_of_training_are_left_out(bundle: Bundle, tiny_cohort: Cohort, coming: Cohort) -> None:
    with pytest.raises(CohortError, match="nothing to compare"):
        monitor(bundle, replace(tiny_cohort, cases=tiny_cohort.in_split("train")))
    with pytest.raises(BundleError, match="no reference"):
        monitor(replace(bundle, reference=None), coming)
