from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.encoders.cache import TokenCache
from medfuse.errors import CohortError
from medfuse.evaluation import evaluate
from medfuse.evaluation.assemble import Evaluation, assemble
from medfuse.evaluation.held import Held, collect
from medfuse.inference import Predictor
from tests.conftest import LABELS


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.load(tiny_bundle)


@pytest.fixture(scope="module")
def held(bundle: Bundle, tiny_cohort: Cohort, token_cache: Path) -> Held:
    found = Held()
    collect(Predictor(bundle, cache=TokenCache(token_cache)), tiny_cohort.in_split("test"), found)
    return found


def _assembled(held: Held, bundle: Bundle, cohort: Cohort) -> Evaluation:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = assemble(held, bundle=bundle, cohort=cohort, problems=(), draws=20, title="t")
    json.dumps(found.metrics, allow_nan=False)
    return found


def test_a_probability_that_is_no_number_costs_its_case(held: Held, bundle: Bundle, tiny_cohort: Cohort) -> None:
    broken = replace(held, probability=[held.probability[0] * np.nan, *held.probability[1:]])
    metrics = _assembled(broken, bundle, tiny_cohort).metrics
    assert metrics["n_failed"] == 1
    assert metrics["summary"]["n_cases"] == len(held.cases) - 1
    name = held.cases[0].case_id
    assert metrics["problems"] == [
        f"case {name} could not be classified: the model gave a probability that is not a number"
    ]
    nothing = replace(held, probability=[one * np.nan for one in held.probability])
    with pytest.raises(CohortError, match="no labelled case"):
        _assembled(nothing, bundle, tiny_cohort)


def test_one_class_absent_and_a_single_patient_are_stated(held: Held, bundle: Bundle, tiny_cohort: Cohort) -> None:
    one_class = {name: int(name == "wet") for name in LABELS}
    absent = replace(held, cases=[replace(case, labels=one_class) for case in held.cases])
    metrics = _assembled(absent, bundle, tiny_cohort).metrics
    assert metrics["summary"]["auroc"]["value"] is None
    assert metrics["summary"]["labels_without_auroc"] == list(LABELS)
    assert metrics["conformal"]["by_label"]["dry"]["reason"]
    single = replace(held, cases=[replace(case, patient_id="one") for case in held.cases])
    metrics = _assembled(single, bundle, tiny_cohort).metrics
    assert metrics["summary"]["brier"]["reason"] == "one patient gives no interval"
    assert metrics["conformal"]["coverage"]["reason"] == "one patient gives no interval"
    assert metrics["use"]["verdicts"]["image"]["verdict"] == "not shown"
    blank = replace(held, cases=[replace(case, labels=dict.fromkeys(LABELS)) for case in held.cases])
    with pytest.raises(CohortError, match="no labelled case"):
        _assembled(blank, bundle, tiny_cohort)


def test_two_runs_write_the_same_bytes(bundle: Bundle, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    folders = []
    for name in ("a", "b"):
        found = evaluate(bundle, tiny_cohort, draws=20, cache=token_cache)
        folders.append(found.save(tmp_path / name))
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert len(first) >= 8
    assert first == second
    assert found.metrics["recalibration"]["reason"]  # four test patients
    assert found.metrics["outliers"]["own"]
