from __future__ import annotations

import math

import numpy as np
import pytest

from medfuse.calibration import CALIBRATORS
from medfuse.calibration.choose import choose, clustered_error, cross_fitted, deal
from tests.calibration.drawn import drawn

TASK = pytest.mark.parametrize("task", ["multiclass", "multilabel"])


def _choice(logits, labels, task, patients=None):
    patients = [str(n) for n in range(len(logits))] if patients is None else patients
    return choose(CALIBRATORS, logits, labels, task=task, patients=patients)


@TASK
def test_takes_the_one_that_made_the_labels(task):
    """Five labels, one of them a hundred times too rare: only a bias can mend it."""
    logits, labels = drawn(task, n=800, weight=0.6, bias=[3.0, 0, 0, -2.0])
    choice = _choice(logits, labels, task)
    assert choice.chosen in {"bias_corrected_temperature", "platt", "vector"}
    assert choice.losses[choice.chosen] < choice.losses["temperature"] < choice.losses["uncalibrated"]


@TASK
def test_prefers_temperature_where_it_is_all_there_is(task):
    chosen = [_choice(*drawn(task, n=120, weight=0.5, seed=seed), task).chosen for seed in range(5)]
    assert chosen.count("temperature") >= 4


@TASK
@pytest.mark.parametrize("n", [1, 15])
def test_few_cases_get_one_temperature(task, n):
    choice = _choice(*drawn(task, n=n, weight=0.5, bias=[2.0, 0, 0, -1.0]), task)
    assert choice.chosen == "temperature"
    assert "isotonic" not in (choice.losses or {})


def test_what_was_not_tried_is_named_with_what_it_asks_for():
    choice = _choice(*drawn("multiclass", n=60), "multiclass")
    assert choice.left_out["isotonic"] == 1000
    assert set(choice.losses) | set(choice.left_out) == {*CALIBRATORS, "uncalibrated"}


def test_a_patient_is_never_in_two_folds_and_blanks_do_not_count():
    logits, labels = drawn("multiclass", n=120)
    labels[:20] = np.nan
    patients = [f"p{n // 3}" for n in range(120)]
    assert _choice(logits, labels, "multiclass", patients).cases == 100
    fold = deal(labels, patients)
    for patient in set(patients):
        assert len({fold[row] for row in range(120) if patients[row] == patient}) == 1
    assert set(fold) == set(range(5))


def test_copies_of_a_patient_do_not_count_as_evidence():
    x, patients = np.random.default_rng(1).normal(size=60), [str(n) for n in range(60)]
    assert clustered_error(np.tile(x, 10), patients * 10) == pytest.approx(clustered_error(x, patients))


def test_the_error_of_a_mean_over_single_cases_is_the_plain_one():
    x = np.random.default_rng(0).normal(size=50)
    assert clustered_error(x, [str(n) for n in range(50)]) == pytest.approx(x.std(ddof=1) / math.sqrt(50))
    assert clustered_error(x, ["one"] * 50) == math.inf


def test_a_case_does_not_see_its_own_label():
    logits, labels = drawn("multiclass", n=50, seed=2)
    fold = deal(labels, [str(n) for n in range(50)])
    kind = CALIBRATORS["vector"]
    before = cross_fitted(lambda: kind("multiclass"), logits, labels, fold)
    out = fold == fold[7]
    changed = labels.copy()
    changed[out] = np.roll(changed[out], 1, axis=1)
    after = cross_fitted(lambda: kind("multiclass"), logits, changed, fold)
    np.testing.assert_allclose(after[out], before[out])
    assert np.abs(after[~out] - before[~out]).max() > 1e-3
